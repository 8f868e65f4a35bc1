//! What the steps up to the installed disk do.

use std::time::Duration;

use harmony_core::boot::{BootEvent, BootEventKind, BootToken, InstallProgress, Order, OrderId, OrderState, Phase};
use harmony_core::capability::{
    Bmc, BootDevice, BootEntry, BootTarget, DhcpServer, HostControl, HostTarget, LoginStage, PowerAction, PxeServer,
    RoleConfig, Switch,
};
use harmony_core::error::{DeviceError, FailureKind};
use harmony_core::host::{Lifecycle, LifecycleEvent};
use harmony_core::net::MacAddress;
use harmony_core::score::{Recovery, ScoreError, StepContext};
use harmony_core::secret::Secret;
use harmony_core::store::{Document, OneShot};
use jiff::Timestamp;

use super::plan::{MAX_ATTEMPTS, boot_key};
use super::{BootMethod, HostProvisioningScore, OrderDraft, bond, order_anew};

/// How often evidence is looked at.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// A machine that was restarted shows itself within this time, or the restart did not take.
const RESTART_SHOWS_S: i64 = 120;

/// A token that cannot be guessed: 244 random bits.
fn fresh_token() -> BootToken {
    let random = || uuid::Uuid::new_v4().simple().to_string();
    BootToken(Secret::new(random() + &random()))
}

fn expiry<T>(score: &HostProvisioningScore, scx: &StepContext<'_, T>) -> Timestamp {
    let lifetime = Duration::from_secs(score.token_lifetime_s);
    scx.cx.clock.now().checked_add(lifetime).unwrap_or(Timestamp::MAX)
}

/// The stored order.
pub(super) async fn order<T>(scx: &StepContext<'_, T>, id: &OrderId) -> Result<Order, ScoreError> {
    let order = scx.cx.store.order(id).await?;
    Ok(order.ok_or_else(|| DeviceError::new(FailureKind::Conflict, format!("order {id} is not there any more")))?)
}

pub(super) async fn issue<T>(
    score: &HostProvisioningScore,
    scx: &StepContext<'_, T>,
    draft: &OrderDraft,
) -> Result<(), ScoreError> {
    let order = draft.clone().into_order(scx.cx.clock.now(), expiry(score, scx));
    Ok(scx.cx.store.create_order(&order, &fresh_token()).await?)
}

pub(super) async fn reissue<T>(
    score: &HostProvisioningScore,
    scx: &StepContext<'_, T>,
    id: &OrderId,
) -> Result<(), ScoreError> {
    Ok(scx.cx.store.reissue_order(id, &fresh_token(), expiry(score, scx)).await?)
}

/// The host first: one that is acquired beside a failed order is one that a person has resumed.
pub(super) async fn give_up<T>(scx: &StepContext<'_, T>, id: &OrderId, reason: &str) -> Result<(), ScoreError> {
    let store = scx.cx.store;
    let order = order(scx, id).await?;
    if store.host(&id.host).await?.is_some_and(|host| host.lifecycle == Lifecycle::Acquired) {
        let note = format!("order {id}: {reason}");
        store.lifecycle(&id.host, LifecycleEvent::Fail, &note, scx.cx.clock.now()).await?;
    }
    if order.state.is_open() {
        store.advance_order(id, order.state, OrderState::Failed, Some(reason)).await?;
    }
    Ok(())
}

pub(super) async fn serve<T: PxeServer>(
    scx: &StepContext<'_, T>,
    id: &OrderId,
    macs: &[MacAddress],
    script: &Document,
    answer: &Document,
    base: Option<&RoleConfig>,
) -> Result<(), ScoreError> {
    let store = scx.cx.store;
    store.put_document(script).await?;
    store.put_document(answer).await?;
    Ok(scx.cx.topology.set_boot_entry(&entry(id, macs, script, answer, base)).await?)
}

/// What the boot server is told of an order's host.
pub(crate) fn entry(
    id: &OrderId,
    macs: &[MacAddress],
    script: &Document,
    answer: &Document,
    base: Option<&RoleConfig>,
) -> BootEntry {
    let (order, base) = (id.clone(), base.cloned());
    let target = BootTarget::Install { order, script: script.hash.clone(), answer: answer.hash.clone(), base };
    BootEntry { host: id.host.clone(), macs: macs.to_vec(), target }
}

