//! The manifests that it makes of an install configuration: names and kinds as recorded, contents as far as anybody
//! looks at them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::create::State;
use super::settings::VERSION;

/// Name and contents of each file.
pub(super) type Files = Vec<(String, String)>;

fn yaml(name: &str, value: &Value) -> (String, String) {
    // Values of our own: always YAML.
    (name.to_owned(), serde_saphyr::to_string(value).unwrap_or_default())
}

fn object(api: &str, kind: &str, name: &str, namespace: &str) -> Value {
    let mut value = json!({ "apiVersion": api, "kind": kind, "metadata": { "name": name } });
    if !namespace.is_empty() {
        value["metadata"]["namespace"] = namespace.into();
    }
    value
}

fn with(mut value: Value, key: &str, more: Value) -> Value {
    value[key] = more;
    value
}

/// A cluster-wide configuration, all of which are named alike.
fn config(kind: &str, spec: Value) -> Value {
    with(object("config.openshift.io/v1", kind, "cluster", ""), "spec", spec)
}

fn config_map(name: &str, namespace: &str, data: Value) -> Value {
    with(object("v1", "ConfigMap", name, namespace), "data", data)
}

fn secret(name: &str, namespace: &str, data: Value) -> Value {
    with(object("v1", "Secret", name, namespace), "data", data)
}

/// The files of `manifests/`.
pub(super) fn common(state: &State) -> Files {
    let (config_of, domain) = (&state.config, state.config.cluster_domain());
    let pem = |name: &str| state.pem.get(name).cloned().unwrap_or_default();
    let encoded = |text: &str| STANDARD.encode(text);
    let schedulable = config_of.workers == 0;
    let mcs = "openshift-machine-config-operator";
    vec![
        yaml(
            "cluster-config.yaml",
            &config_map("cluster-config-v1", "kube-system", json!({ "install-config": config_of.text })),
        ),
        yaml("cluster-dns-02-config.yml", &config("DNS", json!({ "baseDomain": domain, "platform": { "type": "" } }))),
        yaml(
            "cluster-infrastructure-02-config.yml",
            &with(
                config("Infrastructure", json!({ "cloudConfig": { "name": "" }, "platformSpec": { "type": "None" } })),
                "status",
                json!({
                    "apiServerInternalURI": format!("https://api-int.{domain}:6443"), "apiServerURL": format!("https://api.{domain}:6443"),
                    "controlPlaneTopology": "HighlyAvailable", "infrastructureName": state.infra_id, "platform": "None",
                }),
            ),
        ),
        yaml(
            "cluster-ingress-02-config.yml",
            &config(
                "Ingress",
                json!({ "domain": format!("apps.{domain}"), "loadBalancer": { "platform": { "type": "" } } }),
            ),
        ),
        yaml("cluster-network-02-config.yml", &config("Network", json!({ "networkType": "OVNKubernetes" }))),
        yaml("cluster-proxy-01-config.yaml", &config("Proxy", json!({ "trustedCA": { "name": "" } }))),
        yaml(
            "cluster-scheduler-02-config.yml",
            &config(
                "Scheduler",
                json!({ "mastersSchedulable": schedulable, "policy": { "name": "" }, "profileCustomizations": { "dynamicResourceAllocation": "" } }),
            ),
        ),
        yaml(
            "cvo-overrides.yaml",
            &with(
                object("config.openshift.io/v1", "ClusterVersion", "version", "openshift-cluster-version"),
                "spec",
                json!({ "channel": "stable-4.19", "clusterID": state.cluster_id }),
            ),
        ),
        yaml("kube-cloud-config.yaml", &secret("kube-cloud-cfg", "kube-system", json!({ "config": "" }))),
        yaml(
            "kube-system-configmap-root-ca.yaml",
            &config_map("root-ca", "kube-system", json!({ "ca.crt": pem("root-ca.crt") })),
        ),
        yaml(
            "machine-config-server-ca-configmap.yaml",
            &config_map("machine-config-server-ca", mcs, json!({ "ca-bundle.crt": pem("root-ca.crt") })),
        ),
        yaml(
            "machine-config-server-ca-secret.yaml",
            &secret("machine-config-server-ca", mcs, json!({ "tls.crt": encoded(&pem("root-ca.crt")) })),
        ),
        yaml(
            "machine-config-server-tls-secret.yaml",
            &secret(
                "machine-config-server-tls",
                mcs,
                json!({ "tls.crt": encoded(&pem("machine-config-server.crt")), "tls.key": encoded(&pem("machine-config-server.key")) }),
            ),
        ),
        yaml(
            "openshift-config-secret-pull-secret.yaml",
            &with(
                secret(
                    "pull-secret",
                    "openshift-config",
                    json!({ ".dockerconfigjson": encoded(&config_of.pull_secret) }),
                ),
                "type",
                "kubernetes.io/dockerconfigjson".into(),
            ),
        ),
    ]
}

/// The files of `openshift/`.
pub(super) fn openshift(state: &State) -> Files {
    let machine_config = |role: &str| {
        let mut value = object("machineconfiguration.openshift.io/v1", "MachineConfig", &format!("99-{role}-ssh"), "");
        value["metadata"]["labels"] = json!({ "machineconfiguration.openshift.io/role": role });
        value["spec"] = json!({ "config": { "ignition": { "version": "3.2.0" },
            "passwd": { "users": [{ "name": "core", "sshAuthorizedKeys": [state.config.ssh_key] }] } } });
        yaml(&format!("99_openshift-machineconfig_99-{role}-ssh.yaml"), &value)
    };
    let user_data = |role: &str| {
        let data = json!({ "disableTemplating": STANDARD.encode("true"), "userData": STANDARD.encode(super::bootstrap::pointer(state, role)) });
        yaml(
            &format!("99_openshift-cluster-api_{role}-user-data-secret.yaml"),
            &secret(&format!("{role}-user-data"), "openshift-machine-api", data),
        )
    };
    vec![
        yaml("99_feature-gate.yaml", &config("FeatureGate", json!({}))),
        yaml(
            "99_kubeadmin-password-secret.yaml",
            &secret(
                "kubeadmin",
                "kube-system",
                json!({ "kubeadmin": STANDARD.encode(format!("hash of {}", state.cluster_id)) }),
            ),
        ),
        user_data("master"),
        user_data("worker"),
        machine_config("master"),
        machine_config("worker"),
        yaml(
            "openshift-install-manifests.yaml",
            &config_map(
                "openshift-install-manifests",
                "openshift-config",
                json!({ "invoker": "user", "version": VERSION }),
            ),
        ),
    ]
}
