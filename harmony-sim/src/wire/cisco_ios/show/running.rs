//! `show running-config`, whole or of one interface.

use super::super::config::{Section, Switchport};
use super::super::device::Device;
use super::super::interface::Interface;

pub(super) fn one(device: &Device, interface: &Interface) -> Option<String> {
    let body = device.look(|config, _| config.section(interface).map(|own| section(interface, own)))?;
    Some(format!("Building configuration...\n\nCurrent configuration : {} bytes\n!\n{body}end\n\n", body.len()))
}

pub(super) fn all(device: &Device) -> String {
    let body: String = device.look(|config, _| {
        let channels =
            config.port_channels.iter().filter_map(|(number, own)| Some((Interface::port_channel(*number)?, own)));
        let channels = channels.map(|(name, own)| format!("{}!\n", section(&name, own)));
        channels.chain(config.ports.iter().map(|(name, own)| format!("{}!\n", section(name, own)))).collect()
    });
    let archive = if device.personality.archive { "archive\n path flash:bk\n!\n" } else { "" };
    let body = format!("!\nversion 16.9\n!\nhostname {}\n!\nlldp run\n!\n{archive}{body}end\n\n", device.name());
    format!("Building configuration...\n\nCurrent configuration : {} bytes\n{body}", body.len())
}

/// One interface, in the order in which IOS writes its lines; what is by default is not written.
fn section(name: &Interface, own: &Section) -> String {
    let mut text = format!("interface {}\n", name.full());
    let mut line = |text_of: String| text.push_str(&format!(" {text_of}\n"));
    if let Some(description) = &own.description {
        line(format!("description {description}"));
    }
    if own.vlan != 1 {
        line(format!("switchport access vlan {}", own.vlan));
    }
    match own.mode {
        Switchport::Access => line("switchport mode access".to_owned()),
        Switchport::Trunk => line("switchport mode trunk".to_owned()),
        Switchport::Dynamic => {}
    }
    if own.shutdown {
        line("shutdown".to_owned());
    }
    if own.lacp_fast {
        line("lacp rate fast".to_owned());
    }
    if let Some((number, mode)) = &own.group {
        line(format!("channel-group {number} mode {mode}"));
    }
    if own.portfast {
        line("spanning-tree portfast".to_owned());
    }
    text
}
