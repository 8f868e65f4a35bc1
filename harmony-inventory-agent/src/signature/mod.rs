//! What a disk or partition already holds, by magic numbers.
//!
//! Enough to warn before something is erased; not a replacement for `blkid`, whose names are used. Reads a
//! few bytes each, through the page cache, and never writes. [`probe`] does so without waiting for a disk
//! that no longer answers.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use harmony_core::report::v1::Signature;

pub(crate) mod probe;

/// Where a magic number is, in bytes.
#[derive(Debug, Clone, Copy)]
enum At {
    /// From the start.
    Start(u64),
    /// Before the end.
    End(u64),
    /// Start of the last whole 64 KiB (mdadm 0.90).
    LastBlock64K,
    /// 8 KiB before the end, rounded down to 4 KiB (mdadm 1.0).
    LastBlock8K,
}

use At::{End, LastBlock8K, LastBlock64K, Start};

/// Source: util-linux `libblkid/src/superblocks/*.c`; mdadm `super0.c`, `super1.c`, `super-intel.c`,
/// `super-ddf.c`; UEFI 2.10 clause 5.3.2.
const MAGICS: [(&str, &str, At, &[u8]); 36] = [
    ("filesystem", "xfs", Start(0), b"XFSB"),
    ("filesystem", "squashfs", Start(0), b"hsqs"),
    ("crypto", "crypto_LUKS", Start(0), b"LUKS\xba\xbe"),
    ("raid", "linux_raid_member", Start(0), b"\xfc\x4e\x2b\xa9"),
    ("storage", "ceph_bluestore", Start(0), b"bluestore block device"),
    ("filesystem", "ntfs", Start(3), b"NTFS    "),
    ("filesystem", "exfat", Start(3), b"EXFAT   "),
    ("crypto", "BitLocker", Start(3), b"-FVE-FS-"),
    ("lvm", "LVM2_member", Start(24), b"LVM2 001"),
    ("lvm", "LVM2_member", Start(512 + 24), b"LVM2 001"),
    ("lvm", "LVM2_member", Start(1024 + 24), b"LVM2 001"),
    ("lvm", "LVM2_member", Start(1536 + 24), b"LVM2 001"),
    ("filesystem", "vfat", Start(0x36), b"FAT12   "),
    ("filesystem", "vfat", Start(0x36), b"FAT16   "),
    ("filesystem", "vfat", Start(0x52), b"FAT32   "),
    ("partition-table", "gpt", Start(512), b"EFI PART"),
    ("partition-table", "gpt", Start(4096), b"EFI PART"),
    ("filesystem", "f2fs", Start(0x400), b"\x10\x20\xf5\xf2"),
    ("filesystem", "erofs", Start(0x400), b"\xe2\xe1\xf5\xe0"),
    ("swap", "swap", Start(4096 - 10), b"SWAPSPACE2"),
    ("swap", "swap", Start(4096 - 10), b"SWAP-SPACE"),
    ("raid", "linux_raid_member", Start(4096), b"\xfc\x4e\x2b\xa9"),
    ("storage", "bcache", Start(0x1018), b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
    ("filesystem", "iso9660", Start(0x8001), b"CD001"),
    ("filesystem", "gfs2", Start(0x1_0000), b"\x01\x16\x19\x70"),
    ("filesystem", "btrfs", Start(0x1_0040), b"_BHRfS_M"),
    // The first uberblock of the ring: written within minutes of a pool's life.
    ("storage", "zfs_member", Start(0x2_0000), b"\x0c\xb1\xba\0\0\0\0\0"),
    ("storage", "zfs_member", Start(0x2_0000), b"\0\0\0\0\0\xba\xb1\x0c"),
    ("raid", "linux_raid_member", LastBlock64K, b"\xfc\x4e\x2b\xa9"),
    ("raid", "linux_raid_member", LastBlock8K, b"\xfc\x4e\x2b\xa9"),
    ("raid", "isw_raid_member", End(1024), b"Intel Raid ISM Cfg Sig. "),
    ("raid", "isw_raid_member", End(8192), b"Intel Raid ISM Cfg Sig. "),
    ("raid", "ddf_raid_member", End(512), b"\xde\x11\xde\x11"),
    ("raid", "ddf_raid_member", End(512), b"\x11\xde\x11\xde"),
    // The backup, when the primary has been overwritten.
    ("partition-table", "gpt", End(512), b"EFI PART"),
    ("partition-table", "gpt", End(4096), b"EFI PART"),
];

/// Bytes that have a device recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// As what it is reported.
    pub signature: Signature,
    /// Offset in bytes, and what is there.
    pub bytes: Vec<(u64, Vec<u8>)>,
    /// Before which others it is found.
    rank: usize,
}

