//! The routers: two pods, each on a node of its own that may run pods.

use std::time::Duration;

use super::ClusterState;
use super::clockwork::Change;

/// The annotation that lets a deployment make its pods anew. Source: `kubectl rollout restart`.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// A router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterPod {
    /// The pod's name.
    pub name: String,
    /// The node on which it is; nowhere, while no node may take it.
    pub node: Option<String>,
    /// Whether it serves.
    pub ready: bool,
    /// Made since the last order to restart.
    pub is_new: bool,
}

#[derive(Debug, Clone)]
struct Router {
    number: u32,
    node: Option<String>,
    is_ready: bool,
    /// Made since the last order to restart.
    is_new: bool,
}

/// The routers' deployment.
#[derive(Debug)]
pub(super) struct Ingress {
    routers: Vec<Router>,
    made: u32,
    /// Names the last order to restart.
    token: Option<String>,
}

impl Ingress {
    /// Of a cluster with so many masters: one that has one has one router.
    pub(super) fn new(masters: usize) -> Self {
        let count = if masters < 2 { 1 } else { 2 };
        let routers = (0..count).map(|number| Router { number, node: None, is_ready: false, is_new: true }).collect();
        Self { routers, made: count, token: None }
    }

    fn renew(&mut self, index: usize) {
        if let Some(router) = self.routers.get_mut(index) {
            *router = Router { number: self.made, node: None, is_ready: false, is_new: true };
            self.made += 1;
        }
    }
}

impl ClusterState {
    /// Places routers that are nowhere; and, after an order to restart, gives up one old router at a time.
    pub(super) fn settle_routers(&mut self) {
        if !self.control.on_masters {
            return;
        }
        let all_ready = self.ingress.routers.iter().all(|router| router.is_ready);
        if all_ready && let Some(old) = self.ingress.routers.iter().position(|router| !router.is_new) {
            self.ingress.renew(old);
        }
        for index in 0..self.ingress.routers.len() {
            if self.ingress.routers[index].node.is_none()
                && let Some(node) = self.free_node()
            {
                let router = &mut self.ingress.routers[index];
                router.node = Some(node);
                let change = Change::Router { pod: router.number };
                let time = self.about(self.spec.timing.router);
                self.clock.after(time, change);
            }
        }
    }

    /// A node that may take a router and has none. Two would want the same ports.
    fn free_node(&self) -> Option<String> {
        let has_router = |name: &str| self.ingress.routers.iter().any(|router| router.node.as_deref() == Some(name));
        let mut free = self.members.iter().filter(|(name, member)| self.takes_pods(member) && !has_router(name));
        free.next().map(|(name, _)| name.clone())
    }

    pub(super) fn router_is_ready(&mut self, pod: u32) {
        let members = &self.members;
        let router = self.ingress.routers.iter_mut().find(|router| router.number == pod);
        let Some(router) = router else { return };
        let Some(node) = router.node.clone() else { return };
        if members.get(&node).is_some_and(super::nodes::Member::is_ready) {
            router.is_ready = true;
            self.note(format!("router-{pod}: ready on {node}"));
        } else {
            router.node = None;
        }
    }

    /// The pods of a node that is silent for long are made anew elsewhere.
    pub(super) fn evict(&mut self, node: &str, life: u32) {
        if self.living(node, life).is_some_and(|member| !member.is_up)
            && let Some(index) = self.ingress.routers.iter().position(|router| router.node.as_deref() == Some(node))
        {
            self.ingress.renew(index);
        }
    }

    fn serves_on(&self, router: &Router) -> bool {
        let node = router.node.as_ref().and_then(|node| self.members.get(node));
        router.is_ready && node.is_some_and(super::nodes::Member::is_ready)
    }

    pub(super) fn ready_routers(&self) -> usize {
        self.ingress.routers.iter().filter(|router| self.serves_on(router)).count()
    }

    /// Why the routers are not as they should be.
    pub(super) fn lacks_routers(&self) -> Option<String> {
        let (wanted, ready) = (self.ingress.routers.len(), self.ready_routers());
        let placed = self.ingress.routers.iter().filter(|router| router.node.is_some()).count();
        let why = if placed < wanted { ": no node is left that pods may be placed on" } else { "" };
        (ready < wanted).then(|| format!("{ready} of {wanted} routers are ready{why}"))
    }

    /// The routers, in the order of their age.
    pub fn routers(&mut self, now: Duration) -> Vec<RouterPod> {
        self.advance(now);
        let mut routers: Vec<&Router> = self.ingress.routers.iter().collect();
        routers.sort_by_key(|router| router.number);
        let pods = routers.into_iter().map(|router| RouterPod {
            name: format!("router-default-{:05}", router.number),
            node: router.node.clone(),
            ready: self.serves_on(router),
            is_new: router.is_new,
        });
        if self.control.on_masters { pods.collect() } else { Vec::new() }
    }

    /// Names of the nodes on which a router is ready, sorted.
    pub fn ingress_nodes(&mut self, now: Duration) -> Vec<String> {
        let mut nodes: Vec<String> =
            self.routers(now).into_iter().filter(|router| router.ready).filter_map(|router| router.node).collect();
        nodes.sort();
        nodes
    }

    /// Makes the routers anew, one after the other. The same order again changes nothing.
    pub fn restart_ingress(&mut self, now: Duration, token: &str) {
        self.advance(now);
        if self.ingress.token.as_deref() != Some(token) {
            self.ingress.token = Some(token.to_owned());
            self.ingress.routers.iter_mut().for_each(|router| router.is_new = router.node.is_none());
            self.note(format!("routers: restart by {token}"));
        }
        self.settle();
    }

    /// Whether a router is still to be made anew.
    pub fn ingress_is_restarting(&mut self, now: Duration) -> bool {
        self.routers(now).iter().any(|router| !router.is_new)
    }

    /// Names the last order to restart the routers.
    #[must_use]
    pub fn ingress_token(&self) -> Option<&str> {
        self.ingress.token.as_deref()
    }
}
