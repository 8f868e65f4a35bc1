//! The disks of this machine as a wipe sees them: by what each is named, and all that speaks against it.
//!
//! Reads sysfs only. Unlike the report, it knows no absent facts: of a disk that is to be wiped everything
//! must be known, so each failure is a [`Reason`] not to.

use std::ops::Range;

use super::users::{Use, Users};
use crate::facts::disks::{self, BLOCK};
use crate::root::{Reason, Root};

/// What a disk is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// By the kernel, such as `sda`.
    pub(crate) name: String,
    /// By its maker.
    pub(crate) serial: Option<String>,
    /// World Wide Name, as the report has it.
    pub(crate) wwn: Option<String>,
}

/// A disk that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) identity: Identity,
    pub(crate) size_bytes: u64,
    pub(crate) read_only: bool,
    /// Of the disk first, then of its partitions.
    pub(crate) devices: Vec<Device>,
    /// Where the partitions are, in bytes from the start of the disk.
    pub(crate) partitions: Vec<Range<u64>>,
    /// Who uses it or a part of it.
    pub(crate) uses: Vec<Use>,
}

/// A block device: a whole disk or a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    /// As in sysfs.
    pub(crate) name: String,
    /// `MAJOR:MINOR`.
    pub(crate) number: String,
}

/// All disks that could be meant.
pub(crate) fn identities(root: &Root) -> Result<Vec<Identity>, Reason> {
    let mut names = disks::names(root)?;
    // The paths of an NVMe multipath disk carry its serial, but are no devices of their own.
    names.retain(|name| !root.flag(&format!("{BLOCK}/{name}/hidden")).unwrap_or_default());
    Ok(names.iter().map(|name| identity(root, name)).collect())
}

fn identity(root: &Root, name: &str) -> Identity {
    Identity { name: name.to_owned(), serial: disks::serial(root, name).ok(), wwn: disks::wwn(root, name).ok() }
}

impl Disk {
    /// Reads all there is to know of a disk.
    pub(crate) fn read(root: &Root, name: &str, users: &Users) -> Result<Self, Reason> {
        let folder = format!("{BLOCK}/{name}");
        let mut names = root.names(&folder)?;
        names.retain(|part| root.exists(&format!("{folder}/{part}/partition")));
        let parts: Vec<String> = names.iter().map(|part| format!("{folder}/{part}")).collect();
        let mut devices = vec![Device { name: name.to_owned(), number: root.text(&format!("{folder}/dev"))? }];
        for (part, folder) in names.into_iter().zip(&parts) {
            devices.push(Device { name: part, number: root.text(&format!("{folder}/dev"))? });
        }
        let mut uses = Vec::new();
        for (device, folder) in devices.iter().zip(std::iter::once(&folder).chain(&parts)) {
            let holders = root.names(&format!("{folder}/holders"))?;
            uses.extend(holders.into_iter().map(|holder| Use::Holder { device: device.name.clone(), holder }));
            uses.extend(users.of(device));
        }
        Ok(Self {
            identity: identity(root, name),
            size_bytes: disks::size_bytes(root, &format!("{folder}/size"))?,
            read_only: root.flag(&format!("{folder}/ro"))?,
            partitions: parts.iter().map(|folder| range(root, folder)).collect::<Result<_, _>>()?,
            devices,
            uses,
        })
    }

    /// Path below `/dev`: sysfs writes `!` for the `/` of names such as `cciss/c0d0`.
    pub(crate) fn path(&self) -> String {
        format!("dev/{}", self.identity.name.replace('!', "/"))
    }
}

/// Where a partition is. Both attributes are in the sectors of sysfs, whatever the disk's own.
fn range(root: &Root, folder: &str) -> Result<Range<u64>, Reason> {
    let start = disks::size_bytes(root, &format!("{folder}/start"))?;
    let size = disks::size_bytes(root, &format!("{folder}/size"))?;
    let end = start.checked_add(size).ok_or_else(|| Reason::new(format!("/{folder}: ends nowhere")))?;
    Ok(start..end)
}
