//! The SMBIOS tables of a machine, as the kernel shows what the firmware left.
//!
//! Source: DMTF DSP0134 3.7, clauses 5.2.2 (entry point), 6.1 (structures), 7.1 to 7.3, 7.5, 7.18, 7.39, 7.43;
//! DSP0270 1.3 clause 8 (Redfish host interface).

use std::io;
use std::net::IpAddr;

use harmony_core::report::v1::{Bmc, Cpu, Dimm, Memory, Report, System};
use uuid::Uuid;

use super::Tree;

/// Of the specification that the tables follow.
const VERSION: [u8; 2] = [3, 7];
const MIB: u64 = 1 << 20;
/// Sizes in MiB from here on are in the 32-bit field.
const EXTENDED: u64 = 0x7fff;

pub(super) fn lay_out(tree: &Tree, report: &Report) -> io::Result<()> {
    let mut table = Table::default();
    system(&mut table, &report.system);
    cpus(&mut table, &report.cpu);
    memory(&mut table, &report.memory);
    bmc(&mut table, &report.system.bmc);
    table.add(127, &[], &[]);
    let length = u32::try_from(table.bytes.len()).map_err(|_| io::Error::other("SMBIOS tables of 4 GiB"))?;
    // Checksum: nobody looks. Length of the entry point, version, revision; then where the table is.
    let mut entry = [&b"_SM3_\0\x18"[..], &VERSION, &[0, 1, 0], &length.to_le_bytes(), &[0; 8]].concat();
    entry[5] = entry.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
    tree.bytes("sys/firmware/dmi/tables/smbios_entry_point", &entry)?;
    tree.bytes("sys/firmware/dmi/tables/DMI", &table.bytes)
}

#[derive(Default)]
struct Table {
    bytes: Vec<u8>,
    structures: u16,
}

