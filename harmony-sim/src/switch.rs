//! Switches: ports and their modes, the MAC table, LLDP; and what Harmony may do with them.
//!
//! Commands are shown in a dialect of this simulator's own. Read next: `crate::lacp`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{
    LacpFallback, LacpPortState, LagSpec, LinkState, LldpNeighbour, MacTableEntry, PortMode, PortStatus, Switch,
};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::net::{LagName, MacAddress, PortName, PortRef, SwitchId, VlanId};

use crate::lacp::Mux;
use crate::machine::NicEnd;
use crate::spec::{LacpRate, Unpartnered};
use crate::topology::SimTopology;
use crate::world::{LLDP_INTERVAL, State};

/// How long a MAC stays in the table without a frame. Source: IEEE 802.1Q-2018 clause 8.8.3.
const AGEING: Duration = Duration::from_secs(300);
/// Speed of every link, in 10^6 bit/s.
pub(crate) const SPEED_MBPS: u32 = 1000;

/// A switch.
pub(crate) struct SwitchState {
    /// Its chassis id in LLDP.
    pub(crate) mac: MacAddress,
    /// Whether its LLDP tells its name.
    pub(crate) names_itself: bool,
    pub(crate) lacp_rate: LacpRate,
    pub(crate) unpartnered: Unpartnered,
    pub(crate) mlag: Option<Mlag>,
    pub(crate) ports: BTreeMap<PortName, Port>,
    /// Which ports are in which LAG: an index of the ports' modes.
    pub(crate) lags: BTreeMap<LagName, BTreeSet<PortName>>,
    /// Learnt addresses: where, and when last.
    pub(crate) macs: BTreeMap<MacAddress, (PortName, Duration)>,
}

/// The pair of which a switch is one.
pub(crate) struct Mlag {
    pub(crate) peer: SwitchId,
    /// The pair's LACP system id.
    pub(crate) system: MacAddress,
    /// The own port to the peer.
    pub(crate) peer_link: PortName,
}

impl SwitchState {
    /// The system id that its LACP partners hear.
    pub(crate) fn lacp_system(&self) -> MacAddress {
        self.mlag.as_ref().map_or(self.mac, |mlag| mlag.system)
    }
}

