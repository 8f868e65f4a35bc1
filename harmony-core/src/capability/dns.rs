//! The DNS server that hosts and their users ask.

use std::net::IpAddr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::DeviceResult;
use crate::net::DnsName;

/// A name with its address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DnsRecord {
    /// The name, which identifies the record.
    pub name: DnsName,
    /// Its address (A or AAAA).
    pub address: IpAddr,
    /// Whether the address leads back to the name (PTR). Never for a wildcard.
    pub reverse: bool,
}

/// A DNS server.
///
/// Contract:
/// 1. Reads change nothing. [`dns_records`](Self::dns_records) works while the server is down, as far as
///    its files tell.
/// 2. `set_dns_record` replaces the record of that name, and its PTR with it. It may be repeated. Records
///    that somebody else wrote are never touched: a name that has one is refused (`Conflict`).
/// 3. `remove_dns_record` of one that is not there succeeds.
/// 4. Both return when the server answers accordingly.
/// 5. Where the site's DNS is not Harmony's to change, [`dns_is_external`](Self::dns_is_external) is true, both
///    writes are refused (`Rejected`), and the answers can still be asked for.
#[async_trait]
pub trait DnsServer: Send + Sync {
    /// Whether somebody else keeps the records: Harmony then checks and reports, and changes nothing.
    fn dns_is_external(&self) -> bool {
        false
    }
    /// The records that Harmony keeps, sorted by name; none where the DNS is external.
    async fn dns_records(&self) -> DeviceResult<Vec<DnsRecord>>;
    /// Makes or replaces a record.
    async fn set_dns_record(&self, record: &DnsRecord) -> DeviceResult<()>;
    /// Removes a record.
    async fn remove_dns_record(&self, name: &DnsName) -> DeviceResult<()>;
    /// The addresses that the server gives for a name just now, sorted; none if it has none. For a wildcard, those of
    /// some name below it.
    async fn resolve(&self, name: &DnsName) -> DeviceResult<Vec<IpAddr>>;
    /// The names that the server gives for an address just now, sorted.
    async fn resolve_back(&self, address: IpAddr) -> DeviceResult<Vec<DnsName>>;
    /// The file and the line that `set_dns_record` would write, for the plan.
    fn dns_record_text(&self, record: &DnsRecord) -> (String, String);
}
