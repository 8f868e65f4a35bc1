//! Names of interfaces, which IOS prints in full or cut (`GigabitEthernet1/0/1`, `Gi1/0/1`) and takes
//! in either form. Harmony writes the cut one, which is also what LLDP tells a host.

use std::fmt;

use harmony_core::net::PortName;

/// Kinds of interface: as cut, and in full.
const KINDS: &[(&str, &str)] = &[
    ("Fa", "FastEthernet"),
    ("Gi", "GigabitEthernet"),
    ("Tw", "TwoGigabitEthernet"),
    ("Fi", "FiveGigabitEthernet"),
    ("Te", "TenGigabitEthernet"),
    ("Twe", "TwentyFiveGigE"),
    ("Fo", "FortyGigabitEthernet"),
    ("Fif", "FiftyGigE"),
    ("Hu", "HundredGigE"),
    ("Fou", "FourHundredGigE"),
    ("Ap", "AppGigabitEthernet"),
    ("Et", "Ethernet"),
    ("Po", "Port-channel"),
    ("Vl", "Vlan"),
];

/// An interface of the switch; equal whichever way it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Interface {
    kind: String,
    place: String,
}

impl Interface {
    /// Reads a name; none if it is not that of an interface with a number.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let at = name.find(|c: char| c.is_ascii_digit())?;
        let (kind, place) = name.split_at(at);
        let is_kind = (1..=24).contains(&kind.len()) && kind.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
        let is_place = place.len() <= 16 && place.bytes().all(|b| b.is_ascii_digit() || b == b'/' || b == b'.');
        if !is_kind || !is_place {
            return None;
        }
        let known = KINDS.iter().find(|(cut, _)| cut.eq_ignore_ascii_case(kind)).or_else(|| {
            let begins = |full: &str| full.get(..kind.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(kind));
            KINDS.iter().find(|(cut, full)| kind.len() > cut.len() && begins(full))
        });
        let kind = known.map_or(kind, |(cut, _)| cut).to_owned();
        Some(Self { kind, place: place.to_owned() })
    }

    /// The port-channel of this number.
    pub(super) fn port_channel(number: u16) -> Self {
        Self { kind: "Po".to_owned(), place: number.to_string() }
    }

    /// The number of a port-channel.
    pub(super) fn port_channel_number(&self) -> Option<u16> {
        (self.kind == "Po").then(|| self.place.parse().ok()).flatten()
    }

    /// As the site names it.
    pub(super) fn port_name(&self) -> Option<PortName> {
        self.to_string().parse().ok()
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind, self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_write_a_name_is_the_same_interface() {
        for (names, cut) in [
            (&["Gi1/0/1", "GigabitEthernet1/0/1", "gig1/0/1"][..], "Gi1/0/1"),
            (&["Tw2/0/33", "TwoGigabitEthernet2/0/33"], "Tw2/0/33"),
            (&["Twe1/0/1", "TwentyFiveGigE1/0/1"], "Twe1/0/1"),
            (&["Te1/1", "TenGigabitEthernet1/1"], "Te1/1"),
            (&["Po1", "Port-channel1", "port-channel1"], "Po1"),
            (&["SM1/1"], "SM1/1"),
        ] {
            for name in names {
                assert_eq!(Interface::parse(name).map(|it| it.to_string()).as_deref(), Some(cut), "{name}");
            }
        }
        for name in ["Router", "CPU", "1/0/1", "", "Gi1/0/1;x", "Gi1/0/1\n", "Gi é1"] {
            assert_eq!(Interface::parse(name), None, "{name}");
        }
        assert_eq!(Interface::parse("Po12").and_then(|po| po.port_channel_number()), Some(12));
        assert_eq!(Interface::parse("Gi1/0/2").and_then(|gi| gi.port_channel_number()), None);
    }
}
