//! The real `openshift-install`, or whatever program of its manners the site names.
//!
//! Owns what goes into it, the private folders that it works in, and what its output and exit codes mean. Does not know
//! what a cluster should look like (the install configuration is given), who serves the files that it makes, nor how a
//! cluster is talked to.
//!
//! What of the real program this rests on: the folder given with `--dir`, the names of its artefacts, the exit codes.
//! Not on the order or the wording of what it prints: that is only passed on, without secrets.
//!
//! Read next: `generation` for the folders, `input` for what is laid before it, `said` for its output, `failure` for
//! its exit codes.

mod failure;
mod generation;
mod ignition;
mod input;
mod program;
mod said;
mod spec;
mod stream;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{
    Artefacts, BootImages, ClusterInstaller, InstallStage, InstallerInput, InstallerVersion, RoleConfig,
};
use harmony_core::cluster::{ClusterName, NodeKind};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::secret::Secret;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::WriteLog;
use crate::transport::process::{Program, Run};
use failure::Heard;
pub use generation::FolderError;
use generation::{Clusters, Making, of_folder};
pub use ignition::IgnitionError;
pub use input::InputError;
pub use program::ProgramError;
use program::{Known, hex};
use said::Unsayable;
pub use spec::OpenshiftInstallSpec;
pub use stream::StreamError;

/// Name of this driver in the site file and in the [`WriteLog`].
pub const DRIVER: &str = "openshift_install";
/// Time that the program has for what it does by itself; it takes a second or two.
const RUN_TIMEOUT: Duration = Duration::from_secs(180);
/// How long the certificates of the artefacts hold.
/// Source: OpenShift, "Creating the Kubernetes manifest and Ignition config files".
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);
/// Where to get the program.
const INSTALL_HINT: &str = "name the program in the site file (`installer.program`); releases are at https://github.com/okd-project/okd/releases";
/// Where the program lays its credentials.
const KUBECONFIG: &str = "auth/kubeconfig";
const PASSWORD: &str = "auth/kubeadmin-password";
/// What it makes a cluster of.
const INSTALL_CONFIG: &str = "install-config.yaml";

/// The installer program of a site.
#[derive(Debug)]
pub struct OpenshiftInstall {
    spec: OpenshiftInstallSpec,
    clusters: Clusters,
    known: Known,
    writes: WriteLog,
}

impl OpenshiftInstall {
    /// The program that the site names, with its folders in `state_dir`. Nothing is started or written yet.
    #[must_use]
    pub fn new(spec: OpenshiftInstallSpec, state_dir: &Path, writes: WriteLog) -> Self {
        let root = state_dir.join("clusters");
        let clusters = Clusters { root: std::path::absolute(&root).unwrap_or(root) };
        Self { spec, clusters, known: Known::default(), writes }
    }

    /// The folder that the names of [`RoleConfig`]s are relative to. All in it is secret.
    #[must_use]
    pub fn private_root(&self) -> &Path {
        &self.clusters.root
    }

