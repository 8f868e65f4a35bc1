//! A running cluster, as its API and its machine config server tell of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::ClusterName;
use crate::error::DeviceResult;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name: the host's, in full.
    pub name: String,
    /// The condition `Ready`; absent where it says neither true nor false.
    pub ready: Option<bool>,
    /// Roles, from its labels `node-role.kubernetes.io/…`.
    pub roles: BTreeSet<String>,
    /// Its internal addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether pods are placed on it.
    pub schedulable: bool,
    /// What its condition `Ready` says, where it is not true.
    pub message: Option<String>,
}

/// How a certificate request was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CsrState {
    /// Not yet.
    Pending,
    /// Approved.
    Approved,
    /// Denied, or failed.
    Denied,
}

/// A certificate signing request, with what its PEM says. A stranger may have made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRequest {
    /// Its name in the API.
    pub name: String,
    /// `kubernetes.io/kubelet-serving`, …
    pub signer: String,
    /// Who asked: `system:node:worker-0.ocp4.example.com`.
    pub user: String,
    /// The groups of whoever asked.
    pub groups: Vec<String>,
    /// Common name that is to be certified.
    pub common_name: String,
    /// Organisations that are to be certified.
    pub organisations: Vec<String>,
    /// DNS names that are to be certified.
    pub dns_names: Vec<String>,
    /// Addresses that are to be certified.
    pub addresses: Vec<IpAddr>,
    /// Anything else that is to be certified (URIs, mail addresses, extensions that are not understood).
    pub others: Vec<String>,
    /// What the certificate is to be used for.
    pub usages: Vec<String>,
    /// When it was made.
    pub made_at: Option<Timestamp>,
    /// How it was decided.
    pub state: CsrState,
}

/// A cluster operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Its name.
    pub name: String,
    /// It works.
    pub available: Option<bool>,
    /// It changes something.
    pub progressing: Option<bool>,
    /// It does not work as it should.
    pub degraded: Option<bool>,
    /// What it says of the first that is not as it should be.
    pub message: Option<String>,
}

impl Operator {
    /// Available, and not degraded.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.available == Some(true) && self.degraded == Some(false)
    }
}

/// A machine config pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// `master`, `worker`.
    pub name: String,
    /// All its machines have the configuration that is wanted.
    pub updated: Option<bool>,
    /// One of its machines could not be configured.
    pub degraded: Option<bool>,
    /// Machines in it.
    pub machines: u32,
    /// Machines in it that are as wanted and ready.
    pub ready: u32,
}

/// What a machine config server answers for a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum MachineConfigAnswer {
    /// It serves the pool's configuration.
    Serving,
    /// It answers, and asks to come again (5xx). The bootstrap's answers so for `worker`, for as long as it runs.
    NotYet {
        /// As it says.
        reason: String,
    },
    /// Nobody answers.
    Silent {
        /// Why.
        reason: String,
    },
}

/// A cluster.
///
/// Contract:
/// 1. Reads change nothing. An API that does not answer is `Unreachable`; while the cluster comes up, that is usual.
/// 2. Writes state an absolute target and may be repeated.
/// 3. `approve` approves this very request: one that was replaced under its name since it was read is refused (`Conflict`).
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Whether the API says that it is ready (`/readyz`).
    async fn api_is_ready(&self, cluster: &ClusterName) -> DeviceResult<bool>;
    /// What the machine config server at an address answers for a pool. It is asked as Ignition asks.
    async fn machine_config(
        &self,
        cluster: &ClusterName,
        server: IpAddr,
        pool: &str,
    ) -> DeviceResult<MachineConfigAnswer>;
    /// Whether the bootstrap said that its work is done (`kube-system/bootstrap`, status `complete`).
    async fn bootstrap_is_complete(&self, cluster: &ClusterName) -> DeviceResult<bool>;
    /// Nodes, sorted by name.
    async fn nodes(&self, cluster: &ClusterName) -> DeviceResult<Vec<Node>>;
    /// Certificate requests, sorted by name.
    async fn certificate_requests(&self, cluster: &ClusterName) -> DeviceResult<Vec<CertificateRequest>>;
    /// Approves one, which must still be as it was read.
    async fn approve(&self, cluster: &ClusterName, request: &CertificateRequest) -> DeviceResult<()>;
    /// Cluster operators, sorted by name.
    async fn operators(&self, cluster: &ClusterName) -> DeviceResult<Vec<Operator>>;
    /// Machine config pools, sorted by name.
    async fn pools(&self, cluster: &ClusterName) -> DeviceResult<Vec<Pool>>;
    /// Whether masters run workloads (`schedulers.config.openshift.io/cluster`).
    async fn masters_schedulable(&self, cluster: &ClusterName) -> DeviceResult<bool>;
    /// Sets whether they do. Moves nothing that runs already.
    async fn set_masters_schedulable(&self, cluster: &ClusterName, schedulable: bool) -> DeviceResult<()>;
    /// Names of the nodes on which a router runs and is ready, sorted.
    async fn ingress_nodes(&self, cluster: &ClusterName) -> DeviceResult<Vec<String>>;
    /// Whether a router is still to be started anew, by an order to do so.
    async fn ingress_is_restarting(&self, cluster: &ClusterName) -> DeviceResult<bool>;
    /// Starts the routers anew, one after the other, wherever pods may be placed now. `token` names the order to do so:
    /// the same again changes nothing.
    async fn restart_ingress(&self, cluster: &ClusterName, token: &str) -> DeviceResult<()>;
    /// Whether the cluster's version is installed (`clusterversions/version`, condition `Available`).
    async fn install_is_complete(&self, cluster: &ClusterName) -> DeviceResult<bool>;
}
