//! Whether a certificate request may be approved. Pure.
//!
//! Whoever holds the bootstrap token (which every machine config holds) can ask for the certificate of any node, so a
//! request is approved only where every part of it belongs to one host that Harmony was ordered to install. All else is
//! left to a person, with what differs.
//! Source: Kubernetes, "Certificate Signing Requests", "Kubernetes signers"; OpenShift, "Approving the certificate signing
//! requests for your machines".

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use super::NodeKind;
use crate::capability::{CertificateRequest, CsrState, Node};
use crate::net::Hostname;

/// Signs what kubelets show to the API.
pub const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Signs what kubelets show to whoever asks them.
pub const SERVING_SIGNER: &str = "kubernetes.io/kubelet-serving";
/// Asks for the first certificate of every node.
pub const BOOTSTRAPPER: &str = "system:serviceaccount:openshift-machine-config-operator:node-bootstrapper";
const BOOTSTRAPPER_GROUPS: [&str; 3] =
    ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:openshift-machine-config-operator"];
const NODE_GROUP: &str = "system:nodes";
const NODE_GROUPS: [&str; 2] = ["system:authenticated", NODE_GROUP];
const NODE_PREFIX: &str = "system:node:";

/// A pending request that is older is not from this installation: the cluster itself removes them after that time.
/// Source: Kubernetes, `pkg/controller/certificates/cleaner`, `pendingExpiration`.
const TOO_OLD: SignedDuration = SignedDuration::from_hours(24);
/// How far the clocks of cluster and Harmony may be apart.
const SKEW: SignedDuration = SignedDuration::from_mins(10);

/// A host that was ordered to become a node. Only those belong here whose disk was written by their order: before that, it
/// is not theirs to ask, and whoever holds the bootstrap token could take their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedNode {
    /// Its name in full.
    pub hostname: Hostname,
    /// What it is; the bootstrap never becomes a node.
    pub kind: NodeKind,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// When it was ordered: nothing before then is its own.
    pub ordered_at: Timestamp,
}

/// What is to be done with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CsrDecision {
    /// It is that of this host.
    Approve {
        /// The host's name in full.
        hostname: Hostname,
    },
    /// A person must look at it.
    Leave {
        /// What differs.
        reason: String,
    },
}

/// Decides on one request.
#[must_use]
pub fn decide(request: &CertificateRequest, expected: &[ExpectedNode], nodes: &[Node], now: Timestamp) -> CsrDecision {
    match judge(request, expected, nodes, now) {
        Ok(node) => CsrDecision::Approve { hostname: node.hostname.clone() },
        Err(reason) => CsrDecision::Leave { reason },
    }
}

fn judge<'a>(
    request: &CertificateRequest,
    expected: &'a [ExpectedNode],
    nodes: &[Node],
    now: Timestamp,
) -> Result<&'a ExpectedNode, String> {
    match request.state {
        CsrState::Pending => {}
        CsrState::Approved => return Err("it was approved already".to_owned()),
        CsrState::Denied => return Err("it was denied".to_owned()),
    }
    let node = whose(request, expected)?;
    age(request, node, now)?;
    if request.organisations != [NODE_GROUP] {
        return Err(format!("its organisations are {}, not {NODE_GROUP} alone", list(&request.organisations)));
    }
    if !request.others.is_empty() {
        return Err(format!("it asks for more than a node has: {}", list(&request.others)));
    }
    match request.signer.as_str() {
        CLIENT_SIGNER => client(request, nodes)?,
        SERVING_SIGNER => serving(request, node)?,
        other => return Err(format!("its signer is {}, which no node asks", quoted(other))),
    }
    Ok(node)
}

/// The host whose name it bears.
fn whose<'a>(request: &CertificateRequest, expected: &'a [ExpectedNode]) -> Result<&'a ExpectedNode, String> {
    let Some(name) = request.common_name.strip_prefix(NODE_PREFIX) else {
        return Err(format!("its common name {} is not that of a node", quoted(&request.common_name)));
    };
    let mut with_name = expected.iter().filter(|node| node.hostname.as_str() == name);
    match (with_name.next(), with_name.next()) {
        (Some(node), None) if node.kind == NodeKind::Bootstrap => {
            Err(format!("{} is the bootstrap, which never becomes a node", node.hostname))
        }
        (Some(node), None) => Ok(node),
        (Some(_), Some(_)) => Err(format!("several hosts with an order are called {}", quoted(name))),
        (None, _) => Err(format!("no host with an order is called {}", quoted(name))),
    }
}

