//! What the Linux bonding driver says of a bond: `/proc/net/bonding/<name>`.
//!
//! Source: Linux `drivers/net/bonding/bond_procfs.c`; port state bits: IEEE 802.1AX-2014
//! section 6.4.2.3 (bit 0 activity … 3 synchronization, 4 collecting, 5 distributing).

use serde::{Deserialize, Serialize};

use crate::net::MacAddress;

const SYNCHRONISED: u16 = 1 << 3;
const COLLECTING: u16 = 1 << 4;
const DISTRIBUTING: u16 = 1 << 5;
/// A bond has few members; a host that prints thousands is not believed.
const MAX_MEMBERS: usize = 64;

/// The host's end of a bond.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BondReading {
    /// `IEEE 802.3ad Dynamic link aggregation` and nothing else is LACP.
    pub is_lacp: bool,
    /// The system id that it announces, where it says so (needs root).
    pub system: Option<MacAddress>,
    /// Its members.
    pub members: Vec<BondMember>,
}

/// One NIC in a bond.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BondMember {
    /// Interface name.
    pub name: String,
    /// Permanent MAC.
    pub mac: Option<MacAddress>,
    /// MII status is up.
    pub link_up: bool,
    /// Members of one aggregator forward together.
    pub aggregator: Option<u32>,
    /// System id of the LACP partner; absent or zero means no partner.
    pub partner: Option<MacAddress>,
    /// Own port state, where it says so.
    pub actor_state: Option<u16>,
    /// The partner's port state, where it says so.
    pub partner_state: Option<u16>,
}

impl BondMember {
    /// Whether both ends forward on this link.
    #[must_use]
    pub fn is_negotiated(&self) -> bool {
        let forwards = |state: Option<u16>| {
            let wanted = SYNCHRONISED | COLLECTING | DISTRIBUTING;
            state.is_some_and(|bits| bits & wanted == wanted)
        };
        self.link_up
            && self.partner.is_some_and(MacAddress::is_unicast)
            && forwards(self.actor_state)
            && forwards(self.partner_state)
    }
}

impl BondReading {
    /// Reads the file's text. Lines that are not understood are passed over; what is missing is absent.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut bond = Self::default();
        let mut details = "";
        for line in text.lines().take(MAX_MEMBERS * 64) {
            let Some((key, value)) = line.trim().split_once(':').map(|(k, v)| (k.trim(), v.trim())) else { continue };
            if key == "Slave Interface" {
                if bond.members.len() == MAX_MEMBERS {
                    break;
                }
                bond.members.push(BondMember {
                    name: value.chars().take(64).collect(),
                    mac: None,
                    link_up: false,
                    aggregator: None,
                    partner: None,
                    actor_state: None,
                    partner_state: None,
                });
                details = "";
                continue;
            }
            if key.starts_with("details ") {
                details = key;
            }
            let Some(member) = bond.members.last_mut() else {
                match key {
                    "Bonding Mode" => bond.is_lacp = value.starts_with("IEEE 802.3ad"),
                    "System MAC address" => bond.system = value.parse().ok(),
                    _ => {}
                }
                continue;
            };
            match (details, key) {
                (_, "MII Status") => member.link_up = value == "up",
                (_, "Permanent HW addr") => member.mac = value.parse().ok(),
                (_, "Aggregator ID") => member.aggregator = value.parse().ok(),
                ("details actor lacp pdu", "port state") => member.actor_state = value.parse().ok(),
                ("details partner lacp pdu", "port state") => member.partner_state = value.parse().ok(),
                ("details partner lacp pdu", "system mac address") => member.partner = value.parse().ok(),
                _ => {}
            }
        }
        bond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEGOTIATED: &str = include_str!("testdata/bond0-negotiated.txt");

    #[test]
    fn reads_a_negotiated_bond() {
        let bond = BondReading::parse(NEGOTIATED);
        assert!(bond.is_lacp);
        assert_eq!(bond.members.len(), 2);
        assert!(bond.members.iter().all(BondMember::is_negotiated), "{bond:?}");
        assert_eq!(bond.members[0].aggregator, bond.members[1].aggregator);
        assert_eq!(bond.members[1].mac, "52:54:00:00:00:02".parse().ok());
    }

    #[test]
    fn a_bond_without_partner_is_not_negotiated() {
        let alone = NEGOTIATED.replace("a6:b4:6e:e6:5b:47", "00:00:00:00:00:00");
        assert!(BondReading::parse(&alone).members.iter().all(|m| !m.is_negotiated()));
        let waiting = NEGOTIATED.replace("port state: 63", "port state: 69");
        assert!(BondReading::parse(&waiting).members.iter().all(|m| !m.is_negotiated()));
    }

    #[test]
    fn nonsense_yields_nothing() {
        assert_eq!(BondReading::parse("cat: No such file"), BondReading::default());
        let flood = "Slave Interface: x\n".repeat(100_000);
        assert_eq!(BondReading::parse(&flood).members.len(), MAX_MEMBERS);
    }
}
