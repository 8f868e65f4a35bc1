//! TFTP with a real client (curl), and with one that loses packets.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use harmony_core::boot::BootEventKind as Kind;
use tokio::net::UdpSocket;
use tokio::process::Command;

use crate::world::{World, query};

fn put(world: &World, name: &str, contents: &[u8]) {
    std::fs::write(world.folder.path().join("tftp").join(name), contents).expect("writes");
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|number| (number % 253) as u8).collect()
}

async fn curl(world: &World, path: &str, options: &[&str]) -> (Option<i32>, Vec<u8>) {
    let url = format!("tftp://{}{path}", world.server.tftp_addr().expect("TFTP"));
    let output = Command::new("curl").args(["-sS", "--path-as-is", "--max-time", "60"]).args(options).arg(url).output();
    let output = output.await.expect("curl is installed");
    (output.status.code(), output.stdout)
}

#[tokio::test]
async fn curl_reads_files_of_every_length() {
    let world = World::new().await;
    world.get(1, &format!("/ipxe/chain?{}", query(1))).await;
    for length in [0, 1, 511, 512, 513, 1024, 70_000] {
        put(&world, "ipxe.efi", &bytes(length));
        for options in [&["--tftp-no-options"][..], &[], &["--tftp-blksize", "1400"]] {
            if length == 0 && options != ["--tftp-no-options"] {
                continue; // curl takes a size of 0 for an error
            }
            let (code, read) = curl(&world, "/ipxe.efi", options).await;
            assert_eq!((code, read.len()), (Some(0), length), "{options:?}");
            assert!(read == bytes(length));
        }
    }
    world.until(&Kind::Tftp { path: "ipxe.efi".into() }).await;
    let host = &world.store.hosts().await.expect("reads")[0].id;
    let events = world.store.boot_events(host, None).await.expect("reads");
    assert!(matches!(events.last().map(|event| &event.kind), Some(Kind::Tftp { .. })), "{events:?}");
}

#[tokio::test]
async fn block_numbers_start_over() {
    let world = World::new().await;
    // 66,000 blocks of 8 bytes: more than 2^16.
    put(&world, "large", &bytes(8 * 66_000 + 3));
    let (code, read) = curl(&world, "/large", &["--tftp-blksize", "8"]).await;
    assert_eq!(code, Some(0));
    assert!(read == bytes(8 * 66_000 + 3));
}

#[tokio::test]
async fn what_is_outside_is_refused() {
    let world = World::new().await;
    std::fs::write(world.folder.path().join("secret"), "SECRET").expect("writes");
    std::os::unix::fs::symlink("../secret", world.folder.path().join("tftp/link")).expect("links");
    // curl's codes: 68 no such file, 69 access violation.
    for (path, code) in
        [("/../secret", 69), ("/a/../../secret", 69), ("/link", 69), ("//../secret", 69), ("/none", 68), ("/.", 68)]
    {
        let (got, read) = curl(&world, path, &[]).await;
        assert_eq!((got, read.as_slice()), (Some(code), &b""[..]), "{path}");
    }
    let kinds = world.kinds().await;
    assert_eq!(kinds.len(), 6, "{kinds:?}");
    let Kind::Refused { path, reason } = &kinds[0] else { panic!("{kinds:?}") };
    assert_eq!((path.as_str(), reason.as_str()), ("tftp:../secret", "the path leads out of the folder"));
}

/// A client of our own: one socket, which speaks to whatever port answers.
struct Peer {
    socket: UdpSocket,
    transfer: SocketAddr,
}

impl Peer {
    async fn new(world: &World) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("binds");
        Self { socket, transfer: world.server.tftp_addr().expect("TFTP") }
    }

    async fn send(&self, packet: &[u8]) {
        self.socket.send_to(packet, self.transfer).await.expect("sends");
    }

    async fn receive(&mut self) -> Vec<u8> {
        let mut packet = [0; 2048];
        let received = tokio::time::timeout(Duration::from_secs(20), self.socket.recv_from(&mut packet)).await;
        let (length, from) = received.expect("in time").expect("receives");
        self.transfer = from;
        packet[..length].to_vec()
    }

    async fn ack(&self, block: u16) {
        self.send(&[[0, 4], block.to_be_bytes()].concat()).await;
    }
}

#[tokio::test]
async fn lost_packets_are_sent_again_in_windows() {
    let world = World::new().await;
    put(&world, "f", &bytes(40));
    let mut peer = Peer::new(&world).await;
    peer.send(b"\0\x01f\0octet\0blksize\x008\0windowsize\x003\0tsize\x000\0").await;
    assert_eq!(peer.receive().await, b"\0\x06blksize\x008\0windowsize\x003\0tsize\x0040\0");
    peer.ack(0).await;
    let block =
        |number: u8| [&[0, 3, 0, number], &bytes(40)[8 * usize::from(number - 1)..8 * usize::from(number)]].concat();
    for number in [1, 2, 3] {
        assert_eq!(peer.receive().await, block(number));
    }
    // Blocks 2 and 3 got lost: the client has the first alone. An old acknowledgement changes nothing.
    peer.ack(0).await;
    peer.ack(1).await;
    for number in [2, 3, 4] {
        assert_eq!(peer.receive().await, block(number));
    }
    // The acknowledgement got lost: after a while, the same again.
    for number in [2, 3, 4] {
        assert_eq!(peer.receive().await, block(number));
    }
    peer.ack(4).await;
    assert_eq!(peer.receive().await, block(5));
    assert_eq!(peer.receive().await, [0, 3, 0, 6], "40 bytes end in an empty block");
    assert!(world.kinds().await.is_empty(), "not yet there");
    peer.ack(6).await;
    world.until(&Kind::Tftp { path: "f".into() }).await;
}

#[tokio::test]
async fn nothing_is_written_and_nothing_is_translated() {
    let world = World::new().await;
    put(&world, "f", b"a\nb");
    for (request, code) in [(&b"\0\x02f\0octet\0"[..], 2), (b"\0\x01f\0netascii\0", 4), (b"\0\x01f\0mail\0", 4)] {
        let mut peer = Peer::new(&world).await;
        peer.send(request).await;
        assert_eq!(peer.receive().await[..4], [0, 5, 0, code]);
    }
    assert_eq!(std::fs::read(world.folder.path().join("tftp/f")).expect("reads"), b"a\nb");
}

#[tokio::test]
async fn a_rom_that_only_wants_to_know_the_size_leaves_no_evidence() {
    let world = World::new().await;
    put(&world, "f", &bytes(40));
    let mut peer = Peer::new(&world).await;
    peer.send(b"\0\x01f\0octet\0tsize\x000\0").await;
    assert_eq!(peer.receive().await, b"\0\x06tsize\x0040\0");
    peer.send(b"\0\x05\0\0never mind\0").await;
    assert_eq!(curl(&world, "/f", &[]).await.0, Some(0));
    world.until(&Kind::Tftp { path: "f".into() }).await;
    assert_eq!(world.kinds().await.len(), 1);
}
