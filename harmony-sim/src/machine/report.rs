//! The report that a machine's agent would give: every fact of `report::v1`, made up where the spec
//! says nothing.
//!
//! The one place that says what a machine is made of: on the wire, the files that the real agent reads are made
//! from it (`crate::wire::tree`), so that both agents say the same.

use std::time::Duration;

use harmony_core::host::Firmware;
use harmony_core::report::v1;
use harmony_inventory_agent::by_name;
use harmony_inventory_agent::signature::marks;

use super::{Machine, Running};
use crate::spec::DiskSpec;
use crate::switch::SPEED_MBPS;
use crate::world::State;

/// The report of the live environment on a machine. None if something else runs there.
pub(crate) fn report(state: &State, id: usize, now: Duration) -> Option<v1::Report> {
    let machine = &state.machines[id];
    let Running::Live { nic: boot_nic, boot_id, since, address, .. } = &machine.running else { return None };
    let nic = |index: usize| {
        let nic = &machine.nics[index];
        let addresses = address
            .filter(|_| index == *boot_nic)
            .map(|address| v1::Address { address, prefix_len: state.network.cidr.prefix_len() });
        v1::Nic {
            name: nic.name.clone(),
            permanent_mac: Some(nic.mac.to_string()),
            mac: Some(nic.mac.to_string()),
            speed_mbps: nic.port.as_ref().map(|_| SPEED_MBPS),
            duplex: nic.port.as_ref().map(|_| "full".to_owned()),
            carrier: Some(nic.port.is_some()),
            driver: Some("virtio_net".to_owned()),
            pci_address: Some(pci_address(index)),
            bond: None,
            addresses: addresses.into_iter().collect(),
            booted: Some(index == *boot_nic),
            lldp: neighbours(state, id, index, *since, now),
            lldp_listened_s: Some(now.saturating_sub(*since).as_secs()),
        }
    };
    let mut report = v1::Report {
        schema: v1::SCHEMA.to_owned(),
        agent: v1::Agent { version: env!("CARGO_PKG_VERSION").to_owned(), peak_memory_bytes: Some(2 << 20) },
        boot: v1::Boot {
            boot_id: Some(boot_id.to_string()),
            uptime_s: Some(now.saturating_sub(*since).as_secs()),
            kernel: Some("5.14.0-sim".to_owned()),
            firmware: Some(if machine.firmware == Firmware::Uefi { "uefi" } else { "bios" }.to_owned()),
            secure_boot: (machine.firmware == Firmware::Uefi).then_some(false),
        },
        system: system(machine),
        cpu: v1::Cpu {
            architecture: Some("x86_64".to_owned()),
            vendor: Some("GenuineIntel".to_owned()),
            model: Some("Simulated CPU @ 2.00GHz".to_owned()),
            sockets: Some(1),
            cores: Some(4),
            threads: Some(8),
            flags: vec!["fpu".to_owned(), "vmx".to_owned()],
        },
        memory: v1::Memory { total_bytes: Some(16 << 30), dimms: vec![dimm()], empty_slots: Vec::new() },
        disks: machine.disks.iter().filter(|disk| disk.is_present).map(|disk| self::disk(&disk.spec)).collect(),
        pci: (0..machine.nics.len()).map(pci).collect(),
        nics: (0..machine.nics.len()).map(nic).collect(),
        bonds: Vec::new(),
        unread: Vec::new(),
    };
    report.disks.sort_by(|a, b| by_name(&a.name, &b.name));
    report.nics.sort_by(|a, b| by_name(&a.name, &b.name));
    report.unread = unread(&report);
    Some(report)
}