/// What a blank device of this size must hold to be recognised as all of these, by `blkid`'s names, in the order in
/// which they are reported; for those who make machines up. Without what is not known, or needs a larger device.
#[must_use]
pub fn marks(names: &[&str], size_bytes: u64) -> Vec<Marks> {
    let mut marks: Vec<Marks> = names.iter().filter_map(|name| mark(name, size_bytes)).collect();
    marks.sort_by_key(|marks| marks.rank);
    if marks.len() > 1 {
        // Beside anything else, its mark is that of a boot sector.
        marks.retain(|marks| marks.signature.name != DOS);
    }
    marks
}

fn mark(name: &str, size_bytes: u64) -> Option<Marks> {
    let signature = |kind: &str| Signature { kind: kind.to_owned(), name: name.to_owned() };
    if let Some(rank) = MAGICS.iter().position(|(_, known, ..)| *known == name) {
        let (kind, _, at, magic) = MAGICS[rank];
        let bytes = vec![(offset(at, size_bytes)?, magic.to_vec())];
        return Some(Marks { rank, signature: signature(kind), bytes });
    }
    let magic = (EXT, vec![0x53, 0xef]);
    let (past, kind, bytes) = match name {
        "ext2" => (0, "filesystem", vec![magic]),
        "ext3" => (0, "filesystem", vec![magic, (EXT + 0x24, vec![0x4])]),
        "ext4" => (0, "filesystem", vec![magic, (EXT + 0x28, vec![0x40])]),
        // One entry, of a Linux file system.
        DOS => (1, "partition-table", vec![(446 + 4, vec![0x83]), (510, vec![0x55, 0xaa])]),
        _ => return None,
    };
    Some(Marks { rank: MAGICS.len() + past, signature: signature(kind), bytes })
}

/// Finds all that is known in a device of this size. Empty when nothing is.
pub(crate) fn find(device: &File, size_bytes: u64) -> io::Result<Vec<Signature>> {
    let mut found = Vec::new();
    let mut add = |kind: &str, name: &str| {
        let signature = Signature { kind: kind.to_owned(), name: name.to_owned() };
        if !found.contains(&signature) {
            found.push(signature);
        }
    };
    for (kind, name, at, magic) in MAGICS {
        if let Some(offset) = offset(at, size_bytes)
            && has(device, offset, magic)?
        {
            add(kind, name);
        }
    }
    if let Some(name) = ext(device)? {
        add(if name == "jbd" { "storage" } else { "filesystem" }, name);
    }
    if is_mbr(device)? && found.is_empty() {
        found.push(Signature { kind: "partition-table".to_owned(), name: DOS.to_owned() });
    }
    Ok(found)
}

fn offset(at: At, size: u64) -> Option<u64> {
    let offset = match at {
        Start(offset) => Some(offset),
        End(before) => size.checked_sub(before),
        LastBlock64K => (size & !0xffff).checked_sub(0x1_0000),
        // `super1.c`: sectors, less 16, rounded down to 8.
        LastBlock8K => Some((size / 512).checked_sub(16)? / 8 * 8 * 512),
    };
    // Beyond what a file offset can be: the size was wrong.
    offset.filter(|offset| i64::try_from(*offset).is_ok())
}

