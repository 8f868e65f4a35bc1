//! From a report to a host: the one place where the wire's words become the domain's.
//!
//! Pure. The report has passed `report::parse`, so its lists and texts are bounded; what it says is
//! still a stranger's word. What it could not read is not invented: single facts keep their last
//! known value, lists (disks, NICs) are what this report says.
//! Read next: [`super::identity`] for how the host is found that a report belongs to.

use std::collections::BTreeMap;

use super::{Disk, Firmware, HeardNeighbour, Host, Nic, SystemIdentity};
use crate::net::MacAddress;
use crate::report::v1;

/// Who the machine of a report is. MACs are those of [`nic_mac`].
#[must_use]
pub fn identity_in(report: &v1::Report) -> SystemIdentity {
    let uuid = report.system.uuid.as_deref().and_then(|text| text.parse().ok());
    SystemIdentity::new(uuid, report.system.serial.as_deref(), report.nics.iter().filter_map(nic_mac))
}

/// Brings a host's facts up to date with a report of it. Port witnesses stay with the MAC that
/// they are known for. Lifecycle, assignment, address and time are the caller's.
pub fn absorb(host: &mut Host, report: &v1::Report) {
    host.identity = host.identity.merge(&identity_in(report));
    let model = [&report.system.vendor, &report.system.product].map(|text| text.as_deref().unwrap_or_default().trim());
    let model = model.join(" ").trim().to_owned();
    host.model = Some(model).filter(|text| !text.is_empty()).or(host.model.take());
    host.firmware = match report.boot.firmware.as_deref() {
        Some("uefi") => Some(Firmware::Uefi),
        Some("bios") => Some(Firmware::Bios),
        _ => host.firmware,
    };
    host.cpus = report.cpu.threads.or(host.cpus);
    host.memory_bytes = report.memory.total_bytes.or(host.memory_bytes);
    host.nics = nics(std::mem::take(&mut host.nics), report);
    host.disks = report.disks.iter().enumerate().map(|(index, disk)| self::disk(report, index, disk)).collect();
    host.disks.sort_by(|a, b| a.name.cmp(&b.name));
    host.disks.dedup_by(|a, b| a.name == b.name);
}

/// The permanent MAC; where that is unknown, the one in use, unless a bond may have changed it.
fn nic_mac(nic: &v1::Nic) -> Option<MacAddress> {
    let in_use = nic.mac.as_ref().filter(|_| nic.bond.is_none());
    let mac: MacAddress = nic.permanent_mac.as_ref().or(in_use)?.parse().ok()?;
    mac.is_unicast().then_some(mac)
}

fn nics(known: Vec<Nic>, report: &v1::Report) -> Vec<Nic> {
    let mut known: BTreeMap<_, _> = known.into_iter().map(|nic| (nic.mac, nic)).collect();
    let mut said: BTreeMap<MacAddress, &v1::Nic> = BTreeMap::new();
    for nic in &report.nics {
        if let Some(mac) = nic_mac(nic) {
            said.entry(mac).or_insert(nic);
        }
    }
    // The one that booted is known anew, or not at all: two cannot have.
    let boot_known = said.values().any(|nic| nic.booted == Some(true));
    let nic = |(mac, nic): (MacAddress, &v1::Nic)| {
        let before = known.remove(&mac);
        let booted = if boot_known { nic.booted == Some(true) } else { before.as_ref().is_some_and(|nic| nic.booted) };
        Nic {
            name: nic.name.clone(),
            mac,
            speed_mbps: nic.speed_mbps,
            carrier: nic.carrier,
            booted,
            port: before.map(|nic| nic.port).unwrap_or_default(),
            lldp: nic.lldp.iter().map(heard).collect(),
        }
    };
    let mut nics: Vec<_> = said.into_iter().map(nic).collect();
    nics.sort_by(|a, b| a.name.cmp(&b.name));
    nics
}

fn heard(neighbour: &v1::LldpNeighbour) -> HeardNeighbour {
    HeardNeighbour {
        chassis: neighbour.chassis_id.clone(),
        port_id: neighbour.port_id.clone(),
        port_description: neighbour.port_description.clone(),
        system_name: neighbour.system_name.clone(),
    }
}

fn disk(report: &v1::Report, index: usize, disk: &v1::Disk) -> Disk {
    let serial = disk.serial.as_deref().map(str::trim).filter(|text| !text.is_empty());
    Disk {
        name: disk.name.clone(),
        by_id: by_id(&disk.by_id, serial),
        by_path: disk.by_path.iter().find(|link| is_link(link, "/dev/disk/by-path/")).cloned(),
        model: disk.model.clone(),
        serial: serial.map(str::to_owned),
        wwn: disk.wwn.clone(),
        size_bytes: disk.size_bytes.unwrap_or(0),
        rotational: disk.rotational,
        signatures: contents(report, index, disk),
    }
}

