//! Everything that `cargo xtask okd-artifacts` writes, judged by those whom it is for: each document by its own authority.

mod boot;
mod hosts;
mod services;

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_okd-artifacts");
/// The machines of `rack.rs`: what each is, and its number there.
const HOSTS: [&str; 6] = ["bootstrap", "master-0", "master-1", "master-2", "worker-0", "worker-1"];

/// The MACs of a host.
fn macs(host: &str) -> [String; 2] {
    let number = 1 + HOSTS.iter().position(|name| *name == host).expect("a host");
    [1, 2].map(|nic| format!("52-54-00-10-{number:02x}-{nic:02x}"))
}

/// The stand-in, which is built beside the program.
fn stand_in() -> PathBuf {
    let path = Path::new(PROGRAM).with_file_name("openshift-install");
    assert!(path.exists(), "{} is not built: cargo build --workspace --bins --tests", path.display());
    path
}

/// The program, with any file for the agent.
fn program(installer: &Path, dir: &Path) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg(dir).env("HARMONY_OPENSHIFT_INSTALL", installer).env("HARMONY_AGENT", "/bin/sh");
    command.output().expect("starts")
}

/// What was made, in a folder that goes with it.
struct Made(TempDir);

impl Made {
    fn new() -> Self {
        let parent = tempfile::tempdir().expect("a folder");
        let output = program(&stand_in(), &parent.path().join("made"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self(parent)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("made").join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect(name)
    }

    /// The files in the folder itself that end so.
    fn ending_in(&self, end: &str) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.path("")).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
        names.filter(|name| name.ends_with(end)).collect()
    }
}

#[test]
fn there_is_something_for_every_host_and_every_nic() {
    let made = Made::new();
    let of_hosts = |end: &str| HOSTS.iter().map(|host| format!("{host}{end}")).collect::<BTreeSet<_>>();
    assert_eq!(made.ending_in(".ign"), of_hosts(".ign"));
    assert_eq!(made.ending_in(".nmstate.yml"), of_hosts(".nmstate.yml"));
    let scripts = HOSTS.iter().flat_map(|host| macs(host)).map(|mac| format!("{mac}.ipxe"));
    let others = ["boot.ipxe", "default.ipxe", "installed.ipxe"].map(str::to_owned);
    assert_eq!(made.ending_in(".ipxe"), scripts.chain(others).collect());
    for name in ["install-config.yaml", "inventory.ks", "haproxy.cfg", "dnsmasq-dhcp.conf", "dnsmasq-dns.conf"] {
        assert!(made.path(name).is_file(), "{name}");
    }
}

#[test]
fn nobody_else_can_read_any_of_it() {
    fn check(path: &Path) {
        let metadata = std::fs::symlink_metadata(path).expect("is there");
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.permissions().mode() & 0o7777, expected, "{}", path.display());
        if metadata.is_dir() {
            std::fs::read_dir(path).expect("a folder").for_each(|entry| check(&entry.expect("an entry").path()));
        }
    }
    let made = Made::new();
    check(&made.path("").canonicalize().expect("is there"));
    assert!(made.path("state/clusters/ocp4/1/auth/kubeconfig").is_file());
}

#[test]
fn what_was_written_is_listed() {
    let parent = tempfile::tempdir().expect("a folder");
    let dir = parent.path().join("made");
    let output = program(&stand_in(), &dir);
    let listed = String::from_utf8(output.stdout).expect("text");
    assert!(listed.lines().all(|line| Path::new(line).is_file()), "{listed}");
    for name in ["master-2.ign", "haproxy.cfg", "state/clusters/ocp4/1/auth/kubeconfig"] {
        assert!(listed.lines().any(|line| Path::new(line) == dir.join(name)), "{name}: {listed}");
    }
}

#[test]
fn a_folder_with_something_in_it_is_refused_and_left_alone() {
    let made = Made::new();
    let before = made.text("master-0.ign");
    let output = program(&stand_in(), &made.path(""));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("is not empty, and nothing there is overwritten"), "{said}");
    assert!(said.contains("hint: name a new folder"), "{said}");
    assert_eq!(made.text("master-0.ign"), before);

    let empty = tempfile::tempdir().expect("a folder");
    assert!(program(&stand_in(), empty.path()).status.success(), "an empty one is taken");
    let file = empty.path().join("site.toml");
    assert_eq!(program(&stand_in(), &file).status.code(), Some(1), "a file is none");
}

#[test]
fn any_installer_by_any_name_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let installer = folder.path().join("the installer of 4.19");
    symlink(stand_in(), &installer).expect("linked");
    let output = program(&installer, &folder.path().join("made"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_installer_that_fails_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, installer) in ["/nowhere/openshift-install", "/bin/false", "/bin/true"].into_iter().enumerate() {
        let output = program(Path::new(installer), &folder.path().join(number.to_string()));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(installer) && said.contains("hint: "), "{said}");
        assert!(said.ends_with("name another folder to try again\n"), "{said}");
    }
    let output = program(Path::new(""), &folder.path().join("unnamed"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("HARMONY_OPENSHIFT_INSTALL names no program"));
}
