//! Six machines, as their inventory agents would report them. `cluster.toml` names them by their serial numbers.

use std::net::{IpAddr, Ipv4Addr};

use harmony_core::host::{PortWitnesses, WitnessKind};
use harmony_core::report::v1;
use harmony_core::store::Store;
use jiff::Timestamp;

use crate::Failed;

/// How many there are.
const MACHINES: u8 = 6;
/// NICs of each.
const NICS: u8 = 2;

/// Puts all of them into an inventory, each NIC with the switch port that it is plugged into.
pub(crate) async fn report(store: &dyn Store, now: Timestamp) -> Result<(), Failed> {
    for number in 1..=MACHINES {
        let body = serde_json::to_string(&machine(number)).map_err(Failed::from_error)?;
        let address = IpAddr::V4(Ipv4Addr::new(10, 10, 0, 100 + number));
        let id = store.record_report(address, &body, now).await?;
        let host = store.host(&id).await?.ok_or_else(|| Failed::new(format!("host {id} is not in the inventory")))?;
        for (which, nic) in (1..).zip(&host.nics) {
            let port = format!("tor-1/p{}", (number - 1) * NICS + which);
            let mut witnesses = PortWitnesses::default();
            witnesses.hear(WitnessKind::AgentLldp, port.parse().map_err(Failed::from_error)?);
            store.set_port_witnesses(&id, nic.mac, &witnesses).await?;
        }
    }
    Ok(())
}

fn machine(number: u8) -> v1::Report {
    let disk = |name: &str, model: &str, serial: String, size_bytes: u64, rotational: bool| v1::Disk {
        name: name.to_owned(),
        by_id: vec![format!("/dev/disk/by-id/ata-{model}_{serial}")],
        model: Some(model.to_owned()),
        serial: Some(serial),
        size_bytes: Some(size_bytes),
        rotational: Some(rotational),
        bus: Some("sata".to_owned()),
        ..v1::Disk::default()
    };
    let mut disks = vec![disk("sda", "INTEL_SSDSC2KB480G8", format!("PHYF{number:04}"), 480_103_981_056, false)];
    // One that is not to be written: which disk is taken is for the description to say.
    if number > 1 {
        disks.push(disk("sdb", "ST4000NM0035", format!("ZC1{number:04}"), 4_000_787_030_016, true));
    }
    v1::Report {
        schema: v1::SCHEMA.to_owned(),
        boot: v1::Boot {
            // Half of each kind: what is served is the same.
            firmware: Some(if number.is_multiple_of(2) { "uefi" } else { "bios" }.to_owned()),
            ..v1::Boot::default()
        },
        system: v1::System {
            vendor: Some("Dell Inc.".to_owned()),
            product: Some("PowerEdge R640".to_owned()),
            serial: Some(format!("SN-{number:04}")),
            uuid: Some(format!("4c4c4544-0000-4000-8000-0000000000{number:02x}")),
            ..v1::System::default()
        },
        cpu: v1::Cpu { threads: Some(32), ..v1::Cpu::default() },
        memory: v1::Memory { total_bytes: Some(64 << 30), ..v1::Memory::default() },
        disks,
        nics: (1..=NICS).map(|which| nic(number, which)).collect(),
        ..v1::Report::default()
    }
}

fn nic(number: u8, which: u8) -> v1::Nic {
    let mac = format!("52:54:00:10:{number:02x}:{which:02x}");
    v1::Nic {
        name: format!("eno{which}"),
        permanent_mac: Some(mac.clone()),
        mac: Some(mac),
        speed_mbps: Some(25_000),
        carrier: Some(true),
        booted: Some(which == 1),
        ..v1::Nic::default()
    }
}
