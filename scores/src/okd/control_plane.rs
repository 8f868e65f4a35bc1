//! `OkdSetup03ControlPlane`: the masters run the control plane, the bootstrap has left.

use harmony_core::capability::BootTarget;
use harmony_core::cluster::NodeKind;
use harmony_core::cluster::endpoints::ClusterPhase;
use harmony_core::score::{Bound, Change, Plan, ScoreError};

use super::action::OkdAction;
use super::cluster::Okd;
use super::observe::Observed;
use super::plan::{Builder, Draft};

pub(super) fn plan(okd: &Okd, seen: &Observed) -> Result<Plan<OkdAction>, ScoreError> {
    let mut builder = Builder::new(okd, seen);
    let Some(made) = &seen.artefacts else {
        builder.wait_for("bootstrap", "the bootstrap to be set up", None);
        return Ok(builder.plan);
    };
    if !seen.is_bootstrapped && !seen.is_serving {
        builder.wait_for("bootstrap", "the bootstrap to serve masters", None);
        return Ok(builder.plan);
    }
    // A worker that was added to the description since has no address yet: names and services cannot be said without.
    if !builder.reserve().is_empty() {
        return Ok(builder.plan);
    }
    let complete = okd.bootstrap_key(made.generation);
    // No port of a master is touched before the control plane runs by itself: until then etcd has nothing to spare.
    let mut before = if seen.is_marked { Vec::new() } else { vec![complete.clone()] };
    before.extend(leaving(&mut builder, &before)?);
    let up = builder.provision(NodeKind::Master, made, &[], &before)?;
    if seen.is_marked {
        return Ok(builder.plan);
    }
    let masters = okd.members(NodeKind::Master, &seen.addresses(okd));
    builder.step(Draft {
        what: format!("bootstrap-complete-{}", made.generation),
        target: builder.cluster(),
        sentence: format!("wait until the control plane of {} runs on its masters", okd.name()),
        changes: vec![Change::Wait { text: "openshift-install wait-for bootstrap-complete".to_owned() }],
        after: up,
        bound: Bound::new(1, okd.limits.bootstrap_s),
        one_shot: true,
        action: OkdAction::AwaitBootstrapComplete { masters },
    });
    // In an order that respects what each comes after.
    builder.order_by_dependency();
    Ok(builder.plan)
}

/// The bootstrap leaves load balancer, DNS, DHCP and network boot; it cannot while masters need it.
fn leaving(builder: &mut Builder<'_>, after: &[String]) -> Result<Vec<String>, ScoreError> {
    let (okd, seen) = (builder.okd, builder.seen);
    let phase = if seen.is_bootstrapped { builder.phase() } else { ClusterPhase::WorkersJoin };
    let mut keys = builder.names_and_services(phase, after)?.unwrap_or_default();
    let Some(bootstrap) = okd.bootstrap() else { return Ok(keys) };
    let Some(host) = seen.hosts.host_with(&bootstrap.role) else { return Ok(keys) };
    let reserved = seen.hosts.reservation_of(&bootstrap.hostname).is_some();
    let served = seen.hosts.entry_of(&host.id).is_some_and(|entry| matches!(entry.target, BootTarget::Install { .. }));
    if reserved || served {
        let after = after.iter().chain(&keys).cloned().collect();
        keys.push(builder.step(Draft {
            what: "bootstrap-leaves".to_owned(),
            target: format!("host {}", host.label()),
            sentence: format!("take {} out of DHCP and network boot", bootstrap.hostname),
            changes: vec![Change::Record {
                name: format!("reservation {}", bootstrap.hostname),
                text: "removed".to_owned(),
            }],
            after,
            bound: Bound::new(3, 60),
            one_shot: false,
            action: OkdAction::RetireBootstrap { host: host.id.clone(), name: bootstrap.hostname.clone() },
        }));
    }
    Ok(keys)
}
