//! Who uses a disk: mounts, swap, loop devices, and the holders that [`super::disk`] finds beside them.
//!
//! What is mounted in another mount namespace, or as a further member of a file system, is not seen here;
//! the kernel then refuses to open the disk exclusively. This is for the errors that say what to do.

use std::fmt;

use super::disk::Device;
use crate::facts::disks::BLOCK;
use crate::root::{Reason, Root, clean};

/// Bytes read of the lists of mounts and swaps. Longer ones are refused, since what is cut off may be a use.
const MAX_LIST: u64 = 4 << 20;

/// One use of a disk or of a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// A file system is mounted, maybe that of the live environment itself.
    Mounted {
        /// The device, by its kernel name; so below.
        device: String,
        /// Where.
        at: String,
    },
    /// It is swapped to.
    Swap {
        /// The device.
        device: String,
    },
    /// Another block device is made of it, such as `md0` or `dm-2`.
    Holder {
        /// The device.
        device: String,
        /// That other device.
        holder: String,
    },
    /// A loop device shows it.
    Loop {
        /// The device.
        device: String,
        /// The loop device.
        holder: String,
    },
}

impl Use {
    /// What ends it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Mounted { at, .. } => {
                format!("`umount {at}`; the disk that this environment runs from must be wiped from another one")
            }
            Self::Swap { device } => format!("`swapoff /dev/{device}`"),
            Self::Holder { holder, .. } if holder.starts_with("md") => format!("`mdadm --stop /dev/{holder}`"),
            Self::Holder { holder, .. } if holder.starts_with("dm-") => {
                format!("`vgchange --activate n` for LVM, `dmsetup remove /dev/{holder}` for all else")
            }
            Self::Holder { holder, .. } => format!("stop {holder}"),
            Self::Loop { holder, .. } => format!("`losetup --detach /dev/{holder}`"),
        }
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mounted { device, at } => write!(f, "{device} is mounted at {at}"),
            Self::Swap { device } => write!(f, "{device} is swapped to"),
            Self::Holder { device, holder } => write!(f, "{holder} is made of {device}"),
            Self::Loop { device, holder } => write!(f, "{holder} shows {device}"),
        }
    }
}

/// A line of `/proc/self/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    /// `MAJOR:MINOR` of the file system; of none in particular for btrfs.
    number: String,
    /// What was mounted: a path, or any text.
    source: String,
    at: String,
}

/// Every use of block devices of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Users {
    mounts: Vec<Mount>,
    /// Kernel names of devices.
    swaps: Vec<String>,
    /// Names of loop devices, and the kernel name of what each shows.
    loops: Vec<(String, String)>,
}

impl Users {
    pub(crate) fn read(root: &Root) -> Result<Self, Reason> {
        let mut mounts = mounts(&list(root, "proc/self/mountinfo")?);
        for mount in &mut mounts {
            mount.source = kernel_name(root, &mount.source).unwrap_or_default();
        }
        // A kernel without swap has no such file.
        let swaps = if root.exists("proc/swaps") { list(root, "proc/swaps")? } else { String::new() };
        let swaps = swaps.lines().skip(1).filter_map(|line| kernel_name(root, line.split_whitespace().next()?));
        let backing = |name: String| {
            let path = root.text(&format!("{BLOCK}/{name}/loop/backing_file")).ok()?;
            Some((name, kernel_name(root, &path)?))
        };
        let loops = root.names(BLOCK)?.into_iter().filter_map(backing).collect();
        Ok(Self { swaps: swaps.collect(), mounts, loops })
    }

    /// Uses of one device; holders are not among them.
    pub(crate) fn of(&self, device: &Device) -> Vec<Use> {
        let name = || device.name.clone();
        let is_it = |mount: &&Mount| mount.number == device.number || mount.source == device.name;
        let mounts =
            self.mounts.iter().filter(is_it).map(|mount| Use::Mounted { device: name(), at: mount.at.clone() });
        let swaps = self.swaps.iter().filter(|swap| **swap == device.name).map(|_| Use::Swap { device: name() });
        let loops = self.loops.iter().filter(|(_, shown)| *shown == device.name);
        let loops = loops.map(|(holder, _)| Use::Loop { device: name(), holder: holder.clone() });
        mounts.chain(swaps).chain(loops).collect()
    }
}

fn list(root: &Root, path: &str) -> Result<String, Reason> {
    let bytes = root.bytes(path, MAX_LIST)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len < MAX_LIST) {
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    } else {
        Err(Reason::new(format!("/{path}: is too long to be read to its end")))
    }
}

/// Source: `proc_pid_mountinfo(5)`. Blanks inside a field are written `\040`, and stay so: no device has one.
fn mounts(text: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (head, tail) = line.split_once(" - ")?;
        let mut head = head.split(' ');
        let (number, at) = (head.nth(2)?.to_owned(), clean(head.nth(1)?.as_bytes()));
        Some(Mount { number, source: tail.split(' ').nth(1)?.to_owned(), at })
    };
    text.lines().filter_map(mount).collect()
}

