//! The installer, as coreos-installer goes about it: answer file, then the one disk that the script
//! names, then a restart. It tells its progress as the lab's stand-in does.
//!
//! It does what it is told: whether that was allowed is for `crate::checkers`, which asks the store.

use std::time::Duration;

use harmony_core::boot::{BootEventKind, Order};

use super::answer::{Answer, InstallArgs};
use super::{Life, System};
use crate::boot_server::Client;
use crate::world::DiskWrite;

/// What a live environment takes to shut down; until then it answers.
const SHUT_DOWN: Duration = Duration::from_millis(1500);
/// What the installer waits before it restarts after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

impl Life {
    /// Installs by the arguments of a served script, or gives up.
    pub(super) async fn install(&mut self, nic: usize, script: &str) {
        let client = self.live(nic).await;
        match self.try_install(nic, &client, script).await {
            Ok(()) => {
                self.note("installer: done, restarts");
                self.wait(SHUT_DOWN).await;
            }
            Err((order, reason)) => {
                self.note(&format!("installer: gives up: {reason}"));
                if let Some(order) = order {
                    self.world.take_progress(&client, &order.id, BootEventKind::InstallFailed { reason }).await;
                }
                self.wait(AFTER_FAILURE).await;
            }
        }
    }

    async fn try_install(&mut self, nic: usize, client: &Client, script: &str) -> Result<(), (Option<Order>, String)> {
        let args = InstallArgs::read(script).map_err(|reason| (None, reason))?;
        while !self.passes(nic) {
            self.wait(Duration::from_secs(1)).await;
        }
        let (order, text) = self.world.serve_answer(client, &args.answer_url).await.map_err(|reason| (None, reason))?;
        let failed = |reason: String| (Some(order.clone()), reason);
        self.world.take_progress(client, &order.id, BootEventKind::InstallStarted).await;
        let answer = Answer::read(&text).map_err(failed)?;
        let disk = self.world.with(|state| args.find_disk(&state.machines[self.id])).map_err(failed)?;
        if let Some(reason) = self.world.with(|state| state.faults.install_failure(&state.machines[self.id].name)) {
            return Err(failed(reason));
        }
        self.write_disk(nic, disk, &order, &args, &answer).await;
        self.world.take_progress(client, &order.id, BootEventKind::ImageWritten).await;
        self.world.take_progress(client, &order.id, BootEventKind::InstallDone).await;
        self.world.with(|state| state.machines[self.id].installs += 1);
        Ok(())
    }

    async fn write_disk(&mut self, nic: usize, disk: usize, order: &Order, args: &InstallArgs, answer: &Answer) {
        let (at, host_key) = (self.world.now(), self.random.next());
        self.world.check_disk_write(self.id, disk, &order.id).await;
        let system = self.world.with(|state| {
            let machine = &mut state.machines[self.id];
            let bond = answer.bond(machine).or_else(|| args.bond(machine));
            let hostname = answer.hostname.clone().unwrap_or_else(|| "localhost".to_owned());
            let name = machine.name.clone();
            let target = &mut machine.disks[disk];
            // Half written, it is neither the old system nor the new one.
            target.system = None;
            target.spec.bootable = false;
            target.spec.signatures = vec!["gpt".to_owned()];
            let serial = target.spec.serial.clone().unwrap_or_default();
            state.note(at, &format!("{name}: installer: writes disk {serial} by order {}", order.id));
            state.disk_writes.push(DiskWrite { at, machine: name, serial, order: Some(order.id.clone()) });
            System { order: order.id.clone(), hostname, bond, host_key, allows_login: answer.allows_login }
        });
        self.wait(self.world.timing.image).await;
        while !self.passes(nic) {
            self.wait(Duration::from_secs(1)).await;
        }
        self.world.with(|state| state.machines[self.id].disks[disk].system = Some(system));
    }
}
