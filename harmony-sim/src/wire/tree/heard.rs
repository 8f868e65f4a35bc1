//! What an agent has heard by LLDP, as its library keeps it: units as a switch sends them, at the times at
//! which the report says that they came.
//!
//! Source: IEEE 802.1AB-2016 clauses 8.4 and 8.5; IEEE 802.1Q-2018 annex D.2.1.

use std::time::{Duration, Instant};

use harmony_core::net::MacAddress;
use harmony_core::report::v1::{LldpNeighbour, Report};
use harmony_inventory_agent::lldp::Heard;
use harmony_inventory_agent::lldp::pdu::Lldpdu;

use super::nics::index;

/// What was heard on the NICs of a report, as seen `now`.
pub(in crate::wire) fn heard(report: &Report, now: Instant) -> Heard {
    let mut heard = Heard::default();
    let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap_or(now);
    for (at, nic) in report.nics.iter().enumerate() {
        let Some(listened) = nic.lldp_listened_s else { continue };
        heard.open(index(at), Ok(ago(listened)));
        for neighbour in &nic.lldp {
            if let Some(pdu) = Lldpdu::parse(&unit(neighbour)) {
                heard.hear(index(at), pdu, ago(neighbour.age_s));
            }
        }
    }
    heard
}

/// The unit that a neighbour sends.
fn unit(neighbour: &LldpNeighbour) -> Vec<u8> {
    let chassis = match neighbour.chassis_id_kind.as_str() {
        "mac" => 4,
        "network-address" => 5,
        "interface-name" => 6,
        _ => 7,
    };
    let port = match neighbour.port_id_kind.as_str() {
        "interface-alias" => 1,
        "mac" => 3,
        "interface-name" => 5,
        _ => 7,
    };
    let mut unit = tlv(1, &id(chassis, &neighbour.chassis_id));
    unit.extend(tlv(2, &id(port, &neighbour.port_id)));
    unit.extend(tlv(3, &neighbour.ttl_s.to_be_bytes()));
    unit.extend(neighbour.port_description.iter().flat_map(|text| tlv(4, text.as_bytes())));
    unit.extend(neighbour.system_name.iter().flat_map(|text| tlv(5, text.as_bytes())));
    let vlan = neighbour.vlan_id.map(u16::to_be_bytes);
    unit.extend(vlan.iter().flat_map(|[high, low]| tlv(127, &[0x00, 0x80, 0xc2, 1, *high, *low])));
    unit.extend(tlv(0, &[]));
    unit
}

/// A subtype and the name: bytes for a MAC, else its text.
fn id(subtype: u8, text: &str) -> Vec<u8> {
    let name = text.parse().map_or(text.as_bytes().to_vec(), |mac: MacAddress| mac.octets().to_vec());
    [vec![subtype], name].concat()
}

/// A type of 7 bits, a length of 9; what is longer is cut.
fn tlv(kind: u16, value: &[u8]) -> Vec<u8> {
    let value = &value[..value.len().min(0x1ff)];
    [&(kind << 9 | value.len() as u16).to_be_bytes(), value].concat()
}
