//! Listening for real: a pair of virtual Ethernet devices in a network namespace of its own, of which one
//! stands for the NIC and the other for the switch.

use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use harmony_inventory_agent::collect;
use harmony_inventory_agent::lldp::listen::{SharedHeard, listen};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{MsgFlags, SockaddrStorage, sendto};
use socket2::{Domain, Socket, Type};

use crate::tree::Tree;

/// To the nearest bridge, from a6:…, with a chassis, a port and two minutes to live.
const FRAME: &[u8] = b"\x01\x80\xc2\x00\x00\x0e\xa6\xb4\x6e\xe6\x5b\x47\x88\xcc\
    \x02\x07\x04\xa6\xb4\x6e\xe6\x5b\x47\x04\x05\x05sw/7\x06\x02\x00\x78\x00\x00";

fn ip(arguments: &str) {
    let ip = Command::new("ip").args(arguments.split(' ')).status();
    let ip = ip.unwrap_or_else(|error| panic!("cannot run ip (Debian package iproute2): {error}"));
    assert!(ip.success(), "ip {arguments}");
}

#[test]
fn hears_the_switch_on_a_nic_that_was_down() {
    // A namespace belongs to a thread, and to those that it starts.
    let test = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace (this test must run as root)");
        ip("link add nic0 type veth peer name switch0");
        ip("link set switch0 up");
        let index = nix::net::if_::if_nametoindex("nic0").expect("an index");
        let tree = Tree::recorded("empty");
        tree.write("sys/class/net/nic0/device/uevent", b"");
        tree.write("sys/class/net/nic0/ifindex", index.to_string().as_bytes());
        let (root, heard) = (tree.root(), SharedHeard::default());
        {
            let (root, heard) = (root.clone(), heard.clone());
            thread::spawn(move || listen(&root, &heard, true));
        }
        let socket = Socket::new(Domain::PACKET, Type::RAW, None).expect("a packet socket");
        let switch: SockaddrStorage = nix::ifaddrs::getifaddrs()
            .expect("interfaces")
            .filter(|interface| interface.interface_name == "switch0")
            .find_map(|interface| interface.address.filter(|address| address.as_link_addr().is_some()))
            .expect("a link address");
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            assert!(Instant::now() < deadline, "nothing was heard");
            // Fails while the NIC is down.
            let _ = sendto(socket.as_raw_fd(), FRAME, &switch, MsgFlags::empty());
            let report = collect(&root, &heard.lock().expect("lock"));
            if let Some(neighbour) = report.nics[0].lldp.first() {
                assert_eq!((&*neighbour.port_id, &*neighbour.chassis_id), ("sw/7", "a6:b4:6e:e6:5b:47"));
                assert!(report.nics[0].lldp_listened_s.is_some());
                return;
            }
        }
    });
    test.join().expect("the test");
}
