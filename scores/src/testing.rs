//! Hosts and their network for the tests of this crate.

use harmony_core::capability::{AddressRange, NetworkPlan};
use harmony_core::host::{
    Disk, Firmware, FriendlyName, Host, HostId, Lifecycle, Nic, PortWitnesses, SystemIdentity, WitnessKind,
};
use harmony_core::net::MacAddress;
use jiff::Timestamp;

/// A discovered host with two NICs at `rack/NAME-p0` and `-p1`, and one blank disk `DISK-NAME`.
pub(crate) fn host(name: &str) -> Host {
    let id = HostId::derive(name, 0);
    let unique = name.bytes().next().unwrap_or(0);
    let nics = vec![
        Nic { booted: true, ..nic("eth0", unique * 2, &format!("rack/{name}-p0")) },
        nic("eth1", unique * 2 + 1, &format!("rack/{name}-p1")),
    ];
    Host {
        name: FriendlyName::derive(&id, 0),
        identity: SystemIdentity::new(None, Some(&format!("SN-{name}")), nics.iter().map(|nic| nic.mac)),
        lifecycle: Lifecycle::Discovered,
        assignment: None,
        model: Some("LabServer".into()),
        firmware: Some(Firmware::Uefi),
        cpus: Some(1),
        memory_bytes: Some(512 << 20),
        nics,
        disks: vec![disk(&format!("DISK-{name}"))],
        address: "10.10.0.101".parse().ok(),
        bmc: name.parse().ok(),
        discovered_at: Some(Timestamp::UNIX_EPOCH),
        last_seen: Some(Timestamp::UNIX_EPOCH),
        revision: 1,
        id,
    }
}

/// A connected NIC whose port LLDP and the MAC table agree on.
pub(crate) fn nic(name: &str, last: u8, port: &str) -> Nic {
    let mut witnesses = PortWitnesses::default();
    let port: harmony_core::net::PortRef = port.parse().expect("a port");
    witnesses.hear(WitnessKind::AgentLldp, port.clone());
    witnesses.hear(WitnessKind::MacTable, port);
    Nic {
        name: name.into(),
        mac: MacAddress::new([0x52, 0x54, 0, 0, 1, last]),
        speed_mbps: Some(1000),
        carrier: Some(true),
        booted: false,
        port: witnesses,
        lldp: Vec::new(),
    }
}

/// A blank disk of 10 GB.
pub(crate) fn disk(serial: &str) -> Disk {
    Disk {
        name: "vda".into(),
        by_id: Some(format!("/dev/disk/by-id/virtio-{serial}")),
        by_path: None,
        model: None,
        serial: Some(serial.into()),
        wwn: None,
        size_bytes: 10_000_000_000,
        rotational: None,
        signatures: Vec::new(),
    }
}

/// A network with room for two hosts.
pub(crate) fn network() -> NetworkPlan {
    let range = |first: &str, last: &str| AddressRange {
        first: first.parse().expect("valid"),
        last: last.parse().expect("valid"),
    };
    NetworkPlan {
        cidr: "10.10.0.0/24".parse().expect("valid"),
        address: "10.10.0.1".parse().expect("valid"),
        vlan: 10.try_into().expect("valid"),
        pool: range("10.10.0.100", "10.10.0.199"),
        hosts: range("10.10.0.11", "10.10.0.12"),
        host_ports: Vec::new(),
        mlag: Vec::new(),
    }
}
