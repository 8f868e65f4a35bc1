//! What a machine is recognised by: SMBIOS UUID, serial number, and the set of its MACs.
//!
//! No single one suffices: firmware ships with placeholder serials and duplicate UUIDs, NICs are
//! replaced, and the first sighting (iPXE) knows less than the last (the agent).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::net::MacAddress;

/// What is known of who a machine is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemIdentity {
    /// SMBIOS system UUID, in the byte order that Linux prints.
    pub uuid: Option<Uuid>,
    /// SMBIOS system serial number.
    pub serial: Option<String>,
    /// Permanent MACs of all NICs seen so far.
    pub macs: BTreeSet<MacAddress>,
}

/// Whether two identities are one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// One machine.
    Same,
    /// Two machines.
    Different,
    /// Evidence for both; a person must look. Holds the contradiction.
    Conflict(String),
}

/// Serial numbers that firmware ships instead of a serial number (compared in lower case).
const PLACEHOLDER_SERIALS: [&str; 12] = [
    "",
    "0",
    "none",
    "n/a",
    "na",
    "not specified",
    "not available",
    "unknown",
    "default string",
    "system serial number",
    "to be filled by o.e.m.",
    "0123456789",
];

impl SystemIdentity {
    /// Keeps only what can identify: placeholder serials and UUIDs, and group MACs, are dropped.
    #[must_use]
    pub fn new(uuid: Option<Uuid>, serial: Option<&str>, macs: impl IntoIterator<Item = MacAddress>) -> Self {
        let uuid = uuid.filter(|u| !u.is_nil() && !u.is_max() && u.as_bytes()[1..] != [0; 15]);
        let serial = serial.map(str::trim).filter(|s| {
            let lower = s.to_ascii_lowercase();
            let uniform = lower.chars().all(|c| lower.starts_with(c));
            !PLACEHOLDER_SERIALS.contains(&lower.as_str()) && !uniform
        });
        Self { uuid, serial: serial.map(str::to_owned), macs: macs.into_iter().filter(|m| m.is_unicast()).collect() }
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.uuid.is_none() && self.serial.is_none() && self.macs.is_empty()
    }

    /// Compares two identities. A UUID may come with its first three fields in either byte order
    /// (SMBIOS before 2.6 and several BMCs). Source: DMTF DSP0134 section 7.2.1.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Match {
        let shared: Vec<_> = self.macs.intersection(&other.macs).collect();
        let serials = self.serial.as_ref().zip(other.serial.as_ref()).map(|(a, b)| a == b);
        let uuids = self.uuid.zip(other.uuid).map(|(a, b)| same_uuid(a, b));
        match (uuids, serials, shared.first()) {
            (Some(false), Some(true), Some(_)) => Match::Same, // board replaced, or byte order: serial and a NIC agree
            (Some(false), _, Some(mac)) => Match::Conflict(format!("{mac} is in two machines with different UUIDs")),
            (Some(true), Some(false), None) => Match::Conflict(format!(
                "UUID {} is in two machines with different serials and MACs",
                self.uuid.unwrap_or_default()
            )),
            (_, Some(false), Some(mac)) if uuids != Some(true) => {
                Match::Conflict(format!("{mac} is in two machines with different serials"))
            }
            (Some(true), _, _) | (None, Some(true), _) | (None, None, Some(_)) => Match::Same,
            (Some(false), _, None) | (None, _, _) => Match::Different,
        }
    }

    /// What both know together. The same UUID in another byte order is no news.
    #[must_use]
    pub fn merge(&self, newer: &Self) -> Self {
        Self {
            uuid: newer.uuid.filter(|new| !self.uuid.is_some_and(|old| same_uuid(old, *new))).or(self.uuid),
            serial: newer.serial.clone().or_else(|| self.serial.clone()),
            macs: self.macs.union(&newer.macs).copied().collect(),
        }
    }

    /// The strongest single fact, from which the host id is derived at first sight.
    #[must_use]
    pub fn seed(&self) -> String {
        match (&self.uuid, &self.serial, self.macs.first()) {
            (Some(uuid), ..) => format!("uuid:{uuid}"),
            (None, Some(serial), _) => format!("serial:{serial}"),
            (None, None, Some(mac)) => format!("mac:{mac}"),
            (None, None, None) => "unknown".to_owned(),
        }
    }
}

