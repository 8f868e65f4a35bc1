//! The program that turns a cluster's description into what its machines are given: `openshift-install`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::cluster::{ClusterName, NodeKind};
use crate::error::DeviceResult;

/// Stands for the pull secret in an install configuration; the driver puts the secret there, in its private folder only.
pub const PULL_SECRET_MARK: &str = "@PULL-SECRET@";

/// A file on the network, with its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteFile {
    /// Its URL.
    pub location: String,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
}

/// What the machines of a release are booted with. Source: the installer's CoreOS stream metadata,
/// `architectures.x86_64.artifacts.metal`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootImages {
    /// The build, `9.0.20250510-0`.
    pub release: String,
    /// Kernel of the live system.
    pub kernel: RemoteFile,
    /// Its initramfs.
    pub initramfs: RemoteFile,
    /// Its root file system, of the same build.
    pub rootfs: RemoteFile,
}

impl BootImages {
    /// The three files, each with its path below `/os/`: `scos/9.0.20250510-0/scos-9.0.20250510-0-live-kernel.x86_64`.
    /// Names come from the locations, of which there are several forms; a location without a name has none.
    #[must_use]
    pub fn assets(&self) -> [(&RemoteFile, String); 3] {
        let release: String = self
            .release
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
            .collect();
        [&self.kernel, &self.initramfs, &self.rootfs].map(|file| {
            let name =
                file.location.split(['?', '#']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
            (file, format!("scos/{}/{name}", release.trim_start_matches('.')))
        })
    }
}

/// What the installer program is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallerVersion {
    /// As it says, `4.19.0-okd-scos.9`.
    pub version: String,
    /// The release that it installs, where it says so.
    pub release_image: Option<String>,
    /// SHA-256 of the program, lower-case hex.
    pub sha256: String,
}

/// A file that is laid beside the installer's own manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its path in the installer's folder: `openshift/99-harmony-master-bond.yaml`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What the installer is given. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallerInput {
    /// The cluster.
    pub cluster: ClusterName,
    /// `install-config.yaml`, with [`PULL_SECRET_MARK`] for the pull secret.
    pub install_config: String,
    /// Manifests that are added to its own.
    pub manifests: Vec<Manifest>,
    /// File with the pull secret; without one, the site's, or the text that OKD takes for one.
    pub pull_secret_file: Option<PathBuf>,
    /// What `spec.mastersSchedulable` is from the start.
    pub masters_schedulable: bool,
}

impl InstallerInput {
    /// Names what is asked: SHA-256 over all of it, lower-case hex.
    #[must_use]
    pub fn digest(&self) -> String {
        use sha2::{Digest, Sha256};
        let mut digest = Sha256::new();
        let mut add = |text: &str| {
            digest.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(text.as_bytes());
        };
        add(self.cluster.as_str());
        add(&self.install_config);
        add(if self.masters_schedulable { "schedulable" } else { "unschedulable" });
        for manifest in &self.manifests {
            add(&manifest.path);
            add(&manifest.text);
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A configuration that the installer wrote for one kind of machine. Its contents are secret; this names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleConfig {
    /// Its path among the private files that the boot server may read: `ocp4/1/master.ign`.
    pub name: String,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
    /// Its version of Ignition's specification, `3.2.0`.
    pub ignition_version: String,
}

/// What the installer made of its input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefacts {
    /// [`InstallerInput::digest`] of what they were made of.
    pub input: String,
    /// Counts from 1; each is a cluster of its own, with certificates of its own.
    pub generation: u32,
    /// When they were made.
    pub made_at: Timestamp,
    /// When their certificates expire: machines that have not joined by then never will.
    /// Source: OpenShift, "Creating the Kubernetes manifest and Ignition config files": 24 hours.
    pub expires_at: Timestamp,
    /// The program that made them.
    pub installer: InstallerVersion,
    /// The configuration of each kind of machine.
    pub roles: BTreeMap<NodeKind, RoleConfig>,
}

/// What the installer can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstallStage {
    /// The control plane runs on the masters; the bootstrap machine is not needed any more.
    BootstrapComplete,
    /// The cluster is installed.
    InstallComplete,
}

/// A cluster's installer.
///
/// Contract:
/// 1. Reads change nothing.
/// 2. `make_artefacts` makes a new generation in a private folder of its own; the ones before stay. Killed in the
///    middle, it leaves nothing that [`artefacts`](Self::artefacts) shows. Copies of what the program consumes are kept.
/// 3. `wait_for` only watches: it may be repeated and cancelled at any time. What the program says is told to
///    `progress` as it comes, without secrets. It fails with the program's own reason, its exit code understood.
/// 4. Nothing that it returns or tells holds a secret.
#[async_trait]
pub trait ClusterInstaller: Send + Sync {
    /// What the program is.
    async fn installer_version(&self) -> DeviceResult<InstallerVersion>;
    /// What machines of its release are booted with.
    async fn boot_images(&self) -> DeviceResult<BootImages>;
    /// The latest generation of a cluster's artefacts that was finished.
    async fn artefacts(&self, cluster: &ClusterName) -> DeviceResult<Option<Artefacts>>;
    /// Makes a new generation.
    async fn make_artefacts(&self, input: &InstallerInput) -> DeviceResult<Artefacts>;
    /// Waits until a stage is reached.
    async fn wait_for(
        &self,
        cluster: &ClusterName,
        stage: InstallStage,
        progress: &(dyn for<'line> Fn(&'line str) + Send + Sync),
        stop: &CancellationToken,
    ) -> DeviceResult<()>;
}

/// A file that the boot server offers under `/os/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetInfo {
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// The files that the boot server offers.
///
/// Contract:
/// 1. Reads change nothing.
/// 2. `fetch_asset` goes on where an earlier one was cut off, and puts the file in its place only when its digest is
///    right: a file that is there is whole. It may be repeated; a right file is not fetched again.
#[async_trait]
pub trait BootAssets: Send + Sync {
    /// A file by its path below `/os/`; `None` if it is not there.
    async fn asset(&self, path: &str) -> DeviceResult<Option<AssetInfo>>;
    /// Fetches a file, telling how many bytes are there, and of how many, where that is known.
    async fn fetch_asset(
        &self,
        from: &RemoteFile,
        path: &str,
        progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
    ) -> DeviceResult<AssetInfo>;
}
