//! A world with its store, and an installation ordered by hand, without any Score.

use std::sync::Arc;
use std::time::Duration;

use harmony_core::boot::{BootToken, LinkPlan, Order, OrderId, OrderState};
use harmony_core::capability::{
    Bmc, BootDevice, BootEntry, BootTarget, CommandOutput, DhcpServer, HostControl, HostDiscovery, HostTarget, LagSpec,
    LoginStage, PowerAction, ProvisioningNetwork, PxeServer, Reservation, Switch,
};
use harmony_core::error::DeviceResult;
use harmony_core::host::{Assignment, Host};
use harmony_core::secret::Secret;
use harmony_core::store::{Document, SharedStore};
use harmony_inventory::Inventory;
use harmony_sim::{MachineView, SimTopology, StillStore, World, WorldSpec};
use harmony_templates::{NodeIgnition, ScosBoot, ignition, link_keyfiles, scos_boot};

/// Long enough for any boot that works.
pub(crate) const BOOT: Duration = Duration::from_secs(300);

pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) topology: SimTopology,
    pub(crate) store: SharedStore,
}

impl Site {
    pub(crate) fn new(spec: WorldSpec) -> Self {
        let store: Arc<StillStore> = StillStore::open(Inventory::open("sqlite::memory:")).expect("opens");
        let world = World::new(spec).expect("a valid spec");
        let store: SharedStore = store;
        Self { topology: world.topology(store.clone()), world, store }
    }

    pub(crate) fn machine(&self, name: &str) -> MachineView {
        self.world.machine(name).expect("in the spec")
    }

    /// Waits until an agent answers on a machine.
    pub(crate) async fn agent(&self, name: &str) -> bool {
        self.world.until(BOOT, |world| world.machine(name).is_some_and(|m| m.agent && m.reachable)).await
    }

    /// Lets the machine be found and its report be stored.
    pub(crate) async fn discover(&self, name: &str) -> Host {
        assert!(self.agent(name).await, "{name} is found:\n{}", self.world.log());
        let address = self.machine(name).address.expect("leased");
        let reply = self.topology.fetch_report(address).await.expect("answers");
        let body = String::from_utf8(reply.body).expect("text");
        let id = self.store.record_report(address, &body, self.world.clock().now()).await.expect("a report");
        self.store.host(&id).await.expect("reads").expect("there")
    }

    /// Orders an installation and serves it, without booting. The order can be changed first.
    pub(crate) async fn order(&self, host: &Host, number: u8, change: impl FnOnce(&mut Order)) -> Order {
        let nics = host.nics.iter().map(|nic| (nic.name.clone(), nic.mac)).collect();
        let disk = host.disks.first().expect("a disk");
        let now = self.world.clock().now();
        let mut order = Order {
            id: OrderId { host: host.id.clone(), number: 1 },
            role: format!("node-{number}").parse().expect("a role"),
            hostname: format!("node-{number}").parse().expect("a name"),
            address: [10, 10, 0, 10 + number].into(),
            disk_serial: disk.serial.clone().expect("a serial"),
            disk_path: disk.by_id.clone().expect("a link"),
            link: LinkPlan::bond("bond0", host.nics[0].mac, nics),
            issued_at: now,
            expires_at: now.checked_add(Duration::from_secs(3600)).expect("in range"),
            attempt: 1,
            state: OrderState::Issued,
            failure: None,
        };
        let assignment = Assignment { role: order.role.clone(), disk: None, erase: None };
        self.store.assign(&host.id, &assignment, now).await.expect("free");
        let token = BootToken(Secret::new(format!("token{number}")));
        self.store.create_order(&order, &token).await.expect("new");
        change(&mut order);
        let source = self.topology.install_source().expect("simulated");
        let script = scos_boot(&ScosBoot { order: &order, source: &source }).expect("renders");
        let keyfiles = link_keyfiles(&order.link, order.address).expect("renders");
        let node = NodeIgnition { hostname: &order.hostname, ssh_keys: &[&source.ssh_key], keyfiles: &keyfiles };
        let answer = Document::new("config.ign", ignition(&node).expect("renders"));
        let script = Document::new("boot.ipxe", script);
        self.store.put_document(&script).await.expect("stored");
        self.store.put_document(&answer).await.expect("stored");
        let macs: Vec<_> = host.macs().iter().copied().collect();
        let reservation = Reservation { hostname: order.hostname.clone(), address: order.address, macs: macs.clone() };
        self.topology.set_reservation(&reservation).await.expect("free");
        let target =
            BootTarget::Install { order: order.id.clone(), script: script.hash, answer: answer.hash, base: None };
        self.topology.set_boot_entry(&BootEntry { host: host.id.clone(), macs, target }).await.expect("stored");
        order
    }

    /// Restarts a machine from the network by its BMC.
    pub(crate) async fn netboot(&self, name: &str) {
        let bmc = self.machine(name).bmc.expect("has one");
        self.topology.set_next_boot(&bmc, BootDevice::Network, None).await.expect("accepted");
        self.topology.power(&bmc, PowerAction::Restart).await.expect("accepted");
    }

    /// From a blank machine to an installed system with its bond, on access ports.
    pub(crate) async fn install(&self, name: &str, number: u8) -> Order {
        let host = self.discover(name).await;
        let order = self.order(&host, number, |_| {}).await;
        self.netboot(name).await;
        let is_up = |world: &World| world.machine(name).is_some_and(|m| m.hostname.is_some() && m.reachable);
        assert!(self.world.until(BOOT, is_up).await, "{name} is installed:\n{}", self.world.log());
        order
    }

    pub(crate) async fn state(&self, order: &Order) -> OrderState {
        self.store.order(&order.id).await.expect("reads").expect("there").state
    }

    pub(crate) async fn ssh(&self, order: &Order, command: &str) -> DeviceResult<CommandOutput> {
        let stage = LoginStage::Installed { order: order.id.number };
        let target = HostTarget { host: order.id.host.clone(), address: order.address, stage };
        self.topology.run(&target, command, Duration::from_secs(10)).await
    }

    /// The bundle of a machine's ports.
    pub(crate) fn lag(&self, name: &str) -> LagSpec {
        let ports = self.machine(name).ports;
        let vlan = self.topology.network().vlan;
        LagSpec { name: format!("lag-{name}").parse().expect("valid"), ports, vlan, fallback: false }
    }

    /// Bundles a machine's ports, as a Score would.
    pub(crate) async fn flip(&self, name: &str) {
        self.topology.set_ports_lacp_mode(&self.lag(name)).await.expect("accepted");
    }

    /// Ends a test of a world in which nothing forbidden happened.
    pub(crate) fn assert_clean(&self) {
        let violations: Vec<String> = self.world.violations().iter().map(ToString::to_string).collect();
        assert_eq!(violations, Vec::<String>::new(), "{}", self.world.log());
    }
}

/// A rack of some machines, by a fixed seed.
pub(crate) fn rack(machines: u16) -> WorldSpec {
    WorldSpec::rack(7, machines)
}

/// A port mode with LACP.
pub(crate) fn lacp(name: &str, fallback: bool) -> harmony_core::capability::PortMode {
    let vlan = Some(10.try_into().expect("a VLAN"));
    harmony_core::capability::PortMode::Lacp { lag: name.parse().expect("valid"), vlan, fallback }
}
