//! Reports of recorded trees, whole, as snapshots; and trees that no machine should have.

use std::time::Instant;

use crate::tree::{Tree, check};
use harmony_core::report::limits::{MAX_CPU_FLAGS, MAX_DIMMS, MAX_DISKS, MAX_NICS};
use harmony_core::report::v1::Report;
use harmony_inventory_agent::collect;
use harmony_inventory_agent::lldp::Heard;
use harmony_inventory_agent::lldp::pdu::Lldpdu;

/// The report as people read it, without what changes with each release.
fn shown(report: &Report) -> String {
    let mut report = report.clone();
    report.agent.version = "X.Y.Z".to_owned();
    serde_json::to_string_pretty(&report).expect("serialises")
}

#[test]
fn a_server_with_bonded_nics() {
    let tree = Tree::recorded("server");
    let mut heard = Heard::default();
    let now = Instant::now();
    // eth0 has index 2, and has heard its switch; eth1 is listened on.
    let unit = b"\x02\x07\x04\xa6\xb4\x6e\xe6\x5b\x47\x04\x07\x05Eth1/0\x06\x02\x00\x78\x0a\x05tor-1\x00\x00";
    heard.open(2, Ok(now));
    heard.open(3, Ok(now));
    heard.hear(2, Lldpdu::parse(unit).expect("a unit"), now);
    let report = collect(&tree.root(), &heard);
    check(&report);
    insta::assert_snapshot!("server", shown(&report));
}

#[test]
fn a_virtual_machine() {
    let report = collect(&Tree::recorded("virtio").root(), &Heard::default());
    check(&report);
    insta::assert_snapshot!("virtio", shown(&report));
}

#[test]
fn a_machine_on_which_everything_is_wrong() {
    let report = collect(&Tree::recorded("hostile").root(), &Heard::default());
    check(&report);
    let shown = shown(&report);
    assert!(!shown.contains("never to be seen"), "the token is in the report");
    insta::assert_snapshot!("hostile", shown);
}

#[test]
fn an_empty_tree() {
    let report = collect(&Tree::recorded("empty").root(), &Heard::default());
    check(&report);
    insta::assert_snapshot!("empty", shown(&report));
}

#[test]
fn too_much_of_everything_is_cut_and_said() {
    let tree = Tree::recorded("empty");
    for n in 0..MAX_NICS + 44 {
        tree.write(&format!("sys/class/net/eth{n}/device/uevent"), b"");
        tree.write(&format!("sys/class/net/eth{n}/address"), b"52:54:00:00:00:01\n");
    }
    for n in 0..MAX_DISKS + 76 {
        tree.write(&format!("sys/block/disk{n}/device/model"), &[b'M'; 5000]);
    }
    tree.write("proc/cpuinfo", &[b"flags: ".to_vec(), b"f ".repeat(5000)].concat());
    tree.write("proc/cmdline", &[b'x'; 100_000]);
    tree.write("sys/firmware/dmi/tables/smbios_entry_point", b"_SM3_\x00\x18\x03\x03\x00\x01\x00");
    tree.write(
        "sys/firmware/dmi/tables/DMI",
        &b"\x11\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x02\x00\x00slot\0\0".repeat(3000),
    );
    let report = collect(&tree.root(), &Heard::default());
    check(&report);
    assert!((1..=MAX_NICS).contains(&report.nics.len()) && (1..=MAX_DISKS).contains(&report.disks.len()));
    assert!(report.memory.dimms.len() <= MAX_DIMMS && report.cpu.flags.len() == MAX_CPU_FLAGS);
    for fact in ["/disks", "/memory/dimms", "/cpu/flags"] {
        let reason = report.why_absent(fact).unwrap_or_default();
        assert!(reason.contains("the first"), "{fact}: {reason}");
    }
    assert_eq!(report.why_absent("/nics/0/speed_mbps"), Some("too much could not be read to say why"));
}
