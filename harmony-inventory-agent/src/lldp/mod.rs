//! LLDP: which switch port each NIC is plugged into, as the switch itself says.
//!
//! [`pdu`] reads what was heard, [`Heard`] remembers it per NIC until it expires, [`listen`] does the
//! listening. We never send: a machine that is being discovered has nothing to say yet.
//!
//! Some NICs (Intel X710 and kin) handle LLDP in their firmware and show the kernel none of it; then the
//! list stays empty however long we listen, which `lldp_listened_s` of the report makes visible.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use harmony_core::report::v1::LldpNeighbour;

use crate::root::Reason;

pub mod listen;
pub mod pdu;

use pdu::Lldpdu;

/// Neighbours kept per NIC. More than one is a hub, a forwarding bridge, or an attack.
const MAX_NEIGHBOURS: usize = 16;

/// NICs for which neighbours are kept.
const MAX_NICS: usize = harmony_core::report::limits::MAX_NICS;

/// What was heard so far, by interface index.
#[derive(Debug, Default)]
pub struct Heard {
    nics: BTreeMap<u32, Ear>,
}

/// One NIC that is listened on, or cannot be.
#[derive(Debug)]
struct Ear {
    since: Result<Instant, Reason>,
    neighbours: Vec<(Lldpdu, Instant)>,
}

impl Heard {
    /// Notes that a NIC is listened on from now, or why it cannot be. A NIC already listened on stays so.
    pub fn open(&mut self, nic: u32, since: Result<Instant, Reason>) {
        if let Some(ear) = self.nics.get_mut(&nic) {
            if ear.since.is_err() {
                ear.since = since;
            }
        } else if self.nics.len() < MAX_NICS {
            self.nics.insert(nic, Ear { since, neighbours: Vec::new() });
        }
    }

    /// Whether a NIC is listened on.
    #[must_use]
    pub fn is_open(&self, nic: u32) -> bool {
        self.nics.get(&nic).is_some_and(|ear| ear.since.is_ok())
    }

    /// Takes what was heard on a NIC. A time to live of zero takes the neighbour away.
    pub fn hear(&mut self, nic: u32, pdu: Lldpdu, now: Instant) {
        let Some(ear) = self.nics.get_mut(&nic) else { return };
        ear.neighbours.retain(|(known, heard)| !known.is_same_neighbour(&pdu) && !has_expired(known, *heard, now));
        if pdu.ttl_s > 0 && ear.neighbours.len() < MAX_NEIGHBOURS {
            ear.neighbours.push((pdu, now));
        }
    }

    /// For how long a NIC has been listened on, in seconds.
    pub(crate) fn listened_s(&self, nic: u32, now: Instant) -> Result<u64, Reason> {
        match self.nics.get(&nic).map(|ear| &ear.since) {
            Some(Ok(since)) => Ok(now.saturating_duration_since(*since).as_secs()),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(Reason::new("LLDP is not listened for")),
        }
    }

    /// The neighbours that hold, oldest first.
    pub(crate) fn neighbours(&self, nic: u32, now: Instant) -> Vec<LldpNeighbour> {
        let neighbours = self.nics.get(&nic).map(|ear| ear.neighbours.as_slice()).unwrap_or_default();
        let holding = neighbours.iter().filter(|(pdu, heard)| !has_expired(pdu, *heard, now));
        holding.map(|(pdu, heard)| pdu.report(now.saturating_duration_since(*heard).as_secs())).collect()
    }
}

fn has_expired(pdu: &Lldpdu, heard: Instant, now: Instant) -> bool {
    now.saturating_duration_since(heard) > Duration::from_secs(pdu.ttl_s.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pdu(port: u16, ttl: u8) -> Lldpdu {
        let [high, low] = port.to_be_bytes();
        Lldpdu::parse(&[2, 3, 7, b's', b'w', 4, 3, 7, high | 0x40, low | 0x40, 6, 2, 0, ttl, 0, 0]).expect("a PDU")
    }

    #[test]
    fn neighbours_hold_until_they_expire_or_leave() {
        let (mut heard, start) = (Heard::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        heard.hear(2, pdu(1, 120), start);
        assert!(heard.neighbours(2, start).is_empty(), "not listened on");
        heard.open(2, Ok(start));
        heard.hear(2, pdu(1, 120), start);
        heard.hear(2, pdu(2, 10), later(1));
        heard.hear(2, pdu(1, 120), later(5));
        assert_eq!(heard.listened_s(2, later(6)), Ok(6));
        let ages: Vec<u64> = heard.neighbours(2, later(6)).iter().map(|n| n.age_s).collect();
        assert_eq!(ages, [5, 1]);
        assert_eq!(heard.neighbours(2, later(12)).len(), 1, "the second has expired");
        heard.hear(2, pdu(1, 0), later(13));
        assert!(heard.neighbours(2, later(13)).is_empty(), "the first has left");
        assert!(heard.neighbours(3, later(13)).is_empty());
    }

    #[test]
    fn a_flood_is_bounded() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        heard.open(2, Ok(now));
        for port in 0..5000 {
            heard.hear(2, pdu(port, 120), now);
        }
        assert_eq!(heard.neighbours(2, now).len(), MAX_NEIGHBOURS);
    }

    #[test]
    fn the_reason_for_silence_is_kept_until_it_ends() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        assert!(heard.listened_s(2, now).is_err());
        heard.open(2, Err(Reason::new("not permitted")));
        assert_eq!(heard.listened_s(2, now), Err(Reason::new("not permitted")));
        heard.open(2, Ok(now));
        heard.open(2, Err(Reason::new("again")));
        assert!(heard.is_open(2));
    }
}
