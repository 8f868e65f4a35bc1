//! Disks: `/sys/block` for what they are, `/dev/disk/by-id` and `by-path` for names that outlive a boot, the
//! devices themselves for what they hold.

use std::collections::BTreeMap;

use harmony_core::report::limits::{MAX_DISKS, MAX_ENTRIES};
use harmony_core::report::v1::{Disk, Partition};

use super::Notes;
use crate::root::{Reason, Root, clean};
use crate::signature::probe;

/// One folder per block device.
pub(crate) const BLOCK: &str = "sys/block";
const BY_ID: &str = "dev/disk/by-id";
const BY_PATH: &str = "dev/disk/by-path";

/// The unit of `size` in sysfs, whatever the disk's own. Source: Linux `Documentation/ABI/stable/sysfs-block`.
const SYSFS_SECTOR_BYTES: u64 = 512;

pub(super) fn collect(root: &Root, notes: &mut Notes) -> Vec<Disk> {
    let mut names = notes.keep("/disks", names(root)).unwrap_or_default();
    notes.bound("/disks", &mut names, MAX_DISKS);
    let by_id = if names.is_empty() { Ok(BTreeMap::new()) } else { links(root, BY_ID) };
    // Disks of many virtual machines have no such link, which says nothing of them.
    let mut by_path = links(root, BY_PATH).unwrap_or_default();
    let mut disks: Vec<Disk> =
        names.into_iter().enumerate().map(|(at, name)| disk(root, at, name, &by_id, notes)).collect();
    for (at, disk) in disks.iter_mut().enumerate() {
        disk.by_path = by_path.remove(&disk.name).unwrap_or_default();
        notes.bound(format_args!("/disks/{at}/by_path"), &mut disk.by_path, MAX_ENTRIES);
    }
    add_signatures(root, &mut disks, notes);
    disks
}

/// Kernel names of all disks.
pub(crate) fn names(root: &Root) -> Result<Vec<String>, Reason> {
    let mut names = root.names(BLOCK)?;
    // Loop, RAM and device-mapper devices have no device behind them; optical and floppy drives do.
    names.retain(|name| {
        root.exists(&format!("{BLOCK}/{name}/device")) && !name.starts_with("sr") && !name.starts_with("fd")
    });
    Ok(names)
}

fn disk(
    root: &Root,
    at: usize,
    name: String,
    by_id: &Result<BTreeMap<String, Vec<String>>, Reason>,
    notes: &mut Notes,
) -> Disk {
    let file = |attribute: &str| format!("{BLOCK}/{name}/{attribute}");
    let fact = |field: &str| format!("/disks/{at}/{field}");
    let by_id = match by_id {
        Ok(links) => links.get(&name).cloned().ok_or_else(|| Reason::new(format!("/{BY_ID} has no link to it"))),
        Err(reason) => Err(reason.clone()),
    };
    let mut by_id = notes.keep(fact("by_id"), by_id).unwrap_or_default();
    notes.bound(fact("by_id"), &mut by_id, MAX_ENTRIES);
    Disk {
        by_id,
        by_path: Vec::new(),
        model: notes.keep(fact("model"), first(root, &name, &["device/model", "device/name"])),
        serial: notes.keep(fact("serial"), serial(root, &name)),
        wwn: notes.keep(fact("wwn"), wwn(root, &name)),
        size_bytes: notes.keep(fact("size_bytes"), size_bytes(root, &file("size"))),
        logical_block_size_bytes: notes
            .keep(fact("logical_block_size_bytes"), root.number(&file("queue/logical_block_size"))),
        rotational: notes.keep(fact("rotational"), root.flag(&file("queue/rotational"))),
        bus: notes.keep(fact("bus"), bus(root, &name)),
        signatures: Vec::new(),
        partitions: partitions(root, at, &name, notes),
        name,
    }
}

fn partitions(root: &Root, at: usize, disk: &str, notes: &mut Notes) -> Vec<Partition> {
    let mut names = root.names(&format!("{BLOCK}/{disk}")).unwrap_or_default();
    names.retain(|name| root.exists(&format!("{BLOCK}/{disk}/{name}/partition")));
    notes.bound(format_args!("/disks/{at}/partitions"), &mut names, MAX_ENTRIES);
    let partition = |(number, name): (usize, String)| Partition {
        size_bytes: notes.keep(
            format_args!("/disks/{at}/partitions/{number}/size_bytes"),
            size_bytes(root, &format!("{BLOCK}/{disk}/{name}/size")),
        ),
        name,
        signatures: Vec::new(),
    };
    names.into_iter().enumerate().map(partition).collect()
}

