//! Cisco IOS and IOS-XE, over SSH.
//!
//! Owns one switch, or one stack. A LAG is a port-channel whose description is `harmony:` and the
//! LAG's name, so that its number is found again whoever looks. Does not know which host is behind a
//! port.
//!
//! Limits of the product:
//! - Where a lone port of a port-channel works by itself is decided by platform and release and
//!   cannot be read, so there is no fallback, and one that is asked for is refused.
//! - What was learnt on a port-channel is listed under its name, so which member it came in by is not
//!   known; such addresses are left out of [`Switch::mac_table`].
//! - Without `archive` in the switch's configuration there is no revert timer; then a change that is
//!   cut off in the middle stays, until the next one states what is wanted.
//!
//! Read next: `commands` for what is typed, `change` for how, `show` for what is read.

mod answer;
mod change;
mod commands;
mod interface;
mod reading;
mod session;
mod show;
mod spec;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use harmony_core::capability::{LagSpec, LldpNeighbour, MacTableEntry, PortStatus, Switch};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::net::{MacAddress, PortRef, SwitchId, VlanId};

use crate::WriteLog;
use crate::host::ssh::known_hosts::KnownHosts;
use change::{Change, Wanted};
use commands::{Before, Lag};
use interface::Interface;
use reading::{Lacp, Layout, Reading};
use session::Line;
use show::running::Section;
use show::{description, etherchannel, interfaces_status, lacp, lldp, mac_table, switchport};
pub use spec::CiscoIosSpec;

/// Name of this driver in the site file and in the [`WriteLog`].
pub const DRIVER: &str = "cisco_ios";

/// A switch that runs Cisco IOS or IOS-XE.
pub struct CiscoIos {
    id: SwitchId,
    spec: CiscoIosSpec,
    host_ports: Vec<Interface>,
    known_hosts: KnownHosts,
    writes: WriteLog,
    /// The session, used by one operation at a time.
    session: tokio::sync::Mutex<Option<Line>>,
    /// Whether a change of ours may wait for its revert timer. Read and written within the session.
    unconfirmed: AtomicBool,
    last: Mutex<Last>,
}

/// What was last read, for the text of plans.
#[derive(Default)]
struct Last {
    layout: Layout,
    can_revert: bool,
}

/// A command that the switch refused.
#[derive(Debug, thiserror::Error)]
#[error("`{switch}` answers `{command}` with: {said}")]
pub(crate) struct Refusal {
    /// The switch, by its own name.
    switch: String,
    command: String,
    said: String,
}

impl CiscoIos {
    /// The switch `id`. Nothing is contacted yet. `state_dir` keeps the file `known_hosts`.
    #[must_use]
    pub fn new(id: SwitchId, spec: CiscoIosSpec, state_dir: &Path, writes: WriteLog) -> Self {
        let host_ports = spec.host_ports.iter().filter_map(|port| Interface::parse(port.as_str())).collect();
        Self {
            id,
            spec,
            host_ports,
            known_hosts: KnownHosts::new(crate::host::ssh::known_hosts_in(state_dir)),
            writes,
            session: tokio::sync::Mutex::default(),
            unconfirmed: AtomicBool::new(false),
            last: Mutex::default(),
        }
    }

