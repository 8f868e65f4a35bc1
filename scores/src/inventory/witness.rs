//! Which switch port a NIC is plugged into (P11): the pure matching of what each witness says.

use harmony_core::capability::{LldpNeighbour, MacTableEntry, PortStatus};
use harmony_core::host::{Host, Nic, PortWitnesses, WitnessKind};
use harmony_core::net::{MacAddress, PortRef};

/// What the switches say, for all ports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) ports: &'a [PortStatus],
    pub(super) mac_table: &'a [MacTableEntry],
    pub(super) neighbours: &'a [LldpNeighbour],
}

impl Sources<'_> {
    /// What is known of a NIC's port: what was known before, replaced where a witness speaks now.
    pub(super) fn hear(&self, host: &Host, nic: &Nic) -> PortWitnesses {
        let mut port = nic.port.clone();
        if let Some(heard) = self.agent_lldp(nic) {
            port.hear(WitnessKind::AgentLldp, heard);
        }
        if let Some(entry) = self.mac_table.iter().find(|entry| entry.mac == nic.mac) {
            port.hear(WitnessKind::MacTable, entry.port.clone());
        }
        if let Some(neighbour) = self.neighbours.iter().find(|n| is_nic(n, host, nic)) {
            port.hear(WitnessKind::SwitchLldp, neighbour.port.clone());
        }
        port
    }

    /// The one port whose name the NIC heard. A switch that tells its name decides between ports of
    /// equal names; without it an ambiguous name says nothing.
    fn agent_lldp(&self, nic: &Nic) -> Option<PortRef> {
        let names = |port: &PortRef| {
            let port = port.port.as_str();
            nic.lldp.iter().any(|n| n.port_id == port || n.port_description.as_deref() == Some(port))
        };
        let candidates: Vec<&PortRef> =
            self.ports.iter().map(|status| &status.port).filter(|port| names(port)).collect();
        let named = |port: &&&PortRef| {
            nic.lldp.iter().any(|n| {
                n.system_name.as_deref().is_some_and(|name| name.split('.').next() == Some(port.switch.as_str()))
            })
        };
        match candidates[..] {
            [] => None,
            [one] => Some(one.clone()),
            _ => {
                let mut named = candidates.iter().filter(named);
                named.next().filter(|_| named.next().is_none()).map(|port| (*port).clone())
            }
        }
    }
}

/// Whether a switch hears this NIC: its MAC is the port id, or the chassis id of a host that names the NIC.
fn is_nic(neighbour: &LldpNeighbour, host: &Host, nic: &Nic) -> bool {
    let is_mac = |text: &str| text.parse::<MacAddress>().ok();
    is_mac(&neighbour.port_id) == Some(nic.mac)
        || (neighbour.port_id == nic.name && is_mac(&neighbour.chassis).is_some_and(|mac| host.macs().contains(&mac)))
}
