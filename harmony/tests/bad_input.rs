//! Bad input through the `harmony` command: agents that lie or break, hosts that cannot be told apart or
//! installed, a database of the future, a full disk, too few rights. Each is named, with the next step.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU8, Ordering};

use harmony_core::report::{AGENT_PORT, v1};
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;

/// A site in a loopback network of its own, without devices.
struct Site {
    folder: TempDir,
    network: [u8; 3],
}

impl Site {
    fn new() -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(0);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let network = [64 + (high & 0x3f), low, COUNT.fetch_add(1, Ordering::Relaxed)];
        let site = Self { folder: tempfile::tempdir().expect("a folder"), network };
        site.write(&site.path("state"));
        site
    }

    fn write(&self, state: &Path) {
        let address = |last| self.address(last);
        let text = format!(
            r#"
[site]
name = "test"
state = "{}"
[network]
cidr = "{}/28"
address = "{}"
vlan = 10
pool = ["{}", "{}"]
hosts = ["{}", "{}"]
[dhcp]
driver = "program"
[boot]
listen = "{}:8080"
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
"#,
            state.display(),
            address(0),
            address(1),
            address(2),
            address(7),
            address(8),
            address(14),
            address(1),
        );
        std::fs::write(self.path("site.toml"), text).expect("written");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn address(&self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.network;
        // The fourth byte of several networks: /28 each.
        Ipv4Addr::new(127, a, b, (c & 0x0f) << 4 | last)
    }

    /// Something that listens where an agent would.
    fn agent(&self, last: u8, answer: impl Fn(TcpStream) + Send + 'static) -> Ipv4Addr {
        let address = self.address(last);
        let listener = TcpListener::bind((address, AGENT_PORT)).expect("an address of our own");
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                // A scan connects and asks nothing.
                if client.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    answer(client);
                }
            }
        });
        address
    }

    fn reports(&self, last: u8, report: &v1::Report) -> Ipv4Addr {
        let body = serde_json::to_string(report).expect("JSON");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        self.agent(last, move |mut client| drop(client.write_all(answer.as_bytes())))
    }

    fn harmony(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harmony"));
        command.current_dir(self.folder.path()).args(args).env_remove("HARMONY_SITE").output().expect("starts")
    }

    /// The error of a command that must fail with exit code 1, and prints no data.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.harmony(args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
        assert!(output.stdout.is_empty(), "{args:?} printed data");
        error
    }

    fn done(&self, args: &[&str]) -> String {
        let output = self.harmony(args);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {told}");
        told + &String::from_utf8_lossy(&output.stdout)
    }

    fn hosts(&self) -> Vec<serde_json::Value> {
        let output = self.harmony(&["--json", "hosts"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

/// What the agent of a machine with one NIC and one disk says.
fn report(machine: u8) -> v1::Report {
    let mut report = v1::Report { schema: v1::SCHEMA.into(), ..v1::Report::default() };
    report.nics = vec![v1::Nic {
        name: "eth0".into(),
        permanent_mac: Some(format!("52:54:00:00:00:{machine:02x}")),
        ..v1::Nic::default()
    }];
    report.disks = vec![v1::Disk {
        name: "vda".into(),
        serial: Some(format!("D{machine}")),
        size_bytes: Some(1 << 34),
        ..v1::Disk::default()
    }];
    report.system.uuid = Some(format!("00112233-4455-6677-8899-aabbccddee{machine:02x}"));
    report.system.serial = Some(format!("SN-{machine}"));
    report
}

#[track_caller]
fn assert_names(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
}

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