    /// The session, out of its place: whoever is dropped in the middle drops it too.
    async fn take(&self, kept: &mut Option<Line>, operation: &str) -> DeviceResult<Line> {
        let line = self.line(kept.take(), operation).await?;
        self.last().can_revert = line.can_revert;
        Ok(line)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which port is in which port-channel.
    async fn layout(&self, line: &mut Line, operation: &str) -> DeviceResult<Layout> {
        let groups = etherchannel::parse(&self.ask(line, "show etherchannel summary", operation).await?);
        let described = description::port_channels(&self.ask(line, "show interfaces description", operation).await?);
        let layout = Layout::new(&groups, &described);
        self.last().layout = layout.clone();
        Ok(layout)
    }

    /// Reads all ports, once nothing is pending.
    async fn read(&self, line: &mut Line, operation: &str) -> DeviceResult<Reading> {
        self.settle(line, operation).await?;
        let rows = interfaces_status::parse(&self.ask(line, "show interfaces status", operation).await?);
        let switchports = switchport::parse(&self.ask(line, "show interfaces switchport", operation).await?);
        let layout = self.layout(line, operation).await?;
        let mut state = Lacp::default();
        if layout.has_groups() {
            state.actors = lacp::internal(&self.ask(line, "show lacp internal", operation).await?);
            state.partners = lacp::neighbours(&self.ask(line, "show lacp neighbor", operation).await?);
            state.system = lacp::system_id(&self.ask(line, "show lacp sys-id", operation).await?);
        }
        Ok(Reading::new(rows, switchports, layout, state))
    }

    /// The interfaces of ports of this switch that may be used, in order, none twice.
    fn host_interfaces(&self, ports: &[PortRef]) -> DeviceResult<Vec<Interface>> {
        let known = || self.host_ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let mut interfaces = Vec::new();
        for port in ports {
            let interface = Interface::parse(port.port.as_str()).filter(|_| port.switch == self.id);
            let Some(interface) = interface else {
                return Err(DeviceError::new(
                    FailureKind::Invalid,
                    format!("switch `{}` has no port `{}`", self.id, port.port),
                )
                .hint(format!("its host ports are: {}", known())));
            };
            if !self.host_ports.contains(&interface) {
                return Err(DeviceError::new(FailureKind::Invalid, format!("port `{port}` is no host port")).hint(
                    format!(
                        "`host_ports` of the switch in the site file are: {}; add it if a server is plugged into it",
                        known()
                    ),
                ));
            }
            if !interfaces.contains(&interface) {
                interfaces.push(interface);
            }
        }
        interfaces.sort_by_key(|interface| self.place(interface));
        Ok(interfaces)
    }

    /// Where a port is in the site file.
    fn place(&self, port: &Interface) -> usize {
        self.host_ports.iter().position(|own| own == port).unwrap_or(usize::MAX)
    }

    fn must_have(&self, reading: &Reading, ports: &[Interface]) -> DeviceResult<()> {
        let Some(missing) = ports.iter().find(|port| !reading.has(port)) else { return Ok(()) };
        Err(DeviceError::new(FailureKind::Invalid, format!("switch `{}` has no port `{missing}`", self.id))
            .hint("compare `host_ports` in the site file with `show interfaces status` on the switch"))
    }

    async fn sections(
        &self,
        line: &mut Line,
        ports: &[Interface],
        operation: &str,
    ) -> DeviceResult<Vec<(Interface, Section)>> {
        let mut sections = Vec::new();
        for port in ports {
            sections.push((port.clone(), self.section(line, port, operation).await?));
        }
        Ok(sections)
    }

    async fn port_channels(
        &self,
        line: &mut Line,
        numbers: &[u16],
        operation: &str,
    ) -> DeviceResult<Vec<(u16, Section)>> {
        let mut sections = Vec::new();
        for number in numbers {
            sections.push((*number, self.section(line, &Interface::port_channel(*number), operation).await?));
        }
        Ok(sections)
    }

    fn shown(ports: &[PortRef]) -> String {
        let ports: Vec<String> = ports.iter().map(|port| format!("`{port}`")).collect();
        format!("{} {}", if ports.len() == 1 { "port" } else { "ports" }, ports.join(", "))
    }

    /// The commands of LACP mode and the number that they use.
    fn lag_commands(&self, layout: &Layout, lag: &LagSpec, ports: &[Interface]) -> Option<(u16, Vec<String>)> {
        let place = ports.first().map_or(0, |first| self.place(first));
        let number = layout.number_for(&lag.name, place, self.spec.port_channels)?;
        let in_another = |port: &&Interface| layout.group_of(port).is_some_and(|own| own != number);
        let leaving: Vec<Interface> = ports.iter().filter(in_another).cloned().collect();
        let emptied = layout.emptied(&leaving, Some(number));
        let lag = Lag { number, name: &lag.name, vlan: lag.vlan, ports, leaving: &leaving, emptied: &emptied };
        Some((number, commands::lacp(&lag)))
    }
}

/// Puts a session back, if it can be used again.
fn keep(place: &mut Option<Line>, line: Line) {
    *place = Some(line).filter(Line::is_open);
}

#[async_trait]
impl Switch for CiscoIos {
    async fn get_port_status(&self, ports: &[PortRef]) -> DeviceResult<Vec<PortStatus>> {
        let operation = format!("failed to read the ports of switch `{}`", self.id);
        let asked = self.host_interfaces(ports)?;
        let mut session = self.session.lock().await;
        let mut line = self.take(&mut session, &operation).await?;
        let reading = self.read(&mut line, &operation).await;
        keep(&mut session, line);
        let reading = reading?;
        self.must_have(&reading, &asked)?;
        let mut wanted = ports.to_vec();
        if wanted.is_empty() {
            let known = self.host_ports.iter().filter(|port| reading.has(port)).filter_map(Interface::port_name);
            wanted = known.map(|port| PortRef::new(self.id.clone(), port)).collect();
        }
        let status = |at: &PortRef| reading.status(at, &Interface::parse(at.port.as_str())?);
        Ok(wanted.iter().filter_map(status).collect())
    }

