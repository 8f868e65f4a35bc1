//! Memory: the total from the kernel, the modules from SMBIOS type 17.
//!
//! Source: DMTF DSP0134 3.7 clause 7.18.

use harmony_core::report::limits::MAX_DIMMS;
use harmony_core::report::v1::{Dimm, Memory};

use super::Notes;
use crate::root::{Reason, Root};
use crate::smbios::{Smbios, Structure};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

pub(super) fn collect(root: &Root, smbios: &Result<Smbios, Reason>, notes: &mut Notes) -> Memory {
    let mut memory = Memory { total_bytes: notes.keep("/memory/total_bytes", total_bytes(root)), ..Memory::default() };
    let smbios = match smbios {
        Ok(smbios) => smbios,
        Err(reason) => {
            notes.absent("/memory/dimms", reason);
            return memory;
        }
    };
    let mut devices: Vec<Structure<'_>> = smbios.of_type(17).collect();
    if devices.is_empty() {
        notes.absent("/memory/dimms", &"SMBIOS has no type 17");
    }
    notes.bound("/memory/dimms", &mut devices, MAX_DIMMS);
    for device in &devices {
        // Size 0: nothing is plugged in.
        if device.word(0x0c) == Some(0) {
            memory.empty_slots.extend(device.string(0x10).ok());
        } else {
            let dimm = dimm(device, &format!("/memory/dimms/{}", memory.dimms.len()), notes);
            memory.dimms.push(dimm);
        }
    }
    memory
}

fn total_bytes(root: &Root) -> Result<u64, Reason> {
    let meminfo = String::from_utf8_lossy(&root.bytes("proc/meminfo", 4096)?).into_owned();
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|total| total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.and_then(|kib| kib.checked_mul(KIB)).ok_or_else(|| Reason::new("/proc/meminfo has no MemTotal in kB"))
}

fn dimm(device: &Structure<'_>, fact: &str, notes: &mut Notes) -> Dimm {
    let speed = |word: usize, extended: usize| match (device.word(word), device.dword(extended)) {
        (None | Some(0), _) | (Some(0xffff), None | Some(0)) => Err(Reason::new("SMBIOS says that it is unknown")),
        (Some(0xffff), Some(speed)) => Ok(speed),
        (Some(speed), _) => Ok(speed.into()),
    };
    Dimm {
        slot: notes.keep(format_args!("{fact}/slot"), device.string(0x10)),
        size_bytes: notes.keep(format_args!("{fact}/size_bytes"), size_bytes(device)),
        kind: notes.keep(format_args!("{fact}/kind"), kind(device)),
        speed_mts: notes.keep(format_args!("{fact}/speed_mts"), speed(0x15, 0x54)),
        configured_speed_mts: notes.keep(format_args!("{fact}/configured_speed_mts"), speed(0x20, 0x58)),
        vendor: notes.keep(format_args!("{fact}/vendor"), device.string(0x17)),
        part: notes.keep(format_args!("{fact}/part"), device.string(0x1a)),
        serial: notes.keep(format_args!("{fact}/serial"), device.string(0x18)),
    }
}

/// In MiB, or in KiB with bit 15; `7fff` sends to the 32-bit field, which is in MiB.
fn size_bytes(device: &Structure<'_>) -> Result<u64, Reason> {
    match (device.word(0x0c), device.dword(0x1c)) {
        (Some(0x7fff), Some(mib)) => Ok(u64::from(mib & 0x7fff_ffff) * MIB),
        (None | Some(0xffff | 0x7fff), _) => Err(Reason::new("SMBIOS says that it is unknown")),
        (Some(size), _) if size & 0x8000 != 0 => Ok(u64::from(size & 0x7fff) * KIB),
        (Some(size), _) => Ok(u64::from(size) * MIB),
    }
}

/// In the words of `dmidecode`, which people search for.
///
/// Source: DSP0134 3.7 table 78.
fn kind(device: &Structure<'_>) -> Result<String, Reason> {
    const KINDS: [&str; 36] = [
        "Other",
        "Unknown",
        "DRAM",
        "EDRAM",
        "VRAM",
        "SRAM",
        "RAM",
        "ROM",
        "Flash",
        "EEPROM",
        "FEPROM",
        "EPROM",
        "CDRAM",
        "3DRAM",
        "SDRAM",
        "SGRAM",
        "RDRAM",
        "DDR",
        "DDR2",
        "DDR2 FB-DIMM",
        "Reserved",
        "Reserved",
        "Reserved",
        "DDR3",
        "FBD2",
        "DDR4",
        "LPDDR",
        "LPDDR2",
        "LPDDR3",
        "LPDDR4",
        "Logical non-volatile device",
        "HBM",
        "HBM2",
        "DDR5",
        "LPDDR5",
        "HBM3",
    ];
    match device.byte(0x12) {
        Some(kind @ 1..) => match KINDS.get(usize::from(kind) - 1) {
            Some(&"Unknown") => Err(Reason::new("SMBIOS says that it is unknown")),
            Some(name) => Ok((*name).to_owned()),
            None => Ok(format!("type {kind:#04x}")),
        },
        _ => Err(Reason::new("SMBIOS type 17 does not say")),
    }
}