    /// The credentials of a cluster's administrator, of its latest generation; `None` before there is one.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn kubeconfig(&self, cluster: &ClusterName) -> DeviceResult<Option<PathBuf>> {
        let latest = self.latest(cluster)?;
        Ok(latest.map(|found| self.clusters.generation(cluster, found.generation).join(KUBECONFIG)))
    }

    /// The install configuration that a cluster's latest generation was made of, as the program was given it: with the pull
    /// secret. `None` before there is one.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn install_config(&self, cluster: &ClusterName) -> DeviceResult<Option<PathBuf>> {
        let latest = self.latest(cluster)?;
        Ok(latest.map(|found| self.clusters.kept(cluster, found.generation).join(INSTALL_CONFIG)))
    }

    fn latest(&self, cluster: &ClusterName) -> DeviceResult<Option<Artefacts>> {
        let operation = format!("failed to read the artefacts of cluster `{cluster}`");
        self.clusters.latest(cluster).map_err(|error| of_folder(operation, error))
    }

    /// Finds the program, and refuses another one than the site names.
    async fn checked(&self, operation: &str) -> DeviceResult<(PathBuf, InstallerVersion)> {
        let refused = |error| program::refused(operation, error);
        let path =
            spec::find(&self.spec.program).ok_or_else(|| refused(ProgramError::Missing(self.spec.program.clone())))?;
        let (mark, digest) = self.known.digest(&path).await.map_err(refused)?;
        if let Some(wanted) = self.spec.sha256.as_ref().map(|wanted| wanted.trim().to_ascii_lowercase())
            && wanted != digest
        {
            return Err(refused(ProgramError::Digest { path, found: digest, wanted }));
        }
        let version = match self.known.version(&mark) {
            Some(version) => version,
            None => {
                let output = self.run(&path, &["version"]).output().await;
                let output = output.map_err(|error| failure::of_process(operation.to_owned(), error, &path))?;
                let version = program::version(&String::from_utf8_lossy(&output.stdout), digest)
                    .ok_or_else(|| refused(ProgramError::NoVersion(path.clone())))?;
                self.known.keep_version(mark, version.clone());
                version
            }
        };
        match &self.spec.version {
            Some(wanted) if *wanted != version.version => {
                Err(refused(ProgramError::Version { path, found: version.version, wanted: wanted.clone() }))
            }
            _ => Ok((path, version)),
        }
    }

    fn run(&self, program: &Path, args: &[&str]) -> Run {
        let run = Program::new(program, "openshift-install").run(args.iter().copied()).timeout(RUN_TIMEOUT);
        self.spec.env.iter().fold(run, |run, (name, value)| run.secret(name.clone(), Secret::new(value.clone())))
    }

    /// Has the program create one kind of thing in a folder.
    async fn create(&self, program: &Path, what: &str, making: &Making, unsayable: &Unsayable) -> DeviceResult<()> {
        let operation = format!("failed to create {what} with {}", program.display());
        let folder = making.folder.to_string_lossy();
        let mut heard = Heard::default();
        let mut listen = |line: &str| drop(heard.take(said::parse(line, unsayable)));
        let (args, stop) = (["create", what, "--dir", &*folder, "--log-level", "info"], CancellationToken::new());
        let watched = tokio::time::timeout(RUN_TIMEOUT, self.run(program, &args).watched(&mut listen, &stop)).await;
        let Ok(ended) = watched else {
            return Err(DeviceError::new(FailureKind::Unreachable, operation)
                .because(format!("it had no result after {} s", RUN_TIMEOUT.as_secs()))
                .hint("does it wait for the network? proxies are named in `installer.env` of the site file"));
        };
        let ended = ended.map_err(|error| failure::of_process(operation.clone(), error, program))?;
        if !ended.status.success() {
            return Err(failure::of_exit(operation, ended, heard, &making.folder, &making.keep_log()));
        }
        making.close_to_others().map_err(|error| of_folder(operation, error))
    }

    /// Sets what the manifests say of the scheduler, and adds ours.
    fn edit(&self, making: &Making, input: &InstallerInput) -> DeviceResult<()> {
        let operation = || format!("failed to edit the manifests of cluster `{}`", input.cluster);
        let failed = |error| of_folder(operation(), error);
        let mut is_right = false;
        for path in making.files("manifests").map_err(failed)? {
            let text = String::from_utf8_lossy(&generation::read(&path).map_err(failed)?).into_owned();
            let edited = input::scheduler(&text, input.masters_schedulable);
            if let Some(edited) = &edited {
                generation::write_private(&path, edited.as_bytes()).map_err(failed)?;
            }
            is_right |= input::is_scheduler_as(edited.as_deref().unwrap_or(&text), input.masters_schedulable);
        }
        if !is_right {
            return Err(DeviceError::new(FailureKind::Invalid, operation())
                .because("none of them is the cluster's Scheduler, which says whether masters run workloads")
                .hint("is this openshift-install of a release that Harmony knows (4.19, 4.20)?"));
        }
        for manifest in &input.manifests {
            if making.folder.join(&manifest.path).exists() {
                return Err(DeviceError::new(FailureKind::Conflict, operation())
                    .because(format!("the program has made `{}` itself", manifest.path))
                    .hint("give the added manifest another name"));
            }
            making.write(&manifest.path, &manifest.text).map_err(failed)?;
        }
        ["manifests", "openshift"].iter().try_for_each(|folder| making.keep(folder)).map_err(failed)
    }

    /// Reads what the program made for each kind of machine.
    fn roles(
        &self,
        making: &Making,
        cluster: &ClusterName,
    ) -> DeviceResult<(BTreeMap<NodeKind, RoleConfig>, Option<Timestamp>)> {
        let (mut roles, mut expires_at) = (BTreeMap::new(), None);
        for kind in NodeKind::ALL {
            let file = format!("{kind}.ign");
            let operation = || format!("failed to read {file}, which openshift-install made for cluster `{cluster}`");
            let bytes = generation::read(&making.folder.join(&file)).map_err(|error| of_folder(operation(), error))?;
            let read = ignition::read(&bytes).map_err(|error| {
                DeviceError::new(FailureKind::Invalid, operation())
                    .because(error)
                    .hint("is this openshift-install of a release that Harmony knows (4.19, 4.20)?")
            })?;
            expires_at = [expires_at, read.expires_at].into_iter().flatten().min();
            let config = RoleConfig {
                name: format!("{cluster}/{}/{file}", making.number),
                sha256: hex(&Sha256::digest(&bytes)),
                ignition_version: read.version,
            };
            roles.insert(kind, config);
        }
        Ok((roles, expires_at))
    }
}

#[async_trait]
impl ClusterInstaller for OpenshiftInstall {
    async fn installer_version(&self) -> DeviceResult<InstallerVersion> {
        Ok(self.checked("failed to ask openshift-install for its version").await?.1)
    }

