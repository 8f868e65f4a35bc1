//! Machines on their way into the cluster, and what becomes of them there.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use harmony_core::capability::{Node, Pool};
use harmony_core::cluster::NodeKind;
use serde::{Deserialize, Serialize};

use super::ClusterState;
use super::clockwork::Change;
use super::faults::ClusterFault;

/// The kubelet of a system that was just installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Kubelet {
    /// The machine's name in full: the node's.
    pub fqdn: String,
    /// Master or worker; a bootstrap's never joins.
    pub kind: NodeKind,
    /// The machine's addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether an order made this system: others must not be let in.
    pub has_order: bool,
}

/// A machine that wants to be a node.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) kind: NodeKind,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) has_order: bool,
    /// Counts its starts: what an earlier one began is over.
    pub(super) life: u32,
    /// It runs.
    pub(super) is_up: bool,
    pub(super) is_etcd_member: bool,
    pub(super) has_client: bool,
    pub(super) has_serving: bool,
    /// Its node is in the API.
    pub(super) standing: Option<Standing>,
}

/// What its node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Has no network yet.
    NotReady,
    /// Is ready.
    Ready,
    /// Says nothing any more.
    Unknown,
}

impl Member {
    pub(super) fn is_ready(&self) -> bool {
        self.standing == Some(Standing::Ready)
    }
}

impl ClusterState {
    /// A kubelet starts for the first time, on a system that was just installed: it has no certificate. One of that name
    /// that was there before is gone, but its node stays.
    pub fn kubelet(&mut self, now: Duration, kubelet: Kubelet) {
        self.advance(now);
        let Kubelet { fqdn, kind, addresses, has_order } = kubelet;
        if kind == NodeKind::Bootstrap {
            return;
        }
        let before = self.members.remove(&fqdn);
        let life = before.as_ref().map_or(1, |before| before.life + 1);
        let standing = before.as_ref().and_then(|before| before.standing).map(|_| Standing::Unknown);
        let member = Member {
            kind,
            addresses,
            has_order,
            life,
            is_up: true,
            // A master that was made anew has no data: somebody would have to make it a member again.
            is_etcd_member: false,
            has_client: false,
            has_serving: false,
            standing,
        };
        self.members.insert(fqdn.clone(), member);
        self.note(format!("{fqdn}: kubelet starts"));
        let time = self.about(self.spec.timing.kubelet);
        self.clock.after(time, Change::AsksClient { node: fqdn.clone(), life });
        self.check_quorum(&fqdn);
        self.settle();
    }

    /// A machine has been switched off, or restarts.
    pub fn node_stopped(&mut self, now: Duration, fqdn: &str) {
        self.advance(now);
        let Some(member) = self.members.get_mut(fqdn).filter(|member| member.is_up) else { return };
        (member.is_up, member.life) = (false, member.life + 1);
        let (node, life) = (fqdn.to_owned(), member.life);
        let (grace, eviction) = (self.spec.timing.grace, self.spec.timing.eviction);
        self.clock.after(grace, Change::Lost { node: node.clone(), life });
        self.clock.after(grace + eviction, Change::Evicted { node, life });
        self.note(format!("{fqdn}: is off"));
        self.check_quorum(fqdn);
        self.settle();
    }

    /// A machine that was stopped runs again, with the system and the certificates that it had.
    pub fn node_restarted(&mut self, now: Duration, fqdn: &str) {
        self.advance(now);
        let Some(member) = self.members.get_mut(fqdn).filter(|member| !member.is_up) else { return };
        member.life += 1;
        let (node, life) = (fqdn.to_owned(), member.life);
        let time = self.about(self.spec.timing.kubelet);
        self.clock.after(time, Change::Runs { node, life });
        self.note(format!("{fqdn}: kubelet starts again"));
        self.settle();
    }

    /// The member, if it still lives the life in which something began.
    pub(super) fn living(&mut self, node: &str, life: u32) -> Option<&mut Member> {
        self.members.get_mut(node).filter(|member| member.life == life)
    }

    pub(super) fn runs(&mut self, node: &str, life: u32) {
        let Some(member) = self.living(node, life) else { return };
        member.is_up = true;
        let (has_client, has_serving) = (member.has_client, member.has_serving);
        let (node, network) = (node.to_owned(), self.spec.timing.node_network);
        if !has_client {
            return self.clock.after(Duration::ZERO, Change::AsksClient { node, life });
        }
        if !has_serving {
            self.clock.after(Duration::ZERO, Change::AsksServing { node: node.clone(), life });
        }
        let time = self.about(network);
        self.clock.after(time, Change::Ready { node, life });
    }

