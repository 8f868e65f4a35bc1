//! The DHCP server of a site: one that Harmony runs, or one that the user's program has a driver for.

use std::sync::Arc;

use async_trait::async_trait;
use harmony_core::capability::{DhcpServer, Lease, Reservation};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::net::{Hostname, MacAddress};
use harmony_drivers::dhcp::dnsmasq::Dnsmasq;

/// A site's DHCP server.
pub(super) enum SiteDhcp {
    /// Harmony starts and owns it.
    Dnsmasq(Box<Dnsmasq>),
    /// Somebody else runs it.
    Program(Arc<dyn DhcpServer>),
}

impl SiteDhcp {
    /// Its driver.
    pub(super) fn server(&self) -> &dyn DhcpServer {
        match self {
            Self::Dnsmasq(dnsmasq) => dnsmasq.as_ref(),
            Self::Program(server) => server.as_ref(),
        }
    }

    /// Its configuration, if it is Harmony's and these were all reservations that it has: name of the file, and its text.
    pub(super) fn config_text(&self, reservations: &[Reservation]) -> DeviceResult<Option<(&'static str, String)>> {
        match self {
            Self::Dnsmasq(dnsmasq) => Ok(Some(("dnsmasq-dhcp.conf", dnsmasq.config_text(reservations)?))),
            Self::Program(_) => Ok(None),
        }
    }

    /// Starts it, if it is Harmony's and does not run.
    pub(super) async fn ensure_running(&self) -> DeviceResult<()> {
        match self {
            Self::Dnsmasq(dnsmasq) => dnsmasq.ensure_running().await,
            Self::Program(_) => Ok(()),
        }
    }

    /// Stops it, if it is Harmony's.
    pub(super) async fn stop(&self) -> DeviceResult<()> {
        match self {
            Self::Dnsmasq(dnsmasq) => dnsmasq.stop().await,
            Self::Program(_) => Ok(()),
        }
    }
}

/// Stands where the program should have given a driver: everything else of the site can be used.
pub(super) struct NotGiven;

impl NotGiven {
    fn error<T>() -> DeviceResult<T> {
        Err(DeviceError::new(FailureKind::Invalid, "failed to ask the DHCP server: its driver is in another program")
            .hint(
                "[dhcp] has driver = \"program\": use the program that opens this site by SiteTopology::with_drivers",
            ))
    }
}

#[async_trait]
impl DhcpServer for NotGiven {
    async fn reservations(&self) -> DeviceResult<Vec<Reservation>> {
        Self::error()
    }
    async fn set_reservation(&self, _: &Reservation) -> DeviceResult<()> {
        Self::error()
    }
    async fn remove_reservation(&self, _: &Hostname) -> DeviceResult<()> {
        Self::error()
    }
    async fn leases(&self) -> DeviceResult<Vec<Lease>> {
        Self::error()
    }
    async fn recent_log(&self, _: MacAddress, _: usize) -> DeviceResult<Vec<String>> {
        Self::error()
    }
    fn reservation_record(&self, reservation: &Reservation) -> (String, String) {
        (reservation.hostname.to_string(), String::new())
    }
}
