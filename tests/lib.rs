//! A simulated site with its inventory, engine and Scores, as the tests of this folder need it.

use harmony_core::engine::{Engine, EngineError, ScorePlan};
use harmony_core::event::{Outcome, Record};
use harmony_core::host::{Host, Lifecycle, Role};
use harmony_core::net::PortRef;
use harmony_core::score::AnyScore;
use harmony_core::store::SharedStore;
use harmony_inventory::Inventory;
use harmony_scores::{HostProvisioningScore, InventoryScore, SwitchAutomationScore};
use harmony_sim::{BootRom, SimTopology, StillStore, World, WorldSpec};

/// A rack, what Harmony knows of it, and what is wanted.
pub struct Site {
    /// The rack.
    pub world: World,
    /// The inventory.
    pub store: SharedStore,
    /// The rack as Harmony sees it.
    pub topology: SimTopology,
    /// What is wanted.
    pub scores: Vec<Box<dyn AnyScore<SimTopology>>>,
}

impl Site {
    /// A rack of machines that are off and that nobody has catalogued; every second one has
    /// firmware that does not answer LACP. Each is to become `node-N`.
    #[must_use]
    pub fn rack(seed: u64, machines: u16) -> Self {
        let mut spec = WorldSpec::rack(seed, machines);
        for (number, host) in spec.hosts.iter_mut().enumerate() {
            host.powered = false;
            if number % 2 == 1 {
                host.rom = BootRom::FirmwarePxe;
                host.firmware = harmony_core::host::Firmware::Uefi;
            }
        }
        Self::of(spec)
    }

    /// The site of a world, all of whose machines are wanted as nodes.
    #[must_use]
    pub fn of(spec: WorldSpec) -> Self {
        let machines = spec.hosts.len();
        let ports: Vec<PortRef> =
            spec.hosts.iter().flat_map(|host| &host.nics).filter_map(|nic| nic.port.as_ref()?.parse().ok()).collect();
        let vlan = spec.vlan.try_into().expect("a VLAN");
        let world = World::new(spec).expect("a world");
        let store: SharedStore = StillStore::open(Inventory::open("sqlite::memory:")).expect("a store");
        let topology = world.topology(store.clone());
        let roles = (1..=machines).map(|number| format!("node-{number}").parse::<Role>().expect("a role"));
        let scores: Vec<Box<dyn AnyScore<SimTopology>>> = vec![
            Box::new(SwitchAutomationScore::ready_to_boot(ports, vlan)),
            Box::new(InventoryScore::of(machines)),
            Box::new(HostProvisioningScore::new(roles).assign_unattended()),
        ];
        Self { world, store, topology, scores }
    }

    /// An engine for the site, with the world's clock.
    #[must_use]
    pub fn engine(&self) -> Engine {
        Engine::new(self.store.clone(), self.world.clock())
    }

    /// Applies everything, to the end.
    pub async fn apply(&self) -> Outcome {
        self.engine().apply("test", &self.topology, &self.scores, None).await.expect("a journal")
    }

    /// Plans everything.
    pub async fn plan(&self) -> Result<Vec<ScorePlan>, EngineError> {
        self.engine().plan(&self.topology, &self.scores).await
    }

    /// Applies until the run has told of its `entries`-th event, then kills it: the run is dropped where
    /// it stands. `None` if it was killed.
    pub async fn apply_until(&self, entries: usize) -> Option<Outcome> {
        let engine = self.engine();
        let mut events = engine.bus.subscribe();
        let killed = async {
            for _ in 0..entries {
                events.recv().await.expect("the run goes on");
            }
        };
        tokio::select! {
            biased;
            () = killed => None,
            outcome = engine.apply("test", &self.topology, &self.scores, None) => Some(outcome.expect("a journal")),
        }
    }

    /// The journal of the latest run.
    pub async fn journal(&self) -> Vec<Record> {
        let runs = self.store.runs().await.expect("runs");
        self.store.journal(runs.last().expect("a run").id).await.expect("a journal")
    }

    /// All hosts.
    pub async fn hosts(&self) -> Vec<Host> {
        self.store.hosts().await.expect("hosts")
    }

    /// What matters of the end of a run, in a form that can be compared and read.
    pub async fn end_state(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for host in self.hosts().await {
            let role = host.assignment.as_ref().map_or("none", |assignment| assignment.role.as_str());
            let ports: Vec<String> = host
                .nics
                .iter()
                .filter_map(|nic| nic.port.agreed())
                .map(|port| {
                    format!("{port} {}", self.world.port_mode(&port).map_or_else(String::new, |mode| mode.to_string()))
                })
                .collect();
            lines.push(format!(
                "{} {} {role} [{}]",
                host.identity.serial.unwrap_or_default(),
                host.lifecycle,
                ports.join(", ")
            ));
        }
        let orders = self.store.orders().await.expect("orders");
        lines.extend(
            orders
                .iter()
                .map(|order| format!("{} {} {} {}", order.role, order.state, order.address, order.disk_serial)),
        );
        lines.sort();
        lines
    }

    /// Fails unless every machine is an installed, bonded node, was installed once, and no rule was broken.
    pub async fn assert_finished(&self, context: &str) {
        let violations = self.world.violations();
        assert!(violations.is_empty(), "{context}: {violations:?}\n{}", self.world.log());
        for host in self.hosts().await {
            assert_eq!(host.lifecycle, Lifecycle::Provisioned, "{context}: {}\n{}", host.label(), self.world.log());
        }
        for machine in self.world.machines() {
            assert_eq!(
                machine.installs,
                1,
                "{context}: {} was installed {} times\n{}",
                machine.name,
                machine.installs,
                self.world.log()
            );
        }
    }
}
