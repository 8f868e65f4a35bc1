//! The commands that change ports, as typed in configuration mode.
//!
//! Owns their text and order; pure. A port that leaves a port-channel does so before the port-channel
//! is removed, since many releases shut its members down with it; and its access configuration is
//! said again in full, since leaving may reset it. Source: Catalyst 9300 Layer 2 Configuration Guide,
//! "Configuring EtherChannels"; Cisco IOS Interface and Hardware Component Command Reference.

use harmony_core::net::{LagName, VlanId};

use super::interface::Interface;
use super::show::running::{LAG_PREFIX, Section};

/// Not there on releases before 15; LACP then speaks every 30 s, which is as correct and only slower.
pub(super) const OPTIONAL: &str = "lacp rate fast";

fn access_lines(vlan: VlanId) -> [String; 4] {
    [
        "switchport mode access".to_owned(),
        format!("switchport access vlan {vlan}"),
        "spanning-tree portfast".to_owned(),
        "no shutdown".to_owned(),
    ]
}

fn remove(numbers: &[u16]) -> impl Iterator<Item = String> {
    numbers.iter().map(|number| format!("no interface {}", Interface::port_channel(*number)))
}

/// Access mode. `emptied` are port-channels that lose their last member by it.
pub(super) fn access(ports: &[Interface], vlan: VlanId, emptied: &[u16]) -> Vec<String> {
    let mut commands = Vec::new();
    for port in ports {
        commands.push(format!("interface {port}"));
        commands.push("no channel-group".to_owned());
        commands.extend(access_lines(vlan));
    }
    commands.extend(remove(emptied));
    commands
}

/// What LACP mode is made of.
pub(super) struct Lag<'a> {
    pub(super) number: u16,
    pub(super) name: &'a LagName,
    pub(super) vlan: VlanId,
    pub(super) ports: &'a [Interface],
    /// Ports among them that are in another port-channel.
    pub(super) leaving: &'a [Interface],
    /// Port-channels that lose their last member by it.
    pub(super) emptied: &'a [u16],
}

/// LACP mode: active, fast where the release has that.
pub(super) fn lacp(lag: &Lag<'_>) -> Vec<String> {
    let mut commands = Vec::new();
    for port in lag.leaving {
        commands.extend([format!("interface {port}"), "no channel-group".to_owned()]);
    }
    commands.extend(remove(lag.emptied));
    commands.push(format!("interface {}", Interface::port_channel(lag.number)));
    commands.push(format!("description {LAG_PREFIX}{}", lag.name));
    commands.extend(access_lines(lag.vlan));
    for port in lag.ports {
        commands.push(format!("interface {port}"));
        commands.extend(access_lines(lag.vlan));
        commands.push(format!("channel-group {} mode active", lag.number));
        commands.push(OPTIONAL.to_owned());
    }
    commands
}

/// How things were before a change: what puts them back.
pub(super) struct Before<'a> {
    /// Ports that the change touches, as they were.
    pub(super) ports: &'a [(Interface, Section)],
    /// Port-channels that it changes or removes, as they were.
    pub(super) port_channels: &'a [(u16, Section)],
    /// The port-channel that it makes, if it makes one.
    pub(super) made: Option<u16>,
}

/// Puts everything back, where the device does not do so by itself.
pub(super) fn undo(before: &Before<'_>) -> Vec<String> {
    let mut commands = Vec::new();
    for (number, section) in before.port_channels {
        commands.push(format!("interface {}", Interface::port_channel(*number)));
        commands.extend(section.lines().iter().cloned());
    }
    for (port, section) in before.ports {
        commands.push(format!("default interface {port}"));
        commands.push(format!("interface {port}"));
        commands.extend(section.lines().iter().cloned());
    }
    commands.extend(remove(before.made.as_slice()));
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces<const N: usize>(names: [&str; N]) -> [Interface; N] {
        names.map(|name| Interface::parse(name).expect("a name"))
    }

    #[test]
    fn the_changes() {
        let (vlan, name) = (VlanId::try_from(10).expect("valid"), "lag-a".parse().expect("valid"));
        let ports = interfaces(["Gi1/0/1", "Gi1/0/2"]);
        let lag = Lag { number: 3, name: &name, vlan, ports: &ports, leaving: &ports[1..], emptied: &[7] };
        let was = Section::parse(&["interface Gi1/0/1".to_owned(), " switchport mode trunk".to_owned()]);
        let before = Before { ports: &[(ports[0].clone(), was.clone())], port_channels: &[(7, was)], made: Some(3) };
        let text =
            [access(&ports, vlan, &[7]), lacp(&lag), undo(&before)].map(|commands| commands.join("\n")).join("\n\n");
        insta::assert_snapshot!(text);
    }
}
