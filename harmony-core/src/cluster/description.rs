//! What is wanted of a cluster: the shape of `cluster.toml`, and the same as a value for programs.
//!
//! Owns the keys, their defaults and what a role comes to once its kind's defaults are applied. Whether it can work at all
//! is for `check`, whose host becomes what for `choice`; the text is parsed where files are read (`scores`).
//! Read next: `docs/reference/cluster.md`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::binding::{HostBinding, Minimums};
use super::link_policy::{AddressingPolicy, Bond, BondPolicy, LacpStrategy};
use super::{ClusterName, NodeKind};
use crate::boot::Addressing;
use crate::boot::choice::DiskHints;
use crate::host::Role;
use crate::net::{DnsName, Hostname, NameError, VlanId};
use crate::secret::Secret;

/// What OKD takes for a pull secret; it is no secret. Source: okd-project/okd README.md.
const OKD_PULL_SECRET: &str = r#"{"auths":{"fake":{"auth":"aWQ6cGFzcwo="}}}"#;

/// What is wanted of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterDescription {
    /// Its name, the first label of its domain.
    pub name: ClusterName,
    /// The domain that it is in: nodes are `ROLE.NAME.BASE_DOMAIN`.
    pub base_domain: Hostname,
    /// The release that the installer must be of; any where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// File with the pull secret; where absent, the text that OKD takes for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret_file: Option<PathBuf>,
    /// File with the OpenSSH public key that may log in to nodes; where absent, Harmony's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_key_file: Option<PathBuf>,
    /// Whether masters run workloads.
    #[serde(default)]
    pub masters_schedulable: MastersSchedulable,
    /// What is done with certificate requests of hosts that have an order.
    #[serde(default)]
    pub csr: CsrPolicy,
    /// The worker that the bootstrap's host becomes once it has left the cluster and was wiped, which is a person's to do yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_becomes: Option<Role>,
    /// `[network]`.
    #[serde(default)]
    pub network: ClusterNetwork,
    /// `[endpoints]`.
    pub endpoints: Endpoints,
    /// `[defaults.KIND]`: what roles of a kind have in common.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub defaults: BTreeMap<NodeKind, RoleSettings>,
    /// `[roles.ROLE]`.
    pub roles: BTreeMap<Role, RoleEntry>,
}

/// `[network]`: the networks of the cluster. What is left out is as the installer has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterNetwork {
    /// The network that nodes and endpoints are in.
    pub machine: IpNet,
    /// The network of pods.
    pub cluster: PodNetwork,
    /// The network of services.
    pub service: IpNet,
    /// What carries pods.
    #[serde(rename = "type")]
    pub kind: NetworkType,
}

/// The network of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodNetwork {
    /// Its prefix.
    pub cidr: IpNet,
    /// Length of the prefix that each node gets of it.
    pub host_prefix: u8,
}

/// What carries pods. Source: OpenShift, "Installation configuration parameters": the only one left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkType {
    /// OVN-Kubernetes.
    #[default]
    OVNKubernetes,
}

impl Default for ClusterNetwork {
    fn default() -> Self {
        let net = |a, b, c, d, len| IpNet::V4(ipnet::Ipv4Net::new_assert([a, b, c, d].into(), len));
        Self {
            machine: net(10, 0, 0, 0, 16),
            cluster: PodNetwork { cidr: net(10, 128, 0, 0, 14), host_prefix: 23 },
            service: net(172, 30, 0, 0, 16),
            kind: NetworkType::OVNKubernetes,
        }
    }
}

/// `[endpoints]`: addresses of the load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    /// Where the API answers.
    pub api: IpAddr,
    /// Where nodes reach the API and the machine config server; the same as `api` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_int: Option<IpAddr>,
    /// Where applications answer.
    pub ingress: IpAddr,
}

impl Endpoints {
    /// Where nodes reach the API.
    #[must_use]
    pub fn internal(&self) -> IpAddr {
        self.api_int.unwrap_or(self.api)
    }
}

/// Whether masters run workloads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MastersSchedulable {
    /// Until workers are ready; always where there are none.
    #[default]
    UntilWorkers,
    /// Always.
    Always,
    /// Never: workers must join before the installation can complete.
    Never,
}

/// What is done with certificate requests of hosts that have an order. Those of others are always left to a person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CsrPolicy {
    /// Approved where all of it belongs to the host.
    #[default]
    Approve,
    /// Shown, and left to a person.
    Ask,
}

/// `[roles.ROLE]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoleEntry {
    /// What it is; told by the name where absent: `bootstrap`, `master-…`, `worker-…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<NodeKind>,
    /// Its address; one of the site's addresses for hosts where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Serial of the disk whose contents may be lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erase: Option<String>,
    /// Its host; by the kind's default where absent, and any that is large enough without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostBinding>,
    /// As of [`RoleSettings`]; each that is there stands for the whole of the kind's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimums: Option<Minimums>,
    /// As of [`RoleSettings`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskHints>,
    /// As of [`RoleSettings`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond: Option<Bond>,
    /// As of [`RoleSettings`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<VlanId>,
    /// As of [`RoleSettings`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacp: Option<LacpStrategy>,
    /// As of [`RoleSettings`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addressing: Option<AddressingPolicy>,
}

