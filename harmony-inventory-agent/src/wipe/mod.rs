//! Wiping disks: the one thing that the agent does to a machine, by hand or over SSH, never over HTTP.
//!
//! Nothing is erased by accident: a disk is written to only if an [`Order`] names it by its serial, it is the only one
//! of that name, and nobody uses it. All of that holds for every disk of the order before the first byte is
//! written to any; a disk stays open from then on, so that it cannot become another one.
//!
//! `order` is what is wanted; `choice` says which disks that is, or why not, of what `disk` and
//! `users` read; `erase` writes, with `gpt` to find partitions and `ioctl` to ask the kernel; then
//! `efivars` removes what `boot_entry` finds in the firmware. What runs on a recorded tree
//! writes to its regular files only.

use std::collections::BTreeSet;
use std::fs::File;

use serde::Serialize;

use crate::root::{Reason, Root};

mod boot_entry;
mod choice;
mod disk;
mod efivars;
mod erase;
mod gpt;
mod ioctl;
mod order;
mod users;

pub use choice::Refusal;
pub use efivars::EntryError;
pub use erase::EraseError;
pub use order::{DiskName, DiskNameError, Order};
pub use users::Use;

use disk::Disk;
use gpt::{Gpt, Guid};
use users::Users;

/// What was done, as it is printed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The disks that are blank now, in the order of the [`Order`].
    pub wiped: Vec<Wiped>,
    /// The boot entries that are gone, as in `Boot0003 Fedora CoreOS`.
    pub boot_entries_removed: Vec<String>,
}

/// A disk that is blank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wiped {
    /// The kernel's name of it, such as `sda`.
    pub name: String,
    /// Its device, such as `/dev/sda`.
    pub path: String,
    /// As it was named in the order: its serial, or `wwn:` and its World Wide Name.
    pub serial: String,
    /// Its size.
    pub size_bytes: u64,
    /// Whether all of it was discarded; if not, only what [`wipe`] names was overwritten.
    pub discarded: bool,
}

/// How far an order was carried out, once writing had begun.
#[derive(Debug)]
pub struct Outcome {
    /// What was done.
    pub report: Report,
    /// The disk that ended it. Those after it in the order have not been written to.
    pub failed: Option<EraseError>,
    /// Boot entries that may be there still.
    pub entries_failed: Vec<EntryError>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// A disk that is about to be wiped.
struct Target<'a> {
    ordered: &'a DiskName,
    disk: Disk,
    file: File,
    gpt: Gpt,
}

/// Wipes the disks of an order, one after the other, up to the first that fails.
///
/// Discards all of a disk where it can do that; overwrites with zeros its first and last 16 MiB and the first and
/// last 1 MiB of each partition, of the kernel's as of those in a GPT; makes the kernel forget its
/// partitions; and reads that it is blank. A disk that is blank already is wiped again. This is for a disk that is
/// installed anew, not for one that is given away: where nothing was discarded, data is there still.
///
/// Then, if ordered, removes boot entries that start from GPT partitions of the disks that were written to, except
/// those that another disk has too, as the copy of a disk does. A machine without UEFI has none.
///
/// Takes seconds for each disk; a discard may take minutes. A disk that does not answer is waited for as
/// long as the kernel does.
///
/// # Errors
/// [`Refusal`], when nothing was written to any disk. All else is in the [`Outcome`].
pub fn wipe(root: &Root, order: &Order) -> Result<Outcome, Refusal> {
    let targets = targets(root, order)?;
    let has_firmware = order.boot_entries && efivars::present(root).map_err(Refusal::BootEntries)?;
    let mut outcome =
        Outcome { report: Report::default(), failed: None, entries_failed: Vec::new(), notes: Vec::new() };
    let mut partitions = BTreeSet::new();

    // From here on disks are written to.
    for target in &targets {
        // Of the disk that fails, too: it has been written to, and nobody will find its GUIDs again.
        partitions.extend(&target.gpt.guids);
        match target.erase() {
            Ok(wiped) => outcome.report.wiped.push(wiped),
            Err(error) => {
                outcome.failed = Some(error);
                break;
            }
        }
    }
    if has_firmware {
        remove_boot_entries(root, &targets, partitions, &mut outcome);
    } else if order.boot_entries {
        outcome.notes.push("this machine was not started by UEFI, so it has no boot entries to remove".to_owned());
    }
    Ok(outcome)
}