pub(super) async fn boot<T: Bmc + HostControl>(
    scx: &StepContext<'_, T>,
    id: &OrderId,
    method: &BootMethod,
) -> Result<(), ScoreError> {
    let topology = scx.cx.topology;
    match method {
        BootMethod::Bmc { bmc, firmware } => {
            topology.set_next_boot(bmc, BootDevice::Network, *firmware).await?;
            topology.power(bmc, PowerAction::Restart).await?;
        }
        BootMethod::Ssh { address } => {
            let target = HostTarget { host: id.host.clone(), address: *address, stage: LoginStage::Live };
            topology.reboot(&target).await?;
        }
    }
    Ok(())
}

/// Whether a boot that was begun has happened: the host shows itself at the boot server. One that
/// was begun just now is given the time that a machine takes, so that it is not restarted twice.
pub(super) async fn recover_boot<T>(
    scx: &StepContext<'_, T>,
    id: &OrderId,
    since: Timestamp,
) -> Result<Recovery, ScoreError> {
    loop {
        let events = scx.cx.store.boot_events(&id.host, Some(since)).await?;
        if let Some(event) = events.iter().find(|event| shows_boot(event)) {
            return Ok(Recovery::Happened(format!("since then: {event}")));
        }
        let waited = scx.cx.clock.now().duration_since(since).as_secs();
        if waited >= RESTART_SHOWS_S {
            return Ok(Recovery::Repeat);
        }
        let waits_for = format!("{} to show that it was restarted by the run before", id.host);
        scx.waiting(waits_for, vec![format!("the restart was begun {:.0}", since)]).await?;
        scx.pause(LOOK).await?;
    }
}

fn shows_boot(event: &BootEvent) -> bool {
    matches!(event.kind, BootEventKind::Tftp { .. } | BootEventKind::Chain | BootEventKind::InstallScript)
}

/// Whether the system that an order installed answers under its name. What it is known by is the order itself: its answer
/// file may have been fetched before a restart that is told of only now.
async fn is_up<T: HostControl>(scx: &StepContext<'_, T>, order: &Order) -> Result<bool, ScoreError> {
    let is_answered = self::order(scx, &order.id).await?.state >= OrderState::Answered;
    Ok(is_answered && bond::answers(scx.cx.topology, order).await.is_ok())
}

/// Waits until the system is on the disk, telling how far it is.
///
/// A silent installer is through when the installed system answers under its name, or asks to be sent to its disk.
pub(super) async fn follow_install<T>(scx: &StepContext<'_, T>, id: &OrderId, silent: bool) -> Result<(), ScoreError>
where
    T: DhcpServer + Bmc + Switch + HostControl,
{
    let store = scx.cx.store;
    let order = order(scx, id).await?;
    let since = match store.one_shot(&boot_key(id, order.attempt)).await? {
        OneShot::Never => order.issued_at,
        OneShot::Begun(since) | OneShot::Done(since) => since,
    };
    loop {
        let events = store.boot_events(&id.host, Some(since)).await?;
        let progress = InstallProgress::of(id, &events);
        if let Some(reason) = &progress.failed {
            let what = format!("{} of {} failed: {reason}", "installation", order.hostname);
            let hint = match MAX_ATTEMPTS.saturating_sub(order.attempt) {
                0 => order_anew(&id.host, &order.role),
                left => {
                    format!("run again to try once more, with a fresh token; {left} of {MAX_ATTEMPTS} attempts left")
                }
            };
            return Err(with_evidence(
                DeviceError::new(FailureKind::Rejected, what).hint(hint),
                evidence(scx, &order, &progress).await,
            )
            .into());
        }
        if progress.is_installed() || (silent && is_up(scx, &order).await?) {
            return installed(scx, &order).await;
        }
        // A little before the step's own end, so that what was seen is kept with the order; asking a host that is silent
        // takes its time, too.
        if scx.remaining() < LOOK * 3 + if silent { bond::COMMAND } else { Duration::ZERO } {
            let reason = format!("no progress beyond: {}", progress.phase);
            let event = BootEvent {
                at: scx.cx.clock.now(),
                host: Some(id.host.clone()),
                mac: None,
                address: None,
                order: Some(id.clone()),
                kind: BootEventKind::InstallFailed { reason: reason.clone() },
            };
            store.add_boot_event(&event).await?;
            let what = format!("{} was not installed in time: {reason}", order.hostname);
            let error = DeviceError::new(FailureKind::Rejected, what).hint(likely_cause(progress.phase, silent));
            return Err(with_evidence(error, evidence(scx, &order, &progress).await).into());
        }
        scx.waiting(format!("{}: {}", order.hostname, next_sign(progress.phase, silent)), progress.lines()).await?;
        scx.pause(LOOK).await?;
    }
}

async fn installed<T>(scx: &StepContext<'_, T>, order: &Order) -> Result<(), ScoreError> {
    // The boot server is another process, and does the same when it is told: either may be first.
    let moved = scx.cx.store.advance_order(&order.id, OrderState::Answered, OrderState::Installed, None).await;
    match self::order(scx, &order.id).await?.state {
        OrderState::Answered => Ok(moved?),
        state if state >= OrderState::Installed && state <= OrderState::Complete => Ok(()),
        state => {
            let what = format!("order {} is {state}, although its host was installed", order.id);
            Err(DeviceError::new(FailureKind::Conflict, what).into())
        }
    }
}

/// What is waited for next.
fn next_sign(phase: Phase, silent: bool) -> &'static str {
    match phase {
        Phase::Answered if silent => "its system to answer; until then it tells nothing",
        Phase::Waiting => "a first sign of its network boot",
        Phase::NetworkBoot => "its install script to be fetched",
        Phase::Script => "kernel and initramfs to be fetched",
        Phase::Kernel => "the installer to start",
        Phase::Installer => "the image to be written",
        Phase::Written => "the answer file to be fetched",
        Phase::Answered => "the installer to finish",
        Phase::Installed | Phase::DiskBoot => "the restart from disk",
    }
}