    async fn set_ports_access_mode(&self, ports: &[PortRef], vlan: VlanId) -> DeviceResult<()> {
        let interfaces = self.host_interfaces(ports)?;
        if interfaces.is_empty() {
            return Ok(());
        }
        let operation = format!("failed to put {} into access mode, VLAN {vlan}", Self::shown(ports));
        let mut session = self.session.lock().await;
        let mut line = self.take(&mut session, &operation).await?;
        let result = self.set_access(&mut line, &interfaces, vlan, &operation).await;
        keep(&mut session, line);
        result
    }

    async fn set_ports_lacp_mode(&self, lag: &LagSpec) -> DeviceResult<()> {
        let interfaces = self.host_interfaces(&lag.ports)?;
        let operation =
            format!("failed to bundle {} in LAG `{}`, VLAN {}", Self::shown(&lag.ports), lag.name, lag.vlan);
        let refuse = |why: &str| Err(DeviceError::new(FailureKind::Invalid, operation.clone()).because(why.to_owned()));
        if interfaces.is_empty() {
            return refuse("a LAG has one port or more");
        }
        if lag.fallback {
            return refuse("Cisco IOS has no LACP fallback that can be relied on");
        }
        let mut session = self.session.lock().await;
        let mut line = self.take(&mut session, &operation).await?;
        let result = self.set_lag(&mut line, lag, &interfaces, &operation).await;
        keep(&mut session, line);
        result
    }

    async fn mac_table(&self) -> DeviceResult<Vec<MacTableEntry>> {
        let operation = format!("failed to read the MAC table of switch `{}`", self.id);
        let mut session = self.session.lock().await;
        let mut line = self.take(&mut session, &operation).await?;
        let lines = self.ask(&mut line, "show mac address-table", &operation).await;
        keep(&mut session, line);
        let entry = |(mac, interface, vlan): (MacAddress, Interface, Option<VlanId>)| {
            let port = interface.port_name().filter(|_| interface.port_channel_number().is_none())?;
            Some(MacTableEntry { mac, port: PortRef::new(self.id.clone(), port), vlan })
        };
        Ok(mac_table::learnt(&mac_table::parse(&lines?)).into_iter().filter_map(entry).collect())
    }

