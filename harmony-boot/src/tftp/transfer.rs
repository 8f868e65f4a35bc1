//! One file to one client: windows of blocks, sent again until they are acknowledged.
//!
//! An acknowledgement of what was acknowledged before is passed over: answering it would double
//! every block from then on (the sorcerer's apprentice; RFC 1123 section 4.2.3.1).

use std::collections::VecDeque;
use std::time::Duration;

use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::packet::{Packet, ReadRequest, Settings, data, option_ack};
use crate::files::{Contents, Served};

/// How often the same is sent before the client is taken for gone.
const ATTEMPTS: u32 = 6;

/// Why a file did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransferError {
    #[error("the client gave up")]
    GivenUp,
    #[error("the client does not answer")]
    Silent,
    #[error("the file or the network failed: {0}")]
    Io(#[from] std::io::Error),
}

/// Sends the file over a socket that is connected to the client, until its last block is acknowledged.
pub(super) async fn send(
    socket: &UdpSocket,
    request: &ReadRequest,
    served: Served,
    retransmit: Duration,
) -> Result<(), TransferError> {
    let (settings, agreed) = request.settle(served.size_bytes);
    let mut peer = Peer { socket, wait: settings.timeout.unwrap_or(retransmit), acked: 0 };
    if !agreed.is_empty() {
        let options = [option_ack(&agreed)];
        peer.deliver(options.iter(), |block| block == 0).await?;
    }
    let mut blocks =
        Blocks { contents: BufReader::with_capacity(64 << 10, served.contents), settings, next: 1, ended: false };
    let mut window = VecDeque::new();
    loop {
        while window.len() < settings.window
            && let Some(block) = blocks.next().await?
        {
            window.push_back(block);
        }
        if window.is_empty() {
            return Ok(());
        }
        let in_window = window.len();
        let acked = peer.acked;
        let block = peer
            .deliver(window.iter(), |block| (1..=in_window).contains(&usize::from(block.wrapping_sub(acked))))
            .await?;
        window.drain(..usize::from(block.wrapping_sub(acked)));
        peer.acked = block;
    }
}

/// The other end.
struct Peer<'a> {
    socket: &'a UdpSocket,
    wait: Duration,
    /// Number of the last block that it has, modulo 2^16.
    acked: u16,
}

impl Peer<'_> {
    /// Sends the packets, again and again, until an acknowledgement is one that is waited for.
    async fn deliver<'p>(
        &self,
        packets: impl Iterator<Item = &'p Vec<u8>> + Clone,
        is_awaited: impl Fn(u16) -> bool,
    ) -> Result<u16, TransferError> {
        for _ in 0..ATTEMPTS {
            for packet in packets.clone() {
                self.socket.send(packet).await?;
            }
            let deadline = Instant::now() + self.wait;
            let mut datagram = [0; 512];
            while let Ok(received) = timeout_at(deadline, self.socket.recv(&mut datagram)).await {
                match Packet::parse(&datagram[..received?]) {
                    Packet::Ack(block) if is_awaited(block) => return Ok(block),
                    Packet::Error => return Err(TransferError::GivenUp),
                    _ => {}
                }
            }
        }
        Err(TransferError::Silent)
    }
}

/// A file in blocks, ready to be sent. The last one is shorter than the others, or empty.
struct Blocks {
    contents: BufReader<Box<dyn Contents>>,
    settings: Settings,
    /// Number of the next block, modulo 2^16: it starts over at 0, as all clients expect.
    next: u16,
    ended: bool,
}

impl Blocks {
    async fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        if self.ended {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(self.settings.block_bytes);
        (&mut self.contents).take(self.settings.block_bytes as u64).read_to_end(&mut bytes).await?;
        self.ended = bytes.len() < self.settings.block_bytes;
        let packet = data(self.next, &bytes);
        self.next = self.next.wrapping_add(1);
        Ok(Some(packet))
    }
}
