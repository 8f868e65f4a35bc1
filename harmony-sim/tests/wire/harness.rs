//! A world on the wire with its store, and what stands for a boot server.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harmony_core::boot::{BootToken, LinkPlan, Order, OrderId, OrderState};
use harmony_core::capability::{
    Bmc, BootDevice, BootEntry, BootTarget, HostDiscovery, PowerAction, ProvisioningNetwork, PxeServer, Reservation,
};
use harmony_core::host::{Assignment, Host};
use harmony_core::report::{AGENT_PORT, parse_announcement, v1};
use harmony_core::secret::Secret;
use harmony_core::store::{Document, SharedStore};
use harmony_drivers::host::discovery::NetworkDiscovery;
use harmony_inventory::Inventory;
use harmony_sim::wire::{Loopback, Wire};
use harmony_sim::{MachineView, SimTopology, World, WorldSpec};
use harmony_templates::{NodeIgnition, ScosBoot, ignition, link_keyfiles, scos_boot};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

/// Longer than anything takes, in world time.
pub(crate) const LONG: Duration = Duration::from_secs(3600);
/// The same in real time, for tests that would hang.
pub(crate) const REAL: Duration = Duration::from_secs(120);

/// Who announced itself: from where, and as what.
pub(crate) type Announced = Arc<Mutex<Vec<(IpAddr, v1::Announcement)>>>;

pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) wire: Wire,
    pub(crate) topology: SimTopology,
    pub(crate) store: SharedStore,
    pub(crate) announced: Announced,
}

impl Site {
    /// With somebody who takes announcements, and otherwise the boot server of the world itself.
    pub(crate) async fn new(spec: WorldSpec) -> Self {
        let mut site = Self::without_boot_server(spec).await;
        site.announced = take_announcements(site.wire.boot_http()).await;
        site
    }

    /// Fast. Nobody listens where the boot server should.
    pub(crate) async fn without_boot_server(spec: WorldSpec) -> Self {
        let loopback = Loopback::claim().expect("a free prefix");
        let world = World::new(loopback.place(spec)).expect("a valid spec");
        world.pace().set_speed("20".parse().expect("a speed"));
        let store: SharedStore = Arc::new(Inventory::open("sqlite::memory:").await.expect("opens"));
        let topology = world.topology(store.clone());
        let wire = Wire::start(&world, loopback).await.expect("starts");
        Self { topology, world, wire, store, announced: Announced::default() }
    }

    pub(crate) fn machine(&self, name: &str) -> MachineView {
        self.world.machine(name).expect("in the spec")
    }

    /// The real driver, on the part of the network in which strangers are.
    pub(crate) fn discovery(&self) -> NetworkDiscovery {
        self.discovery_with(None)
    }

    /// The same with a token to show.
    pub(crate) fn discovery_with(&self, token: Option<Secret>) -> NetworkDiscovery {
        let first = self.wire.network().pool.first;
        let pool = ipnet::Ipv4Net::new(first, 18).expect("a prefix");
        NetworkDiscovery::new(pool, AGENT_PORT, token).expect("small enough")
    }

    /// Waits in world time.
    pub(crate) async fn until(&self, what: &str, is_so: impl FnMut(&World) -> bool) {
        let came = timeout(REAL, self.world.until(LONG, is_so)).await;
        assert_eq!(came, Ok(true), "{what}:\n{}", self.world.log());
    }

    /// Waits until the agent of a machine answers over its socket: its report.
    pub(crate) async fn report(&self, name: &str) -> v1::Report {
        let discovery = self.discovery();
        let read = async {
            loop {
                if let Some(address) = self.machine(name).address
                    && let Ok(reply) = discovery.fetch_report(address).await
                {
                    return harmony_core::report::parse(&reply.body).expect("a report");
                }
                self.world.pace().sleep(Duration::from_secs(1)).await;
            }
        };
        timeout(REAL, read).await.unwrap_or_else(|_| panic!("{name} has no agent:\n{}", self.world.log()))
    }

    /// Has a machine's report stored, as the engine does.
    pub(crate) async fn discover(&self, name: &str) -> Host {
        let report = self.report(name).await;
        let body = serde_json::to_string(&report).expect("JSON");
        let address = self.machine(name).address.expect("leased");
        let id = self.store.record_report(address, &body, self.world.clock().now()).await.expect("a report");
        self.store.host(&id).await.expect("reads").expect("there")
    }

