//! The faults in force, and the questions that the world asks before it does something.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use harmony_core::boot::Stage;
use harmony_core::net::SwitchId;
use harmony_core::report::v1;
use tokio::sync::watch;

use super::{AgentReply, Fault, WriteFault};
use crate::world::State;

/// A flapping link is without carrier this long …
const FLAP_DOWN: Duration = Duration::from_secs(5);
/// … in each of these.
const FLAP_PERIOD: Duration = Duration::from_secs(30);

/// The faults in force.
pub(crate) struct Faults {
    next: u64,
    pub(super) active: Vec<Active>,
    /// Whether Harmony is to be killed now.
    pub(crate) kill: watch::Sender<bool>,
}

pub(super) struct Active {
    id: u64,
    pub(super) fault: Fault,
    since: Duration,
    /// What it could have struck.
    seen: Cell<u32>,
    pub(super) fired: Cell<u32>,
}

impl Active {
    pub(super) fn fire(&self) {
        self.fired.set(self.fired.get() + 1);
    }

    /// Counts one more that it could strike; whether it is the `nth`.
    fn is_nth(&self, nth: u32) -> bool {
        self.seen.set(self.seen.get() + 1);
        self.seen.get() == nth
    }
}

/// What another machine is like, for an agent that lies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lie {
    pub(crate) serial: String,
    pub(crate) mac: String,
    pub(crate) port: String,
}

impl Lie {
    /// Puts the lie into a report. Whether `reply` is a lie at all.
    pub(crate) fn tell(&self, reply: AgentReply, report: &mut v1::Report) -> bool {
        let nic = report.nics.first_mut();
        match (reply, nic) {
            (AgentReply::OtherSerial, _) => report.system.serial = Some(self.serial.clone()),
            (AgentReply::OtherMac, Some(nic)) => {
                (nic.mac, nic.permanent_mac) = (Some(self.mac.clone()), Some(self.mac.clone()));
            }
            (AgentReply::OtherPort, Some(nic)) => {
                nic.lldp.iter_mut().for_each(|heard| heard.port_id.clone_from(&self.port));
            }
            (AgentReply::OtherMac | AgentReply::OtherPort, None) => {}
            (AgentReply::Error500 | AgentReply::Nonsense | AgentReply::Gigabyte | AgentReply::Silence, _) => {
                return false;
            }
        }
        true
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self { next: 0, active: Vec::new(), kill: watch::Sender::new(false) }
    }
}

impl Faults {
    fn add(&mut self, fault: Fault, since: Duration) -> u64 {
        self.next += 1;
        self.active.push(Active { id: self.next, fault, since, seen: Cell::new(0), fired: Cell::new(0) });
        self.next
    }

    pub(crate) fn fired(&self, id: u64) -> u32 {
        self.active.iter().find(|active| active.id == id).map_or(0, |active| active.fired.get())
    }

    /// Whether a write to this device goes wrong. Each write is asked about once.
    pub(crate) fn on_write(&self, target: &str) -> Option<WriteFault> {
        let mut struck = None;
        for active in &self.active {
            let (how, nth) = match &active.fault {
                Fault::Write { device, nth, how } if target.starts_with(device.as_str()) => (Some(*how), *nth),
                Fault::ControllerKilled { nth } => (None, *nth),
                _ => continue,
            };
            if !active.is_nth(nth) || (how.is_some() && struck.is_some()) {
                continue;
            }
            active.fire();
            struck = struck.or(how);
            if how.is_none() {
                self.kill.send_replace(true);
            }
        }
        struck
    }

    /// Whether a device refuses this login: `switch/tor`.
    pub(crate) fn refuses_login(&self, target: &str) -> bool {
        self.strikes(|active| {
            matches!(&active.fault, Fault::LoginRefused { device, times }
                if target.starts_with(device.as_str()) && active.fired.get() < *times)
        })
    }

    /// Whether the connection to a switch is cut in the middle of this command.
    pub(crate) fn cuts_command(&self, id: &SwitchId) -> bool {
        self.strikes(|active| {
            matches!(&active.fault, Fault::CutMidCommand { switch } if switch == id.as_str()) && active.fired.get() == 0
        })
    }

    /// Whether a switch rejects this command.
    pub(crate) fn rejects_command(&self, id: &SwitchId) -> bool {
        self.strikes(|active| match &active.fault {
            Fault::SwitchRejects { switch, first, every } if switch == id.as_str() => {
                active.seen.set(active.seen.get() + 1);
                active.seen.get().checked_sub(*first).is_some_and(|past| past.is_multiple_of((*every).max(1)))
            }
            _ => false,
        })
    }

    /// Whether a switch rejects the command that makes a LAG.
    pub(crate) fn refuses_lacp(&self, id: &SwitchId) -> bool {
        self.strikes(|active| matches!(&active.fault, Fault::SwitchRefusesLacp { switch } if switch == id.as_str()))
    }

