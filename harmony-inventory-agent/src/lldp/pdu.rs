//! The LLDP data unit: a list of TLVs with a type of 7 bits and a length of 9.
//!
//! Whoever sends on the wire decides what is in it, so: bounded, no panic, control characters shown as
//! such. Reads only what the report has; system description, capabilities and management addresses are
//! passed over.
//!
//! Source: IEEE 802.1AB-2016 clauses 8.4 (TLV format), 8.5 (basic TLVs), 9.2.7.7 (validation); IEEE
//! 802.1Q-2018 annex D.2.1 (Port VLAN ID).

use std::net::IpAddr;

use harmony_core::report::v1::LldpNeighbour;

use crate::mac;
use crate::root::clean;

/// LLDP's Ethernet type. Source: IEEE 802.1AB-2016 clause 7.3.
pub(crate) const ETHER_TYPE: u16 = 0x88cc;

/// Nearest bridge, nearest non-TPMR bridge, nearest customer bridge.
///
/// Source: IEEE 802.1AB-2016 table 7-1.
pub(crate) const GROUPS: [[u8; 6]; 3] =
    [[0x01, 0x80, 0xc2, 0, 0, 0x0e], [0x01, 0x80, 0xc2, 0, 0, 0x03], [0x01, 0x80, 0xc2, 0, 0, 0x00]];

/// TLVs followed in one unit: far more than fit in a frame of sensible ones.
const MAX_TLVS: usize = 256;

/// What a unit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lldpdu {
    chassis: Id,
    port: Id,
    /// How long it holds, in seconds. Zero: the neighbour says good-bye.
    pub ttl_s: u16,
    port_description: Option<String>,
    system_name: Option<String>,
    vlan_id: Option<u16>,
}

/// Chassis or port ID: what kind of name it is, and the name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Id {
    kind: String,
    text: String,
}

impl Lldpdu {
    /// Reads a unit, without its Ethernet header. `None` for what the standard says to discard: the first
    /// three TLVs must be chassis ID, port ID and time to live, and none of them may come again.
    #[must_use]
    pub fn parse(unit: &[u8]) -> Option<Self> {
        let mut tlvs = tlvs(unit);
        let (Some((1, chassis)), Some((2, port)), Some((3, ttl))) = (tlvs.next(), tlvs.next(), tlvs.next()) else {
            return None;
        };
        let mut pdu = Self {
            chassis: Id::parse(chassis, chassis_kind)?,
            port: Id::parse(port, port_kind)?,
            ttl_s: u16::from_be_bytes(*ttl.first_chunk()?),
            port_description: None,
            system_name: None,
            vlan_id: None,
        };
        for (kind, value) in tlvs {
            match (kind, value) {
                (1..=3, _) => return None,
                (4, text) => pdu.port_description = text_of(text),
                (5, text) => pdu.system_name = text_of(text),
                // Organisation 00-80-C2 (IEEE 802.1), subtype 1. VLAN 0: the port has no untagged one.
                (127, [0x00, 0x80, 0xc2, 1, high, low]) => {
                    let vlan = u16::from_be_bytes([*high, *low]);
                    pdu.vlan_id = (1..=4094).contains(&vlan).then_some(vlan);
                }
                _ => {}
            }
        }
        Some(pdu)
    }

    /// Chassis and port together name the sender (802.1AB's MSAP identifier).
    pub(crate) fn is_same_neighbour(&self, other: &Self) -> bool {
        self.chassis == other.chassis && self.port == other.port
    }

    /// For the report.
    pub(crate) fn report(&self, age_s: u64) -> LldpNeighbour {
        LldpNeighbour {
            chassis_id: self.chassis.text.clone(),
            chassis_id_kind: self.chassis.kind.clone(),
            port_id: self.port.text.clone(),
            port_id_kind: self.port.kind.clone(),
            port_description: self.port_description.clone(),
            system_name: self.system_name.clone(),
            vlan_id: self.vlan_id,
            ttl_s: self.ttl_s,
            age_s,
        }
    }
}

/// Type and value of each TLV, up to the one that ends the unit or to the first that does not fit.
fn tlvs(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let header = u16::from_be_bytes(*rest.first_chunk()?);
        let (kind, length) = ((header >> 9) as u8, usize::from(header & 0x1ff));
        let value = rest.get(2..2 + length)?;
        rest = &rest[2 + length..];
        (kind != 0).then_some((kind, value))
    })
    .fuse()
    .take(MAX_TLVS)
}

impl Id {
    /// A subtype and 1 to 255 bytes.
    fn parse(value: &[u8], kind_of: fn(u8) -> Option<&'static str>) -> Option<Self> {
        let (subtype, id) = value.split_first()?;
        if id.is_empty() || id.len() > 255 {
            return None;
        }
        let kind = kind_of(*subtype).map_or_else(|| format!("subtype-{subtype}"), str::to_owned);
        let text = match (&*kind, id) {
            ("mac", id) if id.len() == 6 => mac::from_bytes(id),
            // IANA address family numbers: 1 is IPv4, 2 IPv6.
            ("network-address", [1, ip @ ..]) if ip.len() == 4 => {
                <[u8; 4]>::try_from(ip).map(IpAddr::from).ok()?.to_string()
            }
            ("network-address", [2, ip @ ..]) if ip.len() == 16 => {
                <[u8; 16]>::try_from(ip).map(IpAddr::from).ok()?.to_string()
            }
            (_, id) if id.iter().all(|byte| (0x20..0x7f).contains(byte)) => text_of(id)?,
            (_, id) => match std::str::from_utf8(id) {
                Ok(text) if !text.chars().any(char::is_control) => text_of(id)?,
                _ => mac::from_bytes(id),
            },
        };
        Some(Self { kind, text })
    }
}

