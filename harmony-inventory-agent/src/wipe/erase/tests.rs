//! Erasing files and loop devices. Where no loop device can be had, a regular file stands in, and is said to.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::signature::marks;
use crate::wipe::gpt::Gpt;
use crate::wipe::gpt::tests::write_gpt;
use crate::wipe::users::Users;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;
const SIZE: u64 = 64 * MIB;
const PARTITIONS: [Range<u64>; 2] = [MIB..24 * MIB, 24 * MIB..60 * MIB];

/// What survives outside the ends: that not all is overwritten is shown where nothing is discarded.
const KEPT_AT: u64 = 20 * MIB;

/// A file with a GPT, an LVM and an md partition and a file system, all with their marks.
fn installed(size: u64) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("file");
    file.as_file().set_len(size).expect("length");
    let disk = file.as_file();
    write_gpt(disk, size, &[([1; 16], PARTITIONS[0].clone()), ([2; 16], PARTITIONS[1].clone())]);
    let contents = [(PARTITIONS[0].clone(), "LVM2_member"), (PARTITIONS[1].clone(), "xfs")];
    for (range, name) in contents {
        for (at, bytes) in marks(&[name], range.end - range.start).into_iter().flat_map(|marks| marks.bytes) {
            disk.write_all_at(&bytes, range.start + at).expect("writes");
        }
    }
    // Version 1.0, at the end of its partition.
    disk.write_all_at(b"\xfc\x4e\x2b\xa9", PARTITIONS[0].end - 8192).expect("writes");
    disk.write_all_at(b"kept", KEPT_AT).expect("writes");
    file
}

fn bytes(file: &File, range: Range<u64>) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(range.end - range.start).expect("small")];
    file.read_exact_at(&mut bytes, range.start).expect("reads");
    bytes
}

fn assert_blank(file: &File, size: u64, partitions: &[Range<u64>]) {
    for range in [0..16 * MIB, size - 16 * MIB..size] {
        assert!(bytes(file, range.clone()).iter().all(|byte| *byte == 0), "{range:?}");
    }
    for range in partitions {
        for end in [range.start..range.start + MIB, range.end - MIB..range.end] {
            assert!(bytes(file, end.clone()).iter().all(|byte| *byte == 0), "{end:?} of {range:?}");
        }
    }
    assert_eq!(signature::find(file, size).expect("reads"), []);
}

#[test]
fn a_file_is_blank_afterwards_and_the_second_time() {
    let file = installed(SIZE);
    assert!(!signature::find(file.as_file(), SIZE).expect("reads").is_empty(), "it holds something before");
    for _ in 0..2 {
        assert!(!erase(file.as_file(), "sda", SIZE, &PARTITIONS).expect("erases"), "a file knows no discard");
        assert_blank(file.as_file(), SIZE, &PARTITIONS);
        assert_eq!(bytes(file.as_file(), KEPT_AT..KEPT_AT + 4), b"kept", "nothing else is written to");
        assert_eq!(file.as_file().metadata().expect("metadata").len(), SIZE);
    }
}

#[test]
fn small_disks_and_partitions_are_erased_whole() {
    for size in [512, 1 << 20, 20 << 20] {
        let file = tempfile::tempfile().expect("file");
        file.write_all_at(&vec![0xaa; usize::try_from(size).expect("small")], 0).expect("writes");
        let partitions = [0..512, 512..size, size * 2..size * 3, size / 2..u64::MAX];
        erase(&file, "sda", size, &partitions).expect("erases");
        assert!(bytes(&file, 0..size).iter().all(|byte| *byte == 0), "{size}");
        assert_eq!(file.metadata().expect("metadata").len(), size, "it has not grown");
    }
}

#[test]
fn what_is_left_is_said() {
    let file = installed(SIZE);
    // A partition of which nobody said anything.
    let left = found(file.as_file(), SIZE, &[]).expect("reads");
    assert!(left.as_deref().is_some_and(|left| left.contains("gpt (partition-table)")), "{left:?}");
    let left = found(file.as_file(), SIZE, &ranges(SIZE, &[])).expect("reads");
    assert_eq!(left.as_deref(), Some("byte 512 is not 0"));
}

#[test]
fn errors_name_the_disk_and_the_place() {
    let file = installed(SIZE);
    let read_only = File::open(file.path()).expect("opens");
    let error = erase(&read_only, "sda", SIZE, &[]).expect_err("cannot be written to");
    assert_eq!(error.to_string(), format!("cannot overwrite sda at byte {}", SIZE - DISK_END_BYTES));
    assert!(error.hint().contains("dmesg"));
}

#[test]
fn a_run_that_is_cut_off_leaves_the_table() {
    let file = installed(SIZE);
    let ranges = ranges(SIZE, &PARTITIONS);
    assert_eq!(ranges[..2], [0..16 * MIB, SIZE - 16 * MIB..SIZE]);
    zero(file.as_file(), "sda", &ranges[2..]).expect("writes");
    let table = Gpt::read(file.as_file(), SIZE).expect("reads");
    assert_eq!(table.ranges, PARTITIONS, "the next run finds the partitions");
}

