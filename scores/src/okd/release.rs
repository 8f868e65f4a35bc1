//! The bootstrap's host after its work: released, started into the inventory environment, its disk wiped, free again; or
//! the worker that the description says it becomes.
//!
//! The disk is the one that the host's own order named and wrote, by its serial; no other is touched. What holds data of
//! this cluster is known by that order, whatever role the host has meanwhile: a run that was killed goes on with it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use harmony_core::boot::{BootEventKind, Effect, Order, OrderState, PortKind, Situation, Stage};
use harmony_core::capability::{HostTarget, LoginStage, PortMode};
use harmony_core::error::{DeviceError, FailureKind};
use harmony_core::host::{Assignment, Host, HostId, Lifecycle, LifecycleEvent};
use harmony_core::net::PortRef;
use harmony_core::score::{Bound, Change, ScoreError, Step, StepContext};
use jiff::Timestamp;

use super::action::{OkdAction, OkdSite};
use super::cluster::Okd;
use super::plan::Builder;
use crate::host_provisioning::{BootMethod, ProvisioningAction};
use crate::inventory::read_report;

/// How long a machine may take to restart into the inventory environment, and its disk to be wiped there.
const WIPE_S: u64 = 1800;
/// How long the wiping itself may take.
const COMMAND: Duration = Duration::from_secs(300);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// So long before its end a step tells what it has seen.
const MARGIN: Duration = Duration::from_secs(6);
/// Lines of evidence that are shown.
const SHOWN: usize = 8;
/// The agent's exit code when disks are wiped and boot entries of them stay.
const BOOT_ENTRIES_STAY: u32 = 3;

/// Adds what is left to do with the bootstrap's host, all of it after these steps.
pub(super) fn plan(builder: &mut Builder<'_>, after: &[String]) {
    let (okd, seen) = (builder.okd, builder.seen);
    let (Some(bootstrap), Some(order)) = (okd.bootstrap(), order(okd, &seen.hosts.orders)) else { return };
    let Some(host) = seen.hosts.hosts.iter().find(|host| host.id == order.id.host) else { return };
    let has_role = host.assignment.as_ref().is_some_and(|assignment| assignment.role == bootstrap.role);
    match host.lifecycle {
        Lifecycle::Provisioned if has_role => {
            let released = release(builder, host, order, after);
            wipe(builder, host, order, vec![released]);
        }
        Lifecycle::Released | Lifecycle::Wiped => wipe(builder, host, order, after.to_vec()),
        Lifecycle::Discovered => becomes(builder, host, after),
        _ => {}
    }
}

/// The order that made a host the bootstrap, as long as the host has had no other since.
fn order<'a>(okd: &Okd, orders: &'a [Order]) -> Option<&'a Order> {
    let bootstrap = okd.bootstrap()?;
    let is_its = |order: &&Order| order.hostname == bootstrap.hostname && order.state == OrderState::Complete;
    let order = orders.iter().filter(is_its).max_by_key(|order| order.issued_at)?;
    let last = orders.iter().rfind(|other| other.id.host == order.id.host)?;
    (last.id == order.id).then_some(order)
}

/// The step that restarts the bootstrap's host, once it has an order.
pub(super) fn restart_key(okd: &Okd, orders: &[Order]) -> Option<String> {
    let id = &order(okd, orders)?.id;
    Some(okd.key(&format!("restart-{}-{}", id.host, id.number)))
}

/// The free host is the worker from now on that the description says, if it says one that has no host.
fn becomes(builder: &mut Builder<'_>, host: &Host, after: &[String]) {
    let Some(role) = builder.okd.description.bootstrap_becomes.clone() else { return };
    if builder.seen.hosts.host_with(&role).is_some() {
        return;
    }
    let key = builder.okd.key(&format!("assign-{role}"));
    let sentence = format!("give {} the role {role}: it was the bootstrap", host.name);
    let assignment = Assignment { role: role.clone(), disk: None, erase: None };
    let action = OkdAction::Assign { host: host.id.clone(), assignment };
    let mut step = step(key, host, sentence, after.to_vec(), Bound::new(3, 30), action);
    step.changes = vec![Change::Record { name: format!("host {}", host.id), text: format!("role {role}") }];
    builder.plan.steps.push(step);
}

fn release(builder: &mut Builder<'_>, host: &Host, order: &Order, after: &[String]) -> String {
    let key = builder.okd.key(&format!("release-{}", order.id.number));
    let sentence = format!("release {}: it was the bootstrap, and is not needed any more", host.name);
    let action = OkdAction::Release { host: host.id.clone() };
    let mut step = step(key.clone(), host, sentence, after.to_vec(), Bound::new(3, 30), action);
    step.changes = vec![Change::Record { name: format!("host {}", host.id), text: "released".to_owned() }];
    builder.plan.steps.push(step);
    key
}

