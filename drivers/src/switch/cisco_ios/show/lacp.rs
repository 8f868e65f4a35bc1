//! `show lacp internal`, `show lacp neighbor` and `show lacp sys-id`: the state of LACP.
//!
//! A port counts as synchronised, collecting or distributing only while what it knows of its partner
//! is current. Source: IEEE 802.1AX-2014 section 6.4.2.3 (bits of the state); Cisco IOS Interface
//! Command Reference, "show lacp".

use std::collections::BTreeMap;

use harmony_core::net::MacAddress;

use super::super::interface::Interface;

const SYNCHRONISATION: u8 = 1 << 3;
const COLLECTING: u8 = 1 << 4;
const DISTRIBUTING: u8 = 1 << 5;
const DEFAULTED: u8 = 1 << 6;
const EXPIRED: u8 = 1 << 7;

/// The own end of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Actor {
    state: u8,
    is_bundled: bool,
}

impl Actor {
    fn has(self, bit: u8) -> bool {
        self.is_bundled && self.is_current() && self.state & bit != 0
    }

    /// Whether what it knows of its partner was told by it, and lately.
    pub(in super::super) fn is_current(self) -> bool {
        self.state & (DEFAULTED | EXPIRED) == 0
    }

    pub(in super::super) fn is_synchronised(self) -> bool {
        self.has(SYNCHRONISATION)
    }

    pub(in super::super) fn is_collecting(self) -> bool {
        self.has(COLLECTING)
    }

    pub(in super::super) fn is_distributing(self) -> bool {
        self.has(DISTRIBUTING)
    }
}

/// `show lacp internal`, by port.
pub(in super::super) fn internal(lines: &[String]) -> BTreeMap<Interface, Actor> {
    let entry = |line: &String| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [port, _flags, state, .., bits] = words[..] else { return None };
        let state_bits = u8::from_str_radix(bits.strip_prefix("0x")?, 16).ok()?;
        Some((Interface::parse(port)?, Actor { state: state_bits, is_bundled: state == "bndl" }))
    };
    lines.iter().filter_map(entry).take(super::MAX_ENTRIES).collect()
}

/// `show lacp neighbor`: the partner's system id, by port.
pub(in super::super) fn neighbours(lines: &[String]) -> BTreeMap<Interface, MacAddress> {
    let entry = |line: &String| {
        let mut words = line.split_whitespace();
        let port = Interface::parse(words.next()?)?;
        Some((port, words.find_map(system)?))
    };
    lines.iter().filter_map(entry).take(super::MAX_ENTRIES).collect()
}

/// `show lacp sys-id`: the own system id.
pub(in super::super) fn system_id(lines: &[String]) -> Option<MacAddress> {
    lines.iter().find_map(|line| line.split_whitespace().find_map(system))
}

/// `0123.4567.89ab`, or with the priority before it: `32768,0123.4567.89ab`. Zeros mean nobody.
fn system(word: &str) -> Option<MacAddress> {
    let mac = word.rsplit(',').next()?;
    mac.parse::<MacAddress>().ok().filter(|mac| mac.is_unicast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_port_is_bundled_and_one_alone() {
        let actors = internal(&super::super::lines(include_str!("../testdata/lacp_internal.txt")));
        let state = |name: &str| {
            let actor = actors[&Interface::parse(name).expect("a name")];
            (actor.is_synchronised(), actor.is_collecting(), actor.is_distributing(), actor.is_current())
        };
        assert_eq!(actors.len(), 4);
        assert_eq!(state("Gi1/0/1"), (true, true, true, true));
        assert_eq!(state("Gi1/0/2"), (false, false, false, false), "suspended, its partner is not heard");
        assert_eq!(state("Gi1/0/3"), (true, true, false, true), "bundled, not yet distributing");
        assert_eq!(state("Gi1/0/4"), (false, false, false, true), "not in the bundle whatever its bits say");
    }

    #[test]
    fn partners_in_both_formats() {
        let partners = neighbours(&super::super::lines(include_str!("../testdata/lacp_neighbor.txt")));
        let of = |name: &str| partners.get(&Interface::parse(name).expect("a name")).map(ToString::to_string);
        assert_eq!(of("Gi1/0/1").as_deref(), Some("52:54:00:00:01:01"));
        assert_eq!(of("Gi1/0/2"), None, "zeros are nobody");
        assert_eq!(of("Gi1/0/3").as_deref(), Some("52:54:00:00:01:02"), "as older images print it");
    }

    #[test]
    fn the_own_system() {
        for text in ["32768, 025a.0000.0001", "32768,025a.0000.0001", "\n32768, 02:5a:00:00:00:01"] {
            assert_eq!(
                system_id(&super::super::lines(text)).map(|mac| mac.to_string()).as_deref(),
                Some("02:5a:00:00:00:01")
            );
        }
        assert_eq!(system_id(&super::super::lines("% Invalid input")), None);
    }
}
