//! What others have to have ready for a cluster, and hosts besides their hardware: asked before the first host is ordered,
//! for the preflight. What does not answer is not judged, unless to answer is what it is for.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::iter;
use harmony_core::capability::{DnsRecord, HostTarget, LbService, LoginStage};
use harmony_core::cluster::endpoints::{ClusterPhase, dns_records, services};
use harmony_core::cluster::preflight::{BalancerSeen, DnsSeen};
use harmony_core::error::chain;
use harmony_core::host::Host;
use harmony_core::score::Context;
use jiff::{SignedDuration, Timestamp};

use super::action::OkdSite;
use super::cluster::Okd;
use super::observe::Observed;

/// How long a host may take to say what time it is.
const CLOCK: Duration = Duration::from_secs(10);
/// How many are asked at once.
const AT_ONCE: usize = 16;

/// What was seen of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    /// There, where somebody else keeps the names.
    pub(super) dns: Option<DnsSeen>,
    /// There, where somebody else configures it.
    pub(super) balancer: Option<BalancerSeen>,
    /// How far hosts' clocks are ahead of Harmony's, by what the hosts are called.
    pub(super) clocks: BTreeMap<String, SignedDuration>,
}

impl Surroundings {
    /// Looks around for a cluster of which nothing is installed yet.
    pub(super) async fn read<T: OkdSite>(okd: &Okd, seen: &Observed, cx: &Context<'_, T>) -> Self {
        let nodes = seen.nodes(okd);
        // What cannot be named is said by the description's own check.
        let mut found = Self::default();
        if seen.dns_is_external {
            let records = dns_records(&okd.description, &nodes, ClusterPhase::Bootstrapping).unwrap_or_default();
            found.dns = Some(names(cx.topology, records).await);
        }
        if seen.balancer_is_external {
            let services = services(&okd.description, &nodes, ClusterPhase::Bootstrapping).unwrap_or_default();
            found.balancer = Some(balancer(cx.topology, services).await);
        }
        let with_role = |host: &&Host| {
            let role = host.assignment.as_ref().map(|assignment| &assignment.role);
            okd.plans.iter().any(|plan| Some(&plan.role) == role)
        };
        let hosts: Vec<Host> = seen.hosts.hosts.iter().filter(with_role).cloned().collect();
        let asked = iter(hosts).map(|host| async move { ahead(cx, &host).await.map(|ahead| (host.label(), ahead)) });
        let mut answers = asked.buffer_unordered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            found.clocks.extend(answer);
        }
        found
    }
}

async fn names<T: OkdSite>(topology: &T, records: Vec<DnsRecord>) -> DnsSeen {
    let mut seen = DnsSeen { is_external: true, ..DnsSeen::default() };
    let asked = iter(records).map(|record| async move {
        let forward = topology.resolve(&record.name).await.map_err(|error| chain(&error));
        let back = match record.reverse {
            true => Some(topology.resolve_back(record.address).await.map_err(|error| chain(&error))),
            false => None,
        };
        (record, forward, back)
    });
    let mut answers = asked.buffer_unordered(AT_ONCE);
    while let Some((record, forward, back)) = answers.next().await {
        seen.forward.insert(record.name, forward);
        seen.back.extend(back.map(|back| (record.address, back)));
    }
    seen
}

async fn balancer<T: OkdSite>(topology: &T, services: Vec<LbService>) -> BalancerSeen {
    let mut seen = BalancerSeen { is_external: true, ..BalancerSeen::default() };
    for at in services.into_iter().flat_map(|service| service.listen) {
        seen.listens.insert(at, topology.listens(at).await.map_err(|error| chain(&error)));
    }
    seen
}

/// How far a host's clock is ahead, if it runs in the inventory environment and says so.
async fn ahead<T: OkdSite>(cx: &Context<'_, T>, host: &Host) -> Option<SignedDuration> {
    let target = HostTarget { host: host.id.clone(), address: host.address?, stage: LoginStage::Live };
    let before = cx.clock.now();
    let output = cx.topology.run(&target, "date +%s", CLOCK).await.ok()?;
    let after = cx.clock.now();
    let says = Timestamp::from_second(output.stdout.trim().parse().ok()?).ok()?;
    // It was asked somewhen in between, and says whole seconds.
    let (early, late) = (says.duration_since(after), says.duration_since(before) + SignedDuration::from_secs(1));
    Some(if early.is_positive() {
        early
    } else if late.is_negative() {
        late
    } else {
        SignedDuration::ZERO
    })
}
