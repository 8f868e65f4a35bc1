//! The MAC address table as `ovs-appctl fdb/show` prints it.
//!
//! Owns this text format. Ports are OpenFlow numbers in it. What was learnt on a bond is printed
//! with the number of any one of its members, so which member it came in by is not known; such
//! entries are left out rather than guessed. Source: Open vSwitch 3.1 `ofproto/ofproto-dpif.c`,
//! `ofproto_unixctl_fdb_show`.

use harmony_core::net::{MacAddress, VlanId};

use super::snapshot::Snapshot;

/// Entries above this many are not read; the default table of Open vSwitch holds 8192.
const MAX_ENTRIES: usize = 100_000;

/// A learnt address: MAC, interface, VLAN.
pub(super) type Learnt = (MacAddress, String, Option<VlanId>);

/// Addresses learnt on single interfaces, in the order printed. Static entries were set by a person
/// and prove no cable.
pub(super) fn parse(text: &str, bridge: &Snapshot) -> Vec<Learnt> {
    let single = bridge.ports.iter().filter(|port| !port.is_lag()).flat_map(|port| &port.members);
    let by_number: std::collections::BTreeMap<i64, &str> =
        single.filter_map(|member| member.ofport.filter(|n| *n > 0).map(|n| (n, member.name.as_str()))).collect();
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let interface = by_number.get(&words.next()?.parse().ok()?)?;
        let vlan: u16 = words.next()?.parse().ok()?;
        let mac: MacAddress = words.next()?.parse().ok()?;
        words.next()?.parse::<u32>().ok()?;
        Some((mac, (*interface).to_owned(), VlanId::try_from(vlan).ok()))
    };
    text.lines().filter_map(entry).take(MAX_ENTRIES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_table() {
        let rack = Snapshot::parse(include_bytes!("testdata/list-bridge-port-interface.jsonl")).expect("recorded");
        let table = parse(include_str!("testdata/fdb.txt"), &rack);
        // Three more lines were recorded: two learnt on a bond, and a static one.
        let vlan = VlanId::try_from(10).ok();
        assert_eq!(table, [("52:54:00:aa:bb:01".parse().expect("valid"), "sw2".to_owned(), vlan)]);
    }
}
