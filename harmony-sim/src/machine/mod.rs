//! A machine: its NICs, disks and what runs on it; never what Harmony knows of it.
//!
//! Read next: `life` for how it goes from power-on to a running system, `network_boot` and `live` for how it does
//! what it is served, `shell` for what it answers over SSH.

mod anaconda;
mod bonding;
mod cmdline;
mod coreos;
mod fetch;
mod first_boot;
mod https;
mod ignition;
mod install;
mod keyfiles;
mod kickstart;
mod life;
mod link;
mod live;
mod network_boot;
mod report;
mod shell;
mod system;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use harmony_core::boot::Stage;
use harmony_core::capability::{BootDevice, PowerAction};
use harmony_core::host::{BmcId, Firmware};
use harmony_core::net::{Hostname, MacAddress, PortRef};
use tokio::sync::watch;
use uuid::Uuid;

pub(crate) use bonding::proc_text;
pub(crate) use life::Life;
pub(crate) use report::report;
pub(crate) use shell::{Said, say};
pub(crate) use system::System;

use crate::spec::{BmcPersonality, BootRom, DiskSpec, HostSpec};
use crate::world::{SpecError, State};

/// A machine.
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) firmware: Firmware,
    pub(crate) rom: BootRom,
    pub(crate) uuid: Uuid,
    pub(crate) serial: String,
    pub(crate) bmc: Option<BmcId>,
    pub(crate) bmc_personality: BmcPersonality,
    pub(crate) quorum: Option<String>,
    pub(crate) boot_order: Vec<BootDevice>,
    pub(crate) sends_lldp: bool,
    pub(crate) clock_ahead_s: i64,
    pub(crate) nics: Vec<Nic>,
    pub(crate) disks: Vec<Disk>,
    /// Tells its task of every change of power.
    pub(crate) power: watch::Sender<Power>,
    /// Why it is on, or started last.
    pub(crate) cause: Cause,
    /// What its BMC has set for the next boot.
    pub(crate) next_boot: Option<NextBoot>,
    /// Whether its firmware tests itself.
    pub(crate) in_post: bool,
    /// Until when its BMC is busy with what it was told last.
    pub(crate) bmc_busy_until: Duration,
    /// When its BMC last switched it off.
    pub(crate) switched_off_at: Option<Duration>,
    pub(crate) stage: Stage,
    pub(crate) bond: Option<Bond>,
    /// The tagged VLAN that carries its address.
    pub(crate) vlan: Option<u16>,
    pub(crate) running: Running,
    /// What its screen shows, oldest line first.
    pub(crate) console: VecDeque<String>,
    /// What the live environment that runs was started with.
    pub(crate) live: LiveStart,
    pub(crate) starts: u32,
    pub(crate) restarts: u32,
    pub(crate) installs: u32,
}

/// Power, with a number that grows with every reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Power {
    pub(crate) on: bool,
    resets: u64,
}

/// The boot device that a BMC has set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NextBoot {
    pub(crate) device: BootDevice,
    /// Whether it holds for more than one boot.
    pub(crate) sticks: bool,
    pub(crate) since: Duration,
}

/// Who made a machine start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Itself, or somebody at its button.
    Itself,
    /// Harmony.
    Harmony,
}

/// A NIC.
pub(crate) struct Nic {
    pub(crate) name: String,
    pub(crate) mac: MacAddress,
    pub(crate) port: Option<PortRef>,
    /// What speaks on it now, and since when.
    pub(crate) end: NicEnd,
    pub(crate) since: Duration,
    /// When it last got its link, as far as the machine and the cable go.
    pub(crate) link_since: Duration,
}

/// What speaks on a NIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NicEnd {
    /// Nothing.
    Silent,
    /// A stack that does not know LACP: firmware, or a plain Linux interface.
    Plain,
    /// iPXE: it answers LACPDUs. Source: iPXE `src/net/eth_slow.c`.
    LacpPassive,
    /// A member of a Linux 802.3ad bond.
    Bonded,
}

/// An 802.3ad bond that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bond {
    pub(crate) name: String,
    pub(crate) mac: MacAddress,
    /// Indices of its NICs.
    pub(crate) members: Vec<usize>,
}

