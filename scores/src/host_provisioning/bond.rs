//! The bond on the host, then on the switch: drives the pure machine of `harmony_core::boot::flip`.

use std::collections::BTreeSet;
use std::time::Duration;

use harmony_core::boot::flip::{Flip, FlipAct, FlipInput, FlipOutcome};
use harmony_core::boot::{BondReading, InstallProgress, LinkPlan, Order, OrderId, OrderState};
use harmony_core::capability::{Bmc, DhcpServer, HostControl, HostTarget, LagSpec, PortStatus, Switch};
use harmony_core::error::{DeviceError, FailureKind, chain};
use harmony_core::net::MacAddress;
use harmony_core::score::{ScoreError, StepContext};
use tokio::time::Instant;

use super::HostProvisioningScore;
use super::plan::installed;
use super::steps::{LOOK, evidence, order, provisioned, with_evidence};

/// For one command on a host.
pub(super) const COMMAND: Duration = Duration::from_secs(15);

fn target(order: &Order) -> HostTarget {
    HostTarget { host: order.id.host.clone(), address: order.address, stage: installed(order) }
}

/// Reads the host's end. Root alone is shown the LACP details.
async fn read_host<T: HostControl>(topology: &T, order: &Order) -> Result<BondReading, String> {
    let command = format!("sudo cat /proc/net/bonding/{}", order.link.name);
    let output = topology.run(&target(order), &command, COMMAND).await.map_err(|error| chain(&error))?;
    match output.status {
        Some(0) => Ok(BondReading::parse(&output.stdout)),
        _ => Err(format!(
            "{} has no {}: {}",
            order.hostname,
            order.link.name,
            output.stderr.lines().next().unwrap_or("no such file")
        )),
    }
}

/// Waits until the installed host answers under its name, with all its NICs in the bond if it has one.
pub(super) async fn await_bond<T>(scx: &StepContext<'_, T>, id: &OrderId) -> Result<(), ScoreError>
where
    T: HostControl + DhcpServer + Bmc + Switch,
{
    let order = order(scx, id).await?;
    let topology = scx.cx.topology;
    loop {
        let Some(missing) = what_is_missing(topology, &order).await else { break };
        let mut lines = vec![missing.clone()];
        lines.extend(topology.recent_log(order.link.mac, 2).await.unwrap_or_default());
        if scx.remaining() < LOOK * 3 {
            let what = format!("{} did not come up with its {}: {missing}", order.hostname, awaited(&order.link));
            let hint = format!(
                "look at its console; its disk is written, so another `apply` goes on from here once it answers at {}",
                order.address
            );
            let error = DeviceError::new(FailureKind::Rejected, what).hint(hint);
            return Err(with_evidence(error, evidence(scx, &order, &InstallProgress::default()).await).into());
        }
        let awaited = awaited(&order.link);
        let waits_for = format!("{} to answer at {} with its {awaited} up", order.hostname, order.address);
        scx.waiting(waits_for, lines).await?;
        scx.pause(LOOK * 2).await?;
    }
    // A run that was killed here may have moved the order on already.
    if order.state == OrderState::Installed {
        scx.cx.store.advance_order(id, OrderState::Installed, OrderState::Bonded, None).await?;
    }
    Ok(())
}

/// Whether the installed host answers under its name; if not, what is missing.
pub(super) async fn answers<T: HostControl>(topology: &T, order: &Order) -> Result<(), String> {
    let output = topology.run(&target(order), "hostname", COMMAND).await.map_err(|error| chain(&error))?;
    let name = output.stdout.trim();
    if name.split('.').next() == Some(order.hostname.short()) {
        return Ok(());
    }
    let shown: String = name.chars().take(64).flat_map(char::escape_default).collect();
    Err(format!("the host at {} calls itself `{shown}`, not {}", order.address, order.hostname))
}

/// What is waited for of a host's network.
pub(super) fn awaited(link: &LinkPlan) -> &'static str {
    if link.bond.is_some() { "bond" } else { "network" }
}

