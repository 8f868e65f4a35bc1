//! The world as a test holds it: made of a spec, running by itself, to be looked at and meddled with.
//!
//! All state is in one [`State`] behind one lock that is never held across an `await`; each machine
//! is a task that goes through its life (`crate::machine::life`). What has a time is computed when
//! it is asked for, so that a thousand idle machines cost nothing.

mod build;
mod record;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use harmony_core::capability::{DhcpServer, InstallSource, NetworkPlan, PortMode, PowerAction};
use harmony_core::clock::{Clock, SharedClock};
use harmony_core::host::HostId;
use harmony_core::net::{PortRef, SwitchId};
use harmony_core::store::SharedStore;
use jiff::Timestamp;
use tokio::task::AbortHandle;

pub use build::SpecError;
pub(crate) use build::{Index, LLDP_INTERVAL};
pub use record::{DiskWrite, Write};
pub use view::MachineView;

use crate::boot_server::{self, BootKind, SharedBootServer};
use crate::checkers::Violation;
use crate::dhcp::Dhcp;
use crate::faults::{Fault, FaultName, Faults, Injected};
use crate::machine::{Cause, Life, Machine};
use crate::pace::{JumpyClock, Pace, PacedClock, Speed};
use crate::services::{self, Clocks, Services};
use crate::spec::{LiveFlavour, Timing, WorldSpec};
use crate::switch::SwitchState;
use crate::topology::SimTopology;

/// A running world. It ends when this is dropped.
pub struct World {
    pub(crate) shared: Arc<Shared>,
    /// What it was made of, where seeds find victims for faults.
    spec: WorldSpec,
    tasks: Vec<AbortHandle>,
}

/// What the tasks, the capabilities and the test's handle share.
pub(crate) struct Shared {
    pub(crate) site: String,
    pub(crate) network: NetworkPlan,
    pub(crate) install: InstallSource,
    pub(crate) timing: Timing,
    pace: Pace,
    epoch: Timestamp,
    clock_jump_s: Arc<AtomicI64>,
    /// Whether agents run as their library runs them, and so announce themselves.
    pub(crate) on_the_wire: AtomicBool,
    state: Mutex<State>,
}

