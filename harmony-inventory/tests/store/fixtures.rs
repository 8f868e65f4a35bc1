//! Machines, reports and orders to test with.

use std::net::{IpAddr, Ipv4Addr};

use harmony_core::boot::{BootToken, LinkPlan, Order, OrderId, OrderState};
use harmony_core::host::{Assignment, HostId, SystemIdentity};
use harmony_core::net::MacAddress;
use harmony_core::report::v1;
use harmony_core::secret::Secret;
use harmony_core::store::{Sighting, Store, StoreError};
use harmony_inventory::Inventory;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

pub(crate) async fn open_in(folder: &tempfile::TempDir) -> Inventory {
    let path = folder.path().join("harmony.db");
    Inventory::open(path.to_str().expect("UTF-8")).await.expect("opens")
}

/// A moment, in seconds after an arbitrary one.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000).expect("in range") + SignedDuration::from_secs(seconds)
}

/// NIC `nic` of machine `machine`.
pub(crate) fn mac(machine: u8, nic: u8) -> MacAddress {
    MacAddress::new([0x52, 0x54, 0, 0, machine, nic])
}

pub(crate) fn uuid(machine: u8) -> Uuid {
    Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_ee00 + u128::from(machine))
}

pub(crate) fn serial(machine: u8) -> String {
    format!("SN-{machine}")
}

pub(crate) fn address(machine: u8) -> IpAddr {
    Ipv4Addr::new(10, 10, 0, 100 + machine).into()
}

/// What iPXE tells of a machine with two NICs.
pub(crate) fn sighting(machine: u8) -> Sighting {
    let macs = [mac(machine, 0), mac(machine, 1)];
    Sighting {
        identity: SystemIdentity::new(Some(uuid(machine)), Some(&serial(machine)), macs),
        address: Some(address(machine)),
        agent_port: None,
        at: at(0),
    }
}

/// A sighting that knows nothing but MACs.
pub(crate) fn seen_by_mac(macs: &[MacAddress]) -> Sighting {
    Sighting { identity: SystemIdentity::new(None, None, macs.iter().copied()), ..sighting(0) }
}

/// What the agent of a machine with two NICs and a disk reports.
pub(crate) fn report(machine: u8) -> v1::Report {
    let nic = |nic: u8| v1::Nic {
        name: format!("eth{nic}"),
        permanent_mac: Some(mac(machine, nic).to_string()),
        mac: Some(mac(machine, nic).to_string()),
        speed_mbps: Some(1000),
        carrier: Some(true),
        booted: Some(nic == 0),
        lldp: vec![v1::LldpNeighbour { port_id: format!("m{machine}p{nic}"), ..v1::LldpNeighbour::default() }],
        ..v1::Nic::default()
    };
    let mut report = v1::Report { schema: v1::SCHEMA.into(), nics: vec![nic(0), nic(1)], ..v1::Report::default() };
    report.disks = vec![v1::Disk {
        name: "vda".into(),
        by_id: vec![format!("/dev/disk/by-id/virtio-D{machine}")],
        by_path: vec![format!("/dev/disk/by-path/pci-0000:00:{machine:02x}.0")],
        rotational: Some(false),
        serial: Some(format!("D{machine}")),
        size_bytes: Some(10 << 30),
        signatures: vec![v1::Signature { kind: "partition-table".into(), name: "gpt".into() }],
        ..v1::Disk::default()
    }];
    report.system.vendor = Some("LabCorp".into());
    report.system.uuid = Some(uuid(machine).to_string());
    report.system.serial = Some(serial(machine));
    report.boot.firmware = Some("uefi".into());
    report.cpu.threads = Some(4);
    report.memory.total_bytes = Some(1 << 30);
    report
}

pub(crate) fn body(report: &v1::Report) -> String {
    serde_json::to_string(report).expect("serialises")
}

/// Registers a machine by its report.
pub(crate) async fn discovered(store: &Inventory, machine: u8) -> HostId {
    store.record_report(address(machine), &body(&report(machine)), at(0)).await.expect("recorded")
}

pub(crate) fn assignment(role: &str) -> Assignment {
    Assignment { role: role.parse().expect("valid"), disk: None, erase: None }
}

/// Discovers a machine and gives it a role of its own.
pub(crate) async fn acquired(store: &Inventory, machine: u8) -> HostId {
    let host = discovered(store, machine).await;
    store.assign(&host, &assignment(&format!("node-{machine}")), at(1)).await.expect("assigned");
    host
}

/// An order for a host; address and name are those of the machine.
pub(crate) fn order(host: &HostId, number: u32, machine: u8) -> Order {
    Order {
        id: OrderId { host: host.clone(), number },
        role: format!("node-{machine}").parse().expect("valid"),
        hostname: format!("node-{machine}.lab").parse().expect("valid"),
        address: Ipv4Addr::new(10, 10, 0, machine).into(),
        disk_serial: format!("D{machine}"),
        disk_path: format!("/dev/disk/by-id/virtio-D{machine}"),
        link: LinkPlan::bond(
            "bond0",
            mac(machine, 0),
            vec![("eth0".into(), mac(machine, 0)), ("eth1".into(), mac(machine, 1))],
        ),
        issued_at: at(2),
        expires_at: at(3600),
        attempt: 1,
        state: OrderState::Issued,
        failure: None,
    }
}

/// Moves an issued order to its end.
pub(crate) async fn complete(store: &Inventory, id: &OrderId) {
    use OrderState as S;
    for (from, to) in
        [(S::Issued, S::Answered), (S::Answered, S::Installed), (S::Installed, S::Bonded), (S::Bonded, S::Complete)]
    {
        store.advance_order(id, from, to, None).await.expect("the next state");
    }
}

pub(crate) fn token(text: &str) -> BootToken {
    BootToken(Secret::new(text))
}

/// The text of a conflict; anything else fails the test.
#[track_caller]
pub(crate) fn conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Conflict(text)) => text,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

/// Fails unless `text` has each of the parts.
#[track_caller]
pub(crate) fn assert_names(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "expected `{part}` in `{text}`");
    }
}
