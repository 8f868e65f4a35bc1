//! A cluster that answers: nodes, certificate requests, operators.
//!
//! Source: Kubernetes API (`v1` Node, `certificates.k8s.io/v1`); OpenShift `config.openshift.io/v1`,
//! `machineconfiguration.openshift.io/v1`.

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::DeviceResult;
use crate::net::Hostname;
use crate::secret::Secret;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterNode {
    /// Its name.
    pub name: String,
    /// Whether its kubelet says that it is ready.
    pub ready: bool,
    /// Roles, sorted: `control-plane`, `master`, `worker`.
    pub roles: Vec<String>,
    /// Whether new workloads are kept off it.
    pub unschedulable: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// A certificate request that nobody has decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRequest {
    /// Its name.
    pub name: String,
    /// `kubernetes.io/kubelet-serving`.
    pub signer: String,
    /// Who asked.
    pub username: String,
    /// The groups of who asked.
    pub groups: Vec<String>,
    /// Usages asked for: `client auth`.
    pub usages: Vec<String>,
    /// The PKCS #10 request, DER. Source: RFC 2986.
    pub request: Vec<u8>,
    /// When.
    pub created_at: Option<Timestamp>,
}

/// A cluster operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterOperator {
    /// `etcd`, `ingress`.
    pub name: String,
    /// It works.
    pub available: bool,
    /// It changes something.
    pub progressing: bool,
    /// It works badly.
    pub degraded: bool,
    /// What it says of itself, if anything is wrong.
    pub message: String,
}

/// A pool of nodes with one machine configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineConfigPool {
    /// `master`, `worker`.
    pub name: String,
    /// Nodes in it.
    pub machines: u32,
    /// Nodes that have its configuration and are ready.
    pub ready: u32,
    /// All nodes have its configuration.
    pub updated: bool,
    /// Something went wrong.
    pub degraded: bool,
}

/// A cluster at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The release that is installed, if it says.
    pub version: Option<String>,
    /// Nodes, sorted by name.
    pub nodes: Vec<ClusterNode>,
    /// Operators, sorted by name.
    pub operators: Vec<ClusterOperator>,
    /// Pools, sorted by name.
    pub pools: Vec<MachineConfigPool>,
    /// Whether masters run workloads; absent where the cluster does not say yet.
    pub masters_schedulable: Option<bool>,
    /// Nodes on which ready ingress routers run, sorted.
    pub ingress_nodes: Vec<String>,
}

/// A cluster's API.
///
/// Contract:
/// 1. Without an answer, reads fail with kind `Unreachable`: a cluster that is not there yet is no other error.
/// 2. `approve` approves that request and nothing else; of one that is approved or gone it succeeds.
/// 3. `set_masters_schedulable` and `restart_ingress` may be repeated.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Uses this kubeconfig from now on.
    async fn login(&self, kubeconfig: &Secret) -> DeviceResult<()>;
    /// What it says of itself.
    async fn status(&self) -> DeviceResult<ClusterStatus>;
    /// Certificate requests that nobody has decided, oldest first.
    async fn pending_requests(&self) -> DeviceResult<Vec<CertificateRequest>>;
    /// Approves a certificate request.
    async fn approve(&self, request: &str) -> DeviceResult<()>;
    /// Whether masters run workloads from now on.
    async fn set_masters_schedulable(&self, schedulable: bool) -> DeviceResult<()>;
    /// Lets the ingress routers be scheduled anew.
    async fn restart_ingress(&self) -> DeviceResult<()>;
    /// Removes a node that has left.
    async fn remove_node(&self, name: &Hostname) -> DeviceResult<()>;
}

/// The services that a booting node needs, asked before there is a cluster that could be.
///
/// Contract: a service that does not answer, or answers that it is not ready, is `Ok(NotYet)` with what it
/// said; errors are for what no waiting mends.
#[async_trait]
pub trait BootstrapProbe: Send + Sync {
    /// Whether the machine config server at this address serves a pool. The bootstrap's serves `master`
    /// alone, and answers 500 for any other. Source: openshift/machine-config-operator `pkg/server`.
    async fn machine_config(&self, server: SocketAddr, pool: &str) -> DeviceResult<Readiness>;
    /// Whether the API server at this address is ready. Source: Kubernetes, "API health endpoints".
    async fn api(&self, server: SocketAddr) -> DeviceResult<Readiness>;
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// It serves.
    Ready,
    /// It does not, and this is what was seen.
    NotYet(String),
}
