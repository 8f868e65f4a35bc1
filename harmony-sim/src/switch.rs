//! Switches: ports and their modes, the MAC table, LLDP; and what Harmony may do with them.
//!
//! Commands are shown in a dialect of this simulator's own. Read next: `crate::network` for LACP.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{
    LacpFallback, LacpPortState, LagSpec, LinkState, LldpNeighbour, MacTableEntry, PortMode, PortStatus, Switch,
};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::net::{LagName, MacAddress, PortName, PortRef, SwitchId, VlanId};

use crate::machine::NicEnd;
use crate::topology::SimTopology;
use crate::world::{LLDP_INTERVAL, State};

/// How long a MAC stays in the table without a frame. Source: IEEE 802.1Q-2018 clause 8.8.3.
const AGEING: Duration = Duration::from_secs(300);
/// Speed of every link, in 10^6 bit/s.
pub(crate) const SPEED_MBPS: u32 = 1000;

/// A switch.
pub(crate) struct SwitchState {
    /// Its LACP system id.
    pub(crate) mac: MacAddress,
    /// Whether its LLDP tells its name.
    pub(crate) names_itself: bool,
    pub(crate) ports: BTreeMap<PortName, Port>,
    /// Which ports are in which LAG: an index of the ports' modes.
    pub(crate) lags: BTreeMap<LagName, BTreeSet<PortName>>,
    /// Learnt addresses: where, and when last.
    pub(crate) macs: BTreeMap<MacAddress, (PortName, Duration)>,
}

/// A switch port.
pub(crate) struct Port {
    pub(crate) mode: PortMode,
    /// When it got its mode.
    pub(crate) since: Duration,
    pub(crate) set_by_harmony: bool,
    /// Machine and NIC at the other end of its cable.
    pub(crate) cable: Option<(usize, usize)>,
    /// How long it takes to negotiate LACP.
    pub(crate) negotiation: Duration,
    /// When in each interval it sends LLDP.
    pub(crate) lldp_phase: Duration,
    /// When it last left a LAG in which it was bundled.
    pub(crate) unbundled_at: Option<Duration>,
}

impl State {
    /// Gives a port a mode; nothing happens if it has it. Whether there is such a port.
    pub(crate) fn set_port(&mut self, at: &PortRef, mode: PortMode, by_harmony: bool, now: Duration) -> bool {
        let was_bundled = self.partner(at, now).is_some();
        let Some(switch) = self.switches.get_mut(&at.switch) else { return false };
        let Some(port) = switch.ports.get_mut(&at.port) else { return false };
        if port.mode != mode {
            let keeps_lag = matches!((&port.mode, &mode),
                (PortMode::Lacp { lag: a, .. }, PortMode::Lacp { lag: b, .. }) if a == b);
            if was_bundled && !keeps_lag {
                port.unbundled_at = Some(now);
            }
            if !keeps_lag {
                port.since = now;
            }
            if let PortMode::Lacp { lag, .. } = &port.mode
                && let Some(members) = switch.lags.get_mut(lag)
            {
                members.remove(&at.port);
            }
            if let PortMode::Lacp { lag, .. } = &mode {
                switch.lags.entry(lag.clone()).or_default().insert(at.port.clone());
            }
            port.mode = mode;
            port.set_by_harmony = by_harmony;
            switch.macs.retain(|_, (name, _)| *name != at.port);
        }
        true
    }

    /// What a switch knows of the MACs behind it, after all machines have sent what they send.
    fn learn(&mut self, now: Duration) {
        let heard: Vec<_> = (0..self.machines.len()).flat_map(|id| self.sources(id, now)).collect();
        for switch in self.switches.values_mut() {
            switch.macs.retain(|_, (_, seen)| *seen + AGEING > now);
        }
        for (mac, at) in heard {
            self.switches.values_mut().for_each(|switch| drop(switch.macs.remove(&mac)));
            if let Some(switch) = self.switches.get_mut(&at.switch) {
                switch.macs.insert(mac, (at.port, now));
            }
        }
    }

    /// Writes down where a machine's frames come in now; called when it falls silent.
    pub(crate) fn learn_from(&mut self, id: usize, now: Duration) {
        for (mac, at) in self.sources(id, now) {
            if let Some(switch) = self.switches.get_mut(&at.switch) {
                switch.macs.insert(mac, (at.port, now));
            }
        }
    }

