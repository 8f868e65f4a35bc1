//! When frames pass between what is at both ends of a cable: link, spanning tree, VLAN, LACP.
//!
//! Pure reading of the state at a moment. The facts, measured on Open vSwitch with real firmware and
//! Linux: a port in LACP mode without a partner forwards nothing, with fallback it forwards after a
//! few seconds; iPXE is a passive partner; a Linux 802.3ad bond without partner works over one of its
//! NICs; after its ports went back to access it needs some seconds to notice.
//! Source: Linux `drivers/net/bonding/bond_3ad.c`. Read next: `crate::lacp`.

use std::time::Duration;

use harmony_core::capability::PortMode;
use harmony_core::net::{MacAddress, PortRef};

use crate::lacp::Standing;
use crate::machine::{Bond, NicEnd};
use crate::switch::Port;
use crate::world::State;

/// A bond whose ports left LACP goes on as before until it has missed three LACPDUs at one a second …
const PARTNER_LOST_AFTER: Duration = Duration::from_millis(2800);
/// … and then needs this long to choose one NIC to work over.
const CHOOSING: Duration = Duration::from_millis(3250);
/// How long a port that is no edge port listens and learns before it forwards: twice the forward
/// delay. Source: IEEE 802.1D-2004 clause 17.14, table 17-1.
const SPANNING_TREE: Duration = Duration::from_secs(30);

impl State {
    /// A port of a switch.
    pub(crate) fn port(&self, at: &PortRef) -> Option<&Port> {
        self.switches.get(&at.switch)?.ports.get(&at.port)
    }

    /// Since when a NIC has a link; none if it has none.
    pub(crate) fn link_since(&self, id: usize, nic: usize, now: Duration) -> Option<Duration> {
        let machine = &self.machines[id];
        let end = &machine.nics[nic];
        if !machine.is_on() || end.port.is_none() {
            return None;
        }
        let steady = self.faults.steady_since(&machine.name, nic, now)?;
        Some(end.link_since.max(steady))
    }

    /// Whether frames pass between a NIC, used by itself, and the provisioning network.
    pub(crate) fn passes(&self, id: usize, nic: usize, now: Duration) -> bool {
        let end = &self.machines[id].nics[nic];
        let Some((at, port)) = end.port.as_ref().and_then(|at| Some((at, self.port(at)?))) else { return false };
        let Some(link) = self.link_since(id, nic, now) else { return false };
        if end.end == NicEnd::Silent || !(port.edge || now >= link + SPANNING_TREE) {
            return false;
        }
        // What is tagged passes only where the ports carry its VLAN.
        if self.machines[id].vlan.is_some_and(|vlan| !self.tagged.contains(&vlan)) {
            return false;
        }
        let own = Some(self.network.vlan);
        match &port.mode {
            PortMode::Access { vlan } => Some(*vlan) == own,
            PortMode::Lacp { vlan, .. } => {
                let standing = self.lacp(at, now).map(|lacp| lacp.standing);
                let forwards = match standing {
                    Some(Standing::Bundled) => true,
                    Some(Standing::Fallback | Standing::Individual) => end.end == NicEnd::Plain,
                    Some(Standing::Down | Standing::Negotiating | Standing::Suspended) | None => false,
                };
                *vlan == own && forwards
            }
            PortMode::Unrecognised { .. } => false,
        }
    }

    /// The NIC that a bond works over: any that is bundled, else the first with a link.
    fn bond_nic(&self, id: usize, bond: &Bond, now: Duration) -> Option<usize> {
        let bundled = bond.members.iter().find(|nic| self.host_partner(id, **nic, now).is_some());
        bundled.or_else(|| bond.members.iter().find(|nic| self.link_since(id, **nic, now).is_some())).copied()
    }

    /// Whether frames pass between a bond and the provisioning network.
    pub(crate) fn bond_passes(&self, id: usize, bond: &Bond, now: Duration) -> bool {
        let Some(nic) = self.bond_nic(id, bond, now) else { return false };
        let unbundled_at = |nic: usize| self.port(self.machines[id].nics[nic].port.as_ref()?)?.unbundled_at;
        let is_choosing = |at: Duration| (at + PARTNER_LOST_AFTER..at + PARTNER_LOST_AFTER + CHOOSING).contains(&now);
        self.passes(id, nic, now) && !unbundled_at(nic).is_some_and(is_choosing)
    }

    /// Whether frames pass between the system that runs on a machine and the provisioning network.
    pub(crate) fn is_reachable(&self, id: usize, now: Duration) -> bool {
        let machine = &self.machines[id];
        match (&machine.bond, machine.running.nic()) {
            (Some(bond), _) => self.bond_passes(id, bond, now),
            (None, Some(nic)) => self.passes(id, nic, now),
            (None, None) => false,
        }
    }

    /// Where frames of a machine show up that can be learnt: MAC and port. What comes in by a bundle is
    /// left out, since no single port can be named for it.
    pub(crate) fn sources(&self, id: usize, now: Duration) -> Vec<(MacAddress, PortRef)> {
        let machine = &self.machines[id];
        let is_single = |port: &PortRef| match self.port(port).map(|port| &port.mode) {
            Some(PortMode::Access { .. }) => true,
            Some(PortMode::Lacp { .. }) => self.partner(port, now).is_none(),
            Some(PortMode::Unrecognised { .. }) | None => false,
        };
        let at = |nic: usize, mac: MacAddress| {
            let port = machine.nics[nic].port.clone().filter(|_| self.passes(id, nic, now)).filter(is_single)?;
            Some((mac, port))
        };
        match &machine.bond {
            Some(bond) => self.bond_nic(id, bond, now).and_then(|nic| at(nic, bond.mac)).into_iter().collect(),
            None => (0..machine.nics.len()).filter_map(|nic| at(nic, machine.nics[nic].mac)).collect(),
        }
    }
}
