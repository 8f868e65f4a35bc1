//! What all Scores of one cluster share: its description, read once, and what follows from it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use harmony_core::boot::{Addressing, LinkPlan};
use harmony_core::capability::{Artefacts, BootImages, BootSource, InstallSource, InstallerInput};
use harmony_core::cluster::{
    ClusterDescription, ClusterName, LacpStrategy, MastersSchedulable, NodeKind, Persist, RolePlan,
};
use harmony_core::host::Role;
use harmony_core::net::Hostname;
use harmony_core::score::ScoreError;
use harmony_templates::{NodeLink, install_config, machine_config};
use serde::{Deserialize, Serialize};

use super::action::Member;
use super::observe::Observed;
use crate::host_provisioning::{Bundling, HostProvisioningScore, NodeSetup, Payload};

/// How long the parts of an installation may take, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OkdLimits {
    /// One host's installation.
    pub install_s: u64,
    /// An installed host's first answer.
    pub start_s: u64,
    /// Both ends of a bond to agree.
    pub flip_s: u64,
    /// From the bootstrap's first answer until it serves masters: it fetches the release's node image first.
    pub serving_s: u64,
    /// From there until the control plane runs on the masters.
    pub bootstrap_s: u64,
    /// Installed workers to become ready nodes.
    pub join_s: u64,
    /// The routers to move.
    pub ingress_s: u64,
    /// The cluster to be installed, once its nodes are there.
    pub complete_s: u64,
    /// Hosts to be found, and a person to decide, when nobody watches.
    pub wait_s: u64,
}

impl Default for OkdLimits {
    fn default() -> Self {
        Self {
            install_s: 1800,
            start_s: 1800,
            flip_s: 60,
            serving_s: 2400,
            bootstrap_s: 5400,
            join_s: 3600,
            ingress_s: 900,
            complete_s: 5400,
            wait_s: 1800,
        }
    }
}

/// The links of hosts, with their addresses, by role.
pub(super) type Links = BTreeMap<Role, (LinkPlan, IpAddr)>;

/// Whether a role's bond is kept by a MachineConfig of its kind.
pub(super) fn is_kept_by_role(plan: &RolePlan) -> bool {
    plan.bond.as_ref().is_some_and(|bond| bond.persist == Persist::MachineConfig)
}

/// A cluster's description with what is told beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Okd {
    pub(super) description: ClusterDescription,
    /// Each role with what is wanted of its host: bootstrap, masters, workers.
    pub(super) plans: Vec<RolePlan>,
    /// Public key that may log in to nodes; without one, the site's.
    pub(super) ssh_key: Option<String>,
    pub(super) limits: OkdLimits,
}