    fn port_status(&self, at: &PortRef, port: &Port, now: Duration) -> PortStatus {
        let system = self.switches.get(&at.switch).map(|switch| switch.mac);
        let has_link = port.cable.is_some_and(|(id, _)| self.machines[id].is_on());
        let partner = self.partner(at, now);
        let lacp = LacpPortState {
            system,
            partner,
            synchronised: partner.is_some(),
            collecting: partner.is_some(),
            distributing: partner.is_some(),
        };
        PortStatus {
            port: at.clone(),
            link: if has_link { LinkState::Up } else { LinkState::Down },
            speed_mbps: has_link.then_some(SPEED_MBPS),
            mode: port.mode.clone(),
            lacp: matches!(port.mode, PortMode::Lacp { .. }).then_some(lacp),
        }
    }

    /// All ports of all switches, or those asked for.
    fn port_refs(&self, asked: &[PortRef]) -> DeviceResult<Vec<PortRef>> {
        if asked.is_empty() {
            let all = self
                .switches
                .iter()
                .flat_map(|(id, s)| s.ports.keys().map(|port| PortRef::new(id.clone(), port.clone())));
            return Ok(all.collect());
        }
        match asked.iter().find(|at| self.port(at).is_none()) {
            Some(at) => Err(unknown_port(at)),
            None => Ok(asked.to_vec()),
        }
    }

    /// Whether the port sent LLDP since a NIC began to listen.
    pub(crate) fn lldp_heard(&self, port: &Port, listening_since: Duration, now: Duration) -> Option<Duration> {
        let interval = LLDP_INTERVAL.as_millis();
        let since_phase = now.checked_sub(port.lldp_phase)?;
        let age = Duration::from_millis(u64::try_from(since_phase.as_millis() % interval).unwrap_or(0));
        (now.checked_sub(age)? >= listening_since).then_some(age)
    }

    fn set_access(&mut self, ports: &[PortRef], vlan: VlanId, now: Duration) -> DeviceResult<()> {
        for at in &self.port_refs(ports)? {
            self.set_port(at, PortMode::Access { vlan }, true, now);
        }
        self.check_ports(ports, now);
        Ok(())
    }

    fn set_lacp(&mut self, lag: &LagSpec, now: Duration) -> DeviceResult<()> {
        let Some(first) = self.port_refs(&lag.ports)?.into_iter().next() else { return Ok(()) };
        for at in &lag.ports {
            if self.faults.refuses_lacp(&at.switch) {
                return Err(DeviceError::new(FailureKind::Rejected, format!("failed to bundle {at} in {}", lag.name))
                    .because("% Invalid input: this platform has no port-channels left"));
            }
        }
        // Who was in the LAG and is not named leaves it.
        for at in self.members(&first.switch, &lag.name).iter().filter(|at| !lag.ports.contains(at)) {
            self.set_port(at, PortMode::Access { vlan: lag.vlan }, true, now);
        }
        let mode = PortMode::Lacp { lag: lag.name.clone(), vlan: Some(lag.vlan), fallback: lag.fallback };
        for at in &lag.ports {
            self.set_port(at, mode.clone(), true, now);
        }
        self.check_ports(&lag.ports, now);
        Ok(())
    }

    fn set_fallback(&mut self, switch: &SwitchId, name: &LagName, enabled: bool, now: Duration) -> DeviceResult<()> {
        let members = self.members(switch, name);
        if members.is_empty() {
            return Err(DeviceError::new(FailureKind::Rejected, format!("no LAG {name} on switch {switch}")));
        }
        for at in &members {
            if let Some(PortMode::Lacp { lag, vlan, .. }) = self.port(at).map(|port| port.mode.clone()) {
                self.set_port(at, PortMode::Lacp { lag, vlan, fallback: enabled }, true, now);
            }
        }
        self.check_ports(&members, now);
        Ok(())
    }

    fn members(&self, switch: &SwitchId, lag: &LagName) -> Vec<PortRef> {
        let ports = self.switches.get(switch).and_then(|switch| switch.lags.get(lag)).into_iter().flatten();
        ports.map(|port| PortRef::new(switch.clone(), port.clone())).collect()
    }
}

fn unknown_port(at: &PortRef) -> DeviceError {
    DeviceError::new(FailureKind::Invalid, format!("no port {at} in this site"))
        .hint("check the site file against the switch")
}

fn access_command(ports: &[PortRef], vlan: VlanId) -> String {
    format!("set ports {} access vlan {vlan}", names(ports))
}

fn lacp_command(lag: &LagSpec, ports: &[PortRef]) -> String {
    let fallback = if lag.fallback { " fallback" } else { "" };
    format!("set lag {} ports {} vlan {} lacp active fast{fallback}", lag.name, names(ports), lag.vlan)
}

