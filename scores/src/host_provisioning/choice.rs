//! What is chosen for a host: its disk, its bond, its address. Pure; what a person must decide is
//! said as such.

use harmony_core::boot::BondPlan;
use harmony_core::capability::NetworkPlan;
use harmony_core::host::{Disk, Host, Nic, PortWitness};
use harmony_core::net::{PortRef, SwitchId};

/// Why nothing can be chosen without a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Undecided {
    /// What is missing.
    pub(super) waits_for: String,
    /// What to do.
    pub(super) hint: String,
}

/// Smallest disk that an operating system is put on, in bytes.
const SMALLEST_DISK: u64 = 1 << 30;

/// The disk to install on: the one that the assignment names, or the only eligible one. One with
/// known contents is refused unless a person agreed, by its serial, to lose them.
pub(super) fn disk(host: &Host) -> Result<&Disk, Undecided> {
    let label = host.label();
    let assignment = host.assignment.as_ref();
    let role = assignment.map_or("ROLE", |a| a.role.as_str());
    let assign = format!("harmony host assign {} {role}", host.name);
    let eligible: Vec<&Disk> =
        host.disks.iter().filter(|d| d.size_bytes >= SMALLEST_DISK && d.serial.is_some()).collect();
    let chosen = match (assignment.and_then(|a| a.disk.as_deref()), eligible.as_slice()) {
        (Some(serial), _) => {
            eligible.iter().find(|disk| disk.serial.as_deref() == Some(serial)).copied().ok_or_else(|| Undecided {
                waits_for: format!("a disk with serial {serial} of at least 1 GiB in {label}"),
                hint: format!("choose another: {assign} --disk SERIAL (it has {})", list(&eligible)),
            })?
        }
        (None, []) => {
            let why =
                if host.disks.is_empty() { "it has no disks" } else { "none has a serial number and at least 1 GiB" };
            return Err(Undecided {
                waits_for: format!("a disk in {label}: {why}"),
                hint: "add a disk and let the host report again, or give the role to another host".to_owned(),
            });
        }
        (None, [only]) => only,
        (None, many) => {
            return Err(Undecided {
                waits_for: format!("a choice among the disks of {label}"),
                hint: format!("{assign} --disk SERIAL (it has {})", list(many)),
            });
        }
    };
    let serial = chosen.serial.as_deref().unwrap_or_default();
    if !chosen.signatures.is_empty() && assignment.and_then(|a| a.erase.as_deref()) != Some(serial) {
        return Err(Undecided {
            waits_for: format!(
                "consent to erase disk {serial} of {label}, which holds {}",
                chosen.signatures.join(", ")
            ),
            hint: format!("if that may be lost: {assign} --disk {serial} --erase {serial}"),
        });
    }
    Ok(chosen)
}

fn list(disks: &[&Disk]) -> String {
    let one = |disk: &&Disk| {
        format!("{} ({} GB)", disk.serial.as_deref().unwrap_or("no serial"), disk.size_bytes / 1_000_000_000)
    };
    if disks.is_empty() { "none".to_owned() } else { disks.iter().map(one).collect::<Vec<_>>().join(", ") }
}

/// What a plan says of a disk that is erased.
pub(super) fn describe(disk: &Disk) -> String {
    let model = disk.model.as_deref().unwrap_or("unknown model");
    let contents = if disk.signatures.is_empty() {
        "no known contents".to_owned()
    } else {
        format!("holds {}", disk.signatures.join(", "))
    };
    format!("{} ({model}, {} GB), {contents}", disk.name, disk.size_bytes / 1_000_000_000)
}

/// The NICs to bond, with their switch ports: all that have a link. The port of each must be known
/// and agreed, and all must be on one switch, or on both of an MLAG pair.
pub(super) fn bond_nics<'a>(host: &'a Host, network: &NetworkPlan) -> Result<Vec<(&'a Nic, PortRef)>, Undecided> {
    let label = host.label();
    let mut members = Vec::new();
    for nic in host.nics.iter().filter(|nic| nic.carrier == Some(true)) {
        match nic.port.verdict() {
            PortWitness::Agreed(port) => members.push((nic, port)),
            PortWitness::Unknown => {
                return Err(Undecided {
                    waits_for: format!("the switch port of {} of {label}", nic.name),
                    hint: "let it boot the inventory environment again, and check that LLDP is on at its switch"
                        .to_owned(),
                });
            }
            PortWitness::Disputed(said) => {
                return Err(Undecided {
                    waits_for: format!("agreement on the switch port of {} of {label}: {said}", nic.name),
                    hint: "check the cable, then let the host report again: harmony inventory scan".to_owned(),
                });
            }
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
    if let Some((one, other)) = apart(&ports, network) {
        return Err(Undecided {
            waits_for: format!("{label}: its NICs are on switches {one} and {other}, which cannot bundle"),
            hint: "plug both NICs into one switch, or into the two of an MLAG pair".to_owned(),
        });
    }
    Ok(members)
}

/// Two switches among those of these ports that cannot share a LAG.
fn apart<'a>(ports: &[&'a PortRef], network: &NetworkPlan) -> Option<(&'a SwitchId, &'a SwitchId)> {
    let pairs = ports.iter().flat_map(|one| ports.iter().map(|other| (&one.switch, &other.switch)));
    pairs.into_iter().find(|(one, other)| !network.can_bundle(one, other))
}

