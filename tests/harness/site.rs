//! The site: a world, its inventory, what is wanted of it, and how its runs are begun and ended.

use std::collections::BTreeSet;
use std::sync::Arc;

use harmony_core::capability::{BootTarget, ClusterInstaller, DhcpServer, PxeServer};
use harmony_core::engine::{Engine, EngineError, SavedPlan, ScorePlan};
use harmony_core::event::{Outcome, Record};
use harmony_core::host::{Firmware, Host, Lifecycle};
use harmony_core::net::PortRef;
use harmony_core::score::AnyScore;
use harmony_core::store::SharedStore;
use harmony_inventory::Inventory;
use harmony_sim::{Append, BootRom, OnAppend, SimTopology, StillStore, World, WorldSpec};

use crate::cases;
use crate::hand::Hand;
use crate::kill::{At, Killed};

/// What is wanted.
pub type Scores = Vec<Box<dyn AnyScore<SimTopology>>>;

/// A rack, what Harmony knows of it, and what is wanted.
pub struct Site {
    /// The rack.
    pub world: Arc<World>,
    /// The inventory.
    pub store: SharedStore,
    /// The rack as Harmony sees it.
    pub topology: SimTopology,
    spec: WorldSpec,
    still: Arc<StillStore>,
    wanted: fn(&WorldSpec) -> Scores,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Ended(Outcome),
    /// It was killed.
    Killed,
}

impl Site {
    /// A rack of machines that are off and that nobody has catalogued; every second one has
    /// firmware that does not answer LACP. Each is to become `node-N`.
    #[must_use]
    pub fn rack(seed: u64, machines: u16) -> Self {
        Self::of(Self::mixed(seed, machines))
    }

    /// The spec of [`Site::rack`].
    #[must_use]
    pub fn mixed(seed: u64, machines: u16) -> WorldSpec {
        let mut spec = WorldSpec::rack(seed, machines);
        for (number, host) in spec.hosts.iter_mut().enumerate() {
            host.powered = false;
            if number % 2 == 1 {
                (host.rom, host.firmware) = (BootRom::UefiPxe, Firmware::Uefi);
            }
        }
        spec
    }

    /// The site of a world, all of whose machines are wanted as nodes.
    #[must_use]
    pub fn of(spec: WorldSpec) -> Self {
        Self::wanting(spec, cases::nodes)
    }

    /// The site of a world, with the Scores that it is to have.
    ///
    /// # Panics
    /// If the spec contradicts itself.
    #[must_use]
    pub fn wanting(spec: WorldSpec, wanted: fn(&WorldSpec) -> Scores) -> Self {
        let world = Arc::new(World::new(spec.clone()).expect("a world"));
        let still = StillStore::open(Inventory::open("sqlite::memory:")).expect("a store");
        let store: SharedStore = still.clone();
        let topology = world.topology(store.clone());
        Self { world, store, topology, spec, still, wanted }
    }

    /// What is wanted, made anew: a run that was killed leaves no memory in a Score.
    #[must_use]
    pub fn scores(&self) -> Scores {
        (self.wanted)(&self.spec)
    }

    /// Wants something else from now on.
    #[must_use]
    pub fn then_wanting(mut self, wanted: fn(&WorldSpec) -> Scores) -> Self {
        self.wanted = wanted;
        self
    }

    /// An engine for the site, with the world's clock.
    #[must_use]
    pub fn engine(&self) -> Engine {
        Engine::new(self.store.clone(), self.world.clock())
    }

    /// Applies everything, to the end.
    ///
    /// # Panics
    /// If the journal cannot be kept.
    pub async fn apply(&self) -> Outcome {
        self.engine().apply("test", &self.topology, &self.scores(), None).await.expect("a journal")
    }

