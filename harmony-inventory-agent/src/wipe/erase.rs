//! Writing: opens a disk for this program alone, overwrites what makes it known, and reads that it is blank.
//!
//! Knows nothing of orders: whoever calls [`erase`] has decided. A regular file is erased as a block device
//! is, but for what only the kernel does for devices.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{major, minor};

use super::choice::Refusal;
use super::disk::Disk;
use super::ioctl;
use crate::root::Root;
use crate::signature;

/// Overwritten at each end of the disk.
const DISK_END_BYTES: u64 = 16 << 20;

/// Overwritten at each end of each partition.
const PARTITION_END_BYTES: u64 = 1 << 20;

/// Written and read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// How often the kernel is asked to read the partition table anew, and how long between: udev opens
/// partitions for a moment whenever a disk was written to.
const REREAD: (usize, Duration) = (40, Duration::from_millis(250));

/// Why a disk is not known to be blank. It has been written to.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// A write failed.
    #[error("cannot overwrite {disk} at byte {at}")]
    Write {
        /// The disk, by its kernel name; so below.
        disk: String,
        /// Where, in bytes from its start.
        at: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The disk did not take what was written to it.
    #[error("{disk} did not keep what was written to it")]
    Sync {
        /// The disk.
        disk: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel keeps partitions that are no more.
    #[error("{disk} was overwritten, but the kernel keeps its old partitions")]
    Partitions {
        /// The disk.
        disk: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be read, so that it is blank is not known.
    #[error("{disk} was overwritten, but cannot be read to see that it is blank")]
    Read {
        /// The disk.
        disk: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It does not hold what was written to it.
    #[error("{disk} was overwritten, but is not blank: {found}")]
    NotBlank {
        /// The disk.
        disk: String,
        /// What is there.
        found: String,
    },
}

impl EraseError {
    /// The next step.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Write { disk, .. } | Self::Sync { disk, .. } | Self::Read { disk, .. } => {
                format!("`dmesg` says what is wrong with {disk}; replace it, or run this again")
            }
            Self::Partitions { disk, .. } => {
                format!("`fuser /dev/{disk}*` says who has them open; end that, then run this again, or restart")
            }
            Self::NotBlank { disk, .. } => {
                format!("{disk} takes writes without keeping them, or something else writes to it: replace it")
            }
        }
    }
}

/// Opens a disk to be written to by nobody else. On a running machine the kernel refuses while any part of
/// the disk is mounted, swapped to or part of another device, in whatever namespace; and the device that
/// was opened is compared to what `/sys` says. A recorded tree has regular files for disks, never devices.
pub(crate) fn open(root: &Root, disk: &Disk) -> Result<File, Refusal> {
    let name = || disk.identity.name.clone();
    let path = disk.path();
    let exclusive = if root.is_live() { OFlag::O_EXCL } else { OFlag::empty() };
    let flags = exclusive | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let open = OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).open(root.path(&path));
    let mut file = open.map_err(|source| match source.kind() {
        io::ErrorKind::ResourceBusy => Refusal::Held { disk: name() },
        io::ErrorKind::ReadOnlyFilesystem => Refusal::ReadOnly { disk: name() },
        _ => Refusal::Open { disk: name(), source },
    })?;
    let other = |why: String| Refusal::NotThatDisk { disk: name(), path: path.clone(), why };
    let not_open = |source| Refusal::Open { disk: name(), source };
    let metadata = file.metadata().map_err(not_open)?;
    if root.is_live() {
        let number = format!("{}:{}", major(metadata.rdev()), minor(metadata.rdev()));
        let expected = disk.devices.first().map(|device| &device.number);
        if !metadata.file_type().is_block_device() || expected != Some(&number) {
            return Err(other(format!("it is not block device {}", expected.map_or("of any number", |number| number))));
        }
    } else if !metadata.is_file() {
        return Err(other("a recorded tree has regular files for disks".to_owned()));
    }
    let size_bytes = file.seek(SeekFrom::End(0)).map_err(not_open)?;
    if size_bytes != disk.size_bytes {
        return Err(other(format!("it has {size_bytes} bytes, not {}", disk.size_bytes)));
    }
    Ok(file)
}

