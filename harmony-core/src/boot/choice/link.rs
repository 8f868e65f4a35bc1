//! The NICs that a host is attached by once it is installed.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Undecided;
use crate::boot::{BondOptions, LinkPlan};
use crate::host::{Host, Nic, PortWitness};
use crate::net::{MacAddress, PortRef, SwitchId};

/// What the site says of its cables.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cabling<'a> {
    /// Switch ports of the provisioning network; empty where all are.
    pub host_ports: &'a [PortRef],
    /// Switches that bundle as one (an MLAG pair, a stack that is two devices to Harmony).
    pub pairs: &'a [BTreeSet<SwitchId>],
}

impl Cabling<'_> {
    /// Whether ports of both switches can be in one bundle.
    #[must_use]
    pub fn bundles(&self, a: &SwitchId, b: &SwitchId) -> bool {
        a == b || self.pairs.iter().any(|pair| pair.contains(a) && pair.contains(b))
    }
}

/// One NIC, by its name or its permanent MAC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NicPick {
    /// As the live environment names it.
    Name(String),
    /// Its permanent MAC.
    Mac(MacAddress),
}

impl fmt::Display for NicPick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Mac(mac) => mac.fmt(f),
        }
    }
}

/// Which NICs are meant. In a file: `"provisioning"`, `"all"`, `["eno1", "52:54:00:00:00:02"]`, `{ at_least_mbps = 10000 }`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NicChoice {
    /// Those with a link to a port of the provisioning network.
    #[default]
    Provisioning,
    /// All with a link.
    All,
    /// These, in this order.
    These(Vec<NicPick>),
    /// All with a link of at least so many Mbit/s.
    AtLeastMbps(u32),
}

impl NicChoice {
    fn picks(&self, nic: &Nic) -> bool {
        match self {
            Self::Provisioning | Self::All => nic.carrier == Some(true),
            Self::AtLeastMbps(least) => {
                nic.carrier == Some(true) && nic.speed_mbps.is_some_and(|speed| speed >= *least)
            }
            Self::These(picks) => picks.iter().any(|pick| match pick {
                NicPick::Name(name) => *name == nic.name,
                NicPick::Mac(mac) => *mac == nic.mac,
            }),
        }
    }
}

/// The NICs to bond, with their switch ports, by name. The port of each must be known and agreed, no two the same, and all
/// on one switch or on switches that bundle as one.
///
/// # Errors
/// What a person must do.
pub fn bond_nics<'a>(
    host: &'a Host,
    choice: &NicChoice,
    cabling: &Cabling<'_>,
) -> Result<Vec<(&'a Nic, PortRef)>, Undecided> {
    let label = host.label();
    if let NicChoice::These(picks) = choice {
        all_there(host, picks)?;
    }
    let mut members = Vec::new();
    for nic in host.nics.iter().filter(|nic| choice.picks(nic)) {
        let port = agreed_port(host, nic)?;
        let elsewhere = !cabling.host_ports.is_empty() && !cabling.host_ports.contains(&port);
        if !(elsewhere && *choice == NicChoice::Provisioning) {
            members.push((nic, port));
        }
    }
    members.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    if members.len() < 2 {
        return Err(Undecided {
            waits_for: format!("a second NIC with a link in {label}: a bond needs two"),
            hint: "plug it in and let the host report again: harmony inventory scan".to_owned(),
        });
    }
    let mut ports: Vec<&PortRef> = members.iter().map(|(_, port)| port).collect();
    ports.sort();
    if let Some(pair) = ports.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Undecided {
            waits_for: format!("{label}: two of its NICs seem to be plugged into {}", pair[0]),
            hint: "a hub or an unmanaged switch between them? check the cables".to_owned(),
        });
    }
    // Each with each: two pairs that share a switch are no three switches that bundle.
    let mut pairs = ports.iter().flat_map(|one| ports.iter().map(|other| (&one.switch, &other.switch)));
    if let Some((one, other)) = pairs.find(|(one, other)| !cabling.bundles(one, other)) {
        return Err(Undecided {
            waits_for: format!("{label}: its NICs are on switches {one} and {other}, which cannot bundle"),
            hint: "plug both NICs into one switch, or into the two of an MLAG pair".to_owned(),
        });
    }
    Ok(members)
}

fn all_there(host: &Host, picks: &[NicPick]) -> Result<(), Undecided> {
    for pick in picks {
        let one = NicChoice::These(vec![pick.clone()]);
        if !host.nics.iter().any(|nic| one.picks(nic)) {
            let names: Vec<_> = host.nics.iter().map(|nic| format!("{} ({})", nic.name, nic.mac)).collect();
            return Err(Undecided {
                waits_for: format!("a NIC {pick} in {}", host.label()),
                hint: format!("name others in the description: it has {}", names.join(", ")),
            });
        }
    }
    Ok(())
}

fn agreed_port(host: &Host, nic: &Nic) -> Result<PortRef, Undecided> {
    let label = host.label();
    match nic.port.verdict() {
        PortWitness::Agreed(port) => Ok(port),
        PortWitness::Unknown => Err(Undecided {
            waits_for: format!("the switch port of {} of {label}", nic.name),
            hint: "let it boot the inventory environment again, and check that LLDP is on at its switch".to_owned(),
        }),
        PortWitness::Disputed(said) => Err(Undecided {
            waits_for: format!("agreement on the switch port of {} of {label}: {said}", nic.name),
            hint: "check the cable, then let the host report again: harmony inventory scan".to_owned(),
        }),
    }
}

