//! `/proc/net/bonding/<name>` as Linux writes it, for root.
//!
//! Source: Linux `drivers/net/bonding/bond_procfs.c`; port states: IEEE 802.1AX-2014 section 6.4.2.3,
//! as Linux has them with and without partner (`bond_3ad.c`, `ad_initialize_port`).

use std::fmt::Write as _;
use std::time::Duration;

use harmony_core::net::{LagName, MacAddress};

use super::Bond;
use crate::switch::SPEED_MBPS;
use crate::world::State;

/// Activity, timeout, aggregation, synchronisation, collecting, distributing.
const NEGOTIATED: u8 = 0x3f;
/// Without partner, the one link that is used: no collecting or distributing, but defaulted.
const ALONE_ACTIVE: u8 = 0x4f;
/// Without partner, any other link.
const ALONE: u8 = 0x47;
/// What Linux assumes of a partner that it never heard.
const DEFAULT_PARTNER: u8 = 1;

/// The file's text for a bond of a machine.
pub(crate) fn proc_text(state: &State, id: usize, bond: &Bond, now: Duration) -> String {
    let machine = &state.machines[id];
    let partners: Vec<Option<(MacAddress, LagName)>> =
        bond.members.iter().map(|nic| state.host_partner(id, *nic, now)).collect();
    let aggregators = aggregators(&partners);
    let active = partners.iter().position(Option::is_some).or((!partners.is_empty()).then_some(0));
    let aggregator = active.map_or(0, |at| aggregators[at]);
    let ports = aggregators.iter().filter(|of| **of == aggregator).count();
    let partner = active.and_then(|at| partners[at].as_ref()).map_or(MacAddress::new([0; 6]), |(mac, _)| *mac);
    let up = if active.is_some() { "up" } else { "down" };
    let mut text = format!(
        "Ethernet Channel Bonding Driver: v5.14.0-sim\n\n\
         Bonding Mode: IEEE 802.3ad Dynamic link aggregation\n\
         Transmit Hash Policy: layer2+3 (2)\nMII Status: {up}\nMII Polling Interval (ms): 100\n\
         Up Delay (ms): 0\nDown Delay (ms): 0\nPeer Notification Delay (ms): 0\n\n\
         802.3ad info\nLACP active: on\nLACP rate: fast\nMin links: 0\nAggregator selection policy (ad_select): stable\n\
         System priority: 65535\nSystem MAC address: {}\nActive Aggregator Info:\n\
         \tAggregator ID: {aggregator}\n\tNumber of ports: {ports}\n\tActor Key: 9\n\tPartner Key: 1\n\
         \tPartner Mac Address: {partner}\n",
        bond.mac
    );
    for (at, (nic, partner)) in bond.members.iter().zip(&partners).enumerate() {
        let nic = &machine.nics[*nic];
        let link = if nic.port.is_some() { "up" } else { "down" };
        let churn = if partner.is_some() { "none" } else { "churned" };
        let (actor, partner_state, partner_priority, port_priority) = match partner {
            Some(_) => (NEGOTIATED, NEGOTIATED, 65534, 65535),
            None if Some(at) == active => (ALONE_ACTIVE, DEFAULT_PARTNER, 65535, 255),
            None => (ALONE, DEFAULT_PARTNER, 65535, 255),
        };
        let partner = partner.as_ref().map_or(MacAddress::new([0; 6]), |(mac, _)| *mac);
        let number = at + 1;
        let _ = write!(
            text,
            "\nSlave Interface: {name}\nMII Status: {link}\nSpeed: {SPEED_MBPS} Mbps\nDuplex: full\nLink Failure Count: 0\n\
             Permanent HW addr: {mac}\nSlave queue ID: 0\nAggregator ID: {of}\nActor Churn State: none\n\
             Partner Churn State: {churn}\nActor Churned Count: 0\nPartner Churned Count: 0\n\
             details actor lacp pdu:\n    system priority: 65535\n    system mac address: {system}\n    port key: 9\n\
             \x20   port priority: 255\n    port number: {number}\n    port state: {actor}\n\
             details partner lacp pdu:\n    system priority: {partner_priority}\n    system mac address: {partner}\n\
             \x20   oper key: 1\n    port priority: {port_priority}\n    port number: {number}\n    port state: {partner_state}\n",
            name = nic.name,
            mac = nic.mac,
            of = aggregators[at],
            system = bond.mac,
        );
    }
    text
}

/// Numbers from 1: links with the same partner and LAG are one aggregator, others one each.
fn aggregators(partners: &[Option<(MacAddress, LagName)>]) -> Vec<usize> {
    let first = |at: usize| partners[..at].iter().position(|other| other.is_some() && *other == partners[at]);
    (0..partners.len()).map(|at| first(at).unwrap_or(at) + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_with_one_partner_are_one_aggregator() {
        let to = |mac: u8, lag: &str| Some((MacAddress::new([2, 0, 0, 0, 0, mac]), lag.parse().expect("valid")));
        assert_eq!(aggregators(&[None, None]), [1, 2]);
        assert_eq!(aggregators(&[to(1, "a"), to(1, "a")]), [1, 1]);
        assert_eq!(aggregators(&[to(1, "a"), to(1, "b"), to(1, "a"), None]), [1, 2, 1, 4]);
    }
}
