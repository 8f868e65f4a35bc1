//! What a machine's life means to its cluster: its bootstrap or kubelet starts and stops; and what happens there by
//! itself comes into the world's log in its time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use harmony_core::cluster::{ClusterName, NodeKind};
use sha2::{Digest, Sha256};

use super::{Brought, Member};
use crate::boot_server::hex;
use crate::cluster::{ClusterFault, ClusterState, Kubelet, MachineConfigReply, Server};
use crate::machine::Running;
use crate::wire::kubernetes::ClusterAccess;
use crate::world::{Shared, State, World};

impl State {
    /// The member that a system is which brings this, of a cluster that the world's installer made; or of one that another
    /// installer made, which is known from what that laid on its bootstrap. None if there is no such.
    pub(crate) fn member(&mut self, kind: NodeKind, brought: &Brought, now: Duration) -> Option<Member> {
        if kind == NodeKind::Bootstrap && self.services.installer.of_authority(&brought.authorities).is_none() {
            self.adopt(brought, now);
        }
        let (cluster, generation) = self.services.installer.of_authority(&brought.authorities)?;
        Some(Member { cluster, generation, kind, has_run: false })
    }

    /// A system that is part of a cluster is up on a machine.
    pub(crate) fn member_starts(&mut self, id: usize, disk: usize, member: &Member, address: IpAddr, now: Duration) {
        let Some(system) = &mut self.machines[id].disks[disk].system else { return };
        if let Some(known) = &mut system.member {
            known.has_run = true;
        }
        let fqdn = system.hostname.clone();
        let is_late = !member.has_run && self.has_expired(member, now);
        if member.kind == NodeKind::Bootstrap {
            self.faults.meets_bootstrap();
        }
        let Some(cluster) = self.services.installer.of_mut(member) else { return };
        match member.kind {
            NodeKind::Bootstrap => cluster.state.bootstrap_started(now),
            kind if !member.has_run => {
                if is_late {
                    cluster.state.inject(now, ClusterFault::CertificatesExpired);
                }
                cluster.state.kubelet(now, Kubelet { fqdn, kind, addresses: vec![address], has_order: true });
            }
            _ => cluster.state.node_restarted(now, &fqdn),
        }
        self.services.changed.notify_one();
    }

    /// Whatever runs on a machine stops.
    pub(crate) fn member_stops(&mut self, id: usize, now: Duration) {
        let Some(member) = self.running_member(id) else { return };
        let fqdn = self.machines[id].system().map(|system| system.hostname.clone()).unwrap_or_default();
        let Some(cluster) = self.services.installer.of_mut(&member) else { return };
        match member.kind {
            NodeKind::Bootstrap => cluster.state.bootstrap_stopped(now),
            NodeKind::Master | NodeKind::Worker => cluster.state.node_stopped(now, &fqdn),
        }
        self.services.changed.notify_one();
    }

    /// Lets happen in all clusters what is due. When something happens next.
    pub(super) fn advance_clusters(&mut self, now: Duration) -> Option<Duration> {
        let (mut next, mut notes) = (None, Vec::new());
        let Self { services, faults, .. } = self;
        for made in services.installer.all_mut() {
            if made.state.bootstrap_is_complete(now) {
                faults.intrude(&mut made.state, now);
            }
            let at = made.state.next_change(now);
            next = [next, at].into_iter().flatten().min();
            let name = &made.state.spec().name.clone();
            notes.extend(made.state.take_notes().into_iter().map(|(_, text)| format!("cluster {name}: {text}")));
        }
        notes.iter().for_each(|line| self.note(now, line));
        next
    }

    /// Does something in every cluster. Whether there is one.
    pub(crate) fn each_cluster(&mut self, mut change: impl FnMut(&mut ClusterState)) -> bool {
        let mut is_any = false;
        for made in self.services.installer.all_mut() {
            change(&mut made.state);
            is_any = true;
        }
        self.services.changed.notify_one();
        is_any
    }

    /// Whether something that is part of a cluster runs on a machine.
    pub(super) fn runs_member(&self, id: usize) -> bool {
        matches!(self.machines[id].running, Running::System { .. }) && self.running_member(id).is_some()
    }
}

/// A cluster in a world, for a front that serves its API.
#[derive(Clone)]
pub struct WorldCluster {
    shared: Arc<Shared>,
    member: Member,
}

impl WorldCluster {
    /// The cluster of a member.
    pub(crate) fn new(shared: &Arc<Shared>, member: Member) -> Self {
        Self { shared: Arc::clone(shared), member }
    }
}

impl ClusterAccess for WorldCluster {
    fn with(&self, work: &mut dyn FnMut(&mut ClusterState, Duration)) {
        let now = self.shared.now();
        self.shared.with(|state| {
            if let Some(made) = state.services.installer.of_mut(&self.member) {
                work(&mut made.state, now);
                state.services.changed.notify_one();
            }
        });
    }

    fn machine_config(&self, server: &Server, pool: &str) -> Option<MachineConfigReply> {
        let now = self.shared.now();
        self.shared.with(|state| state.pool_config(&self.member, server, pool, now))
    }
}

impl World {
    /// The latest cluster of a name, for a front that serves its API. None if nothing was made for one.
    #[must_use]
    pub fn cluster(&self, cluster: &ClusterName) -> Option<WorldCluster> {
        let generation =
            self.shared.with(|state| Some(state.services.installer.latest(cluster)?.artefacts.generation))?;
        let member = Member { cluster: cluster.clone(), generation, kind: NodeKind::Bootstrap, has_run: true };
        Some(WorldCluster::new(&self.shared, member))
    }

    /// Puts a file among those that the world's own boot server merges answer files onto. Its SHA-256, in hex.
    pub fn put_private_file(&self, name: &str, contents: Vec<u8>) -> String {
        let digest = hex(&Sha256::digest(&contents));
        self.shared.with(|state| state.services.private.put(name, contents.into()));
        digest
    }

    /// What the site's services are set to, and how far its clusters are, one line each: names, balanced servers, files
    /// that were fetched, nodes. Of several clusters of a name the latest alone.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        let now = self.now();
        self.shared.with(|state| {
            let services = &mut state.services;
            let mut lines: Vec<String> = services.dns.lines().chain(services.balancer.lines()).collect();
            lines.extend(services.assets.all().0.into_keys().map(|path| format!("boot file {path}")));
            for made in services.installer.all_latest_mut() {
                let cluster = format!("cluster {}", made.state.spec().name);
                lines.push(format!("{cluster} of input {}", made.artefacts.input));
                let nodes = made.state.nodes(now);
                lines.extend(
                    nodes.iter().map(|node| format!("{cluster}: {} {:?} {:?}", node.name, node.ready, node.roles)),
                );
                lines.push(format!("{cluster}: installed {}", made.state.install_is_complete(now)));
            }
            lines
        })
    }

    /// Looks at a cluster as it is in itself, whether or not anybody reaches its API, or meddles with it. None if nothing
    /// was made for one of that name.
    pub fn with_cluster<T>(
        &self,
        cluster: &ClusterName,
        look: impl FnOnce(&mut ClusterState, Duration) -> T,
    ) -> Option<T> {
        let now = self.now();
        self.shared.with(|state| {
            let made = state.services.installer.latest_mut(cluster)?;
            let before = made.state.next_change(now);
            let seen = look(&mut made.state, now);
            if made.state.next_change(now) != before {
                state.services.changed.notify_one();
            }
            Some(seen)
        })
    }
}
