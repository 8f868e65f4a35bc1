//! The installer of clusters: artefacts of the shape that the real program's have, made in memory, each generation a
//! cluster of its own with certificates of its own.
//!
//! What it makes is decided by the world's seed, the cluster's name and the generation alone. Knows nothing of how a
//! cluster comes up (`crate::cluster`); it only watches. Read next: `config` for what it reads, `ignition` for what it
//! writes, `watch` for what it waits for. Source: recorded outputs of the real program; openshift/installer `cmd/`.

mod config;
mod ignition;
mod watch;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use harmony_core::capability::{
    Artefacts, BootImages, ClusterInstaller, InstallStage, InstallerInput, InstallerVersion, Manifest, RemoteFile,
    RoleConfig,
};
use harmony_core::cluster::ClusterName;
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use self::config::{InstallConfig, MachineConfig};
use super::{Brought, Clocks, Member};
use crate::boot_server::{SCOS_BUILD, hex, scos_files};
use crate::cluster::{ClusterSpec, ClusterState};
use crate::pace::Speed;
use crate::random::Random;
use crate::topology::SimTopology;
use crate::wire::kubernetes::ClusterKeys;
use crate::world::State;

/// What the program says that it is.
const VERSION: &str = "4.19.0-okd-scos.9";
/// How long the certificates in the artefacts are good.
/// Source: OpenShift, "Creating the Kubernetes manifest and Ignition config files".
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Everything that was made so far.
#[derive(Default)]
pub(crate) struct Installer {
    clusters: BTreeMap<ClusterName, Vec<Generation>>,
}

/// One generation of a cluster's artefacts, and the cluster that comes of them.
pub(crate) struct Generation {
    pub(super) artefacts: Artefacts,
    /// The domain below which it is.
    pub(super) base_domain: String,
    /// The certificate of its root, in PEM.
    pub(super) authority: Vec<u8>,
    /// What its machine config servers serve, by pool.
    pub(super) pools: BTreeMap<&'static str, String>,
    pub(super) state: ClusterState,
    /// What its servers show on the wire; there, if its installer made real ones.
    pub(crate) keys: Option<ClusterKeys>,
}

impl Generation {
    /// What tells its files from all others: its root's certificate, as it is in each of them.
    pub(super) fn mark(&self) -> String {
        BASE64_STANDARD.encode(&self.authority)
    }

    /// A name in the cluster's domain: `api`.
    pub(super) fn name(&self, label: &str) -> String {
        format!("{label}.{}.{}", self.state.spec().name, self.base_domain)
    }
}

impl Installer {
    /// The generation that a member belongs to.
    pub(super) fn of(&self, member: &Member) -> Option<&Generation> {
        self.clusters.get(&member.cluster)?.iter().find(|made| made.artefacts.generation == member.generation)
    }

    /// The same, to change it.
    pub(super) fn of_mut(&mut self, member: &Member) -> Option<&mut Generation> {
        let made = self.clusters.get_mut(&member.cluster)?;
        made.iter_mut().find(|made| made.artefacts.generation == member.generation)
    }

    /// The latest generation of a cluster.
    pub(super) fn latest(&self, cluster: &ClusterName) -> Option<&Generation> {
        self.clusters.get(cluster)?.last()
    }

    /// The same, to change it.
    pub(super) fn latest_mut(&mut self, cluster: &ClusterName) -> Option<&mut Generation> {
        self.clusters.get_mut(cluster)?.last_mut()
    }

    /// All generations of all clusters.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Generation> {
        self.clusters.values_mut().flatten()
    }

    /// The latest generation of each cluster.
    pub(super) fn all_latest_mut(&mut self) -> impl Iterator<Item = &mut Generation> {
        self.clusters.values_mut().filter_map(|made| made.last_mut())
    }

    /// All generations of all clusters.
    pub(super) fn all(&self) -> impl Iterator<Item = &Generation> {
        self.clusters.values().flatten()
    }

    /// Which cluster has one of these certificates.
    pub(super) fn of_authority(&self, known: &[Vec<u8>]) -> Option<(ClusterName, u32)> {
        let found = self.all().find(|made| known.contains(&made.authority))?;
        Some((found.state.spec().name.clone(), found.artefacts.generation))
    }
}

