//! One switch behind its sessions: its configuration, kept in agreement with the world.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use harmony_core::capability::PortMode;
use harmony_core::error::DeviceResult;
use harmony_core::net::{PortRef, SwitchId};

use super::config::{Config, Outcome, Refused};
use super::interface::Interface;
use super::revert::Revert;
use super::{Credentials, Personality};
use crate::world::{Shared, State};

/// Name under which the world writes down what is done to switches.
const DRIVER: &str = "switch";

/// A switch and who is on it.
pub(super) struct Device {
    pub(super) world: Arc<Shared>,
    pub(super) switch: SwitchId,
    pub(super) credentials: Credentials,
    pub(super) personality: Personality,
    pub(super) revert: Mutex<Option<Revert>>,
    config: Mutex<Config>,
    sessions: AtomicUsize,
}

/// A line of a session, free again when this is dropped.
pub(super) struct Line(Arc<Device>);

impl Drop for Line {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Device {
    pub(super) fn new(
        world: Arc<Shared>,
        switch: SwitchId,
        credentials: Credentials,
        personality: Personality,
    ) -> Self {
        let mut config = Config::default();
        config.vlans.extend([1, world.network.vlan.get()]);
        Self {
            world,
            switch,
            credentials,
            personality,
            revert: Mutex::default(),
            config: Mutex::new(config),
            sessions: AtomicUsize::new(0),
        }
    }

    /// As in its prompts.
    pub(super) fn name(&self) -> &str {
        self.switch.as_str()
    }

    /// A line for another session, if one is free.
    pub(super) fn line(self: &Arc<Self>) -> Option<Line> {
        let lines = self.personality.lines;
        let taken = self
            .sessions
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| (taken < lines).then_some(taken + 1));
        taken.ok().map(|_| Line(Arc::clone(self)))
    }

    /// Looks at configuration and world together.
    pub(super) fn look<R>(&self, work: impl FnOnce(&Config, &mut State) -> R) -> R {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.world.now();
        self.world.with(|state| {
            state.close_flips(now);
            self.adopt(&mut config, state);
            work(&config, state)
        })
    }

    /// Takes over what was done to the ports elsewhere: by hand, or in process.
    fn adopt(&self, config: &mut Config, state: &State) {
        let Some(switch) = state.switches.get(&self.switch) else { return };
        for (name, port) in &switch.ports {
            if let Some(interface) = Interface::parse(name.as_str()) {
                config.adopt(&interface, &port.mode, port.edge);
            }
        }
    }

    /// The port of the world with this name.
    pub(super) fn port(&self, state: &State, interface: &Interface) -> Option<PortRef> {
        let name = state.switches.get(&self.switch)?.ports.keys().find(|name| interface.is(name))?;
        Some(PortRef::new(self.switch.clone(), name.clone()))
    }

    /// Changes the configuration, and with it the world, as one write. A change that changes nothing
    /// is none. `Err` is a fault of the connection, the inner `Err` what the switch says instead.
    pub(super) async fn change(
        &self,
        command: String,
        edit: impl Fn(&mut Config) -> Result<Outcome, Refused> + Send + Sync,
    ) -> DeviceResult<Result<Outcome, Refused>> {
        let (before, mut after) = self.look(|config, _| (config.clone(), config.clone()));
        let outcome = edit(&mut after);
        if outcome.is_err() || before == after {
            self.world.ask().await;
            return Ok(outcome);
        }
        let effect = async {
            if self.world.with(|state| state.faults.rejects_command(&self.switch)) {
                return Ok(Err("% Invalid input detected at '^' marker.".to_owned()));
            }
            Ok(self.set(edit))
        };
        self.world.write(DRIVER, self.switch.as_str(), command, effect).await
    }

    /// Puts an older configuration back, as the switch does by itself.
    pub(super) fn restore(&self, older: &Config) {
        let back = |config: &mut Config| {
            config.clone_from(older);
            Ok(Outcome::Silent)
        };
        drop(self.set(back));
    }

    /// Edits configuration and ports. They count as set by Harmony, whose timer it is that reverts.
    fn set(&self, edit: impl Fn(&mut Config) -> Result<Outcome, Refused>) -> Result<Outcome, Refused> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.world.now();
        self.world.with(|state| {
            self.adopt(&mut config, state);
            let before = config.clone();
            let outcome = edit(&mut config)?;
            let mut changed = Vec::new();
            for (port, section) in &config.ports {
                let (was, mode) = (before.mode(port), config.mode(port));
                let was_edge = before.ports.get(port).map(|section| section.portfast);
                if was == mode && was_edge == Some(section.portfast) {
                    continue;
                }
                let (Some(at), Some(mode)) = (self.port(state, port), mode) else { continue };
                if was.as_ref() != Some(&mode) {
                    state.set_port(&at, mode, true, now);
                    changed.push(at.clone());
                }
                self.set_edge(state, &at, section.portfast);
            }
            state.check_ports(&changed, now);
            Ok(outcome)
        })
    }

    fn set_edge(&self, state: &mut State, at: &PortRef, edge: bool) {
        let port = state.switches.get_mut(&self.switch).and_then(|switch| switch.ports.get_mut(&at.port));
        if let Some(port) = port.filter(|port| matches!(port.mode, PortMode::Access { .. })) {
            port.edge = edge;
        }
    }
}
