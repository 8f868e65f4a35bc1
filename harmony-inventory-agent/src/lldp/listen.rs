//! Listening for LLDP on every NIC, and bringing NICs up so that there is something to hear.
//!
//! One packet socket for all NICs: what it receives says on which one. It joins LLDP's multicast groups on
//! each, since NICs drop what nobody asked for. Nothing outlives the socket.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::socket::sockopt::SetStruct;
use nix::sys::socket::{LinkAddr, recvfrom, setsockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::Heard;
use super::pdu::{ETHER_TYPE, GROUPS, Lldpdu};
use crate::facts::nics;
use crate::netlink;
use crate::root::{Reason, Root};

/// How often NICs are looked for: drivers load late, cards are plugged in.
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
struct AddMembership;
nix::setsockopt_impl!(
    AddMembership,
    libc::SOL_PACKET,
    libc::PACKET_ADD_MEMBERSHIP,
    libc::packet_mreq,
    SetStruct<libc::packet_mreq>
);

/// What is heard, shared with those who report it.
pub type SharedHeard = Arc<Mutex<Heard>>;

/// Listens for ever. With `links_up` every NIC that is down is set up, which a live environment wants and
/// an installed machine does not.
pub async fn listen(root: Root, heard: SharedHeard, links_up: bool) {
    let socket = open();
    let mut timer = tokio::time::interval(LOOK_EVERY);
    loop {
        match &socket {
            Ok(socket) => tokio::select! {
                _ = timer.tick() => {}
                () = receive(socket, &heard) => continue,
            },
            Err(_) => {
                timer.tick().await;
            }
        }
        for nic in nics::indices(&root) {
            if lock(&heard).is_open(nic) {
                continue;
            }
            let joined = match &socket {
                Ok(socket) => join(socket, nic).map_err(|error| Reason::new(format!("joining LLDP's groups: {error}"))),
                Err(error) => Err(Reason::new(format!("opening a packet socket: {error}"))),
            };
            lock(&heard).open(nic, joined.map(|()| Instant::now()));
        }
        if links_up {
            bring_up(&root);
        }
    }
}

fn open() -> io::Result<AsyncFd<Socket>> {
    // The kernel wants the Ethernet type in network order.
    let protocol = Protocol::from(i32::from(ETHER_TYPE.to_be()));
    // DGRAM: the kernel takes the Ethernet header off.
    AsyncFd::new(Socket::new(Domain::PACKET, Type::DGRAM.nonblocking(), Some(protocol))?)
}

fn join(socket: &AsyncFd<Socket>, nic: u32) -> io::Result<()> {
    for [a, b, c, d, e, f] in GROUPS {
        let group = libc::packet_mreq {
            mr_ifindex: i32::try_from(nic).map_err(io::Error::other)?,
            mr_type: libc::PACKET_MR_MULTICAST as u16,
            mr_alen: 6,
            mr_address: [a, b, c, d, e, f, 0, 0],
        };
        setsockopt(socket.get_ref(), AddMembership, &group)?;
    }
    Ok(())
}

/// Takes what has arrived, then returns.
async fn receive(socket: &AsyncFd<Socket>, heard: &SharedHeard) {
    let Ok(mut ready) = socket.readable().await else { return };
    let mut frame = [0; 1600];
    // Bounded, so that a flood cannot keep us from answering.
    for _ in 0..64 {
        match ready.try_io(|socket| Ok(recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut frame)?)) {
            Ok(Ok((length, Some(from)))) if from.pkttype() != libc::PACKET_OUTGOING => {
                if let (Some(pdu), Ok(nic)) = (Lldpdu::parse(&frame[..length]), u32::try_from(from.ifindex())) {
                    lock(heard).hear(nic, pdu, Instant::now());
                }
            }
            Ok(Ok(_)) => {}
            // A NIC going down is reported here once, then the socket goes on.
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

fn bring_up(root: &Root) {
    let Ok(links) = netlink::links() else { return };
    let nics = nics::indices(root);
    for link in links.iter().filter(|link| !link.is_up && nics.contains(&link.index)) {
        if let Err(error) = netlink::set_up(link.index) {
            eprintln!("cannot bring up interface {}: {error}", link.index);
        }
    }
}

fn lock(heard: &SharedHeard) -> std::sync::MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