/// `None` when the bond is up; otherwise what is missing. A refused login is no error yet: until it has
/// restarted, the installer's own system answers.
async fn what_is_missing<T: HostControl>(topology: &T, order: &Order) -> Option<String> {
    if let Err(missing) = answers(topology, order).await {
        return Some(missing);
    }
    order.link.bond?;
    match read_host(topology, order).await {
        Err(missing) => Some(missing),
        Ok(bond) if !bond.is_lacp => Some(format!("{} is not in 802.3ad mode", order.link.name)),
        Ok(bond) => {
            let wanted: BTreeSet<MacAddress> = order.link.members.iter().map(|(_, mac)| *mac).collect();
            let members: BTreeSet<MacAddress> = bond.members.iter().filter_map(|member| member.mac).collect();
            let absent: Vec<String> = wanted.difference(&members).map(ToString::to_string).collect();
            (!absent.is_empty()).then(|| format!("not in {} yet: {}", order.link.name, absent.join(", ")))
        }
    }
}

/// Bundles the ports, verifies both ends, and goes back to access if they do not agree in time.
pub(super) async fn flip<T>(
    score: &HostProvisioningScore,
    scx: &StepContext<'_, T>,
    id: &OrderId,
    lag: &LagSpec,
) -> Result<(), ScoreError>
where
    T: Switch + HostControl + DhcpServer + Bmc,
{
    let order = order(scx, id).await?;
    let topology = scx.cx.topology;
    let (started, limit) = (Instant::now(), Duration::from_secs(score.flip_limit_s));
    let (mut flip, mut act) = Flip::Ready.on(FlipInput::Start, Duration::ZERO, limit);
    let mut looks = 0u32;
    let outcome = loop {
        let input = match act {
            FlipAct::SetLacp => {
                FlipInput::Switched(topology.set_ports_lacp_mode(lag).await.map_err(|error| chain(&error)))
            }
            FlipAct::SetAccess => {
                let back = topology.set_ports_access_mode(&lag.ports, lag.vlan).await;
                FlipInput::Restored(back.map_err(|error| chain(&error)))
            }
            FlipAct::Read => {
                if let Flip::Watching { missing } = &flip {
                    scx.waiting(format!("both ends of {}'s bond to agree", order.hostname), missing.clone()).await?;
                }
                looks += 1;
                if looks > 1 && scx.pause(LOOK).await.is_err() {
                    FlipInput::Cancel
                } else {
                    FlipInput::Read(read_both(topology, &order, lag).await)
                }
            }
            FlipAct::Stop => break flip,
        };
        (flip, act) = flip.on(input, started.elapsed(), limit);
    };
    match outcome {
        Flip::Over(FlipOutcome::Bundled) => {
            if order.state == OrderState::Bonded {
                scx.cx.store.advance_order(id, OrderState::Bonded, OrderState::Complete, None).await?;
            }
            provisioned(scx, &order, "both ends of its bond verified").await
        }
        Flip::Over(FlipOutcome::Reverted { .. }) if scx.is_stopped() => Err(ScoreError::Stopped),
        Flip::Over(FlipOutcome::Reverted { why }) => {
            let what =
                format!("the bond of {} was not bundled, its ports are back in access mode: {why}", order.hostname);
            let hint = "the host works on one link; check LACP on the switch and the cables, then run again";
            let error = DeviceError::new(FailureKind::Rejected, what).hint(hint);
            Err(with_evidence(error, evidence(scx, &order, &InstallProgress::default()).await).into())
        }
        other => {
            let why = if let Flip::Over(FlipOutcome::Stuck { why }) = other {
                why
            } else {
                "it ended in the middle".to_owned()
            };
            let what = format!("the ports of {} are in an unknown mode: {why}", order.hostname);
            let ports = lag.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let hint = format!("look at {ports} on the switch: harmony switch status; running again repairs them");
            Err(DeviceError::new(FailureKind::Rejected, what).hint(hint).into())
        }
    }
}

async fn read_both<T: Switch + HostControl>(
    topology: &T,
    order: &Order,
    lag: &LagSpec,
) -> Result<(BondReading, Vec<PortStatus>), String> {
    let ports = topology.get_port_status(&lag.ports).await.map_err(|error| chain(&error))?;
    let host = read_host(topology, order).await?;
    Ok((host, ports))
}
