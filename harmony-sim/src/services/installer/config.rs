//! What the installer reads: its configuration, and manifests beside its own.
//!
//! Source: OpenShift, "Installation configuration parameters"; recorded messages of the real program.

use harmony_core::capability::{Manifest, PULL_SECRET_MARK};
use harmony_core::cluster::ClusterName;
use harmony_core::net::Hostname;
use serde_json::Value;

/// What of an `install-config.yaml` matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstallConfig {
    pub(crate) name: ClusterName,
    pub(crate) base_domain: Hostname,
    pub(crate) masters: usize,
    pub(super) ssh_key: String,
}

impl InstallConfig {
    /// Reads a configuration, or says what the program would refuse it for.
    pub(super) fn read(text: &str, cluster: &ClusterName) -> Result<Self, String> {
        let yaml = yaml(text).map_err(|why| format!("invalid \"install-config.yaml\" file: {why}"))?;
        let field = |path: &str| {
            yaml.pointer(path).filter(|value| !value.is_null()).ok_or_else(|| {
                format!(
                    "invalid \"install-config.yaml\" file: {}: Required value",
                    path.trim_start_matches('/').replace('/', ".")
                )
            })
        };
        let word = |path: &str| Ok::<_, String>(field(path)?.as_str().unwrap_or_default().to_owned());
        if field("/apiVersion")? != "v1" {
            return Err("invalid \"install-config.yaml\" file: apiVersion: Invalid value: must be v1".to_owned());
        }
        if word("/metadata/name")? != cluster.as_str() {
            return Err(format!("install-config.yaml is of another cluster than {cluster}"));
        }
        field("/platform/none")?;
        if word("/pullSecret")? != PULL_SECRET_MARK {
            return Err("invalid \"install-config.yaml\" file: pullSecret: the mark for it is not there".to_owned());
        }
        if yaml.pointer("/compute/0/replicas").is_some_and(|replicas| replicas != 0) {
            return Err("compute.replicas must be 0 where machines are brought by hand".to_owned());
        }
        let masters = field("/controlPlane/replicas")?.as_u64().unwrap_or_default();
        let masters = usize::try_from(masters).map_err(|error| error.to_string())?;
        if masters == 0 {
            return Err("invalid \"install-config.yaml\" file: controlPlane.replicas: Invalid value: 0".to_owned());
        }
        let base_domain = word("/baseDomain")?
            .parse()
            .map_err(|error| format!("invalid \"install-config.yaml\" file: baseDomain: {error}"))?;
        Ok(Self { name: cluster.clone(), base_domain, masters, ssh_key: word("/sshKey")?.trim().to_owned() })
    }
}

/// The configuration that an installer left on a bootstrap, in the ConfigMap `kube-system/cluster-config-v1`. None if this
/// manifest is another one.
pub(super) fn of_bootstrap(manifest: &str) -> Option<InstallConfig> {
    let manifest = yaml(manifest).ok()?;
    if manifest["kind"] != "ConfigMap" || manifest["metadata"]["name"] != "cluster-config-v1" {
        return None;
    }
    let config = yaml(manifest["data"]["install-config"].as_str()?).ok()?;
    let word = |value: &Value| Some(value.as_str()?.trim().to_owned());
    Some(InstallConfig {
        name: config["metadata"]["name"].as_str()?.parse().ok()?,
        base_domain: config["baseDomain"].as_str()?.parse().ok()?,
        masters: usize::try_from(config["controlPlane"]["replicas"].as_u64()?).ok()?,
        ssh_key: word(&config["sshKey"]).unwrap_or_default(),
    })
}

/// A configuration that is merged into what the machines of a pool are served.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MachineConfig {
    pub(super) pool: String,
    /// Its Ignition.
    pub(super) config: Value,
}

/// The machine configurations among manifests; others are applied in the cluster, and change nothing here.
pub(super) fn machine_configs(manifests: &[Manifest]) -> Result<Vec<MachineConfig>, String> {
    let mut found = Vec::new();
    for manifest in manifests {
        let yaml = yaml(&manifest.text).map_err(|why| format!("{}: {why}", manifest.path))?;
        if yaml["kind"] != "MachineConfig" {
            continue;
        }
        let label = "machineconfiguration.openshift.io/role";
        let pool = yaml["metadata"]["labels"][label].as_str();
        let pool = pool.ok_or_else(|| format!("{}: no label {label}", manifest.path))?.to_owned();
        found.push(MachineConfig { pool, config: yaml["spec"]["config"].clone() });
    }
    Ok(found)
}

fn yaml(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "apiVersion: v1\nbaseDomain: example.com\ncompute:\n- name: worker\n  replicas: 0\n\
        controlPlane:\n  name: master\n  replicas: 3\nmetadata:\n  name: ocp4\nplatform:\n  none: {}\n\
        pullSecret: '@PULL-SECRET@'\nsshKey: 'ssh-ed25519 AAAA test'\n";

    fn read(text: &str) -> Result<InstallConfig, String> {
        InstallConfig::read(text, &"ocp4".parse().expect("valid"))
    }

    #[test]
    fn a_configuration_is_read_and_what_is_missing_is_named() {
        let config = read(CONFIG).expect("valid");
        assert_eq!(
            (config.masters, config.base_domain.as_str(), config.ssh_key.as_str()),
            (3, "example.com", "ssh-ed25519 AAAA test")
        );
        for (from, to, why) in [
            ("name: ocp4", "name: other", "another cluster"),
            ("baseDomain: example.com\n", "", "baseDomain: Required value"),
            ("@PULL-SECRET@", "{}", "pullSecret"),
            ("replicas: 0", "replicas: 2", "compute.replicas"),
            ("replicas: 3", "replicas: 0", "controlPlane.replicas"),
            ("none: {}", "aws: {}", "platform.none: Required value"),
            ("apiVersion: v1", "apiVersion: [", "install-config.yaml"),
        ] {
            let refusal = read(&CONFIG.replace(from, to)).expect_err(to);
            assert!(refusal.contains(why), "{refusal}");
        }
    }

    #[test]
    fn a_bootstrap_says_what_its_cluster_is_to_be() {
        let text = CONFIG.replace('\n', "\n    ").replace("pullSecret: '@PULL-SECRET@'", "pullSecret: ''");
        let of = |name: &str| {
            format!("kind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  install-config: |\n    {text}\n")
        };
        assert_eq!(of_bootstrap(&of("cluster-config-v1")), read(CONFIG).ok());
        assert_eq!(of_bootstrap(&of("other")), None);
    }

    #[test]
    fn machine_configs_are_told_from_other_manifests() {
        let of = |kind: &str| Manifest {
            path: "openshift/99-x.yaml".to_owned(),
            text: format!(
                "kind: {kind}\nmetadata:\n  labels: {{machineconfiguration.openshift.io/role: worker}}\nspec:\n  config:\n    ignition: {{version: 3.2.0}}\n"
            ),
        };
        let found = machine_configs(&[of("MachineConfig"), of("ConfigMap")]).expect("valid");
        assert_eq!((found.len(), found[0].pool.as_str()), (1, "worker"));
        assert_eq!(found[0].config["ignition"]["version"], "3.2.0");
    }
}
