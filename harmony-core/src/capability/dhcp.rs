//! The DHCP server of the provisioning network.

use std::net::IpAddr;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::DeviceResult;
use crate::net::{Hostname, MacAddress};

/// An address kept for a host, on whichever of its NICs it asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The host's name, which identifies the reservation.
    pub hostname: Hostname,
    /// The address.
    pub address: IpAddr,
    /// All MACs of the host, sorted; only one is expected to ask at a time.
    pub macs: Vec<MacAddress>,
}

/// A lease that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who.
    pub mac: MacAddress,
    /// What.
    pub address: IpAddr,
    /// As the client named itself.
    pub hostname: Option<String>,
    /// Until when; absent for ever.
    pub expires_at: Option<Timestamp>,
}

/// A DHCP server.
///
/// Contract:
/// 1. Reads change nothing and work while the server is down, as far as its files tell.
/// 2. `set_reservation` replaces the reservation of that host name; it refuses an address or MAC
///    that another reservation holds (`Conflict`). It may be repeated.
/// 3. `remove_reservation` of one that is not there succeeds.
/// 4. A reservation is effective for the next request; a client that holds another address keeps
///    it until it asks again.
#[async_trait]
pub trait DhcpServer: Send + Sync {
    /// All reservations, sorted by host name.
    async fn reservations(&self) -> DeviceResult<Vec<Reservation>>;
    /// Makes or replaces a reservation.
    async fn set_reservation(&self, reservation: &Reservation) -> DeviceResult<()>;
    /// Removes a reservation.
    async fn remove_reservation(&self, hostname: &Hostname) -> DeviceResult<()>;
    /// Leases that are held now.
    async fn leases(&self) -> DeviceResult<Vec<Lease>>;
    /// The latest log lines about a MAC, oldest first, at most `limit`: evidence for a waiting step.
    async fn recent_log(&self, mac: MacAddress, limit: usize) -> DeviceResult<Vec<String>>;
    /// The file and text that `set_reservation` would write, for the plan.
    fn reservation_record(&self, reservation: &Reservation) -> (String, String);
}