/// The disks of an order, each found to be fit for it, and held so that nobody else begins to use it.
fn targets<'a>(root: &Root, order: &'a Order) -> Result<Vec<Target<'a>>, Refusal> {
    let identities = disk::identities(root).map_err(Refusal::Machine)?;
    let chosen = choice::choose(&order.disks, &identities)?;
    let users = Users::read(root).map_err(Refusal::Machine)?;
    let read = |name: &str| {
        Disk::read(root, name, &users).map_err(|reason| Refusal::Unreadable { disk: name.to_owned(), reason })
    };
    let mut targets = Vec::new();
    for (ordered, identity) in order.disks.iter().zip(chosen) {
        let name = &identity.name;
        let disk = read(name)?;
        choice::judge(&disk)?;
        let file = erase::open(root, &disk)?;
        // What is open stays what it is; what was read before that may have been of another disk.
        if disk.identity != *identity || read(name)? != disk {
            return Err(Refusal::Changed { disk: name.clone() });
        }
        let gpt = Gpt::read(&file, disk.size_bytes).map_err(|error| {
            let reason = Reason::io(&disk.path(), &error);
            Refusal::Unreadable { disk: name.clone(), reason }
        })?;
        targets.push(Target { ordered, disk, file, gpt });
    }
    Ok(targets)
}

impl Target<'_> {
    fn erase(&self) -> Result<Wiped, EraseError> {
        let Disk { identity, size_bytes, partitions, .. } = &self.disk;
        // Of a table that the kernel has not read, it knows no partitions.
        let partitions = [&partitions[..], &self.gpt.ranges].concat();
        let discarded = erase::erase(&self.file, &identity.name, *size_bytes, &partitions)?;
        Ok(Wiped {
            name: identity.name.clone(),
            path: format!("/{}", self.disk.path()),
            serial: self.ordered.to_string(),
            size_bytes: *size_bytes,
            discarded,
        })
    }
}

fn remove_boot_entries(root: &Root, targets: &[Target<'_>], mut partitions: BTreeSet<Guid>, outcome: &mut Outcome) {
    let entries = match efivars::read(root) {
        Ok(entries) => entries,
        Err(reason) => {
            outcome.entries_failed.push(EntryError { what: "the boot entries of these disks".to_owned(), reason });
            return;
        }
    };
    outcome.notes.extend(entries.malformed.iter().map(|entry| format!("{entry} is malformed, and was left alone")));
    outcome.entries_failed.extend(entries.unread);
    let mut entries = efivars::starting_from(entries.found, &partitions);
    if !entries.is_empty() {
        for guid in guids_of_others(root, targets) {
            partitions.remove(&guid);
        }
        let (ours, shared) = entries
            .into_iter()
            .partition::<Vec<_>, _>(|found| found.entry.partitions.iter().any(|guid| partitions.contains(guid)));
        let kept = |found: &efivars::Found| {
            format!("{} was left alone: another disk has a partition of the same GUID", found.shown())
        };
        outcome.notes.extend(shared.iter().map(kept));
        entries = ours;
    }
    let (removed, failed) = efivars::remove(root, &entries);
    outcome.report.boot_entries_removed = removed;
    outcome.entries_failed.extend(failed);
}

/// GUIDs of partitions of the disks that stay as they are. A disk that cannot be read has none: nothing
/// starts from it.
fn guids_of_others(root: &Root, targets: &[Target<'_>]) -> BTreeSet<Guid> {
    let is_target = |name: &str| targets.iter().any(|target| target.disk.identity.name == name);
    let others = disk::identities(root).unwrap_or_default().into_iter().filter(|disk| !is_target(&disk.name));
    let guids = others.filter_map(|other| {
        let size_bytes = crate::facts::disks::size_bytes(root, &format!("sys/block/{}/size", other.name)).ok()?;
        let file = root.open(&format!("dev/{}", other.name.replace('!', "/"))).ok()?;
        Some(Gpt::read(&file, size_bytes).ok()?.guids)
    });
    guids.flatten().collect()
}
