//! LACP as a switch runs it on each port of a LAG: whom it hears, how far the negotiation is, what the
//! port does without a partner.
//!
//! Pure reading of the state at a moment: each state of the receive and mux machines is entered at a
//! time that follows from when port, cable and partner were last touched. Measured on Open vSwitch
//! with Linux bonds and iPXE: two to three seconds from the first LACPDU to distributing, whatever
//! the rate, since both ends speak at once when something changes; the rate decides how long a silent
//! partner is believed in. Source: IEEE 802.1AX-2014 sections 6.4.4 (timers), 6.4.12 (receive
//! machine), 6.4.15 (mux machine). Read next: `crate::network` for what passes a port.

use std::time::Duration;

use harmony_core::capability::PortMode;
use harmony_core::net::{LagName, MacAddress, PortRef, SwitchId};

use crate::machine::NicEnd;
use crate::spec::{LacpRate, Unpartnered};
use crate::switch::{Port, SwitchState};
use crate::world::State;

/// From the partner's first LACPDU to the aggregator's choice …
const WAIT: Duration = Duration::from_millis(1000);
/// … to collecting …
const COLLECT: Duration = Duration::from_millis(1250);
/// … to distributing.
pub(crate) const DISTRIBUTE: Duration = Duration::from_millis(1500);
/// How long a port listens for a partner before it does without.
const LISTEN: Duration = Duration::from_secs(3);

/// How far the negotiation of a port is: the states of the mux machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mux {
    /// No partner is heard, or the LAG has another one.
    Detached,
    /// A partner is heard, and the aggregator waits for more ports.
    Waiting,
    /// In sync.
    Attached,
    /// Takes frames in.
    Collecting,
    /// Sends frames too.
    Distributing,
}

/// What a port of a LAG does at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has no link.
    Down,
    /// It listens or negotiates, and forwards nothing yet.
    Negotiating,
    /// It is in the bundle.
    Bundled,
    /// It hears no partner, and forwards by itself because its LAG has fallback.
    Fallback,
    /// It hears no partner, and forwards by itself because that is what this switch does.
    Individual,
    /// It hears no partner, or not its LAG's, and forwards nothing.
    Suspended,
}

/// The LACP state of a port of a LAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LacpPort {
    /// The switch's own system id, or that of its pair.
    pub(crate) system: MacAddress,
    /// The partner's, from the first LACPDU on.
    pub(crate) partner: Option<MacAddress>,
    /// How often the partner is asked to speak.
    pub(crate) rate: LacpRate,
    pub(crate) mux: Mux,
    pub(crate) standing: Standing,
}

impl LacpRate {
    /// How long a silent partner is believed in: three periods.
    pub(crate) fn timeout(self) -> Duration {
        match self {
            Self::Fast => Duration::from_secs(3),
            Self::Slow => Duration::from_secs(90),
        }
    }
}

impl State {
    /// The LACP system at the other end of a port's cable, and since when it could be heard.
    fn speaker(&self, switch: &SwitchState, port: &Port, now: Duration) -> Option<(MacAddress, Duration)> {
        let (id, nic) = port.cable?;
        let machine = &self.machines[id];
        let end = &machine.nics[nic];
        let system = match (end.end, &machine.bond) {
            (NicEnd::Bonded, Some(bond)) => bond.mac,
            (NicEnd::LacpPassive, _) => end.mac,
            (NicEnd::Silent | NicEnd::Plain | NicEnd::Bonded, _) => return None,
        };
        let since = port.since.max(end.since).max(self.link_since(id, nic, now)?);
        match self.faults.mute_since(&machine.name) {
            // What it said before it fell silent counts for a while.
            Some(mute) => {
                let is_believed = mute >= since + port.negotiation && now < mute + switch.lacp_rate.timeout();
                is_believed.then_some((system, since))
            }
            None => Some((system, since)),
        }
    }

    /// How far a port is with the partner that it hears, whichever its LAG has chosen.
    fn negotiation(&self, switch: &SwitchState, port: &Port, now: Duration) -> Option<(MacAddress, Mux)> {
        let (system, since) = self.speaker(switch, port, now)?;
        let first_heard = since + port.negotiation.saturating_sub(DISTRIBUTE);
        let mux = match now.checked_sub(first_heard)? {
            past if past >= DISTRIBUTE => Mux::Distributing,
            past if past >= COLLECT => Mux::Collecting,
            past if past >= WAIT => Mux::Attached,
            _ => Mux::Waiting,
        };
        Some((system, mux))
    }

