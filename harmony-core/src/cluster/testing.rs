//! A cluster and its hosts for the tests of this folder.

use crate::host::{
    Disk, Firmware, FriendlyName, Host, HostId, Lifecycle, Nic, PortWitnesses, SystemIdentity, WitnessKind,
};
use crate::net::MacAddress;

use super::{ClusterDescription, Endpoints};

pub(crate) fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect(text)
}

/// `ocp4.example.com` in 10.10.0.0/24: a bootstrap, three masters, two workers.
pub(crate) fn cluster() -> ClusterDescription {
    let endpoints = Endpoints { api: parse("10.10.0.5"), api_int: None, ingress: parse("10.10.0.6") };
    let roles = ["bootstrap", "master-0", "master-1", "master-2", "worker-0", "worker-1"].map(parse);
    ClusterDescription::new(parse("ocp4"), parse("example.com"), parse("10.10.0.0/24"), endpoints, roles)
}

/// A discovered host with two NICs at ports `tor/pN-0` and `-1`, 16 CPUs, 64 GiB, and one blank disk of 480 GB.
pub(crate) fn host(number: u8) -> Host {
    let id = HostId::derive(&format!("host-{number}"), 0);
    let nic = |which: u8| {
        let mut port = PortWitnesses::default();
        port.hear(WitnessKind::AgentLldp, parse(&format!("tor/p{number}-{which}")));
        Nic {
            name: format!("eno{}", which + 1),
            mac: MacAddress::new([0x52, 0x54, 0, 0, number, which]),
            speed_mbps: Some(10_000),
            carrier: Some(true),
            booted: which == 0,
            port,
            lldp: Vec::new(),
        }
    };
    let nics = vec![nic(0), nic(1)];
    Host {
        name: FriendlyName::derive(&id, 0),
        identity: SystemIdentity::new(None, Some(&format!("SN{number:03}")), nics.iter().map(|nic| nic.mac)),
        lifecycle: Lifecycle::Discovered,
        assignment: None,
        model: Some("LabCorp R740".into()),
        firmware: Some(Firmware::Uefi),
        cpus: Some(16),
        memory_bytes: Some(64 << 30),
        nics,
        disks: vec![disk(&format!("D{number}"))],
        address: None,
        bmc: None,
        discovered_at: None,
        last_seen: None,
        revision: 1,
        id,
    }
}

pub(crate) fn disk(serial: &str) -> Disk {
    Disk {
        name: "sda".into(),
        by_id: Some(format!("/dev/disk/by-id/ata-{serial}")),
        by_path: Some("/dev/disk/by-path/pci-0000:00:1f.2-ata-1".into()),
        model: Some("INTEL SSDSC2KB480G8".into()),
        serial: Some(serial.into()),
        wwn: Some("0x55cd2e404b66d3a8".into()),
        size_bytes: 480_103_981_056,
        rotational: Some(false),
        signatures: Vec::new(),
    }
}

pub(crate) fn hosts(count: u8) -> Vec<Host> {
    (0..count).map(host).collect()
}