fn add_signatures(root: &Root, disks: &mut [Disk], notes: &mut Notes) {
    // sysfs writes `!` for the `/` of device names such as `cciss/c0d0`.
    let device = |name: &str, size: Option<u64>| (name.replace('!', "/"), size.unwrap_or_default());
    let devices = |disk: &Disk| {
        let partitions = disk.partitions.iter().map(|part| device(&part.name, part.size_bytes));
        std::iter::once(device(&disk.name, disk.size_bytes)).chain(partitions).collect()
    };
    let asked: Vec<probe::Devices> = disks.iter().map(devices).collect();
    for (at, (disk, found)) in disks.iter_mut().zip(probe::signatures(root, &asked)).enumerate() {
        let mut found = found.into_iter();
        let whole = found.next().unwrap_or_else(|| Ok(Vec::new()));
        disk.signatures = notes.keep(format_args!("/disks/{at}/signatures"), whole).unwrap_or_default();
        for (number, (partition, found)) in disk.partitions.iter_mut().zip(found).enumerate() {
            let fact = format!("/disks/{at}/partitions/{number}/signatures");
            partition.signatures = notes.keep(fact, found).unwrap_or_default();
        }
    }
}

/// Links of a folder by the kernel name that they point to.
fn links(root: &Root, folder: &str) -> Result<BTreeMap<String, Vec<String>>, Reason> {
    let links = root.names(folder).map_err(|reason| Reason::new(format!("{reason} (udev makes it)")))?;
    let mut by_name = BTreeMap::<String, Vec<String>>::new();
    for link in links {
        if let Ok(name) = root.link_name(&format!("{folder}/{link}")) {
            by_name.entry(name).or_default().push(format!("/{folder}/{link}"));
        }
    }
    Ok(by_name)
}

/// The first of these attributes that says something.
fn first(root: &Root, name: &str, attributes: &[&str]) -> Result<String, Reason> {
    let found = attributes.iter().find_map(|attribute| root.text(&format!("{BLOCK}/{name}/{attribute}")).ok());
    found.ok_or_else(|| Reason::new(format!("none of {} says it", attributes.join(", "))))
}

/// NVMe and MMC have it at the device, virtio at the disk; SCSI and ATA in vital product data page 80h.
pub(crate) fn serial(root: &Root, name: &str) -> Result<String, Reason> {
    if let Ok(page) = root.bytes(&format!("{BLOCK}/{name}/device/vpd_pg80"), 256) {
        return unit_serial(&page);
    }
    first(root, name, &["device/serial", "serial"])
}

/// Page 80h: a header of four bytes, whose last two are the length, then the text.
///
/// Source: SPC-5 clause 7.7.20.
fn unit_serial(page: &[u8]) -> Result<String, Reason> {
    let text = match page {
        [_, 0x80, high, low, text @ ..] => text.get(..u16::from_be_bytes([*high, *low]).into()),
        _ => None,
    };
    let text = clean(text.ok_or_else(|| Reason::new("device/vpd_pg80 is no page 80h"))?);
    if text.is_empty() { Err(Reason::new("device/vpd_pg80 is blank")) } else { Ok(text) }
}

/// As udev writes it: `naa.5000…` becomes `0x5000…`; NVMe's stay.
pub(crate) fn wwn(root: &Root, name: &str) -> Result<String, Reason> {
    let wwid = first(root, name, &["wwid", "device/wwid"])?;
    match wwid.split_once('.') {
        Some(("naa", digits)) => Ok(format!("0x{digits}")),
        Some(("eui" | "nvme" | "uuid", _)) => Ok(wwid),
        _ => Err(Reason::new(format!("`{wwid}` is no world wide name"))),
    }
}

/// A number of sectors, in bytes.
pub(crate) fn size_bytes(root: &Root, file: &str) -> Result<u64, Reason> {
    let sectors: u64 = root.number(file)?;
    sectors.checked_mul(SYSFS_SECTOR_BYTES).ok_or_else(|| Reason::new(format!("/{file}: {sectors} is out of range")))
}

/// By the devices that the disk hangs on, nearest first, as the kernel names their folders.
fn bus(root: &Root, name: &str) -> Result<String, Reason> {
    if name.starts_with("nvme") {
        return Ok("nvme".to_owned());
    }
    if name.starts_with("mmcblk") {
        return Ok("mmc".to_owned());
    }
    let path = root.resolved(&format!("{BLOCK}/{name}"))?;
    let mut scsi = false;
    for component in path.iter().rev().filter_map(|component| component.to_str()) {
        let bus = match component.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, ':' | '-' | '.')) {
            "ata" => "sata",
            "end_device" => "sas",
            "usb" => "usb",
            "virtio" => "virtio",
            "session" => "iscsi",
            "rport" => "fc",
            "host" => {
                scsi = true;
                continue;
            }
            _ => continue,
        };
        return Ok(bus.to_owned());
    }
    if scsi {
        Ok("scsi".to_owned())
    } else {
        Err(Reason::new(format!("/{BLOCK}/{name} hangs on no bus that is known")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_page_80h_and_nothing_else() {
        assert_eq!(unit_serial(b"\0\x80\0\x08  ZC1Q2 "), Ok("ZC1Q2".into()));
        assert_eq!(unit_serial(b"\0\x80\0\x02ABCDEF"), Ok("AB".into()));
        for bad in [&b""[..], b"\0\x83\0\x02AB", b"\0\x80\0\x09AB", b"\0\x80\xff\xffAB", b"\0\x80\0\x02  "] {
            assert!(unit_serial(bad).is_err(), "{bad:?}");
        }
    }
}
