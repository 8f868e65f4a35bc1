//! A TCP load balancer in front of a cluster's nodes.

use std::net::SocketAddr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::DeviceResult;
use crate::net::Hostname;

/// How members are checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "check")]
pub enum HealthCheck {
    /// A connection can be made.
    Tcp,
    /// A GET of this path over TLS is answered 2xx; the certificate is not verified.
    Https {
        /// `/readyz`.
        path: String,
    },
}

/// Which member gets a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// Each in turn.
    RoundRobin,
    /// The same for the same client.
    Source,
}

/// A member of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// The host.
    pub name: Hostname,
    /// Where it answers.
    pub address: SocketAddr,
    /// Used only while no other member is up.
    pub backup: bool,
}

/// A balanced service, passed through as TCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancedService {
    /// Names it, in letters, digits, `-` and `_`: `ocp4-api`.
    pub name: String,
    /// Where clients connect.
    pub listen: Vec<SocketAddr>,
    /// How members are checked: every 5 s, up after 2 successes, down after 3 failures.
    /// Source: OpenShift, "Load balancing requirements for user-provisioned infrastructure".
    pub check: HealthCheck,
    /// Who gets a connection.
    pub balance: Balance,
    /// The members, sorted.
    pub members: Vec<Member>,
}

/// What the load balancer found of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberHealth {
    /// It gets connections.
    Up,
    /// Its check fails; the text is the load balancer's reason.
    Down(String),
    /// It gets no new connection.
    Draining,
    /// Not checked yet, or in words that are not understood.
    Unrecognised(String),
}

/// A service as it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// As it is configured.
    pub service: BalancedService,
    /// Health by the member's name; empty while the load balancer does not run.
    pub health: Vec<(Hostname, MemberHealth)>,
}

/// A load balancer in which Harmony keeps services.
///
/// Contract:
/// 1. `services` lists the services that Harmony keeps, and no other.
/// 2. `set_service` replaces the service of that name in one step: connections of members that stay are not cut.
///    A configuration that the load balancer refuses is not put in force (`Rejected`). It may be repeated.
/// 3. `remove_service` of one that is not there succeeds.
/// 4. `drain` lets connections end and gives no new ones; `set_service` without the member then removes it.
#[async_trait]
pub trait LoadBalancer: Send + Sync {
    /// Harmony's services, sorted by name.
    async fn services(&self) -> DeviceResult<Vec<ServiceStatus>>;
    /// Makes or replaces a service.
    async fn set_service(&self, service: &BalancedService) -> DeviceResult<()>;
    /// Removes a service.
    async fn remove_service(&self, name: &str) -> DeviceResult<()>;
    /// Takes a member out of use.
    async fn drain(&self, service: &str, member: &Hostname) -> DeviceResult<()>;
    /// The file and text that `set_service` would write, for the plan.
    fn service_text(&self, service: &BalancedService) -> (String, String);
}