fn wipe(builder: &mut Builder<'_>, host: &Host, order: &Order, mut after: Vec<String>) {
    let Some(restart) = restart_key(builder.okd, &builder.seen.hosts.orders) else { return };
    if host.lifecycle != Lifecycle::Wiped && !builder.seen.is_restarted {
        situate(builder, host);
        after.extend(access(builder, host, &after));
        // One without a BMC is restarted by a person: the wipe waits for that, and says so when its time is over.
        if let Some(bmc) = host.bmc.clone() {
            let method = BootMethod::Bmc { bmc, firmware: host.firmware };
            let action = OkdAction::Host { action: ProvisioningAction::Boot { order: order.id.clone(), method } };
            let sentence = format!("restart {} into the inventory environment", host.name);
            let mut step = step(restart.clone(), host, sentence, after, Bound::new(3, 180), action);
            (step.one_shot, step.effects) = (true, vec![Effect::NetworkBoot { host: host.id.clone() }]);
            builder.plan.steps.push(step);
            after = vec![restart];
        }
    }
    let serial = order.disk_serial.clone();
    let contents = format!("{} of {}, as order {} wrote it", order.role, builder.okd.name(), order.id);
    let sentence = format!("wipe disk {serial} of {}, and let the host be free", host.name);
    let action = OkdAction::Wipe { host: host.id.clone(), serial: serial.clone() };
    let key = builder.okd.key(&format!("wipe-{}", order.id.number));
    let mut step = step(key, host, sentence, after, Bound::new(3, WIPE_S), action);
    step.changes = vec![Change::Erase { host: host.label(), serial, contents }];
    builder.plan.steps.push(step);
}

/// Tells the invariant how the host's ports are. What runs on it counts no more: it is released.
fn situate(builder: &mut Builder<'_>, host: &Host) {
    let seen = &builder.seen.hosts.ports;
    let kind = |port: PortRef| {
        let kind = seen.get(&port).map_or(PortKind::Unknown, |status| status.mode.kind());
        (port, kind)
    };
    let ports = host.nics.iter().filter_map(|nic| nic.port.agreed()).map(kind).collect();
    builder.plan.situations.insert(host.id.clone(), Situation { stage: Stage::Idle, ports });
}

/// Ports that are bundled carry no network boot.
fn access(builder: &mut Builder<'_>, host: &Host, after: &[String]) -> Option<String> {
    let seen = &builder.seen.hosts;
    let vlan = seen.network.vlan;
    let wanted = PortMode::Access { vlan };
    let is_other = |port: &PortRef| seen.ports.get(port).is_some_and(|status| status.mode != wanted);
    let mut ports: Vec<PortRef> = host.nics.iter().filter_map(|nic| nic.port.agreed()).filter(is_other).collect();
    ports.sort();
    if ports.is_empty() {
        return None;
    }
    let names = ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let key = builder.okd.key("bootstrap-ports");
    let sentence = format!("put {names} in access mode, VLAN {vlan}, so that {} can boot", host.name);
    let effects = vec![Effect::Ports { host: host.id.clone(), ports: ports.clone(), mode: PortKind::Access }];
    let action = OkdAction::Host { action: ProvisioningAction::SetAccess { ports, vlan } };
    let mut step = step(key.clone(), host, sentence, after.to_vec(), Bound::new(3, 60), action);
    step.effects = effects;
    builder.plan.steps.push(step);
    Some(key)
}

fn step(
    key: String,
    host: &Host,
    sentence: String,
    after: Vec<String>,
    bound: Bound,
    action: OkdAction,
) -> Step<OkdAction> {
    Step {
        key,
        target: format!("host {}", host.label()),
        sentence,
        changes: Vec::new(),
        expects: BTreeMap::new(),
        after,
        bound,
        budgets: Vec::new(),
        effects: Vec::new(),
        one_shot: false,
        action,
    }
}

/// Takes the role away, unless that is done.
pub(super) async fn carry_out_release<T: OkdSite>(scx: &StepContext<'_, T>, id: &HostId) -> Result<(), ScoreError> {
    if known(scx, id).await?.lifecycle == Lifecycle::Provisioned {
        scx.cx.store.unassign(id, "the bootstrap's work is done", scx.cx.clock.now()).await?;
    }
    Ok(())
}

