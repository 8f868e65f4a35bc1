//! Listening for LLDP on every NIC, and bringing NICs up so that there is something to hear.
//!
//! One packet socket for all NICs: what it receives says on which one. It joins LLDP's multicast groups on
//! each, since NICs drop what nobody asked for. Nothing outlives the socket.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::socket::sockopt::{SetBool, SetStruct};
use nix::sys::socket::{LinkAddr, recvfrom, setsockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::Heard;
use super::pdu::{ETHER_TYPE, GROUPS, Lldpdu};
use crate::facts::nics;
use crate::log::say;
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

#[derive(Debug, Clone, Copy)]
struct OriginalDevice;
nix::setsockopt_impl!(OriginalDevice, libc::SOL_PACKET, libc::PACKET_ORIGDEV, bool, SetBool);

/// What is heard, shared with those who report it.
pub type SharedHeard = Arc<Mutex<Heard>>;

/// Listens for ever: wants a thread of its own. With `links_up` every NIC that is down is set up, which a
/// live environment wants and an installed machine does not.
pub fn listen(root: &Root, heard: &SharedHeard, links_up: bool) {
    let socket = open();
    loop {
        look(root, heard, &socket);
        if links_up {
            bring_up(root);
        }
        match &socket {
            Ok(socket) => receive(socket, heard, Instant::now() + LOOK_EVERY),
            Err(_) => thread::sleep(LOOK_EVERY),
        }
    }
}

fn open() -> io::Result<Socket> {
    // The kernel wants the Ethernet type in network order.
    let protocol = Protocol::from(i32::from(ETHER_TYPE.to_be()));
    // DGRAM: the kernel takes the Ethernet header off.
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
    // What arrives at the active member of a bond would else be said to come from the bond.
    setsockopt(&socket, OriginalDevice, &true)?;
    socket.set_read_timeout(Some(LOOK_EVERY))?;
    Ok(socket)
}

/// Joins LLDP's groups on NICs that are new.
fn look(root: &Root, heard: &SharedHeard, socket: &io::Result<Socket>) {
    for nic in nics::indices(root) {
        if lock(heard).is_open(nic) {
            continue;
        }
        let joined = match socket {
            Ok(socket) => join(socket, nic).map_err(|error| Reason::new(format!("joining LLDP's groups: {error}"))),
            Err(error) => Err(Reason::new(format!("opening a packet socket: {error}"))),
        };
        lock(heard).open(nic, joined.map(|()| Instant::now()));
    }
}

fn join(socket: &Socket, nic: u32) -> io::Result<()> {
    for [a, b, c, d, e, f] in GROUPS {
        let group = libc::packet_mreq {
            mr_ifindex: i32::try_from(nic).map_err(io::Error::other)?,
            mr_type: libc::PACKET_MR_MULTICAST as u16,
            mr_alen: 6,
            mr_address: [a, b, c, d, e, f, 0, 0],
        };
        setsockopt(socket, AddMembership, &group)?;
    }
    Ok(())
}

/// Takes what arrives until `end`.
fn receive(socket: &Socket, heard: &SharedHeard, end: Instant) {
    let mut frame = [0; 1600];
    while Instant::now() < end {
        match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut frame) {
            Ok((length, Some(from))) if from.pkttype() != libc::PACKET_OUTGOING => {
                if let (Some(pdu), Ok(nic)) = (Lldpdu::parse(&frame[..length]), u32::try_from(from.ifindex())) {
                    lock(heard).hear(nic, pdu, Instant::now());
                }
            }
            Ok(_) => {}
            // The time-out; or a NIC went down, which is said here once.
            Err(_) => return,
        }
    }
}

fn bring_up(root: &Root) {
    let Ok(links) = netlink::links() else { return };
    let nics = nics::indices(root);
    for link in links.iter().filter(|link| !link.is_up && nics.contains(&link.index)) {
        if let Err(error) = netlink::set_up(link.index) {
            say(format_args!("cannot bring up interface {}: {error}", link.index));
        }
    }
}

fn lock(heard: &SharedHeard) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