    /// What a machine's agent answers instead of its report.
    pub(crate) fn agent_reply(&self, name: &str) -> Option<AgentReply> {
        self.find(|active| match &active.fault {
            Fault::Agent { machine, reply } if machine == name => Some(*reply),
            _ => None,
        })
    }

    /// Whether a machine starts without the boot device that was set.
    pub(crate) fn ignores_boot_device(&self, name: &str) -> bool {
        self.strikes(|active| matches!(&active.fault, Fault::BmcIgnoresBootDevice { machine } if machine == name))
    }

    /// Whether the boot device that was set is still set after this start.
    pub(crate) fn keeps_boot_device(&self, name: &str) -> bool {
        self.strikes(|active| matches!(&active.fault, Fault::BmcKeepsBootDevice { machine } if machine == name))
    }

    /// Whether a machine hangs in this pause of this stage.
    pub(crate) fn hangs(&self, name: &str, at: Stage) -> bool {
        self.strikes(|active| {
            matches!(&active.fault, Fault::HostHangs { machine, stage, nth }
                if machine == name && *stage == at && active.is_nth(*nth))
        })
    }

    /// Whether a machine's firmware tries its NICs in the wrong order.
    pub(crate) fn boots_from_wrong_nic(&self, name: &str) -> bool {
        self.strikes(|active| matches!(&active.fault, Fault::BootsFromWrongNic { machine } if machine == name))
    }

    /// Why a machine's installer gives up.
    pub(crate) fn install_failure(&self, name: &str) -> Option<String> {
        self.find(|active| match &active.fault {
            Fault::InstallFails { machine, reason } if machine == name => Some(reason.clone()),
            _ => None,
        })
    }

    /// Whether there is no address left for a stranger. Asked when one would be given.
    pub(crate) fn exhausts_dhcp(&self) -> bool {
        self.strikes(|active| active.fault == Fault::DhcpExhausted)
    }

    /// Since when a machine's LACPDUs are not understood. A state, not an event: it is not counted.
    pub(crate) fn mute_since(&self, name: &str) -> Option<Duration> {
        let is_it = |active: &&Active| matches!(&active.fault, Fault::NeverNegotiates { machine } if machine == name);
        self.active.iter().find(is_it).map(|active| active.since)
    }

    /// Since when a NIC that has a link has had it without a break; none while it has none.
    pub(crate) fn steady_since(&self, name: &str, index: usize, now: Duration) -> Option<Duration> {
        let is_it = |active: &&Active| matches!(&active.fault, Fault::FlappingLink { machine, nic } if machine == name && *nic == index);
        let Some(active) = self.active.iter().find(is_it) else { return Some(Duration::ZERO) };
        let past = now.saturating_sub(active.since);
        let periods = u32::try_from(past.as_millis() / FLAP_PERIOD.as_millis()).unwrap_or(u32::MAX);
        let up = active.since + FLAP_PERIOD.saturating_mul(periods) + FLAP_DOWN;
        (now >= up).then_some(up)
    }

    pub(super) fn strikes(&self, is_it: impl Fn(&Active) -> bool) -> bool {
        self.find(|active| is_it(active).then_some(())).is_some()
    }

    /// The first fault that strikes, counted.
    pub(super) fn find<T>(&self, of: impl Fn(&Active) -> Option<T>) -> Option<T> {
        self.active.iter().find_map(|active| {
            let struck = of(active)?;
            active.fire();
            Some(struck)
        })
    }
}

impl State {
    /// Puts a fault in force.
    pub(crate) fn begin_fault(&mut self, fault: Fault, now: Duration) -> u64 {
        self.note(now, &format!("fault: {} begins", fault.name()));
        let id = self.faults.add(fault.clone(), now);
        let is_done = match &fault {
            Fault::SwappedCables { nics } => self.swap_cables(nics, now),
            Fault::DiskVanished { machine, disk } => self.set_disk_present(machine, disk, false),
            Fault::ClockJump { by } => {
                self.clock_jump_s.fetch_add(by.as_secs(), Ordering::Relaxed);
                true
            }
            Fault::FlappingLink { machine, nic } => {
                self.machine_named(machine).is_some_and(|id| *nic < self.machines[id].nics.len())
            }
            fault => self.begin_in_clusters(fault, now),
        };
        if is_done && let Some(active) = self.faults.active.last() {
            active.fire();
        }
        id
    }

    /// Ends a fault, and undoes what it did to the world as such.
    pub(crate) fn end_fault(&mut self, id: u64, now: Duration) {
        let Some(at) = self.faults.active.iter().position(|active| active.id == id) else { return };
        let active = self.faults.active.remove(at);
        self.note(now, &format!("fault: {} ends", active.fault.name()));
        match &active.fault {
            Fault::SwappedCables { nics } if active.fired.get() > 0 => drop(self.swap_cables(nics, now)),
            Fault::DiskVanished { machine, disk } => drop(self.set_disk_present(machine, disk, true)),
            Fault::ClockJump { by } => drop(self.clock_jump_s.fetch_sub(by.as_secs(), Ordering::Relaxed)),
            Fault::FlappingLink { machine, nic } => {
                if let Some(id) = self.machine_named(machine)
                    && let Some(nic) = self.machines[id].nics.get_mut(*nic)
                {
                    nic.link_since = now;
                }
            }
            Fault::ControllerKilled { .. } => drop(self.faults.kill.send_replace(false)),
            fault => self.end_in_clusters(fault, now),
        }
    }

