//! Which switch port a NIC is plugged into (P11): the pure matching of what each witness says.

use std::collections::BTreeMap;

use harmony_core::capability::{LldpNeighbour, MacTableEntry, PortStatus};
use harmony_core::host::{Host, Nic, PortWitnesses, WitnessKind};
use harmony_core::net::{MacAddress, PortRef};

/// What the switches say, for all ports, by what a NIC is found by.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    /// By the port's name, which several switches may have.
    ports: BTreeMap<&'a str, Vec<&'a PortRef>>,
    learnt: BTreeMap<MacAddress, &'a PortRef>,
    /// By the MAC that is the port id, or else the chassis id.
    neighbours: BTreeMap<MacAddress, Vec<&'a LldpNeighbour>>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(
        ports: &'a [PortStatus],
        mac_table: impl Iterator<Item = &'a MacTableEntry>,
        neighbours: &'a [LldpNeighbour],
    ) -> Self {
        let mut sources = Self { ports: BTreeMap::new(), learnt: BTreeMap::new(), neighbours: BTreeMap::new() };
        for PortStatus { port, .. } in ports {
            sources.ports.entry(port.port.as_str()).or_default().push(port);
        }
        for entry in mac_table {
            sources.learnt.entry(entry.mac).or_insert(&entry.port);
        }
        for neighbour in neighbours {
            let mac = neighbour.port_id.parse().or_else(|_| neighbour.chassis.parse());
            if let Ok(mac) = mac {
                sources.neighbours.entry(mac).or_default().push(neighbour);
            }
        }
        sources
    }

    /// What is known of a NIC's port: what was known before, replaced where a witness speaks now.
    pub(super) fn hear(&self, host: &Host, nic: &Nic) -> PortWitnesses {
        let mut port = nic.port.clone();
        if let Some(heard) = self.agent_lldp(nic) {
            port.hear(WitnessKind::AgentLldp, heard);
        }
        if let Some(learnt) = self.learnt.get(&nic.mac) {
            port.hear(WitnessKind::MacTable, (*learnt).clone());
        }
        if let Some(neighbour) = self.neighbour(host, nic) {
            port.hear(WitnessKind::SwitchLldp, neighbour.port.clone());
        }
        port
    }

    /// Whom a switch hears that is this NIC: its MAC is the port id, or the port id is its name and the
    /// chassis id one of its host's MACs.
    fn neighbour(&self, host: &Host, nic: &Nic) -> Option<&'a LldpNeighbour> {
        let heard = |mac: &MacAddress| self.neighbours.get(mac).into_iter().flatten().copied();
        let is_mac = |text: &str| text.parse::<MacAddress>().ok();
        heard(&nic.mac)
            .find(|neighbour| is_mac(&neighbour.port_id) == Some(nic.mac))
            .or_else(|| host.macs().iter().flat_map(heard).find(|neighbour| neighbour.port_id == nic.name))
    }

    /// The one port whose name the NIC heard. A switch that tells its name decides between ports of
    /// equal names; without it an ambiguous name says nothing.
    fn agent_lldp(&self, nic: &Nic) -> Option<PortRef> {
        let names = nic.lldp.iter().flat_map(|n| [Some(n.port_id.as_str()), n.port_description.as_deref()]).flatten();
        let mut candidates: Vec<&PortRef> = names.filter_map(|name| self.ports.get(name)).flatten().copied().collect();
        candidates.sort();
        candidates.dedup();
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