    async fn boot_images(&self) -> DeviceResult<BootImages> {
        let operation = "failed to ask openshift-install what its machines are booted with";
        let (program, _) = self.checked(operation).await?;
        let output = self.run(&program, &["coreos", "print-stream-json"]).output().await;
        let output = output.map_err(|error| failure::of_process(operation.to_owned(), error, &program))?;
        stream::boot_images(&output.stdout).map_err(|error| {
            DeviceError::new(FailureKind::Invalid, operation)
                .because(error)
                .hint(format!("see what it prints: {} coreos print-stream-json", program.display()))
        })
    }

    async fn artefacts(&self, cluster: &ClusterName) -> DeviceResult<Option<Artefacts>> {
        self.latest(cluster)
    }

    async fn make_artefacts(&self, input: &InstallerInput) -> DeviceResult<Artefacts> {
        let cluster = &input.cluster;
        let operation = || format!("failed to make the artefacts of cluster `{cluster}`");
        // All that can be refused is, before anything is made.
        let secret = input::pull_secret(input.pull_secret_file.as_ref().or(self.spec.pull_secret_file.as_ref()));
        let secret = secret.map_err(|error| input::refused(cluster, error))?;
        let config =
            input::install_config(&input.install_config, &secret).map_err(|error| input::refused(cluster, error))?;
        input.manifests.iter().try_for_each(input::check).map_err(|error| input::refused(cluster, error))?;
        let (program, installer) = self.checked(&operation()).await?;
        let unsayable = Unsayable::new([&secret]);

        let failed = |error| of_folder(operation(), error);
        let making = self.clusters.begin(cluster).await.map_err(failed)?;
        self.writes.record(DRIVER, cluster.as_str(), format!("make generation {}", making.number));
        let made_at = Timestamp::now();
        making.write(INSTALL_CONFIG, config.expose()).map_err(failed)?;
        making.keep(INSTALL_CONFIG).map_err(failed)?;
        self.create(&program, "manifests", &making, &unsayable).await?;
        self.edit(&making, input)?;
        self.create(&program, "ignition-configs", &making, &unsayable).await?;
        let (roles, ends) = self.roles(&making, cluster)?;
        let expires_at = made_at.saturating_add(LIFETIME).map_err(|error| {
            DeviceError::new(FailureKind::Invalid, operation()).because(error).hint("is the clock right?")
        })?;
        let artefacts = Artefacts {
            input: input.digest(),
            generation: making.number,
            made_at,
            expires_at: ends.map_or(expires_at, |ends| ends.min(expires_at)),
            installer,
            roles,
        };
        making.finish(&artefacts).map_err(failed)?;
        Ok(artefacts)
    }

    async fn wait_for(
        &self,
        cluster: &ClusterName,
        stage: InstallStage,
        progress: &(dyn for<'line> Fn(&'line str) + Send + Sync),
        stop: &CancellationToken,
    ) -> DeviceResult<()> {
        let stage = match stage {
            InstallStage::BootstrapComplete => "bootstrap-complete",
            InstallStage::InstallComplete => "install-complete",
        };
        let operation = format!("failed to wait for {stage} of cluster `{cluster}`");
        let Some(latest) = self.latest(cluster)? else {
            return Err(DeviceError::new(FailureKind::Conflict, operation)
                .because("it has no artefacts yet")
                .hint("apply the cluster's Score from its beginning"));
        };
        let (program, _) = self.checked(&operation).await?;
        let folder = self.clusters.generation(cluster, latest.generation);
        let log = self.clusters.log(cluster, latest.generation);
        let password = generation::read(&folder.join(PASSWORD)).unwrap_or_default();
        let password = Secret::new(String::from_utf8_lossy(&password).into_owned());
        let kept = self.clusters.kept(cluster, latest.generation).join(INSTALL_CONFIG);
        let kept = generation::read(&kept).unwrap_or_default();
        let pull_secret = input::pull_secret_of(&String::from_utf8_lossy(&kept));
        let unsayable = Unsayable::new([&password].into_iter().chain(&pull_secret));

        let dir = folder.to_string_lossy();
        let mut heard = Heard::default();
        let mut listen = |line: &str| {
            if let Some(text) = heard.take(said::parse(line, &unsayable)) {
                progress(&text);
            }
        };
        let run = self.run(&program, &["wait-for", stage, "--dir", &*dir, "--log-level", "info"]);
        let ended = run.watched(&mut listen, stop).await;
        let ended = ended.map_err(|error| failure::of_process(operation.clone(), error, &program))?;
        // The program logs to its folder, and writes the kubeconfig anew, with whatever rights.
        generation::close(&folder).map_err(|error| of_folder(operation.clone(), error))?;
        if ended.status.success() { Ok(()) } else { Err(failure::of_exit(operation, ended, heard, &folder, &log)) }
    }
}
