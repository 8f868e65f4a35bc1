//! The running configuration of a switch's interfaces, and what it makes of the world's ports.
//!
//! Pure: a line of configuration changes it or is refused in the device's words.

use std::collections::{BTreeMap, BTreeSet};

use harmony_core::capability::PortMode;
use harmony_core::net::{LagName, VlanId};

use super::grammar::{Command, Verb};
use super::interface::Interface;

/// Port-channels that this platform has.
const MAX_PORT_CHANNEL: u16 = 128;
/// Description that ties a port-channel to the name of the world's LAG.
const LAG_PREFIX: &str = "harmony:";

/// `switchport mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switchport {
    Dynamic,
    Access,
    Trunk,
}

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) description: Option<String>,
    pub(super) mode: Switchport,
    pub(super) vlan: u16,
    pub(super) portfast: bool,
    pub(super) shutdown: bool,
    pub(super) lacp_fast: bool,
    /// Number and mode of its port-channel.
    pub(super) group: Option<(u16, String)>,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            description: None,
            mode: Switchport::Dynamic,
            vlan: 1,
            portfast: false,
            shutdown: false,
            lacp_fast: false,
            group: None,
        }
    }
}

/// All interfaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) ports: BTreeMap<Interface, Section>,
    pub(super) port_channels: BTreeMap<u16, Section>,
    /// VLANs that are there.
    pub(super) vlans: BTreeSet<u16>,
}

/// What a line does beside what it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Silent,
    /// It says something, in lines.
    Note(String),
}

/// What is not possible, in the device's words.
pub(super) type Refused = String;

impl Config {
    /// How a port works, in words of the world.
    pub(super) fn mode(&self, port: &Interface) -> Option<PortMode> {
        let section = self.ports.get(port)?;
        let unrecognised = |text: &str| PortMode::Unrecognised { text: text.to_owned() };
        if section.shutdown {
            return Some(unrecognised("shutdown"));
        }
        if let Some((number, mode)) = &section.group {
            let channel = self.port_channels.get(number)?;
            if mode == "on" {
                return Some(unrecognised("static port-channel"));
            }
            let vlan = if channel.mode == Switchport::Access { channel.vlan } else { 1 };
            return Some(PortMode::Lacp {
                lag: self.lag(*number)?,
                vlan: VlanId::try_from(vlan).ok(),
                fallback: false,
            });
        }
        Some(match section.mode {
            Switchport::Access => PortMode::Access { vlan: VlanId::try_from(section.vlan).ok()? },
            Switchport::Trunk => unrecognised("trunk"),
            Switchport::Dynamic => unrecognised("dynamic auto"),
        })
    }

    /// The world's name for a port-channel.
    fn lag(&self, number: u16) -> Option<LagName> {
        let described = self.port_channels.get(&number)?.description.as_deref();
        let named = described.and_then(|text| text.strip_prefix(LAG_PREFIX)?.parse().ok());
        named.or_else(|| format!("Po{number}").parse().ok())
    }

    /// Takes over how a port works in the world, where that is not what is configured.
    pub(super) fn adopt(&mut self, port: &Interface, mode: &PortMode, edge: bool) {
        let same = |own: &PortMode| match (own, mode) {
            (PortMode::Lacp { lag: a, vlan: b, .. }, PortMode::Lacp { lag: x, vlan: y, .. }) => (a, b) == (x, y),
            (own, mode) => own == mode,
        };
        if self.mode(port).as_ref().is_some_and(same) {
            return;
        }
        let mut section = Section { portfast: edge, ..Section::default() };
        match mode {
            PortMode::Access { vlan } => (section.mode, section.vlan) = (Switchport::Access, vlan.get()),
            PortMode::Unrecognised { text } => match text.as_str() {
                "shutdown" => section.shutdown = true,
                "trunk" => section.mode = Switchport::Trunk,
                _ => {}
            },
            PortMode::Lacp { lag, vlan, .. } => {
                let known = (1..=MAX_PORT_CHANNEL).find(|number| self.lag(*number).as_ref() == Some(lag));
                let free = || (1..=MAX_PORT_CHANNEL).find(|number| !self.port_channels.contains_key(number));
                (section.mode, section.vlan) = (Switchport::Access, vlan.map_or(1, VlanId::get));
                if let Some(number) = known.or_else(free) {
                    let channel = Section { description: Some(format!("{LAG_PREFIX}{lag}")), ..section.clone() };
                    self.port_channels.insert(number, channel);
                    section.group = Some((number, "active".to_owned()));
                }
            }
        }
        self.vlans.insert(section.vlan);
        self.ports.insert(port.clone(), section);
    }

    /// Ports of a port-channel.
    pub(super) fn members(&self, number: u16) -> impl Iterator<Item = &Interface> {
        let is_in = move |section: &Section| section.group.as_ref().is_some_and(|(own, _)| *own == number);
        self.ports.iter().filter(move |(_, section)| is_in(section)).map(|(port, _)| port)
    }

    /// An interface that is there.
    pub(super) fn section(&self, interface: &Interface) -> Option<&Section> {
        match interface.port_channel_number() {
            Some(number) => self.port_channels.get(&number),
            None => self.ports.get(interface),
        }
    }

    /// Whether `interface …` can be entered.
    pub(super) fn may_enter(&self, interface: &Interface) -> bool {
        let is_channel = interface.port_channel_number().is_some_and(|number| (1..=MAX_PORT_CHANNEL).contains(&number));
        is_channel || self.ports.contains_key(interface)
    }

