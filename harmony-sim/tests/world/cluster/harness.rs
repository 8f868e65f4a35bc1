//! A site with a cluster that is brought up by hand, without any Score.

use std::net::IpAddr;
use std::time::Duration;

use harmony_core::boot::{Addressing, BootToken, LinkPlan, Order, OrderId, OrderState};
use harmony_core::capability::{
    Artefacts, BootAssets, BootEntry, BootTarget, Cluster, ClusterInstaller, CsrState, DhcpServer, DnsServer,
    InstallSource, InstallerInput, LoadBalancer, ProvisioningNetwork, PxeServer, Reservation,
};
use harmony_core::cluster::endpoints::{ClusterPhase, NodeAddress, dns_records, services};
use harmony_core::cluster::{ClusterDescription, ClusterName, NodeKind};
use harmony_core::host::{Assignment, Host, Role};
use harmony_core::secret::Secret;
use harmony_core::store::Document;
use harmony_sim::{World, WorldSpec};
use harmony_templates::{NodeIgnition, ScosBoot, ignition, link_keyfiles, scos_boot};
use serde_json::json;

use crate::harness::Site;

/// Longer than any cluster takes that comes up.
pub(crate) const LONG: Duration = Duration::from_secs(2 * 3600);

/// A cluster to be, on a site.
pub(crate) struct Okd {
    pub(crate) site: Site,
    pub(crate) description: ClusterDescription,
    pub(crate) nodes: Vec<NodeAddress>,
    pub(crate) artefacts: Artefacts,
    pub(crate) source: InstallSource,
}

/// `ocp4`.
pub(crate) fn name() -> ClusterName {
    "ocp4".parse().expect("valid")
}

/// What the installer is given.
pub(crate) fn input(masters: usize) -> InstallerInput {
    let install_config = format!(
        "apiVersion: v1\nbaseDomain: example.com\ncompute:\n- name: worker\n  replicas: 0\ncontrolPlane:\n  name: master\n  \
         replicas: {masters}\nmetadata:\n  name: ocp4\nplatform:\n  none: {{}}\npullSecret: '@PULL-SECRET@'\n\
         sshKey: 'ssh-ed25519 AAAA test'\n"
    );
    let (manifests, masters_schedulable) = (Vec::new(), true);
    InstallerInput { cluster: name(), install_config, manifests, pull_secret_file: None, masters_schedulable }
}

impl Okd {
    /// A site whose names, load balancer, boot files and artefacts are there; of the machines, in their order, the first
    /// is to be the bootstrap, then come masters, then workers.
    pub(crate) async fn new(spec: WorldSpec, masters: usize, workers: usize) -> Self {
        let site = Site::new(spec);
        let roles = std::iter::once("bootstrap".to_owned())
            .chain((0..masters).map(|number| format!("master-{number}")))
            .chain((0..workers).map(|number| format!("worker-{number}")));
        let kind = |role: &str| match role.split('-').next() {
            Some("bootstrap") => NodeKind::Bootstrap,
            Some("master") => NodeKind::Master,
            _ => NodeKind::Worker,
        };
        let node = |(role, last): (String, u8)| NodeAddress {
            kind: kind(&role),
            role: role.parse().expect("a role"),
            address: [10, 10, 0, last].into(),
        };
        let nodes: Vec<NodeAddress> = roles.zip(11..).map(node).collect();
        let entries: serde_json::Map<_, _> = nodes.iter().map(|node| (node.role.to_string(), json!({}))).collect();
        let description = serde_json::from_value(json!({
            "name": "ocp4", "base_domain": "example.com", "roles": entries,
            "network": {"machine": "10.10.0.0/16"},
            "endpoints": {"api": "10.10.200.5", "ingress": "10.10.200.6"},
        }));
        let description: ClusterDescription = description.expect("a description");
        let topology = &site.topology;
        let artefacts = topology.make_artefacts(&input(masters)).await.expect("made");
        let images = topology.boot_images().await.expect("named");
        let mut paths = Vec::new();
        for (file, path) in images.assets() {
            topology.fetch_asset(file, &path, &|_, _| {}).await.expect("fetched");
            paths.push(format!("/os/{path}"));
        }
        let own = topology.install_source().expect("simulated");
        let [kernel, initrd, rootfs] = paths.try_into().expect("three");
        let source = InstallSource { kernel, initrd, rootfs: Some(rootfs), image: None, ..own };
        let okd = Self { site, description, nodes, artefacts, source };
        okd.set_phase(ClusterPhase::Bootstrapping).await;
        okd
    }

