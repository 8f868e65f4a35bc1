//! Asking the kernel about links and addresses, and bringing links up: the little of rtnetlink needed.
//!
//! Own code and not the `rtnetlink` crate, because three messages do not pay for half a megabyte in the
//! agent. Only the live kernel is asked, but its answers are read as carefully as a stranger's.
//!
//! Source: RFC 3549; Linux `include/uapi/linux/{netlink,rtnetlink,if_link,if_addr}.h`.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// `IFLA_PERM_ADDRESS`, since Linux 5.6.
const IFLA_PERM_ADDRESS: u16 = 54;

/// Links and addresses kept of a dump.
const MAX_OBJECTS: usize = 4096;

/// What is read of one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) is_up: bool,
    pub(crate) permanent_mac: Option<[u8; 6]>,
}

/// One address of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkAddress {
    pub(crate) index: u32,
    pub(crate) address: IpAddr,
    pub(crate) prefix_len: u8,
}

/// All links of our network namespace.
pub(crate) fn links() -> io::Result<Vec<Link>> {
    // `struct ifinfomsg`, 16 bytes: any family, any link.
    dump(libc::RTM_GETLINK, &[0; 16], libc::RTM_NEWLINK, parse_link)
}

/// All addresses of our network namespace.
pub(crate) fn addresses() -> io::Result<Vec<LinkAddress>> {
    // `struct ifaddrmsg`, 8 bytes: any family, any link.
    dump(libc::RTM_GETADDR, &[0; 8], libc::RTM_NEWADDR, parse_address)
}

/// Sets a link administratively up.
pub(crate) fn set_up(index: u32) -> io::Result<()> {
    let up = (libc::IFF_UP as u32).to_ne_bytes();
    let mut body = [0; 16];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    // `ifi_flags` and `ifi_change`: this flag and no other.
    body[8..12].copy_from_slice(&up);
    body[12..16].copy_from_slice(&up);
    let socket = request(libc::RTM_NEWLINK, (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16, &body)?;
    let mut buffer = [0; 1024];
    let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
    match messages(&buffer[..length]).next() {
        Some((kind, body)) if kind == libc::NLMSG_ERROR as u16 => acknowledged(body),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn dump<T>(ask: u16, body: &[u8], wanted: u16, parse: fn(&[u8]) -> Option<T>) -> io::Result<Vec<T>> {
    let socket = request(ask, (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16, body)?;
    let mut found = Vec::new();
    // The kernel never fills more than 32 KiB, and a dump message of ours is far below 16 KiB.
    let mut buffer = vec![0; 32 << 10];
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        for (kind, body) in messages(&buffer[..length]) {
            if kind == libc::NLMSG_DONE as u16 {
                return Ok(found);
            }
            if kind == libc::NLMSG_ERROR as u16 {
                acknowledged(body)?;
                return Ok(found);
            }
            if kind == wanted && found.len() < MAX_OBJECTS {
                found.extend(parse(body));
            }
        }
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn request(kind: u16, flags: u16, body: &[u8]) -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    // `struct nlmsghdr`: length, type, flags, sequence, port.
    let mut message = Vec::with_capacity(16 + body.len());
    message.extend(((16 + body.len()) as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([1_u32, 0].map(u32::to_ne_bytes).concat());
    message.extend(body);
    send(socket.as_raw_fd(), &message, MsgFlags::empty())?;
    Ok(socket)
}

/// `struct nlmsgerr` starts with a negative error number, 0 for success.
fn acknowledged(body: &[u8]) -> io::Result<()> {
    match word(body, 0).map(|error| error as i32) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(error.saturating_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Type and body of each message.
fn messages(rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    records(rest, |header| {
        let length = word(header, 0)? as usize;
        Some((length, half(header, 4)?, 16))
    })
}

/// Type and value of each attribute (`struct rtattr`).
fn attributes(rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    records(rest, |header| Some((half(header, 0)?.into(), half(header, 2)?, 4)))
}

/// Length-prefixed records, each padded to four bytes. `header` tells length, type, header size.
fn records(
    mut rest: &[u8],
    header: impl Fn(&[u8]) -> Option<(usize, u16, usize)>,
) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (length, kind, skip) = header(rest)?;
        let body = rest.get(skip..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

fn parse_link(body: &[u8]) -> Option<Link> {
    let permanent = attributes(body.get(16..)?).find(|(kind, _)| *kind == IFLA_PERM_ADDRESS);
    Some(Link {
        index: word(body, 4)?,
        is_up: word(body, 8)? & libc::IFF_UP as u32 != 0,
        permanent_mac: permanent.and_then(|(_, mac)| mac.try_into().ok()),
    })
}

fn parse_address(body: &[u8]) -> Option<LinkAddress> {
    let mut address = None;
    for (kind, value) in attributes(body.get(8..)?) {
        // IFA_LOCAL is our own end of a point-to-point link, IFA_ADDRESS the other: prefer the former.
        if kind == libc::IFA_LOCAL || (kind == libc::IFA_ADDRESS && address.is_none()) {
            address = ip(value).or(address);
        }
    }
    Some(LinkAddress { index: word(body, 4)?, address: address?, prefix_len: *body.get(1)? })
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
        _ => None,
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = [(4 + value.len() as u16).to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn reads_a_link() {
        let mut body = vec![0; 16];
        body[4] = 7;
        body[8] = 1;
        body.extend(attribute(3, b"eth0\0"));
        body.extend(attribute(IFLA_PERM_ADDRESS, &[2, 0, 0, 0, 0, 9]));
        let link = Link { index: 7, is_up: true, permanent_mac: Some([2, 0, 0, 0, 0, 9]) };
        assert_eq!(parse_link(&body), Some(link));
    }

    #[test]
    fn reads_our_end_of_an_address() {
        let mut body = vec![2, 24, 0, 0, 7, 0, 0, 0];
        body.extend(attribute(libc::IFA_ADDRESS, &[10, 0, 0, 1]));
        body.extend(attribute(libc::IFA_LOCAL, &[10, 0, 0, 2]));
        let address = LinkAddress { index: 7, address: [10, 0, 0, 2].into(), prefix_len: 24 };
        assert_eq!(parse_address(&body), Some(address));
    }

    #[test]
    fn the_kernel_tells_of_the_loopback() {
        let links = links().expect("links");
        assert!(links.iter().any(|link| link.index == 1), "{links:?}");
        for address in addresses().expect("addresses") {
            assert!(links.iter().any(|link| link.index == address.index), "{address:?}");
        }
    }

    #[test]
    fn a_link_that_is_not_there_cannot_be_brought_up() {
        let error = set_up(u32::MAX >> 1).expect_err("must fail");
        assert!(matches!(error.raw_os_error(), Some(libc::ENODEV | libc::EPERM)), "{error}");
    }

    proptest! {
        #[test]
        fn never_panics_and_ends(bytes: Vec<u8>) {
            for (_, body) in messages(&bytes) {
                let _ = (parse_link(body), parse_address(body));
            }
            let _ = (attributes(&bytes).count(), acknowledged(&bytes));
        }
    }
}