/// Waits for the inventory environment, wipes the disk there, and has the host report itself as free.
pub(super) async fn carry_out_wipe<T: OkdSite>(
    scx: &StepContext<'_, T>,
    id: &HostId,
    serial: &str,
) -> Result<(), ScoreError> {
    let store = scx.cx.store;
    // Whatever has announced itself since it was released is no installed system.
    let history = store.history(id).await?;
    let released = history.iter().rfind(|entry| entry.event == LifecycleEvent::Release);
    let since = released.map_or(Timestamp::UNIX_EPOCH, |entry| entry.at);
    loop {
        let host = known(scx, id).await?;
        if !matches!(host.lifecycle, Lifecycle::Released | Lifecycle::Wiped) {
            return Ok(());
        }
        let events = store.boot_events(id, Some(since)).await?;
        let announced = events.iter().rfind(|event| matches!(event.kind, BootEventKind::Announced { .. }));
        if let Some(address) = announced.and_then(|event| event.address) {
            return wipe_at(scx, &host, serial, address).await;
        }
        let lines = events.iter().skip(events.len().saturating_sub(SHOWN)).map(ToString::to_string).collect::<Vec<_>>();
        if scx.remaining() < MARGIN {
            let what = format!("{} did not come up in the inventory environment: its disk is not wiped", host.label());
            let error = DeviceError::new(FailureKind::Rejected, what)
                .hint("look at its console; let it boot from the network by hand, then run again");
            return Err(lines.into_iter().fold(error, DeviceError::evidence).into());
        }
        scx.waiting(format!("{} to announce itself from the inventory environment", host.label()), lines).await?;
        scx.pause(LOOK).await?;
    }
}

async fn wipe_at<T: OkdSite>(
    scx: &StepContext<'_, T>,
    host: &Host,
    serial: &str,
    address: IpAddr,
) -> Result<(), ScoreError> {
    // What its disk holds now: an attempt whose reply was lost may have wiped it.
    read_report(scx, address).await?;
    if host.lifecycle == Lifecycle::Released {
        let mut note = "its disk was wiped".to_owned();
        if !is_blank(&known(scx, &host.id).await?, serial)? {
            note = have_it_wiped(scx, host, serial, address).await?;
            read_report(scx, address).await?;
        }
        if !is_blank(&known(scx, &host.id).await?, serial)? {
            let what = format!("disk {serial} of {} was wiped, and is not blank", host.label());
            let hint = "look at it with wipefs; a disk that does not forget is to be replaced";
            return Err(DeviceError::new(FailureKind::Conflict, what).hint(hint).into());
        }
        scx.cx.store.lifecycle(&host.id, LifecycleEvent::Wiped, &note, scx.cx.clock.now()).await?;
    }
    // A wiped host that reports is free.
    read_report(scx, address).await
}

/// Whether nothing is on a disk. It must be there: nothing is concluded of a disk that nobody sees.
fn is_blank(host: &Host, serial: &str) -> Result<bool, ScoreError> {
    let disk = host.disks.iter().find(|disk| disk.serial.as_deref() == Some(serial));
    let missing = || {
        DeviceError::new(FailureKind::Conflict, format!("{} has no disk {serial} any more", host.label()))
            .hint("was it taken out? What it holds is still the bootstrap's: harmony host show HOST")
    };
    Ok(disk.ok_or_else(missing)?.signatures.is_empty())
}

/// Runs the agent's own command; what is to be remembered of it.
async fn have_it_wiped<T: OkdSite>(
    scx: &StepContext<'_, T>,
    host: &Host,
    serial: &str,
    address: IpAddr,
) -> Result<String, ScoreError> {
    let target = HostTarget { host: host.id.clone(), address, stage: LoginStage::Live };
    let output = scx.cx.topology.run(&target, &command(serial), COMMAND).await?;
    let said = output.stderr.lines().next().unwrap_or_default();
    let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
    match output.status {
        Some(0) => Ok("its disk was wiped".to_owned()),
        Some(BOOT_ENTRIES_STAY) => Ok(format!("its disk was wiped; boot entries of it stay: {said}")),
        status => {
            let status = status.map_or_else(|| "the connection ended".to_owned(), |status| format!("status {status}"));
            let what = format!("failed to wipe disk {serial} of {} at {address}", host.label());
            let error = DeviceError::new(FailureKind::Rejected, what).because(format!("{status}: {said}"));
            Err(error.hint("no other disk was touched; look at its console, then run again").into())
        }
    }
}

/// The command line. A serial is whatever a host says of itself: it is quoted.
fn command(serial: &str) -> String {
    let quoted = serial.replace('\'', r"'\''");
    format!("PATH=\"$PATH:/tmp\"; harmony-inventory-agent wipe --disk '{quoted}' --boot-entries")
}

async fn known<T>(scx: &StepContext<'_, T>, id: &HostId) -> Result<Host, ScoreError> {
    let missing = || DeviceError::new(FailureKind::Conflict, format!("host {id} is not in the inventory any more"));
    Ok(scx.cx.store.host(id).await?.ok_or_else(missing)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_is_no_command() {
        assert_eq!(
            command("S1'; reboot; '"),
            r#"PATH="$PATH:/tmp"; harmony-inventory-agent wipe --disk 'S1'\''; reboot; '\''' --boot-entries"#
        );
    }
}