    /// Enters an interface; a port-channel that is not there is made.
    pub(super) fn enter(&mut self, interface: &Interface) {
        if let Some(number) = interface.port_channel_number() {
            self.port_channels.entry(number).or_default();
        }
    }

    /// `no interface Port-channel …`: its members are left without it, and shut down.
    pub(super) fn remove(&mut self, interface: &Interface) -> Result<(), Refused> {
        let Some(number) = interface.port_channel_number() else {
            return Err("% Invalid input detected at '^' marker.".to_owned());
        };
        if self.port_channels.remove(&number).is_none() {
            return Err("% Invalid input detected at '^' marker.".to_owned());
        }
        for section in
            self.ports.values_mut().filter(|section| section.group.as_ref().is_some_and(|(own, _)| *own == number))
        {
            (section.group, section.shutdown) = (None, true);
        }
        Ok(())
    }

    /// `default interface …`.
    pub(super) fn reset(&mut self, interface: &Interface) {
        if let Some(section) = self.ports.get_mut(interface) {
            *section = Section::default();
        }
    }

    /// A line below `interface …`.
    pub(super) fn line(&mut self, at: &Interface, command: &Command) -> Result<Outcome, Refused> {
        let argument = |index: usize| command.arguments.get(index).cloned().unwrap_or_default();
        if command.verb == Verb::ChannelGroup {
            return self.join(at, argument(0).parse().unwrap_or(0), argument(1));
        }
        let vlan = argument(0).parse().ok().filter(|vlan| (1..=4094).contains(vlan));
        let is_unknown = vlan.is_some_and(|vlan| !self.vlans.contains(&vlan));
        let own = match at.port_channel_number() {
            Some(number) => self.port_channels.get_mut(&number),
            None => self.ports.get_mut(at),
        };
        let Some(own) = own else { return Err(format!("% {at} is gone")) };
        let mut outcome = Outcome::Silent;
        match command.verb {
            Verb::Description => own.description = Some(argument(0)),
            Verb::NoDescription => own.description = None,
            Verb::SwitchportMode => {
                own.mode = match argument(0).as_str() {
                    "access" => Switchport::Access,
                    "trunk" => Switchport::Trunk,
                    _ => Switchport::Dynamic,
                }
            }
            Verb::AccessVlan => {
                own.vlan = vlan.ok_or("% Invalid input detected at '^' marker.")?;
                if is_unknown {
                    outcome = Outcome::Note(format!("% Access VLAN does not exist. Creating vlan {}", own.vlan));
                }
            }
            Verb::NoAccessVlan => own.vlan = 1,
            Verb::Portfast => {
                own.portfast = true;
                outcome = Outcome::Note(format!(
                    "%Warning: portfast should only be enabled on ports connected to a single\n host. Connecting hubs, concentrators, switches, bridges, etc... to this\n interface  when portfast is enabled, can cause temporary bridging loops.\n Use with CAUTION\n\n%Portfast has been configured on {} but will only\n have effect when the interface is in a non-trunking mode.",
                    at.full()
                ));
            }
            Verb::NoPortfast => own.portfast = false,
            Verb::NoChannelGroup => own.group = None,
            Verb::LacpRate => own.lacp_fast = argument(0) == "fast",
            Verb::NoLacpRate => own.lacp_fast = false,
            Verb::Shutdown => own.shutdown = true,
            Verb::NoShutdown => own.shutdown = false,
            _ => {}
        }
        if let (Verb::AccessVlan, Some(vlan)) = (command.verb, vlan) {
            self.vlans.insert(vlan);
        }
        // What a port-channel is told, its members are told too.
        if let (Some(number), Verb::SwitchportMode | Verb::AccessVlan) = (at.port_channel_number(), command.verb) {
            let channel = self.port_channels[&number].clone();
            for section in
                self.ports.values_mut().filter(|port| port.group.as_ref().is_some_and(|(own, _)| *own == number))
            {
                (section.mode, section.vlan) = (channel.mode, channel.vlan);
            }
        }
        Ok(outcome)
    }

    fn join(&mut self, at: &Interface, number: u16, mode: String) -> Result<Outcome, Refused> {
        let Some(section) = self.ports.get(at) else {
            return Err("Command rejected: a port-channel is no member of another".to_owned());
        };
        if !(1..=MAX_PORT_CHANNEL).contains(&number) {
            return Err("% Invalid input detected at '^' marker.".to_owned());
        }
        if let Some((other, _)) = section.group.as_ref().filter(|(own, _)| *own != number) {
            return Err(format!("Command rejected: {at} is already part of channel-group {other}"));
        }
        let made = !self.port_channels.contains_key(&number);
        let channel =
            self.port_channels.entry(number).or_insert_with(|| Section { group: None, ..section.clone() }).clone();
        if (channel.mode, channel.vlan) != (section.mode, section.vlan) {
            return Err(format!(
                "Command rejected: {at} is not compatible with Port-channel{number} (mode or access VLAN differs)"
            ));
        }
        if let Some(section) = self.ports.get_mut(at) {
            section.group = Some((number, mode));
        }
        Ok(if made {
            Outcome::Note(format!("Creating a port-channel interface Port-channel {number}\n"))
        } else {
            Outcome::Silent
        })
    }
}
