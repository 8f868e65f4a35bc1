//! What can go wrong, as data: a fault is in force while its guard lives, and tells how often it struck.

use std::fmt;
use std::sync::Arc;

use harmony_core::net::SwitchId;

use crate::world::Shared;

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// One write to a device goes wrong: the `nth`, counted from 1 since the injection, of those whose
    /// `driver/device` begins with `device` (`switch/tor`, `bmc/`, or nothing for any).
    Write {
        /// Which devices.
        device: String,
        /// Which write.
        nth: u32,
        /// How it goes wrong.
        how: WriteFault,
    },
    /// A machine's agent does not answer as it should.
    Agent {
        /// The machine, by the name in its spec.
        machine: String,
        /// What it answers.
        reply: AgentReply,
    },
    /// A machine starts as if its BMC had never set a boot device.
    BmcIgnoresBootDevice {
        /// The machine.
        machine: String,
    },
    /// A switch rejects every command that makes a LAG.
    SwitchRefusesLacp {
        /// The switch.
        switch: String,
    },
    /// A machine's bond sends no LACPDU that a switch understands.
    NeverNegotiates {
        /// The machine.
        machine: String,
    },
    /// A machine's installer gives up before it writes.
    InstallFails {
        /// The machine.
        machine: String,
        /// What it says.
        reason: String,
    },
}

/// How a write goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFault {
    /// The connection fails before it arrives: no effect, an `Unreachable` error.
    FailBefore,
    /// The reply is lost: it takes effect, and an `Unreachable` error comes back.
    FailAfter,
    /// It never arrives and nobody says so: no effect, no answer, for ever.
    HangBefore,
    /// It takes effect, but no answer comes, for ever.
    HangAfter,
}

/// What an agent answers instead of its report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentReply {
    /// HTTP status 500.
    Error500,
    /// 200 with something that is no report.
    Nonsense,
    /// A body without end.
    Gigabyte,
    /// It accepts the connection and says nothing.
    Silence,
}

/// A fault in force. It ends when this is dropped.
#[must_use = "a fault ends when its guard is dropped"]
pub struct Injected {
    shared: Arc<Shared>,
    id: u64,
}

/// The faults in force.
#[derive(Default)]
pub(crate) struct Faults {
    next: u64,
    active: Vec<Active>,
}

struct Active {
    id: u64,
    fault: Fault,
    /// Writes that it could have struck.
    seen: u32,
    fired: u32,
}

impl Injected {
    pub(crate) fn new(shared: Arc<Shared>, id: u64) -> Self {
        Self { shared, id }
    }

    /// How often it struck so far.
    #[must_use]
    pub fn fired(&self) -> u32 {
        let fired = |faults: &Faults| faults.active.iter().find(|active| active.id == self.id).map_or(0, |a| a.fired);
        self.shared.with(|state| fired(&state.faults))
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        self.shared.with(|state| state.faults.active.retain(|active| active.id != self.id));
    }
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) -> u64 {
        self.next += 1;
        self.active.push(Active { id: self.next, fault, seen: 0, fired: 0 });
        self.next
    }

    /// Whether a write to this device goes wrong. Each write is asked about once.
    pub(crate) fn on_write(&mut self, target: &str) -> Option<WriteFault> {
        let mut struck = None;
        for active in &mut self.active {
            if let Fault::Write { device, nth, how } = &active.fault
                && target.starts_with(device.as_str())
            {
                active.seen += 1;
                if active.seen == *nth && struck.is_none() {
                    active.fired += 1;
                    struck = Some(*how);
                }
            }
        }
        struck
    }

    /// What a machine's agent answers instead of its report.
    pub(crate) fn agent_reply(&mut self, name: &str) -> Option<AgentReply> {
        self.strike(|fault| match fault {
            Fault::Agent { machine, reply } if machine == name => Some(*reply),
            _ => None,
        })
    }

    /// Whether a machine starts without the boot device that was set.
    pub(crate) fn ignores_boot_device(&mut self, name: &str) -> bool {
        let is_it =
            |fault: &Fault| matches!(fault, Fault::BmcIgnoresBootDevice { machine } if machine == name).then_some(());
        self.strike(is_it).is_some()
    }

    /// Whether a switch rejects the command that makes a LAG.
    pub(crate) fn refuses_lacp(&mut self, id: &SwitchId) -> bool {
        let is_it =
            |fault: &Fault| matches!(fault, Fault::SwitchRefusesLacp { switch } if switch == id.as_str()).then_some(());
        self.strike(is_it).is_some()
    }

    /// Why a machine's installer gives up.
    pub(crate) fn install_failure(&mut self, name: &str) -> Option<String> {
        self.strike(|fault| match fault {
            Fault::InstallFails { machine, reason } if machine == name => Some(reason.clone()),
            _ => None,
        })
    }

    /// Whether a machine's bond is not understood. A state, not an event: it is not counted.
    pub(crate) fn never_negotiates(&self, name: &str) -> bool {
        let is_it = |active: &Active| matches!(&active.fault, Fault::NeverNegotiates { machine } if machine == name);
        self.active.iter().any(is_it)
    }

    fn strike<T>(&mut self, of: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.active.iter_mut().find_map(|active| {
            let struck = of(&active.fault)?;
            active.fired += 1;
            Some(struck)
        })
    }
}

impl fmt::Display for WriteFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FailBefore => "fails before",
            Self::FailAfter => "reply lost",
            Self::HangBefore => "hangs before",
            Self::HangAfter => "hangs after",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_write_of_a_device_is_struck_once() {
        let mut faults = Faults::default();
        faults.add(Fault::Write { device: "switch/".to_owned(), nth: 2, how: WriteFault::FailAfter });
        let struck: Vec<_> =
            ["switch/a", "bmc/x", "switch/b", "switch/a"].iter().map(|at| faults.on_write(at)).collect();
        assert_eq!(struck, [None, None, Some(WriteFault::FailAfter), None]);
        assert_eq!(faults.active[0].fired, 1);
    }
}
