//! The Ignition texts: what each kind of machine is given, and what the machine config servers serve.
//!
//! As the real program's as far as anybody looks at them. Source: recorded `master.ign`, `worker.ign`, outline of
//! `bootstrap.ign`; machine-config-operator `templates/`.

use std::collections::{BTreeMap, BTreeSet};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use harmony_core::cluster::NodeKind;
use serde_json::{Value, json};

use super::Material;
use super::config::{InstallConfig, MachineConfig};

/// The version of Ignition's specification that they have.
pub(super) const VERSION: &str = "3.2.0";
/// What stands in for scripts and other files that nobody reads.
const STANDS_IN: &str = "# simulated\n";

/// What is made.
pub(super) struct Texts {
    /// The file of each kind of machine.
    pub(super) roles: BTreeMap<NodeKind, String>,
    /// What is served for each pool.
    pub(super) pools: BTreeMap<&'static str, String>,
    /// What of it is secret.
    pub(super) secrets: BTreeSet<String>,
}

/// Makes all texts of a cluster.
pub(super) fn texts(
    config: &InstallConfig,
    authority: &str,
    extra: &[MachineConfig],
    material: &mut Material,
) -> Texts {
    let mut secrets = BTreeSet::new();
    let mut roles = BTreeMap::from([(NodeKind::Bootstrap, bootstrap(config, authority, material, &mut secrets))]);
    for kind in [NodeKind::Master, NodeKind::Worker] {
        roles.insert(kind, pointer(config, authority, kind));
    }
    let pools = pools(config, extra);
    // The certificate is in every file that a machine is given, in this form.
    secrets.insert(BASE64_STANDARD.encode(authority));
    secrets.extend(roles.values().cloned());
    Texts { roles, pools, secrets }
}

/// What is served for each pool.
pub(super) fn pools(config: &InstallConfig, extra: &[MachineConfig]) -> BTreeMap<&'static str, String> {
    let pools = [("master", NodeKind::Master), ("worker", NodeKind::Worker)];
    pools.into_iter().map(|(pool, kind)| (pool, rendered(config, kind, extra))).collect()
}

fn data(text: &str) -> String {
    format!("data:text/plain;charset=utf-8;base64,{}", BASE64_STANDARD.encode(text))
}

fn file(path: &str, mode: u32, text: &str) -> Value {
    json!({"overwrite": true, "path": path, "user": {"name": "root"}, "contents": {"source": data(text)}, "mode": mode})
}

/// What masters and workers are given: where the rest is, and whom to believe.
fn pointer(config: &InstallConfig, authority: &str, kind: NodeKind) -> String {
    let source = format!("https://api-int.{}.{}:22623/config/{kind}", config.name, config.base_domain);
    let json = json!({"ignition": {
        "config": {"merge": [{"source": source}]},
        "security": {"tls": {"certificateAuthorities": [{"source": data(authority)}]}},
        "version": VERSION,
    }});
    json.to_string()
}

fn bootstrap(
    config: &InstallConfig,
    authority: &str,
    material: &mut Material,
    secrets: &mut BTreeSet<String>,
) -> String {
    let mut secret = |text: String| {
        secrets.insert(text.trim_end().to_owned());
        text
    };
    let key = secret(material.pem("RSA PRIVATE KEY"));
    let token = secret(material.password());
    let password = secret(material.password());
    let pull_secret = secret(format!(r#"{{"auths":{{"registry.sim.invalid":{{"auth":"{}"}}}}}}"#, material.password()));
    let kubeconfig = secret(format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- cluster: {{server: https://api.{}.{}:6443}}\nusers:\n- name: admin\n  user: {{token: {token}}}\n",
        config.name, config.base_domain
    ));
    let files = [
        file("/etc/motd", 420, STANDS_IN),
        file("/root/.docker/config.json", 384, &pull_secret),
        file("/usr/local/bin/approve-csr.sh", 365, STANDS_IN),
        file("/usr/local/bin/bootkube.sh", 365, STANDS_IN),
        file("/usr/local/bin/kubelet.sh", 365, STANDS_IN),
        file("/usr/local/bin/node-image-pull.sh", 365, STANDS_IN),
        file("/opt/openshift/manifests/openshift-config-secret-pull-secret.yaml", 420, &pull_secret),
        file("/opt/openshift/openshift/99_kubeadmin-password-secret.yaml", 420, &password),
        file("/opt/openshift/auth/kubeconfig", 384, &kubeconfig),
        file("/opt/openshift/tls/machine-config-server.key", 384, &key),
        file("/opt/openshift/tls/root-ca.crt", 384, authority),
    ];
    let units = [
        "approve-csr.service",
        "bootkube.service",
        "crio-configure.service",
        "kubelet.service",
        "progress.service",
        "release-image.service",
    ];
    let json = json!({
        "ignition": {"version": VERSION},
        "passwd": {"users": [{"name": "core", "sshAuthorizedKeys": [config.ssh_key]}]},
        "storage": {"files": files},
        "systemd": {"units": units.map(|name| json!({"name": name, "enabled": true, "contents": STANDS_IN}))},
    });
    json.to_string()
}

/// What a machine config server serves for a pool: the kubelet, who may log in, and what was added.
fn rendered(config: &InstallConfig, kind: NodeKind, extra: &[MachineConfig]) -> String {
    let labels = match kind {
        NodeKind::Master => "node-role.kubernetes.io/control-plane,node-role.kubernetes.io/master",
        NodeKind::Bootstrap | NodeKind::Worker => "node-role.kubernetes.io/worker",
    };
    let mut files = vec![file("/etc/ignition-machine-config-encapsulated.json", 384, &format!("rendered-{kind}"))];
    let kubelet = format!("[Service]\nExecStart=/usr/bin/kubelet --node-labels={labels}\n");
    let mut units = vec![
        json!({"name": "kubelet.service", "enabled": true, "contents": kubelet}),
        json!({"name": "machine-config-daemon-firstboot.service", "enabled": true, "contents": STANDS_IN}),
    ];
    for added in extra.iter().filter(|added| added.pool == kind.as_str()) {
        files.extend(added.config["storage"]["files"].as_array().into_iter().flatten().cloned());
        units.extend(added.config["systemd"]["units"].as_array().into_iter().flatten().cloned());
    }
    let json = json!({
        "ignition": {"version": VERSION},
        "passwd": {"users": [{"name": "core", "sshAuthorizedKeys": [config.ssh_key]}]},
        "storage": {"files": files},
        "systemd": {"units": units},
    });
    json.to_string()
}
