//! The `harmony` command as a person meets it: bad input is named, with the next step, and changes nothing.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const SITE: &str = r#"
[site]
name = "test"
state = "state"
[network]
cidr = "10.10.0.0/24"
address = "10.10.0.1"
vlan = 10
pool = ["10.10.0.100", "10.10.0.199"]
hosts = ["10.10.0.11", "10.10.0.99"]
[switch.tor]
driver = "openvswitch"
db = "unix:/nonexistent/db.sock"
bridge = "br0"
host_ports = ["p0", "p1"]
[dhcp]
driver = "dnsmasq"
interface = "lo"
[boot]
listen = "10.10.0.1:8080"
tftp_root = "tftp"
assets = "assets"
agent = "agent"
live = "initramfs"
live_kernel = "/os/vmlinuz"
live_initrd = "/os/initrd.img"
install_kernel = "/os/vmlinuz"
install_initrd = "/os/initrd.img"
install_image = "/os/disk.img.zst"
[ssh]
key_file = "ssh/key"
"#;

fn harmony(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harmony"));
    command.current_dir(folder).args(args).env_remove("HARMONY_SITE").env_remove("HARMONY_AGENT");
    command.output().expect("starts")
}

fn site(text: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("site.toml"), text).expect("written");
    folder
}

/// The error of a command that must fail with exit code 1; it prints nothing as data.
fn refused(folder: &Path, args: &[&str]) -> String {
    let output = harmony(folder, args);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
    assert!(output.stdout.is_empty(), "{args:?} printed data");
    error
}

#[test]
fn a_site_file_is_refused_by_line_and_key() {
    for (from, to, wanted) in [
        ("address = \"10.10.0.1\"", "adress = \"10.10.0.1\"", vec!["line 7", "adress"]),
        ("vlan = 10", "vlan = 5000", vec!["line 8", "5000", "1 to 4094"]),
        ("driver = \"openvswitch\"", "driver = \"cumulus\"", vec!["line 12", "cumulus", "openvswitch"]),
        ("driver = \"dnsmasq\"", "driver = \"isc\"", vec!["isc", "dnsmasq"]),
        ("\"10.10.0.199\"]", "\"10.10.1.199\"]", vec!["network.pool", "10.10.1.199 is not in 10.10.0.0/24"]),
        ("hosts = [\"10.10.0.11\"", "hosts = [\"10.10.0.1\"", vec!["network.hosts", "own address"]),
        ("\"10.10.0.99\"]", "\"10.10.0.150\"]", vec!["network.hosts", "overlaps"]),
        ("listen = \"10.10.0.1:8080\"", "listen = \"10.99.0.1:8080\"", vec!["boot.listen", "10.99.0.1"]),
        ("[ssh]", "[ssh", vec!["line 30"]),
        ("host_ports = [\"p0\", \"p1\"]", "host_ports = [\"p0\", \"-x\"]", vec!["-x", "port name"]),
    ] {
        assert!(SITE.contains(from), "{from}");
        let folder = site(&SITE.replace(from, to));
        let error = refused(folder.path(), &["hosts"]);
        for word in wanted.iter().chain(&["site.toml", "hint: "]) {
            assert!(error.contains(word), "{to}: `{word}` is not in\n{error}");
        }
        assert!(!folder.path().join("state").exists(), "{to}: something was made");
    }
}

#[test]
fn a_missing_site_file_is_named_with_the_next_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = refused(folder.path(), &["hosts"]);
    assert!(error.contains("site.toml") && error.contains("--site"), "{error}");
}

#[test]
fn an_unreachable_switch_and_a_port_of_no_switch_are_named() {
    let folder = site(SITE);
    let error = refused(folder.path(), &["switch", "status"]);
    assert!(
        error.contains("`tor`") && error.contains("unix:/nonexistent/db.sock") && error.contains("hint: "),
        "{error}"
    );
    let error = refused(folder.path(), &["switch", "status", "spine/p9"]);
    assert!(error.contains("no switch `spine`") && error.contains("tor"), "{error}");
    let output = harmony(folder.path(), &["switch", "status", "p9"]);
    assert_eq!(output.status.code(), Some(2), "no SWITCH/PORT");
}

#[test]
fn the_inventory_is_made_on_first_use_and_a_newer_one_is_refused() {
    let folder = site(SITE);
    let output = harmony(folder.path(), &["--json", "hosts"]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), b"[]\n".as_slice()));
    let database = folder.path().join("state/harmony.db");
    std::fs::write(&database, "this is no database, but long enough to be read as one").expect("written");
    for extra in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.path().join(format!("state/harmony.db{extra}")));
    }
    let error = refused(folder.path(), &["hosts"]);
    assert!(error.contains("harmony.db") && error.contains("hint: "), "{error}");
}

#[test]
fn hosts_that_are_not_there_are_named() {
    let folder = site(SITE);
    for args in [["host", "show", "nobody"], ["host", "forget", "nobody"], ["inventory", "diff", "nobody"]] {
        let error = refused(folder.path(), &args);
        assert!(error.contains("no host is called `nobody`") && error.contains("harmony hosts"), "{error}");
    }
    let error = refused(folder.path(), &["journal", "7"]);
    assert!(error.contains("no run 7"), "{error}");
    let output = harmony(folder.path(), &["host", "assign", "nobody", "not_a_role"]);
    assert_eq!(output.status.code(), Some(2), "a role is one label of a host name");
}

#[test]
fn help_has_examples_and_completions_are_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [
        vec!["--help"],
        vec!["lab", "up", "--help"],
        vec!["host", "assign", "--help"],
        vec!["inventory", "diff", "--help"],
    ] {
        let text = String::from_utf8(harmony(folder.path(), &args).stdout).expect("text");
        assert!(text.contains("Examples:"), "{args:?}: {text}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = harmony(folder.path(), &["completions", shell]);
        assert!(output.status.success() && output.stdout.len() > 1000, "{shell}");
    }
}
