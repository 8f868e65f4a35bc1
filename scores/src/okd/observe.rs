//! What an OKD installation looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use harmony_core::boot::OrderState;
use harmony_core::capability::{
    Artefacts, BootAssets, BootImages, BootSource, DnsRecord, InstallerVersion, LbService, RemoteFile,
};
use harmony_core::cluster::endpoints::NodeAddress;
use harmony_core::cluster::{NodeKind, RolePlan};
use harmony_core::host::Role;
use harmony_core::net::{Hostname, SwitchId};
use harmony_core::score::{Context, ScoreError};
use harmony_core::store::OneShot;

use super::action::{Facts, OkdSite};
use super::cluster::Okd;
use super::release;
use super::surroundings::Surroundings;
use super::view::{ClusterView, serving};
use crate::host_provisioning::{self, HostProvisioningScore};

/// What was read.
#[derive(Debug, Clone)]
pub struct Observed {
    pub(super) hosts: host_provisioning::Observed,
    pub(super) source: BootSource,
    /// What the installer made, if it has been asked.
    pub(super) artefacts: Option<Artefacts>,
    /// What is asked of the installer program while a host is to be installed.
    pub(super) installer: Option<Installer>,
    pub(super) dns_is_external: bool,
    pub(super) dns: Vec<DnsRecord>,
    pub(super) balancer_is_external: bool,
    pub(super) services: Vec<LbService>,
    /// Whether the control plane runs on the masters, by the journal's mark: known whether its API answers or not.
    pub(super) is_marked: bool,
    /// The same, by that mark or by what the API says.
    pub(super) is_bootstrapped: bool,
    /// Whether the bootstrap serves masters just now; not asked afterwards.
    pub(super) is_serving: bool,
    /// Switches whose LAGs can fall back.
    pub(super) falls_back: BTreeSet<SwitchId>,
    /// What others have ready; looked at before anything begins.
    pub(super) surroundings: Surroundings,
    /// Whether the bootstrap's host was restarted into the inventory environment after its work.
    pub(super) is_restarted: bool,
    /// The running cluster; read once its control plane runs on the masters.
    pub(super) running: Option<Running>,
}

/// What is asked of the installer program.
#[derive(Debug, Clone)]
pub(super) struct Installer {
    pub(super) version: InstallerVersion,
    pub(super) images: BootImages,
    /// Files of the release that the boot server does not offer yet, or in another state.
    pub(super) missing: Vec<(RemoteFile, String)>,
}

/// A cluster whose control plane runs on its masters.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) view: ClusterView,
    pub(super) masters_schedulable: bool,
    pub(super) ingress_nodes: Vec<String>,
    pub(super) is_complete: bool,
}

impl Observed {
    /// What can be said of hosts alone, and of nothing that runs on them.
    pub(super) async fn read_hosts<T: OkdSite>(okd: &Okd, cx: &Context<'_, T>) -> Result<Self, ScoreError> {
        let (topology, name) = (cx.topology, okd.name());
        // Without roles of its own, so that nothing is asked of the site's own image.
        let hosts = host_provisioning::Observed::read(cx, &HostProvisioningScore::new([])).await?;
        let artefacts = topology.artefacts(name).await?;
        let mark = match &artefacts {
            Some(artefacts) => cx.store.one_shot(&okd.bootstrap_key(artefacts.generation)).await?,
            None => OneShot::Never,
        };
        let is_marked = matches!(mark, OneShot::Done(_));
        // A run may have ended between the cluster's word and the mark.
        let says_so = !is_marked && artefacts.is_some() && topology.bootstrap_is_complete(name).await.unwrap_or(false);
        let ports = &topology.network().host_ports;
        let switches: BTreeSet<&SwitchId> = ports.iter().map(|port| &port.switch).collect();
        let falls_back = switches.into_iter().filter(|switch| topology.lags_fall_back(switch)).cloned().collect();
        Ok(Self {
            source: topology.boot_source()?,
            dns_is_external: topology.dns_is_external(),
            dns: Vec::new(),
            balancer_is_external: topology.load_balancer_is_external(),
            services: Vec::new(),
            hosts,
            artefacts,
            installer: None,
            is_marked,
            is_bootstrapped: is_marked || says_so,
            is_serving: false,
            falls_back,
            surroundings: Surroundings::default(),
            is_restarted: false,
            running: None,
        })
    }

    /// Everything that a stage looks at: that of the bootstrap, the first, also what stands against beginning.
    pub(super) async fn read<T: OkdSite>(okd: &Okd, stage: NodeKind, cx: &Context<'_, T>) -> Result<Self, ScoreError> {
        let (topology, name) = (cx.topology, okd.name());
        let mut observed = Self::read_hosts(okd, cx).await?;
        let is_installed = |plan: &RolePlan| {
            let order = observed.hosts.order_of(&plan.role);
            plan.kind == NodeKind::Bootstrap || order.is_some_and(|order| order.state >= OrderState::Installed)
        };
        if !observed.is_bootstrapped || !okd.plans.iter().all(is_installed) {
            observed.installer = Some(Installer::read(topology).await?);
        }
        if observed.is_bootstrapped {
            observed.running = Some(Running::read(okd, topology).await?);
            if let Some(key) = release::restart_key(okd, &observed.hosts.orders) {
                observed.is_restarted = matches!(cx.store.one_shot(&key).await?, OneShot::Done(_));
            }
        }
        observed.dns = topology.dns_records().await?;
        observed.services = topology.services().await?;
        let bootstrap = okd.bootstrap().and_then(|plan| observed.address(okd, &plan.role));
        if let Some(address) = bootstrap.filter(|_| !observed.is_bootstrapped && observed.artefacts.is_some()) {
            observed.is_serving = serving(topology, name, address).await?.is_serving;
        }
        // A worker that the bootstrap's host is to become has no host yet, and nothing waits for it.
        let okd = okd.as_of(&observed);
        if stage == NodeKind::Bootstrap && observed.is_to_begin(&okd) {
            let surroundings = Surroundings::read(&okd, &observed, cx).await;
            observed.surroundings = surroundings;
        }
        Ok(observed)
    }

