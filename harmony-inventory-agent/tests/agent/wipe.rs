//! Wiping disks of recorded trees, through the program: what is written to, what is not, and what is said.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harmony_inventory_agent::collect;
use harmony_inventory_agent::lldp::Heard;
use nix::unistd::{Whence, lseek};
use serde_json::{Value, json};

use crate::tree::Tree;

/// Of every disk of the tree, in bytes: less than twice what is overwritten at each end, and more than once.
const SIZE: u64 = 40 << 20;

/// What no wipe reaches: between the ends of the disk, and in the middle of the partition.
const KEPT_AT: u64 = 20 << 20;

/// The GUID of the partition of `sda`, as it is on disk.
const GUID: [u8; 16] = *b"harmony-sda-one!";

const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// A machine with four disks, all with contents: `sda` has a GPT with a partition, in which there is LVM.
fn machine() -> Tree {
    let tree = Tree::recorded("wipe");
    for name in ["sda", "sdb", "sdc", "nvme0n1"] {
        let path = tree.path().join("dev").join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        let disk = File::create(path).expect("a file");
        disk.set_len(SIZE).expect("length");
        write_gpt(&disk, if name == "sda" { GUID } else { *b"another one here" });
        // At the start of the partition, which is at 18 MiB: the ends of the disk do not reach there.
        disk.write_all_at(b"LVM2 001", (18 << 20) + 512 + 24).expect("writes");
        disk.write_all_at(b"kept", KEPT_AT).expect("writes");
    }
    tree
}

/// Both copies of a table with one partition, from 18 to 22 MiB.
fn write_gpt(disk: &File, guid: [u8; 16]) {
    let last = SIZE / 512 - 1;
    let mut entry = [[0xee; 16], guid].concat();
    entry.extend([(18_u64 << 20) / 512, (22_u64 << 20) / 512 - 1].iter().flat_map(|lba| lba.to_le_bytes()));
    for (own, other, table) in [(1, last, 2), (last, 1, last - 32)] {
        let mut header = b"EFI PART\0\0\x01\0\x5c\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        header.extend([own, other, 34, other].iter().flat_map(|lba| lba.to_le_bytes()));
        header.extend([0xdd; 16]);
        header.extend(u64::to_le_bytes(table));
        header.extend([128_u32, 128].iter().flat_map(|number| number.to_le_bytes()));
        disk.write_all_at(&header, own * 512).expect("writes");
        disk.write_all_at(&entry, table * 512).expect("writes");
    }
}