/// What stands in for keys, certificates and passwords: different ones for each thing, the same in each run.
pub(super) struct Material(Random);

impl Material {
    fn new(seed: u64, cluster: &ClusterName, generation: u32) -> Self {
        Self(Random::new(seed, &format!("installer {cluster} {generation}")))
    }

    fn pem(&mut self, label: &str) -> String {
        let bytes: Vec<u8> = (0..48).flat_map(|_| self.0.next().to_be_bytes()).collect();
        let text = BASE64_STANDARD.encode(bytes);
        let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    }

    fn password(&mut self) -> String {
        let words: Vec<String> = (0..4).map(|_| format!("{:05x}", self.0.next() & 0xf_ffff)).collect();
        words.join("-")
    }
}

/// What is made of an input.
struct Made {
    generation: Generation,
    /// By path.
    files: Vec<(String, Bytes)>,
    secrets: BTreeSet<String>,
}

impl State {
    fn make(&self, input: &InstallerInput, now: std::time::Duration) -> DeviceResult<Made> {
        let InstallerInput { cluster, .. } = input;
        let invalid = |why: String| {
            DeviceError::new(FailureKind::Invalid, format!("failed to create the Ignition configs of {cluster}"))
                .because(why)
                .hint("the installer's exit code is 3: correct the cluster's description")
        };
        let config = InstallConfig::read(&input.install_config, cluster).map_err(invalid)?;
        let machine_configs = config::machine_configs(&input.manifests).map_err(invalid)?;
        let services = &self.services;
        let generation = services.installer.latest(cluster).map_or(1, |latest| latest.artefacts.generation + 1);
        let mut material = Material::new(services.seed, cluster, generation);
        let authority = material.pem("CERTIFICATE");
        let texts = ignition::texts(&config, &authority, &machine_configs, &mut material);
        let hours = self.hours(now).ok_or_else(|| invalid("the clock is beyond its range".to_owned()));
        let (made_at, expires_at) = hours?;
        let (mut roles, mut files) = (BTreeMap::new(), Vec::new());
        for (kind, text) in texts.roles {
            let name = format!("{cluster}/{generation}/{kind}.ign");
            let sha256 = hex(&Sha256::digest(&text));
            roles.insert(
                kind,
                RoleConfig { name: name.clone(), sha256, ignition_version: ignition::VERSION.to_owned() },
            );
            files.push((name, Bytes::from(text)));
        }
        let artefacts =
            Artefacts { input: input.digest(), generation, made_at, expires_at, installer: version(), roles };
        let clocks = Clocks { epoch: self.epoch, speed: Speed::ONE };
        let mut generation = self.generation(&config, artefacts, authority.as_bytes(), texts.pools, clocks);
        generation.state.set_masters_schedulable(now, input.masters_schedulable);
        Ok(Made { generation, files, secrets: texts.secrets })
    }

    /// Takes up a cluster that another installer made, from what that laid on its bootstrap.
    pub(super) fn adopt(&mut self, brought: &Brought, now: std::time::Duration) {
        let Some(authority) = brought.authorities.last() else { return };
        let Some((config, pools)) = bootstrap_pools(&brought.manifests) else {
            return self.note(now, "installer: a bootstrap says of no cluster what it is to be");
        };
        let generation =
            self.services.installer.latest(&config.name).map_or(1, |latest| latest.artefacts.generation + 1);
        let Some((made_at, expires_at)) = self.hours(now) else { return };
        let input = "of another installer".to_owned();
        let artefacts =
            Artefacts { input, generation, made_at, expires_at, installer: version(), roles: BTreeMap::new() };
        let mut made = self.generation(&config, artefacts, authority, pools, brought.clocks);
        made.keys = brought.keys.clone();
        self.faults.begin_in_cluster(&mut made.state, now);
        self.note(now, &format!("cluster {}: begins with a bootstrap of another installer", config.name));
        self.services.installer.clusters.entry(config.name).or_default().push(made);
    }

    /// When something is made now, and until when its certificates are good.
    fn hours(&self, now: std::time::Duration) -> Option<(Timestamp, Timestamp)> {
        let made_at = self.epoch.checked_add(now).ok()?;
        Some((made_at, made_at.checked_add(GOOD_FOR).ok()?))
    }

