//! `create manifests` and `create ignition-configs`: what is consumed, written and kept hidden between the two.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::install_config::InstallConfig;
use super::log::Log;
use super::settings::{Fault, Settings};
use super::{Failed, bootstrap, manifests, pki};

/// Kept between steps, and for `wait-for`.
const STATE: &str = ".openshift_install_state.json";
const CONFIG: &str = "install-config.yaml";

/// What is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) config: InstallConfig,
    pub(super) pem: pki::Pem,
    pub(super) cluster_id: String,
    pub(super) infra_id: String,
    pub(super) password: String,
}

impl State {
    fn make(config: InstallConfig, settings: &Settings) -> Result<Self, Failed> {
        let ago = SignedDuration::try_from(settings.made_ago).unwrap_or_default();
        let made_at = Timestamp::now().saturating_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH);
        let pem = pki::make(&config.cluster_domain(), made_at);
        let pem = pem.map_err(|error| Failed::fatal(format!("failed to generate certificates: {error}")))?;
        // Keys are random: so is what is drawn from one.
        let random: [u8; 32] =
            Sha256::digest(pem.get("service-account.key").map(String::as_str).unwrap_or_default()).into();
        let id: [u8; 16] = std::array::from_fn(|at| random[at]);
        let letters = |bytes: &[u8]| bytes.iter().map(|byte| char::from(b'a' + byte % 26)).collect::<String>();
        let infra_id = format!("{}-{}", config.name, letters(&random[16..21]));
        let password = [&random[0..5], &random[5..10], &random[10..15], &random[21..26]].map(letters).join("-");
        let cluster_id = uuid::Builder::from_random_bytes(id).into_uuid().to_string();
        Ok(Self { config, pem, cluster_id, infra_id, password })
    }

    pub(super) fn load(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(dir.join(STATE)).ok()?).ok()
    }

    fn save(&self, dir: &Path) -> Result<(), Failed> {
        let text = serde_json::to_vec(self).map_err(|error| Failed::fatal(error.to_string()))?;
        write(dir, STATE, &text, 0o640)
    }
}

fn write(dir: &Path, name: &str, bytes: &[u8], mode: u32) -> Result<(), Failed> {
    let path = dir.join(name);
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let file = made.and_then(|()| OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&path));
    let written = file.and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| Failed::fatal(format!("failed to write asset ({name}) to disk: {error}")))
}

fn fault(settings: &Settings) -> Result<(), Failed> {
    match settings.fault {
        Some(Fault::CreateFails) => Err(Failed::fatal(
            "failed to fetch Common Manifests: failed to generate asset \"Common Manifests\": injected",
        )),
        Some(Fault::CreateRefuses) => Err(Failed::error(
            "failed to fetch Master Machines: failed to load asset \"Install Config\": failed to create install config: invalid \"install-config.yaml\" file: networking.machineNetwork: Invalid value: \"injected\"",
            3,
        )),
        Some(Fault::CreateHangs) => loop {
            std::thread::park();
        },
        Some(Fault::Garbage | Fault::OldIgnition) | None => Ok(()),
    }
}

/// Takes the install configuration, which is gone afterwards.
fn consume_config(dir: &Path, settings: &Settings, log: &Log) -> Result<State, Failed> {
    if let Some(image) = &settings.release_override {
        log.warning(&format!("Found override for release image ({image}). Release Image Architecture is unknown"));
    }
    let path = dir.join(CONFIG);
    let text = std::fs::read_to_string(&path).map_err(|_| {
        Failed::error("failed to fetch Master Machines: failed to load asset \"Install Config\": failed to create install config: failed to create a base domain: unexpected EOF", 3)
    })?;
    let config = InstallConfig::parse(&text, log)?;
    log.info("Consuming Install Config from target directory");
    if config.workers == 0 {
        log.warning(
            "Making control-plane schedulable by setting MastersSchedulable to true for Scheduler cluster settings",
        );
    }
    let state = State::make(config, settings)?;
    std::fs::remove_file(&path).map_err(|error| Failed::fatal(format!("failed to consume {CONFIG}: {error}")))?;
    Ok(state)
}

pub(super) fn manifests(dir: &Path, settings: &Settings, log: &Log) -> Result<(), Failed> {
    fault(settings)?;
    let state = consume_config(dir, settings, log)?;
    for which in ["CA", "TLS"] {
        let (from, until) = (Timestamp::now(), Timestamp::now() + SignedDuration::from_hours(24 * 3650));
        log.info(&format!("Successfully populated MCS {which} cert information: root-ca {until:.0} {from:.0}"));
    }
    for (folder, files) in [("manifests", manifests::common(&state)), ("openshift", manifests::openshift(&state))] {
        for (name, text) in files {
            write(dir, &format!("{folder}/{name}"), text.as_bytes(), 0o640)?;
        }
    }
    state.save(dir)?;
    log.info("Manifests created in: ., manifests and openshift");
    Ok(())
}

/// The files of a folder, which is gone afterwards.
fn consume(dir: &Path, folder: &str) -> Result<manifests::Files, Failed> {
    let path = dir.join(folder);
    let failed = |error: std::io::Error| Failed::fatal(format!("failed to consume {folder}: {error}"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end)) {
            files.push((name, std::fs::read_to_string(entry.path()).map_err(failed)?));
        }
    }
    files.sort();
    std::fs::remove_dir_all(&path).map_err(failed)?;
    Ok(files)
}

pub(super) fn ignition_configs(dir: &Path, settings: &Settings, log: &Log) -> Result<(), Failed> {
    fault(settings)?;
    let (state, common, openshift) = match State::load(dir) {
        Some(state) if dir.join("manifests").is_dir() => {
            if let Some(image) = &settings.release_override {
                log.warning(&format!(
                    "Found override for release image ({image}). Please be warned, this is not advised"
                ));
            }
            for what in [
                "Master Machines",
                "Common Manifests",
                "Worker Machines",
                "OpenShift Install (Manifests)",
                "Openshift Manifests",
            ] {
                log.info(&format!("Consuming {what} from target directory"));
            }
            let (common, openshift) = (consume(dir, "manifests")?, consume(dir, "openshift")?);
            (state, common, openshift)
        }
        _ => {
            let state = consume_config(dir, settings, log)?;
            let (common, openshift) = (manifests::common(&state), manifests::openshift(&state));
            (state, common, openshift)
        }
    };
    let mut files = [
        ("bootstrap.ign", bootstrap::config(&state, &common, &openshift, settings.node.as_ref())),
        ("master.ign", bootstrap::pointer(&state, "master")),
        ("worker.ign", bootstrap::pointer(&state, "worker")),
    ];
    for (name, text) in &mut files {
        match settings.fault {
            Some(Fault::Garbage) => *text = "\u{0}garbage".to_owned(),
            Some(Fault::OldIgnition) => *text = text.replace("\"3.2.0\"", "\"2.2.0\""),
            _ => {}
        }
        write(dir, name, text.as_bytes(), 0o640)?;
    }
    let metadata = serde_json::json!({ "clusterName": state.config.name, "clusterID": state.cluster_id,
        "infraID": state.infra_id, "featureSet": "", "customFeatureSet": null });
    write(dir, "metadata.json", metadata.to_string().as_bytes(), 0o640)?;
    write(
        dir,
        "auth/kubeconfig",
        bootstrap::kubeconfig(&state, "api", "admin", "admin-kubeconfig-client").as_bytes(),
        0o600,
    )?;
    write(dir, "auth/kubeadmin-password", state.password.as_bytes(), 0o600)?;
    state.save(dir)?;
    log.info("Ignition-Configs created in: . and auth");
    Ok(())
}
