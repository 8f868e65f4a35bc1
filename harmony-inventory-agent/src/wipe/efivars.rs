//! Boot entries in the firmware, through the files of efivarfs: read, removed, and read again.
//!
//! Below a [`Root`], so that a folder stands in for the firmware. What the bytes mean is in
//! [`super::boot_entry`].

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;

use super::boot_entry::{self, BOOT_ORDER, BootEntry};
use super::gpt::Guid;
use super::ioctl;
use crate::root::{Reason, Root};

const EFI: &str = "sys/firmware/efi";
const EFIVARS: &str = "sys/firmware/efi/efivars";

/// Bytes read of a variable. Boot entries have a few hundred.
const MAX_VARIABLE: u64 = 64 << 10;

/// A boot entry is there still, or may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot remove {what}: {reason}")]
pub struct EntryError {
    /// Which: number and description, or `BootOrder`.
    pub what: String,
    /// Why not.
    pub reason: Reason,
}

impl EntryError {
    /// The next step.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "`efibootmgr --bootnum NUMBER --delete-bootnum` removes it, or the firmware's own menu does"
    }
}

/// A boot entry of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    file: String,
    number: u16,
    pub(crate) entry: BootEntry,
}

impl Found {
    /// As `efibootmgr` shows it.
    pub(crate) fn shown(&self) -> String {
        shown(self.number, &self.entry.label)
    }
}

fn shown(number: u16, label: &str) -> String {
    format!("Boot{number:04X} {label}").trim_end().to_owned()
}

/// All boot entries, and what could not be read as such.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    pub(crate) found: Vec<Found>,
    /// Not understood, so that they start from no disk that we know of: numbers only.
    pub(crate) malformed: Vec<String>,
    pub(crate) unread: Vec<EntryError>,
}

/// Whether there is firmware that keeps boot entries. A machine without UEFI has none.
///
/// # Errors
/// There is, but what it keeps is not to be seen.
pub(crate) fn present(root: &Root) -> Result<bool, Reason> {
    if !root.exists(EFI) {
        return Ok(false);
    }
    // The folder is there, and empty, when nothing is mounted on it.
    match root.names(EFIVARS)?.is_empty() {
        true => Err(Reason::new(format!("/{EFIVARS}: is empty, so efivarfs is not mounted"))),
        false => Ok(true),
    }
}

/// Reads all boot entries.
pub(crate) fn read(root: &Root) -> Result<Entries, Reason> {
    let mut entries = Entries::default();
    for file in root.names(EFIVARS)? {
        let Some(number) = boot_entry::number(&file) else { continue };
        match root.bytes(&format!("{EFIVARS}/{file}"), MAX_VARIABLE) {
            Ok(bytes) => match BootEntry::parse(&bytes) {
                Some(entry) => entries.found.push(Found { file, number, entry }),
                None => entries.malformed.push(shown(number, "")),
            },
            Err(reason) => entries.unread.push(EntryError { what: shown(number, ""), reason }),
        }
    }
    Ok(entries)
}

/// The entries that start from one of these partitions.
pub(crate) fn starting_from(entries: Vec<Found>, partitions: &BTreeSet<Guid>) -> Vec<Found> {
    let starts = |found: &Found| found.entry.partitions.iter().any(|guid| partitions.contains(guid));
    entries.into_iter().filter(starts).collect()
}

/// Removes entries, then their numbers from the order. Says which are gone, and what went wrong; an entry that
/// cannot be removed stays in the order, too.
pub(crate) fn remove(root: &Root, entries: &[Found]) -> (Vec<String>, Vec<EntryError>) {
    let (mut removed, mut numbers, mut failed) = (Vec::new(), BTreeSet::new(), Vec::new());
    for found in entries {
        match remove_file(root, &found.file) {
            Ok(()) => {
                numbers.insert(found.number);
                removed.push(found.shown());
            }
            Err(reason) => failed.push(EntryError { what: found.shown(), reason }),
        }
    }
    if !numbers.is_empty()
        && let Err(reason) = reorder(root, &numbers)
    {
        let numbers: Vec<String> = numbers.iter().map(|number| format!("{number:04X}")).collect();
        failed.push(EntryError { what: format!("{} from BootOrder", numbers.join(", ")), reason });
    }
    (removed, failed)
}

fn remove_file(root: &Root, file: &str) -> Result<(), Reason> {
    let path = format!("{EFIVARS}/{file}");
    let removed = unlocked(root, &path, OpenOptions::new().read(true)).and_then(|_| fs::remove_file(root.path(&path)));
    removed.map_err(|error| Reason::io(&path, &error))?;
    // Firmware has been seen to say yes and do nothing.
    if root.exists(&path) { Err(Reason::new(format!("/{path}: is there still"))) } else { Ok(()) }
}

