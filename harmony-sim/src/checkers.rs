//! Rules that hold in every world whatever Harmony does, watched all the time, and from outside:
//! they read the world and the store, never Harmony's intentions.
//!
//! 1. No address is leased to two machines.
//! 2. No machine depends on a port in a mode that blocks it, because of something that Harmony did:
//!    it set the mode, or it started the machine.
//! 3. Nothing is installed without an open order for this machine.
//! 4. No disk is written that the order does not name.
//! 5. A machine whose latest order is complete is not switched off or restarted.
//! 6. One LAG at a time is being made across each pair of switches, and on the machines of each quorum group.
//! 7. No output holds a secret: a boot token, a device's password, what an installer made for a cluster's machines.
//! 8. No machine is given a cluster's configuration that was ordered for another one.
//! 9. No certificate is approved for a host without an order.
//! 10. Once etcd is on a cluster's masters, no two of them are without power or network at once because of something
//!     that Harmony did.

use std::fmt;
use std::time::Duration;

use harmony_core::boot::{Order, OrderId, OrderState, Stage, compat};
use harmony_core::capability::PowerAction;
use harmony_core::host::{HostId, Lifecycle};
use harmony_core::net::{MacAddress, PortRef};
use harmony_core::store::StoreResult;

use crate::lacp::Standing;
use crate::machine::Cause;
use crate::world::{Shared, State, World};

/// Shorter texts are found everywhere by chance.
const SHORTEST_SECRET: usize = 6;

/// A rule, as numbered above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// 1.
    AddressLeasedTwice,
    /// 2.
    IncompatiblePort,
    /// 3.
    InstallWithoutOrder,
    /// 4.
    WrongDisk,
    /// 5.
    PowerOfHostInUse,
    /// 6.
    FlipsOverlap,
    /// 7.
    SecretInOutput,
    /// 8.
    RoleConfigOfOther,
    /// 9.
    ForeignApproved,
    /// 10.
    QuorumAtRisk,
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When, in virtual time since the beginning.
    pub at: Duration,
    /// Which.
    pub rule: Rule,
    /// How, with its objects.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:.1} s: {}", self.rule, self.at.as_secs_f64(), self.text)
    }
}

impl State {
    /// Writes a violation down; the same one once.
    pub(crate) fn violate(&mut self, rule: Rule, now: Duration, text: String) {
        if self.told.insert(format!("{rule:?} {text}")) {
            let violation = Violation { at: now, rule, text };
            self.note(now, &format!("VIOLATION {violation}"));
            self.violations.push(violation);
        }
    }

    /// Rule 2, when a machine enters a stage.
    pub(crate) fn check_stage(&mut self, id: usize, now: Duration) {
        let ports: Vec<PortRef> = self.machines[id].nics.iter().filter_map(|nic| nic.port.clone()).collect();
        for at in ports {
            self.check_pair(id, &at, now);
        }
    }

    /// Rule 2, when Harmony has set the mode of ports.
    pub(crate) fn check_ports(&mut self, ports: &[PortRef], now: Duration) {
        for at in ports {
            if let Some((id, _)) =
                self.port(at).and_then(|port| port.cable).filter(|(id, _)| self.machines[*id].is_on())
            {
                self.check_pair(id, at, now);
                self.check_quorum(id, now);
            }
        }
    }

    fn check_pair(&mut self, id: usize, at: &PortRef, now: Duration) {
        let Some(port) = self.port(at) else { return };
        let machine = &self.machines[id];
        // A firmware that tries the network by itself, and has a system to go on with, depends on nothing there.
        let is_passing = matches!(machine.stage, Stage::Firmware | Stage::Ipxe) && machine.has_system();
        let by_harmony = machine.cause == Cause::Harmony || (port.set_by_harmony && !is_passing);
        if by_harmony && !compat::compatible(machine.stage, port.mode.kind()) {
            let text = format!("{} is in {} while its port {at} is {}", machine.name, machine.stage, port.mode);
            self.violate(Rule::IncompatiblePort, now, text);
        }
    }
}