    fn generation(
        &self,
        config: &InstallConfig,
        artefacts: Artefacts,
        authority: &[u8],
        pools: BTreeMap<&'static str, String>,
        Clocks { epoch, speed }: Clocks,
    ) -> Generation {
        let spec = ClusterSpec {
            name: config.name.clone(),
            base_domain: config.base_domain.clone(),
            masters: config.masters,
            seed: self.services.seed.wrapping_add(u64::from(artefacts.generation) - 1),
            epoch,
            speed,
            timing: self.services.cluster_timing,
        };
        let base_domain = config.base_domain.to_string();
        Generation {
            artefacts,
            base_domain,
            authority: authority.to_vec(),
            pools,
            state: ClusterState::new(spec),
            keys: None,
        }
    }

    fn keep(&mut self, made: Made, now: std::time::Duration) -> Artefacts {
        for secret in &made.secrets {
            self.know_secret(secret);
            self.know_secret(&BASE64_STANDARD.encode(secret));
        }
        for (name, contents) in made.files {
            self.services.private.put(&name, contents);
        }
        let mut generation = made.generation;
        self.faults.begin_in_cluster(&mut generation.state, now);
        let artefacts = generation.artefacts.clone();
        let name = generation.state.spec().name.clone();
        self.services.installer.clusters.entry(name).or_default().push(generation);
        artefacts
    }
}

/// What an installer has laid on its bootstrap says that the cluster is to be, and what its pools are served; the manifests by
/// their files' names. None if no cluster is described there.
pub(crate) fn bootstrap_pools(
    manifests: &[(String, String)],
) -> Option<(InstallConfig, BTreeMap<&'static str, String>)> {
    let config = manifests.iter().find_map(|(_, text)| config::of_bootstrap(text))?;
    let added = |(path, text): &(String, String)| Manifest { path: path.clone(), text: text.clone() };
    let extra: Vec<MachineConfig> =
        manifests.iter().filter_map(|manifest| config::machine_configs(&[added(manifest)]).ok()).flatten().collect();
    let pools = ignition::pools(&config, &extra);
    Some((config, pools))
}

fn version() -> InstallerVersion {
    let release_image = Some(format!("quay.io/okd/scos-release:{VERSION}"));
    InstallerVersion { version: VERSION.to_owned(), release_image, sha256: hex(&Sha256::digest(VERSION)) }
}

#[async_trait]
impl ClusterInstaller for SimTopology {
    async fn installer_version(&self) -> DeviceResult<InstallerVersion> {
        self.world().ask().await;
        Ok(version())
    }

    async fn boot_images(&self) -> DeviceResult<BootImages> {
        self.world().ask().await;
        let [kernel, initramfs, rootfs] =
            scos_files().map(|(location, file)| RemoteFile { location, sha256: hex(&Sha256::digest(file)) });
        Ok(BootImages { release: SCOS_BUILD.to_owned(), kernel, initramfs, rootfs })
    }

    async fn artefacts(&self, cluster: &ClusterName) -> DeviceResult<Option<Artefacts>> {
        self.world().ask().await;
        Ok(self.world().with(|state| state.services.installer.latest(cluster).map(|latest| latest.artefacts.clone())))
    }

    async fn make_artefacts(&self, input: &InstallerInput) -> DeviceResult<Artefacts> {
        let effect = async {
            let now = self.world().now();
            self.world().with(|state| {
                let made = state.make(input, now)?;
                Ok(state.keep(made, now))
            })
        };
        let digest: String = input.digest().chars().take(12).collect();
        let command = format!("create ignition-configs of input {digest}");
        self.world().write("installer", input.cluster.as_str(), command, effect).await
    }

    async fn wait_for(
        &self,
        cluster: &ClusterName,
        stage: InstallStage,
        progress: &(dyn for<'line> Fn(&'line str) + Send + Sync),
        stop: &CancellationToken,
    ) -> DeviceResult<()> {
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                let what = format!("failed to wait for the installation of {cluster}");
                Err(DeviceError::new(FailureKind::Transient, what).because("interrupted (the installer's exit code is 8)"))
            }
            reached = self.watch(cluster, stage, progress) => reached,
        }
    }
}
