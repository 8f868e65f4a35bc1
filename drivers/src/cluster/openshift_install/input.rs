//! What is laid before the program: the install configuration with its pull secret, manifests, the scheduler's.
//!
//! Owns the checks of these texts. Does not know where they are written ([`super::generation`]).

use std::path::PathBuf;

use harmony_core::capability::{Manifest, PULL_SECRET_MARK};
use harmony_core::cluster::ClusterName;
use harmony_core::error::{DeviceError, FailureKind};
use harmony_core::secret::Secret;
use serde_json::Value;

/// What OKD takes in place of a pull secret. Source: okd-project/okd, README.
const OKD_PULL_SECRET: &str = r#"{"auths":{"fake":{"auth":"aWQ6cGFzcwo="}}}"#;
/// A pull secret file is smaller than this, in bytes.
const MAX_PULL_SECRET_BYTES: u64 = 1 << 20;

/// Why something cannot be laid before the program.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The pull secret's file cannot be read.
    #[error("failed to read the pull secret {}", .path.display())]
    PullSecretFile {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It holds no pull secret. Nothing of it is told.
    #[error("{} holds no pull secret: a JSON object with `auths` is expected", .0.display())]
    PullSecret(PathBuf),
    /// The install configuration has no place for it, or more than one.
    #[error("the install configuration must have `pullSecret: {PULL_SECRET_MARK}` once, and be YAML")]
    InstallConfig,
    /// A manifest cannot be laid beside the program's own.
    #[error("the manifest `{path}` {reason}")]
    Manifest {
        /// Its path, escaped.
        path: String,
        /// Why not.
        reason: String,
    },
}

/// The pull secret on one line; OKD's when no file is named.
pub(super) fn pull_secret(file: Option<&PathBuf>) -> Result<Secret, InputError> {
    use std::io::Read;
    let Some(path) = file else { return Ok(Secret::new(OKD_PULL_SECRET)) };
    let failed = |source| InputError::PullSecretFile { path: path.clone(), source };
    let mut text = String::new();
    let opened = std::fs::File::open(path).map_err(failed)?;
    opened.take(MAX_PULL_SECRET_BYTES).read_to_string(&mut text).map_err(failed)?;
    let value: Option<Value> = serde_json::from_str(&text).ok();
    match value {
        Some(value) if value.get("auths").is_some_and(Value::is_object) => Ok(Secret::new(value.to_string())),
        _ => Err(InputError::PullSecret(path.clone())),
    }
}

/// The install configuration with the pull secret in the place of its mark, quoted as the place asks for.
pub(super) fn install_config(text: &str, secret: &Secret) -> Result<Secret, InputError> {
    let (before, after) = text.split_once(PULL_SECRET_MARK).ok_or(InputError::InstallConfig)?;
    let secret = secret.expose();
    let filled = if before.ends_with('\'') {
        format!("{before}{}{after}", secret.replace('\'', "''"))
    } else if before.ends_with('"') {
        // A JSON string is a double-quoted scalar of YAML 1.2, chapter 7.3.1.
        let quoted = Value::String(secret.to_owned()).to_string();
        format!("{before}{}{after}", &quoted[1..quoted.len() - 1])
    } else {
        format!("{before}'{}'{after}", secret.replace('\'', "''"))
    };
    let holds = |value: &Value| value.get("pullSecret").and_then(Value::as_str) == Some(secret);
    let is_right = yaml(&filled).is_some_and(|value| holds(&value)) && !after.contains(PULL_SECRET_MARK);
    if is_right { Ok(Secret::new(filled)) } else { Err(InputError::InstallConfig) }
}

/// The pull secret that an install configuration has.
pub(super) fn pull_secret_of(install_config: &str) -> Option<Secret> {
    yaml(install_config)?.get("pullSecret").and_then(Value::as_str).map(Secret::new)
}

/// One YAML document.
pub(super) fn yaml(text: &str) -> Option<Value> {
    serde_saphyr::from_str(text).ok()
}