impl State {
    /// Rule 6, when Harmony begins to bundle a machine's ports.
    pub(crate) fn check_flip(&mut self, id: usize, now: Duration) {
        let open: Vec<usize> = self.flips.iter().copied().filter(|other| *other != id).collect();
        for other in open {
            if let Some(shared) = self.shared_group(id, other) {
                let (name, other) = (&self.machines[id].name, &self.machines[other].name);
                let text = format!("the ports of {name} are bundled while those of {other} are: both are {shared}");
                self.violate(Rule::FlipsOverlap, now, text);
            }
        }
        self.flips.insert(id);
    }

    /// Forgets the flips that have come to an end: all bundled, or all back.
    pub(crate) fn close_flips(&mut self, now: Duration) {
        let open = std::mem::take(&mut self.flips);
        self.flips = open.into_iter().filter(|id| self.is_flipping(*id, now)).collect();
    }

    fn is_flipping(&self, id: usize, now: Duration) -> bool {
        let ports = self.machines[id].nics.iter().filter_map(|nic| nic.port.as_ref());
        ports.filter_map(|at| self.lacp(at, now)).any(|lacp| lacp.standing != Standing::Bundled)
    }

    /// What two machines have in common that bears the loss of one at a time only.
    fn shared_group(&self, a: usize, b: usize) -> Option<String> {
        let quorum = self.machines[a].quorum.as_ref().filter(|group| self.machines[b].quorum.as_ref() == Some(group));
        let quorum = quorum.map(|group| format!("in quorum group {group}"));
        quorum.or_else(|| {
            let (a, b) = (self.pair_across(a)?, self.pair_across(b)?);
            (a == b).then(|| format!("across MLAG pair {a}"))
        })
    }

    /// The pair of switches that a machine is plugged into both of: its LAG is what the pair has to agree on.
    fn pair_across(&self, id: usize) -> Option<MacAddress> {
        let ports = self.machines[id].nics.iter().filter_map(|nic| nic.port.as_ref());
        let mut seen: Option<(&PortRef, MacAddress)> = None;
        for at in ports {
            let Some(mlag) = self.switches.get(&at.switch).and_then(|switch| switch.mlag.as_ref()) else { continue };
            match seen {
                Some((first, system)) if first.switch != at.switch && system == mlag.system => return Some(system),
                Some(_) => {}
                None => seen = Some((at, mlag.system)),
            }
        }
        None
    }
}

impl World {
    /// Adds a secret that no output may show: the password of a device, say.
    pub fn add_secret(&self, secret: &str) {
        self.shared.with(|state| state.know_secret(secret));
    }

    /// The secrets that no output may show, as far as the world knows them so far: for a test that looks through files
    /// of its own.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.shared.with(|state| state.secrets.iter().cloned().collect())
    }

    /// Rule 7, for anything that Harmony put out: a plan, a log, a journal, a screen. The world knows the boot
    /// tokens that it served and those of all orders in its store. Whether the text is clean; otherwise that is a
    /// violation too.
    pub async fn check_output(&self, text: &str) -> bool {
        if let Some(store) = self.shared.store() {
            for order in store.orders().await.unwrap_or_default() {
                if let Ok(Some(token)) = store.order_token(&order.id).await {
                    self.shared.with(|state| state.know_secret(token.0.expose()));
                }
            }
        }
        let now = self.now();
        self.shared.with(|state| {
            let shown = state.secrets.iter().filter(|secret| text.contains(secret.as_str())).count();
            if shown > 0 {
                // Says where it was, never what it was.
                let line = text.lines().position(|line| state.secrets.iter().any(|secret| line.contains(secret)));
                let line = line.map_or_else(String::new, |line| format!(", first in line {}", line + 1));
                state.violate(Rule::SecretInOutput, now, format!("{shown} secrets in an output{line}"));
            }
            shown == 0
        })
    }
}

