//! Which switch port a NIC is plugged into, by up to three independent witnesses (P11).
//!
//! Each witness can be silent (LLDP off, no frame sent yet). Witnesses that disagree are
//! reported with what each of them says; nothing is guessed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::net::PortRef;

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WitnessKind {
    /// LLDP frames of the switch, heard by the agent on this NIC.
    AgentLldp,
    /// The switch's MAC address table.
    MacTable,
    /// LLDP frames of the host, heard by the switch.
    SwitchLldp,
}

impl fmt::Display for WitnessKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AgentLldp => "LLDP heard by the host",
            Self::MacTable => "the switch's MAC table",
            Self::SwitchLldp => "LLDP heard by the switch",
        })
    }
}

/// What the witnesses of one NIC say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortWitnesses(BTreeMap<WitnessKind, PortRef>);

/// What follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortWitness {
    /// No witness has spoken.
    Unknown,
    /// All that spoke name this port.
    Agreed(PortRef),
    /// They contradict each other; the text says what each says.
    Disputed(String),
}

impl PortWitnesses {
    /// Records what a witness says now; it replaces what it said before.
    pub fn hear(&mut self, witness: WitnessKind, port: PortRef) {
        self.0.insert(witness, port);
    }

    /// Each witness with what it says.
    pub fn iter(&self) -> impl Iterator<Item = (WitnessKind, &PortRef)> {
        self.0.iter().map(|(kind, port)| (*kind, port))
    }

    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> PortWitness {
        let mut said = self.0.values();
        match said.next() {
            None => PortWitness::Unknown,
            Some(first) if said.all(|port| port == first) => PortWitness::Agreed(first.clone()),
            Some(_) => PortWitness::Disputed(
                self.iter().map(|(kind, port)| format!("{kind} says {port}")).collect::<Vec<_>>().join(", "),
            ),
        }
    }

    /// The port, where the witnesses agree on one.
    #[must_use]
    pub fn agreed(&self) -> Option<PortRef> {
        match self.verdict() {
            PortWitness::Agreed(port) => Some(port),
            PortWitness::Unknown | PortWitness::Disputed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_agreement_dispute() {
        let port = |text: &str| text.parse::<PortRef>().expect("valid");
        let mut heard = PortWitnesses::default();
        assert_eq!(heard.verdict(), PortWitness::Unknown);
        heard.hear(WitnessKind::MacTable, port("tor/1"));
        heard.hear(WitnessKind::AgentLldp, port("tor/1"));
        assert_eq!(heard.agreed(), Some(port("tor/1")));
        heard.hear(WitnessKind::SwitchLldp, port("tor/2"));
        assert_eq!(heard.agreed(), None);
        let PortWitness::Disputed(text) = heard.verdict() else { panic!("disputed") };
        assert_eq!(
            text,
            "LLDP heard by the host says tor/1, the switch's MAC table says tor/1, LLDP heard by the switch says tor/2"
        );
    }
}