fn age(request: &CertificateRequest, node: &ExpectedNode, now: Timestamp) -> Result<(), String> {
    let Some(made_at) = request.made_at else { return Ok(()) };
    if node.ordered_at.duration_since(made_at) > SKEW {
        return Err(format!("it was made at {made_at}, before {} was ordered at {}", node.hostname, node.ordered_at));
    }
    if made_at.duration_since(now) > SKEW {
        return Err(format!("it was made at {made_at}, which is yet to come: a clock is wrong"));
    }
    if now.duration_since(made_at) > TOO_OLD {
        return Err(format!("it was made at {made_at}, more than a day ago"));
    }
    Ok(())
}

fn client(request: &CertificateRequest, nodes: &[Node]) -> Result<(), String> {
    if request.user == BOOTSTRAPPER {
        only_groups(request, &BOOTSTRAPPER_GROUPS)?;
        // The token is on every node: whoever has one could become any other that is there.
        let name = request.common_name.strip_prefix(NODE_PREFIX).unwrap_or_default();
        if nodes.iter().any(|node| node.name == name) {
            return Err(format!(
                "the node {name} is there already; if its host was installed anew, delete the node first"
            ));
        }
    } else if request.user == request.common_name {
        of_a_node(request)?;
    } else {
        return Err(format!(
            "{} asks for it, neither the node itself nor the node bootstrapper",
            quoted(&request.user)
        ));
    }
    if !request.dns_names.is_empty() || !request.addresses.is_empty() {
        return Err("a client's certificate has no names or addresses beside its common name".to_owned());
    }
    usages(request, "client auth")
}

fn serving(request: &CertificateRequest, node: &ExpectedNode) -> Result<(), String> {
    if request.user != request.common_name {
        return Err(format!("{} asks for it, not the node itself", quoted(&request.user)));
    }
    of_a_node(request)?;
    if let Some(name) = request.dns_names.iter().find(|name| *name != node.hostname.as_str()) {
        return Err(format!("its DNS name {} is not {}", quoted(name), node.hostname));
    }
    if let Some(address) = request.addresses.iter().find(|address| !node.addresses.contains(address)) {
        let own = node.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(format!("its address {address} is not one of {} ({own})", node.hostname));
    }
    if request.dns_names.is_empty() && request.addresses.is_empty() {
        return Err("it names neither a DNS name nor an address".to_owned());
    }
    usages(request, "server auth")
}

fn of_a_node(request: &CertificateRequest) -> Result<(), String> {
    only_groups(request, &NODE_GROUPS)?;
    if request.groups.iter().any(|group| group == NODE_GROUP) {
        Ok(())
    } else {
        Err(format!("{} is not in the group {NODE_GROUP}", quoted(&request.user)))
    }
}

fn only_groups(request: &CertificateRequest, usual: &[&str]) -> Result<(), String> {
    match request.groups.iter().find(|group| !usual.contains(&group.as_str())) {
        None => Ok(()),
        Some(group) => Err(format!("{} is in the group {}, which is unusual", quoted(&request.user), quoted(group))),
    }
}

/// A node's usages; `key encipherment` goes with RSA keys only.
fn usages(request: &CertificateRequest, purpose: &str) -> Result<(), String> {
    let mut usages: Vec<&str> = request.usages.iter().map(String::as_str).collect();
    usages.sort_unstable();
    let (mut bare, mut rsa) = (["digital signature", purpose], ["digital signature", "key encipherment", purpose]);
    bare.sort_unstable();
    rsa.sort_unstable();
    if usages == bare || usages == rsa {
        Ok(())
    } else {
        Err(format!("its usages are {}, not those of a node", list(&request.usages)))
    }
}

/// A stranger's text, so that it cannot pretend to be anything but a text.
fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(80).flat_map(char::escape_default).collect();
    let cut = if text.chars().nth(80).is_some() { "…" } else { "" };
    format!("`{shown}{cut}`")
}

fn list(texts: &[String]) -> String {
    let shown = texts.iter().take(8).map(|text| quoted(text)).collect::<Vec<_>>().join(", ");
    match texts.len() {
        0 => "none".to_owned(),
        1..=8 => shown,
        many => format!("{shown} and {} more", many - 8),
    }
}

#[cfg(test)]
mod tests;
