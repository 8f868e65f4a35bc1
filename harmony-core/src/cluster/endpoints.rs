//! The names and the balanced services of a cluster, for each phase of its installation. Pure.
//!
//! Source: OpenShift, "User-provisioned DNS requirements" and "Load balancing requirements for user-provisioned
//! infrastructure".

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{ClusterDescription, MastersSchedulable, NodeKind};
use crate::capability::{Balance, DnsRecord, HealthCheck, LbServer, LbService};
use crate::host::Role;
use crate::net::{DnsName, NameError};

/// Where the API answers.
pub const API_PORT: u16 = 6443;
/// Where the machine config server answers.
pub const MACHINE_CONFIG_PORT: u16 = 22623;
/// Where a router says whether it is ready.
const ROUTER_HEALTH_PORT: u16 = 1936;
/// Seconds between two looks at a server.
const INTERVAL_S: u32 = 5;

/// How far a cluster has come, as far as names and services are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterPhase {
    /// The bootstrap starts the control plane.
    Bootstrapping,
    /// The masters run it, workers join.
    WorkersJoin,
    /// Routers move from masters to workers.
    IngressMoves,
    /// All is where it stays.
    Settled,
}

/// A node's place in the network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeAddress {
    /// Its role, the first label of its name.
    pub role: Role,
    /// What it is.
    pub kind: NodeKind,
    /// Its address.
    pub address: IpAddr,
}

/// The DNS records of a cluster, sorted by name. The bootstrap has one for as long as it bootstraps.
///
/// # Errors
/// A name that DNS does not take.
pub fn dns_records(
    description: &ClusterDescription,
    nodes: &[NodeAddress],
    phase: ClusterPhase,
) -> Result<Vec<DnsRecord>, NameError> {
    let endpoints = &description.endpoints;
    let record = |label: &str, address: IpAddr, reverse: bool| {
        Ok::<_, NameError>(DnsRecord { name: description.name_below(label)?, address, reverse })
    };
    let mut records = vec![
        record("api", endpoints.api, true)?,
        record("api-int", endpoints.internal(), true)?,
        record("*.apps", endpoints.ingress, false)?,
    ];
    for node in present(nodes, phase) {
        records.push(record(node.role.as_str(), node.address, true)?);
    }
    records.sort();
    Ok(records)
}

/// The record of the bootstrap, which is removed when it has left.
///
/// # Errors
/// A name that DNS does not take.
pub fn bootstrap_name(description: &ClusterDescription, bootstrap: &Role) -> Result<DnsName, NameError> {
    description.name_below(bootstrap.as_str())
}

/// The balanced services of a cluster, sorted by name: `NAME-api`, `NAME-ingress-http`, `NAME-ingress-https`,
/// `NAME-machine-config`.
///
/// # Errors
/// A name that is longer than DNS allows.
pub fn services(
    description: &ClusterDescription,
    nodes: &[NodeAddress],
    phase: ClusterPhase,
) -> Result<Vec<LbService>, NameError> {
    let (cluster, endpoints) = (&description.name, &description.endpoints);
    let https = |path: &str| HealthCheck::Https { path: path.to_owned() };
    let router = || HealthCheck::Http { path: "/healthz/ready".to_owned(), port: ROUTER_HEALTH_PORT };
    let service = |name: &str, listen: &BTreeSet<IpAddr>, port: u16, check, members: &[&NodeAddress]| {
        let balance = if matches!(check, HealthCheck::Http { .. }) { Balance::Source } else { Balance::RoundRobin };
        Ok::<_, NameError>(LbService {
            name: format!("{cluster}-{name}").parse()?,
            listen: listen.iter().map(|address| SocketAddr::new(*address, port)).collect(),
            balance,
            check,
            interval_s: INTERVAL_S,
            servers: servers(members, port),
        })
    };
    let control: Vec<&NodeAddress> = present(nodes, phase).filter(|node| node.kind != NodeKind::Worker).collect();
    let ingress = ingress_members(description, nodes, phase);
    let (api, internal, apps) = (
        BTreeSet::from([endpoints.api, endpoints.internal()]),
        BTreeSet::from([endpoints.internal()]),
        BTreeSet::from([endpoints.ingress]),
    );
    Ok(vec![
        service("api", &api, API_PORT, https("/readyz"), &control)?,
        service("ingress-http", &apps, 80, router(), &ingress)?,
        service("ingress-https", &apps, 443, router(), &ingress)?,
        service("machine-config", &internal, MACHINE_CONFIG_PORT, https("/healthz"), &control)?,
    ])
}

