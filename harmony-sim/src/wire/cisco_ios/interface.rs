//! Names of interfaces: cut as `Gi1/0/1`, in full as `GigabitEthernet1/0/1`, in the order of a switch.

use std::fmt;

use harmony_core::net::PortName;

const KINDS: &[(&str, &str)] = &[
    ("Et", "Ethernet"),
    ("Fa", "FastEthernet"),
    ("Gi", "GigabitEthernet"),
    ("Tw", "TwoGigabitEthernet"),
    ("Te", "TenGigabitEthernet"),
    ("Twe", "TwentyFiveGigE"),
    ("Fo", "FortyGigabitEthernet"),
    ("Hu", "HundredGigE"),
    ("Po", "Port-channel"),
];

/// An interface. Ordered by kind, then by number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Interface {
    kind: usize,
    place: Vec<u32>,
    text: String,
}

impl Interface {
    /// Reads a name in any of its forms.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (kind, place) = name.split_at(name.find(|c: char| c.is_ascii_digit())?);
        let begins = |full: &str| full.get(..kind.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(kind));
        let exact = KINDS.iter().position(|(cut, _)| cut.eq_ignore_ascii_case(kind));
        let kind = exact.or_else(|| KINDS.iter().position(|(cut, full)| kind.len() > cut.len() && begins(full)))?;
        let numbers = place.split('/').map(str::parse).collect::<Result<Vec<u32>, _>>().ok()?;
        let text = numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join("/");
        Some(Self { kind, place: numbers, text })
    }

    pub(super) fn port_channel(number: u16) -> Option<Self> {
        Self::parse(&format!("Po{number}"))
    }

    /// The number of a port-channel.
    pub(super) fn port_channel_number(&self) -> Option<u16> {
        (KINDS[self.kind].0 == "Po").then(|| self.text.parse().ok()).flatten()
    }

    /// As the running configuration has it.
    pub(super) fn full(&self) -> String {
        format!("{}{}", KINDS[self.kind].1, self.text)
    }

    /// Its number in LACP, by its place.
    pub(super) fn number(&self) -> u32 {
        0x100 + self.place.last().copied().unwrap_or(0)
    }

    /// Whether it is this port of the world.
    pub(super) fn is(&self, port: &PortName) -> bool {
        Self::parse(port.as_str()).as_ref() == Some(self)
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}{}", KINDS[self.kind].0, self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_ordered() {
        let mut names =
            ["Te1/1/1", "gig1/0/10", "GigabitEthernet1/0/9", "Po2"].map(|name| Interface::parse(name).expect("a name"));
        names.sort();
        assert_eq!(names.map(|name| name.to_string()), ["Gi1/0/9", "Gi1/0/10", "Te1/1/1", "Po2"]);
        assert_eq!(Interface::parse("Gi1/0/1").expect("a name").full(), "GigabitEthernet1/0/1");
        for name in ["Gi", "node-1-p0", "Gi1/0/x", "Zz1"] {
            assert_eq!(Interface::parse(name), None, "{name}");
        }
    }
}