    /// Installs a machine, of whose system this key opens the user `core`; waits until that is up.
    pub(crate) async fn install(&self, name: &str, ssh_key: &str) -> Order {
        let host = self.discover(name).await;
        let order = self.order(&host, 1);
        let assignment = Assignment { role: order.role.clone(), disk: None, erase: None };
        self.store.assign(&host.id, &assignment, order.issued_at).await.expect("free");
        self.carry_out(name, host, order, ssh_key).await
    }

    /// The same once more, by another order.
    pub(crate) async fn reinstall(&self, name: &str, first: &Order, ssh_key: &str) -> Order {
        let state = self.store.order(&first.id).await.expect("reads").expect("there").state;
        self.store.advance_order(&first.id, state, OrderState::Cancelled, None).await.expect("withdrawn");
        let host = self.store.host(&first.id.host).await.expect("reads").expect("there");
        let order = self.order(&host, 2);
        self.carry_out(name, host, order, ssh_key).await
    }

    async fn carry_out(&self, name: &str, host: Host, order: Order, ssh_key: &str) -> Order {
        self.store.create_order(&order, &BootToken(Secret::new("t0ken"))).await.expect("new");
        let source = self.topology.install_source().expect("simulated");
        let keyfiles = link_keyfiles(&order.link, order.address).expect("renders");
        let node = NodeIgnition { hostname: &order.hostname, ssh_keys: &[ssh_key], keyfiles: &keyfiles };
        let script = scos_boot(&ScosBoot { order: &order, source: &source }).expect("renders");
        let script = Document::new("boot.ipxe", script);
        let answer = Document::new("config.ign", ignition(&node).expect("renders"));
        self.store.put_document(&script).await.expect("stored");
        self.store.put_document(&answer).await.expect("stored");
        let macs: Vec<_> = host.macs().iter().copied().collect();
        let reservation = Reservation { hostname: order.hostname.clone(), address: order.address, macs: macs.clone() };
        self.world.dhcp().set_reservation(&reservation).await.expect("free");
        let target =
            BootTarget::Install { order: order.id.clone(), script: script.hash, answer: answer.hash, base: None };
        self.topology.set_boot_entry(&BootEntry { host: host.id, macs, target }).await.expect("stored");
        let bmc = self.machine(name).bmc.expect("has one");
        self.topology.set_next_boot(&bmc, BootDevice::Network, None).await.expect("accepted");
        self.topology.power(&bmc, PowerAction::Restart).await.expect("accepted");
        let is_up =
            |world: &World| world.machine(name).is_some_and(|m| m.order.as_ref() == Some(&order.id) && m.reachable);
        self.until("it is installed", is_up).await;
        order
    }

    fn order(&self, host: &Host, number: u32) -> Order {
        let disk = host.disks.first().expect("a disk");
        let members = host.nics.iter().map(|nic| (nic.name.clone(), nic.mac)).collect();
        let now = self.world.clock().now();
        Order {
            id: OrderId { host: host.id.clone(), number },
            role: "node-1".parse().expect("a role"),
            hostname: "node-1".parse().expect("a name"),
            address: self.wire.network().hosts.first.into(),
            disk_serial: disk.serial.clone().expect("a serial"),
            disk_path: disk.by_id.clone().expect("a link"),
            link: LinkPlan::bond("bond0", host.nics[0].mac, members),
            issued_at: now,
            expires_at: now.checked_add(LONG).expect("in range"),
            attempt: 1,
            state: OrderState::Issued,
            failure: None,
        }
    }
}

/// Acknowledges announcements, as the boot server does.
async fn take_announcements(at: std::net::SocketAddr) -> Announced {
    let listener = TcpListener::bind(at).await.expect("ours");
    let announced = Announced::default();
    let taken = Arc::clone(&announced);
    tokio::spawn(async move {
        while let Ok((mut stream, from)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"}") && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
            let request = String::from_utf8_lossy(&request).into_owned();
            if let Some((_, body)) = request.split_once("\r\n\r\n") {
                let announcement = parse_announcement(body.as_bytes()).expect("an announcement");
                taken.lock().expect("lock").push((from.ip(), announcement));
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        }
    });
    announced
}
