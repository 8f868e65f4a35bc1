//! Which disks an order names, and why it is refused: pure. Whoever is refused has written nothing.

use std::io;

use super::disk::{Disk, Identity};
use super::order::DiskName;
use super::users::Use;
use crate::root::Reason;

/// Why nothing was written, on any disk.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The machine does not say what it has, or who uses it.
    #[error("the disks of this machine and who uses them cannot be found out: {0}")]
    Machine(Reason),
    /// No disk is called that.
    #[error("no disk of this machine is called `{name}`")]
    Unknown {
        /// What was ordered.
        name: DiskName,
        /// The disks that there are.
        known: String,
    },
    /// Two or more disks are called that.
    #[error("`{name}` is the name of {disks}, so none of them is meant")]
    Ambiguous {
        /// What was ordered.
        name: DiskName,
        /// Their kernel names.
        disks: String,
    },
    /// A WWN names a disk that has a serial.
    #[error("{disk}, whose World Wide Name is {wwn}, has a serial, by which it must be named")]
    HasSerial {
        /// Its kernel name.
        disk: String,
        /// What was ordered.
        wwn: String,
        /// What was not.
        serial: String,
    },
    /// The same disk, two times.
    #[error("`{0}` is named twice")]
    Twice(DiskName),
    /// Something of it cannot be read.
    #[error("{disk} cannot be judged: {reason}")]
    Unreadable {
        /// Its kernel name; so below.
        disk: String,
        /// What, and why.
        reason: Reason,
    },
    /// It, or a part of it, is in use.
    #[error("{disk} is in use: {how}")]
    InUse {
        /// The disk.
        disk: String,
        /// By whom.
        how: Use,
    },
    /// The kernel knows of a use that we do not see.
    #[error("{disk} is in use: the kernel does not open it for one program alone")]
    Held {
        /// The disk.
        disk: String,
    },
    /// It is write protected.
    #[error("{disk} is read-only")]
    ReadOnly {
        /// The disk.
        disk: String,
    },
    /// A reader without a card.
    #[error("{disk} has no medium: its size is 0")]
    NoMedium {
        /// The disk.
        disk: String,
    },
    /// It cannot be opened for writing.
    #[error("{disk} cannot be opened for writing")]
    Open {
        /// The disk.
        disk: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What `/dev` has is not what `/sys` describes.
    #[error("/{path} is not {disk}, as /sys describes it: {why}")]
    NotThatDisk {
        /// The disk.
        disk: String,
        /// What was opened.
        path: String,
        /// In which respect.
        why: String,
    },
    /// It changed after it had been chosen.
    #[error("{disk} is no longer what it was a moment ago")]
    Changed {
        /// The disk.
        disk: String,
    },
    /// The firmware is UEFI, but its variables are not there.
    #[error("the boot entries of this machine cannot be read: {0}")]
    BootEntries(Reason),
}

impl Refusal {
    /// The next step of whoever is refused.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Machine(_) => "mount /proc and /sys, then run this again".to_owned(),
            Self::Unknown { known, .. } => format!("this machine has {known}"),
            Self::Ambiguous { .. } => {
                "two paths to one disk: take one away, such as with `echo 1 > /sys/block/NAME/device/delete`; two \
                 disks of one serial: pull the one that stays, then run this again"
                    .to_owned()
            }
            Self::HasSerial { serial, .. } => format!("name it by its serial, which is `{serial}`"),
            Self::Twice(_) => "name each disk once".to_owned(),
            Self::Unreadable { .. } => "`dmesg` says whether the disk has failed; if so, replace it".to_owned(),
            Self::InUse { how, .. } => how.hint(),
            Self::Held { .. } => {
                "end what uses it: a mount in a container, an array, a multipath map, another wipe; `lsblk` and \
                 `fuser` may show it"
                    .to_owned()
            }
            Self::ReadOnly { disk } => {
                format!("`blockdev --setrw /dev/{disk}`, or move the switch that protects it; a failed SSD stays so")
            }
            Self::NoMedium { .. } => "insert the medium, then run this again".to_owned(),
            Self::Open { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run this as root".to_owned()
            }
            Self::Open { .. } => "is devtmpfs mounted at /dev?".to_owned(),
            Self::NotThatDisk { .. } | Self::Changed { .. } => {
                "disks come and go: wait until they do not, then run this again".to_owned()
            }
            Self::BootEntries(_) => "`mount -t efivarfs efivarfs /sys/firmware/efi/efivars`, or leave out \
                                     --boot-entries"
                .to_owned(),
        }
    }
}