/// The bond, with the MAC of the NIC that booted: the DHCP reservation holds it.
pub(super) fn bond(members: &[(&Nic, PortRef)]) -> Option<BondPlan> {
    let first = members.iter().find(|(nic, _)| nic.booted).or_else(|| members.first())?;
    let members = members.iter().map(|(nic, _)| (nic.name.clone(), nic.mac)).collect();
    Some(BondPlan { name: "bond0".to_owned(), mac: first.0.mac, members })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{disk as a_disk, host as a_host, network, nic as a_nic};
    use harmony_core::host::{Assignment, WitnessKind};

    fn assign(host: &mut Host, disk: Option<&str>, erase: Option<&str>) {
        let (disk, erase) = (disk.map(str::to_owned), erase.map(str::to_owned));
        host.assignment = Some(Assignment { role: "node-1".parse().expect("valid"), disk, erase });
    }

    #[test]
    fn the_only_eligible_disk_is_chosen() {
        let mut host = a_host("a");
        host.disks.push(Disk { size_bytes: 1 << 20, ..a_disk("TINY") });
        host.disks.push(Disk { serial: None, ..a_disk("x") });
        assign(&mut host, None, None);
        assert_eq!(disk(&host).expect("one").serial.as_deref(), Some("DISK-a"));
    }

    #[test]
    fn several_disks_or_none_need_a_person() {
        let mut host = a_host("a");
        host.disks.push(a_disk("SECOND"));
        assign(&mut host, None, None);
        let undecided = disk(&host).expect_err("two");
        assert!(undecided.hint.contains("DISK-a") && undecided.hint.contains("SECOND"), "{undecided:?}");
        assign(&mut host, Some("SECOND"), None);
        assert_eq!(disk(&host).expect("named").serial.as_deref(), Some("SECOND"));
        assign(&mut host, Some("GONE"), None);
        assert!(disk(&host).expect_err("not there").waits_for.contains("GONE"));
        host.disks.clear();
        assign(&mut host, None, None);
        assert!(disk(&host).expect_err("none").waits_for.contains("it has no disks"));
    }

    #[test]
    fn contents_are_erased_only_by_consent_that_names_the_serial() {
        let mut host = a_host("a");
        host.disks[0].signatures = vec!["ext4".into(), "ceph_bluestore".into()];
        for (chosen, erase, allowed) in [
            (None, None, false),
            (Some("DISK-a"), None, false),
            (None, Some("OTHER"), false),
            (None, Some("DISK-a"), true),
        ] {
            assign(&mut host, chosen, erase);
            assert_eq!(disk(&host).is_ok(), allowed, "{chosen:?} {erase:?}");
        }
        assign(&mut host, None, None);
        assert!(disk(&host).expect_err("contents").waits_for.contains("ext4, ceph_bluestore"));
    }

    #[test]
    fn every_connected_nic_is_bonded_and_needs_an_agreed_port() {
        let host = a_host("a");
        let nics = bond_nics(&host, &network()).expect("two agreed ports");
        let bond = bond(&nics).expect("a bond");
        assert_eq!(bond.mac, host.boot_nic().expect("one booted").mac);
        assert_eq!(bond.members.len(), 2);

        let mut unknown = a_host("a");
        unknown.nics[1].port = harmony_core::host::PortWitnesses::default();
        assert!(bond_nics(&unknown, &network()).expect_err("unknown").waits_for.contains("switch port of eth1"));

        let mut disputed = a_host("a");
        disputed.nics[1].port.hear(WitnessKind::SwitchLldp, "rack/elsewhere".parse().expect("valid"));
        assert!(bond_nics(&disputed, &network()).expect_err("disputed").waits_for.contains("rack/elsewhere"));

        let mut apart = a_host("a");
        apart.nics[1] = a_nic("eth1", 2, "other/a-p1");
        let refused = bond_nics(&apart, &network()).expect_err("two switches").waits_for;
        assert!(refused.contains("on switches other and rack, which cannot bundle"), "{refused}");
        let pair = |one: &str, other: &str| [one, other].map(|name| name.parse().expect("valid"));
        let paired = |pairs: &[(&str, &str)]| NetworkPlan {
            mlag: pairs.iter().map(|(one, other)| pair(one, other)).collect(),
            ..network()
        };
        assert_eq!(bond_nics(&apart, &paired(&[("rack", "other")])).expect("a pair").len(), 2);
        // One switch of a pair and one of another, and three switches, are no pair.
        assert!(bond_nics(&apart, &paired(&[("rack", "third"), ("other", "fourth")])).is_err());
        apart.nics.push(a_nic("eth2", 3, "third/a-p2"));
        let refused = bond_nics(&apart, &paired(&[("rack", "other"), ("rack", "third")])).expect_err("three");
        assert!(refused.waits_for.contains("on switches other and third"), "{refused:?}");

        let mut unplugged = a_host("a");
        unplugged.nics[1].carrier = Some(false);
        assert!(bond_nics(&unplugged, &network()).expect_err("one NIC").waits_for.contains("a bond needs two"));

        let mut crossed = a_host("a");
        crossed.nics[1].port = crossed.nics[0].port.clone();
        assert!(bond_nics(&crossed, &network()).expect_err("one port").waits_for.contains("two of its NICs"));
    }
}