/// A device that ends earlier has no such magic.
fn has(device: &File, offset: u64, magic: &[u8]) -> io::Result<bool> {
    let mut bytes = [0; 32];
    let bytes = &mut bytes[..magic.len()];
    match device.read_exact_at(bytes, offset) {
        Ok(()) => Ok(bytes == magic),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// A partition table of the DOS kind.
const DOS: &str = "dos";

/// The magic of the ext family.
const EXT: u64 = 0x438;

/// The ext family, told apart as `blkid` does: by what an older driver could not read.
///
/// Source: Linux `fs/ext4/ext4.h`; util-linux `superblocks/ext.c`.
fn ext(device: &File) -> io::Result<Option<&'static str>> {
    const HAS_JOURNAL: u32 = 0x4;
    const JOURNAL_DEVICE: u32 = 0x8;
    const EXT3_INCOMPATIBLE: u32 = 0x2 | 0x4 | 0x10;
    const EXT3_READ_ONLY: u32 = 0x1 | 0x2 | 0x4;
    // From the magic to the third set of features.
    let mut bytes = [0; 0x30];
    match device.read_exact_at(&mut bytes, EXT) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (compatible, incompatible, read_only) = (word(0x24), word(0x28), word(0x2c));
    Ok(match bytes {
        [0x53, 0xef, ..] if incompatible & JOURNAL_DEVICE != 0 => Some("jbd"),
        [0x53, 0xef, ..] if incompatible & !EXT3_INCOMPATIBLE != 0 || read_only & !EXT3_READ_ONLY != 0 => Some("ext4"),
        [0x53, 0xef, ..] if compatible & HAS_JOURNAL != 0 => Some("ext3"),
        [0x53, 0xef, ..] => Some("ext2"),
        _ => None,
    })
}

/// A partition table of the DOS kind: the mark at the end of the sector is shared with boot sectors of
/// file systems, so at least one entry must be in use and all must be sound.
fn is_mbr(device: &File) -> io::Result<bool> {
    let mut bytes = [0; 66];
    match device.read_exact_at(&mut bytes, 446) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        read => read?,
    }
    let (entries, _) = bytes[..64].as_chunks::<16>();
    let sound = entries.iter().all(|entry| entry[0] & 0x7f == 0);
    Ok(bytes[64..] == [0x55, 0xaa] && sound && entries.iter().any(|entry| entry[4] != 0))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const SIZE: u64 = 8 << 20;

    fn blank() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("file");
        file.as_file().set_len(SIZE).expect("length");
        file
    }

    fn names(file: &tempfile::NamedTempFile) -> Vec<String> {
        let found = find(file.as_file(), SIZE).expect("reads");
        found.into_iter().map(|signature| format!("{}:{}", signature.kind, signature.name)).collect()
    }

    #[test]
    fn finds_each_magic_where_it_is() {
        for (kind, name, at, magic) in MAGICS {
            let file = blank();
            let offset = offset(at, SIZE).expect("fits");
            file.as_file().write_all_at(magic, offset).expect("writes");
            assert!(names(&file).contains(&format!("{kind}:{name}")), "{name} at {at:?}");
            file.as_file().write_all_at(&vec![0; magic.len()], offset).expect("writes");
            assert_eq!(names(&file), [""; 0], "{name} at {at:?}");
        }
    }

    #[test]
    fn what_is_marked_is_recognised() {
        let known = MAGICS.iter().map(|(_, name, ..)| *name).chain(["ext2", "ext3", "ext4", "dos"]);
        for name in known {
            let (file, marks) = (blank(), mark(name, SIZE).expect("known"));
            marks.bytes.iter().for_each(|(at, bytes)| file.as_file().write_all_at(bytes, *at).expect("writes"));
            assert_eq!(find(file.as_file(), SIZE).expect("reads"), [marks.signature], "{name}");
        }
        let (file, several) = (blank(), marks(&["dos", "ext4", "reiserfs", "LVM2_member"], SIZE));
        let bytes = several.iter().flat_map(|marks| &marks.bytes);
        bytes.for_each(|(at, bytes)| file.as_file().write_all_at(bytes, *at).expect("writes"));
        let signatures: Vec<Signature> = several.into_iter().map(|marks| marks.signature).collect();
        assert_eq!(find(file.as_file(), SIZE).expect("reads"), signatures);
        assert_eq!(signatures.len(), 2);
        assert_eq!(marks(&["ddf_raid_member"], 100), [], "too small");
    }

    /// The tools' own opinion, so that offsets are not only consistent with themselves.
    #[test]
    fn agrees_with_those_who_make_them() {
        let cases: [(&[&str], &str); 6] = [
            (&["mke2fs", "-q", "-t", "ext4"], "filesystem:ext4"),
            (&["mke2fs", "-q", "-t", "ext3"], "filesystem:ext3"),
            (&["mke2fs", "-q", "-t", "ext2"], "filesystem:ext2"),
            (&["mkswap", "-q"], "swap:swap"),
            (&["sh", "-c", "echo label:gpt | sfdisk -q $0"], "partition-table:gpt"),
            (&["sh", "-c", "echo 2048,2048 | sfdisk -q -X dos $0"], "partition-table:dos"),
        ];
        for (command, expected) in cases {
            let file = blank();
            let made = Command::new(command[0])
                .args(&command[1..])
                .arg(file.path())
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
                .output()
                .unwrap_or_else(|error| panic!("{} (packages e2fsprogs, util-linux, fdisk): {error}", command[0]));
            assert!(made.status.success(), "{command:?}: {}", String::from_utf8_lossy(&made.stderr));
            assert_eq!(names(&file), [expected], "{command:?}");
        }
    }

    #[test]
    fn a_device_too_small_has_none() {
        for size in [0, 1, 511, 512, 4096] {
            let file = tempfile::NamedTempFile::new().expect("file");
            file.as_file().set_len(size).expect("length");
            assert_eq!(find(file.as_file(), size).expect("reads"), []);
            assert_eq!(find(file.as_file(), u64::MAX).expect("reads"), [], "the size is wrong");
        }
    }
}
