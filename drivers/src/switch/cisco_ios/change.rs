//! A change: typed line by line, read back, and taken back unless it is exactly as asked.
//!
//! Where the switch keeps an archive of its configuration, the change is made under a revert timer:
//! should we lose the switch in the middle, it takes the change back by itself. Elsewhere what was
//! read before is typed again; `reload in` would do the same by restarting the whole switch, and is
//! not used. Source: Cisco IOS Configuration Management Guide, "Configuration Rollback Confirmed
//! Change".

use std::sync::atomic::Ordering;
use std::time::Duration;

use harmony_core::capability::LagSpec;
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::net::VlanId;
use tokio::time::Instant;

use super::commands::{Before, OPTIONAL, undo};
use super::interface::Interface;
use super::reading::Layout;
use super::session::Line;
use super::show::running::Section;
use super::{CiscoIos, DRIVER, Refusal};

/// Minutes after which a change that nobody confirmed is taken back. 1 to 120 are allowed; writing the
/// archive and reading the configuration back take an old switch half a minute.
const REVERT_MINUTES: u32 = 2;
/// How long somebody else's revert timer is waited for.
const PENDING_LIMIT: Duration = Duration::from_secs(60 * REVERT_MINUTES as u64 + 30);
/// How often it is looked at.
const PENDING_INTERVAL: Duration = Duration::from_millis(500);
const PENDING: &str = "show archive config rollback timer";
const CONFIRM: &str = "configure confirm";
const REVERT_NOW: &str = "configure revert now";
const SAVE: &str = "write memory";

/// A change that is to be made.
pub(super) struct Change<'a> {
    pub(super) commands: Vec<String>,
    pub(super) wanted: Wanted<'a>,
    pub(super) before: Before<'a>,
}

/// How the switch is to be afterwards.
pub(super) enum Wanted<'a> {
    /// These ports in access mode, and these port-channels gone.
    Access { ports: &'a [Interface], vlan: VlanId, gone: &'a [u16] },
    /// A LAG of exactly these ports.
    Lag { lag: &'a LagSpec, ports: &'a [Interface] },
}

impl CiscoIos {
    /// All that is typed for these changes, as the plan shows it.
    pub(super) fn typed(&self, commands: &[String], can_revert: bool) -> Vec<String> {
        let begin = if can_revert {
            format!("configure terminal revert timer {REVERT_MINUTES}")
        } else {
            "configure terminal".to_owned()
        };
        let confirm = can_revert.then(|| CONFIRM.to_owned());
        let save = self.spec.save.then(|| SAVE.to_owned());
        [begin]
            .into_iter()
            .chain(commands.iter().cloned())
            .chain(["end".to_owned()])
            .chain(confirm)
            .chain(save)
            .collect()
    }

    /// Waits until no change on the switch is pending, so that what is read then will last.
    ///
    /// A change that this process left unconfirmed is taken back at once; one of somebody else's ends
    /// when its timer does, or when it is confirmed.
    pub(super) async fn settle(&self, line: &mut Line, operation: &str) -> DeviceResult<()> {
        if !line.can_revert {
            return Ok(());
        }
        let until = Instant::now() + PENDING_LIMIT;
        while self.is_pending(line, operation).await? {
            if self.unconfirmed.swap(false, Ordering::Relaxed) {
                self.revert_now(line, operation).await?;
            } else if Instant::now() >= until {
                return Err(DeviceError::new(FailureKind::Transient, operation)
                    .because("somebody is changing the switch's configuration under a revert timer")
                    .hint(format!("`{PENDING}` on switch `{}` tells who and for how long", self.id)));
            } else {
                tokio::time::sleep(PENDING_INTERVAL).await;
            }
        }
        self.unconfirmed.store(false, Ordering::Relaxed);
        Ok(())
    }

    async fn is_pending(&self, line: &mut Line, operation: &str) -> DeviceResult<bool> {
        let answer = line.send(PENDING).await.map_err(|error| self.failed(operation, error))?;
        // "%No Rollback Confirmed Change pending" reads like a refusal.
        Ok(answer.is_ok_and(|lines| lines.iter().any(|line| line.starts_with("Timer"))))
    }

    /// Whether there was something to revert is not asked: the timer may run out at this very moment.
    async fn revert_now(&self, line: &mut Line, operation: &str) -> DeviceResult<()> {
        self.writes.record(DRIVER, self.id.as_str(), REVERT_NOW);
        line.send(REVERT_NOW).await.map(drop).map_err(|error| self.failed(operation, error))
    }

    /// Makes a change, reads it back, and takes it back unless it is as wanted.
    pub(super) async fn make(&self, line: &mut Line, change: &Change<'_>, operation: &str) -> DeviceResult<()> {
        let typed = self.typed(&change.commands, line.can_revert);
        self.writes.record(DRIVER, self.id.as_str(), typed.join("; "));
        self.unconfirmed.store(line.can_revert, Ordering::Relaxed);
        if let Err(refusal) = line.send(&typed[0]).await.map_err(|error| self.failed(operation, error))? {
            self.unconfirmed.store(false, Ordering::Relaxed);
            return Err(self.refused(operation, refusal));
        }
        let outcome = match self.type_all(line, operation, &change.commands).await? {
            Err(refusal) => Err(self.refused(operation, refusal)),
            Ok(()) => match self.missing(line, &change.wanted, operation).await {
                Ok(None) => Ok(()),
                Ok(Some(seen)) => Err(DeviceError::new(FailureKind::Conflict, operation)
                    .because(format!("read again, {seen}"))
                    .hint(format!("something else changes switch `{}`; look who, then run again", self.id))),
                Err(error) => Err(error),
            },
        };
        if let Err(error) = outcome {
            // Of a switch that no longer answers, nothing more is known than that.
            if !line.is_open() {
                return Err(error);
            }
            let how = self.take_back(line, operation, &change.before).await?;
            self.unconfirmed.store(false, Ordering::Relaxed);
            return Err(error.evidence(how));
        }
        if line.can_revert {
            self.ask(line, CONFIRM, operation).await?;
            self.unconfirmed.store(false, Ordering::Relaxed);
        }
        if self.spec.save { self.save(line, operation).await } else { Ok(()) }
    }