    /// Why a kubelet cannot ask, if it cannot.
    fn hindrance(&self, node: &str) -> Option<&'static str> {
        if self.faults.contains(&ClusterFault::KubeletHangs(node.to_owned())) {
            Some("hangs")
        } else if self.faults.contains(&ClusterFault::CertificatesExpired) {
            Some("is refused: x509: certificate has expired or is not yet valid")
        } else {
            None
        }
    }

    /// Kubelets that run and have not been heard of.
    pub(super) fn unheard(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.members.iter().filter(|(name, member)| {
            member.is_up
                && !member.has_client
                && !self.requests.values().any(|request| request.is_of(name, member.life))
        })
    }

    pub(super) fn asks_client(&mut self, node: &str, life: u32) {
        if self.living(node, life).is_none_or(|member| member.has_client) {
            return;
        }
        if let Some(hindrance) = self.hindrance(node) {
            return self.note(format!("{node}: kubelet {hindrance}"));
        }
        self.request_client(node, life);
        let again = Change::AsksClient { node: node.to_owned(), life };
        self.clock.after(self.spec.timing.ask_again, again);
    }

    /// With its client certificate a kubelet registers its node, and asks for its serving certificate.
    pub(super) fn joins(&mut self, node: &str, life: u32) {
        let Some(member) = self.living(node, life).filter(|member| !member.has_client) else { return };
        member.has_client = true;
        member.standing = Some(Standing::NotReady);
        self.note(format!("{node}: node registered"));
        self.asks_serving(node, life);
        let (time, node) = (self.about(self.spec.timing.node_network), node.to_owned());
        self.clock.after(time, Change::Ready { node, life });
    }

    pub(super) fn asks_serving(&mut self, node: &str, life: u32) {
        if self.living(node, life).is_some_and(|member| !member.has_serving) {
            self.request_serving(node, life);
            let again = Change::AsksServing { node: node.to_owned(), life };
            self.clock.after(self.spec.timing.ask_again, again);
        }
    }

    pub(super) fn serves(&mut self, node: &str, life: u32) {
        if let Some(member) = self.living(node, life) {
            member.has_serving = true;
        }
    }

    /// A node becomes ready without its serving certificate, as a real one does: what waits for that is the operator
    /// that reads its kubelet.
    pub(super) fn becomes_ready(&mut self, node: &str, life: u32) {
        if let Some(member) = self.living(node, life).filter(|member| member.is_up) {
            member.standing = Some(Standing::Ready);
            self.note(format!("{node}: node ready"));
        }
    }

    pub(super) fn is_lost(&mut self, node: &str, life: u32) {
        if let Some(member) = self.living(node, life).filter(|member| !member.is_up && member.standing.is_some()) {
            member.standing = Some(Standing::Unknown);
            self.note(format!("{node}: node not ready"));
        }
    }

    pub(super) fn masters(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.kind == NodeKind::Master)
    }

    /// Whether pods may be placed on a member.
    pub(super) fn takes_pods(&self, member: &Member) -> bool {
        member.is_ready() && (member.kind == NodeKind::Worker || !self.control.is_tainted)
    }

    /// The nodes, sorted by name.
    pub fn nodes(&mut self, now: Duration) -> Vec<Node> {
        self.advance(now);
        let nodes = self.members.iter().filter_map(|(name, member)| Some((name, member, member.standing?)));
        nodes.map(|(name, member, standing)| self.node(name, member, standing)).collect()
    }

    fn node(&self, name: &str, member: &Member, standing: Standing) -> Node {
        let mut roles = BTreeSet::new();
        if member.kind == NodeKind::Master {
            roles.extend(["control-plane".to_owned(), "master".to_owned()]);
        }
        let takes_workloads = member.kind == NodeKind::Worker || !self.control.is_tainted;
        if takes_workloads {
            roles.insert("worker".to_owned());
        }
        let (ready, message) = match standing {
            Standing::Ready => (Some(true), None),
            Standing::Unknown => (None, Some("Kubelet stopped posting node status.")),
            Standing::NotReady => (
                Some(false),
                Some("container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady"),
            ),
        };
        let (addresses, message) = (member.addresses.clone(), message.map(str::to_owned));
        Node { name: name.to_owned(), ready, roles, addresses, schedulable: takes_workloads, message }
    }

    /// The machine config pools, sorted by name.
    pub fn pools(&mut self, now: Duration) -> Vec<Pool> {
        self.advance(now);
        let pool = |kind: NodeKind| {
            let nodes = || self.members.values().filter(|member| member.kind == kind && member.standing.is_some());
            let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            let (machines, ready) = (count(nodes().count()), count(nodes().filter(|node| node.is_ready()).count()));
            // Before its operator works, nobody says anything of a pool.
            let is_known = self.operator_works("machine-config");
            let updated = is_known.then_some(machines == ready);
            Pool { name: kind.to_string(), updated, degraded: is_known.then_some(false), machines, ready }
        };
        vec![pool(NodeKind::Master), pool(NodeKind::Worker)]
    }

    /// Why a machine is not a ready node, as its own console says; nothing, where it is one.
    pub fn console(&mut self, now: Duration, fqdn: &str) -> Option<String> {
        self.advance(now);
        let member = self.members.get(fqdn)?;
        if member.is_ready() || !member.is_up {
            return None;
        }
        let text = match (self.hindrance(fqdn), member.has_client) {
            (_, true) => "kubelet: Container runtime network not ready".to_owned(),
            (Some(hindrance), false) => format!("kubelet {hindrance}"),
            (None, false) if self.has_api() => "kubelet: waits for its certificate request to be approved".to_owned(),
            (None, false) => "kubelet: cannot reach the API".to_owned(),
        };
        Some(text)
    }
}
