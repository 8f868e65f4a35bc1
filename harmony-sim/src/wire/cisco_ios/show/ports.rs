//! `show interfaces status`, `… switchport`, `… description`.

use std::fmt::Write as _;

use harmony_core::capability::LinkState;

use super::super::config::{Config, Section, Switchport};
use super::super::device::Device;
use super::super::interface::Interface;
use crate::lacp::Standing;
use crate::switch::SPEED_MBPS;
use crate::world::State;

/// Longest name that fits its column.
const MAX_NAME: usize = 18;

fn is_up(device: &Device, state: &State, port: &Interface) -> bool {
    let now = device.world.now();
    let up = || {
        let at = device.port(state, port)?;
        Some(state.port_status(&at, state.port(&at)?, now).link == LinkState::Up)
    };
    up().unwrap_or(false)
}

/// How a port of a port-channel does.
pub(super) fn standing(device: &Device, state: &State, port: &Interface) -> Option<Standing> {
    let at = device.port(state, port)?;
    Some(state.lacp(&at, device.world.now())?.standing)
}

fn channel_is_up(device: &Device, state: &State, config: &Config, number: u16) -> bool {
    config.members(number).any(|port| standing(device, state, port) == Some(Standing::Bundled))
}

fn row(name: &Interface, section: &Section, status: &str, is_up: bool, kind: &str) -> String {
    let description: String = section.description.iter().flat_map(|text| text.chars()).take(MAX_NAME).collect();
    let vlan = if section.mode == Switchport::Trunk { "trunk".to_owned() } else { section.vlan.to_string() };
    let (duplex, speed) = if is_up { ("a-full", format!("a-{SPEED_MBPS}")) } else { ("auto", "auto".to_owned()) };
    format!("{name:<9} {description:<18} {status:<12} {vlan:<10} {duplex:>6} {speed:>6} {kind}\n")
}

pub(super) fn status(device: &Device) -> String {
    let mut text = "\nPort      Name               Status       Vlan       Duplex  Speed Type\n".to_owned();
    device.look(|config, state| {
        for (port, section) in &config.ports {
            let is_up = is_up(device, state, port);
            let status = match standing(device, state, port) {
                _ if section.shutdown => "disabled",
                _ if !is_up => "notconnect",
                Some(Standing::Suspended) => "suspended",
                _ => "connected",
            };
            text += &row(port, section, status, is_up && !section.shutdown, "10/100/1000BaseTX");
        }
        for (number, section) in &config.port_channels {
            let Some(name) = Interface::port_channel(*number) else { continue };
            let is_up = channel_is_up(device, state, config, *number);
            let status = if section.shutdown {
                "disabled"
            } else if is_up {
                "connected"
            } else {
                "notconnect"
            };
            text += &row(&name, section, status, is_up, "N/A");
        }
    });
    text
}

pub(super) fn switchport(device: &Device) -> String {
    let mut text = String::new();
    device.look(|config, state| {
        for (port, section) in &config.ports {
            let is_up = is_up(device, state, port) && !section.shutdown;
            let bundle = section.group.as_ref().map(|(number, _)| match standing(device, state, port) {
                Some(Standing::Bundled) => format!(" (member of bundle Po{number})"),
                _ => format!(" (suspended member of bundle Po{number})"),
            });
            block(&mut text, port, section, is_up, &bundle.unwrap_or_default());
        }
        for (number, section) in &config.port_channels {
            let Some(name) = Interface::port_channel(*number) else { continue };
            block(&mut text, &name, section, channel_is_up(device, state, config, *number), "");
        }
    });
    text
}

fn block(text: &mut String, name: &Interface, section: &Section, is_up: bool, bundle: &str) {
    let admin = match section.mode {
        Switchport::Access => "static access",
        Switchport::Trunk => "trunk",
        Switchport::Dynamic => "dynamic auto",
    };
    let mode = match section.mode {
        _ if !is_up => "down",
        Switchport::Trunk => "trunk",
        Switchport::Access | Switchport::Dynamic => "static access",
    };
    let negotiation = if section.mode == Switchport::Access { "Off" } else { "On" };
    let vlan = section.vlan;
    let named = if vlan == 1 { "default".to_owned() } else { format!("VLAN{vlan:04}") };
    let written = write!(
        text,
        "Name: {name}
Switchport: Enabled
Administrative Mode: {admin}
Operational Mode: {mode}{bundle}
Administrative Trunking Encapsulation: dot1q
Operational Trunking Encapsulation: native
Negotiation of Trunking: {negotiation}
Access Mode VLAN: {vlan} ({named})
Trunking Native Mode VLAN: 1 (default)
Administrative Native VLAN tagging: disabled
Voice VLAN: none
Administrative private-vlan host-association: none
Administrative private-vlan mapping: none
Operational private-vlan: none
Trunking VLANs Enabled: ALL
Pruning VLANs Enabled: 2-1001
Capture Mode Disabled
Capture VLANs Allowed: ALL

Protected: false
Unknown unicast blocked: disabled
Unknown multicast blocked: disabled
Vepa Enabled: false
Appliance trust: none

"
    );
    debug_assert!(written.is_ok(), "a String takes everything");
}

pub(super) fn description(device: &Device) -> String {
    let mut text = "Interface                      Status         Protocol Description\n".to_owned();
    device.look(|config, state| {
        let mut row = |name: &Interface, section: &Section, is_up: bool| {
            let up = if is_up { "up" } else { "down" };
            let status = if section.shutdown { "admin down" } else { up };
            let description = section.description.as_deref().unwrap_or_default();
            text += &format!("{name:<30} {status:<14} {up:<8} {description}\n");
        };
        for (port, section) in &config.ports {
            row(port, section, is_up(device, state, port) && !section.shutdown);
        }
        for (number, section) in &config.port_channels {
            let Some(name) = Interface::port_channel(*number) else { continue };
            row(&name, section, channel_is_up(device, state, config, *number));
        }
    });
    text
}
