//! dnsmasq for DNS, on a loopback address of the test's own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use harmony_drivers::WriteLog;
use harmony_drivers::dns::dnsmasq::{DnsmasqDns, DnsmasqDnsSpec};

use crate::world::{free_port, require};

/// Programs that it needs, each with its Debian package.
pub(crate) const NEEDS: [(&str, &str); 1] = [("dnsmasq", "dnsmasq-base")];

/// A folder, a port, and what was written.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) writes: WriteLog,
    pub(crate) server: SocketAddr,
}

impl Site {
    pub(crate) fn new() -> Self {
        require(&NEEDS);
        let server = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), free_port());
        Self { folder: tempfile::tempdir().expect("folder"), writes: WriteLog::default(), server }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn dns(&self) -> DnsmasqDns {
        self.dns_with(|_| ())
    }

    pub(crate) fn dns_with(&self, change: impl FnOnce(&mut DnsmasqDnsSpec)) -> DnsmasqDns {
        let mut spec = DnsmasqDnsSpec {
            listen: vec![self.server.ip()],
            port: self.server.port(),
            domains: vec!["ocp4.example.com".parse().expect("a name")],
            upstream: Vec::<IpAddr>::new(),
            hosts: Vec::new(),
            program: None,
        };
        change(&mut spec);
        DnsmasqDns::new(spec, &self.file("dns"), self.writes.clone()).expect("valid")
    }

    pub(crate) fn writes(&self) -> Vec<String> {
        let folder = self.folder.path().display().to_string();
        self.writes.entries().into_iter().map(|write| write.command.replace(&folder, "")).collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let dns = self.dns();
        let stopping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
            runtime.block_on(dns.stop())
        });
        let _ = stopping.join();
    }
}
