//! `show mac address-table`, in the formats of all families.

use std::collections::BTreeSet;

use harmony_core::net::{MacAddress, VlanId};

use super::super::interface::Interface;

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Row {
    pub(in super::super) mac: MacAddress,
    /// A number, or `All`.
    pub(in super::super) vlan: String,
    /// `dynamic`, `static`, …, in the device's own case.
    pub(in super::super) kind: String,
    /// The last word: a port, several of them, `CPU`, `Router`.
    pub(in super::super) port: String,
}

/// All lines, in the order printed.
pub(in super::super) fn parse(lines: &[String]) -> Vec<Row> {
    lines.iter().filter_map(|line| row(line)).take(super::MAX_ENTRIES).collect()
}

fn row(line: &str) -> Option<Row> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().take(4).position(|word| word.contains('.') && word.parse::<MacAddress>().is_ok())?;
    let mac = words[at].parse().ok()?;
    // Address, type, VLAN, port on the oldest; flags, VLAN, address, type … port on all others.
    let (vlan, kind) = if at == 0 { (words.get(2)?, words.get(1)?) } else { (&words[at - 1], words.get(at + 1)?) };
    let port = words.get(at + 2..)?.last()?;
    Some(Row { mac, vlan: (*vlan).to_owned(), kind: (*kind).to_owned(), port: (*port).to_owned() })
}

/// Addresses that were learnt on a single interface, none twice: a chassis prints each line card's table.
pub(in super::super) fn learnt(rows: &[Row]) -> Vec<(MacAddress, Interface, Option<VlanId>)> {
    let mut seen = BTreeSet::new();
    let entry = |row: &Row| {
        let vlan = row.vlan.parse::<u16>().ok().and_then(|vlan| VlanId::try_from(vlan).ok());
        let entry = (row.mac, Interface::parse(&row.port)?, vlan);
        (row.kind.eq_ignore_ascii_case("dynamic") && row.mac.is_unicast() && seen.insert(entry.clone()))
            .then_some(entry)
    };
    rows.iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_learnt_proves_a_cable() {
        let text = "          Mac Address Table\nVlan    Mac Address       Type        Ports\n\
                    ----    -----------       --------    -----\n All    0100.0ccc.cccc    STATIC      CPU\n  \
                    10    5254.0001.0203    DYNAMIC     Gi1/0/1\n  10    5254.0001.0203    DYNAMIC     Gi1/0/1\n  \
                    10    5254.0001.0204    STATIC      Gi1/0/2\nTotal Mac Addresses for this criterion: 4\n";
        let rows = parse(&super::super::lines(text));
        assert_eq!(rows.len(), 4);
        let seen: Vec<_> = learnt(&rows).iter().map(|(mac, port, _)| format!("{mac} {port}")).collect();
        assert_eq!(seen, ["52:54:00:01:02:03 Gi1/0/1"]);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "([*R ]{0,3}[0-9]{0,4} ?5254\\.0001\\.020[0-9] ?[a-zA-Z ]{0,12}(Gi1/0/[0-9])?\n){0,6}") {
            let _ = learnt(&parse(&super::super::lines(&text)));
        }
    }
}
