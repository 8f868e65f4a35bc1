//! DNS that somebody else keeps: Harmony asks it, says what it should have, and changes nothing.

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use harmony_core::capability::{DnsRecord, DnsServer};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::net::DnsName;
use serde::{Deserialize, Serialize};

use super::client::{self, AskError};
use super::message::reverse_name;

/// `[dns]` with `driver = "external"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalDnsSpec {
    /// The servers that the site's hosts ask; the first that answers counts.
    pub servers: Vec<IpAddr>,
    /// Their port.
    #[serde(default = "default_port")]
    pub port: u16,
}

pub(super) fn default_port() -> u16 {
    53
}

/// The site's DNS, out of Harmony's hands.
#[derive(Debug, Clone)]
pub struct ExternalDns {
    spec: ExternalDnsSpec,
}

impl ExternalDns {
    /// The DNS of a site. Nothing is asked yet.
    #[must_use]
    pub fn new(spec: ExternalDnsSpec) -> Self {
        Self { spec }
    }

    fn shown(&self) -> String {
        let servers: Vec<String> = self.spec.servers.iter().map(ToString::to_string).collect();
        servers.join(", ")
    }

    /// Asks one server after the other until one answers, whatever it answers.
    async fn ask<T, F>(&self, what: String, ask: impl Fn(SocketAddr) -> F) -> DeviceResult<T>
    where
        F: Future<Output = Result<T, AskError>>,
    {
        let failed = |kind| {
            DeviceError::new(kind, format!("failed to {what} at the site's DNS"))
                .hint("correct `servers` in [dns] of the site file, or see why they do not answer")
        };
        let mut last = failed(FailureKind::Invalid).because("the site file names no server");
        for server in self.spec.servers.clone() {
            match ask(SocketAddr::new(server, self.spec.port)).await {
                Ok(found) => return Ok(found),
                Err(error) => last = failed(error.kind()).because(error),
            }
        }
        Err(last)
    }

    fn refused(&self, operation: String, hint: String) -> DeviceError {
        DeviceError::new(FailureKind::Rejected, operation)
            .because(format!("the site's DNS ({}) is not Harmony's to change", self.shown()))
            .hint(hint)
    }
}

#[async_trait]
impl DnsServer for ExternalDns {
    fn dns_is_external(&self) -> bool {
        true
    }

    async fn dns_records(&self) -> DeviceResult<Vec<DnsRecord>> {
        Ok(Vec::new())
    }

    async fn set_dns_record(&self, record: &DnsRecord) -> DeviceResult<()> {
        let operation = format!("failed to set DNS record `{}` to {}", record.name, record.address);
        let lines = zone_lines(record).trim_end().replace('\n', "; ");
        Err(self.refused(operation, format!("have whoever keeps it add: {lines}")))
    }

    async fn remove_dns_record(&self, name: &DnsName) -> DeviceResult<()> {
        let hint = "have whoever keeps it remove the name".to_owned();
        Err(self.refused(format!("failed to remove DNS record `{name}`"), hint))
    }

    async fn resolve(&self, name: &DnsName) -> DeviceResult<Vec<IpAddr>> {
        self.ask(format!("look up `{name}`"), |server| client::resolve(server, name)).await
    }

    async fn resolve_back(&self, address: IpAddr) -> DeviceResult<Vec<DnsName>> {
        self.ask(format!("look up {address}"), |server| client::resolve_back(server, address)).await
    }

    /// As lines of a zone file, which every server's keeper reads.
    fn dns_record_text(&self, record: &DnsRecord) -> (String, String) {
        (format!("the site's DNS ({})", self.shown()), zone_lines(record))
    }
}

/// Source: RFC 1035 section 5.1.
fn zone_lines(record: &DnsRecord) -> String {
    let kind = if record.address.is_ipv4() { "A" } else { "AAAA" };
    let forward = format!("{}. IN {kind} {}\n", record.name, record.address);
    if record.reverse && !record.name.is_wildcard() {
        format!("{forward}{}. IN PTR {}.\n", reverse_name(record.address), record.name)
    } else {
        forward
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_should_add() {
        let dns = ExternalDns::new(toml::from_str("servers = ['192.0.2.1', '2001:db8::1']").expect("valid"));
        assert_eq!(dns.spec.port, 53);
        let record = |name: &str, address: &str, reverse| DnsRecord {
            name: name.parse().expect("a name"),
            address: address.parse().expect("an address"),
            reverse,
        };
        for (record, text) in [
            (
                record("api.x", "192.168.1.5", true),
                "api.x. IN A 192.168.1.5\n5.1.168.192.in-addr.arpa. IN PTR api.x.\n",
            ),
            (record("*.apps.x", "fd00::5", false), "*.apps.x. IN AAAA fd00::5\n"),
        ] {
            assert_eq!(dns.dns_record_text(&record), ("the site's DNS (192.0.2.1, 2001:db8::1)".into(), text.into()));
        }
        assert!(toml::from_str::<ExternalDnsSpec>("servers = ['dns.example.com']").is_err());
    }
}