/// A boot entry that starts from the partition of this GUID.
fn boot_entry(label: &str, guid: [u8; 16]) -> Vec<u8> {
    let hard_drive = [&[4, 1, 42, 0][..], &[1; 20], &guid, &[2, 2], &[0x7f, 0xff, 4, 0]].concat();
    let mut variable = vec![7, 0, 0, 0, 1, 0, 0, 0, u8::try_from(hard_drive.len()).expect("short"), 0];
    variable.extend(label.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    [variable, hard_drive].concat()
}

fn variable(name: &str) -> String {
    format!("sys/firmware/efi/efivars/{name}-{GLOBAL}")
}

fn wipe(tree: &Tree, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harmony-inventory-agent"));
    command.args(["wipe", "--root"]).arg(tree.path()).args(args).output().expect("runs")
}

/// What is written in a file: where, and what. Holes are left out, since disks are mostly that.
type Written = Vec<(i64, Vec<u8>)>;

fn disks(tree: &Tree) -> Vec<(PathBuf, Written)> {
    let entries = fs::read_dir(tree.path().join("dev")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut disks: Vec<_> = entries.filter(|path| path.is_file()).map(|path| (path.clone(), written(&path))).collect();
    disks.sort();
    disks
}

fn written(path: &Path) -> Written {
    let (file, mut written, mut at) = (File::open(path).expect("opens"), Vec::new(), 0);
    // Fails behind the last data.
    while let Ok(start) = lseek(&file, at, Whence::SeekData) {
        at = lseek(&file, start, Whence::SeekHole).expect("the end is a hole");
        let mut bytes = vec![0; usize::try_from(at - start).expect("small")];
        file.read_exact_at(&mut bytes, start.unsigned_abs()).expect("reads");
        written.push((start, bytes));
    }
    written
}

/// What was printed, and the exit code.
fn answer(output: &Output) -> (Value, String, i32) {
    let stderr = String::from_utf8(output.stderr.clone()).expect("text");
    let stdout = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (stdout, stderr, output.status.code().expect("ended"))
}

fn is_blank(disk: &Path) -> bool {
    let bytes = fs::read(disk).expect("reads");
    let zeros = vec![0; 16 << 20];
    let mut erased = [0..16, 24..40, 18..19, 21..22].map(|mib| &bytes[mib.start << 20..mib.end << 20]).into_iter();
    erased.all(|bytes| bytes == &zeros[..bytes.len()]) && &bytes[20 << 20..][..4] == b"kept"
}

#[test]
fn exactly_the_disks_that_are_named_are_wiped_and_again() {
    let tree = machine();
    let before = disks(&tree);
    for _ in 0..2 {
        let (stdout, stderr, code) = answer(&wipe(&tree, &["--disk", "S6CKNT0W700123", "--disk", "ZC1Q2ABC"]));
        assert_eq!((code, &*stderr), (0, ""));
        let disk = |name: &str, serial: &str| {
            let path = format!("/dev/{name}");
            json!({"name": name, "path": path, "serial": serial, "size_bytes": SIZE, "discarded": false})
        };
        let wiped = [disk("nvme0n1", "S6CKNT0W700123"), disk("sda", "ZC1Q2ABC")];
        assert_eq!(stdout, json!({"wiped": wiped, "boot_entries_removed": []}));
        for ((path, bytes), (_, before)) in disks(&tree).into_iter().zip(&before) {
            let named = path.ends_with("sda") || path.ends_with("nvme0n1");
            assert!(if named { is_blank(&path) } else { bytes == *before }, "{}", path.display());
        }
    }
    let report = collect(&tree.root(), &Heard::default());
    let sda = report.disks.iter().find(|disk| disk.name == "sda").expect("it is there still");
    assert_eq!(sda.signatures, [], "the report agrees");
}

#[test]
fn a_disk_without_serial_is_named_by_its_wwn() {
    let tree = machine();
    let (stdout, stderr, code) = answer(&wipe(&tree, &["--disk", "wwn:0x5000c500a1b2c3e8"]));
    assert_eq!((code, &*stderr), (0, ""));
    assert_eq!(stdout["wiped"][0]["name"], "sdb");
    assert_eq!(stdout["wiped"][0]["serial"], "wwn:0x5000c500a1b2c3e8");
}

/// A refusal, of an order whose first disk is fit: nothing is written to that one either.
#[test]
fn whatever_is_wrong_with_one_disk_nothing_is_written_to_any() {
    type Change = fn(&Tree);
    let cases: [(&str, Change, &str, &str); 16] = [
        ("ZC1Q2XXX", |_| (), "no disk of this machine is called `ZC1Q2XXX`", "`ZC1Q2ABC` (sda)"),
        ("sdc", |_| (), "no disk of this machine is called `sdc`", "`ZC1Q2DEF` (sdc)"),
        ("ZC1Q2ABC", |_| (), "`ZC1Q2ABC` is named twice", "once"),
        ("wwn:0x5000c500a1b2c3ff", |_| (), "sdc, whose World Wide Name is", "ZC1Q2DEF"),
        (
            "ZC1Q2DEF",
            |tree| tree.write("sys/block/sdb/device/serial", b"ZC1Q2DEF\n"),
            "`ZC1Q2DEF` is the name of sdb and sdc",
            "echo 1 > /sys/block/NAME/device/delete",
        ),
        (
            "ZC1Q2DEF",
            |tree| tree.write("proc/self/mountinfo", b"36 35 8:33 / /run/live ro - iso9660 /dev/sdc1 ro\n"),
            "sdc is in use: sdc1 is mounted at /run/live",
            "`umount /run/live`",
        ),
        (
            "ZC1Q2DEF",
            |tree| tree.write("proc/swaps", b"Filename Type Size Used Priority\n/dev/sdc1 partition 9 0 -2\n"),
            "sdc is in use: sdc1 is swapped to",
            "`swapoff /dev/sdc1`",
        ),
        (
            "ZC1Q2DEF",
            |tree| tree.write("sys/block/sdc/sdc1/holders/md127/dev", b"9:127\n"),
            "sdc is in use: md127 is made of sdc1",
            "`mdadm --stop /dev/md127`",
        ),
        (
            "ZC1Q2DEF",
            |tree| tree.write("sys/block/sdc/holders/dm-0/dev", b"253:0\n"),
            "sdc is in use: dm-0 is made of sdc",
            "vgchange",
        ),
        ("ZC1Q2DEF", |tree| tree.write("sys/block/sdc/ro", b"1\n"), "sdc is read-only", "blockdev --setrw /dev/sdc"),
        ("ZC1Q2DEF", |tree| tree.write("sys/block/sdc/size", b"0\n"), "sdc has no medium", "insert"),
        (
            "ZC1Q2DEF",
            |tree| tree.write("sys/block/sdc/size", b"1024\n"),
            "/dev/sdc is not sdc, as /sys describes it: it has 41943040 bytes, not 524288",
            "run this again",
        ),
        (
            "ZC1Q2DEF",
            |tree| fs::remove_file(tree.path().join("sys/block/sdc/ro")).expect("removes"),
            "sdc cannot be judged: /sys/block/sdc/ro: No such file",
            "dmesg",
        ),
        (
            "ZC1Q2DEF",
            |tree| fs::remove_file(tree.path().join("dev/sdc")).expect("removes"),
            "sdc cannot be opened for writing",
            "devtmpfs",
        ),
        // What a tree has in place of a disk must not lead out of it.
        (
            "ZC1Q2DEF",
            |tree| {
                fs::rename(tree.path().join("dev/sdc"), tree.path().join("elsewhere")).expect("renames");
                symlink(tree.path().join("elsewhere"), tree.path().join("dev/sdc")).expect("a link");
            },
            "sdc cannot be opened for writing",
            "hint: nothing was written",
        ),
        (
            "ZC1Q2DEF",
            |tree| {
                fs::remove_file(tree.path().join("dev/sdc")).expect("removes");
                tree.lay_out("fifo dev/sdc\n");
            },
            "/dev/sdc is not sdc",
            "hint: nothing was written",
        ),
    ];
    for (named, change, refusal, hint) in cases {
        let tree = machine();
        change(&tree);
        let before = disks(&tree);
        let output = wipe(&tree, &["--disk", "ZC1Q2ABC", "--disk", named]);
        let (_, stderr, code) = answer(&output);
        assert_eq!((code, &output.stdout[..]), (1, &b""[..]), "{refusal}: {stderr}");
        assert!(stderr.contains(refusal) && stderr.contains(hint), "expected `{refusal}` and `{hint}`, got `{stderr}`");
        assert!(stderr.contains("\nhint: nothing was written to any disk; "), "{stderr}");
        assert!(disks(&tree) == before, "{refusal}: something was written");
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let tree = machine();
    let before = disks(&tree);
    for args in [&[][..], &["--boot-entries"], &["--disk"], &["--disk", "ZC1Q2ABC", "--force"]] {
        let (_, stderr, code) = answer(&wipe(&tree, args));
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains("hint: "), "{stderr}");
    }
    assert!(disks(&tree) == before);
}

#[test]
fn boot_entries_of_the_wiped_disks_are_removed() {
    let tree = machine();
    tree.write(&variable("Boot0003"), &boot_entry("Fedora CoreOS", GUID));
    tree.write(&variable("Boot0001"), &boot_entry("Another", *b"another one here"));
    tree.write(&variable("BootOrder"), b"\x07\0\0\0\x03\0\x01\0");
    let entries = || fs::read_dir(tree.path().join("sys/firmware/efi/efivars")).expect("a folder").count();
    let (stdout, ..) = answer(&wipe(&tree, &["--disk", "ZC1Q2DEF"]));
    assert_eq!((&stdout["boot_entries_removed"], entries()), (&json!([]), 3), "it was not ordered");

    let (stdout, stderr, code) = answer(&wipe(&tree, &["--disk", "ZC1Q2ABC", "--boot-entries"]));
    assert_eq!((code, &*stderr), (0, ""));
    assert_eq!(stdout["boot_entries_removed"], json!(["Boot0003 Fedora CoreOS"]));
    assert_eq!(fs::read(tree.path().join(variable("BootOrder"))).expect("reads"), b"\x07\0\0\0\x01\0");
    assert_eq!(entries(), 2);

    // The disks that stay have a partition of the GUID from which it starts, too.
    let (stdout, stderr, code) = answer(&wipe(&tree, &["--disk", "S6CKNT0W700123", "--boot-entries"]));
    assert_eq!((code, &stdout["boot_entries_removed"]), (0, &json!([])));
    assert!(stderr.contains("Boot0001 Another was left alone: another disk has"), "{stderr}");
    assert_eq!(entries(), 2);
}

#[test]
fn a_boot_entry_that_stays_is_an_error_of_its_own_after_the_disk_is_wiped() {
    let tree = machine();
    tree.write(&variable("Boot0003"), &boot_entry("Fedora CoreOS", GUID));
    tree.write(&variable("BootOrder"), b"\x07\0\0\0\x03");
    let (stdout, stderr, code) = answer(&wipe(&tree, &["--disk", "ZC1Q2ABC", "--boot-entries"]));
    assert_eq!(code, 3);
    assert_eq!(stdout["wiped"][0]["name"], "sda");
    assert_eq!(stdout["boot_entries_removed"], json!(["Boot0003 Fedora CoreOS"]));
    assert!(
        stderr.contains("cannot remove 0003 from BootOrder") && stderr.contains("hint: the disks are wiped"),
        "{stderr}"
    );
    assert!(is_blank(&tree.path().join("dev/sda")));
}

/// The shell forbids the program to write beyond 44 MiB of a file, and a disk is larger.
#[test]
fn a_disk_that_fails_ends_the_order_and_what_was_done_is_said() {
    let tree = machine();
    tree.write("sys/block/sdc/size", b"98304\n");
    File::options()
        .write(true)
        .open(tree.path().join("dev/sdc"))
        .and_then(|disk| disk.set_len(48 << 20))
        .expect("length");
    tree.write(&variable("Boot0001"), &boot_entry("Of the last", *b"another one here"));
    tree.write(&variable("Boot0003"), &boot_entry("Fedora CoreOS", GUID));
    let before = disks(&tree);
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 90112; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_harmony-inventory-agent")])
        .args([
            "wipe",
            "--boot-entries",
            "--disk",
            "ZC1Q2ABC",
            "--disk",
            "ZC1Q2DEF",
            "--disk",
            "S6CKNT0W700123",
            "--root",
        ])
        .arg(tree.path())
        .output()
        .expect("sh runs");
    let (stdout, stderr, code) = answer(&output);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("error: cannot overwrite sdc at byte 46137344\n  caused by: File too large"), "{stderr}");
    assert!(stderr.contains("hint: `dmesg` says what is wrong with sdc"), "{stderr}");
    let wiped = stdout["wiped"].as_array().expect("a list");
    assert_eq!(wiped.iter().map(|disk| disk["name"].clone()).collect::<Vec<_>>(), ["sda"]);
    assert_eq!(stdout["boot_entries_removed"], json!(["Boot0003 Fedora CoreOS"]));
    let unchanged = |name: &str| {
        let of = |disks: &[(PathBuf, Written)]| disks.iter().find(|(path, _)| path.ends_with(name)).cloned();
        of(&disks(&tree)) == of(&before)
    };
    assert!(unchanged("nvme0n1") && unchanged("sdb"), "no disk after the one that failed");
}

#[test]
fn a_machine_without_uefi_has_no_boot_entries_and_one_that_hides_them_is_refused() {
    let tree = machine();
    fs::remove_dir_all(tree.path().join("sys/firmware")).expect("removes");
    let (stdout, stderr, code) = answer(&wipe(&tree, &["--disk", "ZC1Q2ABC", "--boot-entries"]));
    assert_eq!((code, &stdout["boot_entries_removed"]), (0, &json!([])));
    assert!(stderr.contains("was not started by UEFI"), "{stderr}");

    tree.lay_out("dir sys/firmware/efi/efivars\n");
    let before = disks(&tree);
    let (_, stderr, code) = answer(&wipe(&tree, &["--disk", "ZC1Q2DEF", "--boot-entries"]));
    assert_eq!(code, 1);
    assert!(stderr.contains("efivarfs is not mounted") && stderr.contains("mount -t efivarfs"), "{stderr}");
    assert!(disks(&tree) == before);
}