/// Everything that changes.
pub(crate) struct State {
    pub(crate) machines: Vec<Machine>,
    pub(crate) index: Index,
    pub(crate) switches: BTreeMap<SwitchId, SwitchState>,
    pub(crate) dhcp: Dhcp,
    /// VLANs that every port carries tagged, too.
    pub(crate) tagged: BTreeSet<u16>,
    pub(crate) faults: Faults,
    pub(crate) services: Services,
    pub(crate) network: NetworkPlan,
    pub(crate) epoch: Timestamp,
    pub(crate) store: Option<SharedStore>,
    pub(crate) live: LiveFlavour,
    /// The boot server that machines ask.
    pub(crate) boot: Option<(BootKind, SharedBootServer)>,
    /// SSH host keys by whom they were seen for first: host and order number.
    pub(crate) pins: BTreeMap<(HostId, u32), u64>,
    pub(crate) writes: Vec<Write>,
    pub(crate) disk_writes: Vec<DiskWrite>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) told: BTreeSet<String>,
    /// Machines whose ports are being bundled.
    pub(crate) flips: BTreeSet<usize>,
    /// What no output of Harmony may show.
    pub(crate) secrets: BTreeSet<String>,
    /// How far the clock that Harmony reads is off.
    pub(crate) clock_jump_s: Arc<AtomicI64>,
    pub(crate) keeps_log: bool,
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
        let (state, install) = build::build(spec.clone())?;
        let names: Vec<_> = state.machines.iter().map(|m| (m.name.clone(), m.power.subscribe())).collect();
        let shared = Arc::new(Shared {
            site,
            network: state.network.clone(),
            install,
            timing,
            pace: Pace::begin(),
            epoch,
            clock_jump_s: Arc::clone(&state.clock_jump_s),
            on_the_wire: AtomicBool::new(false),
            state: Mutex::new(state),
        });
        let live = |(id, (name, power)): (usize, (String, _))| {
            let life = Life::new(Arc::clone(&shared), id, &name, seed);
            tokio::spawn(life.run(power)).abort_handle()
        };
        let mut tasks: Vec<AbortHandle> = names.into_iter().enumerate().map(live).collect();
        tasks.push(tokio::spawn(services::run(Arc::clone(&shared))).abort_handle());
        Ok(Self { shared, spec, tasks })
    }

    /// The site as Harmony sees it. From now on the world's boot server answers out of this store, unless
    /// machines were told to ask another one ([`World::use_boot_server`]).
    #[must_use]
    pub fn topology(&self, store: SharedStore) -> SimTopology {
        let (server, clock) = (self.shared.install.server, self.clock());
        self.shared.with(|state| {
            let is_same = state.store.as_ref().is_some_and(|known| Arc::ptr_eq(known, &store));
            let is_wired = matches!(state.boot, Some((BootKind::Wired, _)));
            if !is_same && !is_wired {
                let files = (state.services.assets.clone(), state.services.private.clone());
                let boot = boot_server::in_process(server, state.live, store.clone(), clock, files);
                state.boot = Some((BootKind::InProcess, boot));
            }
            state.store = Some(store.clone());
        });
        SimTopology::new(Arc::clone(&self.shared), store)
    }

    /// The DHCP server alone, for a site whose other devices are reached by their own drivers.
    #[must_use]
    pub fn dhcp(&self) -> Arc<dyn DhcpServer> {
        self.shared.clone()
    }

    /// The world's clock, for the engine.
    #[must_use]
    pub fn clock(&self) -> SharedClock {
        Arc::new(self.shared.clock())
    }

    /// The clock of the machine that this runs on, for an engine whose world is on the wire; a
    /// [`Fault::ClockJump`] makes it jump as it does the world's.
    #[must_use]
    pub fn machine_clock(&self) -> SharedClock {
        Arc::new(JumpyClock(Arc::clone(&self.shared.clock_jump_s)))
    }

    /// How fast the world's time passes: change it, pause it.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.shared.pace.clone()
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
        self.shared.with(|state| {
            let mut all = state.violations.clone();
            all.extend(state.cluster_violations());
            all.sort_by_key(|violation| violation.at);
            all
        })
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
            let id = state.machine_named(name)?;
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
            let Some(id) = state.machine_named(name) else { return false };
            state.note(now, &format!("{name}: somebody presses the power button ({action:?})"));
            state.switch_power(id, action, Cause::Itself, now);
            true
        })
    }

    /// Lets something go wrong, until the guard is dropped or the fault has run its course.
    pub fn inject(&self, fault: Fault) -> Injected {
        let now = self.now();
        let id = self.shared.with(|state| state.begin_fault(fault, now));
        Injected::new(Arc::clone(&self.shared), id)
    }

    /// Lets something of this name go wrong, for a victim that the seed chooses: [`Fault::pick`]. None if this
    /// world has no victim for it.
    pub fn inject_by_name(&self, name: FaultName, seed: u64) -> Option<Injected> {
        Some(self.inject(Fault::pick(name, &self.spec, seed)?))
    }

    /// Waits until a [`Fault::ControllerKilled`] says that Harmony has to be killed. Whoever runs Harmony
    /// does it: by dropping the run, or with a signal.
    pub async fn controller_killed(&self) {
        let mut kill = self.shared.with(|state| state.faults.kill.subscribe());
        // The sender lives as long as the world.
        drop(kill.wait_for(|is_now| *is_now).await);
    }

    /// Lets virtual time pass until something is so, looking ten times a second. Whether it came
    /// about within the limit.
    pub async fn until(&self, limit: Duration, mut is_so: impl FnMut(&Self) -> bool) -> bool {
        let deadline = self.now() + limit;
        while !is_so(self) {
            if self.now() >= deadline {
                return false;
            }
            self.shared.sleep(Duration::from_millis(100)).await;
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
        self.pace.now()
    }

    fn clock(&self) -> PacedClock {
        let (epoch, pace, jump_s) = (self.epoch, self.pace.clone(), Arc::clone(&self.clock_jump_s));
        PacedClock { epoch, pace, jump_s }
    }

    /// The clocks of whoever looks at the world from outside: on the wire that is the machine's, for as long as the pace
    /// stays as it is.
    pub(crate) fn clocks(&self) -> Clocks {
        if !self.is_on_the_wire() {
            return Clocks { epoch: self.epoch, speed: Speed::ONE };
        }
        let (clock, speed) = (JumpyClock(Arc::clone(&self.clock_jump_s)), self.pace.speed());
        let epoch = clock.now().checked_sub(speed.outside(self.now())).unwrap_or(self.epoch);
        Clocks { epoch, speed }
    }

    /// Whether hosts answer on loopback, too.
    pub(crate) fn is_on_the_wire(&self) -> bool {
        self.on_the_wire.load(Ordering::Relaxed)
    }

    /// Whether a live environment leaves its announcement to its agent, which on the wire is the real one.
    pub(crate) fn agents_announce_themselves(&self) -> bool {
        self.is_on_the_wire()
    }

    /// The world's time as Harmony's clock shows it.
    pub(crate) fn timestamp(&self) -> Timestamp {
        self.clock().now()
    }

    /// Waits for this long in world time.
    pub(crate) async fn sleep(&self, time: Duration) {
        self.pace.sleep(time).await;
    }

    /// The boot server's store, once there is one.
    pub(crate) fn store(&self) -> Option<SharedStore> {
        self.with(|state| state.store.clone())
    }

    /// The boot server that machines ask, once there is one.
    pub(crate) fn boot(&self) -> Option<SharedBootServer> {
        self.with(|state| state.boot.as_ref().map(|(_, server)| Arc::clone(server)))
    }

    /// Adds a line to the log.
    pub(crate) fn note(&self, line: &str) {
        let now = self.now();
        self.with(|state| state.note(now, line));
    }
}
