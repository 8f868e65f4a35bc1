//! Each example does what it says, as somebody runs it who has read its first lines.

use std::process::Command;

/// Runs an example to its end, which must be a good one; what it printed.
fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect("starts");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn okd_cluster() {
    let text = run(env!("CARGO_BIN_EXE_okd_cluster"), &["apply", "--yes"]);
    for said in ["OkdSetup04Workers: converged", "wipe disk", "as wanted"] {
        assert!(text.contains(said), "`{said}` is not in {text}");
    }
}

#[test]
fn inventory_only() {
    let text = run(env!("CARGO_BIN_EXE_inventory_only"), &["apply", "--yes"]);
    assert!(text.contains("Inventory: converged") && !text.contains("ERASE"), "{text}");
}

#[test]
fn add_workers() {
    let text = run(env!("CARGO_BIN_EXE_add_workers"), &["apply", "--yes"]);
    let installed = text.lines().filter(|line| line.contains("started: follow the installation of"));
    assert_eq!(installed.count(), 1, "one worker is new: {text}");
    assert!(text.contains("OkdSetup04Workers: converged"), "{text}");
}

#[test]
fn switch_ports() {
    let program = env!("CARGO_BIN_EXE_switch_ports");
    let plan = run(program, &["plan"]);
    assert!(plan.contains("switchport access vlan 10"), "{plan}");
    let applied = run(program, &["apply", "--yes"]);
    assert!(applied.contains("as wanted"), "{applied}");
}