    /// The same with artefacts that the world's installer did not make.
    pub(crate) fn with_foreign_artefacts(self, root: &str) -> Self {
        let encoded = base64::prelude::Engine::encode(&base64::prelude::BASE64_STANDARD, root);
        let data = |text: &str| {
            let text = base64::prelude::Engine::encode(&base64::prelude::BASE64_STANDARD, text);
            json!({"source": format!("data:;base64,{text}")})
        };
        let indented = input(1).install_config.replace('\n', "\n    ");
        let config = format!(
            "kind: ConfigMap\nmetadata: {{name: cluster-config-v1}}\ndata:\n  install-config: |\n    {indented}\n"
        );
        let file = |path: &str, text: &str| json!({"path": path, "contents": data(text)});
        let bootstrap = json!({
            "ignition": {"version": "3.2.0"},
            "storage": {"files": [
                file("/usr/local/bin/bootkube.sh", "#"), file("/opt/openshift/tls/root-ca.crt", root),
                file("/opt/openshift/manifests/cluster-config.yaml", &config),
            ]},
            "systemd": {"units": [{"name": "bootkube.service", "contents": "#"}]},
        });
        let master = json!({"ignition": {
            "version": "3.2.0",
            "config": {"merge": [{"source": "https://api-int.ocp4.example.com:22623/config/master"}]},
            "security": {"tls": {"certificateAuthorities": [{"source": format!("data:;base64,{encoded}")}]}},
        }});
        let mut artefacts = self.artefacts.clone();
        for (kind, text) in [(NodeKind::Bootstrap, bootstrap), (NodeKind::Master, master)] {
            let role = artefacts.roles.get_mut(&kind).expect("made");
            role.name = format!("foreign/{kind}.ign");
            role.sha256 = self.site.world.put_private_file(&role.name, text.to_string().into_bytes());
        }
        Self { artefacts, ..self }
    }

    /// Names and services of a phase.
    pub(crate) async fn set_phase(&self, phase: ClusterPhase) {
        for record in dns_records(&self.description, &self.nodes, phase).expect("names") {
            self.site.topology.set_dns_record(&record).await.expect("set");
        }
        let services = services(&self.description, &self.nodes, phase).expect("services");
        self.site.topology.set_services(&services).await.expect("set");
    }

    /// The machine of a role, by its place.
    pub(crate) fn machine(&self, role: &str) -> String {
        let at = self.nodes.iter().position(|node| node.role.as_str() == role).expect("a role");
        format!("node-{}", at + 1)
    }

    /// Orders a machine to become what its place says, and boots it from the network. The order can be changed first.
    pub(crate) async fn boot_with(&self, role: &str, change: impl FnOnce(&mut Order)) -> Order {
        let at = self.nodes.iter().position(|node| node.role.as_str() == role).expect("a role");
        let machine = format!("node-{}", at + 1);
        if !self.site.machine(&machine).powered {
            self.site.world.power_by_hand(&machine, harmony_core::capability::PowerAction::On);
        }
        let host = self.site.discover(&machine).await;
        let order = self.order(&host, at, change).await;
        self.site.netboot(&machine).await;
        order
    }

    /// The same, as it is.
    pub(crate) async fn boot(&self, role: &str) -> Order {
        self.boot_with(role, |_| {}).await
    }