/// Whether two UUIDs are equal, in any byte order that is met: as printed, with the first three fields
/// swapped (SMBIOS before 2.6), or all sixteen bytes reversed (the GUID of IPMI, whose order is its own).
/// Source: IPMI 2.0 section 20.8.
#[must_use]
pub fn same_uuid(a: Uuid, b: Uuid) -> bool {
    let reversed = |bytes: [u8; 16]| {
        let mut bytes = bytes;
        bytes.reverse();
        bytes
    };
    let other = *b.as_bytes();
    [*a.as_bytes(), a.to_bytes_le(), reversed(*a.as_bytes()), reversed(a.to_bytes_le())].contains(&other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(last: u8) -> MacAddress {
        MacAddress::new([0x52, 0x54, 0, 0, 0, last])
    }

    fn identity(uuid: u128, serial: &str, macs: &[u8]) -> SystemIdentity {
        SystemIdentity::new(Some(Uuid::from_u128(uuid)), Some(serial), macs.iter().map(|m| mac(*m)))
    }

    const A: u128 = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff;
    const B: u128 = 0x1011_2233_4455_6677_8899_aabb_ccdd_eeff;

    #[test]
    fn one_machine_in_several_disguises() {
        let full = identity(A, "S1", &[1, 2]);
        for (name, other) in [
            ("all of it", identity(A, "S1", &[1, 2])),
            ("both NICs replaced", identity(A, "S1", &[8, 9])),
            ("placeholder serial", identity(A, "To Be Filled By O.E.M.", &[1])),
            ("only one MAC", SystemIdentity::new(None, None, [mac(2)])),
            ("only the serial", SystemIdentity::new(None, Some("S1"), [])),
            ("board replaced", identity(B, "S1", &[1, 2])),
            ("byte order", SystemIdentity::new(Some(Uuid::from_bytes(Uuid::from_u128(A).to_bytes_le())), None, [])),
        ] {
            assert_eq!(full.compare(&other), Match::Same, "{name}");
            assert_eq!(other.compare(&full), Match::Same, "{name}, the other way");
        }
    }

    #[test]
    fn what_is_known_is_kept_and_a_byte_order_is_no_news() {
        let swapped = Uuid::from_bytes(Uuid::from_u128(A).to_bytes_le());
        let merged = identity(A, "S1", &[1]).merge(&SystemIdentity::new(Some(swapped), None, [mac(2)]));
        assert_eq!(merged, identity(A, "S1", &[1, 2]));
        assert_eq!(merged.merge(&identity(B, "S2", &[])), identity(B, "S2", &[1, 2]));
    }

    #[test]
    fn two_machines() {
        let one = identity(A, "S1", &[1, 2]);
        for other in [identity(B, "S2", &[3, 4]), identity(0, "none", &[3]), identity(B, "S1", &[7])] {
            assert_eq!(one.compare(&other), Match::Different, "{other:?}");
        }
    }

    #[test]
    fn contradictions_are_reported_and_not_guessed_away() {
        let one = identity(A, "S1", &[1, 2]);
        for other in [identity(B, "S2", &[2, 3]), identity(A, "S2", &[8]), identity(0, "S2", &[1])] {
            assert!(matches!(one.compare(&other), Match::Conflict(_)), "{other:?}");
            assert!(matches!(other.compare(&one), Match::Conflict(_)), "{other:?}");
        }
    }

    #[test]
    fn placeholders_identify_nothing() {
        let junk = identity(0, "00000000", &[]);
        assert!(junk.is_empty());
        assert_eq!(junk.compare(&junk), Match::Different);
    }
}
