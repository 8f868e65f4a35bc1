//! What happens when: the changes to come in their order, and what each leads to.
//!
//! A change that needs the API waits while there is none, and is carried out when there is one again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ClusterState;

/// A change to come. Those of a node carry the number of the kubelet's life that they belong to: a life that has ended
/// changes nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// The bootstrap answers.
    BootstrapServes { start: u32 },
    /// The bootstrap approves a request.
    Approval { request: String },
    /// A kubelet asks for its client certificate.
    AsksClient { node: String, life: u32 },
    /// A kubelet's node appears, and it asks for its serving certificate.
    Joins { node: String, life: u32 },
    /// A kubelet asks for its serving certificate once more.
    AsksServing { node: String, life: u32 },
    /// A kubelet uses its serving certificate.
    Serves { node: String, life: u32 },
    /// A machine that had stopped runs its static pods again.
    Runs { node: String, life: u32 },
    /// A node becomes ready.
    Ready { node: String, life: u32 },
    /// A silent node counts as not ready.
    Lost { node: String, life: u32 },
    /// The pods of a silent node are given up.
    Evicted { node: String, life: u32 },
    /// The masters' own control plane serves.
    ControlPlane,
    /// The bootstrap has done its work.
    Complete,
    /// An operator has done its work.
    Operator(&'static str),
    /// The cluster's version is installed.
    Installed,
    /// Labels and taints follow the scheduler's configuration.
    Relabel,
    /// A router is ready.
    Router { pod: u32 },
}

impl Change {
    /// Whether it is the API that tells of it or makes it.
    fn needs_api(&self) -> bool {
        !matches!(self, Self::BootstrapServes { .. } | Self::Runs { .. })
    }
}

/// The changes to come.
#[derive(Debug, Default)]
pub(super) struct Clockwork {
    now: Duration,
    made: u64,
    coming: BTreeMap<(Duration, u64), Change>,
    /// Due, but without an API.
    stalled: Vec<Change>,
}

impl Clockwork {
    /// The latest time that was heard of.
    pub(super) fn now(&self) -> Duration {
        self.now
    }

    /// Lets a change come after a while.
    pub(super) fn after(&mut self, time: Duration, change: Change) {
        self.made += 1;
        self.coming.insert((self.now.saturating_add(time), self.made), change);
    }

    fn next(&mut self, until: Duration) -> Option<Change> {
        let (at, _) = *self.coming.first_key_value()?.0;
        if at > until {
            return None;
        }
        self.now = self.now.max(at);
        self.coming.pop_first().map(|(_, change)| change)
    }
}

impl ClusterState {
    /// Lets everything happen that is due.
    pub(super) fn advance(&mut self, now: Duration) {
        while let Some(change) = self.clock.next(now) {
            if change.needs_api() && !self.has_api() {
                self.clock.stalled.push(change);
                continue;
            }
            self.carry_out(change);
            self.settle();
        }
        self.clock.now = self.clock.now.max(now);
    }

    /// When something changes next by itself; never, where nothing is under way.
    pub fn next_change(&mut self, now: Duration) -> Option<Duration> {
        self.advance(now);
        let mut coming = self.clock.coming.iter().filter(|(_, change)| !self.is_void(change));
        coming.next().map(|((at, _), _)| *at)
    }

    /// Whether a change to come will change nothing.
    fn is_void(&self, change: &Change) -> bool {
        let living = |node: &String, life: &u32| self.members.get(node).filter(|member| member.life == *life);
        match change {
            Change::AsksClient { node, life } | Change::Joins { node, life } => {
                living(node, life).is_none_or(|member| member.has_client)
            }
            Change::AsksServing { node, life } | Change::Serves { node, life } => {
                living(node, life).is_none_or(|member| member.has_serving)
            }
            Change::Runs { node, life }
            | Change::Ready { node, life }
            | Change::Lost { node, life }
            | Change::Evicted { node, life } => living(node, life).is_none(),
            Change::Approval { request } => !self.is_pending(request),
            _ => false,
        }
    }

    fn carry_out(&mut self, change: Change) {
        match change {
            Change::BootstrapServes { start } => self.bootstrap_serves(start),
            Change::Approval { request } => self.bootstrap_approves(&request),
            Change::AsksClient { node, life } => self.asks_client(&node, life),
            Change::Joins { node, life } => self.joins(&node, life),
            Change::AsksServing { node, life } => self.asks_serving(&node, life),
            Change::Serves { node, life } => self.serves(&node, life),
            Change::Runs { node, life } => self.runs(&node, life),
            Change::Ready { node, life } => self.becomes_ready(&node, life),
            Change::Lost { node, life } => self.is_lost(&node, life),
            Change::Evicted { node, life } => self.evict(&node, life),
            Change::ControlPlane => self.control_plane_serves(),
            Change::Complete => self.bootstrap_is_done(),
            Change::Operator(name) => self.operator_is_done(name),
            Change::Installed => self.version_is_installed(),
            Change::Relabel => self.relabel(),
            Change::Router { pod } => self.router_is_ready(pod),
        }
    }

    /// Starts whatever can start now. Called after everything that has changed something.
    pub(super) fn settle(&mut self) {
        if !self.has_api() {
            return;
        }
        for change in std::mem::take(&mut self.clock.stalled) {
            self.clock.after(Duration::ZERO, change);
        }
        self.settle_control();
        self.settle_routers();
        self.settle_operators();
    }

    /// About this long.
    pub(super) fn about(&mut self, time: Duration) -> Duration {
        self.random.about(time)
    }
}
