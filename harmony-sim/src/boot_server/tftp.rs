//! A TFTP client as firmware has it: one file, block by block.
//!
//! Source: RFC 1350 (packets, transfer), 2347 (options), 2348 (`blksize`). What takes time here is the network,
//! not the world: its limits are in real time.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::TftpFailure;

/// Block size that is asked for, as EDK II does. Source: EDK II `NetworkPkg/UefiPxeBcDxe/PxeBcMtftp.h`.
const BLOCK_BYTES: usize = 1428;
/// Block size without option. Source: RFC 1350 section 2.
const PLAIN_BLOCK_BYTES: usize = 512;
/// Largest file: more than any boot loader.
const MAX_BYTES: usize = 64 << 20;
/// When a packet is sent again, and how often.
const AGAIN: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 5;

/// What a server sends.
#[derive(Debug, PartialEq, Eq)]
enum Packet<'a> {
    Data(u16, &'a [u8]),
    Error(String),
    /// The options that it agrees to; only the block size was asked for.
    OptionAck(Option<usize>),
}

/// Reads a file from a server, as a client at this address.
pub(super) async fn get(from: IpAddr, server: SocketAddr, path: &str) -> Result<Bytes, TftpFailure> {
    let socket = UdpSocket::bind(SocketAddr::new(from, 0)).await.map_err(|_| TftpFailure::Silence)?;
    let mut sending = [&[0, 1][..], format!("{path}\0octet\0blksize\0{BLOCK_BYTES}\0").as_bytes()].concat();
    let mut peer = None;
    let (mut block_bytes, mut next, mut file) = (PLAIN_BLOCK_BYTES, 1_u16, BytesMut::new());
    let mut datagram = vec![0; 4 + BLOCK_BYTES];
    for _ in 0..ATTEMPTS {
        // An ICMP error shows as one of the socket; whoever listens then is asked again.
        let _ = socket.send_to(&sending, peer.unwrap_or(server)).await;
        let mut deadline = Instant::now() + AGAIN;
        while let Ok(Ok((length, sender))) = timeout_at(deadline, socket.recv_from(&mut datagram)).await {
            // The port that answers first is the transfer's, and nobody else's words count (section 4).
            if sender.ip() != server.ip() || *peer.get_or_insert(sender) != sender {
                continue;
            }
            let (block, is_last) = match parse(&datagram[..length]) {
                Some(Packet::Error(reason)) => return Err(TftpFailure::Refused(reason)),
                Some(Packet::OptionAck(agreed)) if next == 1 => {
                    block_bytes = agreed.unwrap_or(PLAIN_BLOCK_BYTES);
                    (0, false)
                }
                Some(Packet::Data(block, bytes)) if block == next => {
                    if file.len() + bytes.len() > MAX_BYTES {
                        return Err(TftpFailure::Refused("the file is larger than the machine's memory".to_owned()));
                    }
                    file.extend_from_slice(bytes);
                    next = next.wrapping_add(1);
                    (block, bytes.len() < block_bytes)
                }
                // What came before and comes again is passed over: an answer would double every block from then
                // on (the sorcerer's apprentice; RFC 1123 section 4.2.3.1).
                Some(_) | None => continue,
            };
            sending = ack(block).to_vec();
            // Nobody answers the last one.
            let _ = socket.send_to(&sending, sender).await;
            if is_last {
                return Ok(file.freeze());
            }
            deadline = Instant::now() + AGAIN;
        }
    }
    Err(TftpFailure::Silence)
}

fn ack(block: u16) -> [u8; 4] {
    let [high, low] = block.to_be_bytes();
    [0, 4, high, low]
}

fn parse(datagram: &[u8]) -> Option<Packet<'_>> {
    let (head, rest) = datagram.split_at_checked(2)?;
    match head {
        [0, 3] => {
            let (block, bytes) = rest.split_at_checked(2)?;
            Some(Packet::Data(u16::from_be_bytes(block.try_into().ok()?), bytes))
        }
        [0, 5] => {
            let text = rest.get(2..)?.split(|byte| *byte == 0).next()?;
            Some(Packet::Error(String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).collect()))
        }
        [0, 6] => {
            let texts: Vec<&[u8]> = rest.split(|byte| *byte == 0).collect();
            let size = texts.chunks(2).find(|pair| pair[0].eq_ignore_ascii_case(b"blksize"));
            let size = size.and_then(|pair| std::str::from_utf8(pair.get(1)?).ok()?.parse().ok());
            // More than was asked for would not fit.
            Some(Packet::OptionAck(size.filter(|size| (8..=BLOCK_BYTES).contains(size))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_and_others_passed_over() {
        assert_eq!(parse(&[0, 3, 1, 2, 9]), Some(Packet::Data(0x102, &[9])));
        assert_eq!(parse(b"\0\x05\0\x01no such\nfile\0"), Some(Packet::Error("no suchfile".to_owned())));
        assert_eq!(parse(b"\0\x06tsize\x0010\0BLKSIZE\x001024\0"), Some(Packet::OptionAck(Some(1024))));
        for agreed in [&b"\0\x06blksize\x00999999\0"[..], b"\0\x06blksize", b"\0\x06"] {
            assert_eq!(parse(agreed), Some(Packet::OptionAck(None)));
        }
        for other in [&b""[..], b"\0", b"\0\x03\0", b"\0\x05\0", b"\0\x01x\0octet\0"] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }
}
