//! GUID partition tables: which partitions a disk has, by their unique GUIDs and where they are.
//!
//! More lenient than firmware: checksums are not compared, and both copies are read, in either block size.
//! All that comes of it is that more of a disk is overwritten that is wiped anyway, and that GUIDs are compared;
//! a GUID too many is that of no boot entry. What is read is bounded, whatever the header says.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// A GUID as it is on disk and in a device path: its bytes are compared and never shown.
pub(crate) type Guid = [u8; 16];

/// Sizes of blocks that disks have.
const BLOCKS_BYTES: [u64; 2] = [512, 4096];

/// Bytes of a header that are read here.
const HEADER_BYTES: usize = 92;

/// Bytes read of a table: eight times the 128 entries that everybody makes.
const MAX_TABLE_BYTES: u64 = 128 << 10;

/// Partitions whose place is kept: as many as Linux gives numbers to.
const MAX_RANGES: usize = 256;

/// What the tables of a disk say, together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Gpt {
    /// Unique GUIDs of partitions.
    pub(crate) guids: BTreeSet<Guid>,
    /// Where partitions are, in bytes from the start of the disk; not checked against its size.
    pub(crate) ranges: Vec<Range<u64>>,
}

/// A header: where the table is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    table: u64,
    table_bytes: u64,
    entry_bytes: usize,
}

impl Gpt {
    /// Reads the primary and the backup copy of a disk of this size. Neither is needed.
    pub(crate) fn read(disk: &impl FileExt, size_bytes: u64) -> io::Result<Self> {
        let mut gpt = Self::default();
        for block in BLOCKS_BYTES {
            for at in [Some(block), size_bytes.checked_sub(block)].into_iter().flatten() {
                if let Some(header) = Header::parse(&bytes(disk, at, HEADER_BYTES as u64)?, block) {
                    gpt.add(&bytes(disk, header.table, header.table_bytes)?, header.entry_bytes, block);
                }
            }
        }
        Ok(gpt)
    }

    /// Source: UEFI 2.10 table 5-6 "GPT Partition Entry".
    fn add(&mut self, table: &[u8], entry_bytes: usize, block: u64) {
        for entry in table.chunks_exact(entry_bytes) {
            let (Some(kind), Some(guid)) = (array::<16>(entry, 0), array::<16>(entry, 16)) else { continue };
            if kind == Guid::default() {
                continue;
            }
            if guid != Guid::default() {
                self.guids.insert(guid);
            }
            if let Some(range) = blocks(entry, block)
                && self.ranges.len() < MAX_RANGES
                && !self.ranges.contains(&range)
            {
                self.ranges.push(range);
            }
        }
    }
}

/// From the first byte of an entry's first block to the last of its last.
fn blocks(entry: &[u8], block: u64) -> Option<Range<u64>> {
    let (first, last) = (number(entry, 32)?, number(entry, 40)?);
    let (start, end) = (first.checked_mul(block)?, last.checked_add(1)?.checked_mul(block)?);
    (start < end).then_some(start..end)
}

