//! The world as a test holds it: made of a spec, running by itself, to be looked at and meddled with.
//!
//! All state is in one [`State`] behind one lock that is never held across an `await`; each machine
//! is a task that goes through its life (`crate::machine::life`). What has a time is computed when
//! it is asked for, so that a thousand idle machines cost nothing.

mod build;
mod record;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use harmony_core::capability::{InstallSource, NetworkPlan, PortMode, PowerAction};
use harmony_core::clock::{Clock, RuntimeClock, SharedClock};
use harmony_core::host::HostId;
use harmony_core::net::{PortRef, SwitchId};
use harmony_core::store::SharedStore;
use jiff::Timestamp;
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub(crate) use build::LLDP_INTERVAL;
pub use build::SpecError;
pub use record::{DiskWrite, Write};
pub use view::MachineView;

use crate::checkers::Violation;
use crate::dhcp::Dhcp;
use crate::faults::{Fault, Faults, Injected};
use crate::machine::{Cause, Life, Machine};
use crate::spec::{Timing, WorldSpec};
use crate::switch::SwitchState;
use crate::topology::SimTopology;

/// A running world. It ends when this is dropped.
pub struct World {
    pub(crate) shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
}

/// What the tasks, the capabilities and the test's handle share.
pub(crate) struct Shared {
    pub(crate) site: String,
    pub(crate) network: NetworkPlan,
    pub(crate) install: InstallSource,
    pub(crate) timing: Timing,
    start: Instant,
    clock: RuntimeClock,
    state: Mutex<State>,
}

/// Everything that changes.
pub(crate) struct State {
    pub(crate) machines: Vec<Machine>,
    pub(crate) switches: BTreeMap<SwitchId, SwitchState>,
    pub(crate) dhcp: Dhcp,
    pub(crate) faults: Faults,
    pub(crate) network: NetworkPlan,
    pub(crate) epoch: Timestamp,
    pub(crate) store: Option<SharedStore>,
    /// SSH host keys by whom they were seen for first: host and order number.
    pub(crate) pins: BTreeMap<(HostId, u32), u64>,
    pub(crate) writes: Vec<Write>,
    pub(crate) disk_writes: Vec<DiskWrite>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) told: BTreeSet<String>,
    pub(crate) log: Vec<String>,
}

impl World {
    /// Makes a world and lets it run: machines that are on begin to boot. Must be called inside a
    /// Tokio runtime; for fast and repeatable runs in a current-thread one with paused time.
    ///
    /// # Errors
    /// [`SpecError`] names what in the spec cannot be.
    pub fn new(spec: WorldSpec) -> Result<Self, SpecError> {
        let (seed, timing) = (spec.seed, spec.timing.clone());
        let (site, epoch) = (spec.site.clone(), spec.epoch);
        let (state, install) = build::build(spec)?;
        let names: Vec<_> = state.machines.iter().map(|m| (m.name.clone(), m.power.subscribe())).collect();
        let shared = Arc::new(Shared {
            site,
            network: state.network.clone(),
            install,
            timing,
            start: Instant::now(),
            clock: RuntimeClock::starting_at(epoch),
            state: Mutex::new(state),
        });
        let live = |(id, (name, power)): (usize, (String, _))| {
            let life = Life::new(Arc::clone(&shared), id, &name, seed);
            tokio::spawn(life.run(power)).abort_handle()
        };
        let tasks = names.into_iter().enumerate().map(live).collect();
        Ok(Self { shared, tasks })
    }

    /// The site as Harmony sees it. From now on the world's boot server answers out of this store.
    #[must_use]
    pub fn topology(&self, store: SharedStore) -> SimTopology {
        self.shared.with(|state| state.store = Some(store.clone()));
        SimTopology::new(Arc::clone(&self.shared), store)
    }

    /// The world's clock, for the engine.
    #[must_use]
    pub fn clock(&self) -> SharedClock {
        Arc::new(self.shared.clock)
    }

    /// Virtual time since the beginning.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.shared.now()
    }

    /// Every write call on any device so far, oldest first, repeated ones included.
    #[must_use]
    pub fn writes(&self) -> Vec<Write> {
        self.shared.with(|state| state.writes.clone())
    }

    /// Every installation that wrote to a disk, oldest first.
    #[must_use]
    pub fn disk_writes(&self) -> Vec<DiskWrite> {
        self.shared.with(|state| state.disk_writes.clone())
    }

    /// Every rule that was broken so far, oldest first. A test of Harmony ends with none.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.shared.with(|state| state.violations.clone())
    }

    /// What happened, one line each, with the virtual time in seconds.
    #[must_use]
    pub fn log(&self) -> String {
        self.shared.with(|state| state.log.join("\n"))
    }

    /// A machine by the name in its spec.
    #[must_use]
    pub fn machine(&self, name: &str) -> Option<MachineView> {
        let now = self.now();
        self.shared.with(|state| {
            let id = state.machines.iter().position(|machine| machine.name == name)?;
            Some(state.view(id, now))
        })
    }

    /// All machines, in the order of the spec.
    #[must_use]
    pub fn machines(&self) -> Vec<MachineView> {
        let now = self.now();
        self.shared.with(|state| (0..state.machines.len()).map(|id| state.view(id, now)).collect())
    }

    /// How a switch port is configured now.
    #[must_use]
    pub fn port_mode(&self, port: &PortRef) -> Option<PortMode> {
        self.shared.with(|state| state.port(port).map(|port| port.mode.clone()))
    }

    /// Changes a switch port by hand, behind Harmony's back. Whether there is such a port.
    pub fn set_port_by_hand(&self, port: &PortRef, mode: PortMode) -> bool {
        let now = self.now();
        self.shared.with(|state| {
            let found = state.set_port(port, mode.clone(), false, now);
            state.note(now, &format!("switch {}: somebody sets {} to {mode}", port.switch, port.port));
            found
        })
    }

    /// Presses a machine's power button, behind Harmony's back. Whether there is such a machine.
    pub fn power_by_hand(&self, name: &str, action: PowerAction) -> bool {
        let now = self.now();
        self.shared.with(|state| {
            let Some(id) = state.machines.iter().position(|machine| machine.name == name) else { return false };
            state.note(now, &format!("{name}: somebody presses the power button ({action:?})"));
            state.switch_power(id, action, Cause::Itself, now);
            true
        })
    }

    /// Lets something go wrong, until the guard is dropped or the fault has run its course.
    pub fn inject(&self, fault: Fault) -> Injected {
        let id = self.shared.with(|state| state.faults.add(fault));
        Injected::new(Arc::clone(&self.shared), id)
    }

    /// Lets virtual time pass until something is so, looking ten times a second. Whether it came
    /// about within the limit.
    pub async fn until(&self, limit: Duration, mut is_so: impl FnMut(&Self) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        while !is_so(self) {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        true
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Shared {
    /// Works on the state. Never called from within itself.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Virtual time since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// The same as a timestamp.
    pub(crate) fn timestamp(&self) -> Timestamp {
        self.clock.now()
    }

    /// The boot server's store, once there is one.
    pub(crate) fn store(&self) -> Option<SharedStore> {
        self.with(|state| state.store.clone())
    }

    /// Adds a line to the log.
    pub(crate) fn note(&self, line: &str) {
        let now = self.now();
        self.with(|state| state.note(now, line));
    }
}
