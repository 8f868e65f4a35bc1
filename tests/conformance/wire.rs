//! Real drivers against the simulator on the wire, fifty times as fast as life.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use harmony_core::capability::{Bmc, HostDiscovery};
use harmony_core::host::{BmcId, Firmware};
use harmony_core::report::AGENT_PORT;
use harmony_core::store::SharedStore;
use harmony_drivers::WriteLog;
use harmony_drivers::bmc::PasswordSource;
use harmony_drivers::bmc::redfish::{self, CertificateSource, NetworkBoot, RedfishSpec};
use harmony_drivers::host::discovery::NetworkDiscovery;
use harmony_inventory::Inventory;
use harmony_sim::wire::{BmcEndpoint, Loopback, Wire};
use harmony_sim::{BmcPersonality, SimTopology, World, WorldSpec};

use crate::{bmc, discovery};

/// Longer than any boot, in world time.
const LONG: Duration = Duration::from_secs(600);

/// A world on the wire, with its store.
struct Rack {
    world: World,
    wire: Wire,
    /// The hosts ask its boot server.
    _topology: SimTopology,
}

impl Rack {
    async fn of(spec: WorldSpec) -> Self {
        let loopback = Loopback::claim().expect("a free prefix");
        let world = World::new(loopback.place(spec)).expect("a world");
        world.pace().set_speed("50".parse().expect("a speed"));
        let store: SharedStore = Arc::new(Inventory::open("sqlite::memory:").await.expect("a store"));
        let _topology = world.topology(store);
        let wire = Wire::start(&world, loopback).await.expect("on the wire");
        Self { world, wire, _topology }
    }
}

/// The `redfish` driver, and a BMC of one vendor.
pub(crate) struct Redfish {
    endpoint: BmcEndpoint,
    folder: tempfile::TempDir,
    writes: WriteLog,
    _rack: Rack,
}

impl Redfish {
    pub(crate) async fn start(personality: BmcPersonality) -> Option<Self> {
        let mut spec = WorldSpec::rack(42, 1);
        let host = &mut spec.hosts[0];
        (host.bmc_personality, host.firmware, host.powered) = (personality, Firmware::Uefi, false);
        let rack = Rack::of(spec).await;
        let folder = tempfile::tempdir().expect("a folder");
        let endpoint = rack.wire.bmcs().first().expect("a BMC").clone();
        std::fs::write(folder.path().join("password"), endpoint.password.expose()).expect("written");
        Some(Self { endpoint, folder, writes: WriteLog::default(), _rack: rack })
    }
}

impl bmc::Rig for Redfish {
    fn bmc(&self) -> impl Bmc {
        let spec = RedfishSpec {
            address: self.endpoint.address.ip().to_string(),
            port: self.endpoint.address.port(),
            user: self.endpoint.user.clone(),
            password: PasswordSource::File(self.folder.path().join("password")),
            system: None,
            network_boot: NetworkBoot::Pxe,
            http_boot_uri: None,
            certificate: CertificateSource::FirstSight,
        };
        redfish::Redfish::new(self.id(), spec, self.folder.path(), self.writes.clone())
    }

    fn id(&self) -> BmcId {
        self.endpoint.bmc.clone()
    }

    fn writes(&self) -> usize {
        self.writes.entries().len()
    }
}

/// The search of the network, and real agents.
pub(crate) struct Agents {
    rack: Rack,
}

impl Agents {
    pub(crate) async fn start() -> Option<Self> {
        let rack = Rack::of(WorldSpec::rack(43, 2)).await;
        assert!(rack.world.until(LONG, |world| world.machines().iter().all(|m| m.agent)).await, "{}", rack.world.log());
        let rig = Self { rack };
        // The world says that they run; until they listen takes a moment of real time.
        for (address, _) in discovery::Rig::agents(&rig) {
            while rig.driver().fetch_report(address).await.is_err() {
                rig.rack.world.pace().sleep(Duration::from_secs(1)).await;
            }
        }
        Some(rig)
    }

    fn driver(&self) -> NetworkDiscovery {
        let pool = ipnet::Ipv4Net::new(self.rack.wire.network().pool.first, 18).expect("a prefix");
        NetworkDiscovery::new(pool, AGENT_PORT, None).expect("small enough")
    }
}

impl discovery::Rig for Agents {
    fn discovery(&self) -> impl HostDiscovery {
        self.driver()
    }

    fn agents(&self) -> Vec<(IpAddr, String)> {
        self.rack.world.machines().into_iter().filter_map(|m| Some((m.address?, m.serial))).collect()
    }

    fn absent(&self) -> IpAddr {
        IpAddr::V4(self.rack.wire.network().pool.last)
    }
}
