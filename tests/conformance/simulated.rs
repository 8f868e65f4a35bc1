//! The simulator in process, as a rig for everything: on paused time.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use harmony_core::capability::{
    Bmc, BootDevice, Cluster, DhcpServer, DnsRecord, DnsServer, HostControl, HostDiscovery, HostTarget, LoadBalancer,
    LoginStage, PowerAction, PxeServer, Switch,
};
use harmony_core::event::Outcome;
use harmony_core::host::{BmcId, HostId, SystemIdentity};
use harmony_core::net::{DnsName, MacAddress, PortRef};
use harmony_core::store::Sighting;
use harmony_sim::cluster::{ClusterFault, Foreign};
use harmony_sim::{MachineView, WorldSpec};
use harmony_tests::{Site, cases};

use crate::{bmc, cluster, dhcp, discovery, dns, host_control, load_balancer, pxe, switch};

/// Longer than any boot.
const LONG: Duration = Duration::from_secs(600);

/// A rack of two machines.
pub(crate) struct Simulated(Site);

impl Simulated {
    /// Machines that are off.
    pub(crate) async fn off() -> Option<Self> {
        Self::new(false)
    }

    /// Machines with agents that answer.
    pub(crate) async fn live() -> Option<Self> {
        let rig = Self::new(true)?;
        let is_live = |machine: &MachineView| machine.agent && machine.reachable;
        assert!(rig.0.world.until(LONG, |world| world.machines().iter().all(is_live)).await, "{}", rig.0.world.log());
        Some(rig)
    }

    fn new(powered: bool) -> Option<Self> {
        tokio::time::pause();
        let mut spec = WorldSpec::rack(41, 2);
        spec.hosts.iter_mut().for_each(|host| host.powered = powered);
        Some(Self(Site::of(spec)))
    }

    fn machine(&self) -> MachineView {
        self.0.world.machine("node-1").expect("in the spec")
    }
}

fn host(name: &str) -> HostId {
    HostId::derive(name, 0)
}

impl switch::Rig for Simulated {
    fn switch(&self) -> impl Switch {
        self.0.topology.clone()
    }

    fn ports(&self) -> [PortRef; 3] {
        ["tor/node-1-p0", "tor/node-1-p1", "tor/node-2-p0"].map(|port| port.parse().expect("a port"))
    }

    fn absent(&self) -> PortRef {
        "tor/nowhere".parse().expect("a port")
    }

    fn writes(&self) -> usize {
        self.0.world.writes().len()
    }
}

impl bmc::Rig for Simulated {
    fn bmc(&self) -> impl Bmc {
        self.0.topology.clone()
    }

    fn id(&self) -> BmcId {
        "bmc-1".parse().expect("a name")
    }

    fn writes(&self) -> usize {
        self.0.world.writes().len()
    }
}

impl dhcp::Rig for Simulated {
    fn dhcp(&self) -> impl DhcpServer {
        self.0.topology.clone()
    }

    fn clients(&self) -> [MacAddress; 2] {
        [self.machine().macs[0], self.machine().macs[1]]
    }

    fn addresses(&self) -> [IpAddr; 2] {
        [[10, 10, 0, 50].into(), [10, 10, 0, 51].into()]
    }

    async fn ask(&self, client: MacAddress) -> Option<IpAddr> {
        assert_eq!(client, self.machine().macs[0], "the NIC that boots");
        self.0.world.power_by_hand("node-1", PowerAction::Off);
        self.0.world.power_by_hand("node-1", PowerAction::On);
        assert!(self.0.world.until(LONG, |world| world.machine("node-1").is_some_and(|m| m.address.is_some())).await);
        self.machine().address
    }

    fn writes(&self) -> usize {
        self.0.world.writes().len()
    }
}

impl dns::Rig for Simulated {
    fn dns(&self) -> impl DnsServer {
        self.0.topology.clone()
    }