/// Where to look first when a boot stops at a phase.
fn likely_cause(phase: Phase, silent: bool) -> &'static str {
    match phase {
        Phase::Answered if silent => {
            "its configuration was fetched; writing the image, the restart and Ignition's first boot tell nothing. Its console \
             says what it waits for, or why it is in its emergency shell; then run again"
        }
        Phase::Waiting => {
            "no network boot was seen: check its power and boot order, its switch ports (harmony switch status), and that DHCP answers on the provisioning VLAN"
        }
        Phase::NetworkBoot | Phase::Script => {
            "the firmware reached the boot server, iPXE did not go on: look at its console"
        }
        Phase::Kernel => {
            "kernel and initramfs were fetched, the installer did not start: look at its console for a missing driver or too little memory"
        }
        Phase::Installer => "the image was not written: check the disk, and the speed of its link",
        Phase::Written | Phase::Answered | Phase::Installed | Phase::DiskBoot => {
            "the disk is written, the end was not told: look at its console"
        }
    }
}

/// Everything that is known of a host that does not go on (P13). What cannot be read is left out.
pub(super) async fn evidence<T>(scx: &StepContext<'_, T>, order: &Order, progress: &InstallProgress) -> Vec<String>
where
    T: DhcpServer + Bmc + Switch,
{
    let topology = scx.cx.topology;
    let mut lines = progress.lines();
    for (_, mac) in &order.link.members {
        lines.extend(
            topology.recent_log(*mac, 2).await.unwrap_or_default().into_iter().map(|line| format!("DHCP: {line}")),
        );
    }
    let Ok(Some(host)) = scx.cx.store.host(&order.id.host).await else { return lines };
    let ports: Vec<_> = host.nics.iter().filter_map(|nic| nic.port.agreed()).collect();
    if !ports.is_empty() {
        let status = topology.get_port_status(&ports).await.unwrap_or_default();
        lines.extend(status.iter().map(|status| format!("port {} is {}", status.port, status.mode)));
    }
    if let Some(bmc) = &host.bmc
        && let Ok(power) = topology.power_state(bmc).await
    {
        lines.push(format!("BMC {bmc} says that the power is {power}"));
    }
    lines
}

pub(super) fn with_evidence(error: DeviceError, lines: Vec<String>) -> DeviceError {
    lines.into_iter().fold(error, DeviceError::evidence)
}

/// Notes that a host is in use whose ports are not bundled.
pub(super) async fn settle<T>(scx: &StepContext<'_, T>, id: &OrderId) -> Result<(), ScoreError> {
    let order = order(scx, id).await?;
    if order.state == OrderState::Bonded {
        scx.cx.store.advance_order(id, OrderState::Bonded, OrderState::Complete, None).await?;
    }
    provisioned(scx, &order, "its network verified").await
}

/// Marks the host as in use, once.
pub(super) async fn provisioned<T>(scx: &StepContext<'_, T>, order: &Order, verified: &str) -> Result<(), ScoreError> {
    let store = scx.cx.store;
    let host = store.host(&order.id.host).await?;
    if host.is_some_and(|host| host.lifecycle != Lifecycle::Provisioned) {
        let note = format!("installed as {}, {verified}", order.role);
        store.lifecycle(&order.id.host, LifecycleEvent::Provisioned, &note, scx.cx.clock.now()).await?;
    }
    Ok(())
}
