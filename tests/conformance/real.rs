//! Real drivers against real parts, where these are installed and we are root.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use harmony_core::capability::{Bmc, DhcpServer, DnsServer, HostControl, HostTarget, LoadBalancer, LoginStage, Switch};
use harmony_core::host::{BmcId, HostId};
use harmony_core::net::{DnsName, MacAddress, PortRef};

use crate::{bmc, dhcp, dns, host_control, load_balancer, parts, switch, world};

/// Whether this can be checked here; says why not.
fn is_here(programs: &[(&str, &str)]) -> bool {
    let missing = world::missing(programs);
    if let Some(missing) = &missing {
        println!("not checked here: {missing}");
    }
    missing.is_none()
}

/// A private Open vSwitch.
pub(crate) struct OpenVswitch(parts::openvswitch::Rack);

impl OpenVswitch {
    pub(crate) async fn start() -> Option<Self> {
        is_here(&parts::openvswitch::NEEDS).then(|| Self(parts::openvswitch::Rack::new()))
    }
}

impl switch::Rig for OpenVswitch {
    fn switch(&self) -> impl Switch {
        self.0.switch()
    }

    fn ports(&self) -> [PortRef; 3] {
        ["tor/p0", "tor/p1", "tor/p2"].map(|port| port.parse().expect("a port"))
    }

    fn absent(&self) -> PortRef {
        "tor/p9".parse().expect("a port")
    }

    fn writes(&self) -> usize {
        self.0.count()
    }
}

/// `ipmi_sim`.
pub(crate) struct IpmiSim(parts::ipmi::Machine);

impl IpmiSim {
    pub(crate) async fn start() -> Option<Self> {
        if is_here(&parts::ipmi::NEEDS) { Some(Self(parts::ipmi::Machine::new().await)) } else { None }
    }
}

impl bmc::Rig for IpmiSim {
    fn bmc(&self) -> impl Bmc {
        self.0.bmc()
    }

    fn id(&self) -> BmcId {
        parts::ipmi::id()
    }

    fn writes(&self) -> usize {
        self.0.changes().len()
    }
}

/// dnsmasq, with `busybox udhcpc` for clients.
pub(crate) struct Dnsmasq(parts::dnsmasq::Site);

impl Dnsmasq {
    pub(crate) async fn start() -> Option<Self> {
        if !is_here(&parts::dnsmasq::NEEDS) {
            return None;
        }
        let site = parts::dnsmasq::Site::new();
        site.dnsmasq().ensure_running().await.expect("starts");
        Some(Self(site))
    }
}

impl dhcp::Rig for Dnsmasq {
    fn dhcp(&self) -> impl DhcpServer {
        self.0.dnsmasq()
    }

    fn clients(&self) -> [MacAddress; 2] {
        [[0x52, 0x54, 0, 0xaa, 0, 1], [0x52, 0x54, 0, 0xaa, 0, 2]].map(MacAddress::new)
    }

    fn addresses(&self) -> [IpAddr; 2] {
        [[10, 10, 0, 50].into(), [10, 10, 0, 51].into()]
    }

    async fn ask(&self, client: MacAddress) -> Option<IpAddr> {
        self.0.address(&client.to_string()).parse().ok()
    }

    fn writes(&self) -> usize {
        self.0.writes().len()
    }
}

/// dnsmasq for DNS, with a hosts file of somebody else's.
pub(crate) struct DnsmasqDns(parts::dns::Site);

impl DnsmasqDns {
    pub(crate) async fn start() -> Option<Self> {
        if !is_here(&parts::dns::NEEDS) {
            return None;
        }
        let rig = Self(parts::dns::Site::new());
        std::fs::write(rig.0.file("hosts"), "192.0.2.77 nas.ocp4.example.com\n").expect("written");
        rig.driver().ensure_running().await.expect("starts");
        Some(rig)
    }

    fn driver(&self) -> harmony_drivers::dns::dnsmasq::DnsmasqDns {
        self.0.dns_with(|spec| spec.hosts.push(self.0.file("hosts")))
    }
}

impl dns::Rig for DnsmasqDns {
    fn dns(&self) -> impl DnsServer {
        self.driver()
    }

    fn domain(&self) -> &'static str {
        "ocp4.example.com"
    }

    fn foreign(&self) -> Option<DnsName> {
        "nas.ocp4.example.com".parse().ok()
    }

    fn writes(&self) -> usize {
        self.0.writes().len()
    }
}

/// HAProxy, with two servers on loopback.
pub(crate) struct Haproxy(parts::haproxy::Site, [parts::haproxy::Server; 2]);

impl Haproxy {
    pub(crate) async fn start() -> Option<Self> {
        if !is_here(&parts::haproxy::NEEDS) {
            return None;
        }
        let site = parts::haproxy::Site::new();
        let servers = [site.server("server-0", None).await, site.server("server-1", None).await];
        Some(Self(site, servers))
    }
}

impl load_balancer::Rig for Haproxy {
    fn balancer(&self) -> impl LoadBalancer {
        self.0.owned()
    }

    fn listen(&self, n: u8) -> SocketAddr {
        self.0.listen(n)
    }

    fn servers(&self) -> [SocketAddr; 2] {
        self.1.each_ref().map(|server| server.entry(&self.0).address)
    }

    async fn wait(&self) {
        tokio::time::sleep(Duration::from_millis(30)).await;
    }

    fn writes(&self) -> usize {
        self.0.writes().len()
    }
}

/// OpenSSH's server.
pub(crate) struct Sshd(parts::ssh::Server);

impl Sshd {
    pub(crate) async fn start() -> Option<Self> {
        if is_here(&parts::ssh::NEEDS) { Some(Self(parts::ssh::Server::new().await)) } else { None }
    }
}

impl host_control::Rig for Sshd {
    fn control(&self) -> impl HostControl {
        self.0.ssh()
    }

    fn target(&self) -> HostTarget {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        HostTarget { host: HostId::derive("ssh", 0), address, stage: LoginStage::Live }
    }

    fn absent(&self) -> HostTarget {
        HostTarget { address: [127, 9, 9, 9].into(), ..self.target() }
    }

    fn writes(&self) -> usize {
        self.0.writes.entries().len()
    }
}