/// Says why what is absent is absent.
fn unread(report: &v1::Report) -> Vec<v1::Unread> {
    let mut unread = vec![("/system/bmc/address".to_owned(), "SMBIOS has no type 42")];
    for (at, disk) in report.disks.iter().enumerate() {
        unread.push((format!("/disks/{at}/wwn"), "a virtio disk has none"));
        if disk.serial.is_none() {
            unread.push((format!("/disks/{at}/serial"), "none of device/serial, serial says it"));
            unread.push((format!("/disks/{at}/by_id"), "/dev/disk/by-id has no link to it"));
        }
    }
    for (at, _) in report.nics.iter().enumerate().filter(|(_, nic)| nic.carrier == Some(false)) {
        unread.push((format!("/nics/{at}/speed_mbps"), "no link"));
        unread.push((format!("/nics/{at}/duplex"), "no link"));
    }
    unread.into_iter().map(|(fact, reason)| v1::Unread { fact, reason: reason.to_owned() }).collect()
}

/// What the agent heard by LLDP on a NIC since its system started.
fn neighbours(state: &State, id: usize, nic: usize, since: Duration, now: Duration) -> Vec<v1::LldpNeighbour> {
    let heard = || {
        let at = state.machines[id].nics[nic].port.as_ref()?;
        let switch = state.switches.get(&at.switch)?;
        let age = state.lldp_heard(state.port(at)?, since, now)?;
        Some(v1::LldpNeighbour {
            chassis_id: switch.mac.to_string(),
            chassis_id_kind: "mac".to_owned(),
            port_id: at.port.to_string(),
            port_id_kind: "interface-name".to_owned(),
            port_description: None,
            system_name: switch.names_itself.then(|| at.switch.to_string()),
            vlan_id: None,
            ttl_s: 120,
            age_s: age.as_secs(),
        })
    };
    heard().into_iter().collect()
}

fn system(machine: &Machine) -> v1::System {
    let text = |text: &str| Some(text.to_owned());
    let (vendor, product) = machine.bmc_personality.product();
    v1::System {
        vendor: text(vendor),
        product: text(product),
        serial: Some(machine.serial.clone()),
        uuid: Some(machine.uuid.to_string()),
        bios: v1::Bios { vendor: text("LabCorp"), version: text("1.0"), date: text("01/01/2026") },
        board: v1::Board {
            vendor: text("LabCorp"),
            product: text("SimBoard"),
            serial: Some(format!("B-{}", machine.serial)),
        },
        bmc: v1::Bmc { interface: text("kcs"), address: None },
    }
}

fn dimm() -> v1::Dimm {
    v1::Dimm {
        slot: Some("DIMM_A1".to_owned()),
        size_bytes: Some(16 << 30),
        kind: Some("DDR4".to_owned()),
        speed_mts: Some(3200),
        configured_speed_mts: Some(2933),
        vendor: Some("LabCorp".to_owned()),
        part: Some("M-16".to_owned()),
        serial: Some("0001".to_owned()),
    }
}

fn pci_address(nic: usize) -> String {
    format!("0000:00:{:02x}.0", nic + 3)
}

/// A virtio NIC's function. Source: virtio 1.1 section 4.1.2.1, a transitional network card.
fn pci(nic: usize) -> v1::PciDevice {
    let text = |text: &str| Some(text.to_owned());
    v1::PciDevice {
        address: pci_address(nic),
        vendor_id: text("1af4"),
        device_id: text("1000"),
        subsystem_vendor_id: text("1af4"),
        subsystem_device_id: text("0001"),
        class: text("020000"),
        gpu: false,
        driver: text("virtio-pci"),
    }
}

fn disk(spec: &DiskSpec) -> v1::Disk {
    let signatures: Vec<&str> = spec.signatures.iter().map(String::as_str).collect();
    let found = marks(&signatures, spec.size_bytes);
    v1::Disk {
        name: spec.name.clone(),
        by_id: spec.by_id(),
        by_path: Vec::new(),
        model: Some(spec.model.clone()),
        serial: spec.serial.clone(),
        wwn: None,
        size_bytes: Some(spec.size_bytes),
        logical_block_size_bytes: Some(512),
        rotational: Some(false),
        bus: Some(spec.bus.as_str().to_owned()),
        signatures: found.into_iter().map(|found| found.signature).collect(),
        partitions: Vec::new(),
    }
}