    /// Swaps the cables of two NICs. Whether there are two such.
    fn swap_cables(&mut self, ends: &[(String, usize); 2], now: Duration) -> bool {
        let found = ends.each_ref().map(|(name, nic)| {
            let id = self.machine_named(name)?;
            (*nic < self.machines[id].nics.len()).then_some((id, *nic))
        });
        let [Some(a), Some(b)] = found else { return false };
        if a.0 == b.0 {
            return false;
        }
        self.learn_from(a.0, now);
        self.learn_from(b.0, now);
        let port_a = self.machines[a.0].nics[a.1].port.take();
        let port_b = self.machines[b.0].nics[b.1].port.take();
        for ((id, nic), port) in [(a, port_b), (b, port_a)] {
            if let Some(at) = &port
                && let Some(port) = self.switches.get_mut(&at.switch).and_then(|switch| switch.ports.get_mut(&at.port))
            {
                port.cable = Some((id, nic));
            }
            let nic = &mut self.machines[id].nics[nic];
            (nic.port, nic.link_since) = (port, now);
        }
        true
    }

    fn set_disk_present(&mut self, machine: &str, disk: &str, is_present: bool) -> bool {
        let Some(id) = self.machine_named(machine) else { return false };
        let found = self.machines[id].disks.iter_mut().find(|found| found.spec.name == disk);
        found.map(|disk| disk.is_present = is_present).is_some()
    }

    /// What the next machine is like: what the agent of this one would say if it lied.
    pub(crate) fn lie(&self, id: usize) -> Lie {
        let other = &self.machines[(id + 1) % self.machines.len()];
        let Some(nic) = other.nics.first() else { return Lie { serial: other.serial.clone(), ..Lie::default() } };
        let port = nic.port.as_ref().map(|at| at.port.to_string()).unwrap_or_default();
        Lie { serial: other.serial.clone(), mac: nic.mac.to_string(), port }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(fault: Fault) -> Faults {
        let mut faults = Faults::default();
        faults.add(fault, Duration::from_secs(100));
        faults
    }

    #[test]
    fn the_nth_write_of_a_device_is_struck_once() {
        let faults = with(Fault::Write { device: "switch/".to_owned(), nth: 2, how: WriteFault::FailAfter });
        let struck: Vec<_> =
            ["switch/a", "bmc/x", "switch/b", "switch/a"].iter().map(|at| faults.on_write(at)).collect();
        assert_eq!(struck, [None, None, Some(WriteFault::FailAfter), None]);
        assert_eq!(faults.fired(1), 1);
    }

    #[test]
    fn one_command_of_five_is_rejected() {
        let fault = Fault::SwitchRejects { switch: "tor".to_owned(), first: 2, every: 5 };
        let (faults, tor) = (with(fault), "tor".parse());
        let tor = tor.expect("valid");
        let rejected: Vec<bool> = (0..10).map(|_| faults.rejects_command(&tor)).collect();
        assert_eq!(rejected.iter().filter(|is_so| **is_so).count(), 2);
        assert!(rejected[1] && rejected[6]);
        assert!(!faults.rejects_command(&"other".parse().expect("valid")));
    }

    #[test]
    fn a_login_is_refused_as_often_as_said() {
        let faults = with(Fault::LoginRefused { device: "bmc/".to_owned(), times: 2 });
        let refused: Vec<bool> =
            ["switch/tor", "bmc/a", "bmc/b", "bmc/a"].iter().map(|at| faults.refuses_login(at)).collect();
        assert_eq!(refused, [false, true, true, false]);
    }

    #[test]
    fn a_link_flaps_from_the_injection_on() {
        let faults = with(Fault::FlappingLink { machine: "a".to_owned(), nic: 1 });
        let s = Duration::from_secs;
        let steady = |at: u64| faults.steady_since("a", 1, s(at));
        assert_eq!([steady(100), steady(104), steady(105)], [None, None, Some(s(105))]);
        assert_eq!([steady(129), steady(130), steady(140)], [Some(s(105)), None, Some(s(135))]);
        assert_eq!(faults.steady_since("a", 0, s(100)), Some(Duration::ZERO));
    }

    #[test]
    fn a_machine_hangs_in_the_pause_that_was_said() {
        let faults = with(Fault::HostHangs { machine: "a".to_owned(), stage: Stage::Plain, nth: 2 });
        let hangs = [Stage::Plain, Stage::Ipxe, Stage::Plain, Stage::Plain].map(|stage| faults.hangs("a", stage));
        assert_eq!(hangs, [false, false, true, false]);
    }
}