impl Header {
    /// Source: UEFI 2.10 table 5-5 "GPT Header".
    fn parse(bytes: &[u8], block: u64) -> Option<Self> {
        if !bytes.starts_with(b"EFI PART") {
            return None;
        }
        let (count, entry) = (u32::from_le_bytes(array(bytes, 80)?), u32::from_le_bytes(array(bytes, 84)?));
        if !(128..=4096).contains(&entry) {
            return None;
        }
        Some(Self {
            table: number(bytes, 72)?.checked_mul(block)?,
            table_bytes: (u64::from(count) * u64::from(entry)).min(MAX_TABLE_BYTES),
            entry_bytes: entry as usize,
        })
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// As many of these bytes as there are.
fn bytes(disk: &impl FileExt, at: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    let mut read = 0;
    // Beyond what a file offset can be, there is nothing.
    while read < bytes.len() && i64::try_from(at).is_ok_and(|at| at.checked_add_unsigned(len).is_some()) {
        match disk.read_at(&mut bytes[read..], at + read as u64) {
            Ok(0) => break,
            Ok(some) => read += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::process::Command;

    use super::*;
    use proptest::prelude::*;

    /// A table of the 512-byte kind with these partitions, as firmware accepts it but for its checksums.
    pub(crate) fn write_gpt(disk: &impl FileExt, size_bytes: u64, partitions: &[(Guid, Range<u64>)]) {
        let last = size_bytes / 512 - 1;
        let table = table(partitions);
        for (own, other, entries) in [(1, last, 2), (last, 1, last - 32)] {
            disk.write_all_at(&header(own, other, entries, 128, 128), own * 512).expect("writes");
            disk.write_all_at(&table, entries * 512).expect("writes");
        }
    }

    fn header(own: u64, other: u64, entries: u64, count: u32, entry: u32) -> Vec<u8> {
        let mut header = b"EFI PART\0\0\x01\0\x5c\0\0\0".to_vec();
        header.resize(24, 0);
        header.extend([own, other, 34, other].iter().flat_map(|lba| lba.to_le_bytes()));
        header.extend([0xdd; 16]);
        header.extend(entries.to_le_bytes());
        header.extend([count, entry, 0].iter().flat_map(|number| number.to_le_bytes()));
        header
    }

    fn table(partitions: &[(Guid, Range<u64>)]) -> Vec<u8> {
        let mut table = Vec::new();
        for (guid, range) in partitions {
            table.extend([0xee; 16]);
            table.extend(guid);
            table.extend((range.start / 512).to_le_bytes());
            table.extend((range.end / 512 - 1).to_le_bytes());
            table.resize(table.len().next_multiple_of(128), 0);
        }
        table.resize(table.len().max(128 * 128), 0);
        table
    }

    /// A disk that is bytes in memory.
    pub(crate) struct Memory(pub(crate) Vec<u8>);

    impl FileExt for Memory {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            let from = self.0.get(usize::try_from(offset).expect("small")..).unwrap_or_default();
            // A byte less than asked for, as a signal may have it.
            let len = from.len().min(buf.len().div_ceil(2));
            buf[..len].copy_from_slice(&from[..len]);
            Ok(len)
        }

        fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    const SIZE: u64 = 8 << 20;

    #[test]
    fn either_copy_suffices() {
        let partitions = [([1; 16], 1 << 20..2 << 20), ([2; 16], 2 << 20..4 << 20)];
        for erased in [None, Some(0), Some(SIZE - 512)] {
            let file = tempfile::tempfile().expect("file");
            file.set_len(SIZE).expect("length");
            write_gpt(&file, SIZE, &partitions);
            if let Some(at) = erased {
                file.write_all_at(&[0; 1024][..if at == 0 { 1024 } else { 512 }], at).expect("writes");
            }
            let gpt = Gpt::read(&file, SIZE).expect("reads");
            assert_eq!(gpt.guids.into_iter().collect::<Vec<_>>(), [[1; 16], [2; 16]], "without {erased:?}");
            assert_eq!(gpt.ranges, [1 << 20..2 << 20, 2 << 20..4 << 20]);
        }
    }

    /// What `sfdisk` makes, so that offsets are not only consistent with themselves.
    #[test]
    fn agrees_with_sfdisk() {
        let file = tempfile::NamedTempFile::new().expect("file");
        file.as_file().set_len(SIZE).expect("length");
        let script = "printf 'label: gpt\nstart=2048,size=2048,type=U,uuid=00112233-4455-6677-8899-AABBCCDDEEFF\n' \
                      | sfdisk -q $0";
        let made = Command::new("sh")
            .args(["-c", script])
            .arg(file.path())
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .expect("sh runs");
        assert!(made.status.success(), "sfdisk (package fdisk): {}", String::from_utf8_lossy(&made.stderr));
        let gpt = Gpt::read(file.as_file(), SIZE).expect("reads");
        // The first three parts of a GUID are little-endian.
        let guid = [0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        let range = 1 << 20..2 << 20;
        assert_eq!(gpt, Gpt { guids: [guid].into(), ranges: vec![range] });
    }

    #[test]
    fn what_is_no_table_has_no_partitions() {
        let with = |header: Vec<u8>| {
            let mut disk = vec![0; 65536];
            disk[512..][..header.len()].copy_from_slice(&header);
            let table = table(&[([1; 16], 1 << 20..2 << 20)]);
            disk[1024..][..table.len()].copy_from_slice(&table);
            Gpt::read(&Memory(disk), 65536).expect("reads")
        };
        assert_eq!(with(header(1, 127, 2, 128, 128)).guids.len(), 1);
        let cases = [
            ("no entries", header(1, 127, 2, 0, 128)),
            ("entries of no size", header(1, 127, 2, 128, 0)),
            ("entries too small", header(1, 127, 2, 128, 127)),
            ("entries too large", header(1, 127, 2, 128, u32::MAX)),
            ("the table is beyond the disk", header(1, 127, 1 << 40, 128, 128)),
            ("the table is beyond every disk", header(1, 127, u64::MAX, u32::MAX, 4096)),
            ("the table is where no offset is", header(1, 127, (i64::MAX / 512).unsigned_abs(), u32::MAX, 4096)),
            ("another magic", [b"EFI PARS".to_vec(), header(1, 127, 2, 128, 128)[8..].to_vec()].concat()),
        ];
        for (what, header) in cases {
            assert_eq!(with(header), Gpt::default(), "{what}");
        }
        for size in [0, 1, 511, 512, 600] {
            assert_eq!(Gpt::read(&Memory(vec![0xff; size]), size as u64).expect("reads"), Gpt::default());
        }
    }

    #[test]
    fn a_table_that_claims_too_much_is_read_to_its_bound() {
        let mut gpt = Gpt::default();
        let many: Vec<(Guid, Range<u64>)> = (1..=1024_u64)
            .map(|n| ([n.to_le_bytes(), [7; 8]].concat().try_into().expect("16"), n * 512..n * 512 + 512))
            .collect();
        gpt.add(&table(&many), 128, 512);
        assert_eq!((gpt.guids.len(), gpt.ranges.len()), (1024, MAX_RANGES));
        let claimed = Header::parse(&header(1, 2, 2, u32::MAX, 4096), 512).expect("a header");
        assert_eq!(claimed.table_bytes, MAX_TABLE_BYTES);
        let mut backwards = Gpt::default();
        let entry = [[0xee; 16].as_slice(), &[9; 16], &5_u64.to_le_bytes(), &3_u64.to_le_bytes(), &[0; 80]].concat();
        let endless = [[0xee; 16].as_slice(), &[8; 16], &[0xff; 16], &[0; 80]].concat();
        backwards.add(&[entry, endless].concat(), 128, 512);
        assert_eq!((backwards.guids.len(), backwards.ranges.len()), (2, 0), "no range, but a GUID still");
    }

    proptest! {
        #[test]
        fn never_panics(head: Vec<u8>, entries: u64, count: u32, entry: u32, tail: Vec<u8>) {
            let disk = [vec![0; 512], header(1, 2, entries % 4, count, entry), head, tail].concat();
            let size = disk.len() as u64;
            let gpt = Gpt::read(&Memory(disk), size).expect("reads");
            prop_assert!(gpt.ranges.iter().all(|range| range.start < range.end));
        }

        #[test]
        fn every_partition_is_found(guids in proptest::collection::btree_set(any::<[u8; 16]>(), 0..100)) {
            let partitions: Vec<(Guid, Range<u64>)> = guids.iter().map(|guid| (*guid, 1 << 20..2 << 20)).collect();
            let mut gpt = Gpt::default();
            gpt.add(&table(&partitions), 128, 512);
            let expected: BTreeSet<Guid> = guids.into_iter().filter(|guid| *guid != [0; 16]).collect();
            prop_assert_eq!(gpt.guids, expected);
        }
    }
}