/// The disks that are named, in that order: each by exactly one name, each name that of exactly one disk.
///
/// # Errors
/// [`Refusal`], of the first name that does not hold for.
pub(crate) fn choose<'a>(names: &[DiskName], disks: &'a [Identity]) -> Result<Vec<&'a Identity>, Refusal> {
    let mut chosen = Vec::new();
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            return Err(Refusal::Twice(name.clone()));
        }
        let disk = one(name, disks)?;
        match (name, &disk.serial) {
            (DiskName::Wwn(wwn), Some(serial)) => {
                let (disk, wwn, serial) = (disk.name.clone(), wwn.clone(), serial.clone());
                return Err(Refusal::HasSerial { disk, wwn, serial });
            }
            _ => chosen.push(disk),
        }
    }
    Ok(chosen)
}

fn one<'a>(name: &DiskName, disks: &'a [Identity]) -> Result<&'a Identity, Refusal> {
    let is_named = |disk: &&Identity| match name {
        DiskName::Serial(serial) => disk.serial.as_ref() == Some(serial),
        DiskName::Wwn(wwn) => disk.wwn.as_ref() == Some(wwn),
    };
    match disks.iter().filter(is_named).collect::<Vec<_>>()[..] {
        [disk] => Ok(disk),
        [] => Err(Refusal::Unknown { name: name.clone(), known: known(disks) }),
        ref several => {
            let disks: Vec<&str> = several.iter().map(|disk| &*disk.name).collect();
            Err(Refusal::Ambiguous { name: name.clone(), disks: disks.join(" and ") })
        }
    }
}

fn known(disks: &[Identity]) -> String {
    let shown = |disk: &Identity| match disk {
        Identity { name, serial: Some(serial), .. } => format!("`{serial}` ({name})"),
        Identity { name, wwn: Some(wwn), .. } => format!("`wwn:{wwn}` ({name})"),
        Identity { name, .. } => format!("{name}, which has no name of its own"),
    };
    if disks.is_empty() { "none".to_owned() } else { disks.iter().map(shown).collect::<Vec<_>>().join(", ") }
}