proptest! {
    #[test]
    fn only_the_disk_is_written_to_and_all_ends_of_it(
        size in 1_u64..200 * MIB,
        partitions in proptest::collection::vec((0..300 * MIB, 0..300 * MIB), 0..4),
        far: u64,
    ) {
        let mut partitions: Vec<Range<u64>> = partitions.into_iter().map(|(start, len)| start..start + len).collect();
        partitions.push(far..u64::MAX);
        let ranges = ranges(size, &partitions);
        prop_assert!(ranges.iter().all(|range| range.start <= range.end && range.end <= size));
        let is_erased = |at: u64| ranges.iter().any(|range| range.contains(&at));
        let ends = [0, size - 1, size.min(DISK_END_BYTES) - 1, size.saturating_sub(DISK_END_BYTES)];
        prop_assert!(ends.into_iter().all(is_erased));
        for range in partitions {
            let (start, end) = (range.start.min(size), range.end.min(size));
            prop_assert!(start == end || [start, end - 1].into_iter().all(is_erased));
        }
        for range in &ranges {
            prop_assert_eq!(pieces(range).map(|(_, len)| len as u64).sum::<u64>(), range.end - range.start);
        }
    }
}

/// A loop device on a file, gone when dropped.
struct Loop(PathBuf);

impl Loop {
    /// None where there are none: no `losetup`, not root, or a kernel or container without.
    fn on(file: &Path) -> Option<Self> {
        let made = run("losetup", &["--find", "--show", "--partscan", file.to_str().expect("text")]);
        match made {
            Ok(device) => Some(Self(device.into())),
            Err(why) => {
                eprintln!("no loop device, so a regular file is erased instead: {why}");
                None
            }
        }
    }

    fn name(&self) -> &str {
        self.0.file_name().and_then(|name| name.to_str()).expect("a name")
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = run("losetup", &["--detach", self.0.to_str().expect("text")]);
    }
}

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let ran = Command::new(program).args(args).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output();
    let ran = ran.map_err(|error| format!("{program}: {error}"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if ran.status.success() { Ok(said(&ran.stdout)) } else { Err(format!("{program}: {}", said(&ran.stderr))) }
}

/// The whole way below the choice, on a device of the kernel: sysfs, exclusive opening, discard, partitions.
#[test]
fn a_block_device_is_blank_afterwards_and_has_no_partitions() {
    let image = installed(SIZE);
    let Some(device) = Loop::on(image.path()) else {
        erase(image.as_file(), "file", SIZE, &PARTITIONS).expect("erases");
        assert_blank(image.as_file(), SIZE, &PARTITIONS);
        return;
    };
    let (root, name) = (Root::live(), device.name());
    // Whatever the kernel made of the table: not every kernel reads them.
    for (number, range) in (1..).zip(PARTITIONS) {
        let [start, len] = [range.start / 512, (range.end - range.start) / 512].map(|sectors| sectors.to_string());
        let path = device.0.to_str().expect("text");
        if !root.exists(&format!("sys/block/{name}/{name}p{number}")) {
            run("addpart", &[path, &number.to_string(), &start, &len]).expect("adds a partition");
        }
    }
    let users = Users::read(&root).expect("reads");
    let disk = Disk::read(&root, name, &users).expect("reads");
    assert_eq!(
        (disk.size_bytes, disk.read_only, &disk.partitions[..], &disk.uses[..]),
        (SIZE, false, &PARTITIONS[..], &[][..])
    );
    assert_eq!(disk.devices.len(), 3);

    // Somebody has a partition for themselves, as a mount or an array has.
    let part = format!("/dev/{}", disk.devices[1].name);
    let holder = OpenOptions::new().read(true).custom_flags(OFlag::O_EXCL.bits()).open(part).expect("opens");
    assert!(matches!(open(&root, &disk), Err(Refusal::Held { .. })));
    drop(holder);
    // The device is another one than sysfs says.
    let mut other = disk.clone();
    other.devices[0].number = "7:9999".into();
    let refusal = open(&root, &other).expect_err("must be refused").to_string();
    assert!(refusal.contains("is not block device 7:9999"), "{refusal}");
    let larger = Disk { size_bytes: SIZE + 512, ..disk.clone() };
    let refusal = open(&root, &larger).expect_err("must be refused").to_string();
    assert!(refusal.contains("it has 67108864 bytes, not 67109376"), "{refusal}");

    for again in [false, true] {
        let disk = Disk::read(&root, name, &users).expect("reads");
        assert_eq!(disk.partitions.is_empty(), again);
        let file = open(&root, &disk).expect("opens");
        let discarded = erase(&file, name, SIZE, &disk.partitions).expect("erases");
        drop(file);
        let device = File::open(&device.0).expect("opens");
        assert_blank(&device, SIZE, &PARTITIONS);
        assert_eq!(bytes(&device, KEPT_AT..KEPT_AT + 4) == b"kept", !discarded, "a file's discarded blocks read as 0");
        let disk = Disk::read(&root, name, &users).expect("reads");
        assert_eq!(disk.devices.len(), 1, "the kernel has no partitions any more");
    }
}