/// Makes a disk blank, and reads that it is. Says whether the device took a discard of everything. Again, it
/// does the same again.
///
/// A run that is cut off must not leave partitions with contents that no table shows any more, since they would be
/// back as soon as a table of the same layout is written: so partitions go first, then all by discard, and
/// the start of the disk, with its table, last.
pub(crate) fn erase(file: &File, name: &str, size_bytes: u64, partitions: &[Range<u64>]) -> Result<bool, EraseError> {
    let disk = || name.to_owned();
    let sync = || file.sync_all().map_err(|source| EraseError::Sync { disk: disk(), source });
    let ranges = ranges(size_bytes, partitions);
    let (ends_of_disk, ends_of_partitions) = ranges.split_at(2);
    zero(file, name, ends_of_partitions)?;
    sync()?;
    let discarded = ioctl::discard(file, size_bytes);
    // Discarded blocks may read as anything, what was there before included.
    zero(file, name, ends_of_partitions)?;
    zero(file, name, &ends_of_disk[1..])?;
    sync()?;
    zero(file, name, &ends_of_disk[..1])?;
    sync()?;
    ioctl::flush_buffers(file).map_err(|error| EraseError::Sync { disk: disk(), source: error.into() })?;
    reread_partitions(file).map_err(|error| EraseError::Partitions { disk: disk(), source: error.into() })?;
    match found(file, size_bytes, &ranges) {
        Ok(None) => Ok(discarded),
        Ok(Some(found)) => Err(EraseError::NotBlank { disk: disk(), found }),
        Err(source) => Err(EraseError::Read { disk: disk(), source }),
    }
}

/// What is overwritten: start and end of the disk, then of each partition, in bytes. All within the disk.
///
/// Signatures are there: GPT in the first and last blocks; LVM in the first 2 KiB of its partition, and its
/// metadata in the first 1 MiB; md at the start or in the last 128 KiB; ZFS has labels in the first and last 512 KiB.
fn ranges(size_bytes: u64, partitions: &[Range<u64>]) -> Vec<Range<u64>> {
    let ends = |range: Range<u64>, bytes: u64| {
        let (start, end) = (range.start.min(size_bytes), range.end.min(size_bytes));
        let [first, last] = [start.saturating_add(bytes).min(end), end.saturating_sub(bytes).max(start)];
        [start..first, last..end]
    };
    let disk = ends(0..size_bytes, DISK_END_BYTES);
    disk.into_iter().chain(partitions.iter().flat_map(|range| ends(range.clone(), PARTITION_END_BYTES))).collect()
}

fn zero(file: &File, name: &str, ranges: &[Range<u64>]) -> Result<(), EraseError> {
    let zeros = vec![0; BUFFER_BYTES];
    for range in ranges {
        for (at, len) in pieces(range) {
            let written = file.write_all_at(&zeros[..len], at);
            written.map_err(|source| EraseError::Write { disk: name.to_owned(), at, source })?;
        }
    }
    Ok(())
}

/// Parts of a range that fit into the buffer: offset and length in bytes.
fn pieces(range: &Range<u64>) -> impl Iterator<Item = (u64, usize)> + use<> {
    let end = range.end;
    range
        .clone()
        .step_by(BUFFER_BYTES)
        .map(move |at| (at, usize::try_from(end - at).map_or(BUFFER_BYTES, |rest| rest.min(BUFFER_BYTES))))
}

fn reread_partitions(file: &File) -> nix::Result<()> {
    let (tries, between) = REREAD;
    for _ in 1..tries {
        match ioctl::reread_partitions(file) {
            Err(Errno::EBUSY) => thread::sleep(between),
            answer => return answer,
        }
    }
    ioctl::reread_partitions(file)
}

/// What is still there of a disk that was overwritten.
fn found(file: &File, size_bytes: u64, ranges: &[Range<u64>]) -> io::Result<Option<String>> {
    let mut buffer = vec![0; BUFFER_BYTES];
    for (at, len) in ranges.iter().flat_map(pieces) {
        file.read_exact_at(&mut buffer[..len], at)?;
        if let Some(within) = buffer[..len].iter().position(|byte| *byte != 0) {
            return Ok(Some(format!("byte {} is not 0", at + within as u64)));
        }
    }
    let signatures = signature::find(file, size_bytes)?;
    let shown = |signature: &harmony_core::report::v1::Signature| format!("{} ({})", signature.name, signature.kind);
    let signatures: Vec<String> = signatures.iter().map(shown).collect();
    Ok(if signatures.is_empty() { None } else { Some(format!("it holds {}", signatures.join(", "))) })
}

#[cfg(test)]
mod tests;