/// A disk.
pub(crate) struct Disk {
    pub(crate) spec: DiskSpec,
    /// The system that Harmony installed on it.
    pub(crate) system: Option<System>,
    /// Whether the machine still sees it.
    pub(crate) is_present: bool,
}

/// What a live environment was told when it was started.
#[derive(Debug, Clone, Default)]
pub(crate) struct LiveStart {
    /// Its kernel's command line.
    pub(crate) cmdline: String,
    /// What it fetched from `harmony.ssh=`: who may log in as root, as in `authorized_keys`.
    pub(crate) authorized_keys: String,
    /// Whether it lets nobody in, as the stock system does.
    pub(crate) is_closed: bool,
}

/// What runs on a machine and can be spoken to.
#[derive(Debug, Clone)]
pub(crate) enum Running {
    /// Nothing yet, or firmware.
    Nothing,
    /// The live environment: inventory or installer.
    Live { nic: usize, boot_id: Uuid, since: Duration, address: Option<IpAddr>, agent: bool },
    /// The system on the disk of this index.
    System { disk: usize, boot_id: Uuid, since: Duration, nic: Option<usize>, address: Option<IpAddr> },
    /// What answers nothing: a system that Harmony did not install, or the initramfs of one at its first boot.
    Silent { nic: usize, address: Option<IpAddr> },
}

impl Running {
    /// Where it answers.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Nothing => None,
            Self::Live { address, .. } | Self::System { address, .. } | Self::Silent { address, .. } => *address,
        }
    }

    /// Which boot of which system it is. None for what answers nothing anyway.
    pub(crate) fn boot_id(&self) -> Option<Uuid> {
        match self {
            Self::Live { boot_id, .. } | Self::System { boot_id, .. } => Some(*boot_id),
            Self::Nothing | Self::Silent { .. } => None,
        }
    }

    /// The NIC that its address is on, where that is not a bond.
    pub(crate) fn nic(&self) -> Option<usize> {
        match self {
            Self::Nothing => None,
            Self::Live { nic, .. } | Self::Silent { nic, .. } => Some(*nic),
            Self::System { nic, .. } => *nic,
        }
    }

    /// Whether it is the live environment.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Self::Live { .. })
    }

    pub(crate) fn set_address(&mut self, to: IpAddr) {
        match self {
            Self::Nothing => {}
            Self::Live { address, .. } | Self::System { address, .. } | Self::Silent { address, .. } => {
                *address = Some(to)
            }
        }
    }
}

impl Machine {
    /// The machine that a spec describes, before its first start.
    pub(crate) fn new(spec: HostSpec) -> Result<Self, SpecError> {
        let nic = |nic: crate::spec::NicSpec| -> Result<Nic, SpecError> {
            let port = nic.port.map(|port| port.parse()).transpose()?;
            let (end, since) = (NicEnd::Silent, Duration::ZERO);
            Ok(Nic { name: nic.name, mac: nic.mac, port, end, since, link_since: since })
        };
        spec.name.parse::<Hostname>()?;
        Ok(Self {
            name: spec.name,
            firmware: spec.firmware,
            rom: spec.rom,
            uuid: spec.uuid,
            serial: spec.serial,
            bmc: spec.bmc.map(|bmc| bmc.parse()).transpose()?,
            bmc_personality: spec.bmc_personality,
            quorum: spec.quorum,
            boot_order: spec.boot_order,
            sends_lldp: spec.sends_lldp,
            clock_ahead_s: spec.clock_ahead_s,
            nics: spec.nics.into_iter().map(nic).collect::<Result<_, _>>()?,
            disks: spec.disks.into_iter().map(|spec| Disk { spec, system: None, is_present: true }).collect(),
            power: watch::Sender::new(Power { on: spec.powered, resets: 0 }),
            cause: Cause::Itself,
            next_boot: None,
            in_post: false,
            bmc_busy_until: Duration::ZERO,
            switched_off_at: None,
            stage: Stage::Idle,
            bond: None,
            vlan: None,
            running: Running::Nothing,
            console: VecDeque::new(),
            live: LiveStart::default(),
            starts: 0,
            restarts: 0,
            installs: 0,
        })
    }