/// Source: IEEE 802.1AB-2016 table 8-2.
fn chassis_kind(subtype: u8) -> Option<&'static str> {
    Some(match subtype {
        1 => "component",
        2 => "interface-alias",
        3 => "port",
        4 => "mac",
        5 => "network-address",
        6 => "interface-name",
        7 => "local",
        _ => return None,
    })
}

/// Source: IEEE 802.1AB-2016 table 8-3.
fn port_kind(subtype: u8) -> Option<&'static str> {
    Some(match subtype {
        1 => "interface-alias",
        2 => "port",
        3 => "mac",
        4 => "network-address",
        5 => "interface-name",
        6 => "agent-circuit-id",
        7 => "local",
        _ => return None,
    })
}

fn text_of(bytes: &[u8]) -> Option<String> {
    Some(clean(bytes)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tlv(kind: u16, value: &[u8]) -> Vec<u8> {
        [&(kind << 9 | value.len() as u16).to_be_bytes()[..], value].concat()
    }

    fn unit(tlvs: &[Vec<u8>]) -> Vec<u8> {
        [tlvs.concat(), vec![0, 0]].concat()
    }

    /// What Open vSwitch sends for port `vm1p0`, with the optional TLVs of a hardware switch added.
    fn full() -> Vec<Vec<u8>> {
        vec![
            tlv(1, &[4, 0xa6, 0xb4, 0x6e, 0xe6, 0x5b, 0x47]),
            tlv(2, b"\x05vm1p0"),
            tlv(3, &[0, 120]),
            tlv(4, b"rack 3, server 7"),
            tlv(5, b"tor-1\x1b[2J.example"),
            tlv(6, b"passed over"),
            tlv(127, &[0x00, 0x80, 0xc2, 1, 0, 10]),
            tlv(127, &[0x00, 0x12, 0x0f, 1, 3, 0xff]),
        ]
    }

    #[test]
    fn reads_what_a_switch_sends() {
        let neighbour = Lldpdu::parse(&unit(&full())).expect("a unit").report(3);
        let expected = LldpNeighbour {
            chassis_id: "a6:b4:6e:e6:5b:47".into(),
            chassis_id_kind: "mac".into(),
            port_id: "vm1p0".into(),
            port_id_kind: "interface-name".into(),
            port_description: Some("rack 3, server 7".into()),
            system_name: Some("tor-1\u{fffd}[2J.example".into()),
            vlan_id: Some(10),
            ttl_s: 120,
            age_s: 3,
        };
        assert_eq!(neighbour, expected);
    }

    #[test]
    fn writes_ids_of_every_kind() {
        let cases: [(&[u8], &str, &str); 7] = [
            (&[5, 1, 10, 0, 0, 1], "network-address", "10.0.0.1"),
            (&[5, 2, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "network-address", "fd00::1"),
            (b"\x07tor-1", "local", "tor-1"),
            (&[7, 0, 1, 0xff], "local", "00:01:ff"),
            (&[4, 1, 2], "mac", "01:02"),
            (b"\x63x", "subtype-99", "x"),
            ("\u{6}größe".as_bytes(), "interface-name", "größe"),
        ];
        for (value, kind, text) in cases {
            let id = Id::parse(value, chassis_kind).expect("an ID");
            assert_eq!((&*id.kind, &*id.text), (kind, text));
        }
        assert_eq!(Id::parse(&[4], chassis_kind), None, "too short");
        assert_eq!(Id::parse(&[7; 257], chassis_kind), None, "too long");
    }

    #[test]
    fn discards_what_the_standard_says_to() {
        let mut swapped = full();
        swapped.swap(0, 1);
        let mut twice = full();
        twice.push(tlv(3, &[0, 1]));
        for bad in
            [swapped, twice, full()[..2].to_vec(), vec![full()[0].clone(), full()[1].clone(), tlv(3, &[9])], vec![]]
        {
            assert_eq!(Lldpdu::parse(&unit(&bad)), None, "{bad:?}");
        }
        assert_eq!(Lldpdu::parse(&[]), None);
    }

    #[test]
    fn what_follows_the_end_is_padding() {
        let mut padded = unit(&full());
        padded.extend([0x02, 0x07, 1, 2, 3]);
        assert_eq!(Lldpdu::parse(&padded), Lldpdu::parse(&unit(&full())));
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = Lldpdu::parse(&bytes);
        }

        #[test]
        fn what_is_heard_can_be_reported(values in prop::collection::vec((0_u16..128, prop::collection::vec(any::<u8>(), 0..511)), 0..9)) {
            let mut all = full()[..3].to_vec();
            all.extend(values.iter().map(|(kind, value)| tlv(*kind, value)));
            if let Some(pdu) = Lldpdu::parse(&unit(&all)) {
                let n = pdu.report(0);
                for text in [Some(n.chassis_id), Some(n.port_id), n.port_description, n.system_name].into_iter().flatten() {
                    prop_assert!(!text.is_empty() && text.len() <= 1024 && !text.chars().any(char::is_control));
                }
            }
        }
    }
}
