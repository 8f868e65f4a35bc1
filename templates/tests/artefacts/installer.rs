//! Against what the real installer wrote and takes: `$HARMONY_VECTORS/openshift-install`. Without it, nothing is compared but
//! what is made here.

use std::path::PathBuf;

use harmony_core::capability::PULL_SECRET_MARK;
use harmony_core::cluster::{ClusterDescription, Endpoints};
use harmony_templates::{NodeIgnition, ignition, install_config, link_keyfiles};
use serde_json::{Value, json};

use super::{KEY, order};

fn recorded(name: &str) -> Option<String> {
    let folder = PathBuf::from(std::env::var_os("HARMONY_VECTORS")?);
    Some(std::fs::read_to_string(folder.join("openshift-install").join(name)).expect(name))
}

fn host_part() -> String {
    let order = order();
    let keyfiles = link_keyfiles(&order.link, order.address).expect("renders");
    ignition(&NodeIgnition { hostname: &order.hostname, ssh_keys: &[KEY], keyfiles: &keyfiles }).expect("renders")
}

/// Everything of the base is there still, except for what stands at the host's paths and what the host adds to.
fn check_kept(base: &Value, merged: &Value, at: &str) {
    match (base, merged) {
        (Value::Object(base), Value::Object(merged)) => {
            for (key, value) in base {
                check_kept(
                    value,
                    merged.get(key).unwrap_or_else(|| panic!("{at}/{key} is lost")),
                    &format!("{at}/{key}"),
                );
            }
        }
        (Value::Array(base), Value::Array(merged)) => {
            for value in base {
                let name = |entry: &Value| entry.get("name").or(entry.get("path")).cloned();
                let same = merged
                    .iter()
                    .find(|entry| *entry == value || (name(entry).is_some() && name(entry) == name(value)));
                check_kept(value, same.unwrap_or_else(|| panic!("an entry of {at} is lost")), at);
            }
        }
        (base, merged) => assert_eq!(base, merged, "{at}"),
    }
}

fn check_merged(base: &str) -> Value {
    let host = host_part();
    let text = ignition::merge(base.as_bytes(), &host).expect("merges");
    let (_, warnings) = ignition_config::Config::parse_str(&text).expect("is Ignition");
    assert!(warnings.is_empty(), "{warnings:?}");
    let read = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let (base, merged) = (read(base), read(&text));
    check_kept(&base, &merged, "");
    assert_eq!(merged["ignition"], base["ignition"], "version, authorities and addresses are the installer's");
    // And all of the host's part, whose version is another matter.
    let host = read(&host);
    check_kept(&host["storage"], &merged["storage"], "host/storage");
    check_kept(&host["passwd"], &merged["passwd"], "host/passwd");
    merged
}

#[test]
fn pointers_of_the_real_installer_are_merged_without_loss() {
    for name in ["master.ign", "worker.ign"] {
        let Some(base) = recorded(name) else { return };
        let merged = check_merged(&base);
        assert_eq!(ignition::version(base.as_bytes()).expect("a version"), merged["ignition"]["version"]);
    }
}

/// As large as the real one, whose contents are not recorded, with what a small one might not have.
fn bootstrap(version: &str) -> Value {
    let paths: Vec<(String, i64)> = match recorded("bootstrap.ign.outline.json") {
        Some(outline) => {
            let outline: Value = serde_json::from_str(&outline).expect("JSON");
            let files = outline["storage.files"].as_array().expect("files").iter();
            files
                .map(|file| (file[0].as_str().expect("a path").to_owned(), file[1].as_i64().expect("a mode")))
                .collect()
        }
        None => (0..100).map(|number| (format!("/opt/openshift/manifests/{number}.yaml"), 0o644)).collect(),
    };
    let many = (0..400).map(|number| (format!("/opt/openshift/more/{number}"), 0o600));
    let files: Vec<Value> = paths.into_iter().chain(many).enumerate().map(|(number, (path, mode))| {
        let contents = json!({"source": format!("data:text/plain;charset=utf-8;base64,{}", "QUJD".repeat(number)), "compression": "gzip",
            "verification": {"hash": format!("sha256-{number:064x}")}});
        if number % 7 == 0 {
            json!({"path": path, "mode": mode, "append": [contents], "overwrite": false, "group": {"name": "root"}})
        } else {
            json!({"path": path, "mode": mode, "contents": contents, "overwrite": true, "user": {"name": "root"}})
        }
    }).collect();
    let units: Vec<Value> = ["bootkube.service", "kubelet.service", "release-image.service"].map(|name| {
        json!({"name": name, "enabled": true, "contents": "[Unit]\nDescription=…\n", "dropins": [{"name": "10.conf", "contents": "x"}]})
    }).to_vec();
    json!({
        "ignition": {"version": version, "timeouts": {"httpTotal": 30}},
        "passwd": {"users": [{"name": "core", "sshAuthorizedKeys": ["ssh-ed25519 AAAAinstaller"], "passwordHash": "$6$x"}]},
        "storage": {"files": files, "directories": [{"path": "/opt/openshift", "mode": 493}],
            "links": [{"path": "/etc/localtime", "target": "../usr/share/zoneinfo/UTC"}]},
        "systemd": {"units": units},
    })
}

#[test]
fn a_bootstrap_with_hundreds_of_files_is_merged_without_loss() {
    for version in ["3.0.0", "3.1.0", "3.2.0", "3.3.0", "3.4.0", "3.5.0", "3.6.0"] {
        let mut base = bootstrap(version);
        if version == "3.0.0" {
            // Compression came with 3.1 for certificate authorities only; files had it from the start.
            base["ignition"]["timeouts"] = json!({});
        }
        let merged = check_merged(&base.to_string());
        let files = merged["storage"]["files"].as_array().expect("files").len();
        let own = base["storage"]["files"].as_array().expect("files").len();
        assert_eq!(files, own + 4, "the host name and three keyfiles");
        assert_eq!(merged["passwd"]["users"][0]["passwordHash"], "$6$x");
        assert_eq!(merged["passwd"]["users"][0]["sshAuthorizedKeys"], json!(["ssh-ed25519 AAAAinstaller", KEY]));
    }
}

#[test]
fn the_installers_configuration_has_the_recorded_structure() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPoLr+5onnIe7Wd5P8yUTZJARgURylHZUEpg50JFHhw0 test";
    let endpoints = Endpoints { api: [192, 168, 1, 5].into(), api_int: None, ingress: [192, 168, 1, 6].into() };
    let roles = ["bootstrap", "master-0", "master-1", "master-2", "worker-0"].map(|role| role.parse().expect("a role"));
    let machine = "192.168.1.0/24".parse().expect("a network");
    let name = "ocp4".parse().expect("a name");
    let description =
        ClusterDescription::new(name, "example.com".parse().expect("a domain"), machine, endpoints, roles);
    let text = install_config(&description, key).expect("renders");
    let line = format!("pullSecret: \"{PULL_SECRET_MARK}\"");
    assert!(text.lines().any(|found| found == line), "the mark is one text in one line:\n{text}");
    let read = |text: &str| serde_saphyr::from_str::<Value>(text).expect("YAML");
    let Some(recorded) = recorded("install-config.yaml") else { return };
    let mut recorded = read(&recorded);
    recorded["pullSecret"] = json!(PULL_SECRET_MARK);
    assert_eq!(read(&text), recorded);
}