    /// Whether it is on.
    pub(crate) fn is_on(&self) -> bool {
        self.power.borrow().on
    }

    /// The installed system that runs.
    pub(crate) fn system(&self) -> Option<&System> {
        match &self.running {
            Running::System { disk, .. } => self.disks.get(*disk)?.system.as_ref(),
            Running::Nothing | Running::Live { .. } | Running::Silent { .. } => None,
        }
    }

    /// Whether there is a system that it can start from its disks.
    pub(crate) fn has_system(&self) -> bool {
        self.disks.iter().any(|disk| disk.is_present && (disk.system.is_some() || disk.spec.bootable))
    }

    /// MACs of its NICs.
    pub(crate) fn macs(&self) -> Vec<MacAddress> {
        self.nics.iter().map(|nic| nic.mac).collect()
    }

    /// MACs that its frames can have: those of its NICs, and its bond's.
    pub(crate) fn all_macs(&self) -> Vec<MacAddress> {
        self.nics.iter().map(|nic| nic.mac).chain(self.bond.as_ref().map(|bond| bond.mac)).collect()
    }
}

impl State {
    /// A machine by the name in its spec.
    pub(crate) fn machine_named(&self, name: &str) -> Option<usize> {
        self.index.names.get(name).copied()
    }

    /// The machine with a NIC of this permanent address.
    pub(crate) fn machine_by_mac(&self, mac: MacAddress) -> Option<usize> {
        self.index.macs.get(&mac).copied()
    }

    /// The NICs that a machine's firmware boots from, in its order: those with a cable.
    pub(crate) fn boot_nics(&self, id: usize) -> Vec<usize> {
        let machine = &self.machines[id];
        let mut nics: Vec<usize> = (0..machine.nics.len()).filter(|nic| machine.nics[*nic].port.is_some()).collect();
        if self.faults.boots_from_wrong_nic(&machine.name) {
            nics.reverse();
        }
        nics
    }

    /// Switches a machine on or off, or restarts it; its task goes on from there.
    pub(crate) fn switch_power(&mut self, id: usize, action: PowerAction, cause: Cause, now: Duration) {
        let is_on = self.machines[id].is_on();
        let on = match action {
            PowerAction::On if is_on => return,
            PowerAction::Off if !is_on => return,
            PowerAction::On | PowerAction::Restart => true,
            PowerAction::Off => false,
        };
        self.fall_silent(id, now);
        let machine = &mut self.machines[id];
        machine.cause = cause;
        if !on {
            machine.switched_off_at = Some(now);
        }
        if on && cause == Cause::Harmony {
            machine.restarts += 1;
        }
        machine.power.send_modify(|power| *power = Power { on, resets: power.resets + 1 });
        if cause == Cause::Harmony {
            self.check_quorum(id, now);
        }
    }

    /// Everything that spoke on a machine stops.
    pub(crate) fn fall_silent(&mut self, id: usize, now: Duration) {
        self.learn_from(id, now);
        self.close_flips(now);
        self.member_stops(id, now);
        let machine = &mut self.machines[id];
        machine.stage = Stage::Idle;
        machine.bond = None;
        machine.vlan = None;
        machine.running = Running::Nothing;
        machine.live = LiveStart::default();
        for nic in &mut machine.nics {
            (nic.end, nic.since) = (NicEnd::Silent, now);
        }
        let macs = machine.macs();
        self.dhcp.release(&macs, now);
    }

    /// A machine's NICs lose their links, and get them again: it was reset.
    pub(crate) fn relink(&mut self, id: usize, now: Duration) {
        self.machines[id].nics.iter_mut().for_each(|nic| nic.link_since = now);
    }

    /// Lets something speak on some NICs of a machine, and on no other.
    pub(crate) fn speak(&mut self, id: usize, nics: &[usize], end: NicEnd, now: Duration) {
        for (index, nic) in self.machines[id].nics.iter_mut().enumerate() {
            let end = if nics.contains(&index) { end } else { NicEnd::Silent };
            if nic.end != end {
                (nic.end, nic.since) = (end, now);
            }
        }
    }
}
