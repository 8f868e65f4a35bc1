//! Everything that the switch said of its ports at one moment, put together.

use std::collections::{BTreeMap, BTreeSet};

use harmony_core::capability::{LacpPortState, PortMode, PortStatus};
use harmony_core::net::{LagName, MacAddress, PortRef, VlanId};

use super::interface::Interface;
use super::show::etherchannel::Group;
use super::show::interfaces_status::Row;
use super::show::lacp::Actor;
use super::show::running::LAG_PREFIX;
use super::show::switchport::Switchport;

/// Longest text of the switch's that is passed on, in characters.
const MAX_TEXT_CHARS: usize = 200;

/// Which port is in which port-channel, and which LAG that is: all that the commands of a change
/// depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layout {
    members: BTreeMap<u16, Vec<Interface>>,
    protocols: BTreeMap<u16, String>,
    lags: BTreeMap<LagName, u16>,
    taken: BTreeSet<u16>,
}

/// LACP's own state; read only while there are port-channels.
#[derive(Debug, Default)]
pub(super) struct Lacp {
    pub(super) system: Option<MacAddress>,
    pub(super) actors: BTreeMap<Interface, Actor>,
    pub(super) partners: BTreeMap<Interface, MacAddress>,
}

/// One reading.
#[derive(Debug)]
pub(super) struct Reading {
    rows: BTreeMap<Interface, Row>,
    switchports: BTreeMap<Interface, Switchport>,
    lacp: Lacp,
    pub(super) layout: Layout,
}

impl Layout {
    /// From the port-channels and their descriptions.
    pub(super) fn new(groups: &[Group], descriptions: &BTreeMap<u16, String>) -> Self {
        let members =
            groups.iter().map(|group| (group.number, group.members.iter().map(|(port, _)| port.clone()).collect()));
        let lag = |(number, text): (&u16, &String)| Some((text.strip_prefix(LAG_PREFIX)?.parse().ok()?, *number));
        let lags = descriptions.iter().rev().filter_map(lag).collect();
        let taken = groups.iter().map(|group| group.number).chain(descriptions.keys().copied()).collect();
        let protocols = groups.iter().map(|group| (group.number, group.protocol.clone())).collect();
        Self { members: members.collect(), protocols, lags, taken }
    }

    /// Whether there is any port-channel.
    pub(super) fn has_groups(&self) -> bool {
        !self.members.is_empty()
    }

    /// The port-channel that a port is in.
    pub(super) fn group_of(&self, port: &Interface) -> Option<u16> {
        self.members.iter().find(|(_, members)| members.contains(port)).map(|(number, _)| *number)
    }

    /// The ports of a port-channel.
    pub(super) fn members(&self, number: u16) -> &[Interface] {
        self.members.get(&number).map_or(&[], Vec::as_slice)
    }

    /// Whether there is such a port-channel, with or without ports.
    pub(super) fn is_taken(&self, number: u16) -> bool {
        self.taken.contains(&number)
    }

    /// The port-channel that has a LAG's name.
    pub(super) fn number_of(&self, lag: &LagName) -> Option<u16> {
        self.lags.get(lag).copied()
    }

    /// The number for a LAG: the one it has, else one that does not depend on which LAG is made first,
    /// else the first that is free.
    pub(super) fn number_for(&self, lag: &LagName, place: usize, [first, last]: [u16; 2]) -> Option<u16> {
        let is_free = |number: &u16| !self.taken.contains(number);
        let own = || u16::try_from(place).ok()?.checked_add(first).filter(|number| *number <= last).filter(is_free);
        self.number_of(lag).or_else(own).or_else(|| (first..=last).find(is_free))
    }

    /// Port-channels, other than `kept`, that have no member left when these ports leave.
    pub(super) fn emptied(&self, leaving: &[Interface], kept: Option<u16>) -> Vec<u16> {
        let is_emptied =
            |members: &Vec<Interface>| !members.is_empty() && members.iter().all(|port| leaving.contains(port));
        let emptied = self.members.iter().filter(|(number, members)| Some(**number) != kept && is_emptied(members));
        emptied.map(|(number, _)| *number).collect()
    }

    fn name_of(&self, number: u16) -> Option<LagName> {
        let named = self.lags.iter().find(|(_, own)| **own == number).map(|(name, _)| name.clone());
        named.or_else(|| Interface::port_channel(number).to_string().parse().ok())
    }
}

impl Reading {
    pub(super) fn new(rows: Vec<Row>, switchports: Vec<Switchport>, layout: Layout, lacp: Lacp) -> Self {
        Self {
            rows: rows.into_iter().map(|row| (row.port.clone(), row)).collect(),
            switchports: switchports.into_iter().map(|port| (port.port.clone(), port)).collect(),
            lacp,
            layout,
        }
    }

    /// Whether the switch has such a port.
    pub(super) fn has(&self, port: &Interface) -> bool {
        self.rows.contains_key(port)
    }