/// Whether a chosen disk may be written to, as far as the machine says.
///
/// # Errors
/// [`Refusal`], of the first that speaks against it.
pub(crate) fn judge(disk: &Disk) -> Result<(), Refusal> {
    let name = disk.identity.name.clone();
    match &disk.uses[..] {
        [how, ..] => Err(Refusal::InUse { disk: name, how: how.clone() }),
        [] if disk.size_bytes == 0 => Err(Refusal::NoMedium { disk: name }),
        [] if disk.read_only => Err(Refusal::ReadOnly { disk: name }),
        [] => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn disk(name: &str, serial: &str, wwn: &str) -> Identity {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Identity { name: name.to_owned(), serial: some(serial), wwn: some(wwn) }
    }

    #[test]
    fn a_name_is_that_of_exactly_one_disk() {
        let disks = [
            disk("sda", "ZC1Q2ABD", "0x5000c500a1b2c3e8"),
            disk("sdb", "ZC1Q2ABC", ""),
            disk("sdc", "", "0x600a"),
            disk("sdd", "SAME", "0x1"),
            disk("sde", "SAME", "0x2"),
            disk("sdf", "", "0x3"),
            disk("sdg", "", "0x3"),
            disk("sdh", "", ""),
            disk("sdi", "wwn:0x600a", ""),
        ];
        type Chosen = Result<&'static [&'static str], &'static str>;
        let cases: [(&[&str], Chosen); 16] = [
            (&["ZC1Q2ABC"], Ok(&["sdb"])),
            (&["ZC1Q2ABC", "ZC1Q2ABD"], Ok(&["sdb", "sda"])),
            (&["wwn:0x600a"], Ok(&["sdc"])),
            (&["ZC1Q2ABC", "nope"], Err("no disk of this machine is called `nope`")),
            (&["sda"], Err("no disk of this machine is called `sda`")),
            (&["/dev/sda"], Err("no disk of this machine is called `/dev/sda`")),
            (&["zc1q2abd"], Err("no disk of this machine is called `zc1q2abd`")),
            (&["ZC1Q2AB"], Err("no disk of this machine is called `ZC1Q2AB`")),
            (&["ZC1Q2ABD "], Err("no disk of this machine is called `ZC1Q2ABD `")),
            (&["0x600a"], Err("no disk of this machine is called `0x600a`")),
            (&["*"], Err("no disk of this machine is called `*`")),
            (&["SAME"], Err("`SAME` is the name of sdd and sde, so none of them is meant")),
            (&["wwn:0x3"], Err("`wwn:0x3` is the name of sdf and sdg, so none of them is meant")),
            (
                &["wwn:0x5000c500a1b2c3e8"],
                Err("sda, whose World Wide Name is 0x5000c500a1b2c3e8, has a serial, by which it must be named"),
            ),
            (&["wwn:0x1"], Err("sdd, whose World Wide Name is 0x1, has a serial, by which it must be named")),
            (&["ZC1Q2ABC", "ZC1Q2ABC"], Err("`ZC1Q2ABC` is named twice")),
        ];
        for (names, expected) in cases {
            let names: Vec<DiskName> = names.iter().map(|name| name.parse().expect("a name")).collect();
            let chosen = choose(&names, &disks);
            match (&chosen, expected) {
                (Ok(chosen), Ok(expected)) => {
                    assert_eq!(chosen.iter().map(|disk| &*disk.name).collect::<Vec<_>>(), expected);
                }
                (Err(refusal), Err(expected)) => {
                    assert_eq!(refusal.to_string(), expected);
                    assert!(!refusal.hint().is_empty());
                }
                _ => panic!("{names:?}: {chosen:?}"),
            }
        }
    }

    #[test]
    fn whoever_errs_is_told_what_there_is() {
        let disks = [disk("sda", "A1", "0x1"), disk("sdb", "", "0x2"), disk("sdc", "", "")];
        let hint = choose(&[DiskName::Serial("A2".into())], &disks).expect_err("unknown").hint();
        assert_eq!(hint, "this machine has `A1` (sda), `wwn:0x2` (sdb), sdc, which has no name of its own");
        let hint = choose(&[DiskName::Wwn("0x1".into())], &disks).expect_err("has a serial").hint();
        assert_eq!(hint, "name it by its serial, which is `A1`");
        assert_eq!(choose(&[DiskName::Wwn("0x1".into())], &[]).expect_err("unknown").hint(), "this machine has none");
    }

    #[test]
    fn what_speaks_against_a_disk_is_said() {
        let free = Disk {
            identity: disk("sda", "A1", ""),
            size_bytes: 1 << 30,
            read_only: false,
            devices: Vec::new(),
            partitions: Vec::new(),
            uses: Vec::new(),
        };
        assert!(judge(&free).is_ok());
        let mounted = Use::Mounted { device: "sda2".into(), at: "/run/live".into() };
        let holder = Use::Holder { device: "sda".into(), holder: "md0".into() };
        let cases = [
            (Disk { uses: vec![mounted], ..free.clone() }, "sda is in use: sda2 is mounted at /run/live"),
            (Disk { uses: vec![holder], read_only: true, ..free.clone() }, "sda is in use: md0 is made of sda"),
            (Disk { read_only: true, ..free.clone() }, "sda is read-only"),
            (Disk { size_bytes: 0, ..free.clone() }, "sda has no medium: its size is 0"),
        ];
        for (disk, expected) in cases {
            let refusal = judge(&disk).expect_err("must be refused");
            assert_eq!(refusal.to_string(), expected);
            assert!(!refusal.hint().is_empty());
        }
    }

    proptest! {
        /// From few letters, so that names meet.
        #[test]
        fn nothing_is_chosen_that_is_not_named(
            names in proptest::collection::vec("(wwn:)?[ab]{1,2}", 0..4),
            disks in proptest::collection::vec(("[ab]{0,2}", "[ab]{0,2}"), 0..5),
        ) {
            let names: Vec<DiskName> = names.iter().map(|name| name.parse().expect("a name")).collect();
            let disks: Vec<Identity> =
                disks.iter().enumerate().map(|(at, (serial, wwn))| disk(&format!("sd{at}"), serial, wwn)).collect();
            if let Ok(chosen) = choose(&names, &disks) {
                prop_assert_eq!(chosen.len(), names.len());
                for (disk, name) in chosen.iter().zip(&names) {
                    let same = disks.iter().filter(|other| match name {
                        DiskName::Serial(serial) => other.serial.as_ref() == Some(serial),
                        DiskName::Wwn(wwn) => other.wwn.as_ref() == Some(wwn),
                    });
                    prop_assert_eq!(same.collect::<Vec<_>>(), [*disk]);
                    prop_assert!(disk.serial.is_none() || matches!(name, DiskName::Serial(_)));
                }
                let mut distinct: Vec<&str> = chosen.iter().map(|disk| &*disk.name).collect();
                distinct.sort_unstable();
                distinct.dedup();
                prop_assert_eq!(distinct.len(), names.len(), "one disk by two names");
            }
        }
    }
}
