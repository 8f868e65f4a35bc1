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
        vec!["assets", "fetch", "--help"],
    ] {
        let text = String::from_utf8(harmony(folder.path(), &args).stdout).expect("text");
        assert!(text.contains("Examples:"), "{args:?}: {text}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = harmony(folder.path(), &["completions", shell]);
        assert!(output.status.success() && output.stdout.len() > 1000, "{shell}");
    }
}

/// Serves the same few bytes under every path, for as many requests as come.
fn web() -> u16 {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc");
        }
    });
    port
}

/// SHA-256 of `abc`: FIPS 180-4, the example of one block.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn assets_are_fetched_listed_and_verified() {
    let folder = site(SITE);
    let mirror = folder.path().join("mirror");
    std::fs::write(&mirror, "abc").expect("written");
    let from = mirror.display().to_string();
    let output = harmony(folder.path(), &["assets", "fetch", &from, "--sha256", ABC, "node/disk.img"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "/os/node/disk.img\n");
    assert_eq!(std::fs::read(folder.path().join("assets/node/disk.img")).expect("there"), b"abc");
    let output = harmony(folder.path(), &["--json", "assets", "list"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("\"path\": \"node/disk.img\"") && text.contains(ABC), "{text}");
    assert!(harmony(folder.path(), &["assets", "verify"]).status.success());

    let error = refused(folder.path(), &["assets", "fetch", &from, "--sha256", &"ab".repeat(32), "node/other.img"]);
    assert!(error.contains(ABC) && error.contains("hint: "), "{error}");
    let error = refused(folder.path(), &["assets", "fetch", "--iso", "https://mirror.example/boot.iso"]);
    assert!(error.contains("SHA-256") && error.contains("--sha256"), "{error}");
    let error = refused(folder.path(), &["assets", "fetch", "--iso", &from]);
    assert!(error.contains("no ISO 9660 image") && error.contains("boot.iso"), "{error}");
    let error = refused(folder.path(), &["assets", "fetch"]);
    assert!(error.contains("--help"), "{error}");
    let output = harmony(folder.path(), &["assets", "fetch", &from, "node/disk.img"]);
    assert_eq!(output.status.code(), Some(2), "a digest is needed");

    let target = folder.path().join("assets/node/disk.img");
    std::fs::remove_file(&target).expect("there");
    let blob = folder.path().join("assets/.blobs/sha256").join(ABC);
    std::fs::hard_link(&blob, &target).expect("linked");
    std::fs::set_permissions(&blob, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("ours");
    std::fs::write(&blob, "rot").expect("written");
    let error = refused(folder.path(), &["assets", "verify"]);
    assert!(error.contains("1 of 1 files are not what they were") && error.contains("rm -f "), "{error}");
}

#[test]
fn what_the_installer_boots_is_fetched() {
    let folder = site(SITE);
    let error = refused(folder.path(), &["assets", "fetch", "--stream"]);
    assert!(error.contains("names no installer") && error.contains("[installer]"), "{error}");
    let port = web();
    let file = |name: &str| format!(r#"{{"location":"http://127.0.0.1:{port}/x/{name}","sha256":"{ABC}"}}"#);
    let stream = format!(
        r#"{{"architectures":{{"x86_64":{{"artifacts":{{"metal":{{"release":"9.0.1-0","formats":{{"pxe":{{"kernel":{},"initramfs":{},"rootfs":{}}}}}}}}}}}}}}}"#,
        file("live-kernel.x86_64"),
        file("live-initramfs.img"),
        file("live-rootfs.img")
    );
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in version) echo openshift-install 4.19.0 ;; *) cat <<'END'\n{stream}\nEND\n;; esac\n"
    );
    // Written by another process: this one forks, and a program that is open for writing anywhere cannot be run.
    let path = folder.path().join("installer");
    let written = Command::new("sh")
        .args(["-c", "printf '%s' \"$1\" > \"$2\" && chmod +x \"$2\"", "sh", &script])
        .arg(&path)
        .status()
        .expect("runs");
    assert!(written.success());
    let text = format!("{SITE}[installer]\nprogram = \"./installer\"\n");
    std::fs::write(folder.path().join("site.toml"), text).expect("written");
    let output = harmony(folder.path(), &["--json", "assets", "fetch", "--stream"]);
    let (data, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}");
    assert!(
        data.contains("scos/9.0.1-0/live-kernel.x86_64") && data.contains("scos/9.0.1-0/live-rootfs.img"),
        "{data}"
    );
    assert_eq!(std::fs::read(folder.path().join("assets/scos/9.0.1-0/live-initramfs.img")).expect("there"), b"abc");
}
