//! Answer files and networks: Ignition by its types, NMState by its own crate, the Kickstart by pykickstart's validator.

use std::process::Command;

use ignition_config::Config;
use nmstate::{InterfaceType, NetworkState};
use serde_json::Value;

use super::{HOSTS, Made};

/// The paths of an Ignition config's files that are under this folder.
fn files_in<'a>(config: &'a Value, folder: &str) -> Vec<&'a str> {
    let files = config["storage"]["files"].as_array().expect("files");
    let paths = files.iter().filter_map(|file| file["path"].as_str());
    paths.filter(|path| path.starts_with(folder)).collect()
}

#[test]
fn every_ignition_is_one_and_has_its_role_and_its_host() {
    let made = Made::new();
    for host in HOSTS {
        let text = made.text(&format!("{host}.ign"));
        let (_, warnings) = Config::parse_str(&text).expect("is Ignition");
        assert!(warnings.is_empty(), "{host}: {warnings:?}");
        assert!(!text.contains("@BOOT-TOKEN@") && !text.contains("@PULL-SECRET@"), "{host}");
        let config: Value = serde_json::from_str(&text).expect("JSON");
        let files = config["storage"]["files"].as_array().expect("files");
        let hostname = files.iter().find(|file| file["path"] == "/etc/hostname").expect("its name");
        assert_eq!(hostname["contents"]["source"], format!("data:,{host}.ocp4.example.com%0A"));
        let kind = host.split('-').next().expect("a word");
        let base: Value = serde_json::from_str(&made.text(&format!("state/clusters/ocp4/1/{kind}.ign"))).expect("JSON");
        assert_eq!(config["ignition"], base["ignition"], "{host}");
        let keyfiles = files_in(&config, "/etc/NetworkManager/system-connections/").len();
        // A bond and its two NICs; one NIC; what a MachineConfig keeps.
        let expected = if kind == "master" { 3 } else { usize::from(kind == "bootstrap") };
        assert_eq!(keyfiles, expected, "{host}");
    }
}

#[test]
fn every_network_is_nmstate() {
    let made = Made::new();
    let manifest = made.text("state/clusters/ocp4/1/kept/openshift/99-harmony-worker-network.yaml");
    for host in HOSTS {
        let state = NetworkState::new_from_yaml(&made.text(&format!("{host}.nmstate.yml"))).expect("is NMState");
        let has = |name: &str, kind| state.interfaces.get_iface(name, kind).is_some();
        assert_eq!(has("bond0", InterfaceType::Bond), host != "bootstrap", "{host}");
        let is_worker = host.starts_with("worker-");
        assert_eq!(has("br-ex", InterfaceType::OvsBridge), is_worker, "{host}");
        assert_eq!(manifest.contains(&format!("/etc/nmstate/openshift/{host}.yml")), is_worker, "{host}");
    }
}

#[test]
fn the_installer_was_given_the_cluster_and_a_pull_secret() {
    let made = Made::new();
    let config: Value = serde_saphyr::from_str(&made.text("install-config.yaml")).expect("YAML");
    assert_eq!(config["metadata"]["name"], "ocp4");
    assert_eq!(config["controlPlane"]["replicas"], 3);
    assert_eq!(config["compute"][0]["replicas"], 0, "the installer makes no workers");
    let secret: Value = serde_json::from_str(config["pullSecret"].as_str().expect("a text")).expect("JSON");
    assert!(secret["auths"].is_object());
}

#[test]
fn every_kickstart_passes_ksvalidator() {
    let made = Made::new();
    let program = std::env::var_os("HARMONY_KSVALIDATOR").unwrap_or_else(|| "ksvalidator".into());
    for name in made.ending_in(".ks") {
        let output = Command::new(&program).args(["-v", "RHEL9"]).arg(made.path(&name)).output();
        let output = output.unwrap_or_else(|error| {
            panic!("no ksvalidator ({error}): run `cargo xtask test`, or set HARMONY_KSVALIDATOR to pykickstart's")
        });
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
