//! The Ignition files: `bootstrap.ign` with everything that starts a cluster, and the pointers of masters and workers.
//!
//! Paths, modes and units are the recorded ones; scripts and programs are as long as the real ones, and empty of sense: but
//! for the kubelet, where a program is named that machines are to run in its place.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::create::State;
use super::manifests::Files;

/// Specification of all three files.
const VERSION: &str = "3.2.0";
/// Files of its system: path and mode.
const SYSTEM: [(&str, u32); 12] = [
    ("/etc/containers/registries.conf", 0o644),
    ("/etc/ignition-machine-config-encapsulated.json", 0o600),
    ("/etc/pki/ca-trust/source/anchors/ca.crt", 0o600),
    ("/etc/profile.d/proxy.sh", 0o600),
    ("/etc/systemd/system/node-image-finish.service", 0o600),
    ("/etc/systemd/system/node-image-overlay.service", 0o600),
    ("/etc/systemd/system/node-image-overlay.target", 0o600),
    ("/etc/systemd/system/node-image-pull.service", 0o600),
    ("/etc/systemd/system-generators/node-image-overlay-generator", 0o555),
    ("/etc/systemd/system.conf.d/10-default-env.conf", 0o600),
    ("/root/.docker/config.json", 0o600),
    ("/opt/openshift/original_cvo_overrides.patch", 0o644),
];
/// Its scripts, in `/usr/local/bin`.
const SCRIPTS: [&str; 16] = [
    "approve-csr.sh",
    "bootkube.sh",
    "bootstrap-cluster-gather.sh",
    "bootstrap-service-record.sh",
    "bootstrap-verify-api-server-urls.sh",
    "crio-configure.sh",
    "installer-gather.sh",
    "installer-masters-gather.sh",
    "kubelet-pause-image.sh",
    "kubelet.sh",
    "node-image-overlay.sh",
    "node-image-pull.sh",
    "release-image-download.sh",
    "release-image.sh",
    "report-progress.sh",
    "wait-for-ha-api.sh",
];
/// Its units, and whether they are started.
const UNITS: [(&str, bool); 8] = [
    ("approve-csr.service", false),
    ("bootkube.service", false),
    ("crio-configure.service", false),
    ("kubelet.service", true),
    ("progress.service", false),
    ("release-image.service", false),
    ("systemd-journal-gatewayd.service", true),
    ("zincati.service", false),
];
/// Certificates that are in kubeconfigs alone.
const IN_KUBECONFIGS: [&str; 2] = ["admin-kubeconfig-client", "kubelet-bootstrap-client"];
/// Length of a script, in bytes.
const SCRIPT_BYTES: usize = 6 << 10;

/// The unit that runs that program.
pub(crate) const KUBELET_UNIT: &str = "[Unit]\nDescription=Kubernetes Kubelet, simulated\nWants=network-online.target\nAfter=network-online.target\n[Service]\nExecStart=/usr/local/bin/kubelet.sh\nRestart=always\nRestartSec=2\n[Install]\nWantedBy=multi-user.target\n";

/// Fetches the program by its digest, as a kubelet does with images, and becomes it.
fn kubelet_script((url, digest): &(String, String)) -> String {
    format!(
        r#"#!/usr/bin/env bash
# kubelet.sh, of a simulated release: its one image is a program.
set -u
program=/var/lib/harmony-sim/simulated-node
check() {{ echo '{digest}  '"$1" | sha256sum --status -c; }}
mkdir -p "${{program%/*}}"
until [ -x "$program" ] && check "$program"; do
  curl -fsS --max-time 600 -o "$program.new" '{url}' && check "$program.new" &&
    chmod 755 "$program.new" && mv -f "$program.new" "$program" || sleep 2
done
exec "$program"
"#
    )
}

fn data(text: &str) -> Value {
    json!({ "source": format!("data:text/plain;charset=utf-8;base64,{}", STANDARD.encode(text)) })
}

fn file(path: &str, mode: u32, text: &str) -> Value {
    json!({ "overwrite": true, "path": path, "user": { "name": "root" }, "contents": data(text), "mode": mode })
}

/// A script that does nothing, at some length.
fn script(name: &str) -> String {
    let mut text = format!("#!/usr/bin/env bash\n# {name}, of a simulated release\nexit 0\n");
    let mut digest = Sha256::digest(name);
    while text.len() < SCRIPT_BYTES {
        text.push_str(&format!("# {}\n", STANDARD.encode(digest)));
        digest = Sha256::digest(digest);
    }
    text
}

