//! Names of hosts and services, as clients of the site resolve them.

use std::net::IpAddr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::DeviceResult;
use crate::net::Hostname;

/// A name that is kept for a host or a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "record")]
pub enum DnsRecord {
    /// One name, forward and back: `A` or `AAAA`, and `PTR`.
    Host {
        /// The full name.
        name: Hostname,
        /// Its address.
        address: IpAddr,
    },
    /// One name, forward only: where several names have one address, one of them is its `PTR`.
    Alias {
        /// The full name.
        name: Hostname,
        /// Its address.
        address: IpAddr,
    },
    /// Every name below a domain, forward only: `*.apps.ocp4.example.com`.
    Wildcard {
        /// The domain, without `*.`.
        domain: Hostname,
        /// The address.
        address: IpAddr,
    },
}

impl DnsRecord {
    /// The name, or the wildcard's domain; identifies the record.
    #[must_use]
    pub fn name(&self) -> &Hostname {
        match self {
            Self::Host { name, .. } | Self::Alias { name, .. } => name,
            Self::Wildcard { domain, .. } => domain,
        }
    }

    /// What it resolves to.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        match self {
            Self::Host { address, .. } | Self::Alias { address, .. } | Self::Wildcard { address, .. } => *address,
        }
    }
}

/// A DNS server in which Harmony keeps records.
///
/// Contract:
/// 1. `records` lists the records that Harmony keeps, and no other; it works while the server is down.
/// 2. `set_record` replaces the record of that name. It may be repeated; the server answers by it
///    when it returns.
/// 3. `remove_record` of one that is not there succeeds.
#[async_trait]
pub trait DnsServer: Send + Sync {
    /// Harmony's records, sorted by name.
    async fn records(&self) -> DeviceResult<Vec<DnsRecord>>;
    /// Makes or replaces a record.
    async fn set_record(&self, record: &DnsRecord) -> DeviceResult<()>;
    /// Removes a record.
    async fn remove_record(&self, name: &Hostname) -> DeviceResult<()>;
    /// The file and text that `set_record` would write, for the plan.
    fn record_text(&self, record: &DnsRecord) -> (String, String);
}

/// Names as a client of the provisioning network resolves them, whoever keeps them.
#[async_trait]
pub trait NameLookup: Send + Sync {
    /// The addresses of a name, sorted; none if it does not exist.
    async fn addresses_of(&self, name: &Hostname) -> DeviceResult<Vec<IpAddr>>;
    /// The names of an address, sorted; none if it has none.
    async fn names_of(&self, address: IpAddr) -> DeviceResult<Vec<String>>;
}