/// Takes numbers out of `BootOrder`. Firmware may have none.
fn reorder(root: &Root, numbers: &BTreeSet<u16>) -> Result<(), Reason> {
    let path = format!("{EFIVARS}/{BOOT_ORDER}");
    if !root.exists(&path) {
        return Ok(());
    }
    let malformed = || Reason::new(format!("/{path}: is no list of numbers"));
    let before = root.bytes(&path, MAX_VARIABLE)?;
    let after = boot_entry::without(&before, numbers).ok_or_else(malformed)?;
    if after == before {
        return Ok(());
    }
    // To write a variable without a value is to remove it.
    if boot_entry::is_empty(&after) {
        return remove_file(root, BOOT_ORDER);
    }
    write(root, &path, &after).map_err(|error| Reason::io(&path, &error))?;
    let found = root.bytes(&path, MAX_VARIABLE)?;
    match boot_entry::without(&found, numbers).ok_or_else(malformed)? == found {
        true => Ok(()),
        false => Err(Reason::new(format!("/{path}: the firmware did not keep what was written"))),
    }
}

/// A variable is set by one write of attributes and value.
fn write(root: &Root, path: &str, bytes: &[u8]) -> io::Result<()> {
    // First through a descriptor that reads: a file that is immutable is not opened for writing.
    unlocked(root, path, OpenOptions::new().read(true))?;
    let mut file = unlocked(root, path, OpenOptions::new().write(true))?;
    let len = bytes.len();
    if file.write(bytes)? != len {
        return Err(io::Error::new(io::ErrorKind::WriteZero, "only a part was written"));
    }
    // On efivarfs the size is that of the value by now; an ordinary file has the rest of the longer one.
    if file.metadata()?.len() > len as u64 {
        file.set_len(len as u64)?;
    }
    Ok(())
}