    fn domain(&self) -> &'static str {
        "ocp4.example.com"
    }

    fn foreign(&self) -> Option<DnsName> {
        let name: DnsName = "nas.ocp4.example.com".parse().expect("a name");
        let record = DnsRecord { name: name.clone(), address: [192, 0, 2, 1].into(), reverse: true };
        self.0.world.add_dns_record_by_hand(record);
        Some(name)
    }

    fn writes(&self) -> usize {
        self.0.world.writes().len()
    }
}

impl load_balancer::Rig for Simulated {
    fn balancer(&self) -> impl LoadBalancer {
        self.0.topology.clone()
    }

    fn listen(&self, n: u8) -> SocketAddr {
        ([10, 10, 200, n], 22).into()
    }

    fn servers(&self) -> [SocketAddr; 2] {
        ["node-1", "node-2"].map(|name| {
            let address = self.0.world.machine(name).and_then(|machine| machine.address).expect("it is live");
            SocketAddr::new(address, 22)
        })
    }

    async fn wait(&self) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    fn writes(&self) -> usize {
        self.0.world.writes().len()
    }
}

impl host_control::Rig for Simulated {
    fn control(&self) -> impl HostControl {
        self.0.topology.clone()
    }

    fn target(&self) -> HostTarget {
        let address = self.machine().address.expect("it is live");
        HostTarget { host: host("node-1"), address, stage: LoginStage::Live }
    }

    fn absent(&self) -> HostTarget {
        HostTarget { host: host("node-1"), address: [10, 10, 0, 99].into(), stage: LoginStage::Live }
    }

    fn writes(&self) -> usize {
        self.0.world.writes().len()
    }
}

impl discovery::Rig for Simulated {
    fn discovery(&self) -> impl HostDiscovery {
        self.0.topology.clone()
    }

    fn agents(&self) -> Vec<(IpAddr, String)> {
        self.0.world.machines().into_iter().filter_map(|m| Some((m.address?, m.serial))).collect()
    }

    fn absent(&self) -> IpAddr {
        [10, 10, 0, 99].into()
    }
}

impl pxe::Rig for Simulated {
    fn pxe(&self) -> impl PxeServer {
        self.0.topology.clone()
    }

    async fn hosts(&self) -> [HostId; 2] {
        let mut hosts = Vec::new();
        for machine in self.0.world.machines() {
            let identity = SystemIdentity::new(Some(machine.uuid), Some(&machine.serial), machine.macs);
            let at = self.0.world.clock().now();
            let sighting = Sighting { identity, address: None, agent_port: None, at };
            hosts.push(self.0.store.record_sighting(&sighting).await.expect("recorded"));
        }
        hosts.try_into().expect("two machines")
    }

    async fn boots_inventory(&self) -> bool {
        let id = "bmc-1".parse().expect("a name");
        self.0.topology.set_next_boot(&id, BootDevice::Network, None).await.expect("accepted");
        self.0.topology.power(&id, PowerAction::On).await.expect("accepted");
        self.0.world.until(LONG, |world| world.machine("node-1").is_some_and(|machine| machine.agent)).await
    }
}

/// A cluster that was installed on a simulated rack.
pub(crate) struct SimulatedCluster(Site);

impl SimulatedCluster {
    /// Of three masters and a worker.
    pub(crate) async fn installed() -> Option<Self> {
        tokio::time::pause();
        let site = Site::wanting(WorldSpec::okd_rack(41, 3, 1), cases::okd);
        assert_eq!(site.apply().await, Outcome::Converged, "{}", site.world.log());
        Some(Self(site))
    }
}

impl cluster::Rig for SimulatedCluster {
    fn cluster(&self) -> impl Cluster {
        self.0.topology.clone()
    }

    fn intrude(&self) {
        let fault = ClusterFault::ForeignRequest(Foreign::Node);
        let asked = self.0.world.with_cluster(&self.name(), |state, now| state.inject(now, fault));
        asked.expect("a cluster");
    }

    fn silence(&self) {
        for machine in self.0.world.machines() {
            self.0.world.power_by_hand(&machine.name, PowerAction::Off);
        }
    }

    fn writes(&self) -> usize {
        self.0.world.writes().len()
    }
}