/// The bond, with the MAC of the NIC that booted: the DHCP reservation holds it. Nothing without members.
#[must_use]
pub fn bond_of(members: &[(&Nic, PortRef)], options: BondOptions) -> Option<LinkPlan> {
    let first = members.iter().find(|(nic, _)| nic.booted).or_else(|| members.first())?;
    let members = members.iter().map(|(nic, _)| (nic.name.clone(), nic.mac)).collect();
    Some(LinkPlan { bond: Some(options), ..LinkPlan::bond("bond0", first.0.mac, members) })
}

/// The one NIC of a host without bond: that which booted, else the first with a link.
///
/// # Errors
/// What a person must do.
pub fn alone(host: &Host) -> Result<LinkPlan, Undecided> {
    let linked = || host.nics.iter().find(|nic| nic.carrier == Some(true));
    let nic = host.boot_nic().or_else(linked).ok_or_else(|| Undecided {
        waits_for: format!("a NIC with a link in {}", host.label()),
        hint: "plug it in and let the host report again: harmony inventory scan".to_owned(),
    })?;
    Ok(LinkPlan::alone(nic.name.clone(), nic.mac))
}

/// What a table says of NICs.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BySpeed {
    at_least_mbps: u32,
}

impl Serialize for NicChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Provisioning => serializer.serialize_str("provisioning"),
            Self::All => serializer.serialize_str("all"),
            Self::These(picks) => serializer.collect_seq(picks.iter().map(ToString::to_string)),
            Self::AtLeastMbps(least) => BySpeed { at_least_mbps: *least }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for NicChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Choice;
        impl<'de> Visitor<'de> for Choice {
            type Value = NicChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"provisioning\", \"all\", a list of names and MACs, or { at_least_mbps = N }")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<NicChoice, E> {
                match text {
                    "provisioning" => Ok(NicChoice::Provisioning),
                    "all" => Ok(NicChoice::All),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<NicChoice, A::Error> {
                let mut picks = Vec::new();
                while let Some(text) = entries.next_element::<String>()? {
                    let mac = text.parse().map(NicPick::Mac);
                    picks.push(mac.unwrap_or(NicPick::Name(text)));
                }
                if picks.is_empty() {
                    return Err(A::Error::custom("it names no NIC"));
                }
                Ok(NicChoice::These(picks))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NicChoice, A::Error> {
                let speed = BySpeed::deserialize(MapAccessDeserializer::new(map))?;
                Ok(NicChoice::AtLeastMbps(speed.at_least_mbps))
            }
        }
        deserializer.deserialize_any(Choice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::{host, parse};
    use crate::host::{PortWitnesses, WitnessKind};

    fn names(host: &Host, choice: &NicChoice, cabling: &Cabling<'_>) -> Result<Vec<String>, String> {
        let nics = bond_nics(host, choice, cabling).map_err(|undecided| undecided.waits_for)?;
        Ok(nics.into_iter().map(|(nic, _)| nic.name.clone()).collect())
    }

    fn four() -> Host {
        let mut host = host(1);
        for (name, last, port, speed) in [("ens1", 8, "san/x1", 25_000), ("ens2", 9, "san/x2", 25_000)] {
            let mut nic = host.nics[1].clone();
            (nic.name, nic.mac, nic.speed_mbps) =
                (name.into(), MacAddress::new([0x52, 0x54, 0, 0, 1, last]), Some(speed));
            nic.port = PortWitnesses::default();
            nic.port.hear(WitnessKind::AgentLldp, parse(port));
            host.nics.push(nic);
        }
        host
    }

    #[test]
    fn nics_are_chosen_by_network_name_mac_and_speed() {
        let host = four();
        let ports: [PortRef; 2] = [parse("tor/p1-0"), parse("tor/p1-1")];
        let cabling = Cabling { host_ports: &ports, pairs: &[] };
        assert_eq!(names(&host, &NicChoice::Provisioning, &cabling).expect("two"), ["eno1", "eno2"]);
        assert_eq!(names(&host, &NicChoice::AtLeastMbps(25_000), &cabling).expect("two"), ["ens1", "ens2"]);
        let these = NicChoice::These(vec![NicPick::Name("ens1".into()), NicPick::Mac(host.nics[3].mac)]);
        assert_eq!(names(&host, &these, &cabling).expect("two"), ["ens1", "ens2"]);
        let error = names(&host, &NicChoice::All, &cabling).expect_err("two switches");
        assert!(error.contains("switches san and tor, which cannot bundle"), "{error}");
        let pairs = [BTreeSet::from([parse("tor"), parse("san")])];
        assert_eq!(
            names(&host, &NicChoice::All, &Cabling { host_ports: &ports, pairs: &pairs }).expect("a pair").len(),
            4
        );
        let gone = NicChoice::These(vec![NicPick::Name("eno1".into()), NicPick::Name("eth7".into())]);
        assert!(names(&host, &gone, &cabling).expect_err("no eth7").contains("a NIC eth7"));
    }

    #[test]
    fn a_choice_is_written_in_four_ways() {
        for (text, choice) in [
            ("\"provisioning\"", NicChoice::Provisioning),
            ("\"all\"", NicChoice::All),
            (
                "[\"eno1\",\"52:54:00:00:01:01\"]",
                NicChoice::These(vec![NicPick::Name("eno1".into()), NicPick::Mac(parse("52:54:00:00:01:01"))]),
            ),
            ("{\"at_least_mbps\":10000}", NicChoice::AtLeastMbps(10_000)),
        ] {
            assert_eq!(serde_json::from_str::<NicChoice>(text).expect(text), choice);
            assert_eq!(serde_json::to_string(&choice).expect("serialises"), text);
        }
        for text in ["\"eno1\"", "[]", "{}", "{\"at_least_mbps\":1,\"x\":2}", "7", "[1]"] {
            assert!(serde_json::from_str::<NicChoice>(text).is_err(), "{text}");
        }
    }
}
