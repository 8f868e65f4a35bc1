//! What the site file says of dnsmasq as a DNS server, and the head of the configuration that follows.
//!
//! Source: dnsmasq(8) of version 2.90.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use harmony_core::net::Hostname;
use serde::{Deserialize, Serialize};

use super::super::external::default_port;
use crate::dhcp::dnsmasq::{DnsmasqConfigError, plain};

/// `[dns]` with `driver = "dnsmasq"`: a server that Harmony starts and owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsmasqDnsSpec {
    /// Our addresses that it answers on; one at least. Harmony asks the first.
    pub listen: Vec<IpAddr>,
    /// The port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// Domains that nobody else is asked for: what has no record there does not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Hostname>,
    /// Servers that are asked for everything else; without any, nothing else exists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstream: Vec<IpAddr>,
    /// Files in the form of `/etc/hosts` that somebody else keeps: they are answered from, and Harmony refuses to
    /// make a record of a name that is in one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<PathBuf>,
    /// The program; by default `dnsmasq` from `PATH`. It must end up as a process of that name, so a
    /// wrapper has to `exec` it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
}

impl DnsmasqDnsSpec {
    /// Who is asked.
    pub(super) fn server(&self) -> Result<SocketAddr, DnsmasqConfigError> {
        let is_ours = |address: &IpAddr| !address.is_unspecified() && !address.is_multicast();
        match self.listen.first() {
            Some(first) if self.listen.iter().all(is_ours) && self.port != 0 => Ok(SocketAddr::new(*first, self.port)),
            _ => {
                let shown: Vec<String> = self.listen.iter().map(ToString::to_string).collect();
                let shown = format!("{} port {}", shown.join(", "), self.port);
                Err(DnsmasqConfigError::new("listen", &shown, "addresses of this machine and a port are needed"))
            }
        }
    }

    /// What stands before the records; the same text for the same site.
    pub(super) fn head(&self, folder: &Path) -> Result<String, DnsmasqConfigError> {
        let server = self.server()?;
        let folder = plain("state_dir", folder.to_str().unwrap_or("\u{fffd}"))?;
        let mut text = format!(
            "\
# Written by Harmony, which reads the records back. What is changed by hand is overwritten at the next change.
# DNS only. Root, because the folder may be readable to nobody else.
port={}
user=root
pid-file
log-facility={folder}/dnsmasq.log
bind-dynamic
no-hosts
no-resolv
# Neither bare names nor the names of private addresses are anybody else's to know.
domain-needed
bogus-priv
local=/invalid/
",
            server.port()
        );
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            text.push_str(&format!("{key}={value}\n"));
        };
        for address in &self.listen {
            line("listen-address", address);
        }
        for path in &self.hosts {
            line("addn-hosts", &plain("hosts", path.to_str().unwrap_or("\u{fffd}"))?);
        }
        for address in &self.upstream {
            line("server", address);
        }
        for domain in &self.domains {
            line("local", &format_args!("/{domain}/"));
        }
        if self.upstream.is_empty() {
            line("local", &"/#/");
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_file_is_checked() {
        let head = |text: &str| {
            let spec: DnsmasqDnsSpec = toml::from_str(text).map_err(|error| error.to_string())?;
            spec.head(Path::new("/var/lib/harmony/dns")).map_err(|error| error.to_string())
        };
        let whole = "listen = ['10.10.0.1', 'fd10::1']\nupstream = ['192.0.2.53']\nhosts = ['/etc/hosts']\n\
                     domains = ['ocp4.example.com']";
        insta::assert_snapshot!(head(whole).expect("valid"));
        assert!(head("listen = ['10.10.0.1']").expect("valid").ends_with("local=/#/\n"));
        for (text, why) in [
            ("listen = []", "`listen` cannot be ` port 53`"),
            ("listen = ['0.0.0.0']", "`listen` cannot be `0.0.0.0 port 53`: addresses of this machine"),
            ("listen = ['10.10.0.1']\nport = 0", "`listen` cannot be `10.10.0.1 port 0`"),
            ("listen = ['10.10.0.1']\nhosts = ['/a b']", "`hosts` cannot be `/a b`"),
            ("listen = ['10.10.0.1']\ndomains = ['/x/']", "is no host name"),
            ("listen = ['10.10.0.1']\ninterface = 'x'", "unknown field"),
        ] {
            let error = head(text).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
    }
}