fn names(ports: &[PortRef]) -> String {
    ports.iter().map(|at| at.port.as_str()).collect::<Vec<_>>().join(" ")
}

/// Ports grouped by their switch: each switch gets a command of its own.
fn by_switch(ports: &[PortRef]) -> BTreeMap<SwitchId, Vec<PortRef>> {
    let mut groups: BTreeMap<SwitchId, Vec<PortRef>> = BTreeMap::new();
    for at in ports {
        groups.entry(at.switch.clone()).or_default().push(at.clone());
    }
    groups
}

#[async_trait]
impl Switch for SimTopology {
    async fn get_port_status(&self, ports: &[PortRef]) -> DeviceResult<Vec<PortStatus>> {
        self.world().ask().await;
        let now = self.world().now();
        self.world().with(|state| {
            let ports = state.port_refs(ports)?;
            Ok(ports.iter().filter_map(|at| Some(state.port_status(at, state.port(at)?, now))).collect())
        })
    }

    async fn set_ports_access_mode(&self, ports: &[PortRef], vlan: VlanId) -> DeviceResult<()> {
        for (switch, ports) in by_switch(ports) {
            let effect = async {
                let now = self.world().now();
                self.world().with(|state| state.set_access(&ports, vlan, now))
            };
            self.world().write("switch", switch.as_str(), access_command(&ports, vlan), effect).await?;
        }
        Ok(())
    }

    async fn set_ports_lacp_mode(&self, lag: &LagSpec) -> DeviceResult<()> {
        for (switch, ports) in by_switch(&lag.ports) {
            let lag = LagSpec { ports, ..lag.clone() };
            let effect = async {
                let now = self.world().now();
                self.world().with(|state| state.set_lacp(&lag, now))
            };
            self.world().write("switch", switch.as_str(), lacp_command(&lag, &lag.ports), effect).await?;
        }
        Ok(())
    }

    async fn mac_table(&self) -> DeviceResult<Vec<MacTableEntry>> {
        self.world().ask().await;
        let now = self.world().now();
        self.world().with(|state| {
            state.learn(now);
            let vlan = Some(state.network.vlan);
            let entries = state.switches.iter().flat_map(|(id, switch)| {
                let entry = |(mac, (port, _)): (&MacAddress, &(PortName, Duration))| MacTableEntry {
                    mac: *mac,
                    port: PortRef::new(id.clone(), port.clone()),
                    vlan,
                };
                switch.macs.iter().map(entry).collect::<Vec<_>>()
            });
            Ok(entries.collect())
        })
    }

    async fn lldp_neighbours(&self) -> DeviceResult<Vec<LldpNeighbour>> {
        self.world().ask().await;
        self.world().with(|state| {
            let senders = state.machines.iter().filter(|machine| machine.sends_lldp && machine.is_on());
            let neighbours = senders.flat_map(|machine| {
                let nics =
                    machine.nics.iter().filter(|nic| matches!(nic.end, NicEnd::Plain) && machine.running.is_live());
                nics.filter_map(|nic| {
                    let port_id = nic.mac.to_string();
                    let chassis = machine.nics.first()?.mac.to_string();
                    Some(LldpNeighbour {
                        port: nic.port.clone()?,
                        chassis,
                        port_id,
                        system_name: Some("localhost".to_owned()),
                    })
                })
            });
            let mut neighbours: Vec<_> = neighbours.collect();
            neighbours.sort_by(|a, b| a.port.cmp(&b.port));
            Ok(neighbours)
        })
    }

    fn access_mode_commands(&self, ports: &[PortRef], vlan: VlanId) -> Vec<String> {
        by_switch(ports).values().map(|ports| access_command(ports, vlan)).collect()
    }

    fn lacp_mode_commands(&self, lag: &LagSpec) -> Vec<String> {
        by_switch(&lag.ports).values().map(|ports| lacp_command(lag, ports)).collect()
    }
}

#[async_trait]
impl LacpFallback for SimTopology {
    async fn set_lacp_fallback(&self, switch: &SwitchId, lag: &LagName, enabled: bool) -> DeviceResult<()> {
        let command = format!("set lag {lag} fallback {}", if enabled { "on" } else { "off" });
        let effect = async {
            let now = self.world().now();
            self.world().with(|state| state.set_fallback(switch, lag, enabled, now))
        };
        self.world().write("switch", switch.as_str(), command, effect).await
    }
}