/// `[defaults.KIND]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoleSettings {
    /// How a host is found for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostBinding>,
    /// What a host must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimums: Option<Minimums>,
    /// Which disk it is installed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskHints>,
    /// Whether its NICs are bonded, and how. Masters and workers are, the bootstrap is not, unless told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond: Option<Bond>,
    /// The tagged VLAN that carries its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<VlanId>,
    /// How its switch ports get into LACP mode; chosen where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacp: Option<LacpStrategy>,
    /// Where it has its address from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addressing: Option<AddressingPolicy>,
}

/// A role with everything that is wanted of its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolePlan {
    /// The role, which is the host's short name.
    pub role: Role,
    /// What it is.
    pub kind: NodeKind,
    /// The host's name in full.
    pub hostname: Hostname,
    /// How its host is found.
    pub host: HostBinding,
    /// What the host must have.
    pub minimums: Minimums,
    /// Which disk it is installed on.
    pub disk: DiskHints,
    /// Serial of the disk whose contents may be lost.
    pub erase: Option<String>,
    /// How its NICs are bonded; absent where they are not.
    pub bond: Option<BondPolicy>,
    /// The tagged VLAN that carries its address.
    pub vlan: Option<VlanId>,
    /// How its switch ports get into LACP mode; to be chosen where absent.
    pub lacp: Option<LacpStrategy>,
    /// Its address, where the description says it.
    pub address: Option<IpAddr>,
    /// Where it has its address from.
    pub addressing: Addressing,
}

impl ClusterDescription {
    /// A cluster with nothing but a name, endpoints and roles whose hosts are any that are large enough.
    #[must_use]
    pub fn new(
        name: ClusterName,
        base_domain: Hostname,
        machine: IpNet,
        endpoints: Endpoints,
        roles: impl IntoIterator<Item = Role>,
    ) -> Self {
        Self {
            name,
            base_domain,
            release: None,
            pull_secret_file: None,
            ssh_key_file: None,
            masters_schedulable: MastersSchedulable::default(),
            csr: CsrPolicy::default(),
            bootstrap_becomes: None,
            network: ClusterNetwork { machine, ..ClusterNetwork::default() },
            endpoints,
            defaults: BTreeMap::new(),
            roles: roles.into_iter().map(|role| (role, RoleEntry::default())).collect(),
        }
    }

    /// The cluster's domain, `ocp4.example.com`.
    ///
    /// # Errors
    /// If it is longer than DNS allows.
    pub fn domain(&self) -> Result<Hostname, NameError> {
        format!("{}.{}", self.name, self.base_domain).parse()
    }

    /// A name below the cluster's domain: `api`, `*.apps`, `master-0`.
    ///
    /// # Errors
    /// If it is no name, or longer than DNS allows.
    pub fn name_below(&self, label: &str) -> Result<DnsName, NameError> {
        format!("{label}.{}.{}", self.name, self.base_domain).parse()
    }

    /// What a role is, if its entry or its name tells.
    #[must_use]
    pub fn kind_of(&self, role: &Role) -> Option<NodeKind> {
        let told = self.roles.get(role).and_then(|entry| entry.kind);
        let first = role.as_str().split('-').next().unwrap_or_default();
        told.or_else(|| NodeKind::ALL.into_iter().find(|kind| kind.as_str() == first))
    }

    /// The pull secret that OKD takes, where no file is named.
    #[must_use]
    pub fn okd_pull_secret() -> Secret {
        Secret::new(OKD_PULL_SECRET)
    }

    /// Every role with its kind's defaults: bootstrap, masters, workers, each by number.
    ///
    /// # Errors
    /// A role of no kind, or a name that DNS does not take.
    pub fn role_plans(&self) -> Result<Vec<RolePlan>, NameError> {
        let mut plans = self.roles.keys().map(|role| self.role_plan(role)).collect::<Result<Vec<_>, _>>()?;
        plans.sort_by(|a, b| (a.kind, number(&a.role), &a.role).cmp(&(b.kind, number(&b.role), &b.role)));
        Ok(plans)
    }

    pub(super) fn role_plan(&self, role: &Role) -> Result<RolePlan, NameError> {
        let unknown = || {
            NameError::new(
                "role",
                role.as_str(),
                "its kind is unknown: begin it with `master-` or `worker-`, or say `kind`",
            )
        };
        let kind = self.kind_of(role).ok_or_else(unknown)?;
        let entry = self.roles.get(role).cloned().unwrap_or_default();
        let defaults = self.defaults.get(&kind).cloned().unwrap_or_default();
        let bond = entry.bond.or(defaults.bond).unwrap_or_else(|| Bond::usual(kind));
        let addressing = entry.addressing.or(defaults.addressing).unwrap_or_default();
        Ok(RolePlan {
            hostname: format!("{role}.{}.{}", self.name, self.base_domain).parse()?,
            host: entry.host.or(defaults.host).unwrap_or_default(),
            minimums: entry.minimums.or(defaults.minimums).unwrap_or_else(|| Minimums::usual(kind)),
            disk: entry.disk.or(defaults.disk).unwrap_or_default(),
            erase: entry.erase,
            bond: bond.policy(),
            vlan: entry.vlan.or(defaults.vlan),
            lacp: entry.lacp.or(defaults.lacp),
            address: entry.address,
            addressing: addressing.addressing(self.network.machine.prefix_len()),
            role: role.clone(),
            kind,
        })
    }
}

/// The number at the end of a role, so that `master-10` comes after `master-2`.
fn number(role: &Role) -> Option<u64> {
    role.as_str().rsplit('-').next()?.parse().ok()
}