    /// How a port is configured, in words of the capability.
    pub(super) fn mode(&self, port: &Interface) -> PortMode {
        let unrecognised = |text: String| PortMode::Unrecognised { text: text.chars().take(MAX_TEXT_CHARS).collect() };
        if let Some(number) = self.layout.group_of(port) {
            let protocol = self.layout.protocols.get(&number).map_or("-", String::as_str);
            return match (protocol, self.layout.name_of(number)) {
                ("LACP", Some(lag)) => PortMode::Lacp { lag, vlan: self.untagged(number, port), fallback: false },
                ("-", _) => unrecognised(format!("Po{number} without LACP")),
                (other, _) => unrecognised(format!("{other} in Po{number}")),
            };
        }
        let Some(switchport) = self.switchports.get(port) else { return unrecognised("no switchport".to_owned()) };
        match (switchport.enabled, switchport.admin_mode.as_str(), vlan(switchport.access_vlan)) {
            (true, "static access", Some(vlan)) => PortMode::Access { vlan },
            (true, mode, _) => unrecognised(format!("{mode}, {}", switchport.mode)),
            (false, ..) => unrecognised("routed".to_owned()),
        }
    }

    /// The VLAN of a port-channel's untagged frames; its members are configured alike.
    fn untagged(&self, number: u16, member: &Interface) -> Option<VlanId> {
        let own = self.switchports.get(&Interface::port_channel(number)).or_else(|| self.switchports.get(member))?;
        match own.admin_mode.as_str() {
            "static access" => vlan(own.access_vlan),
            "trunk" => vlan(own.native_vlan),
            _ => None,
        }
    }

    /// A port of the site, as the capability tells it.
    pub(super) fn status(&self, at: &PortRef, port: &Interface) -> Option<PortStatus> {
        let row = self.rows.get(port)?;
        let mode = self.mode(port);
        let link = row.link();
        let speed_mbps = row.speed_mbps().filter(|_| link == harmony_core::capability::LinkState::Up);
        let lacp = matches!(mode, PortMode::Lacp { .. }).then(|| self.lacp_of(port));
        Some(PortStatus { port: at.clone(), link, speed_mbps, mode, lacp })
    }

    fn lacp_of(&self, port: &Interface) -> LacpPortState {
        let system = self.lacp.system;
        let Some(actor) = self.lacp.actors.get(port) else {
            return LacpPortState { system, ..LacpPortState::default() };
        };
        LacpPortState {
            system,
            partner: self.lacp.partners.get(port).copied().filter(|_| actor.is_current()),
            synchronised: actor.is_synchronised(),
            collecting: actor.is_collecting(),
            distributing: actor.is_distributing(),
        }
    }
}

fn vlan(number: Option<u16>) -> Option<VlanId> {
    number.and_then(|number| VlanId::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str) -> Interface {
        Interface::parse(name).expect("a name")
    }

    fn layout() -> Layout {
        let group = |number, names: &[&str]| Group {
            number,
            protocol: "LACP".to_owned(),
            members: names.iter().map(|name| (port(name), "P".to_owned())).collect(),
        };
        let descriptions = [(1, "harmony:a"), (2, "Uplink"), (5, "harmony:b"), (6, "harmony:b")];
        let descriptions = descriptions.map(|(number, text)| (number, text.to_owned())).into();
        Layout::new(&[group(1, &["Gi1/0/1", "Gi1/0/2"]), group(2, &["Te1/1/1"]), group(5, &[])], &descriptions)
    }

    #[test]
    fn a_lag_keeps_its_number_and_a_new_one_takes_a_free_one() {
        let (layout, name) = (layout(), |text: &str| text.parse::<LagName>().expect("valid"));
        assert_eq!(layout.number_for(&name("a"), 30, [1, 48]), Some(1), "its own");
        assert_eq!(layout.number_for(&name("b"), 30, [1, 48]), Some(5), "the first of two");
        assert_eq!(layout.number_for(&name("c"), 9, [1, 48]), Some(10), "by its port's place");
        assert_eq!(layout.number_for(&name("c"), 1, [1, 48]), Some(3), "its place is taken by an uplink");
        assert_eq!(layout.number_for(&name("c"), 60, [1, 48]), Some(3), "its place is out of range");
        assert_eq!(layout.number_for(&name("c"), 0, [1, 2]), None, "all are taken");
    }

    #[test]
    fn a_port_channel_is_emptied_by_its_last_port() {
        let layout = layout();
        assert_eq!(layout.emptied(&[port("Gi1/0/1")], None), [0; 0]);
        assert_eq!(layout.emptied(&[port("Gi1/0/1"), port("Gi1/0/2")], None), [1]);
        assert_eq!(layout.emptied(&[port("Gi1/0/1"), port("Gi1/0/2")], Some(1)), [0; 0]);
        assert_eq!(layout.group_of(&port("Gi1/0/2")), Some(1));
    }
}