    /// Whether every role has its host, and none of them has been ordered.
    pub(super) fn is_to_begin(&self, okd: &Okd) -> bool {
        let waits =
            |plan: &RolePlan| self.hosts.order_of(&plan.role).is_none() && self.hosts.host_with(&plan.role).is_some();
        okd.plans.iter().all(waits)
    }

    /// The address of the host with a role: of its order, of its description, or the one that is reserved for its name.
    pub(super) fn address(&self, okd: &Okd, role: &Role) -> Option<IpAddr> {
        let plan = okd.plans.iter().find(|plan| plan.role == *role)?;
        let order = self.hosts.order_of(role).map(|order| order.address);
        let reserved = || self.hosts.reservation_of(&plan.hostname).map(|reservation| reservation.address);
        order.or(plan.address).or_else(reserved)
    }

    /// The nodes whose addresses are known.
    pub(super) fn nodes(&self, okd: &Okd) -> Vec<NodeAddress> {
        let node = |plan: &RolePlan| {
            Some(NodeAddress { role: plan.role.clone(), kind: plan.kind, address: self.address(okd, &plan.role)? })
        };
        okd.plans.iter().filter_map(node).collect()
    }

    /// The addresses of all roles that have one.
    pub(super) fn addresses(&self, okd: &Okd) -> BTreeMap<Role, IpAddr> {
        let known = |role: &Role| Some((role.clone(), self.address(okd, role)?));
        okd.plans.iter().filter_map(|plan| known(&plan.role)).collect()
    }

    /// Whether LAGs of a role's host can fall back: those of the switches of all its ports, which are known once it has one.
    pub(super) fn falls_back(&self, role: &Role) -> bool {
        let ports =
            self.hosts.host_with(role).into_iter().flat_map(|host| &host.nics).filter_map(|nic| nic.port.agreed());
        let mut switches = ports.map(|port| port.switch).peekable();
        switches.peek().is_some() && switches.all(|switch| self.falls_back.contains(&switch))
    }

    pub(super) fn facts(&self, okd: &Okd) -> Facts {
        let mut facts = self.hosts.facts();
        let name = okd.name();
        let made = self
            .artefacts
            .as_ref()
            .map_or_else(|| "none".to_owned(), |made| format!("generation {} of {}", made.generation, made.input));
        facts.insert(format!("artefacts of {name}"), made);
        facts.insert(
            format!("bootstrap of {name}"),
            (if self.is_bootstrapped { "complete" } else { "not complete" }).to_owned(),
        );
        for record in &self.dns {
            facts.insert(format!("DNS record {}", record.name), record.address.to_string());
        }
        for service in &self.services {
            let servers = service.servers.iter().map(|server| server.name.short().to_owned()).collect::<Vec<_>>();
            facts.insert(format!("service {}", service.name), servers.join(" "));
        }
        if let Some(installer) = &self.installer {
            facts.insert(
                "installer".to_owned(),
                format!("{} ({})", installer.version.version, installer.version.sha256),
            );
        }
        for node in self.running.iter().flat_map(|running| &running.view.nodes) {
            let ready = if node.ready == Some(true) { "ready" } else { "not ready" };
            facts.insert(format!("node {}", node.name), ready.to_owned());
        }
        facts
    }
}

impl Installer {
    async fn read<T: OkdSite>(topology: &T) -> Result<Self, ScoreError> {
        let images = topology.boot_images().await?;
        let mut missing = Vec::new();
        for (file, path) in images.assets() {
            let there = BootAssets::asset(topology, &path).await?;
            if there.is_none_or(|info| info.sha256 != file.sha256) {
                missing.push((file.clone(), path));
            }
        }
        Ok(Self { version: topology.installer_version().await?, images, missing })
    }
}

impl Running {
    async fn read<T: OkdSite>(okd: &Okd, topology: &T) -> Result<Self, ScoreError> {
        let name = okd.name();
        let view = ClusterView::read(topology, name).await?;
        let view = view.map_err(|reason| {
            let what = format!("failed to ask the API of cluster {name}, whose control plane runs: {reason}");
            harmony_core::error::DeviceError::new(harmony_core::error::FailureKind::Unreachable, what)
                .hint("look at its masters: harmony status, and the load balancer before them")
        })?;
        Ok(Self {
            view,
            masters_schedulable: topology.masters_schedulable(name).await?,
            ingress_nodes: topology.ingress_nodes(name).await?,
            is_complete: topology.install_is_complete(name).await?,
        })
    }

    /// Whether it has been a node.
    pub(super) fn knows(&self, name: &Hostname) -> bool {
        self.view.nodes.iter().any(|node| node.name == name.as_str())
    }

    /// Names of those that are no ready nodes.
    pub(super) fn unready<'a>(&self, okd: &'a Okd, kind: NodeKind) -> Vec<&'a str> {
        okd.of_kind(kind).map(|plan| plan.hostname.as_str()).filter(|name| !self.view.is_ready(name)).collect()
    }
}
