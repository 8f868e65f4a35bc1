//! A machine's life as a task: power, self-test, boot devices in order, over and over.
//!
//! A change of power interrupts whatever goes on. Each stage is a plain sequence of waits and
//! changes of state in the files beside this one.

use std::sync::Arc;
use std::time::Duration;

use harmony_core::boot::Stage;
use harmony_core::capability::{BootDevice, PowerAction};
use harmony_core::host::Firmware;
use tokio::sync::watch;

use super::{Cause, NicEnd, Power};
use crate::random::Random;
use crate::world::Shared;

/// When a machine that does nothing any more restarts itself. Source: HPE iLO, Automatic Server Recovery, default.
const WATCHDOG: Duration = Duration::from_secs(600);
/// What a firmware does when nothing boots: it tries again.
const NOTHING_BOOTS: Duration = Duration::from_secs(5);

/// What fits on a screen.
const CONSOLE_LINES: usize = 25;

/// The task of one machine.
pub(crate) struct Life {
    pub(super) world: Arc<Shared>,
    pub(super) id: usize,
    pub(super) name: String,
    pub(super) random: Random,
}

/// What follows when a network boot got somewhere.
pub(super) enum Booted {
    /// A disk is to be started.
    FromDisk,
    /// The installer is through, or gave up: restart.
    Restart,
}

impl Life {
    /// The life of the machine of this index.
    pub(crate) fn new(world: Arc<Shared>, id: usize, name: &str, seed: u64) -> Self {
        Self { world, id, name: name.to_owned(), random: Random::new(seed, name) }
    }

    /// Lives until the world ends.
    pub(crate) async fn run(mut self, mut power: watch::Receiver<Power>) {
        loop {
            let is_on = power.borrow_and_update().on;
            tokio::select! {
                biased;
                changed = power.changed() => if changed.is_err() { return },
                () = self.boot_for_ever(), if is_on => {}
            }
        }
    }

    async fn boot_for_ever(&mut self) {
        loop {
            self.world.with(|state| state.machines[self.id].starts += 1);
            self.note("starts");
            let now = self.world.now();
            self.world.with(|state| {
                state.fall_silent(self.id, now);
                state.relink(self.id, now);
                state.machines[self.id].in_post = true;
                state.machines[self.id].console.clear();
            });
            // UEFI takes its time, here as in the lab.
            let firmware = self.world.with(|state| state.machines[self.id].firmware);
            self.wait(self.world.timing.post * if firmware == Firmware::Uefi { 2 } else { 1 }).await;
            self.world.with(|state| state.machines[self.id].in_post = false);
            self.boot().await;
        }
    }

    /// Tries boot devices until one leads to a system that runs for ever, or to a restart.
    async fn boot(&mut self) {
        let now = self.world.now();
        let once = self.world.with(|state| state.take_next_boot(self.id, now));
        let order = self.world.with(|state| state.machines[self.id].boot_order.clone());
        let mut next: Vec<BootDevice> = once.into_iter().chain(order.clone()).collect();
        loop {
            for device in next {
                match device {
                    BootDevice::Disk => self.start_disk().await,
                    BootDevice::Network => match self.network_boot().await {
                        Some(Booted::FromDisk) => self.start_disk().await,
                        Some(Booted::Restart) => return,
                        None => {}
                    },
                }
            }
            self.note("firmware: nothing to start from; tries again");
            self.wait(NOTHING_BOOTS).await;
            next = order.clone();
        }
    }

    /// Enters a stage, with something that speaks on some NICs.
    pub(super) fn enter(&self, stage: Stage, nics: &[usize], end: NicEnd) {
        let now = self.world.now();
        self.world.with(|state| {
            state.speak(self.id, nics, end, now);
            state.machines[self.id].stage = stage;
            state.check_stage(self.id, now);
        });
    }

    /// Nothing speaks on the network any more; firmware goes on.
    pub(super) fn leave(&self) {
        let now = self.world.now();
        self.world.with(|state| state.fall_silent(self.id, now));
    }

    /// About this long; to no end, where a fault lets the machine hang.
    pub(super) async fn wait(&mut self, time: Duration) {
        let time = self.random.about(time);
        let hangs = self.world.with(|state| {
            let machine = &state.machines[self.id];
            state.faults.hangs(&machine.name, machine.stage)
        });
        if hangs {
            self.note("hangs");
            self.world.sleep(WATCHDOG).await;
            self.note("its watchdog restarts it");
            let now = self.world.now();
            self.world.with(|state| state.switch_power(self.id, PowerAction::Restart, Cause::Itself, now));
            // The change of power ends this life.
            std::future::pending::<()>().await;
        }
        self.world.sleep(time).await;
    }

    /// Adds a line to the log, and to what the machine's screen shows.
    pub(super) fn note(&self, text: &str) {
        self.world.note(&format!("{}: {text}", self.name));
        self.world.with(|state| {
            let console = &mut state.machines[self.id].console;
            if console.len() == CONSOLE_LINES {
                console.pop_front();
            }
            console.push_back(text.to_owned());
        });
    }
}
