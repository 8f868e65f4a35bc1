//! The chain of steps of each host, from what its order has reached to the bundle. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use harmony_core::boot::{Effect, Order, OrderId, OrderState, PortKind, Situation, Stage};
use harmony_core::capability::{BootTarget, LagSpec, LoginStage, PortMode, Reservation};
use harmony_core::host::{Assignment, Disk, Host, Lifecycle, Nic, Role};
use harmony_core::net::PortRef;
use harmony_core::score::{Bound, Change, Deferred, Plan, ScoreError, Step};
use harmony_core::store::{Document, OneShot};

use super::choice::{self, Undecided};
use super::documents;
use super::observe::Observed;
use super::{BootMethod, HostProvisioningScore, OrderDraft, ProvisioningAction};
use crate::switch_automation::{port_fact, stage_of};

/// How often an installation is tried before a person must look.
pub(super) const MAX_ATTEMPTS: u32 = 3;

/// The journal's key of the boot of one attempt.
pub(super) fn boot_key(order: &OrderId, attempt: u32) -> String {
    format!("{}/boot-{}.{attempt}", order.host, order.number)
}

pub(super) fn plan(score: &HostProvisioningScore, seen: &Observed) -> Result<Plan<ProvisioningAction>, ScoreError> {
    let mut plan = Plan::default();
    let assigned = assignments(score, seen, &mut plan);
    let mut taken: BTreeSet<IpAddr> = seen.reservations.iter().map(|r| r.address).collect();
    taken.extend(seen.orders.iter().filter(|o| o.state <= OrderState::Complete).map(|order| order.address));
    for role in &score.roles {
        let Some((host, new)) = assigned.get(role) else { continue };
        let mut chain = Chain::new(score, seen, host, *new, &mut plan);
        if let Err(undecided) = chain.build(&mut taken)? {
            plan.deferred.push(Deferred {
                key: format!("{}/choice", host.id),
                waits_for: undecided.waits_for,
                hint: Some(undecided.hint),
                limit_s: limit(score, seen),
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
) -> BTreeMap<Role, (std::borrow::Cow<'a, Host>, bool)> {
    let mut assigned = BTreeMap::new();
    for host in &seen.hosts {
        if let Some(assignment) = &host.assignment {
            assigned.insert(assignment.role.clone(), (std::borrow::Cow::Borrowed(host), false));
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
        assigned.insert(role.clone(), (std::borrow::Cow::Owned(becomes), true));
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

/// The steps of one host.
struct Chain<'a> {
    score: &'a HostProvisioningScore,
    seen: &'a Observed,
    host: &'a Host,
    plan: &'a mut Plan<ProvisioningAction>,
    last: Option<String>,
}

/// What has been decided of an installation: by its order, or by the draft of one.
struct Decided<'a> {
    draft: OrderDraft,
    order: Option<&'a Order>,
    ports: Vec<PortRef>,
}

impl<'a> Chain<'a> {
    fn new(
        score: &'a HostProvisioningScore,
        seen: &'a Observed,
        host: &'a Host,
        newly_assigned: bool,
        plan: &'a mut Plan<ProvisioningAction>,
    ) -> Self {
        let last = newly_assigned.then(|| format!("{}/assign", host.id));
        Self { score, seen, host, plan, last }
    }

    /// Adds the steps that are left, or tells what a person must decide.
    fn build(&mut self, taken: &mut BTreeSet<IpAddr>) -> Result<Result<(), Undecided>, ScoreError> {
        let order = self.seen.order_of(&self.host.id).filter(|order| order.state != OrderState::Cancelled);
        if let Some(order) = order.filter(|order| order.state == OrderState::Failed) {
            return Ok(Err(self.gave_up(order)));
        }
        let nics = match choice::bond_nics(self.host) {
            Ok(nics) => nics,
            Err(undecided) => return Ok(Err(undecided)),
        };
        let ports: Vec<PortRef> = nics.iter().map(|(_, port)| port.clone()).collect();
        self.situate(&ports);
        let decided = match order {
            Some(order) => Decided { draft: draft_of(order), order: Some(order), ports },
            None => match self.draft(&nics, taken) {
                Ok(draft) => Decided { draft, order: None, ports },
                Err(undecided) => return Ok(Err(undecided)),
            },
        };
        let state = order.map(|order| order.state);
        if state.is_none() {
            self.issue(&decided);
        }
        if state < Some(OrderState::Installed)
            && let Err(undecided) = self.install(&decided)?
        {
            return Ok(Err(undecided));
        }
        if state < Some(OrderState::Bonded) {
            self.await_bond(&decided);
        }
        self.flip(&decided);
        Ok(Ok(()))
    }

    /// Tells the invariant how the host's ports are, and what runs on it.
    fn situate(&mut self, ports: &[PortRef]) {
        let kind = |port: &PortRef| self.seen.ports.get(port).map_or(PortKind::Unknown, |status| status.mode.kind());
        let ports = ports.iter().map(|port| (port.clone(), kind(port))).collect();
        let stage = match self.seen.order_of(&self.host.id).map(|order| order.state) {
            // Whether the installed system has bonded is not known yet; its first boot may be under way.
            Some(OrderState::Installed) => Stage::Idle,
            _ => stage_of(&self.host.id, &self.seen.orders),
        };
        self.plan.situations.insert(self.host.id.clone(), Situation { stage, ports });
    }

    fn draft(&self, nics: &[(&Nic, PortRef)], taken: &mut BTreeSet<IpAddr>) -> Result<OrderDraft, Undecided> {
        let host = self.host;
        let role = host.assignment.as_ref().map(|assignment| assignment.role.clone()).ok_or_else(|| Undecided {
            waits_for: format!("a role for {}", host.label()),
            hint: "harmony host assign HOST ROLE".to_owned(),
        })?;
        let disk = choice::disk(host)?;
        let hosts = self.seen.network.hosts;
        let address = hosts.iter().find(|address| !taken.contains(address)).ok_or_else(|| Undecided {
            waits_for: format!(
                "a free address for {}: all from {} to {} are taken",
                host.label(),
                hosts.first,
                hosts.last
            ),
            hint: "widen `hosts` in the site file's [network]".to_owned(),
        })?;
        taken.insert(address);
        let number = self
            .seen
            .orders
            .iter()
            .filter(|order| order.id.host == host.id)
            .map(|order| order.id.number)
            .max()
            .unwrap_or(0)
            + 1;
        let bond = choice::bond(nics).ok_or_else(|| Undecided {
            waits_for: format!("a NIC with a link in {}", host.label()),
            hint: "plug one in".to_owned(),
        })?;
        Ok(OrderDraft {
            id: OrderId { host: host.id.clone(), number },
            hostname: role.hostname(),
            role,
            address,
            disk_serial: disk.serial.clone().unwrap_or_default(),
            disk_path: stable_path(disk),
            bond,
        })
    }

    /// Adds a step after the last one.
    fn push(
        &mut self,
        key: String,
        sentence: String,
        changes: Vec<Change>,
        bound: Bound,
        effects: Vec<Effect>,
        action: ProvisioningAction,
    ) {
        let host = self.host;
        let one_shot = matches!(action, ProvisioningAction::Boot { .. });
        self.plan.steps.push(Step {
            key: key.clone(),
            target: format!("host {}", host.label()),
            sentence,
            changes,
            expects: BTreeMap::new(),
            after: self.last.replace(key).into_iter().collect(),
            bound,
            budgets: vec![format!("host/{}", host.id)],
            effects,
            one_shot,
            action,
        });
    }

    fn issue(&mut self, decided: &Decided<'_>) {
        let draft = &decided.draft;
        let contents = self.host.disk(&draft.disk_serial).map_or_else(String::new, choice::describe);
        let changes = vec![
            Change::Erase { host: self.host.label(), serial: draft.disk_serial.clone(), contents },
            Change::Record {
                name: format!("order {}", draft.id),
                text: format!(
                    "{} at {}, disk {}, one-shot token good for {} min",
                    draft.hostname,
                    draft.address,
                    draft.disk_path,
                    self.score.token_lifetime_s / 60
                ),
            },
        ];
        let sentence =
            format!("order {} to be installed as {}, on disk {}", self.host.name, draft.role, draft.disk_serial);
        let action = ProvisioningAction::Issue { order: draft.clone() };
        self.push(
            format!("{}/order-{}", self.host.id, draft.id.number),
            sentence,
            changes,
            Bound::new(3, 30),
            Vec::new(),
            action,
        );
    }

    /// From the order to a system on the disk.
    fn install(&mut self, decided: &Decided<'_>) -> Result<Result<(), Undecided>, ScoreError> {
        let (host, draft, seen) = (self.host, &decided.draft, self.seen);
        let id = &draft.id;
        let attempt = decided.order.map_or(1, |order| order.attempt);
        let tried = seen.attempts.get(id);
        let expired =
            decided.order.is_some_and(|order| order.state == OrderState::Issued && order.expires_at <= seen.now);
        let failure = tried.and_then(|tried| tried.progress.failed.clone());
        let again = expired || failure.is_some();
        if again {
            if attempt >= MAX_ATTEMPTS {
                let why = failure.unwrap_or_else(|| "its token expired unused".to_owned());
                return Ok(Err(Undecided {
                    waits_for: format!(
                        "a person to look at {}: {attempt} attempts to install it failed, the last: {why}",
                        host.label()
                    ),
                    hint: format!(
                        "see its evidence: harmony host show {}; then harmony host assign {} {} again",
                        host.name, host.name, draft.role
                    ),
                }));
            }
            let why = failure.unwrap_or_else(|| "its token expired".to_owned());
            let text = format!("attempt {} of {MAX_ATTEMPTS}, fresh token, because {why}", attempt + 1);
            let changes = vec![Change::Record { name: format!("order {id}"), text }];
            let sentence = format!("try again to install {} as {}", host.name, draft.role);
            let action = ProvisioningAction::Reissue { order: id.clone() };
            self.push(
                format!("{}/again-{}.{}", host.id, id.number, attempt + 1),
                sentence,
                changes,
                Bound::new(3, 30),
                Vec::new(),
                action,
            );
        }
        let attempt = if again { attempt + 1 } else { attempt };
        let booted = !again && tried.is_some_and(|tried| matches!(tried.boot, OneShot::Done(_)));
        if !booted {
            self.ready_ports(decided);
            self.reserve(decided);
            self.serve(decided)?;
            let Some(method) = self.boot_method() else {
                return Ok(Err(Undecided {
                    waits_for: format!("a person to boot {} from the network", host.label()),
                    hint: "it has no BMC in the site file, and is not in the inventory environment".to_owned(),
                }));
            };
            let sentence = format!("boot {} from the network, to be installed as {}", host.name, draft.role);
            let effects = vec![Effect::NetworkBoot { host: host.id.clone() }];
            let action = ProvisioningAction::Boot { order: id.clone(), method };
            self.push(boot_key(id, attempt), sentence, Vec::new(), Bound::new(3, 180), effects, action);
        }
        let text = format!("script, image and answer file to be fetched, disk {} written", draft.disk_serial);
        let effects = vec![Effect::DiskBoot { host: host.id.clone(), bonded: true }];
        let action = ProvisioningAction::FollowInstall { order: id.clone() };
        let sentence = format!("follow the installation of {}", host.name);
        let bound = Bound::new(1, self.score.install_limit_s);
        self.push(format!("{}/install", host.id), sentence, vec![Change::Wait { text }], bound, effects, action);
        Ok(Ok(()))
    }

    fn ready_ports(&mut self, decided: &Decided<'_>) {
        let vlan = self.seen.network.vlan;
        let wanted = PortMode::Access { vlan };
        let differ = |port: &&PortRef| self.seen.ports.get(*port).is_none_or(|status| status.mode != wanted);
        let ports: Vec<PortRef> = decided.ports.iter().filter(differ).cloned().collect();
        if ports.is_empty() {
            return;
        }
        let names = ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let sentence = format!("put {names} in access mode, VLAN {vlan}, so that {} can boot", self.host.name);
        let effects = vec![Effect::Ports { host: self.host.id.clone(), ports: ports.clone(), mode: PortKind::Access }];
        let action = ProvisioningAction::SetAccess { ports: ports.clone(), vlan };
        self.push(format!("{}/access", self.host.id), sentence, Vec::new(), Bound::new(3, 60), effects, action);
        self.expect_ports(&ports);
        self.take_switches(&ports);
    }

    fn reserve(&mut self, decided: &Decided<'_>) {
        let draft = &decided.draft;
        let macs: Vec<_> = self.host.macs().iter().copied().collect();
        let reservation = Reservation { hostname: draft.hostname.clone(), address: draft.address, macs };
        if self.seen.reservations.contains(&reservation) {
            return;
        }
        let sentence = format!("reserve {} for {}", draft.address, draft.hostname);
        let action = ProvisioningAction::Reserve { reservation };
        self.push(format!("{}/reservation", self.host.id), sentence, Vec::new(), Bound::new(3, 30), Vec::new(), action);
    }

    fn serve(&mut self, decided: &Decided<'_>) -> Result<(), ScoreError> {
        let (host, draft) = (self.host, &decided.draft);
        let (script, answer) = documents::render(host, draft, &self.seen.install)?;
        let macs: Vec<_> = host.macs().iter().copied().collect();
        let target =
            BootTarget::Install { order: draft.id.clone(), script: script.hash.clone(), answer: answer.hash.clone() };
        if self.seen.entries.get(&host.id).is_some_and(|entry| entry.macs == macs && entry.target == target) {
            return Ok(());
        }
        let file = |name: String, document: &Document| Change::File {
            path: name,
            before: None,
            after: Some(document.text.clone()),
        };
        let mut changes: Vec<Change> =
            macs.iter().take(1).map(|mac| file(format!("/ipxe/{}.ipxe", mac.hyphenated()), &script)).collect();
        changes.extend(macs.iter().skip(1).map(|mac| Change::Record {
            name: format!("/ipxe/{}.ipxe", mac.hyphenated()),
            text: "the same script".to_owned(),
        }));
        changes.push(file(format!("/answer/{}", draft.id), &answer));
        let sentence = format!("serve boot script and answer file to {}", host.name);
        let action = ProvisioningAction::Serve { order: draft.id.clone(), macs, script, answer };
        self.push(format!("{}/files", host.id), sentence, changes, Bound::new(3, 30), Vec::new(), action);
        Ok(())
    }

    fn boot_method(&self) -> Option<BootMethod> {
        let host = self.host;
        let by_bmc = host.bmc.clone().map(|bmc| BootMethod::Bmc { bmc, firmware: host.firmware });
        by_bmc.or_else(|| host.address.map(|address| BootMethod::Ssh { address }))
    }

    fn await_bond(&mut self, decided: &Decided<'_>) {
        let draft = &decided.draft;
        let sentence = format!("wait until {} answers at {} with its bond up", draft.hostname, draft.address);
        let text = format!("SSH at {}, {} in 802.3ad mode", draft.address, draft.bond.name);
        let bound = Bound::new(1, self.score.start_limit_s);
        let action = ProvisioningAction::AwaitBond { order: draft.id.clone() };
        self.push(format!("{}/bond", self.host.id), sentence, vec![Change::Wait { text }], bound, Vec::new(), action);
    }

    fn flip(&mut self, decided: &Decided<'_>) {
        let draft = &decided.draft;
        let vlan = self.seen.network.vlan;
        let Ok(name) = format!("lag-{}", draft.role).parse() else { return };
        let lag = LagSpec { name, ports: decided.ports.clone(), vlan, fallback: false };
        let wanted = PortMode::Lacp { lag: lag.name.clone(), vlan: Some(vlan), fallback: false };
        let bundled =
            lag.ports.iter().all(|port| self.seen.ports.get(port).is_some_and(|status| status.mode == wanted));
        let complete = decided.order.is_some_and(|order| order.state == OrderState::Complete);
        if complete && bundled && self.host.lifecycle == Lifecycle::Provisioned {
            return;
        }
        let names = lag.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let sentence = format!(
            "bundle {names} with LACP, verify both ends, go back to access after {} s",
            self.score.flip_limit_s
        );
        let changes = vec![Change::Record { name: format!("order {}", draft.id), text: "complete".to_owned() }];
        let effects =
            vec![Effect::Ports { host: self.host.id.clone(), ports: lag.ports.clone(), mode: PortKind::Lacp }];
        let bound = Bound::new(1, self.score.flip_limit_s + 120);
        let ports = lag.ports.clone();
        let action = ProvisioningAction::Flip { order: draft.id.clone(), lag };
        self.push(format!("{}/flip", self.host.id), sentence, changes, bound, effects, action);
        // The ports' present mode is expected only where no step of this plan changes it first.
        if decided.order.is_some_and(|order| order.state >= OrderState::Installed) {
            self.expect_ports(&ports);
        }
        self.take_switches(&ports);
    }

    fn expect_ports(&mut self, ports: &[PortRef]) {
        let Some(step) = self.plan.steps.last_mut() else { return };
        for status in ports.iter().filter_map(|port| self.seen.ports.get(port)) {
            step.expects.insert(port_fact(&status.port), status.mode.to_string());
        }
    }

    fn take_switches(&mut self, ports: &[PortRef]) {
        let Some(step) = self.plan.steps.last_mut() else { return };
        let switches: BTreeSet<String> = ports.iter().map(|port| format!("switch/{}", port.switch)).collect();
        step.budgets.extend(switches);
    }

    fn gave_up(&self, order: &Order) -> Undecided {
        let why = order.failure.clone().unwrap_or_else(|| "no reason was kept".to_owned());
        Undecided {
            waits_for: format!("a person to look at {}, whose order {} failed: {why}", self.host.label(), order.id),
            hint: format!(
                "harmony host show {}; then harmony host assign {} {} to order it anew",
                self.host.name, self.host.name, order.role
            ),
        }
    }
}

fn draft_of(order: &Order) -> OrderDraft {
    OrderDraft {
        id: order.id.clone(),
        role: order.role.clone(),
        hostname: order.hostname.clone(),
        address: order.address,
        disk_serial: order.disk_serial.clone(),
        disk_path: order.disk_path.clone(),
        bond: order.bond.clone(),
    }
}

/// `/dev/disk/by-id/…`; without a link, the kernel's name, which the installer checks against the serial.
fn stable_path(disk: &Disk) -> String {
    disk.by_id.clone().unwrap_or_else(|| format!("/dev/{}", disk.name))
}

/// How the installed system is spoken to.
pub(super) fn installed(order: &Order) -> LoginStage {
    LoginStage::Installed { order: order.id.number }
}

#[cfg(test)]
mod tests;
