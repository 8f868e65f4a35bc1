//! Real drivers against the simulator on the wire, fifty times as fast as life.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use harmony_core::capability::{Bmc, Cluster, HostDiscovery, PortMode, Switch};
use harmony_core::host::{BmcId, Firmware};
use harmony_core::net::PortRef;
use harmony_core::report::AGENT_PORT;
use harmony_core::store::SharedStore;
use harmony_drivers::WriteLog;
use harmony_drivers::bmc::PasswordSource;
use harmony_drivers::bmc::redfish::{self, CertificateSource, NetworkBoot, RedfishSpec};
use harmony_drivers::host::discovery::NetworkDiscovery;
use harmony_drivers::switch::cisco_ios::{self, CiscoIosSpec};
use harmony_drivers::transport::cli::SshProfile;
use harmony_inventory::Inventory;
use harmony_sim::cluster::{ClusterFault, Foreign, Server};
use harmony_sim::wire::{BmcEndpoint, Loopback, SwitchEndpoint, Wire};
use harmony_sim::{BmcPersonality, PortSpec, SimTopology, World, WorldSpec};

use crate::{bmc, cluster, discovery, kubernetes, switch};

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

/// The `cisco_ios` driver, and a switch that answers as a Catalyst does.
pub(crate) struct CiscoIos {
    endpoint: SwitchEndpoint,
    folder: tempfile::TempDir,
    writes: WriteLog,
    _rack: Rack,
}

impl CiscoIos {
    /// Two machines on Gi1/0/1 to Gi1/0/4. Two more ports are in the VLANs that ports are put into: a switch
    /// makes none by itself.
    pub(crate) async fn start() -> Option<Self> {
        let mut spec = WorldSpec::rack(44, 2);
        for (nic, number) in spec.hosts.iter_mut().flat_map(|host| &mut host.nics).zip(1..) {
            nic.port = Some(format!("tor/Gi1/0/{number}"));
        }
        let mode = |vlan: u16| Some(PortMode::Access { vlan: vlan.try_into().expect("a VLAN") });
        let modes = [None, None, None, None, mode(20), mode(30)];
        let port = |(number, mode)| PortSpec { name: format!("Gi1/0/{number}"), mode, edge: true };
        spec.switches[0].ports = (1..).zip(modes).map(port).collect();
        let rack = Rack::of(spec).await;
        let folder = tempfile::tempdir().expect("a folder");
        let endpoint = rack.wire.switches().first().expect("a switch").clone();
        for (file, secret) in [("password", &endpoint.password), ("enable", &endpoint.enable_password)] {
            std::fs::write(folder.path().join(file), secret.expose()).expect("written");
        }
        Some(Self { endpoint, folder, writes: WriteLog::default(), _rack: rack })
    }
}

impl switch::Rig for CiscoIos {
    fn switch(&self) -> impl Switch {
        let password = |file: &str| PasswordSource::File(self.folder.path().join(file));
        let spec = CiscoIosSpec {
            address: self.endpoint.address.ip().to_string(),
            port: self.endpoint.address.port(),
            user: self.endpoint.user.clone(),
            password: password("password"),
            enable_password: Some(password("enable")),
            host_ports: (1..=6).map(|number| format!("Gi1/0/{number}").parse().expect("a port")).collect(),
            ssh_profile: SshProfile::Modern,
            save: false,
            port_channels: [1, 48],
        };
        cisco_ios::CiscoIos::new(self.endpoint.switch.clone(), spec, self.folder.path(), self.writes.clone())
    }

    fn ports(&self) -> [PortRef; 3] {
        ["tor/Gi1/0/1", "tor/Gi1/0/2", "tor/Gi1/0/3"].map(|port| port.parse().expect("a port"))
    }

    fn absent(&self) -> PortRef {
        "tor/Gi1/0/9".parse().expect("a port")
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

/// The `kubernetes` driver, and a cluster's API.
pub(crate) struct Kubernetes {
    site: kubernetes::Site,
    api: SocketAddr,
}

impl Kubernetes {
    pub(crate) async fn start() -> Option<Self> {
        let site = kubernetes::Site::new();
        site.control_plane();
        let api = site.serve(Server::Master(kubernetes::fqdn("master-0"))).await;
        Some(Self { site, api })
    }
}

impl cluster::Rig for Kubernetes {
    fn cluster(&self) -> impl Cluster {
        self.site.driver(self.api)
    }

    fn intrude(&self) {
        let fault = ClusterFault::ForeignRequest(Foreign::Node);
        self.site.cluster.ask(|state, now| state.inject(now, fault));
    }

    fn silence(&self) {
        for number in 0..3 {
            self.site.cluster.ask(|state, now| state.node_stopped(now, &kubernetes::fqdn(&format!("master-{number}"))));
        }
    }

    fn writes(&self) -> usize {
        self.site.writes.entries().len()
    }
}
