//! What a member is told of its cluster: by the files of its installation.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use harmony_core::cluster::{ClusterName, NodeKind};
use harmony_core::net::Hostname;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Failure, HURRY};
use crate::boot_server::hex;
use crate::cluster::{ClusterSpec, ClusterTiming};
use crate::pace::Speed;
use crate::services::bootstrap_pools;
use crate::wire::kubernetes::ClusterKeys;

/// What the machine config server told Ignition.
pub(super) const TOLD: &str = "/etc/harmony-sim/node.json";
/// The script that starts this program, on every member.
pub(super) const SCRIPT: &str = "/usr/local/bin/kubelet.sh";
/// Where a member keeps what it knows.
pub(super) const STATE: &str = "/var/lib/harmony-sim";
/// Where an installer lays what a bootstrap starts a cluster with.
const BOOTSTRAP: &str = "/opt/openshift";

/// What is known of a cluster, and of the machine's place in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) kind: NodeKind,
    name: ClusterName,
    base_domain: Hostname,
    masters: usize,
    /// When the cluster's time was zero.
    epoch: Timestamp,
    /// Shown by members to each other.
    pub(super) token: String,
    /// Whom the API's certificates are signed by, in PEM.
    pub(super) authorities: String,
    /// What its servers show, by the names of the files; workers have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tls: BTreeMap<String, String>,
    /// What pools are served, without what each node is told of the cluster; workers have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) pools: BTreeMap<String, Value>,
    /// Text of the script that starts this program.
    pub(super) script: String,
}

impl Settings {
    /// Reads what was told; on a bootstrap, what is laid there, and remembers it.
    pub(super) fn load() -> Result<Self, Failure> {
        let kept = Path::new(STATE).join("node.json");
        for path in [Path::new(TOLD), &kept] {
            if path.exists() {
                let text = read(path)?;
                return serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()).into());
            }
        }
        let settings = Self::of_bootstrap(Path::new(BOOTSTRAP), read(Path::new(SCRIPT))?, Timestamp::now())?;
        write(&kept, &serde_json::to_vec(&settings)?)?;
        Ok(settings)
    }

    fn of_bootstrap(folder: &Path, script: String, now: Timestamp) -> Result<Self, Failure> {
        let mut manifests = Vec::new();
        for part in ["manifests", "openshift"] {
            for (name, text) in texts(&folder.join(part))? {
                manifests.push((format!("{part}/{name}"), text));
            }
        }
        let (cluster, pools) = bootstrap_pools(&manifests)
            .ok_or_else(|| format!("{}: no installer says there what cluster is to be", folder.display()))?;
        let tls = texts(&folder.join("tls"))?;
        let file = |name: &str| tls.get(name).ok_or_else(|| format!("{}/tls/{name} is not there", folder.display()));
        let token = hex(&Sha256::digest(file("service-account.key")?));
        let authorities = file("kube-apiserver-complete-server-ca-bundle.crt")?.clone();
        ClusterKeys::of(&tls).ok_or_else(|| format!("{}/tls lacks keys of the API", folder.display()))?;
        let pools = pools.into_iter().map(|(pool, text)| Ok((pool.to_owned(), serde_json::from_str(&text)?)));
        Ok(Self {
            kind: NodeKind::Bootstrap,
            name: cluster.name,
            base_domain: cluster.base_domain,
            masters: cluster.masters,
            epoch: now,
            token,
            authorities,
            pools: pools.collect::<Result<_, serde_json::Error>>()?,
            tls,
            script,
        })
    }

    /// What a node of a pool is told.
    pub(super) fn for_node(&self, kind: NodeKind) -> Self {
        let mut told = Self { kind, ..self.clone() };
        if kind == NodeKind::Worker {
            told.tls.clear();
            told.pools.clear();
        }
        told
    }

    /// What servers show, where the machine has any.
    pub(super) fn keys(&self) -> Option<ClusterKeys> {
        ClusterKeys::of(&self.tls)
    }

    /// The cluster's own state begins with this.
    pub(super) fn spec(&self) -> ClusterSpec {
        ClusterSpec {
            name: self.name.clone(),
            base_domain: self.base_domain.clone(),
            masters: self.masters,
            seed: 0,
            epoch: self.epoch,
            speed: Speed::ONE,
            timing: ClusterTiming::default().divided_by(HURRY),
        }
    }

    /// Milliseconds of the cluster's time.
    pub(super) fn now_ms(&self) -> u64 {
        let passed = Timestamp::now().duration_since(self.epoch).as_millis();
        u64::try_from(passed).unwrap_or(0)
    }

    /// A name in the cluster's domain: `api-int`.
    pub(super) fn name(&self, label: &str) -> String {
        format!("{label}.{}.{}", self.name, self.base_domain)
    }

    /// The machine's own name, in full.
    pub(super) fn own_name() -> Result<String, Failure> {
        Ok(read(Path::new("/proc/sys/kernel/hostname"))?.trim().to_owned())
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| format!("failed to read {}: {error}", path.display()).into())
}

/// The texts of a folder's files, by their names.
fn texts(folder: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let entries = std::fs::read_dir(folder);
    let entries = entries.map_err(|error| format!("failed to read {}: {error}", folder.display()))?;
    let texts =
        entries.flatten().map(|entry| Ok((entry.file_name().to_string_lossy().into_owned(), read(&entry.path())?)));
    texts.collect()
}

/// Writes a file that nobody else may read, whole or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let fresh = path.with_extension("new");
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?.write_all(bytes)?;
        std::fs::rename(&fresh, path)
    });
    written.map_err(|error| format!("failed to write {}: {error}", path.display()).into())
}

#[cfg(test)]
impl Settings {
    /// Those of a member of `ocp4.example.com`, as an installer would have it.
    pub(super) fn of_tests(kind: NodeKind) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let config = "apiVersion: v1\nbaseDomain: example.com\ncompute:\n- name: worker\n  replicas: 0\ncontrolPlane:\n  name: master\n  replicas: 3\nmetadata:\n  name: ocp4\nplatform:\n  none: {}\npullSecret: '{\"auths\":{}}'\nsshKey: ssh-ed25519 AAAA test\n";
        std::fs::write(folder.path().join("install-config.yaml"), config).expect("written");
        let dir = folder.path().display().to_string();
        for step in ["manifests", "ignition-configs"] {
            let args = ["create", step, "--dir", &dir].map(str::to_owned);
            let _ = crate::openshift_install::main(args.into_iter());
        }
        let ignition = std::fs::read(folder.path().join("bootstrap.ign")).expect("made");
        let ignition: Value = serde_json::from_slice(&ignition).expect("JSON");
        for file in ignition["storage"]["files"].as_array().expect("files") {
            let (Some(path), Some(url)) = (file["path"].as_str(), file["contents"]["source"].as_str()) else {
                continue;
            };
            let (_, body) = url.split_once(',').expect("a data URL");
            let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).expect("base64");
            write(&folder.path().join(path.trim_start_matches('/')), &bytes).expect("written");
        }
        let laid = folder.path().join(BOOTSTRAP.trim_start_matches('/'));
        let epoch = Timestamp::now() - jiff::SignedDuration::from_secs(120);
        Self::of_bootstrap(&laid, "#!/bin/sh\n".to_owned(), epoch).expect("a cluster").for_node(kind)
    }
}
