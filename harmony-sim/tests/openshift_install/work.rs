//! What the tests stand on: the program, a state folder, what a cluster is asked for.

use std::path::Path;
use std::process::{Command, Output};

use harmony_core::capability::InstallerInput;
use harmony_core::cluster::ClusterName;
use harmony_drivers::WriteLog;
use harmony_drivers::cluster::openshift_install::{OpenshiftInstall, OpenshiftInstallSpec};
use serde_json::Value;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_openshift-install");

pub(crate) const CONFIG: &str = "apiVersion: v1
baseDomain: example.com
compute:
- hyperthreading: Enabled
  name: worker
  replicas: 0
controlPlane:
  hyperthreading: Enabled
  name: master
  replicas: 3
metadata:
  name: ocp4
networking:
  clusterNetwork:
  - cidr: 10.128.0.0/14
    hostPrefix: 23
  networkType: OVNKubernetes
  machineNetwork:
  - cidr: 192.168.1.0/24
  serviceNetwork:
  - 172.30.0.0/16
platform:
  none: {}
pullSecret: '@PULL-SECRET@'
sshKey: 'ssh-ed25519 AAAA test'
";

pub(crate) fn cluster() -> ClusterName {
    "ocp4".parse().expect("valid")
}

pub(crate) fn input() -> InstallerInput {
    InstallerInput {
        pull_secret_file: None,
        cluster: cluster(),
        install_config: CONFIG.to_owned(),
        manifests: Vec::new(),
        masters_schedulable: false,
    }
}

pub(crate) fn spec(variables: &[(&str, &str)]) -> OpenshiftInstallSpec {
    let env = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    OpenshiftInstallSpec { program: PROGRAM.into(), env, ..OpenshiftInstallSpec::default() }
}

pub(crate) fn installer(state: &Path, variables: &[(&str, &str)]) -> OpenshiftInstall {
    OpenshiftInstall::new(spec(variables), state, WriteLog::default())
}

/// Runs the program by hand.
pub(crate) fn run(dir: &Path, words: &[&str]) -> Output {
    Command::new(PROGRAM).args(words).arg("--dir").arg(dir).output().expect("runs")
}

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text of a file that an Ignition configuration carries.
pub(crate) fn carried(config: &Value, path: &str) -> Option<String> {
    use base64::Engine;
    let files = config["storage"]["files"].as_array()?;
    let source = files.iter().find(|file| file["path"] == path)?["contents"]["source"].as_str()?;
    let body = source.split_once(";base64,")?.1;
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(body).ok()?).ok()
}
