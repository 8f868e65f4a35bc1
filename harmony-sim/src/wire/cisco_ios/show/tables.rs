//! `show mac address-table` and `show lldp neighbors detail`: who is behind the ports.

use harmony_core::net::MacAddress;

use super::super::device::Device;
use super::super::interface::Interface;
use super::dotted;

pub(super) fn mac(device: &Device) -> String {
    let now = device.world.now();
    let rows = device.look(|_, state| {
        state.learn(now);
        let vlan = state.network.vlan;
        let learnt = state.switches.get(&device.switch).into_iter().flat_map(|switch| &switch.macs);
        let row = |(mac, (port, _)): (&MacAddress, &(harmony_core::net::PortName, std::time::Duration))| {
            let port = Interface::parse(port.as_str())?;
            Some(format!("{:>4}    {}    DYNAMIC     {port}\n", vlan.get(), dotted(*mac)))
        };
        learnt.filter_map(row).collect::<Vec<_>>()
    });
    format!(
        "          Mac Address Table\n-------------------------------------------\n\n\
         Vlan    Mac Address       Type        Ports\n----    -----------       --------    -----\n \
         All    0100.0ccc.cccc    STATIC      CPU\n{}Total Mac Addresses for this criterion: {}\n",
        rows.concat(),
        rows.len() + 1
    )
}

pub(super) fn lldp(device: &Device) -> String {
    let neighbours = device.look(|_, state| state.lldp_neighbours());
    let mut text = String::new();
    let mut count = 0;
    for heard in neighbours.iter().filter(|heard| heard.port.switch == device.switch) {
        let Some(port) = Interface::parse(heard.port.port.as_str()) else { continue };
        // IOS prints a MAC in its own notation.
        let shown = |text: &String| text.parse().map_or_else(|_| text.clone(), dotted);
        let name = heard.system_name.as_ref().map_or(" - not advertised".to_owned(), |name| format!(": {name}"));
        count += 1;
        text += &format!(
            "------------------------------------------------\n\
             Local Intf: {port}\nChassis id: {}\nPort id: {}\nPort Description - not advertised\nSystem Name{name}\n\n\
             System Description:\nLinux\n\nTime remaining: 100 seconds\nSystem Capabilities: S\nEnabled Capabilities: S\n\
             Management Addresses - not advertised\nAuto Negotiation - not supported\n\
             Physical media capabilities - not advertised\nMedia Attachment Unit type - not advertised\n\
             Vlan ID: - not advertised\n\n",
            shown(&heard.chassis),
            shown(&heard.port_id)
        );
    }
    format!("{text}\nTotal entries displayed: {count}\n")
}