    async fn lldp_neighbours(&self) -> DeviceResult<Vec<LldpNeighbour>> {
        let operation = format!("failed to read the LLDP neighbours of switch `{}`", self.id);
        let mut session = self.session.lock().await;
        let mut line = self.take(&mut session, &operation).await?;
        let answer = line.send("show lldp neighbors detail").await;
        keep(&mut session, line);
        let lines = match answer.map_err(|error| self.failed(&operation, error))? {
            Ok(lines) => lines,
            // It hears nobody, and says why.
            Err(refusal) if refusal.said.contains("LLDP is not enabled") => Vec::new(),
            Err(refusal) => return Err(self.refused(&operation, refusal)),
        };
        let neighbour = |heard: lldp::Neighbour| {
            let port = PortRef::new(self.id.clone(), heard.local?.port_name()?);
            // "5254.0000.0101": a MAC in any notation is the same NIC.
            let same = |text: String| text.parse::<MacAddress>().map_or(text, |mac| mac.to_string());
            let (chassis, port_id) = (same(heard.chassis), same(heard.port_id));
            Some(LldpNeighbour { port, chassis, port_id, system_name: heard.system_name })
        };
        Ok(lldp::parse(&lines).into_iter().filter_map(neighbour).collect())
    }

    fn access_mode_commands(&self, ports: &[PortRef], vlan: VlanId) -> Vec<String> {
        let interfaces = self.host_interfaces(ports).unwrap_or_default();
        let last = self.last();
        let emptied = last.layout.emptied(&interfaces, None);
        self.typed(&commands::access(&interfaces, vlan, &emptied), last.can_revert)
    }

    fn lacp_mode_commands(&self, lag: &LagSpec) -> Vec<String> {
        let interfaces = self.host_interfaces(&lag.ports).unwrap_or_default();
        let last = self.last();
        let commands = self.lag_commands(&last.layout, lag, &interfaces).map(|(_, commands)| commands);
        self.typed(&commands.unwrap_or_default(), last.can_revert)
    }
}

impl CiscoIos {
    async fn set_access(
        &self,
        line: &mut Line,
        ports: &[Interface],
        vlan: VlanId,
        operation: &str,
    ) -> DeviceResult<()> {
        let reading = self.read(line, operation).await?;
        self.must_have(&reading, ports)?;
        let mut before = self.sections(line, ports, operation).await?;
        before.retain(|(_, section)| !section.is_access(vlan));
        let open: Vec<Interface> = before.iter().map(|(port, _)| port.clone()).collect();
        if open.is_empty() {
            return Ok(());
        }
        let emptied = reading.layout.emptied(&open, None);
        let port_channels = self.port_channels(line, &emptied, operation).await?;
        let change = Change {
            commands: commands::access(&open, vlan, &emptied),
            wanted: Wanted::Access { ports: &open, vlan, gone: &emptied },
            before: Before { ports: &before, port_channels: &port_channels, made: None },
        };
        self.make(line, &change, operation).await
    }

    async fn set_lag(&self, line: &mut Line, lag: &LagSpec, ports: &[Interface], operation: &str) -> DeviceResult<()> {
        let reading = self.read(line, operation).await?;
        self.must_have(&reading, ports)?;
        let wanted = Wanted::Lag { lag, ports };
        if self.missing(line, &wanted, operation).await?.is_none() {
            return Ok(());
        }
        let layout = &reading.layout;
        let existing = layout.number_of(&lag.name);
        // A member that the LAG is to lose must first be given a mode of its own by its owner.
        let members = existing.map_or(&[][..], |number| layout.members(number));
        if let Some(other) = members.iter().find(|member| !ports.contains(member)) {
            return Err(DeviceError::new(FailureKind::Conflict, operation)
                .because(format!("`{}` exists and has port `{other}`", lag.name))
                .hint(format!("put port `{}/{other}` into access mode first, or name the LAG otherwise", self.id)));
        }
        let Some((number, commands)) = self.lag_commands(layout, lag, ports) else {
            let [first, last] = self.spec.port_channels;
            return Err(DeviceError::new(FailureKind::Rejected, operation)
                .because(format!("all port-channels from {first} to {last} are taken"))
                .hint(format!("allow more by `port_channels` of switch `{}` in the site file", self.id)));
        };
        let mut touched = layout.emptied(ports, Some(number));
        touched.extend(existing);
        let (before, port_channels) =
            (self.sections(line, ports, operation).await?, self.port_channels(line, &touched, operation).await?);
        let made = existing.is_none().then_some(number);
        let before = Before { ports: &before, port_channels: &port_channels, made };
        self.make(line, &Change { commands, wanted, before }, operation).await
    }
}
