//! `OkdSetup01Inventory`: every host of the cluster is known, and has its role.

use harmony_core::cluster::choice::choose_hosts;
use harmony_core::cluster::{HostBinding, HostRule, NodeKind};
use harmony_core::host::Assignment;
use harmony_core::score::{Bound, Change, Plan, ScoreError};

use super::action::OkdAction;
use super::cluster::Okd;
use super::observe::Observed;
use super::plan::{Builder, Draft};
use crate::inventory::{self, InventoryAction, InventoryScore};

/// What is wanted of the inventory: as many hosts as there are roles.
pub(super) fn wanted(okd: &Okd, is_bootstrapped: bool) -> InventoryScore {
    let has_left = |kind| kind == NodeKind::Bootstrap && is_bootstrapped;
    let roles = okd.plans.iter().filter(|plan| !has_left(plan.kind)).count();
    let mut wanted = InventoryScore::of(roles);
    wanted.limit_s = okd.limits.wait_s;
    wanted
}

/// Hosts are found first: the smallest that fits can only be told among all.
pub(super) fn plan(okd: &Okd, found: &inventory::Observed, seen: &Observed) -> Result<Plan<OkdAction>, ScoreError> {
    let mut builder = Builder::new(okd, seen);
    let finding = inventory::plan(&wanted(okd, seen.is_bootstrapped), found);
    let is_found = finding.is_empty();
    for step in finding.steps {
        let step = step.try_map(|action: InventoryAction| Ok::<_, ScoreError>(OkdAction::Find { action }))?;
        builder.plan.steps.push(step);
    }
    builder.plan.deferred.extend(finding.deferred);
    builder.plan.situations.extend(finding.situations);
    if is_found {
        assign(&mut builder);
    }
    Ok(builder.plan)
}

fn assign(builder: &mut Builder<'_>) {
    let (okd, seen) = (builder.okd, builder.seen);
    for choice in choose_hosts(&okd.description, &okd.plans, &seen.hosts.hosts) {
        let Some(plan) = okd.plans.iter().find(|plan| plan.role == choice.role) else { continue };
        let has_left = plan.kind == NodeKind::Bootstrap && seen.is_bootstrapped;
        if has_left || seen.hosts.host_with(&plan.role).is_some() {
            continue;
        }
        let chosen = match choice.host {
            Ok(chosen) => chosen,
            Err(none) => {
                let undecided = none.undecided();
                builder.wait_for(&format!("host-{}", plan.role), undecided.waits_for, Some(&undecided.hint));
                continue;
            }
        };
        // Somebody who watches decides what no rule of theirs decided.
        if seen.hosts.attended && plan.host == HostBinding::Rule(HostRule::default()) {
            let hint = format!("assign one: `a` in the hosts view, or harmony host assign HOST {}", plan.role);
            builder.wait_for(&format!("host-{}", plan.role), format!("a host for the role {}", plan.role), Some(&hint));
            continue;
        }
        let (host, reason) = (chosen.host, chosen.reason);
        // One that is to be wiped and installed anew is not free yet.
        if !host.lifecycle.is_free() {
            let waits_for = format!("{} to be free for the role {}: it is {}", host.label(), plan.role, host.lifecycle);
            builder.wait_for(&format!("host-{}", plan.role), waits_for, Some("harmony host show HOST"));
            continue;
        }
        let assignment = Assignment { role: plan.role.clone(), disk: None, erase: plan.erase.clone() };
        builder.step(Draft {
            what: format!("assign-{}", plan.role),
            target: format!("host {}", host.label()),
            sentence: format!("give {} the role {}: {reason}", host.name, plan.role),
            changes: vec![Change::Record { name: format!("host {}", host.id), text: format!("role {}", plan.role) }],
            after: Vec::new(),
            bound: Bound::new(3, 30),
            one_shot: false,
            action: OkdAction::Assign { host: host.id.clone(), assignment },
        });
    }
}
