//! The program that makes a cluster's identity: certificates, manifests, Ignition.
//!
//! Source: openshift/installer `cmd/openshift-install`, `docs/user/overview.md`; OpenShift documentation,
//! "Creating the Kubernetes manifest and Ignition config files".

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::DeviceResult;
use crate::secret::Secret;

/// Which Ignition a host gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Serves the first control plane, then leaves.
    Bootstrap,
    /// Control plane.
    Master,
    /// Workloads.
    Worker,
}

/// What a cluster is made of, as the installer is told.
#[derive(Debug, Clone)]
pub struct InstallRequest {
    /// `install-config.yaml`. Holds the pull secret.
    pub install_config: Secret,
    /// Further manifests by their file name below `openshift/`: `99-worker-bond.yaml`.
    pub manifests: BTreeMap<String, String>,
    /// Whether masters may run workloads from the beginning (`mastersSchedulable`).
    pub masters_schedulable: bool,
}

impl InstallRequest {
    /// SHA-256 of all of it, lower-case hex: tells whether assets were made of this request.
    #[must_use]
    pub fn digest(&self) -> String {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        add(self.install_config.expose());
        for (name, text) in &self.manifests {
            add(name);
            add(text);
        }
        add(if self.masters_schedulable { "schedulable" } else { "unschedulable" });
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What the installer made: one cluster's identity. Made again it is another cluster.
#[derive(Debug, Clone)]
pub struct ClusterAssets {
    /// Digest of the request that it was made of.
    pub request: String,
    /// When it was made. The certificates in it expire 24 hours later.
    pub created_at: Timestamp,
    /// `ocp4-rssgz`.
    pub infra_id: String,
    /// Ignition by kind of node; the bootstrap's holds the cluster's keys.
    pub ignition: BTreeMap<NodeKind, Secret>,
    /// The administrator's kubeconfig.
    pub kubeconfig: Secret,
}

/// A file of the operating system, as the stream metadata names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamArtifact {
    /// Where it is downloaded.
    pub location: String,
    /// SHA-256, lower-case hex.
    pub sha256: String,
}

/// The operating system of the release, for one architecture. Source: coreos/stream-metadata-go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamMetadata {
    /// `c9s`.
    pub stream: String,
    /// `9.0.20250411-0`.
    pub release: String,
    /// The live kernel.
    pub kernel: StreamArtifact,
    /// Its initramfs.
    pub initramfs: StreamArtifact,
    /// Its root file system.
    pub rootfs: StreamArtifact,
}

/// What the installer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// The control plane runs on the masters: the bootstrap host may leave.
    BootstrapComplete,
    /// All cluster operators are available.
    InstallComplete,
}

/// Takes the lines that an installer prints while it waits.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// A cluster installer.
///
/// Contract:
/// 1. `create` makes assets in a folder of their own, or nothing; it never overwrites assets: those
///    of another request are kept until `discard`.
/// 2. `assets` returns what an earlier `create` made, whole, or nothing.
/// 3. `wait_for` changes nothing, and may be dropped and repeated. When the installer gives up the error
///    is `Rejected`, with its last lines as evidence.
#[async_trait]
pub trait ClusterInstaller: Send + Sync {
    /// The program's version, and the release that it installs.
    async fn version(&self) -> DeviceResult<String>;
    /// The operating system of the release.
    async fn stream(&self, architecture: &str) -> DeviceResult<StreamMetadata>;
    /// What was made for this cluster.
    async fn assets(&self, cluster: &str) -> DeviceResult<Option<ClusterAssets>>;
    /// Makes a cluster's identity.
    async fn create(&self, cluster: &str, request: &InstallRequest) -> DeviceResult<ClusterAssets>;
    /// Moves a cluster's assets aside, to make others. They are kept.
    async fn discard(&self, cluster: &str) -> DeviceResult<()>;
    /// Waits for a milestone, telling each line.
    async fn wait_for(&self, cluster: &str, milestone: Milestone, tell: Progress<'_>) -> DeviceResult<()>;
}