    /// Applies a saved plan.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn apply_saved(&self, plan: &SavedPlan) -> Result<Outcome, EngineError> {
        self.engine().apply("test", &self.topology, &self.scores(), Some(plan)).await
    }

    /// Plans everything.
    ///
    /// # Errors
    /// If that cannot be.
    pub async fn plan(&self) -> Result<Vec<ScorePlan>, EngineError> {
        self.engine().plan(&self.topology, &self.scores()).await
    }

    /// Applies everything, with a hand in it, which may kill the run.
    pub async fn apply_with(&self, hand: &Hand) -> End {
        let (engine, scores) = (self.engine(), hand.over(self.scores()));
        self.watched(&engine, &scores, hand.at_journal(&self.world)).await
    }

    /// Applies everything, and kills the run at that point.
    pub async fn apply_killed(&self, at: At) -> End {
        let kill: OnAppend = Box::new(move |record, moment| {
            if record.seq == at.entry && moment == at.moment {
                Killed::now();
            }
        });
        self.watched(&self.engine(), &self.scores(), kill).await
    }

    /// Applies everything, and asks the run to stop as soon as this entry is durable.
    pub async fn apply_stopped(&self, entry: u64) -> End {
        let engine = self.engine();
        let token = engine.stop.clone();
        let stop: OnAppend = Box::new(move |record, moment| {
            if record.seq >= entry && moment == Append::After {
                token.cancel();
            }
        });
        self.watched(&engine, &self.scores(), stop).await
    }

    /// Applies everything, unless a fault of the world says that it is killed.
    ///
    /// # Panics
    /// If the journal cannot be kept.
    pub async fn apply_or_killed_by_fault(&self) -> End {
        tokio::select! {
            biased;
            () = self.world.controller_killed() => End::Killed,
            outcome = self.apply() => End::Ended(outcome),
        }
    }

    async fn watched(&self, engine: &Engine, scores: &Scores, on_append: OnAppend) -> End {
        self.still.on_append(Some(on_append));
        let end = Killed::or(engine.apply("test", &self.topology, scores, None)).await;
        self.still.on_append(None);
        match end {
            Ok(outcome) => End::Ended(outcome.expect("a journal")),
            Err(Killed) => End::Killed,
        }
    }

    /// The journal of the latest run.
    ///
    /// # Panics
    /// If there is none.
    pub async fn journal(&self) -> Vec<Record> {
        let runs = self.store.runs().await.expect("runs");
        self.store.journal(runs.last().expect("a run").id).await.expect("a journal")
    }

    /// The journals of all runs, one JSON object a line.
    ///
    /// # Panics
    /// If they cannot be read.
    pub async fn journals(&self) -> String {
        let mut lines = Vec::new();
        for run in self.store.runs().await.expect("runs") {
            for record in self.store.journal(run.id).await.expect("a journal") {
                lines.push(serde_json::to_string(&record).expect("JSON"));
            }
        }
        lines.join("\n")
    }

    /// All hosts.
    ///
    /// # Panics
    /// If they cannot be read.
    pub async fn hosts(&self) -> Vec<Host> {
        self.store.hosts().await.expect("hosts")
    }

    /// Every switch port of the world.
    #[must_use]
    pub fn ports(&self) -> Vec<PortRef> {
        let all = self.spec.switches.iter().flat_map(|switch| {
            switch.ports.iter().filter_map(|port| format!("{}/{}", switch.name, port.name).parse().ok())
        });
        all.collect()
    }

    /// What matters of the end of a run, in a form that can be compared and read: what is stored of
    /// hosts and orders, what devices are set to, what is installed.
    ///
    /// # Panics
    /// If it cannot be read.
    pub async fn end_state(&self) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        for host in self.hosts().await {
            let serial = host.identity.serial.clone().unwrap_or_default();
            let role = host.assignment.as_ref().map_or("none", |assignment| assignment.role.as_str());
            let bmc = host.bmc.as_ref().map_or("none", |bmc| bmc.as_str());
            lines.insert(format!("host {serial} {} role {role} BMC {bmc}", host.lifecycle));
            lines.extend(host.nics.iter().map(|nic| format!("host {serial} {} at {:?}", nic.name, nic.port.verdict())));
        }
        for order in self.store.orders().await.expect("orders") {
            lines.insert(format!("order {} {} {} {}", order.role, order.state, order.address, order.disk_serial));
        }
        for entry in self.topology.boot_entries().await.expect("boot entries") {
            let target = match entry.target {
                BootTarget::Inventory => "inventory".to_owned(),
                BootTarget::Install { order, .. } => format!("install by {order}"),
                BootTarget::Disk => "disk".to_owned(),
            };
            lines.insert(format!("boot entry {} {target}", entry.host));
        }
        for kept in self.topology.reservations().await.expect("reservations") {
            lines.insert(format!("reservation {} {} {:?}", kept.hostname, kept.address, kept.macs));
        }
        for port in self.ports() {
            let mode = self.world.port_mode(&port).map_or_else(String::new, |mode| mode.to_string());
            lines.insert(format!("port {port} {mode}"));
        }
        lines.extend(self.world.services());
        // Another generation is another cluster.
        if let Some(made) = self.topology.artefacts(&cases::cluster_name()).await.expect("artefacts") {
            lines.insert(format!("artefacts of generation {}", made.generation));
        }
        for machine in self.world.machines() {
            let (hostname, installs) = (machine.hostname.unwrap_or_default(), machine.installs);
            let power = if machine.powered { "on" } else { "off" };
            lines.insert(format!("machine {} {power} {hostname:?} {installs} installs", machine.name));
        }
        lines
    }

    /// How often Harmony switched each machine on or restarted it.
    #[must_use]
    pub fn restarts(&self) -> Vec<(String, u32)> {
        self.world.machines().into_iter().map(|machine| (machine.name, machine.restarts)).collect()
    }

    /// Fails if a rule of the world was broken.
    ///
    /// # Panics
    /// With the rules that were broken, and the world's log.
    pub fn assert_unbroken(&self, context: &str) {
        let violations = self.world.violations();
        assert!(violations.is_empty(), "{context}: {violations:?}\n{}", self.world.log());
    }

    /// Fails unless every machine is an installed, bonded node, was installed once, and no rule was broken.
    ///
    /// # Panics
    /// With what is not so, and the world's log.
    pub async fn assert_finished(&self, context: &str) {
        self.assert_unbroken(context);
        for host in self.hosts().await {
            let (label, log) = (host.label(), self.world.log());
            assert_eq!(host.lifecycle, Lifecycle::Provisioned, "{context}: {label}\n{log}");
        }
        for machine in self.world.machines() {
            let (name, log) = (machine.name, self.world.log());
            assert_eq!(machine.installs, 1, "{context}: {name} was not installed once\n{log}");
        }
    }
}
