//! `OkdSetup04Workers`: workers have joined, workloads and routers run on them, the cluster is installed, and the
//! bootstrap's host is free again.

use harmony_core::cluster::endpoints::ClusterPhase;
use harmony_core::cluster::{MastersSchedulable, NodeKind};
use harmony_core::score::{Bound, Change, Plan, ScoreError};

use super::action::OkdAction;
use super::cluster::Okd;
use super::observe::{Observed, Running};
use super::plan::{Builder, Draft};
use super::release;

pub(super) fn plan(okd: &Okd, seen: &Observed) -> Result<Plan<OkdAction>, ScoreError> {
    let mut builder = Builder::new(okd, seen);
    let (Some(made), Some(running)) = (&seen.artefacts, &seen.running) else {
        builder.wait_for("control-plane", "the control plane to run on the masters", None);
        return Ok(builder.plan);
    };
    let mut ready = builder.reserve();
    let phase = builder.phase();
    let Some(names) = builder.names_and_services(phase, &ready)? else { return Ok(builder.plan) };
    ready.extend(names);
    let admitted = admit(&mut builder, running, &ready);
    builder.provision(NodeKind::Worker, made, &ready, &admitted)?;
    let mut last = [admitted, ready].concat();
    if let Some(key) = schedulable(&mut builder, running, &last) {
        last = vec![key];
    }
    if let Some(key) = ingress(&mut builder, phase, &last) {
        last = vec![key];
    }
    if running.is_complete {
        release::plan(&mut builder, &last);
    } else {
        builder.step(Draft {
            what: "install-complete".to_owned(),
            target: builder.cluster(),
            sentence: format!("wait until {} is installed", okd.name()),
            changes: vec![Change::Wait { text: "openshift-install wait-for install-complete".to_owned() }],
            after: last,
            bound: Bound::new(1, okd.limits.complete_s),
            one_shot: false,
            action: OkdAction::AwaitInstallComplete,
        });
    }
    builder.order_by_dependency();
    Ok(builder.plan)
}

/// Certificates of hosts with an order are approved until each is a ready node.
fn admit(builder: &mut Builder<'_>, running: &Running, after: &[String]) -> Vec<String> {
    let (okd, seen) = (builder.okd, builder.seen);
    let addresses = seen.addresses(okd);
    let members: Vec<_> =
        [NodeKind::Master, NodeKind::Worker].into_iter().flat_map(|kind| okd.members(kind, &addresses)).collect();
    let awaited: Vec<_> =
        members.iter().filter(|member| !running.view.is_ready(member.name.as_str())).cloned().collect();
    // After the installation a node may be away for a while; it needs nobody's approval to come back.
    let awaited: Vec<_> =
        awaited.into_iter().filter(|member| !running.is_complete || !running.knows(&member.name)).collect();
    if awaited.is_empty() {
        return Vec::new();
    }
    let names = awaited.iter().map(|member| member.name.short()).collect::<Vec<_>>().join(", ");
    vec![builder.step(Draft {
        what: "admit".to_owned(),
        target: builder.cluster(),
        sentence: format!("approve the certificates of {names} as they ask, until they are ready nodes"),
        changes: vec![Change::Wait { text: "requests of which every part belongs to a host with an order".to_owned() }],
        after: after.to_vec(),
        // Beside their installation: they ask as soon as they run.
        bound: Bound::new(1, okd.limits.install_s + okd.limits.start_s + okd.limits.join_s),
        one_shot: false,
        action: OkdAction::Admit { awaited, members },
    })]
}

fn schedulable(builder: &mut Builder<'_>, running: &Running, after: &[String]) -> Option<String> {
    let wanted = builder.okd.schedulable_at_last();
    if running.masters_schedulable == wanted {
        return None;
    }
    let text = format!("spec.mastersSchedulable: {wanted}");
    Some(builder.step(Draft {
        what: "masters-schedulable".to_owned(),
        target: builder.cluster(),
        sentence: format!("let masters run {} workloads", if wanted { "all" } else { "no" }),
        changes: vec![Change::Record { name: "schedulers.config.openshift.io/cluster".to_owned(), text }],
        after: after.to_vec(),
        bound: Bound::new(3, 60),
        one_shot: false,
        action: OkdAction::SetSchedulable { schedulable: wanted },
    }))
}

/// Routers move to the workers; the load balancer follows in the next plan, by the phase that is seen then.
fn ingress(builder: &mut Builder<'_>, phase: ClusterPhase, after: &[String]) -> Option<String> {
    let okd = builder.okd;
    let workers = okd.hostnames(NodeKind::Worker);
    let moves = !workers.is_empty() && okd.description.masters_schedulable == MastersSchedulable::UntilWorkers;
    if !moves || phase == ClusterPhase::Settled {
        return None;
    }
    Some(builder.step(Draft {
        what: "ingress".to_owned(),
        target: builder.cluster(),
        sentence: "move the routers from masters to workers".to_owned(),
        changes: vec![Change::Wait { text: "each router to be ready on a worker".to_owned() }],
        after: after.to_vec(),
        bound: Bound::new(3, okd.limits.ingress_s),
        one_shot: false,
        action: OkdAction::MoveIngress { workers },
    }))
}