/// What a structure's fields are set to, by offset from its start, header included.
enum Field<'a> {
    Bytes(usize, &'a [u8]),
    /// Number and text of a string; none is number 0.
    Text(usize, Option<&'a String>),
}

use Field::{Bytes, Text};

impl Table {
    /// Adds a structure whose formatted part is `blank` after the header, with these fields in it.
    fn add(&mut self, kind: u8, blank: &[u8], fields: &[Field<'_>]) {
        let mut formatted = vec![kind, 0];
        formatted.extend(self.structures.to_le_bytes());
        formatted.extend(blank);
        formatted[1] = formatted.len() as u8;
        self.structures += 1;
        let mut strings = Vec::new();
        for field in fields {
            match field {
                Bytes(at, bytes) => formatted[*at..at + bytes.len()].copy_from_slice(bytes),
                Text(at, Some(text)) => {
                    strings.push(text.as_str());
                    formatted[*at] = strings.len() as u8;
                }
                Text(at, None) => formatted[*at] = 0,
            }
        }
        self.bytes.extend(formatted);
        for text in &strings {
            self.bytes.extend(text.bytes().filter(|byte| *byte != 0));
            self.bytes.push(0);
        }
        // A structure without strings ends with two zeros too.
        self.bytes.extend(if strings.is_empty() { &[0, 0][..] } else { &[0] });
    }
}

fn system(table: &mut Table, system: &System) {
    let bios = &system.bios;
    let fields = [Text(0x04, bios.vendor.as_ref()), Text(0x05, bios.version.as_ref()), Text(0x08, bios.date.as_ref())];
    table.add(0, &[0; 0x14], &fields);
    // The first three fields of the UUID are little-endian.
    let uuid = system.uuid.as_ref().and_then(|uuid| uuid.parse().ok()).unwrap_or(Uuid::nil()).to_bytes_le();
    let fields = [
        Text(0x04, system.vendor.as_ref()),
        Text(0x05, system.product.as_ref()),
        Text(0x07, system.serial.as_ref()),
        Bytes(0x08, &uuid),
    ];
    table.add(1, &[0; 0x17], &fields);
    let board = &system.board;
    let fields =
        [Text(0x04, board.vendor.as_ref()), Text(0x05, board.product.as_ref()), Text(0x07, board.serial.as_ref())];
    table.add(2, &[0; 0x0b], &fields);
}

fn cpus(table: &mut Table, cpu: &Cpu) {
    let sockets = cpu.sockets.unwrap_or_default();
    let each = |all: Option<u32>| u8::try_from(all.unwrap_or_default() / sockets.max(1)).unwrap_or(u8::MAX);
    for socket in 0..sockets {
        let name = format!("CPU{socket}");
        let fields = [
            Text(0x04, Some(&name)),
            // A central processor.
            Bytes(0x05, &[3]),
            Text(0x07, cpu.vendor.as_ref()),
            Text(0x10, cpu.model.as_ref()),
            Bytes(0x23, &[each(cpu.cores), each(cpu.cores), each(cpu.threads)]),
        ];
        table.add(4, &[0; 0x2c], &fields);
    }
}

fn memory(table: &mut Table, memory: &Memory) {
    memory.dimms.iter().for_each(|dimm| self::dimm(table, dimm));
    for slot in &memory.empty_slots {
        table.add(17, &[0; 0x58], &[Text(0x10, Some(slot))]);
    }
}

fn dimm(table: &mut Table, dimm: &Dimm) {
    /// "Unknown", of sizes.
    const UNKNOWN: u16 = 0xffff;
    let mib = dimm.size_bytes.map(|bytes| bytes / MIB);
    let (size, extended) = match mib {
        None => (UNKNOWN, 0),
        Some(mib) if mib >= EXTENDED => (EXTENDED as u16, u32::try_from(mib).unwrap_or(0x7fff_ffff)),
        Some(mib) => (mib as u16, 0),
    };
    // Source: table 78; 2 is "unknown".
    let kind = match dimm.kind.as_deref() {
        Some("DDR3") => 0x18,
        Some("DDR4") => 0x1a,
        Some("DDR5") => 0x22,
        _ => 2,
    };
    let speed = |speed: Option<u32>| u16::try_from(speed.unwrap_or_default()).unwrap_or_default().to_le_bytes();
    let fields = [
        Bytes(0x0c, &size.to_le_bytes()),
        Text(0x10, dimm.slot.as_ref()),
        Bytes(0x12, &[kind]),
        Bytes(0x15, &speed(dimm.speed_mts)),
        Text(0x17, dimm.vendor.as_ref()),
        Text(0x18, dimm.serial.as_ref()),
        Text(0x1a, dimm.part.as_ref()),
        Bytes(0x1c, &extended.to_le_bytes()),
        Bytes(0x20, &speed(dimm.configured_speed_mts)),
    ];
    table.add(17, &[0; 0x58], &fields);
}

fn bmc(table: &mut Table, bmc: &Bmc) {
    let interface = match bmc.interface.as_deref() {
        Some("kcs") => Some(1),
        Some("smic") => Some(2),
        Some("bt") => Some(3),
        Some("ssif") => Some(4),
        _ => None,
    };
    if let Some(interface) = interface {
        table.add(38, &[0; 0x0e], &[Bytes(0x04, &[interface])]);
    }
    if let Some(address) = bmc.address {
        // A network host interface without data of its own; one protocol record, Redfish over IP, whose offset 51
        // says what sort of address is at 52.
        let mut record = vec![0; 0x6b];
        match address {
            IpAddr::V4(v4) => {
                record[51] = 1;
                record[52..56].copy_from_slice(&v4.octets());
            }
            IpAddr::V6(v6) => {
                record[51] = 2;
                record[52..68].copy_from_slice(&v6.octets());
            }
        }
        let blank = [&[0x40, 0, 1, 0x04, record.len() as u8][..], &record].concat();
        table.add(42, &blank, &[]);
    }
}
