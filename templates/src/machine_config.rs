//! A MachineConfig that keeps the bond of a role's hosts, for those who want the machine config operator to watch over it.
//!
//! One configuration serves all hosts of the role, so their NICs must have the same names: it cannot match by MAC. Where
//! addresses are static, each host has an NMState document of its own in it, which then describes `br-ex` as well:
//! OpenShift's own `configure-ovs.sh` steps back once such a document was applied.
//! Source: OpenShift, "Creating a manifest object that includes a customized br-ex bridge";
//! openshift/machine-config-operator `templates/common/_base/files/nmstate-configuration.yaml` (the extension is `.yml`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use harmony_core::boot::{Addressing, LinkPlan};
use harmony_core::capability::Manifest;
use harmony_core::cluster::NodeKind;
use harmony_core::net::Hostname;
use ignition_config::v3_2::{Config, File, Storage};
use nmstate::NetworkState;
use serde_json::{Value, json};

use crate::ignition::{CONNECTIONS, drop_nulls, file};
use crate::keyfiles::{link_state, render};
use crate::yaml::yaml;
use crate::{Keyfile, TemplateError};

/// Where documents lie, by the host's short name.
const NMSTATE: &str = "/etc/nmstate/openshift";
/// How `configure-ovs.sh` ranks the default route of `br-ex`. Source: openshift/machine-config-operator,
/// `templates/common/_base/files/configure-ovs-network.yaml`.
const BR_EX_METRIC: u32 = 48;

/// A host of the role.
#[derive(Debug, Clone)]
pub struct NodeLink<'a> {
    /// Its name.
    pub hostname: &'a Hostname,
    /// How it is attached.
    pub link: &'a LinkPlan,
    /// Its address.
    pub address: IpAddr,
}

/// The MachineConfig of a role whose hosts are attached so.
///
/// # Errors
/// No hosts; hosts that need different ones; a link that nmstate refuses.
pub fn machine_config(kind: NodeKind, nodes: &[NodeLink<'_>]) -> Result<Manifest, TemplateError> {
    let name = format!("99-harmony-{kind}-network");
    let first = nodes.first().ok_or_else(|| TemplateError::value("machine config", &name, "is for no host"))?;
    let are_static = nodes.iter().any(|node| node.link.addressing != Addressing::Dhcp);
    let files = if are_static {
        nodes.iter().map(document).collect::<Result<Vec<_>, _>>()?
    } else {
        let shapes: BTreeSet<String> =
            nodes.iter().map(|node| by_name(node.link).map(|state| state.to_string())).collect::<Result<_, _>>()?;
        if shapes.len() > 1 {
            let hosts = nodes.iter().map(|node| node.hostname.short()).collect::<Vec<_>>().join(", ");
            return Err(TemplateError::value(
                "bond.persist",
                &hosts,
                "have NICs of different names, which one MachineConfig cannot serve: say `persist = \"ignition\"`",
            ));
        }
        let keyfiles = render(&first.link.name, &by_name(first.link)?)?;
        keyfiles
            .iter()
            .map(|Keyfile { name, contents }| file(format!("{CONNECTIONS}/{name}"), 0o600, contents))
            .collect()
    };
    let text = yaml(&name, &manifest(kind, &name, files)?)?;
    Ok(Manifest { path: format!("openshift/{name}.yaml"), text })
}

fn manifest(kind: NodeKind, name: &str, files: Vec<File>) -> Result<Value, TemplateError> {
    let config = Config { storage: Some(Storage { files: Some(files), ..Storage::default() }), ..Config::default() };
    let failed = |source: serde_json::Error| TemplateError::Yaml { document: name.to_owned(), source: source.into() };
    let mut config = serde_json::to_value(config).map_err(failed)?;
    drop_nulls(&mut config);
    Ok(json!({
        "apiVersion": "machineconfiguration.openshift.io/v1",
        "kind": "MachineConfig",
        "metadata": {"labels": {"machineconfiguration.openshift.io/role": kind.as_str()}, "name": name},
        "spec": {"config": config},
    }))
}

/// A link as any host with NICs of these names could have it: without MACs, and by DHCP.
fn by_name(link: &LinkPlan) -> Result<Value, TemplateError> {
    let mut state = link_state(link, IpAddr::from([0, 0, 0, 0]))?;
    for interface in state["interfaces"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        interface.remove("mac-address");
        interface.remove("identifier");
    }
    Ok(state)
}

fn document(node: &NodeLink<'_>) -> Result<File, TemplateError> {
    Ok(file(format!("{NMSTATE}/{}.yml", node.hostname.short()), 0o644, &br_ex_document(node)?))
}

/// [`link_state`] as NMState reads it from a file.
///
/// # Errors
/// As for that.
pub fn link_document(node: &NodeLink<'_>) -> Result<String, TemplateError> {
    yaml(node.hostname.as_str(), &link_state(node.link, node.address)?)
}

/// [`br_ex_state`] as NMState reads it from a file.
///
/// # Errors
/// As for that.
pub fn br_ex_document(node: &NodeLink<'_>) -> Result<String, TemplateError> {
    yaml(node.hostname.as_str(), &br_ex_state(node.link, node.address)?)
}

/// A host's network as NMState has it, with the bridge that OpenShift's network runs over.
///
/// # Errors
/// A name that is no interface name, a link without members, or what nmstate refuses.
pub fn br_ex_state(link: &LinkPlan, address: IpAddr) -> Result<Value, TemplateError> {
    let mut state = link_state(link, address)?;
    let (port, off) = (link.interface(), json!({"enabled": false}));
    let mut bridge = json!({
        "name": "br-ex", "type": "ovs-interface", "state": "up", "copy-mac-from": port, "ipv4": off, "ipv6": off,
    });
    for interface in
        state["interfaces"].as_array_mut().into_iter().flatten().filter(|interface| interface["name"] == *port)
    {
        for family in ["ipv4", "ipv6"] {
            bridge[family] = std::mem::replace(&mut interface[family], off.clone());
            if bridge[family]["dhcp"] == true {
                bridge[family]["auto-route-metric"] = json!(BR_EX_METRIC);
            }
        }
    }
    if let Some(interfaces) = state["interfaces"].as_array_mut() {
        interfaces.push(json!({
            "name": "br-ex", "type": "ovs-bridge", "state": "up", "ipv4": off, "ipv6": off,
            "bridge": {"options": {"mcast-snooping-enable": true}, "port": [{"name": port}, {"name": "br-ex"}]},
        }));
        interfaces.push(bridge);
    }
    for route in state["routes"]["config"].as_array_mut().into_iter().flatten() {
        route["next-hop-interface"] = json!("br-ex");
        route["metric"] = json!(BR_EX_METRIC);
    }
    if state["routes"].is_null() {
        state.as_object_mut().map(|state| state.remove("routes"));
    }
    NetworkState::new_from_json(&state.to_string())
        .map_err(|source| TemplateError::Keyfiles { bond: link.name.clone(), source })?;
    Ok(state)
}
