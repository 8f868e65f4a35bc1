//! `install-config.yaml` for machines that their owner provides (platform `none`).
//!
//! Source: OpenShift, "Sample install-config.yaml file for bare metal".

use harmony_core::capability::PULL_SECRET_MARK;
use harmony_core::cluster::{ClusterDescription, ClusterName, NetworkType, NodeKind};
use harmony_core::net::Hostname;
use serde::Serialize;
use serde_json::{Value, json};

use crate::yaml::yaml;
use crate::{TemplateError, check};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InstallConfig<'a> {
    api_version: &'static str,
    base_domain: &'a Hostname,
    compute: [MachinePool; 1],
    control_plane: MachinePool,
    metadata: Metadata<'a>,
    networking: Networking<'a>,
    platform: Value,
    pull_secret: &'static str,
    ssh_key: &'a str,
}

#[derive(Serialize)]
struct MachinePool {
    hyperthreading: &'static str,
    name: &'static str,
    replicas: usize,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a ClusterName,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Networking<'a> {
    cluster_network: [Value; 1],
    machine_network: [Value; 1],
    network_type: &'a NetworkType,
    service_network: [String; 1],
}

/// The installer's configuration of a cluster, with [`PULL_SECRET_MARK`] for the pull secret. Workers are not counted in it,
/// however many there are to be: the installer makes none of them.
///
/// # Errors
/// A key that is none.
pub fn install_config(description: &ClusterDescription, ssh_key: &str) -> Result<String, TemplateError> {
    check::ssh_key("ssh_key", ssh_key)?;
    let masters = description.roles.keys().filter(|role| description.kind_of(role) == Some(NodeKind::Master)).count();
    let pool = |name, replicas| MachinePool { hyperthreading: "Enabled", name, replicas };
    let network = &description.network;
    let pods = &network.cluster;
    let config = InstallConfig {
        api_version: "v1",
        base_domain: &description.base_domain,
        compute: [pool("worker", 0)],
        control_plane: pool("master", masters),
        metadata: Metadata { name: &description.name },
        networking: Networking {
            cluster_network: [json!({"cidr": pods.cidr, "hostPrefix": pods.host_prefix})],
            machine_network: [json!({"cidr": network.machine})],
            network_type: &network.kind,
            service_network: [network.service.to_string()],
        },
        platform: json!({"none": {}}),
        pull_secret: PULL_SECRET_MARK,
        ssh_key,
    };
    yaml("install-config.yaml", &config)
}
