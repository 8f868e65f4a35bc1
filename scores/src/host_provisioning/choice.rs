//! What is chosen for a host whose Score says nothing of disks and NICs: the only eligible disk, a bond of all NICs with a link.
//!
//! How, and what needs a person, is `harmony_core::boot::choice`.

use harmony_core::boot::choice::{self, Cabling, DiskHints, NicChoice};
use harmony_core::boot::{BondOptions, LinkPlan};
use harmony_core::host::{Disk, Host, Nic};
use harmony_core::net::PortRef;

pub(super) use harmony_core::boot::choice::{Undecided, describe_disk as describe};

/// The disk to install on.
pub(super) fn disk(host: &Host) -> Result<&Disk, Undecided> {
    choice::target_disk(host, &DiskHints::default(), None, None)
}

/// The NICs to bond, with their switch ports.
pub(super) fn bond_nics(host: &Host) -> Result<Vec<(&Nic, PortRef)>, Undecided> {
    choice::bond_nics(host, &NicChoice::All, &Cabling::default())
}

/// The bond, with the MAC of the NIC that booted.
pub(super) fn bond(members: &[(&Nic, PortRef)]) -> Option<LinkPlan> {
    choice::bond_of(members, BondOptions::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{disk as a_disk, host as a_host, nic as a_nic};
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
        let nics = bond_nics(&host).expect("two agreed ports");
        let bond = bond(&nics).expect("a bond");
        assert_eq!(bond.mac, host.boot_nic().expect("one booted").mac);
        assert_eq!(bond.members.len(), 2);

        let mut unknown = a_host("a");
        unknown.nics[1].port = harmony_core::host::PortWitnesses::default();
        assert!(bond_nics(&unknown).expect_err("unknown").waits_for.contains("switch port of eth1"));

        let mut disputed = a_host("a");
        disputed.nics[1].port.hear(WitnessKind::SwitchLldp, "rack/elsewhere".parse().expect("valid"));
        assert!(bond_nics(&disputed).expect_err("disputed").waits_for.contains("rack/elsewhere"));

        let mut apart = a_host("a");
        apart.nics[1] = a_nic("eth1", 2, "other/a-p1");
        assert!(bond_nics(&apart).expect_err("two switches").waits_for.contains("cannot bundle"));

        let mut unplugged = a_host("a");
        unplugged.nics[1].carrier = Some(false);
        assert!(bond_nics(&unplugged).expect_err("one NIC").waits_for.contains("a bond needs two"));

        let mut crossed = a_host("a");
        crossed.nics[1].port = crossed.nics[0].port.clone();
        assert!(bond_nics(&crossed).expect_err("one port").waits_for.contains("two of its NICs"));
    }
}