    async fn order(&self, host: &Host, at: usize, change: impl FnOnce(&mut Order)) -> Order {
        let node = &self.nodes[at];
        let Site { world, topology, store } = &self.site;
        let cabled: Vec<_> =
            host.nics.iter().filter(|nic| nic.carrier == Some(true)).map(|nic| (nic.name.clone(), nic.mac)).collect();
        let disk = host.disks.iter().find(|disk| disk.serial.is_some()).expect("a disk");
        let now = world.clock().now();
        let link = match node.kind {
            NodeKind::Bootstrap => LinkPlan::alone(cabled[0].0.clone(), cabled[0].1),
            NodeKind::Master | NodeKind::Worker => LinkPlan::bond("bond0", cabled[0].1, cabled),
        };
        let mut order = Order {
            id: OrderId { host: host.id.clone(), number: 1 },
            role: node.role.clone(),
            hostname: format!("{}.ocp4.example.com", node.role).parse().expect("a name"),
            address: node.address,
            disk_serial: disk.serial.clone().expect("a serial"),
            disk_path: disk.by_id.clone().expect("a link"),
            link,
            issued_at: now,
            expires_at: now.checked_add(LONG).expect("in range"),
            attempt: 1,
            state: OrderState::Issued,
            failure: None,
        };
        change(&mut order);
        let assignment = Assignment { role: order.role.clone(), disk: None, erase: None };
        store.assign(&host.id, &assignment, now).await.expect("free");
        let token = BootToken(Secret::new(format!("token{at}of{}", node.kind)));
        store.create_order(&order, &token).await.expect("new");
        let script = scos_boot(&ScosBoot { order: &order, source: &self.source }).expect("renders");
        let keyfiles = link_keyfiles(&order.link, order.address).expect("renders");
        let own = NodeIgnition { hostname: &order.hostname, ssh_keys: &[&self.source.ssh_key], keyfiles: &keyfiles };
        let (script, answer) =
            (Document::new("boot.ipxe", script), Document::new("config.ign", ignition(&own).expect("renders")));
        store.put_document(&script).await.expect("stored");
        store.put_document(&answer).await.expect("stored");
        let macs: Vec<_> = host.macs().iter().copied().collect();
        if order.link.addressing == Addressing::Dhcp {
            let reservation =
                Reservation { hostname: order.hostname.clone(), address: order.address, macs: macs.clone() };
            topology.set_reservation(&reservation).await.expect("free");
        }
        let base = self.artefacts.roles.get(&node.kind).cloned();
        let target = BootTarget::Install { order: order.id.clone(), script: script.hash, answer: answer.hash, base };
        topology.set_boot_entry(&BootEntry { host: host.id.clone(), macs, target }).await.expect("stored");
        order
    }

    /// Boots the bootstrap and all masters, and waits until the bootstrap is not needed any more.
    pub(crate) async fn bootstrap(&self) {
        self.boot("bootstrap").await;
        for node in self.nodes.iter().filter(|node| node.kind == NodeKind::Master) {
            self.boot(node.role.as_str()).await;
        }
        self.reaches(|state, now| state.bootstrap_is_complete(now)).await;
    }

    /// Waits until something is so in the cluster.
    pub(crate) async fn reaches(&self, is_so: impl Fn(&mut harmony_sim::cluster::ClusterState, Duration) -> bool) {
        self.waits("the cluster", |world| world.with_cluster(&name(), &is_so) == Some(true)).await;
    }

    /// Lets time pass until something is so, looking once a second.
    async fn waits(&self, what: &str, is_so: impl Fn(&World) -> bool) {
        let deadline = self.site.world.now() + LONG;
        while !is_so(&self.site.world) {
            assert!(self.site.world.now() < deadline, "{what}, in\n{}", self.site.world.log());
            self.passes(1).await;
        }
    }

    /// Lets some seconds pass.
    pub(crate) async fn passes(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Approves whatever hosts with an order ask for, until so many nodes are ready.
    pub(crate) async fn join(&self, ready: usize) {
        let deadline = self.site.world.now() + LONG;
        loop {
            let nodes = self.site.topology.nodes(&name()).await.expect("answers");
            if nodes.iter().filter(|node| node.ready == Some(true)).count() >= ready {
                return;
            }
            assert!(self.site.world.now() < deadline, "{nodes:?}\n{}", self.site.world.log());
            for request in self.site.topology.certificate_requests(&name()).await.expect("answers") {
                if request.state == CsrState::Pending {
                    self.site.topology.approve(&name(), &request).await.expect("approved");
                }
            }
            self.passes(10).await;
        }
    }

    /// The role's address.
    pub(crate) fn address(&self, role: &str) -> IpAddr {
        let role: Role = role.parse().expect("a role");
        self.nodes.iter().find(|node| node.role == role).expect("a role").address
    }

    /// Waits for a line in the world's log.
    pub(crate) async fn says(&self, text: &str) {
        self.waits(text, |world| world.log().contains(text)).await;
    }
}
