//! The load balancer before a cluster: which servers answer for an address, and how they are.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::DeviceResult;
use crate::net::Hostname;

/// How a connection's server is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// Each in turn.
    RoundRobin,
    /// By the client's address: the same client meets the same server.
    Source,
}

/// How a server is known to be well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum HealthCheck {
    /// It accepts connections.
    Tcp,
    /// It answers `GET path` with 200, over TLS whose certificate is not looked at (the balancer has no way to know it).
    Https {
        /// The path, `/readyz`.
        path: String,
    },
    /// It answers `GET path` with 200 on another port.
    Http {
        /// The path, `/healthz/ready`.
        path: String,
        /// The port.
        port: u16,
    },
}

/// A server behind a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LbServer {
    /// Names it within its service.
    pub name: Hostname,
    /// Where it answers.
    pub address: SocketAddr,
    /// Whether it is used only while no other is well.
    pub backup: bool,
}

/// One address that is balanced. Connections are passed on as they are: TLS ends at the servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LbService {
    /// Names it: `ocp4-api`. As [`Hostname::short`]: letters, digits and `-`.
    pub name: Hostname,
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// How a server is chosen.
    pub balance: Balance,
    /// How a server is known to be well: looked at every `interval_s` seconds, up after 2 successes, down after 3
    /// failures. Source: OpenShift, "Load balancing requirements for user-provisioned infrastructure".
    pub check: HealthCheck,
    /// Seconds between two looks, 1 to 60.
    pub interval_s: u32,
    /// Its servers, sorted by name.
    pub servers: Vec<LbServer>,
}

impl LbService {
    /// Time between two looks.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_secs(self.interval_s.into())
    }
}

/// How a server is, as the balancer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// Its check passes.
    Up,
    /// Its check fails.
    Down,
    /// It gets no new connections.
    Drain,
    /// It is taken out.
    Maintenance,
    /// Anything else, in the device's own words.
    Unrecognised(String),
}

impl fmt::Display for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("up"),
            Self::Down => f.write_str("down"),
            Self::Drain => f.write_str("draining"),
            Self::Maintenance => f.write_str("in maintenance"),
            Self::Unrecognised(text) => write!(f, "unrecognised: {text}"),
        }
    }
}

/// A server as the running balancer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerHealth {
    /// The service.
    pub service: Hostname,
    /// The server.
    pub server: Hostname,
    /// How it is.
    pub state: ServerState,
    /// Connections that it has now.
    pub sessions: u64,
    /// What its last check said.
    pub last_check: Option<String>,
}

/// What is asked of one server of a service, until the balancer is configured anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerAdmin {
    /// Takes part by its check.
    Ready,
    /// Gets no new connections; those that it has go on.
    Drain,
    /// Gets none.
    Maintenance,
}

/// A load balancer.
///
/// Contract:
/// 1. Reads change nothing. [`services`](Self::services) works while the balancer is down, as far as its files tell.
/// 2. `set_services` makes or replaces these services by name, all at once, and leaves all others as they are. What the
///    balancer would refuse is found before it is used: then nothing has changed (`Invalid` or `Conflict`). It may be
///    repeated. Connections of services that stay are not cut.
/// 3. `remove_services` of some that are not there succeeds.
/// 4. Both return when the running balancer has the services as asked.
/// 5. Services of the balancer that Harmony did not make are neither shown nor touched.
/// 6. Where the site's balancer is not Harmony's to change, [`load_balancer_is_external`](Self::load_balancer_is_external)
///    is true, `services` and `server_health` are empty, and writes are refused (`Rejected`).
#[async_trait]
pub trait LoadBalancer: Send + Sync {
    /// Whether somebody else configures it: Harmony then checks and reports, and changes nothing.
    fn load_balancer_is_external(&self) -> bool {
        false
    }
    /// Whether a balancer that somebody else configures takes connections at an address. One of Harmony's own is told to.
    async fn listens(&self, _at: SocketAddr) -> DeviceResult<()> {
        Ok(())
    }
    /// The services that Harmony made, sorted by name.
    async fn services(&self) -> DeviceResult<Vec<LbService>>;
    /// Makes or replaces services.
    async fn set_services(&self, services: &[LbService]) -> DeviceResult<()>;
    /// Removes services.
    async fn remove_services(&self, names: &[Hostname]) -> DeviceResult<()>;
    /// How each server of these services is, sorted by service and server.
    async fn server_health(&self) -> DeviceResult<Vec<ServerHealth>>;
    /// Drains a server, or lets it take part again.
    async fn set_server(&self, service: &Hostname, server: &Hostname, admin: ServerAdmin) -> DeviceResult<()>;
    /// The file and the text that `set_services` would write for a service, for the plan.
    fn service_text(&self, service: &LbService) -> (String, String);
}
