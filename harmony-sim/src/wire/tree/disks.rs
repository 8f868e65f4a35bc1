//! `/sys/block`, `/dev/disk/by-id`, and the disks themselves: files without contents, save for what they are
//! recognised by.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use harmony_core::report::v1::{Disk, Signature};
use harmony_inventory_agent::signature::marks;

use super::Tree;
use super::nics::PCI;

/// The unit of `size`, whatever the disk's own. Source: Linux `Documentation/ABI/stable/sysfs-block`.
const SECTOR_BYTES: u64 = 512;

pub(super) fn lay_out(tree: &Tree, disks: &[Disk]) -> io::Result<()> {
    tree.folder("sys/block")?;
    tree.folder("dev/disk/by-id")?;
    tree.folder("dev/disk/by-path")?;
    disks.iter().enumerate().try_for_each(|(at, disk)| one(tree, at, disk))
}

fn one(tree: &Tree, at: usize, disk: &Disk) -> io::Result<()> {
    let name = &disk.name;
    // A function of its own, beyond those of the NICs.
    let function = format!("{PCI}/0001:{at:02x}:00.0");
    let scsi = format!("host{at}/target{at}:0:0/{at}:0:0:0");
    let (device, below) = match disk.bus.as_deref() {
        Some("nvme") => (format!("{function}/nvme/nvme{at}"), ""),
        Some("sata") => (format!("{function}/ata{at}/{scsi}"), "block/"),
        Some("sas") => (format!("{function}/port-{at}:0/end_device-{at}:0/{scsi}"), "block/"),
        Some("usb") => (format!("{function}/usb1/1-{at}/1-{at}:1.0/{scsi}"), "block/"),
        _ => (format!("{function}/virtio{at}"), "block/"),
    };
    let block = format!("{device}/{below}{name}");
    tree.link(&format!("sys/block/{name}"), &format!("../../{block}"))?;
    tree.link(&format!("{block}/device"), if below.is_empty() { ".." } else { "../.." })?;
    tree.maybe(&format!("{device}/model"), disk.model.as_ref())?;
    tree.maybe(&format!("{block}/size"), disk.size_bytes.map(|size| size / SECTOR_BYTES))?;
    tree.maybe(&format!("{block}/queue/logical_block_size"), disk.logical_block_size_bytes)?;
    tree.maybe(&format!("{block}/queue/rotational"), disk.rotational.map(u8::from))?;
    // The kernel's form of what udev writes as `0x5000…`.
    let wwid = disk.wwn.as_ref().map(|wwn| wwn.strip_prefix("0x").map_or(wwn.clone(), |wwn| format!("naa.{wwn}")));
    tree.maybe(&format!("{block}/wwid"), wwid)?;
    if let Some(serial) = &disk.serial {
        match disk.bus.as_deref() {
            Some("sata" | "sas" | "usb") => tree.bytes(&format!("{device}/vpd_pg80"), &page_80h(serial)?)?,
            Some("nvme") => tree.text(&format!("{device}/serial"), serial)?,
            _ => tree.text(&format!("{block}/serial"), serial)?,
        }
    }
    for link in disk.by_id.iter().chain(&disk.by_path) {
        tree.link(link.trim_start_matches('/'), &format!("../../{name}"))?;
    }
    contents(tree, name, disk.size_bytes.unwrap_or_default(), &disk.signatures)
}

/// Vital product data page 80h, the unit serial number. Source: SPC-5 clause 7.7.20.
fn page_80h(serial: &str) -> io::Result<Vec<u8>> {
    let length = u16::try_from(serial.len()).map_err(|_| io::Error::other("a serial number of 64 KiB"))?;
    Ok([&[0, 0x80][..], &length.to_be_bytes(), serial.as_bytes()].concat())
}

fn contents(tree: &Tree, name: &str, size_bytes: u64, signatures: &[Signature]) -> io::Result<()> {
    let file = File::create(tree.place(&format!("dev/{name}"))?)?;
    // Takes no room: it is all holes.
    file.set_len(size_bytes)?;
    let names: Vec<&str> = signatures.iter().map(|signature| signature.name.as_str()).collect();
    let mut bytes = marks(&names, size_bytes).into_iter().flat_map(|marks| marks.bytes);
    bytes.try_for_each(|(at, bytes)| file.write_all_at(&bytes, at))
}