/// `bootstrap.ign`, with the manifests of both folders in it.
pub(super) fn config(state: &State, common: &Files, openshift: &Files, node: Option<&(String, String)>) -> String {
    let pem = |name: &str| state.pem.get(name).map(String::as_str).unwrap_or_default();
    let mut files = vec![json!({ "overwrite": false, "path": "/etc/motd", "user": { "name": "root" }, "mode": 0o644,
        "append": [data("This is the bootstrap node; it will be destroyed when the master is fully up.\n")] })];
    for (path, mode) in SYSTEM {
        let text = match path {
            "/root/.docker/config.json" => state.config.pull_secret.as_str(),
            "/etc/pki/ca-trust/source/anchors/ca.crt" | "/etc/profile.d/proxy.sh" => "",
            path if path.ends_with("-generator") => "#!/bin/sh\n# of a simulated release\n",
            _ => "# of a simulated release\n",
        };
        files.push(file(path, mode, text));
    }
    for name in SCRIPTS {
        let text = match node {
            Some(node) if name == "kubelet.sh" => kubelet_script(node),
            _ => script(name),
        };
        files.push(file(&format!("/usr/local/bin/{name}"), 0o555, &text));
    }
    for (folder, manifests) in [("manifests", common), ("openshift", openshift)] {
        for (name, text) in manifests {
            files.push(file(&format!("/opt/openshift/{folder}/{name}"), 0o644, text));
        }
    }
    for (name, host, client) in [
        ("kubeconfig", "api-int", "admin-kubeconfig-client"),
        ("kubeconfig-kubelet", "api-int", "kubelet-bootstrap-client"),
        ("kubeconfig-loopback", "localhost", "admin-kubeconfig-client"),
    ] {
        files.push(file(&format!("/opt/openshift/auth/{name}"), 0o600, &kubeconfig(state, host, "admin", client)));
    }
    for name in state.pem.keys().filter(|name| !IN_KUBECONFIGS.iter().any(|hidden| name.starts_with(hidden))) {
        let mode = if name == "root-ca.crt" { 0o644 } else { 0o600 };
        files.push(file(&format!("/opt/openshift/tls/{name}"), mode, pem(name)));
    }
    let contents = |name: &str| match node {
        Some(_) if name == "kubelet.service" => KUBELET_UNIT.to_owned(),
        _ => format!(
            "[Unit]\nDescription={name}\n[Service]\nExecStart=/usr/bin/true\n[Install]\nWantedBy=multi-user.target\n"
        ),
    };
    let units =
        UNITS.iter().map(|(name, enabled)| json!({ "name": name, "enabled": enabled, "contents": contents(name) }));
    let units: Vec<Value> = units.collect();
    let user = json!({ "name": "core", "sshAuthorizedKeys": [state.config.ssh_key] });
    json!({ "ignition": { "version": VERSION }, "passwd": { "users": [user] }, "storage": { "files": files }, "systemd": { "units": units } })
        .to_string()
}

/// What masters and workers are given: where their configuration is, and who vouches for it.
pub(super) fn pointer(state: &State, role: &str) -> String {
    let source = format!("https://api-int.{}:22623/config/{role}", state.config.cluster_domain());
    let authority = data(state.pem.get("root-ca.crt").map(String::as_str).unwrap_or_default());
    json!({ "ignition": { "config": { "merge": [{ "source": source }] },
        "security": { "tls": { "certificateAuthorities": [authority] } }, "version": VERSION } })
    .to_string()
}

/// A kubeconfig: the API by one of its names, and a client certificate.
pub(super) fn kubeconfig(state: &State, host: &str, user: &str, client: &str) -> String {
    let server = match host {
        "localhost" => "https://localhost:6443".to_owned(),
        host => format!("https://{host}.{}:6443", state.config.cluster_domain()),
    };
    let encoded = |name: &str| STANDARD.encode(state.pem.get(name).map(String::as_str).unwrap_or_default());
    let value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": state.config.name, "cluster": { "server": server,
            "certificate-authority-data": encoded("kube-apiserver-complete-server-ca-bundle.crt") } }],
        "contexts": [{ "name": user, "context": { "cluster": state.config.name, "user": user } }],
        "current-context": user,
        "preferences": {},
        "users": [{ "name": user, "user": { "client-certificate-data": encoded(&format!("{client}.crt")),
            "client-key-data": encoded(&format!("{client}.key")) } }],
    });
    serde_saphyr::to_string(&value).unwrap_or_default()
}
