//! Who made the machine, and which one it is: SMBIOS types 0, 1, 2; the BMC from types 38 and 42.
//!
//! Source: DMTF DSP0134 3.7 clauses 7.1 to 7.3, 7.39, 7.43; DSP0270 1.3 clause 8 (Redfish host interface).

use std::net::IpAddr;

use harmony_core::report::v1::{Bios, Bmc, Board, System};

use super::Notes;
use crate::root::Reason;
use crate::smbios::{Smbios, Structure};

pub(super) fn collect(smbios: &Result<Smbios, Reason>, notes: &mut Notes) -> System {
    let smbios = match smbios {
        Ok(smbios) => smbios,
        Err(reason) => {
            notes.absent("/system", reason);
            return System::default();
        }
    };
    let mut string = |fact: &str, kind: u8, offset: usize| {
        notes.keep(format_args!("/system/{fact}"), smbios.first(kind).and_then(|structure| structure.string(offset)))
    };
    let bios = Bios {
        vendor: string("bios/vendor", 0, 0x04),
        version: string("bios/version", 0, 0x05),
        date: string("bios/date", 0, 0x08),
    };
    let board = Board {
        vendor: string("board/vendor", 2, 0x04),
        product: string("board/product", 2, 0x05),
        serial: string("board/serial", 2, 0x07),
    };
    System {
        vendor: string("vendor", 1, 0x04),
        product: string("product", 1, 0x05),
        serial: string("serial", 1, 0x07),
        uuid: notes.keep("/system/uuid", smbios.uuid()),
        bios,
        board,
        bmc: Bmc {
            interface: notes.keep("/system/bmc/interface", bmc_interface(smbios)),
            address: notes.keep("/system/bmc/address", bmc_address(smbios)),
        },
    }
}

fn bmc_interface(smbios: &Smbios) -> Result<String, Reason> {
    let name = match smbios.first(38)?.byte(0x04) {
        Some(1) => "kcs",
        Some(2) => "smic",
        Some(3) => "bt",
        Some(4) => "ssif",
        _ => return Err(Reason::new("SMBIOS type 38 says that it is unknown")),
    };
    Ok(name.to_owned())
}

/// The address of the BMC's Redfish service as type 42 tells. Its address on the management network is
/// known to the BMC alone, which would have to be asked by IPMI.
fn bmc_address(smbios: &Smbios) -> Result<IpAddr, Reason> {
    smbios.first(42)?;
    let found = smbios.of_type(42).find_map(|interface| redfish_address(&interface));
    found.ok_or_else(|| Reason::new("SMBIOS type 42 names no Redfish service address"))
}

fn redfish_address(interface: &Structure<'_>) -> Option<IpAddr> {
    /// Network host interface.
    const NETWORK: u8 = 0x40;
    /// Redfish over IP.
    const REDFISH: u8 = 0x04;
    if interface.byte(0x04)? != NETWORK {
        return None;
    }
    // Interface data, then a count of protocol records: type, length, data.
    let mut records = interface.tail(0x06 + usize::from(interface.byte(0x05)?));
    let (count, rest) = records.split_first()?;
    records = rest;
    for _ in 0..*count {
        let (header, rest) = records.split_first_chunk::<2>()?;
        let (record, rest) = rest.split_at_checked(header[1].into())?;
        records = rest;
        if header[0] == REDFISH {
            // Offsets 51: format of the service's address, 52: the address, 16 bytes.
            let bytes: [u8; 16] = record.get(52..68)?.try_into().ok()?;
            let address = match record[51] {
                1 => IpAddr::from(*bytes.first_chunk::<4>()?),
                2 => IpAddr::from(bytes),
                _ => continue,
            };
            return Some(address).filter(|address| !address.is_unspecified());
        }
    }
    None
}
