//! dnsmasq, and a DHCP client at the other end of a cable.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harmony_core::capability::AddressRange;
use harmony_drivers::WriteLog;
use harmony_drivers::dhcp::dnsmasq::{BootFiles, Dnsmasq, DnsmasqConfig, DnsmasqSpec, InterfaceName};

use crate::world::{Namespace, require, run};

/// Programs that it needs, each with its Debian package.
pub(crate) const NEEDS: [(&str, &str); 3] =
    [("dnsmasq", "dnsmasq-base"), ("ip", "iproute2"), ("busybox", "busybox-static")];

/// `ctl0` of one namespace and `c0` of another on one cable; dnsmasq runs in the first.
pub(crate) struct Site {
    pub(crate) server: Namespace,
    pub(crate) client: Namespace,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) writes: WriteLog,
}

/// Written by a process of its own: were a writable descriptor open here while another test starts
/// a program, the script could not be executed.
pub(crate) fn script(path: &Path, text: &str) {
    run("sh", &["-c", "printf '%s\n' \"$1\" > \"$2\" && chmod +x \"$2\"", "sh", text, &path.display().to_string()]);
    assert!(path.metadata().expect("written").permissions().mode() & 0o100 != 0);
}

impl Site {
    pub(crate) fn new() -> Self {
        require(&NEEDS);
        let site = Self {
            server: Namespace::new(),
            client: Namespace::new(),
            folder: tempfile::tempdir().expect("folder"),
            writes: WriteLog::default(),
        };
        site.server.ip(&["link", "add", "ctl0", "type", "veth", "peer", "name", "c0", "netns", site.client.name()]);
        site.server.ip(&["addr", "add", "10.10.0.1/24", "dev", "ctl0"]);
        site.server.ip(&["link", "set", "ctl0", "up"]);
        site.client.ip(&["link", "set", "c0", "up"]);
        script(&site.file("dnsmasq"), &format!("#!/bin/sh\nexec ip netns exec {} dnsmasq \"$@\"", site.server.name()));
        script(
            &site.file("bound"),
            "#!/bin/sh\n[ \"$1\" = bound ] && echo \"$ip $boot_file $siaddr ${opt60:-}\"\nexit 0",
        );
        site
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn dnsmasq(&self) -> Dnsmasq {
        self.dnsmasq_with(|_, _| ())
    }

    pub(crate) fn dnsmasq_with(&self, change: impl FnOnce(&mut DnsmasqSpec, &mut DnsmasqConfig)) -> Dnsmasq {
        let interface = InterfaceName::try_from("ctl0".to_owned()).expect("valid");
        let mut spec = DnsmasqSpec { interface, program: Some(self.file("dnsmasq")) };
        let mut config = DnsmasqConfig {
            state_dir: self.file("dhcp"),
            address: "10.10.0.1/24".parse().expect("valid"),
            pool: AddressRange { first: Ipv4Addr::new(10, 10, 0, 100), last: Ipv4Addr::new(10, 10, 0, 199) },
            lease: Duration::from_secs(600),
            announce: None,
            router: None,
            dns: Vec::new(),
            ntp: Vec::new(),
            boot: BootFiles {
                script_url: "http://10.10.0.1:8080/boot.ipxe".into(),
                tftp: Ipv4Addr::new(10, 10, 0, 1),
                bios: "undionly.kpxe".into(),
                efi64: "ipxe.efi".into(),
                efi64_url: "http://10.10.0.1:8080/ipxe.efi".into(),
            },
        };
        change(&mut spec, &mut config);
        Dnsmasq::new(spec, config, self.writes.clone()).expect("valid")
    }

    /// Asks for an address as `mac`; what the client got: address, boot file, next server.
    pub(crate) fn ask(&self, mac: &str, options: &[&str]) -> String {
        self.client.ip(&["link", "set", "c0", "address", mac]);
        let bound = self.file("bound").display().to_string();
        let args = ["udhcpc", "-i", "c0", "-s", &bound, "-n", "-q", "-f", "-t", "8", "-T", "1"];
        let output = self.client.run("busybox", &[&args, options].concat());
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn address(&self, mac: &str) -> String {
        self.ask(mac, &[]).split(' ').next().unwrap_or_default().to_owned()
    }

    pub(crate) fn writes(&self) -> Vec<String> {
        let folder = self.folder.path().display().to_string();
        self.writes.entries().into_iter().map(|write| write.command.replace(&folder, "")).collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let dnsmasq = self.dnsmasq();
        let stopping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
            runtime.block_on(dnsmasq.stop())
        });
        let _ = stopping.join();
    }
}