    /// Types a change in configuration mode and leaves that, whatever was refused.
    async fn type_all(
        &self,
        line: &mut Line,
        operation: &str,
        commands: &[String],
    ) -> DeviceResult<Result<(), Refusal>> {
        let unreached = |error| self.failed(operation, error);
        let mut outcome = Ok(());
        for command in commands {
            match line.send(command).await.map_err(unreached)? {
                Err(refusal) if command != OPTIONAL => {
                    outcome = Err(refusal);
                    break;
                }
                _ => {}
            }
        }
        // Elsewhere `end` would be taken for the name of a host to connect to.
        if line.is_configuring() {
            line.send("end").await.map(drop).map_err(unreached)?;
        }
        Ok(outcome)
    }

    /// Puts everything back; says how that went.
    async fn take_back(&self, line: &mut Line, operation: &str, before: &Before<'_>) -> DeviceResult<String> {
        let mut refused = None;
        if line.can_revert {
            self.revert_now(line, operation).await?;
        } else {
            // What was read is not written to the log: it was never ours to show.
            self.writes.record(DRIVER, self.id.as_str(), "configure terminal; the ports as they were; end");
            self.ask(line, "configure terminal", operation).await?;
            for command in undo(before) {
                // What was never made cannot be removed: what counts is how it is afterwards.
                let answer = line.send(&command).await.map_err(|error| self.failed(operation, error))?;
                refused = refused.or(answer.err());
            }
            line.send("end").await.map(drop).map_err(|error| self.failed(operation, error))?;
        }
        let layout = self.layout(line, operation).await?;
        let left = before.made.filter(|number| layout.is_taken(*number)).map(Interface::port_channel);
        let mut other = left.map(|port_channel| port_channel.to_string());
        for (port, was) in before.ports {
            if other.is_none() && &self.section(line, port, operation).await? != was {
                other = Some(port.to_string());
            }
        }
        Ok(match (other, refused) {
            (None, _) => "everything was put back as it was".to_owned(),
            (Some(port), None) => format!("{port} is not as it was before"),
            (Some(port), Some(refusal)) => format!("{port} is not as it was before: {}", refusal.said),
        })
    }

    /// What is not as wanted, if anything.
    pub(super) async fn missing(
        &self,
        line: &mut Line,
        wanted: &Wanted<'_>,
        operation: &str,
    ) -> DeviceResult<Option<String>> {
        let layout = self.layout(line, operation).await?;
        match wanted {
            Wanted::Access { ports, vlan, gone } => {
                if let Some(number) = gone.iter().find(|number| layout.is_taken(**number)) {
                    return Ok(Some(format!("Po{number} is still there")));
                }
                for port in *ports {
                    if !self.section(line, port, operation).await?.is_access(*vlan) {
                        return Ok(Some(format!("{port} is configured otherwise")));
                    }
                }
                Ok(None)
            }
            Wanted::Lag { lag, ports } => self.missing_of_lag(line, &layout, lag, ports, operation).await,
        }
    }

    async fn missing_of_lag(
        &self,
        line: &mut Line,
        layout: &Layout,
        lag: &LagSpec,
        ports: &[Interface],
        operation: &str,
    ) -> DeviceResult<Option<String>> {
        let Some(number) = layout.number_of(&lag.name) else {
            return Ok(Some(format!("there is no LAG `{}`", lag.name)));
        };
        let mut members = layout.members(number).to_vec();
        members.sort_by_key(|port| self.place(port));
        if members != ports {
            let members: Vec<String> = members.iter().map(ToString::to_string).collect();
            return Ok(Some(format!("Po{number} has the ports {}", members.join(", "))));
        }
        let port_channel = Interface::port_channel(number);
        if !self.section(line, &port_channel, operation).await?.is_port_channel(lag.vlan, &lag.name) {
            return Ok(Some(format!("{port_channel} is configured otherwise")));
        }
        for port in ports {
            if !self.section(line, port, operation).await?.is_member(lag.vlan, number) {
                return Ok(Some(format!("{port} is configured otherwise")));
            }
        }
        Ok(None)
    }

    /// How an interface is configured.
    pub(super) async fn section(&self, line: &mut Line, port: &Interface, operation: &str) -> DeviceResult<Section> {
        Ok(Section::parse(&self.ask(line, &format!("show running-config interface {port}"), operation).await?))
    }

    async fn save(&self, line: &mut Line, operation: &str) -> DeviceResult<()> {
        let said = self.ask(line, SAVE, operation).await?;
        if said.iter().any(|line| line.contains("[OK]")) {
            return Ok(());
        }
        Err(DeviceError::new(FailureKind::Rejected, operation)
            .because("the change is in force, but was not written to the startup configuration")
            .hint(format!("try `{SAVE}` on switch `{}` by hand", self.id)))
    }
}