/// The link to order an installation by: one that shows the serial, so that a person can check it,
/// else a world wide name, else any. Links that udev would not have made are passed over.
fn by_id(links: &[String], serial: Option<&str>) -> Option<String> {
    let serial = serial.map(|text| text.replace(' ', "_"));
    let rank = |link: &&String| match &serial {
        Some(serial) if link.contains(serial.as_str()) => 0,
        _ if link.contains("/wwn-") || link.contains("/nvme-eui.") => 1,
        _ => 2,
    };
    links.iter().filter(|link| is_link(link, "/dev/disk/by-id/")).min_by_key(rank).cloned()
}

/// Whether udev could have made this link. Source: systemd, src/shared/device-nodes.c, `allow_listed_char_for_devnode`.
fn is_link(link: &str, folder: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"#+-.:=@_".contains(&b);
    link.strip_prefix(folder).is_some_and(|name| !name.is_empty() && name.bytes().all(allowed))
}

/// What an installation would destroy. A disk that could not be read is not blank.
fn contents(report: &v1::Report, index: usize, disk: &v1::Disk) -> Vec<String> {
    let mut contents: Vec<_> = disk.signatures.iter().map(|signature| signature.name.clone()).collect();
    for partition in &disk.partitions {
        if partition.signatures.is_empty() {
            contents.push(format!("{} of unknown contents", partition.name));
        }
        contents.extend(partition.signatures.iter().map(|s| format!("{} {}", partition.name, s.name)));
    }
    if let Some(reason) = report.why_absent(&format!("/disks/{index}/signatures")) {
        contents.push(format!("unreadable: {reason}"));
    }
    contents
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{FriendlyName, HostId, Lifecycle, WitnessKind};

    fn mac(last: u8) -> MacAddress {
        MacAddress::new([0x52, 0x54, 0, 0, 0, last])
    }

    fn nic(name: &str, last: u8) -> v1::Nic {
        v1::Nic { name: name.into(), permanent_mac: Some(mac(last).to_string()), ..v1::Nic::default() }
    }

    fn host() -> Host {
        let id = HostId::derive("x", 0);
        Host {
            name: FriendlyName::derive(&id, 0),
            id,
            identity: SystemIdentity::new(None, None, [mac(1)]),
            lifecycle: Lifecycle::Registered,
            assignment: None,
            model: None,
            firmware: None,
            cpus: None,
            memory_bytes: None,
            nics: Vec::new(),
            disks: Vec::new(),
            address: None,
            bmc: None,
            discovered_at: None,
            last_seen: None,
            revision: 0,
        }
    }

    fn report() -> v1::Report {
        let mut report = v1::Report { nics: vec![nic("eth1", 2), nic("eth0", 1)], ..v1::Report::default() };
        report.system.vendor = Some("LabCorp".into());
        report.system.product = Some("LabServer".into());
        report.system.serial = Some("SN-1".into());
        report.boot.firmware = Some("uefi".into());
        report.cpu.threads = Some(8);
        report.memory.total_bytes = Some(1 << 30);
        report
    }

    #[test]
    fn a_fact_that_could_not_be_read_keeps_its_last_value() {
        let mut host = host();
        absorb(&mut host, &report());
        absorb(&mut host, &v1::Report::default());
        assert_eq!(host.model.as_deref(), Some("LabCorp LabServer"));
        assert_eq!((host.firmware, host.cpus, host.memory_bytes), (Some(Firmware::Uefi), Some(8), Some(1 << 30)));
        assert_eq!(host.identity, SystemIdentity::new(None, Some("SN-1"), [mac(1), mac(2)]));
        assert!(host.nics.is_empty(), "a NIC that is no longer reported is not in the machine");
    }

    #[test]
    fn witnesses_stay_with_the_mac_when_the_name_changes() {
        let mut host = host();
        absorb(&mut host, &report());
        assert_eq!(host.nics.iter().map(|nic| nic.name.as_str()).collect::<Vec<_>>(), ["eth0", "eth1"]);
        host.nics[0].port.hear(WitnessKind::MacTable, "tor/1".parse().expect("valid"));
        let mut renamed = report();
        renamed.nics = vec![nic("eno1", 1), nic("eno2", 3)];
        absorb(&mut host, &renamed);
        assert_eq!(host.nics[0].port.agreed(), Some("tor/1".parse().expect("valid")));
        assert_eq!(host.nics[1].port.agreed(), None);
    }

    #[test]
    fn the_boot_nic_is_remembered_until_another_is_named() {
        let mut host = host();
        let mut first = report();
        first.nics[1].booted = Some(true);
        absorb(&mut host, &first);
        absorb(&mut host, &report());
        assert_eq!(host.boot_nic().map(|nic| nic.mac), Some(mac(1)));
        let mut second = report();
        second.nics[0].booted = Some(true);
        absorb(&mut host, &second);
        assert_eq!(host.nics.iter().filter(|nic| nic.booted).map(|nic| nic.mac).collect::<Vec<_>>(), [mac(2)]);
    }

    #[test]
    fn a_bond_member_is_known_by_its_permanent_mac_or_not_at_all() {
        let in_bond = |permanent: Option<u8>| v1::Nic {
            mac: Some(mac(9).to_string()),
            permanent_mac: permanent.map(|last| mac(last).to_string()),
            bond: Some("bond0".into()),
            ..v1::Nic::default()
        };
        assert_eq!(nic_mac(&in_bond(Some(1))), Some(mac(1)));
        assert_eq!(nic_mac(&in_bond(None)), None);
        assert_eq!(nic_mac(&v1::Nic { bond: None, ..in_bond(None) }), Some(mac(9)));
        let broadcast = v1::Nic { permanent_mac: Some("ff:ff:ff:ff:ff:ff".into()), ..v1::Nic::default() };
        assert_eq!(nic_mac(&broadcast), None);
    }

    #[test]
    fn neighbours_are_kept_and_are_no_witness() {
        let mut said = report();
        said.nics[1].lldp = vec![v1::LldpNeighbour {
            chassis_id: "52:54:00:aa:00:01".into(),
            port_id: "tor-1/7".into(),
            port_description: Some("rack 4".into()),
            ..v1::LldpNeighbour::default()
        }];
        let mut host = host();
        absorb(&mut host, &said);
        assert_eq!(host.nics[0].lldp[0].port_id, "tor-1/7");
        assert_eq!(host.nics[0].lldp[0].port_description.as_deref(), Some("rack 4"));
        assert_eq!(host.nics[0].port.iter().count(), 0);
    }

    #[test]
    fn a_link_that_shows_the_serial_is_preferred_and_forged_ones_are_not_taken() {
        let links = ["/dev/disk/by-id/ata-A_S1", "/dev/disk/by-id/wwn-0x1", "/dev/disk/by-id/x;reboot", "/dev/sda"];
        let links = links.map(str::to_owned);
        assert_eq!(by_id(&links, Some("S1")).as_deref(), Some("/dev/disk/by-id/ata-A_S1"));
        assert_eq!(by_id(&links, None).as_deref(), Some("/dev/disk/by-id/wwn-0x1"));
        assert_eq!(by_id(&links[2..], Some("S1")), None);
    }

    #[test]
    fn a_disk_is_blank_only_if_it_was_read() {
        let mut said = report();
        let partition = |name: &str, signatures: &[&str]| v1::Partition {
            name: name.into(),
            signatures: signatures.iter().map(|s| v1::Signature { kind: String::new(), name: (*s).into() }).collect(),
            ..v1::Partition::default()
        };
        said.disks = vec![
            v1::Disk { name: "vda".into(), serial: Some(" D1 ".into()), ..v1::Disk::default() },
            v1::Disk { name: "vdb".into(), ..v1::Disk::default() },
            v1::Disk {
                name: "vdc".into(),
                signatures: vec![v1::Signature { kind: "partition-table".into(), name: "gpt".into() }],
                partitions: vec![partition("vdc1", &["xfs"]), partition("vdc2", &[])],
                ..v1::Disk::default()
            },
        ];
        said.unread = vec![v1::Unread { fact: "/disks/1/signatures".into(), reason: "input/output error".into() }];
        let mut host = host();
        absorb(&mut host, &said);
        assert!(host.disks[0].signatures.is_empty());
        assert_eq!(host.disks[0].serial.as_deref(), Some("D1"));
        assert_eq!(host.disks[1].signatures, ["unreadable: input/output error"]);
        assert_eq!(host.disks[2].signatures, ["gpt", "vdc1 xfs", "vdc2 of unknown contents"]);
        said.disks = vec![said.disks[0].clone(), said.disks[0].clone()];
        absorb(&mut host, &said);
        assert_eq!(host.disks.len(), 1, "a name is one disk, whatever a report says");
    }
}
