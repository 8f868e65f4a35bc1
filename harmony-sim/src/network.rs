//! When frames pass: LACP between a switch port and what is at the other end of its cable.
//!
//! Pure reading of the state at a moment. The facts, measured on Open vSwitch with real firmware and
//! Linux: a port in LACP mode without a partner forwards nothing, with fallback it forwards after a
//! few seconds; negotiation takes two to three seconds at the fast rate; iPXE is a passive partner; a
//! Linux 802.3ad bond without partner works over one of its NICs; after its ports went back to access it
//! needs some seconds to notice. Source: IEEE 802.1AX-2014 section 6.4; Linux
//! `drivers/net/bonding/bond_3ad.c`.

use std::time::Duration;

use harmony_core::capability::PortMode;
use harmony_core::net::{LagName, MacAddress, PortRef};

use crate::machine::{Bond, NicEnd};
use crate::switch::Port;
use crate::world::State;

/// How long a port with fallback listens for a partner before it forwards alone.
const FALLBACK_AFTER: Duration = Duration::from_secs(3);
/// A bond whose ports left LACP goes on as before until it has missed three LACPDUs at one a second …
const PARTNER_LOST_AFTER: Duration = Duration::from_millis(2800);
/// … and then needs this long to choose one NIC to work over.
const CHOOSING: Duration = Duration::from_millis(3250);

impl State {
    /// A port of a switch.
    pub(crate) fn port(&self, at: &PortRef) -> Option<&Port> {
        self.switches.get(&at.switch)?.ports.get(&at.port)
    }

    /// The LACP system at the other end of a port's cable that this port could bundle with: it
    /// speaks LACP, and the negotiation has had its time.
    fn hears(&self, port: &Port, now: Duration) -> Option<MacAddress> {
        let (id, nic) = port.cable?;
        let machine = &self.machines[id];
        let end = &machine.nics[nic];
        let system = match (end.end, &machine.bond) {
            (NicEnd::Bonded, Some(bond)) => bond.mac,
            (NicEnd::LacpPassive, _) => end.mac,
            (NicEnd::Silent | NicEnd::Plain | NicEnd::Bonded, _) => return None,
        };
        let is_mute = self.faults.never_negotiates(&machine.name);
        (!is_mute && now >= port.since.max(end.since) + port.negotiation).then_some(system)
    }

    /// The LACP partner that a port is in sync with: a LAG bundles with one partner only, that of
    /// the first of its ports.
    pub(crate) fn partner(&self, at: &PortRef, now: Duration) -> Option<MacAddress> {
        let switch = self.switches.get(&at.switch)?;
        let port = switch.ports.get(&at.port)?;
        let PortMode::Lacp { lag, .. } = &port.mode else { return None };
        let members = switch.lags.get(lag)?.iter().filter_map(|name| switch.ports.get(name));
        let of_lag = members.map(|member| self.hears(member, now)).find(Option::is_some).flatten();
        self.hears(port, now).filter(|system| of_lag == Some(*system))
    }

    /// The LACP partner that a NIC is in sync with: the switch and its LAG.
    pub(crate) fn host_partner(&self, id: usize, nic: usize, now: Duration) -> Option<(MacAddress, LagName)> {
        let at = self.machines[id].nics[nic].port.as_ref()?;
        self.partner(at, now)?;
        match &self.port(at)?.mode {
            PortMode::Lacp { lag, .. } => Some((self.switches.get(&at.switch)?.mac, lag.clone())),
            PortMode::Access { .. } | PortMode::Unrecognised { .. } => None,
        }
    }

    /// Whether frames pass between a NIC, used by itself, and the provisioning network.
    pub(crate) fn passes(&self, id: usize, nic: usize, now: Duration) -> bool {
        let machine = &self.machines[id];
        let end = &machine.nics[nic];
        let Some((at, port)) = end.port.as_ref().and_then(|at| Some((at, self.port(at)?))) else { return false };
        if !machine.is_on() || end.end == NicEnd::Silent {
            return false;
        }
        match &port.mode {
            PortMode::Access { vlan } => *vlan == self.network.vlan,
            PortMode::Lacp { vlan, fallback, .. } => {
                let alone =
                    *fallback && matches!(end.end, NicEnd::Plain) && now >= port.since.max(end.since) + FALLBACK_AFTER;
                *vlan == Some(self.network.vlan) && (alone || self.partner(at, now).is_some())
            }
            PortMode::Unrecognised { .. } => false,
        }
    }

    /// The NIC that a bond works over: any that is bundled, else the first with a link.
    fn bond_nic(&self, id: usize, bond: &Bond, now: Duration) -> Option<usize> {
        let bundled = bond.members.iter().find(|nic| self.host_partner(id, **nic, now).is_some());
        bundled.or_else(|| bond.members.iter().find(|nic| self.machines[id].nics[**nic].port.is_some())).copied()
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

    /// Where frames of a machine show up that can be learnt: MAC and port. What comes in by a LAG is
    /// left out, since no single port can be named for it.
    pub(crate) fn sources(&self, id: usize, now: Duration) -> Vec<(MacAddress, PortRef)> {
        let machine = &self.machines[id];
        let is_single = |port: &PortRef| {
            let mode = self.port(port).map(|port| &port.mode);
            matches!(mode, Some(PortMode::Access { .. } | PortMode::Lacp { fallback: true, .. }))
                && self.partner(port, now).is_none()
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
