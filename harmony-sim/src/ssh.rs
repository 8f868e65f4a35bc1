//! Running systems, reached over SSH: who answers at an address, whether it lets Harmony in, and
//! whether its host key is the one that was seen before.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{CommandOutput, HostControl, HostTarget, LoginStage, PowerAction};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};

use crate::machine::{Cause, Running, Said, say};
use crate::topology::SimTopology;
use crate::world::{DiskWrite, Shared, State};

/// How long a connection attempt to an address that does not answer lasts.
const CONNECT: Duration = Duration::from_secs(5);
/// Whom installed systems let in.
const USER: &str = "core";

impl State {
    /// The machine whose system answers at an address.
    pub(crate) fn at_address(&self, address: IpAddr, now: Duration) -> Option<usize> {
        let is_there =
            |id: &usize| self.machines[*id].running.address() == Some(address) && self.is_reachable(*id, now);
        // Nearly always the one that has the lease.
        let leased = self.dhcp.holder(address, now).and_then(|mac| self.machine_by_mac(mac)).filter(is_there);
        leased.or_else(|| (0..self.machines.len()).find(is_there))
    }

    /// Logs in to the system that answers at the target's address.
    fn log_in(&mut self, target: &HostTarget, now: Duration) -> DeviceResult<usize> {
        let (host, address) = (&target.host, target.address);
        let fail = |kind, why: &str| {
            Err(DeviceError::new(kind, format!("failed to log in to {host} at {address}")).because(why))
        };
        let Some(id) = self.at_address(address, now) else {
            return fail(FailureKind::Unreachable, "no answer from port 22");
        };
        let machine = &self.machines[id];
        match (&machine.running, &target.stage, machine.system()) {
            (Running::Live { .. }, LoginStage::Live, _) if !machine.live.is_closed => Ok(id),
            (Running::System { .. }, LoginStage::Installed { order }, Some(system)) => {
                let key = system.host_key;
                if !system.authorized_keys.iter().any(|(user, _)| user == USER) {
                    return fail(FailureKind::Rejected, "Permission denied (publickey)");
                }
                if *self.pins.entry((host.clone(), *order)).or_insert(key) == key {
                    Ok(id)
                } else {
                    fail(FailureKind::Rejected, "the host key is not the one that was seen first")
                }
            }
            (Running::Live { .. }, ..) | (Running::System { .. }, LoginStage::Live, _) => {
                fail(FailureKind::Rejected, "Permission denied (publickey)")
            }
            _ => fail(FailureKind::Unreachable, "connection refused"),
        }
    }
}

impl State {
    /// Nothing is on a disk any more.
    fn wipe(&mut self, id: usize, disk: usize, serial: &str, now: Duration) {
        let machine = &mut self.machines[id];
        let name = machine.name.clone();
        let disk = &mut machine.disks[disk];
        disk.system = None;
        disk.spec.bootable = false;
        disk.spec.signatures.clear();
        self.note(now, &format!("{name}: agent: wipes disk {serial}"));
        self.disk_writes.push(DiskWrite { at: now, machine: name, serial: serial.to_owned(), order: None });
    }
}

impl SimTopology {
    async fn connect(&self, target: &HostTarget, timeout: Duration) -> DeviceResult<usize> {
        self.world().ask().await;
        self.world().log_in("host", target.host.as_str())?;
        let now = self.world().now();
        let id = self.world().with(|state| state.log_in(target, now));
        if id.as_ref().is_err_and(|error| error.kind() == FailureKind::Unreachable) {
            self.world().sleep(CONNECT.min(timeout)).await;
        }
        id
    }
}

#[async_trait]
impl HostControl for SimTopology {
    async fn run(&self, target: &HostTarget, command: &str, timeout: Duration) -> DeviceResult<CommandOutput> {
        let id = self.connect(target, timeout).await?;
        let now = self.world().now();
        let clocks = self.world().clocks();
        match self.world().with(|state| say(state, id, command, now, clocks)) {
            Said::Output(output) => Ok(output),
            Said::Restarts => {
                self.world().restart_over_ssh(id, target.host.as_str()).await?;
                Ok(CommandOutput { status: None, stdout: String::new(), stderr: String::new() })
            }
            Said::Wipes(disks) => self.world().wipe_over_ssh(id, target.host.as_str(), &disks).await,
        }
    }

    async fn reboot(&self, target: &HostTarget) -> DeviceResult<()> {
        let id = self.connect(target, CONNECT).await?;
        self.world().restart_over_ssh(id, target.host.as_str()).await
    }
}

impl Shared {
    /// The agent of a machine is told to wipe disks; `device` is who it is in the record of writes.
    pub(crate) async fn wipe_over_ssh(&self, id: usize, device: &str, disks: &[usize]) -> DeviceResult<CommandOutput> {
        let serial = |disk: &usize| self.with(|state| state.machines[id].disks[*disk].spec.serial.clone());
        let serials: Vec<String> = disks.iter().filter_map(serial).collect();
        let effect = async {
            for (disk, serial) in disks.iter().zip(&serials) {
                self.check_wipe(id, serial).await;
                self.with(|state| state.wipe(id, *disk, serial, self.now()));
            }
            let stdout = format!("{{\"wiped\":[\"{}\"],\"boot_entries_removed\":[]}}\n", serials.join("\",\""));
            Ok(CommandOutput { status: Some(0), stdout, stderr: String::new() })
        };
        self.write("host", device, format!("wipe {}", serials.join(" ")), effect).await
    }

    /// A system is told to restart its machine; `device` is who it is in the record of writes.
    pub(crate) async fn restart_over_ssh(&self, id: usize, device: &str) -> DeviceResult<()> {
        let effect = async {
            self.check_power(id, PowerAction::Restart, "reboot over SSH").await;
            let now = self.now();
            self.with(|state| state.switch_power(id, PowerAction::Restart, Cause::Harmony, now));
            Ok(())
        };
        self.write("host", device, "systemctl reboot".to_owned(), effect).await
    }
}
