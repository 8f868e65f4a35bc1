//! What can go wrong, as data: a fault is in force while its guard lives, and tells how often it struck.
//!
//! Knows no device: whoever is about to do something asks here whether it goes wrong. Read next: `name` for
//! what faults are called, `pick` for how a seed chooses a victim.

mod active;
mod cluster;
mod name;
mod pick;

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use harmony_core::boot::Stage;
use jiff::SignedDuration;

pub(crate) use active::Faults;
pub use name::{FaultName, UnknownFault};

use crate::cluster::Foreign;
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
    /// The connection to a switch is cut in the middle of its next command for several ports: the
    /// first port is as asked, the others are as before, and no answer comes. Once.
    CutMidCommand {
        /// The switch.
        switch: String,
    },
    /// A device refuses the login, reads included.
    LoginRefused {
        /// Which devices: what `driver/device` begins with, as in [`Fault::Write`], of `switch/`, `bmc/`, `host/`.
        device: String,
        /// How often, from the injection on.
        times: u32,
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
    /// A machine's BMC does not forget the boot device after one start.
    BmcKeepsBootDevice {
        /// The machine.
        machine: String,
    },
    /// A machine stops doing anything, until somebody restarts it, or its watchdog does after ten minutes. Once.
    HostHangs {
        /// The machine.
        machine: String,
        /// What runs on it then; [`Stage::Idle`] is the firmware's self-test, or the start from a disk.
        stage: Stage,
        /// In which pause of that stage, counted from 1 since the injection.
        nth: u32,
    },
    /// A machine's firmware tries its NICs from the last to the first.
    BootsFromWrongNic {
        /// The machine.
        machine: String,
    },
    /// Somebody has swapped two cables at the machines' ends.
    SwappedCables {
        /// Machine and index of its NIC; no machine twice.
        nics: [(String, usize); 2],
    },
    /// A NIC loses its link again and again: 5 s without, 25 s with.
    FlappingLink {
        /// The machine.
        machine: String,
        /// Index of its NIC.
        nic: usize,
    },
    /// A switch rejects some commands that change it.
    SwitchRejects {
        /// The switch.
        switch: String,
        /// The first of them, counted from 1 since the injection …
        first: u32,
        /// … and then one of how many.
        every: u32,
    },
    /// A switch rejects every command that makes a LAG.
    SwitchRefusesLacp {
        /// The switch.
        switch: String,
    },
    /// A machine sends no LACPDU that a switch understands.
    NeverNegotiates {
        /// The machine.
        machine: String,
    },
    /// The DHCP server has no address left for MACs without a reservation.
    DhcpExhausted,
    /// A machine's disk is no longer there.
    DiskVanished {
        /// The machine.
        machine: String,
        /// The disk, by the name in its spec.
        disk: String,
    },
    /// A machine's installer gives up before it writes.
    InstallFails {
        /// The machine.
        machine: String,
        /// What it says.
        reason: String,
    },
    /// The bootstrap of every cluster pulls its images for ever.
    BootstrapNeverServes,
    /// A machine hangs at its first boot from disk, until somebody restarts it; then it hangs again.
    FirstBootHangs {
        /// The machine.
        machine: String,
    },
    /// Every machine config server answers 404, which a machine takes as final.
    MachineConfigMissing,
    /// The certificates in Ignition files are over their time: who has none of its own yet is refused.
    CertificatesExpired,
    /// Somebody who is no host of ours asks a cluster for a certificate, once its bootstrap is complete.
    ForeignRequest {
        /// What is foreign about it.
        foreign: Foreign,
    },
    /// A cluster operator says that it is degraded.
    OperatorDegraded {
        /// Which.
        operator: String,
    },
    /// The load balancer's checks of servers on a machine fail.
    BalancerLoses {
        /// The machine.
        machine: String,
    },
    /// The DNS server gives an old address.
    StaleDns {
        /// What the names begin with.
        name: String,
        /// The address.
        address: Ipv4Addr,
    },
    /// The clock that Harmony reads jumps; time passes as before.
    ClockJump {
        /// How far, in whole seconds.
        by: SignedDuration,
    },
    /// Harmony is to be killed when it makes its `nth` write to a device, counted from 1 since the
    /// injection: `World::controller_killed` tells who has to do it, from then on until the guard is dropped.
    ControllerKilled {
        /// Which write, of any device. It still takes effect.
        nth: u32,
    },
}

/// How a write goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFault {
    /// The connection fails before it arrives: no effect, an `Unreachable` error.
    FailBefore,
    /// The reply is lost: it takes effect, and an `Unreachable` error comes back.
    FailAfter,
    /// It takes effect at once, and the reply comes 30 s later.
    Late,
    /// It never arrives and nobody says so: no effect, no answer, for ever.
    HangBefore,
    /// It takes effect, but no answer comes, for ever.
    HangAfter,
}

/// How much later a late reply is.
pub(crate) const LATE: Duration = Duration::from_secs(30);

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
    /// A report with the serial number of another machine.
    OtherSerial,
    /// A report in which its first NIC has the MAC of another machine's.
    OtherMac,
    /// A report whose first NIC heard the switch port of another machine's by LLDP.
    OtherPort,
}

/// A fault in force. It ends when this is dropped.
#[must_use = "a fault ends when its guard is dropped"]
pub struct Injected {
    shared: Arc<Shared>,
    id: u64,
}

impl Injected {
    pub(crate) fn new(shared: Arc<Shared>, id: u64) -> Self {
        Self { shared, id }
    }

    /// How often it struck so far. One that changes the world as such (cables, disks, the clock, a link)
    /// strikes once, when it is injected.
    #[must_use]
    pub fn fired(&self) -> u32 {
        self.shared.with(|state| state.faults.fired(self.id))
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        let now = self.shared.now();
        self.shared.with(|state| state.end_fault(self.id, now));
    }
}

impl fmt::Display for WriteFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FailBefore => "fails before",
            Self::FailAfter => "reply lost",
            Self::Late => "reply late",
            Self::HangBefore => "hangs before",
            Self::HangAfter => "hangs after",
        })
    }
}