    /// The ports of a LAG on this switch and, if that is one of a pair, on the other; in the same order seen
    /// from both.
    fn lag_ports<'a>(&'a self, id: &SwitchId, lag: &'a LagName) -> impl Iterator<Item = (&'a SwitchState, &'a Port)> {
        let own = self.switches.get(id);
        let mlag = own.and_then(|switch| switch.mlag.as_ref());
        let other = mlag.and_then(|mlag| self.switches.get(&mlag.peer));
        let own_is_first = mlag.is_none_or(|mlag| *id < mlag.peer);
        let switches = if own_is_first { [own, other] } else { [other, own] };
        switches.into_iter().flatten().flat_map(move |switch| {
            let names = switch.lags.get(lag).into_iter().flatten();
            names.filter_map(move |name| Some((switch, switch.ports.get(name)?)))
        })
    }

    /// The state of a port; none for one that is in no LAG.
    pub(crate) fn lacp(&self, at: &PortRef, now: Duration) -> Option<LacpPort> {
        let switch = self.switches.get(&at.switch)?;
        let port = switch.ports.get(&at.port)?;
        let PortMode::Lacp { lag, fallback, .. } = &port.mode else { return None };
        // A LAG bundles with one partner only: that of the first of its ports that is in sync with one.
        let heard = self.negotiation(switch, port, now);
        let chosen = heard.and_then(|_| {
            let ports = self.lag_ports(&at.switch, lag);
            let mut ports = ports.filter_map(|(switch, port)| self.negotiation(switch, port, now));
            let first = ports.next()?;
            let is_through = |(_, mux): &(MacAddress, Mux)| *mux == Mux::Distributing;
            let through = if is_through(&first) { None } else { ports.find(is_through) };
            Some(through.unwrap_or(first).0)
        });
        let (partner, mux) = heard.filter(|(system, _)| chosen == Some(*system)).unzip();
        let mux = mux.unwrap_or(Mux::Detached);
        let standing = self.standing(port, mux, heard.is_some(), *fallback, switch.unpartnered, now);
        Some(LacpPort { system: switch.lacp_system(), partner, rate: switch.lacp_rate, mux, standing })
    }

    fn standing(
        &self,
        port: &Port,
        mux: Mux,
        hears: bool,
        fallback: bool,
        unpartnered: Unpartnered,
        now: Duration,
    ) -> Standing {
        let Some((id, nic)) = port.cable else { return Standing::Down };
        let Some(link) = self.link_since(id, nic, now) else { return Standing::Down };
        let listens = now < port.since.max(self.machines[id].nics[nic].since).max(link) + LISTEN;
        match (mux, fallback, unpartnered) {
            (Mux::Distributing, ..) => Standing::Bundled,
            (Mux::Waiting | Mux::Attached | Mux::Collecting, ..) => Standing::Negotiating,
            (Mux::Detached, ..) if hears => Standing::Suspended,
            (Mux::Detached, ..) if listens => Standing::Negotiating,
            (Mux::Detached, true, _) => Standing::Fallback,
            (Mux::Detached, false, Unpartnered::Individual) => Standing::Individual,
            (Mux::Detached, false, Unpartnered::Suspended) => Standing::Suspended,
        }
    }

    /// The LACP partner that a port is bundled with.
    pub(crate) fn partner(&self, at: &PortRef, now: Duration) -> Option<MacAddress> {
        self.lacp(at, now).filter(|lacp| lacp.mux == Mux::Distributing)?.partner
    }

    /// The LACP partner that a NIC is bundled with: the switch, or its pair, and its LAG.
    pub(crate) fn host_partner(&self, id: usize, nic: usize, now: Duration) -> Option<(MacAddress, LagName)> {
        let at = self.machines[id].nics[nic].port.as_ref()?;
        let lacp = self.lacp(at, now).filter(|lacp| lacp.mux == Mux::Distributing)?;
        match &self.port(at)?.mode {
            PortMode::Lacp { lag, .. } => Some((lacp.system, lag.clone())),
            PortMode::Access { .. } | PortMode::Unrecognised { .. } => None,
        }
    }

    /// Whether every plugged NIC of a machine is bundled.
    pub(crate) fn is_bundled(&self, id: usize, now: Duration) -> bool {
        let nics = &self.machines[id].nics;
        let mut plugged = (0..nics.len()).filter(|nic| nics[*nic].port.is_some()).peekable();
        plugged.peek().is_some() && plugged.all(|nic| self.host_partner(id, nic, now).is_some())
    }
}