/// Opens a variable, and takes the flag from it that protects it against `rm -rf`.
fn unlocked(root: &Root, path: &str, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = options.custom_flags(flags.bits()).open(root.path(path))?;
    ioctl::make_mutable(&file)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::super::boot_entry::tests::{from_network, from_partition};
    use super::*;

    const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
    const OURS: Guid = [0xab; 16];
    const THEIRS: Guid = [0xcd; 16];

    /// A folder that stands in for efivarfs.
    struct Firmware(tempfile::TempDir);

    impl Firmware {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("folder");
            fs::create_dir_all(folder.path().join(EFIVARS)).expect("folders");
            Self(folder)
        }

        fn set(&self, name: &str, bytes: &[u8]) -> &Self {
            fs::write(self.0.path().join(EFIVARS).join(format!("{name}-{GLOBAL}")), bytes).expect("a file");
            self
        }

        fn get(&self, name: &str) -> Option<Vec<u8>> {
            fs::read(self.0.path().join(EFIVARS).join(format!("{name}-{GLOBAL}"))).ok()
        }

        fn root(&self) -> Root {
            Root::recorded(self.0.path())
        }

        fn remove(&self) -> (Vec<String>, Vec<EntryError>) {
            let entries = read(&self.root()).expect("reads");
            remove(&self.root(), &starting_from(entries.found, &BTreeSet::from([OURS])))
        }
    }

    #[test]
    fn only_entries_of_these_partitions_go_and_the_order_follows() {
        let firmware = Firmware::new();
        firmware
            .set("Boot0000", &from_network("UEFI PXEv4"))
            .set("Boot0003", &from_partition("Fedora CoreOS", OURS))
            .set("Boot000A", &from_partition("Windows Boot Manager", THEIRS))
            .set("Boot001F", &from_partition("", OURS))
            .set("BootOrder", b"\x07\0\0\0\x03\0\0\0\x1f\0\x0a\0");
        assert_eq!(firmware.remove(), (vec!["Boot0003 Fedora CoreOS".to_owned(), "Boot001F".to_owned()], vec![]));
        assert_eq!(firmware.get("BootOrder").as_deref(), Some(&b"\x07\0\0\0\0\0\x0a\0"[..]));
        assert!(firmware.get("Boot0003").is_none() && firmware.get("Boot001F").is_none());
        assert!(firmware.get("Boot0000").is_some() && firmware.get("Boot000A").is_some());
        assert_eq!(firmware.remove(), (vec![], vec![]), "again");
    }

    #[test]
    fn an_order_of_nothing_is_no_order() {
        let firmware = Firmware::new();
        firmware.set("Boot0003", &from_partition("x", OURS)).set("BootOrder", b"\x07\0\0\0\x03\0");
        assert_eq!(firmware.remove(), (vec!["Boot0003 x".to_owned()], vec![]));
        assert_eq!(firmware.get("BootOrder"), None);
        firmware.set("Boot0003", &from_partition("x", OURS));
        assert_eq!(firmware.remove(), (vec!["Boot0003 x".to_owned()], vec![]), "without an order at all");
    }

    #[test]
    fn what_is_malformed_stays_and_is_named() {
        let firmware = Firmware::new();
        let mut cut = from_partition("x", OURS);
        cut.truncate(40);
        firmware.set("Boot0001", &cut).set("Boot0002", b"").set("Boot0003", &from_partition("y", OURS));
        firmware.set("BootOrder", b"\x07\0\0\0\x03");
        let entries = read(&firmware.root()).expect("reads");
        assert_eq!((entries.malformed, entries.found.len()), (vec!["Boot0001".to_owned(), "Boot0002".to_owned()], 1));
        let (removed, failed) = firmware.remove();
        assert_eq!(removed, ["Boot0003 y"]);
        let failed: Vec<String> = failed.iter().map(ToString::to_string).collect();
        let expected =
            format!("cannot remove 0003 from BootOrder: /{EFIVARS}/BootOrder-{GLOBAL}: is no list of numbers");
        assert_eq!(failed, [expected]);
    }

    #[test]
    fn what_cannot_be_removed_is_named_and_stays_in_the_order() {
        let firmware = Firmware::new();
        firmware.set("Boot0003", &from_partition("Fedora", OURS)).set("BootOrder", b"\x07\0\0\0\x03\0\x01\0");
        let entries = read(&firmware.root()).expect("reads").found;
        let path = firmware.0.path().join(EFIVARS).join(format!("Boot0003-{GLOBAL}"));
        // A folder in its place cannot be unlinked, not even by root.
        fs::remove_file(&path).expect("removes");
        fs::create_dir(&path).expect("a folder");
        let (removed, failed) = remove(&firmware.root(), &entries);
        assert_eq!(removed, [""; 0]);
        let [error] = &failed[..] else { panic!("{failed:?}") };
        assert!(error.to_string().starts_with("cannot remove Boot0003 Fedora: /sys/firmware"), "{error}");
        assert!(error.hint().contains("efibootmgr"));
        assert_eq!(firmware.get("BootOrder").as_deref(), Some(&b"\x07\0\0\0\x03\0\x01\0"[..]));
        let entries = read(&firmware.root()).expect("reads");
        assert_eq!(entries.unread.len(), 1, "nor can it be read");
    }

    /// As all variables are that the kernel does not know to be harmless. Where the file system has no such flag, that
    /// it has none must not be in the way.
    #[test]
    fn files_that_are_immutable_are_removed_and_written() {
        let firmware = Firmware::new();
        firmware.set("Boot0003", &from_partition("Fedora", OURS)).set("BootOrder", b"\x07\0\0\0\x03\0\x01\0");
        let folder = firmware.0.path().join(EFIVARS);
        let chattr = std::process::Command::new("chattr")
            .arg("+i")
            .args(["Boot0003", "BootOrder"].map(|name| folder.join(format!("{name}-{GLOBAL}"))))
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .expect("chattr (package e2fsprogs) runs");
        if chattr.status.success() {
            assert!(fs::remove_file(folder.join(format!("Boot0003-{GLOBAL}"))).is_err(), "it is immutable");
        } else {
            eprintln!("no flags here, so files without them: {}", String::from_utf8_lossy(&chattr.stderr));
        }
        assert_eq!(firmware.remove(), (vec!["Boot0003 Fedora".to_owned()], vec![]));
        assert_eq!(firmware.get("BootOrder").as_deref(), Some(&b"\x07\0\0\0\x01\0"[..]));
    }

    #[test]
    fn no_link_is_followed_out_of_the_folder() {
        let firmware = Firmware::new();
        let elsewhere = tempfile::NamedTempFile::new().expect("file");
        fs::write(elsewhere.path(), from_partition("x", OURS)).expect("writes");
        let link = firmware.0.path().join(EFIVARS).join(format!("Boot0003-{GLOBAL}"));
        std::os::unix::fs::symlink(elsewhere.path(), link).expect("a link");
        let (removed, failed) = firmware.remove();
        assert_eq!((removed.len(), failed.len()), (0, 1), "{failed:?}");
        assert!(elsewhere.path().exists());
    }

    #[test]
    fn firmware_is_there_absent_or_not_to_be_seen() {
        let folder = tempfile::tempdir().expect("folder");
        let root = Root::recorded(folder.path());
        assert_eq!(present(&root), Ok(false));
        fs::create_dir_all(folder.path().join(EFI)).expect("folders");
        assert!(present(&root).is_err(), "no folder");
        let firmware = Firmware::new();
        let reason = present(&firmware.root()).expect_err("empty").to_string();
        assert!(reason.contains("efivarfs is not mounted"), "{reason}");
        assert_eq!(present(&firmware.set("BootOrder", b"").root()), Ok(true));
    }
}
