//! A site without devices, with agents on loopback, and the `harmony` command in its folder.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU8, Ordering};

use harmony_core::report::{AGENT_PORT, v1};
use tempfile::TempDir;

/// A site in a loopback network of its own, without devices.
pub(crate) struct Site {
    folder: TempDir,
    network: [u8; 3],
}

impl Site {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(0);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        // Below the prefixes that simulated racks claim: one may be on this machine at the same time.
        let network = [2 + (high & 0x1f), low, COUNT.fetch_add(1, Ordering::Relaxed)];
        let site = Self { folder: tempfile::tempdir().expect("a folder"), network };
        site.write(&site.path("state"));
        site
    }

    pub(crate) fn write(&self, state: &Path) {
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

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn address(&self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.network;
        // The fourth byte of several networks: /28 each.
        Ipv4Addr::new(127, a, b, (c & 0x0f) << 4 | last)
    }

    /// Something that listens where an agent would.
    pub(crate) fn agent(&self, last: u8, answer: impl Fn(TcpStream) + Send + 'static) -> Ipv4Addr {
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

    pub(crate) fn reports(&self, last: u8, report: &v1::Report) -> Ipv4Addr {
        let body = serde_json::to_string(report).expect("JSON");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        self.agent(last, move |mut client| drop(client.write_all(answer.as_bytes())))
    }

    pub(crate) fn harmony(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harmony"));
        command.current_dir(self.folder.path()).args(args).env_remove("HARMONY_SITE").output().expect("starts")
    }

    /// The error of a command that must fail with exit code 1, and prints no data.
    pub(crate) fn refused(&self, args: &[&str]) -> String {
        let output = self.harmony(args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
        assert!(output.stdout.is_empty(), "{args:?} printed data");
        error
    }

    pub(crate) fn done(&self, args: &[&str]) -> String {
        let output = self.harmony(args);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {told}");
        told + &String::from_utf8_lossy(&output.stdout)
    }

    pub(crate) fn hosts(&self) -> Vec<serde_json::Value> {
        let output = self.harmony(&["--json", "hosts"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

/// What the agent of a machine with one NIC and one disk says.
pub(crate) fn report(machine: u8) -> v1::Report {
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
pub(crate) fn assert_names(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
}
