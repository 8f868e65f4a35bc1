//! Finding hosts on the provisioning network and reading their reports.

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;

use crate::error::DeviceResult;

/// An agent's answer, not yet understood: it is untrusted and kept as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentReply {
    /// Who answered.
    pub address: SocketAddr,
    /// The body, at most 1 MiB.
    pub body: Vec<u8>,
}

/// The provisioning network, searched for inventory agents.
///
/// Contract: nothing is sent but TCP connections and HTTP requests to the agent's port; replies
/// are bounded in size and time.
#[async_trait]
pub trait HostDiscovery: Send + Sync {
    /// Addresses in the provisioning network that accept connections on the agent's port, sorted.
    async fn scan(&self) -> DeviceResult<Vec<IpAddr>>;
    /// Reads the report of the agent at an address.
    async fn fetch_report(&self, address: IpAddr) -> DeviceResult<AgentReply>;
}