impl State {
    /// Keeps a secret in mind, for rule 7.
    pub(crate) fn know_secret(&mut self, secret: &str) {
        if secret.len() >= SHORTEST_SECRET && !self.secrets.contains(secret) {
            self.secrets.insert(secret.to_owned());
        }
    }
}

impl Shared {
    /// Rules 3 and 4, when an installer is about to write to a disk.
    pub(crate) async fn check_disk_write(&self, id: usize, disk: usize, order: &OrderId) {
        let (name, serial, macs) = self.with(|state| {
            let machine = &state.machines[id];
            (machine.name.clone(), machine.disks[disk].spec.serial.clone(), machine.macs())
        });
        let found = match self.store() {
            Some(store) => store.order(order).await.ok().flatten(),
            None => None,
        };
        let own = match self.latest_order(&macs).await {
            Ok(own) => own.map(|own| own.id.host),
            Err(_) => None,
        };
        let now = self.now();
        self.with(|state| {
            let open = found.filter(|found| found.state.is_open() && own.as_ref() == Some(&found.id.host));
            let Some(open) = open else {
                let text = format!("{name} writes disk {serial:?} by {order}, which is no open order of it");
                return state.violate(Rule::InstallWithoutOrder, now, text);
            };
            if serial.as_ref() != Some(&open.disk_serial) {
                let text = format!("{name} writes disk {serial:?}; order {order} names {}", open.disk_serial);
                state.violate(Rule::WrongDisk, now, text);
            }
        });
    }

    /// Rules 3 and 4, when a disk is about to be wiped: it is that of the latest order of a host that was released.
    pub(crate) async fn check_wipe(&self, id: usize, serial: &str) {
        let (name, macs) = self.with(|state| (state.machines[id].name.clone(), state.machines[id].macs()));
        let order = self.latest_order(&macs).await.ok().flatten();
        let is_released = match &order {
            Some(order) => self.is_released(&order.id.host).await,
            None => false,
        };
        let now = self.now();
        self.with(|state| match order {
            Some(order) if is_released && order.disk_serial == serial => {}
            Some(order) if is_released => {
                let text = format!("{name} wipes disk {serial}; order {} names {}", order.id, order.disk_serial);
                state.violate(Rule::WrongDisk, now, text);
            }
            _ => {
                let text = format!("{name} wipes disk {serial}, and is no host that was released");
                state.violate(Rule::InstallWithoutOrder, now, text);
            }
        });
    }

    async fn is_released(&self, host: &HostId) -> bool {
        let Some(store) = self.store() else { return false };
        let host = store.host(host).await.ok().flatten();
        host.is_some_and(|host| host.lifecycle == Lifecycle::Released)
    }

    /// Rule 5, when Harmony is about to change a machine's power.
    pub(crate) async fn check_power(&self, id: usize, action: PowerAction, how: &str) {
        let (name, macs, is_on) = self.with(|state| {
            let machine = &state.machines[id];
            (machine.name.clone(), machine.macs(), machine.is_on())
        });
        if !is_on || action == PowerAction::On {
            return;
        }
        if let Ok(Some(order)) = self.latest_order(&macs).await
            && order.state == OrderState::Complete
            && !self.is_released(&order.id.host).await
        {
            let now = self.now();
            let text = format!("{how} of {name} ({action:?}), whose order {} is complete", order.id);
            self.with(|state| state.violate(Rule::PowerOfHostInUse, now, text));
        }
    }

    /// The host that the machine with these MACs is known as.
    pub(crate) async fn host_with(&self, macs: &[MacAddress]) -> Option<HostId> {
        let store = self.store()?;
        for mac in macs {
            if let Ok(Some(host)) = store.host_by_mac(*mac).await {
                return Some(host.id);
            }
        }
        None
    }

    /// The latest order of the machine with these MACs.
    async fn latest_order(&self, macs: &[MacAddress]) -> StoreResult<Option<Order>> {
        let Some(store) = self.store() else { return Ok(None) };
        for mac in macs {
            if let Some(host) = store.host_by_mac(*mac).await? {
                return store.latest_order(&host.id).await;
            }
        }
        Ok(None)
    }
}