impl Okd {
    /// The same with what depends on the hosts: their LACP strategy, where it is theirs to choose; and without the worker that
    /// the bootstrap's host is to become, until it has become it.
    pub(super) fn as_of(&self, seen: &Observed) -> Cow<'_, Self> {
        let later = self.description.bootstrap_becomes.as_ref().filter(|role| {
            let named = |hostname: &Hostname| self.plans.iter().any(|p| p.role == **role && p.hostname == *hostname);
            seen.hosts.host_with(role).is_none() && !seen.hosts.orders.iter().any(|order| named(&order.hostname))
        });
        let is_open = |plan: &RolePlan| plan.lacp == Some(LacpStrategy::Auto);
        if later.is_none() && !self.plans.iter().any(is_open) {
            return Cow::Borrowed(self);
        }
        let mut plans: Vec<RolePlan> = self.plans.iter().filter(|plan| Some(&plan.role) != later).cloned().collect();
        for plan in plans.iter_mut().filter(|plan| is_open(plan)) {
            plan.lacp = Some(LacpStrategy::chosen(plan.lacp, plan.bond.is_some(), seen.falls_back(&plan.role)));
        }
        Cow::Owned(Self { plans, ..self.clone() })
    }

    pub(super) fn name(&self) -> &ClusterName {
        &self.description.name
    }

    /// A step's key.
    pub(super) fn key(&self, what: &str) -> String {
        format!("{}/{what}", self.description.name)
    }

    /// The step that waits for the bootstrap's work to be done; its mark in the journal is what is known of it later.
    pub(super) fn bootstrap_key(&self, generation: u32) -> String {
        self.key(&format!("bootstrap-complete-{generation}"))
    }

    pub(super) fn of_kind(&self, kind: NodeKind) -> impl Iterator<Item = &RolePlan> {
        self.plans.iter().filter(move |plan| plan.kind == kind)
    }

    /// Whether a role's network is described by an NMState document, `br-ex` included, in the MachineConfig of its kind: by
    /// one for each host where one of them has a static address.
    pub(super) fn has_document(&self, plan: &RolePlan) -> bool {
        let is_static = |plan: &RolePlan| is_kept_by_role(plan) && plan.addressing != Addressing::Dhcp;
        is_kept_by_role(plan) && self.of_kind(plan.kind).any(is_static)
    }

    pub(super) fn bootstrap(&self) -> Option<&RolePlan> {
        self.of_kind(NodeKind::Bootstrap).next()
    }

    pub(super) fn roles(&self, kind: NodeKind) -> Vec<Role> {
        self.of_kind(kind).map(|plan| plan.role.clone()).collect()
    }

    /// Whether masters run workloads from the start.
    fn schedulable_at_first(&self) -> bool {
        self.of_kind(NodeKind::Worker).next().is_none()
            || self.description.masters_schedulable != MastersSchedulable::Never
    }

    /// Whether masters run workloads in the end.
    pub(super) fn schedulable_at_last(&self) -> bool {
        self.of_kind(NodeKind::Worker).next().is_none()
            || self.description.masters_schedulable == MastersSchedulable::Always
    }

    /// What the installer is given, with the bonds that a role keeps by a MachineConfig; these need the hosts.
    pub(super) fn installer_input(&self, source: &BootSource, links: &Links) -> Result<InstallerInput, ScoreError> {
        let failed = |what: &str| {
            let what = format!("make the {what} of cluster {}", self.name());
            move |source: harmony_templates::TemplateError| ScoreError::Document { what, source: source.into() }
        };
        let ssh_key = self.ssh_key.as_deref().unwrap_or(&source.ssh_key);
        let mut manifests = Vec::new();
        for kind in [NodeKind::Master, NodeKind::Worker] {
            let kept = self.of_kind(kind).filter(|plan| is_kept_by_role(plan));
            let node = |plan: &RolePlan| {
                links.get(&plan.role).cloned().map(|(link, address)| (plan.hostname.clone(), link, address))
            };
            let nodes: Vec<_> = kept.filter_map(node).collect();
            if !nodes.is_empty() {
                let nodes: Vec<NodeLink<'_>> = nodes
                    .iter()
                    .map(|(hostname, link, address)| NodeLink { hostname, link, address: *address })
                    .collect();
                manifests.push(machine_config(kind, &nodes).map_err(failed("machine configuration"))?);
            }
        }
        Ok(InstallerInput {
            cluster: self.name().clone(),
            install_config: install_config(&self.description, ssh_key).map_err(failed("install configuration"))?,
            manifests,
            pull_secret_file: self.description.pull_secret_file.clone(),
            masters_schedulable: self.schedulable_at_first(),
        })
    }

    /// The provisioning of the hosts of one kind.
    ///
    /// The steps of `bundle_after` are those that come before ports are bundled. Without images, all are installed.
    pub(super) fn provisioning(
        &self,
        kind: NodeKind,
        artefacts: Option<&Artefacts>,
        images: Option<&BootImages>,
        source: &BootSource,
        bundle_after: &[String],
    ) -> HostProvisioningScore {
        let source = images.map(|images| self.install_source(images, source));
        let payload = match (source, artefacts.and_then(|made| made.roles.get(&kind))) {
            (Some(source), Some(base)) => Payload::CoreOs { source: Box::new(source), base: base.clone() },
            _ => Payload::Installed,
        };
        let node = |plan: &RolePlan| (plan.role.clone(), self.setup(plan, payload.clone(), bundle_after));
        let nodes: BTreeMap<Role, NodeSetup> = self.of_kind(kind).map(node).collect();
        let score = HostProvisioningScore {
            nodes,
            install_limit_s: self.limits.install_s,
            start_limit_s: self.limits.start_s,
            flip_limit_s: self.limits.flip_s,
            wait_limit_s: self.limits.wait_s,
            ..HostProvisioningScore::new(self.roles(kind))
        };
        match kind {
            NodeKind::Master => score.with_quorum(self.roles(kind)),
            NodeKind::Bootstrap | NodeKind::Worker => score,
        }
    }

    fn install_source(&self, images: &BootImages, source: &BootSource) -> InstallSource {
        let [kernel, initrd, rootfs] = images.assets().map(|(_, path)| format!("/os/{path}"));
        let ssh_key = self.ssh_key.clone().unwrap_or_else(|| source.ssh_key.clone());
        let (server, args) = (source.server, source.args.clone());
        InstallSource { server, kernel, initrd, rootfs: Some(rootfs), image: None, args, ssh_key }
    }

    fn setup(&self, plan: &RolePlan, payload: Payload, bundle_after: &[String]) -> NodeSetup {
        let bundle = match LacpStrategy::chosen(plan.lacp, plan.bond.is_some(), false) {
            LacpStrategy::Flip if bundle_after.is_empty() => Bundling::AtOnce,
            LacpStrategy::Flip | LacpStrategy::Auto => Bundling::After { steps: bundle_after.to_vec() },
            LacpStrategy::Fallback => Bundling::WithFallback,
            LacpStrategy::None if plan.lacp.is_some() => Bundling::NotOurs,
            LacpStrategy::None => Bundling::Never,
        };
        NodeSetup {
            hostname: plan.hostname.clone(),
            address: plan.address,
            payload,
            disk: plan.disk.clone(),
            nics: plan.bond.as_ref().map(|bond| bond.nics.clone()).unwrap_or_default(),
            bond: plan.bond.as_ref().map(harmony_core::cluster::BondPolicy::options),
            vlan: plan.vlan,
            addressing: plan.addressing.clone(),
            bundle,
            network_is_kept: is_kept_by_role(plan),
        }
    }

    /// Addresses that the description gives away itself: of roles and endpoints. No other host is given them.
    pub(super) fn said_addresses(&self) -> BTreeSet<IpAddr> {
        let endpoints = &self.description.endpoints;
        let plans = self.description.roles.values().filter_map(|entry| entry.address);
        plans.chain([endpoints.api, endpoints.internal(), endpoints.ingress]).collect()
    }

    /// The hosts of a kind whose addresses are known.
    pub(super) fn members(&self, kind: NodeKind, addresses: &BTreeMap<Role, IpAddr>) -> Vec<Member> {
        let member =
            |plan: &RolePlan| Some(Member { name: plan.hostname.clone(), address: *addresses.get(&plan.role)? });
        self.of_kind(kind).filter_map(member).collect()
    }

    pub(super) fn hostnames(&self, kind: NodeKind) -> Vec<Hostname> {
        self.of_kind(kind).map(|plan| plan.hostname.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use harmony_core::cluster::{Endpoints, RoleEntry};

    use super::*;
    use crate::OkdInstallationScore;

    #[test]
    fn no_host_is_given_an_address_that_the_description_gives_away() {
        let [api, ingress, master] = ["10.0.0.2", "10.0.0.3", "10.0.0.10"].map(|text| text.parse().expect("one"));
        let endpoints = Endpoints { api, api_int: None, ingress };
        let roles = ["bootstrap", "master-0"].map(|role| role.parse::<Role>().expect("a role"));
        let names = ("ocp4".parse().expect("a name"), "example.com".parse().expect("a domain"));
        let machines = "10.0.0.0/24".parse().expect("a network");
        let mut description = ClusterDescription::new(names.0, names.1, machines, endpoints, roles.clone());
        description.roles.insert(roles[1].clone(), RoleEntry { address: Some(master), ..RoleEntry::default() });
        let okd = OkdInstallationScore::new(description).expect("a cluster").0;
        assert_eq!(okd.said_addresses(), BTreeSet::from([api, ingress, master]));
    }
}
