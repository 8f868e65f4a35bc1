//! Bad input through the `harmony` command: agents that lie or break, hosts that cannot be told apart or
//! installed, a database of the future, a full disk, too few rights. Each is named, with the next step.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use harmony_core::report::v1;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::site::{Site, assert_names, report};

#[test]
fn agents_that_break_are_named_and_do_not_keep_others_from_being_read() {
    let site = Site::new();
    let good = site.reports(2, &report(1));
    let answers = |answer: &'static str| move |mut client: TcpStream| drop(client.write_all(answer.as_bytes()));
    let error = site.agent(3, answers("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    let endless = site.agent(4, |mut client| {
        let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n{\"schema\":\"");
        while client.write_all(&[b'x'; 1 << 16]).is_ok() {}
    });
    let nonsense =
        site.agent(5, answers("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{\"a\": 1}\n"));
    let nothing = site.agent(6, drop);
    let told = site.refused(&["inventory", "scan"]);
    let line = |address: Ipv4Addr| {
        let start = format!("{address}: ");
        told.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no {address} in\n{told}"))
    };
    assert!(line(good).contains("(hc-"), "{told}");
    assert_names(line(error), &["500 Internal Server Error"]);
    assert_names(line(endless), &["more than 1048576 bytes"]);
    assert_names(line(nonsense), &[&format!("failed to understand the report of {nonsense}")]);
    assert_names(line(nothing), &["failed to fetch the report"]);
    assert_names(&told, &["5 agents found, 1 read", "4 of 5 agents could not be read", "hint: "]);
    assert_eq!(site.hosts().len(), 1, "nothing was invented");
}

#[test]
fn two_hosts_with_one_mac_are_named_and_kept_apart() {
    let site = Site::new();
    let _ = site.reports(2, &report(1));
    let mut other = report(2);
    other.nics = report(1).nics;
    let other = site.reports(3, &other);
    let told = site.refused(&["inventory", "scan"]);
    assert_names(&told, &[&format!("{other}: "), "SN-1", "52:54:00:00:00:01", "harmony host forget"]);
    assert_eq!(site.hosts().len(), 1);
}

#[test]
fn a_role_is_given_once_and_only_to_a_host_that_can_be_installed() {
    let site = Site::new();
    for machine in 1..=2 {
        let _ = site.reports(machine + 1, &report(machine));
    }
    let _ = site.reports(4, &v1::Report { disks: Vec::new(), ..report(3) });
    site.done(&["inventory", "scan"]);
    site.done(&["host", "assign", "SN-1", "node-1"]);
    let before = site.hosts();
    let twice = site.refused(&["host", "assign", "SN-2", "node-1"]);
    assert_names(&twice, &["cannot be `node-1`", "has this role", "choose another"]);
    let second = site.refused(&["host", "assign", "SN-1", "node-2"]);
    assert_names(&second, &["it is `node-1`", "hint: `harmony host unassign"]);
    let diskless = site.refused(&["host", "assign", "SN-3", "node-3"]);
    assert_names(&diskless, &["has no disks to install on", "hint: "]);
    let missing = site.refused(&["host", "assign", "SN-2", "node-2", "--disk", "D9"]);
    assert_names(&missing, &["has no disk with serial D9", "hint: it has D2"]);
    assert_eq!(site.hosts(), before, "nothing was changed");
    site.done(&["host", "unassign", "node-1"]);
    site.done(&["host", "assign", "SN-2", "node-1"]);
}

#[test]
fn a_pinned_host_key_can_be_dropped() {
    let site = Site::new();
    let _ = site.reports(2, &report(1));
    site.done(&["inventory", "scan"]);
    let id = site.hosts()[0]["id"].as_str().expect("an id").to_owned();
    let known = site.path("state/known_hosts");
    std::fs::write(&known, format!("{id} installed-1 ssh-ed25519 AAAA\nhc-0000000 live ssh-ed25519 AAAA\n"))
        .expect("written");
    assert_names(&site.done(&["host", "forget-key", "SN-1"]), &["1 pinned host keys dropped"]);
    assert_eq!(std::fs::read_to_string(&known).expect("read"), "hc-0000000 live ssh-ed25519 AAAA\n");
    assert_names(&site.done(&["host", "forget-key", "SN-1"]), &["0 pinned"]);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let site = Site::new();
    site.done(&["hosts"]);
    let path = site.path("state/harmony.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut connection = options.connect().await.expect("opens");
    let future = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                  VALUES (99, 'future', 1, x'00', 0)";
    sqlx::query(future).execute(&mut connection).await.expect("written");
    connection.close().await.expect("closes");
    let before = std::fs::read(&path).expect("there");
    let error = site.refused(&["hosts"]);
    assert_names(&error, &["harmony.db", "version 99", "hint: "]);
    assert!(std::fs::read(&path).expect("there") == before, "nothing was changed");
}

/// A small file system of its own.
struct Tmpfs(PathBuf);

impl Tmpfs {
    /// `None` where one may not be made.
    fn mount(path: PathBuf) -> Option<Self> {
        std::fs::create_dir(&path).expect("made");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&path).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_named_and_nothing_is_lost() {
    let site = Site::new();
    let Some(disk) = Tmpfs::mount(site.path("disk")) else {
        println!("skipped: a file system is mounted as root only");
        return;
    };
    let state = disk.0.join("state");
    site.write(&state);
    let _ = site.reports(2, &report(1));
    site.done(&["inventory", "scan"]);
    let hosts = site.hosts();
    let filler = disk.0.join("filler");
    let mut file = std::fs::File::create(&filler).expect("made");
    while file.write_all(&[0; 4096]).is_ok() {}
    while file.write_all(&[0]).is_ok() {}
    let error = site.refused(&["host", "assign", "SN-1", "node-1"]);
    let folder = state.display().to_string();
    assert_names(&error, &["no space is left", "harmony.db", &folder]);
    drop(file);
    std::fs::remove_file(&filler).expect("freed");
    assert_eq!(site.hosts(), hosts, "as it was");
    site.done(&["host", "assign", "SN-1", "node-1"]);
}

/// `harmony lab up` as somebody who is not root, by a copy of the program at a place that such a user can read.
fn lab_up(target: &Path, args: &[&str]) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    let program = target.join("debug/harmony");
    std::fs::set_permissions(target, std::fs::Permissions::from_mode(0o755)).expect("set");
    std::fs::create_dir_all(target.join("debug")).expect("made");
    if !program.exists() {
        // By another process: what this one has open for writing, a test beside this one may inherit, and
        // then the copy cannot be run.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_harmony")).arg(&program).status();
        assert!(copied.expect("starts").success());
    }
    let mut command = Command::new(program);
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command.args(["lab", "up"]).args(args).current_dir("/").env_remove("HARMONY_AGENT").output();
    let output = output.expect("starts");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    error
}

#[test]
fn a_rack_needs_root_and_the_agent_that_was_built_for_it() {
    let target = tempfile::tempdir().expect("a folder");
    let error = lab_up(target.path(), &["--agent", "/bin/true"]);
    assert_names(&error, &["needs root", "hint: run the same command as root"]);
    let error = lab_up(target.path(), &[]);
    assert_names(&error, &["needs the inventory agent's binary", "hint: `cargo xtask agent` builds it"]);
    let built = target.path().join("x86_64-unknown-linux-musl/agent");
    std::fs::create_dir_all(&built).expect("made");
    std::fs::write(built.join("harmony-inventory-agent"), "").expect("written");
    assert_names(&lab_up(target.path(), &[]), &["needs root"]);
}