/// Nodes that routers may run on. The health check finds those that they do run on.
#[must_use]
pub fn ingress_members<'a>(
    description: &ClusterDescription,
    nodes: &'a [NodeAddress],
    phase: ClusterPhase,
) -> Vec<&'a NodeAddress> {
    let has_workers = nodes.iter().any(|node| node.kind == NodeKind::Worker);
    let moves = phase == ClusterPhase::IngressMoves;
    let (masters, workers) = match description.masters_schedulable {
        _ if !has_workers => (true, false),
        MastersSchedulable::Never => (false, true),
        MastersSchedulable::UntilWorkers => (phase <= ClusterPhase::IngressMoves, phase >= ClusterPhase::IngressMoves),
        MastersSchedulable::Always => (true, moves || phase == ClusterPhase::Settled),
    };
    let is_one = |node: &&NodeAddress| match node.kind {
        NodeKind::Bootstrap => false,
        NodeKind::Master => masters,
        NodeKind::Worker => workers,
    };
    nodes.iter().filter(is_one).collect()
}

fn present(nodes: &[NodeAddress], phase: ClusterPhase) -> impl Iterator<Item = &NodeAddress> {
    nodes.iter().filter(move |node| node.kind != NodeKind::Bootstrap || phase == ClusterPhase::Bootstrapping)
}

fn servers(members: &[&NodeAddress], port: u16) -> Vec<LbServer> {
    let server = |node: &&NodeAddress| LbServer {
        name: node.role.hostname(),
        address: SocketAddr::new(node.address, port),
        // The masters win as soon as they answer.
        backup: node.kind == NodeKind::Bootstrap,
    };
    let mut servers: Vec<LbServer> = members.iter().map(server).collect();
    servers.sort();
    servers
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cluster, parse};
    use super::*;

    fn nodes() -> Vec<NodeAddress> {
        let node = |role: &str, kind, last| NodeAddress { role: parse(role), kind, address: [10, 10, 0, last].into() };
        vec![
            node("bootstrap", NodeKind::Bootstrap, 10),
            node("master-0", NodeKind::Master, 11),
            node("master-1", NodeKind::Master, 12),
            node("master-2", NodeKind::Master, 13),
            node("worker-0", NodeKind::Worker, 21),
            node("worker-1", NodeKind::Worker, 22),
        ]
    }

    const ALL: [ClusterPhase; 4] =
        [ClusterPhase::Bootstrapping, ClusterPhase::WorkersJoin, ClusterPhase::IngressMoves, ClusterPhase::Settled];

    #[test]
    fn names_and_services_in_every_phase() {
        let cluster = cluster();
        let mut text = String::new();
        for phase in ALL {
            text += &format!("== {phase:?}\n");
            for record in dns_records(&cluster, &nodes(), phase).expect("valid") {
                let back = if record.reverse { " and back" } else { "" };
                text += &format!("{} {}{back}\n", record.name, record.address);
            }
            for service in services(&cluster, &nodes(), phase).expect("valid") {
                let servers: Vec<_> = service
                    .servers
                    .iter()
                    .map(|server| format!("{}{}", server.name, if server.backup { " (backup)" } else { "" }))
                    .collect();
                let (name, listen, balance, check) = (service.name, service.listen, service.balance, service.check);
                text += &format!("{name} {listen:?} {balance:?} {check:?}: {}\n", servers.join(", "));
            }
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn routers_are_looked_for_where_they_may_run() {
        let members = |schedulable, phase, nodes: &[NodeAddress]| {
            let mut cluster = cluster();
            cluster.masters_schedulable = schedulable;
            let members = ingress_members(&cluster, nodes, phase);
            let has = |kind| members.iter().any(|node| node.kind == kind);
            assert!(!has(NodeKind::Bootstrap));
            (has(NodeKind::Master), has(NodeKind::Worker))
        };
        use MastersSchedulable as S;
        for phase in ALL {
            assert_eq!(members(S::Never, phase, &nodes()), (false, true), "{phase:?}");
            assert_eq!(members(S::UntilWorkers, phase, &nodes()[..4]), (true, false), "without workers, {phase:?}");
        }
        let until = ALL.map(|phase| members(S::UntilWorkers, phase, &nodes()));
        assert_eq!(until, [(true, false), (true, false), (true, true), (false, true)]);
        let always = ALL.map(|phase| members(S::Always, phase, &nodes()));
        assert_eq!(always, [(true, false), (true, false), (true, true), (true, true)]);
    }

    #[test]
    fn machine_configs_are_served_on_the_internal_address_only() {
        let mut cluster = cluster();
        cluster.endpoints.api_int = Some(parse("10.10.0.7"));
        let services = services(&cluster, &nodes(), ClusterPhase::Bootstrapping).expect("valid");
        let listen =
            |name: &str| services.iter().find(|service| service.name.as_str() == name).expect(name).listen.clone();
        assert_eq!(listen("ocp4-machine-config"), [parse("10.10.0.7:22623")]);
        assert_eq!(listen("ocp4-api"), [parse("10.10.0.5:6443"), parse("10.10.0.7:6443")]);
    }
}