/// The kernel's name, as in sysfs, of a device that is given by path: links such as those of
/// `/dev/disk/by-label` are followed. None if the path is not below `/dev`.
fn kernel_name(root: &Root, path: &str) -> Option<String> {
    let below = path.strip_prefix("/dev/")?;
    let resolved = || {
        let (device, dev) = (root.resolved(&format!("dev/{below}")).ok()?, root.resolved("dev").ok()?);
        Some(device.strip_prefix(dev).ok()?.to_str()?.to_owned())
    };
    // Of a device that is gone, the name remains.
    Some(resolved().unwrap_or_else(|| below.to_owned()).replace('/', "!"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use proptest::prelude::*;

    fn device(name: &str, number: &str) -> Device {
        Device { name: name.to_owned(), number: number.to_owned() }
    }

    /// A tree with these lists, where `by-label/data` is a link to `sdc1`.
    fn tree(mountinfo: &str, swaps: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            fs::write(path, text).expect("a file");
        };
        write("proc/self/mountinfo", mountinfo);
        write("proc/swaps", swaps);
        write("sys/block/loop3/loop/backing_file", "/dev/sdd2\n");
        write("sys/block/loop4/loop/backing_file", "/srv/image.raw\n");
        write("dev/sdc1", "");
        fs::create_dir_all(folder.path().join("dev/disk/by-label")).expect("folders");
        symlink("../../sdc1", folder.path().join("dev/disk/by-label/data")).expect("a link");
        folder
    }

    #[test]
    fn every_kind_of_use_is_found_and_says_how_to_end_it() {
        let tree = tree(
            "36 35 8:2 / /mnt rw,noatime master:1 - ext4 /dev/root rw\n\
             37 35 0:44 /sub /srv/b\\040c rw - btrfs /dev/sdb1 rw,subvol=/sub\n\
             38 35 0:45 / /data rw shared:2 - btrfs /dev/disk/by-label/data rw\n\
             39 35 0:21 / /proc rw - proc proc rw\n\
             40 35 104:1 / /old rw - ext4 /dev/cciss/c0d0p1 rw\n",
            "Filename\t\tType\t\tSize\tUsed\tPriority\n/dev/sda3    partition 1 0 -2\n/srv/swapfile file 1 0 -2\n",
        );
        let users = Users::read(&Root::recorded(tree.path())).expect("reads");
        let cases = [
            ("sda2", "8:2", "sda2 is mounted at /mnt", "`umount /mnt`"),
            ("sda3", "8:3", "sda3 is swapped to", "`swapoff /dev/sda3`"),
            ("sdb1", "8:17", "sdb1 is mounted at /srv/b\\040c", "`umount /srv/b\\040c`"),
            ("sdc1", "8:33", "sdc1 is mounted at /data", "umount"),
            ("sdd2", "8:50", "loop3 shows sdd2", "`losetup --detach /dev/loop3`"),
            ("cciss!c0d0p1", "105:1", "cciss!c0d0p1 is mounted at /old", "umount"),
        ];
        for (name, number, shown, hint) in cases {
            let uses = users.of(&device(name, number));
            let [found] = &uses[..] else { panic!("{name}: {uses:?}") };
            assert_eq!(found.to_string(), shown);
            assert!(found.hint().contains(hint), "{}", found.hint());
        }
        for (name, number) in [("sda", "8:0"), ("sda1", "8:1"), ("sdb", "8:16"), ("sdb11", "8:27")] {
            assert_eq!(users.of(&device(name, number)), [], "{name}");
        }
        let holder = |holder: &str| Use::Holder { device: "sda".into(), holder: holder.into() }.hint();
        assert_eq!(holder("md127"), "`mdadm --stop /dev/md127`");
        assert!(holder("dm-0").contains("vgchange") && holder("bcache0") == "stop bcache0");
    }

    #[test]
    fn what_cannot_be_read_to_its_end_is_not_taken_for_unused() {
        let short = tree("", "");
        assert!(Users::read(&Root::recorded(short.path())).is_ok());
        let long = tree(&"x".repeat(5 << 20), "");
        let reason = Users::read(&Root::recorded(long.path())).expect_err("too long").to_string();
        assert!(reason.contains("mountinfo: is too long"), "{reason}");
        fs::remove_file(short.path().join("proc/self/mountinfo")).expect("removes");
        assert!(Users::read(&Root::recorded(short.path())).is_err(), "no /proc, no answer");
    }

    proptest! {
        #[test]
        fn never_panics(text in "(\\PC|[ \n\\\\-]){0,80}") {
            let _ = mounts(&text);
            let _ = kernel_name(&Root::recorded("/nowhere"), &text);
        }

        #[test]
        fn a_mount_is_found_whatever_stands_around_it(options in "[a-z:0-9 ]{0,20}", tail in "[a-z,= ]{0,20}") {
            let found = mounts(&format!("36 35 8:2 / /mnt {options} - ext4 /dev/sda2 {tail}"));
            prop_assert_eq!(found, [Mount { number: "8:2".into(), source: "/dev/sda2".into(), at: "/mnt".into() }]);
        }
    }
}