/// Checks a manifest that is added: where it goes, and that it is one.
pub(super) fn check(manifest: &Manifest) -> Result<(), InputError> {
    let wrong = |reason: &str| InputError::Manifest {
        path: manifest.path.chars().take(120).flat_map(char::escape_default).collect(),
        reason: reason.to_owned(),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = ["openshift/", "manifests/"].iter().find_map(|folder| manifest.path.strip_prefix(folder));
    let Some(name) = name.filter(|name| name.chars().all(is_plain) && !name.starts_with('.') && name.len() <= 200)
    else {
        return Err(wrong("is not in the folder `openshift` or `manifests` itself"));
    };
    // The program passes over files with other names.
    if ![".yaml", ".yml", ".json"].iter().any(|extension| name.ends_with(extension)) {
        return Err(wrong("must end in .yaml, .yml or .json"));
    }
    let is_object =
        |value: Value| ["apiVersion", "kind"].iter().all(|key| value.get(key).is_some_and(Value::is_string));
    if yaml(&manifest.text).is_some_and(is_object) {
        Ok(())
    } else {
        Err(wrong("is no YAML with `apiVersion` and `kind`"))
    }
}

/// The scheduler's manifest with `spec.mastersSchedulable` as wanted; `None` if it is so, or this is another manifest.
pub(super) fn scheduler(text: &str, masters_schedulable: bool) -> Option<String> {
    let mut value = yaml(text)?;
    let is_it = value.get("kind").and_then(Value::as_str) == Some("Scheduler")
        && value.get("apiVersion").and_then(Value::as_str).is_some_and(|api| api.starts_with("config.openshift.io/"));
    if !is_it || value["spec"]["mastersSchedulable"] == Value::Bool(masters_schedulable) {
        return None;
    }
    if !value["spec"].is_object() {
        value["spec"] = Value::Object(serde_json::Map::new());
    }
    value["spec"]["mastersSchedulable"] = Value::Bool(masters_schedulable);
    serde_saphyr::to_string(&value).ok()
}

/// Whether a text is the scheduler's manifest as wanted.
pub(super) fn is_scheduler_as(text: &str, masters_schedulable: bool) -> bool {
    yaml(text).is_some_and(|value| {
        value.get("kind").and_then(Value::as_str) == Some("Scheduler")
            && value["spec"]["mastersSchedulable"] == Value::Bool(masters_schedulable)
    })
}

/// The error of input that is not laid before the program.
pub(super) fn refused(cluster: &ClusterName, error: InputError) -> DeviceError {
    let hint = match &error {
        InputError::PullSecretFile { .. } | InputError::PullSecret(_) => {
            "name the file in the cluster's description or the site file (`installer.pull_secret_file`); OKD needs none"
        }
        InputError::InstallConfig | InputError::Manifest { .. } => "correct the cluster's description",
    };
    DeviceError::new(FailureKind::Invalid, format!("failed to make the artefacts of cluster `{cluster}`"))
        .because(error)
        .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = r#"{"auths":{"a.example":{"auth":"eDp5'\\","email":"it's \"me\": #x"}}}"#;

    #[test]
    fn the_pull_secret_is_quoted_for_its_place() {
        let secret = Secret::new(SECRET);
        for place in ["'@PULL-SECRET@'", "\"@PULL-SECRET@\"", "@PULL-SECRET@"] {
            let text = format!("apiVersion: v1\npullSecret: {place}\nsshKey: 'ssh-ed25519 AAAA'\n");
            let filled = install_config(&text, &secret).expect(place);
            let value = yaml(filled.expose()).expect("YAML");
            assert_eq!(value["pullSecret"], SECRET, "{place}");
            assert_eq!(value["sshKey"], "ssh-ed25519 AAAA");
        }
        for text in [
            "pullSecret: ''",
            "other: '@PULL-SECRET@'",
            "pullSecret: 'x @PULL-SECRET@'",
            "a: @PULL-SECRET@\npullSecret: @PULL-SECRET@",
        ] {
            assert!(install_config(text, &secret).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pull_secret_file_is_checked_and_never_shown() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("pull-secret");
        std::fs::write(&path, "{\n \"auths\": {\"r\": {\"auth\": \"eA==\"}}\n}\n").expect("written");
        assert_eq!(pull_secret(Some(&path)).expect("valid").expose(), r#"{"auths":{"r":{"auth":"eA=="}}}"#);
        std::fs::write(&path, "hunter2").expect("written");
        let error = format!("{:?}", pull_secret(Some(&path)).expect_err("no JSON"));
        assert!(!error.contains("hunter2"), "{error}");
        assert!(pull_secret(Some(&folder.path().join("none"))).is_err());
        assert_eq!(pull_secret(None).expect("OKD's").expose(), OKD_PULL_SECRET);
    }

    #[test]
    fn manifests_stay_in_their_folders() {
        let manifest = |path: &str, text: &str| Manifest { path: path.into(), text: text.into() };
        let text = "apiVersion: v1\nkind: ConfigMap\n";
        check(&manifest("openshift/99-harmony-master-bond.yaml", text)).expect("valid");
        check(&manifest("manifests/x.yml", text)).expect("valid");
        for path in [
            "x.yaml",
            "/openshift/x.yaml",
            "openshift/../x.yaml",
            "openshift/a/b.yaml",
            "openshift/.x.yaml",
            "openshift/",
            "openshift/x.txt",
            "openshift/x\n.yaml",
            "auth/x.yaml",
            "openshift/..",
            "",
        ] {
            assert!(check(&manifest(path, text)).is_err(), "{path}");
        }
        for text in ["", "kind: x", "- apiVersion: v1", "apiVersion: v1\nkind: [", "apiVersion: v1\nkind: 3"] {
            assert!(check(&manifest("openshift/x.yaml", text)).is_err(), "{text}");
        }
    }

    #[test]
    fn the_scheduler_is_edited_as_yaml() {
        let text = "apiVersion: config.openshift.io/v1\nkind: Scheduler\nmetadata:\n  name: cluster\nspec: { mastersSchedulable: true, policy: { name: \"\" } } # x\nstatus: {}\n";
        let edited = scheduler(text, false).expect("edited");
        assert!(is_scheduler_as(&edited, false), "{edited}");
        assert_eq!(yaml(&edited).expect("YAML")["spec"]["policy"]["name"], "");
        assert_eq!(scheduler(&edited, false), None, "as wanted");
        assert_eq!(scheduler(text, true), None, "as wanted");
        assert_eq!(scheduler("apiVersion: v1\nkind: Scheduler\n", false), None, "another one");
        let bare =
            scheduler("apiVersion: config.openshift.io/v1\nkind: Scheduler\nspec: null\n", true).expect("edited");
        assert!(is_scheduler_as(&bare, true), "{bare}");
    }
}
