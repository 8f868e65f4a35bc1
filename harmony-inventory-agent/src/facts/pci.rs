//! PCI functions by number. Names are looked up where the report is read, which saves a megabyte here.

use harmony_core::report::limits::MAX_PCI_DEVICES;
use harmony_core::report::v1::PciDevice;

use super::Notes;
use crate::root::{Reason, Root, clean};

const DEVICES: &str = "sys/bus/pci/devices";

/// Base classes of the PCI Code and ID Assignment Specification: display controllers and processing
/// accelerators.
const GPU_CLASSES: [&str; 2] = ["03", "12"];

/// Vendors whose display controllers are a BMC's text console: ASPEED, Matrox (G200 in servers).
const BMC_CONSOLE_VENDORS: [&str; 2] = ["1a03", "102b"];

pub(super) fn collect(root: &Root, notes: &mut Notes) -> Vec<PciDevice> {
    let mut addresses = notes.keep("/pci", root.names(DEVICES)).unwrap_or_default();
    addresses.sort_unstable();
    notes.bound("/pci", &mut addresses, MAX_PCI_DEVICES);
    addresses.into_iter().enumerate().map(|(at, address)| device(root, at, address, notes)).collect()
}

fn device(root: &Root, at: usize, address: String, notes: &mut Notes) -> PciDevice {
    // One read in place of six: the kernel sums up a device in `uevent`.
    let uevent = root.bytes(&format!("{DEVICES}/{address}/uevent"), 4096);
    let uevent = match uevent {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(reason) => {
            notes.absent(format_args!("/pci/{at}"), &reason);
            return PciDevice { address, ..PciDevice::default() };
        }
    };
    let value = |name: &str| uevent.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let absent = |name: &str| Reason::new(format!("/{DEVICES}/{address}/uevent has no {name}"));
    let ids = |name: &str| match value(name).and_then(|ids| ids.split_once(':')) {
        Some((vendor, device)) => (hex(vendor, 4), hex(device, 4)),
        None => (Err(absent(name)), Err(absent(name))),
    };
    let (vendor, product) = ids("PCI_ID");
    let (subsystem_vendor, subsystem) = ids("PCI_SUBSYS_ID");
    let class = value("PCI_CLASS").ok_or_else(|| absent("PCI_CLASS")).and_then(|class| hex(class, 6));
    let is_of = |id: &Result<String, Reason>, known: &[&str]| {
        id.as_ref().is_ok_and(|id| known.iter().any(|known| id.starts_with(known)))
    };
    let mut keep = |fact: &str, value| notes.keep(format_args!("/pci/{at}/{fact}"), value);
    PciDevice {
        gpu: is_of(&class, &GPU_CLASSES) && !is_of(&vendor, &BMC_CONSOLE_VENDORS),
        vendor_id: keep("vendor_id", vendor),
        device_id: keep("device_id", product),
        subsystem_vendor_id: keep("subsystem_vendor_id", subsystem_vendor),
        subsystem_device_id: keep("subsystem_device_id", subsystem),
        class: keep("class", class),
        driver: value("DRIVER").map(|driver| clean(driver.as_bytes())),
        address,
    }
}

/// A number as `uevent` prints it (`30200`, `10DE`), in lower case with leading zeros.
fn hex(text: &str, digits: usize) -> Result<String, Reason> {
    match u32::from_str_radix(text.trim(), 16) {
        Ok(number) if number >> (digits * 4) == 0 => Ok(format!("{number:0digits$x}")),
        _ => Err(Reason::new(format!(
            "uevent says `{}`, which is no number of {digits} hex digits",
            clean(text.as_bytes())
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_all_their_digits() {
        assert_eq!(hex("30200", 6), Ok("030200".into()));
        assert_eq!(hex("10DE", 4), Ok("10de".into()));
        for bad in ["", "10DE0", "xyz", "-1", "+1\u{1b}"] {
            assert!(hex(bad, 4).is_err(), "{bad}");
        }
    }
}
