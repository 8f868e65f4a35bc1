//! Network boot: what each known host is told to do next time it asks.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::RoleConfig;
use crate::boot::OrderId;
use crate::error::DeviceResult;
use crate::host::HostId;
use crate::net::MacAddress;

/// What a host is told when it boots from the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "target")]
pub enum BootTarget {
    /// Start the inventory environment.
    Inventory,
    /// Install by this order, once; afterwards start from disk.
    Install {
        /// The order.
        order: OrderId,
        /// Hash of the script that is served (`store::Document`).
        script: String,
        /// Hash of the answer file that is served.
        answer: String,
        /// The secret configuration that the answer file is merged onto as it is served, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<RoleConfig>,
    },
    /// Start from disk.
    Disk,
}

/// What one host is told, on each of its MACs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootEntry {
    /// The host.
    pub host: HostId,
    /// All its MACs, sorted: it may boot from any of them.
    pub macs: Vec<MacAddress>,
    /// What it is told.
    pub target: BootTarget,
}

/// A network boot server.
///
/// Contract:
/// 1. A MAC without entry boots the inventory environment.
/// 2. `set_boot_entry` replaces the host's entry for all its MACs at once. It may be repeated.
/// 3. With `Install`, the script is served while the order is open and its token unused; after
///    that the host is told to start from disk. The answer file is served once.
#[async_trait]
pub trait PxeServer: Send + Sync {
    /// All entries, sorted by host.
    async fn boot_entries(&self) -> DeviceResult<Vec<BootEntry>>;
    /// Makes or replaces a host's entry.
    async fn set_boot_entry(&self, entry: &BootEntry) -> DeviceResult<()>;
    /// Removes a host's entry.
    async fn remove_boot_entry(&self, host: &HostId) -> DeviceResult<()>;
}
