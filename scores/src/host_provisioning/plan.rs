//! What is left to do for each role, from what its host's order has reached to the bundle. Pure.
//!
//! Read next: `chain` for the steps of one host, `install` and `bundle` for what they say.

mod bundle;
mod chain;
mod install;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use harmony_core::boot::{Order, OrderId};
use harmony_core::capability::{LoginStage, Reservation};
use harmony_core::host::{Assignment, Host, HostId, Lifecycle, Role};
use harmony_core::net::{Hostname, SwitchId};
use harmony_core::score::{Bound, Change, Deferred, Plan, ScoreError, Step};

use super::observe::Observed;
use super::{HostProvisioningScore, ProvisioningAction};
use crate::switch_automation::latest;
use chain::Chain;

/// How often an installation is tried before a person must look.
pub(super) const MAX_ATTEMPTS: u32 = 3;

/// The journal's key of the boot of one attempt.
pub(super) fn boot_key(order: &OrderId, attempt: u32) -> String {
    format!("{}/boot-{}.{attempt}", order.host, order.number)
}

/// How the installed system is spoken to.
pub(super) fn installed(order: &Order) -> LoginStage {
    LoginStage::Installed { order: order.id.number }
}

/// What is wanted and what was seen, with what each host's chain looks up in it.
struct Site<'a> {
    score: &'a HostProvisioningScore,
    seen: &'a Observed,
    /// Each host's latest order.
    latest: BTreeMap<&'a HostId, &'a Order>,
    reservations: BTreeMap<&'a Hostname, &'a Reservation>,
    /// Pairs of switches that bundle as one.
    pairs: Vec<BTreeSet<SwitchId>>,
}

pub(crate) fn plan(score: &HostProvisioningScore, seen: &Observed) -> Result<Plan<ProvisioningAction>, ScoreError> {
    let mut plan = Plan::default();
    let assigned = assignments(score, seen, &mut plan);
    // What one host is promised, no other is given.
    let promised: BTreeSet<IpAddr> = score.nodes.values().filter_map(|setup| setup.address).collect();
    let mut free = seen.free_addresses().filter(|address| !promised.contains(address));
    let site = Site {
        score,
        seen,
        latest: latest(&seen.orders),
        reservations: seen.reservations.iter().map(|kept| (&kept.hostname, kept)).collect(),
        pairs: seen.network.mlag.iter().map(|pair| pair.iter().cloned().collect()).collect(),
    };
    for role in &score.roles {
        let Some((host, new)) = assigned.get(role) else { continue };
        let mut chain = Chain::new(&site, host, score.setup(role), *new, &mut plan);
        if let Err(undecided) = chain.build(&mut free)? {
            // What failed for good is nothing that a run waits for: it ends, and says so.
            plan.deferred.push(Deferred {
                key: format!("{}/choice", host.id),
                waits_for: undecided.waits_for,
                hint: Some(undecided.hint),
                limit_s: limit(score, seen)
                    .map(|limit_s| if host.lifecycle == Lifecycle::Failed { 0 } else { limit_s }),
            });
        }
    }
    Ok(plan)
}

/// A person who watches is waited for without end.
fn limit(score: &HostProvisioningScore, seen: &Observed) -> Option<u64> {
    (!seen.attended).then_some(score.wait_limit_s)
}

/// Which host has which role; the second is true where a step of this plan gives it.
fn assignments<'a>(
    score: &HostProvisioningScore,
    seen: &'a Observed,
    plan: &mut Plan<ProvisioningAction>,
) -> BTreeMap<Role, (Cow<'a, Host>, bool)> {
    let mut assigned = BTreeMap::new();
    for host in &seen.hosts {
        if let Some(assignment) = &host.assignment {
            assigned.insert(assignment.role.clone(), (Cow::Borrowed(host), false));
        }
    }
    let wanted: Vec<&Role> = score.roles.iter().filter(|role| !assigned.contains_key(*role)).collect();
    let mut free: Vec<&Host> =
        seen.hosts.iter().filter(|host| host.lifecycle == Lifecycle::Discovered && host.assignment.is_none()).collect();
    free.sort_by(|a, b| (&a.identity.serial, &a.id).cmp(&(&b.identity.serial, &b.id)));
    let mut unmet = Vec::new();
    let mut free = free.into_iter().filter(|_| score.assign_unattended && !seen.attended);
    for role in wanted {
        let Some(host) = free.next() else {
            unmet.push(role.as_str());
            continue;
        };
        let assignment = Assignment { role: role.clone(), disk: None, erase: None };
        let mut becomes = host.clone();
        becomes.assignment = Some(assignment.clone());
        plan.steps.push(Step {
            key: format!("{}/assign", host.id),
            target: format!("host {}", host.label()),
            sentence: format!("give {} the role {role}", host.name),
            changes: vec![Change::Record { name: format!("host {}", host.id), text: format!("role {role}") }],
            expects: BTreeMap::new(),
            after: Vec::new(),
            bound: Bound::new(3, 30),
            budgets: vec![format!("host/{}", host.id)],
            effects: Vec::new(),
            one_shot: false,
            action: ProvisioningAction::Assign { host: host.id.clone(), assignment },
        });
        assigned.insert(role.clone(), (Cow::Owned(becomes), true));
    }
    if !unmet.is_empty() {
        plan.deferred.push(Deferred {
            key: "roles".to_owned(),
            waits_for: format!("hosts for the roles {}", unmet.join(", ")),
            hint: Some("assign one: `a` in the hosts view, or `harmony host assign HOST ROLE`".to_owned()),
            limit_s: limit(score, seen),
        });
    }
    assigned
}

#[cfg(test)]
mod tests;