/// A switch port.
pub(crate) struct Port {
    pub(crate) mode: PortMode,
    /// Whether it forwards without waiting for spanning tree.
    pub(crate) edge: bool,
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
        self.close_flips(now);
        let was_bundled = self.partner(at, now).is_some();
        let Some(port) = self.port(at) else { return false };
        let begins_flip =
            by_harmony && matches!(mode, PortMode::Lacp { .. }) && !matches!(port.mode, PortMode::Lacp { .. });
        let behind = port.cable.map(|(id, _)| (id, self.machines[id].all_macs()));
        if let Some((id, _)) = behind.as_ref().filter(|_| begins_flip) {
            self.check_flip(*id, now);
        }
        let Some(switch) = self.switches.get_mut(&at.switch) else { return false };
        let Some(port) = switch.ports.get_mut(&at.port) else { return false };
        port.edge |= by_harmony;
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
            // Only what is at the other end of the cable can have been learnt here.
            for mac in behind.iter().flat_map(|(_, macs)| macs) {
                if switch.macs.get(mac).is_some_and(|(name, _)| *name == at.port) {
                    switch.macs.remove(mac);
                }
            }
        }
        true
    }

    /// What a switch knows of the MACs behind it, after all machines have sent what they send.
    pub(crate) fn learn(&mut self, now: Duration) {
        let heard: Vec<_> = (0..self.machines.len()).flat_map(|id| self.sources(id, now)).collect();
        for switch in self.switches.values_mut() {
            switch.macs.retain(|_, (_, seen)| *seen + AGEING > now);
        }
        for (mac, at) in heard {
            self.learn_at(mac, at, now);
        }
    }

    /// An address is where its frames came in last, and nowhere else; the other switch of a pair
    /// knows it behind the link between them.
    fn learn_at(&mut self, mac: MacAddress, at: PortRef, now: Duration) {
        self.switches.values_mut().for_each(|switch| drop(switch.macs.remove(&mac)));
        let Some(switch) = self.switches.get_mut(&at.switch) else { return };
        switch.macs.insert(mac, (at.port, now));
        let peer = switch.mlag.as_ref().map(|mlag| mlag.peer.clone());
        if let Some(peer) = peer.and_then(|peer| self.switches.get_mut(&peer))
            && let Some(mlag) = &peer.mlag
        {
            peer.macs.insert(mac, (mlag.peer_link.clone(), now));
        }
    }

    /// Writes down where a machine's frames come in now; called when it falls silent.
    pub(crate) fn learn_from(&mut self, id: usize, now: Duration) {
        for (mac, at) in self.sources(id, now) {
            self.learn_at(mac, at, now);
        }
    }

    /// Whom switches hear.
    pub(crate) fn lldp_neighbours(&self) -> Vec<LldpNeighbour> {
        let senders = self.machines.iter().filter(|machine| machine.sends_lldp && machine.is_on());
        let neighbours = senders.flat_map(|machine| {
            let nics = machine.nics.iter().filter(|nic| matches!(nic.end, NicEnd::Plain) && machine.running.is_live());
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
        neighbours
    }

    pub(crate) fn port_status(&self, at: &PortRef, port: &Port, now: Duration) -> PortStatus {
        let has_link = port.cable.is_some_and(|(id, nic)| self.link_since(id, nic, now).is_some());
        let lacp = self.lacp(at, now).map(|lacp| LacpPortState {
            system: Some(lacp.system),
            partner: lacp.partner,
            synchronised: lacp.mux >= Mux::Attached,
            collecting: lacp.mux >= Mux::Collecting,
            distributing: lacp.mux >= Mux::Distributing,
        });
        PortStatus {
            port: at.clone(),
            link: if has_link { LinkState::Up } else { LinkState::Down },
            speed_mbps: has_link.then_some(SPEED_MBPS),
            mode: port.mode.clone(),
            lacp,
        }
    }

    /// All ports of all switches, or those asked for.
    pub(crate) fn port_refs(&self, asked: &[PortRef]) -> DeviceResult<Vec<PortRef>> {
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

    /// Puts ports of one switch into access mode. With the connection cut, only the first of them.
    pub(crate) fn set_access(
        &mut self,
        switch: &SwitchId,
        ports: &[PortRef],
        vlan: VlanId,
        now: Duration,
    ) -> DeviceResult<()> {
        let what = || format!("failed to set {} to access mode on {switch}", names(ports));
        let ports = self.port_refs(ports)?;
        self.refuse_command(switch, what)?;
        let (done, result) = self.cut_short(switch, &ports, what);
        for at in done {
            self.set_port(at, PortMode::Access { vlan }, true, now);
        }
        self.check_ports(done, now);
        result
    }

    /// An error, where a fault makes this switch reject this command.
    fn refuse_command(&self, switch: &SwitchId, what: impl Fn() -> String) -> DeviceResult<()> {
        if !self.faults.rejects_command(switch) {
            return Ok(());
        }
        Err(DeviceError::new(FailureKind::Rejected, what()).because("% Invalid input detected at '^' marker."))
    }

    /// How many of these ports a command gets to, and what comes back.
    fn cut_short<'a>(
        &self,
        switch: &SwitchId,
        ports: &'a [PortRef],
        what: impl Fn() -> String,
    ) -> (&'a [PortRef], DeviceResult<()>) {
        if ports.len() < 2 || !self.faults.cuts_command(switch) {
            return (ports, Ok(()));
        }
        let cut = DeviceError::new(FailureKind::Unreachable, what()).because("connection reset by peer");
        (&ports[..1], Err(cut))
    }

    /// Bundles ports of one switch. With the connection cut, only the first of them.
    pub(crate) fn set_lacp(&mut self, lag: &LagSpec, now: Duration) -> DeviceResult<()> {
        let Some(first) = self.port_refs(&lag.ports)?.into_iter().next() else { return Ok(()) };
        let switch = first.switch;
        let what = || format!("failed to bundle {} in {} on {switch}", names(&lag.ports), lag.name);
        if self.faults.refuses_lacp(&switch) {
            return Err(DeviceError::new(FailureKind::Rejected, what())
                .because("% Invalid input: this platform has no port-channels left"));
        }
        self.refuse_command(&switch, what)?;
        let (done, result) = self.cut_short(&switch, &lag.ports, what);
        // Who was in the LAG and is not named leaves it.
        for at in self.members(&switch, &lag.name).iter().filter(|at| !lag.ports.contains(at)) {
            self.set_port(at, PortMode::Access { vlan: lag.vlan }, true, now);
        }
        let mode = PortMode::Lacp { lag: lag.name.clone(), vlan: Some(lag.vlan), fallback: lag.fallback };
        for at in done {
            self.set_port(at, mode.clone(), true, now);
        }
        self.check_ports(done, now);
        result
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

    pub(crate) fn members(&self, switch: &SwitchId, lag: &LagName) -> Vec<PortRef> {
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

impl SimTopology {
    /// A question to the switches of these ports, or to all.
    async fn ask_switches(&self, ports: &[PortRef]) -> DeviceResult<()> {
        self.world().ask().await;
        let asked: BTreeSet<SwitchId> = match ports {
            [] => self.world().with(|state| state.switches.keys().cloned().collect()),
            ports => ports.iter().map(|at| at.switch.clone()).collect(),
        };
        asked.iter().try_for_each(|switch| self.world().log_in("switch", switch.as_str()))
    }
}

#[async_trait]
impl Switch for SimTopology {
    async fn get_port_status(&self, ports: &[PortRef]) -> DeviceResult<Vec<PortStatus>> {
        self.ask_switches(ports).await?;
        let now = self.world().now();
        self.world().with(|state| {
            // What Harmony sees bundled is: a link that breaks after that begins no flip.
            state.close_flips(now);
            let ports = state.port_refs(ports)?;
            Ok(ports.iter().filter_map(|at| Some(state.port_status(at, state.port(at)?, now))).collect())
        })
    }

    async fn set_ports_access_mode(&self, ports: &[PortRef], vlan: VlanId) -> DeviceResult<()> {
        for (switch, ports) in by_switch(ports) {
            self.world().log_in("switch", switch.as_str())?;
            let effect = async {
                let now = self.world().now();
                self.world().with(|state| state.set_access(&switch, &ports, vlan, now))
            };
            self.world().write("switch", switch.as_str(), access_command(&ports, vlan), effect).await?;
        }
        Ok(())
    }

    async fn set_ports_lacp_mode(&self, lag: &LagSpec) -> DeviceResult<()> {
        for (switch, ports) in by_switch(&lag.ports) {
            self.world().log_in("switch", switch.as_str())?;
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
        self.ask_switches(&[]).await?;
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
        self.ask_switches(&[]).await?;
        Ok(self.world().with(|state| state.lldp_neighbours()))
    }

    fn lags_fall_back(&self, switch: &SwitchId) -> bool {
        self.world().with(|state| state.switches.contains_key(switch))
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
        self.world().log_in("switch", switch.as_str())?;
        let command = format!("set lag {lag} fallback {}", if enabled { "on" } else { "off" });
        let effect = async {
            let now = self.world().now();
            self.world().with(|state| state.set_fallback(switch, lag, enabled, now))
        };
        self.world().write("switch", switch.as_str(), command, effect).await
    }
}
