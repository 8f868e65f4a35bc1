//! A prefix of the loopback network that is ours alone while we hold it.
//!
//! Linux answers on all of 127.0.0.0/8 without any address being set up, for anybody and within this machine only.
//! So every wire has a /16 of its own, and each simulated device an address of its own in it. A wire that finds
//! another's prefix taken takes the next. Source: RFC 1122 section 3.2.1.3 (g).

use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};

use harmony_core::capability::AddressRange;
use harmony_core::report::AGENT_PORT;

use crate::spec::WorldSpec;

/// Second octets that are tried: what people use themselves begins with 127.0 or 127.1.
const PREFIXES: std::ops::RangeInclusive<u8> = 64..=254;
/// Where the claim to a prefix listens, and nobody is ever answered: its last address, on a port of no service.
const CLAIM: (u8, u8, u16) = (255, 254, 1999);
/// Length of the prefix, in bits.
const LENGTH: u8 = 16;

/// Why there is no prefix to be had.
#[derive(Debug, thiserror::Error)]
pub enum LoopbackError {
    /// All are taken.
    #[error("no prefix of the loopback network is free, of {} that were tried", PREFIXES.len())]
    None(#[source] io::Error),
    /// Something listens on all addresses of this machine, so also on those of the simulated devices.
    #[error("port {port} is taken on all addresses of this machine")]
    Port {
        /// The port that a simulated host needs.
        port: u16,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// A claimed prefix. It is free for others when this is dropped.
#[derive(Debug)]
pub struct Loopback {
    second: u8,
    _claim: TcpListener,
}

impl Loopback {
    /// Claims the first prefix that is free.
    ///
    /// # Errors
    /// If none is, or another program listens on the agents' port on all addresses.
    pub fn claim() -> Result<Self, LoopbackError> {
        let mut failed = io::Error::from(io::ErrorKind::AddrInUse);
        for second in PREFIXES {
            match TcpListener::bind((Ipv4Addr::new(127, second, CLAIM.0, CLAIM.1), CLAIM.2)) {
                Ok(claim) => {
                    let loopback = Self { second, _claim: claim };
                    let agent = (loopback.at(CLAIM.0, CLAIM.1), AGENT_PORT);
                    let port = |source| LoopbackError::Port { port: AGENT_PORT, source };
                    TcpListener::bind(agent).map_err(port)?;
                    return Ok(loopback);
                }
                Err(error) => failed = error,
            }
        }
        Err(LoopbackError::None(failed))
    }

    /// The same world with its provisioning network in this prefix: the first 16 bits of every address are
    /// replaced.
    #[must_use]
    pub fn place(&self, mut spec: WorldSpec) -> WorldSpec {
        let range = |range: AddressRange| AddressRange { first: self.moved(range.first), last: self.moved(range.last) };
        spec.address = self.moved(spec.address);
        spec.prefix = (self.moved(spec.prefix.0), spec.prefix.1.max(LENGTH));
        (spec.pool, spec.reserved) = (range(spec.pool), range(spec.reserved));
        spec
    }

    /// Whether an address is in the prefix.
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(v4) if v4.octets()[..2] == [127, self.second])
    }

    /// The address of this device of ours, counted from 0: the upper half of the prefix, without its last 512.
    pub(super) fn device(&self, number: usize) -> Option<IpAddr> {
        let number = u16::try_from(number).ok().filter(|number| *number < 0x7e00)?;
        let [high, low] = (0x8000 + number).to_be_bytes();
        Some(self.at(high, low))
    }

    fn at(&self, third: u8, fourth: u8) -> IpAddr {
        Ipv4Addr::new(127, self.second, third, fourth).into()
    }

    fn moved(&self, address: Ipv4Addr) -> Ipv4Addr {
        let [_, _, third, fourth] = address.octets();
        Ipv4Addr::new(127, self.second, third, fourth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_gets_a_claimed_prefix() {
        let (a, b) = (Loopback::claim().expect("free"), Loopback::claim().expect("free"));
        assert_ne!(a.second, b.second);
        assert!(TcpListener::bind((a.at(CLAIM.0, CLAIM.1), CLAIM.2)).is_err());
    }

    #[test]
    fn a_world_is_moved_whole() {
        let loopback = Loopback::claim().expect("free");
        let spec = loopback.place(WorldSpec::rack(1, 2));
        let two = [127, loopback.second];
        for address in [spec.address, spec.prefix.0, spec.pool.first, spec.pool.last, spec.reserved.last] {
            assert_eq!(address.octets()[..2], two);
        }
        assert_eq!((spec.address.octets()[2..].to_vec(), spec.prefix.1), (vec![0, 1], 16));
        assert!(!loopback.holds([10, 10, 0, 1].into()) && loopback.holds(spec.address.into()));
    }

    #[test]
    fn devices_have_addresses_of_their_own() {
        let loopback = Loopback::claim().expect("free");
        let of = |number| loopback.device(number).map(|address| address.to_string());
        assert_eq!(of(0), Some(format!("127.{}.128.0", loopback.second)));
        assert_eq!(of(0x7dff), Some(format!("127.{}.253.255", loopback.second)));
        assert_eq!(of(0x7e00), None);
    }
}
