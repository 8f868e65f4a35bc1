//! Whether a description can work, before any host or device is looked at.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Bond, ClusterDescription, HostBinding, NodeKind, RolePlan};
use crate::boot::Addressing;
use crate::boot::choice::NicChoice;
use crate::net::VlanId;

/// Longest name of a node: it is the value of labels. Source: Kubernetes, "Labels and Selectors".
const LONGEST_NODE_NAME: usize = 63;

/// A value that cannot work, or contradicts another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {reason}")]
pub struct DescriptionError {
    /// The key, `roles.master-0.address`.
    pub key: String,
    /// Why.
    pub reason: String,
}

fn wrong<T>(key: impl Into<String>, reason: impl Into<String>) -> Result<T, DescriptionError> {
    Err(DescriptionError { key: key.into(), reason: reason.into() })
}

impl ClusterDescription {
    /// Whether it can work. What works, but not as one would want it, is returned as sentences.
    ///
    /// # Errors
    /// The first value that cannot work.
    pub fn check(&self) -> Result<Vec<String>, DescriptionError> {
        let refused =
            |key: String| move |error: crate::net::NameError| DescriptionError { key, reason: format!("{error}") };
        self.domain().map_err(refused("base_domain".to_owned()))?;
        // The longest of all names that are made below the domain.
        self.name_below("*.apps").map_err(refused("base_domain".to_owned()))?;
        for role in self.roles.keys() {
            self.role_plan(role).map_err(refused(format!("roles.{role}")))?;
        }
        let roles = self.role_plans().map_err(refused("roles".to_owned()))?;
        let mut advice = self.numbers(&roles)?;
        self.networks()?;
        self.addresses(&roles)?;
        for role in &roles {
            self.role(role)?;
        }
        self.bindings(&roles)?;
        self.bootstrap_becomes(&roles)?;
        if roles.iter().any(|role| role.kind == NodeKind::Bootstrap && role.bond.is_some()) {
            advice.push("the bootstrap lives for an hour: its bond costs two changes of switch ports".to_owned());
        }
        Ok(advice)
    }

    fn numbers(&self, roles: &[RolePlan]) -> Result<Vec<String>, DescriptionError> {
        let count = |kind| roles.iter().filter(|role| role.kind == kind).count();
        let (bootstraps, masters, workers) =
            (count(NodeKind::Bootstrap), count(NodeKind::Master), count(NodeKind::Worker));
        if bootstraps != 1 {
            return wrong("roles", format!("a cluster has one bootstrap, this one has {bootstraps}"));
        }
        if masters % 2 == 0 {
            return wrong("roles", format!("a quorum needs an odd number of masters, this one has {masters}"));
        }
        let mut advice = Vec::new();
        if masters == 1 {
            advice.push("with one master, the cluster is gone when that host is: three are usual".to_owned());
        }
        if masters > 5 {
            advice.push(format!("{masters} masters: etcd becomes slower with each, and five outlive any two"));
        }
        if workers == 1 {
            advice.push("with one worker, one router has no place: two are usual".to_owned());
        }
        if workers == 0 && self.masters_schedulable == super::MastersSchedulable::Never {
            return wrong("masters_schedulable", "`never` without workers: nothing could run anywhere");
        }
        Ok(advice)
    }

    fn networks(&self) -> Result<(), DescriptionError> {
        let network = &self.network;
        let pods = &network.cluster;
        let all = [
            ("network.machine", network.machine),
            ("network.cluster.cidr", pods.cidr),
            ("network.service", network.service),
        ];
        for (at, (key, net)) in all.iter().enumerate() {
            if net.trunc() != *net {
                return wrong(*key, format!("{net} has bits behind its prefix: write {}", net.trunc()));
            }
            if let Some((other, with)) = all[..at].iter().find(|(_, with)| overlap(net, with)) {
                return wrong(*key, format!("{net} overlaps {other}, {with}"));
            }
        }
        if pods.host_prefix <= pods.cidr.prefix_len() || pods.host_prefix > pods.cidr.max_prefix_len() - 2 {
            return wrong(
                "network.cluster.host_prefix",
                format!("/{} gives no node a part of {}", pods.host_prefix, pods.cidr),
            );
        }
        let nodes = self.roles.len();
        let room = 1_usize.checked_shl(u32::from(pods.host_prefix - pods.cidr.prefix_len())).unwrap_or(usize::MAX);
        if nodes > room {
            return wrong("network.cluster", format!("{} has room for {room} nodes, not for {nodes}", pods.cidr));
        }
        Ok(())
    }

    fn addresses(&self, roles: &[RolePlan]) -> Result<(), DescriptionError> {
        let endpoints = &self.endpoints;
        let mut taken: BTreeMap<IpAddr, String> = BTreeMap::new();
        let named =
            [("api", Some(endpoints.api)), ("api_int", endpoints.api_int), ("ingress", Some(endpoints.ingress))];
        for (name, address) in named {
            let Some(address) = address else { continue };
            let key = format!("endpoints.{name}");
            self.usable(&key, address)?;
            // One balancer may stand at one address for all of them.
            taken.insert(address, key);
        }
        for role in roles {
            let key = format!("roles.{}.address", role.role);
            let Some(address) = role.address else { continue };
            if !self.network.machine.contains(&address) {
                return wrong(key, format!("{address} is not in network.machine, {}", self.network.machine));
            }
            self.usable(&key, address)?;
            if let Some(other) = taken.insert(address, key.clone()) {
                return wrong(key, format!("{address} is that of {other}"));
            }
        }
        Ok(())
    }

    /// Refuses addresses that no host can have. Hosts on the loopback network are simulated ones.
    fn usable(&self, key: &str, address: IpAddr) -> Result<(), DescriptionError> {
        let machine = &self.network.machine;
        let edge = machine.contains(&address)
            && machine.addr().is_ipv4()
            && machine.prefix_len() < 31
            && (address == machine.network() || address == machine.broadcast());
        let astray = address.is_loopback() && !machine.contains(&address);
        if edge || astray || address.is_unspecified() || address.is_multicast() {
            return wrong(key, format!("{address} is no address that a host can have"));
        }
        for (other, net) in
            [("network.cluster.cidr", self.network.cluster.cidr), ("network.service", self.network.service)]
        {
            if net.contains(&address) {
                return wrong(key, format!("{address} is in {other}, {net}, which exists within the cluster only"));
            }
        }
        Ok(())
    }

    fn role(&self, role: &RolePlan) -> Result<(), DescriptionError> {
        let key = |name: &str| format!("roles.{}{name}", role.role);
        let name = role.hostname.as_str();
        if name.len() > LONGEST_NODE_NAME {
            return wrong(key(""), format!("`{name}` has {} characters; nodes have at most 63", name.len()));
        }
        if ["api", "api-int"].contains(&role.role.as_str()) {
            return wrong(key(""), format!("`{name}` is the name of an endpoint"));
        }
        if let Addressing::Static { gateway, dns, .. } = &role.addressing {
            let Some(address) = role.address else {
                return wrong(key(".address"), "an address that is static must be said");
            };
            if dns.is_empty() {
                return wrong(key(".addressing.dns"), "nodes find the API by DNS: name a server");
            }
            if let Some(gateway) = gateway
                && (!self.network.machine.contains(gateway) || *gateway == address)
            {
                return wrong(
                    key(".addressing.gateway"),
                    format!("{gateway} is not another address of network.machine, {}", self.network.machine),
                );
            }
        }
        if role.bond.as_ref().is_some_and(|policy| policy.miimon == Some(0)) {
            return wrong(key(".bond.miimon"), "a bond that never looks at its links cannot be verified");
        }
        if let Some(NicChoice::These(picks)) = role.bond.as_ref().map(|policy| &policy.nics)
            && picks.len() < 2
        {
            return wrong(key(".bond.nics"), "a bond needs two; for one NIC say `bond = false`");
        }
        if role.bond.is_none() && role.lacp.is_some_and(|lacp| lacp != super::LacpStrategy::None) {
            // Only what is said of the role itself: the kind's default may be meant for its bonded ones.
            let own =
                self.roles.get(&role.role).is_some_and(|entry| entry.lacp.is_some() && entry.bond == Some(Bond::Off));
            if own {
                return wrong(key(".lacp"), "there is no LACP without a bond");
            }
        }
        if role.vlan.map(VlanId::get) == Some(1) {
            return wrong(key(".vlan"), "VLAN 1 is the untagged one of most switches; leave it out");
        }
        Ok(())
    }

    /// No two roles may name one host.
    fn bindings(&self, roles: &[RolePlan]) -> Result<(), DescriptionError> {
        for (at, role) in roles.iter().enumerate() {
            let named = !matches!(role.host, HostBinding::Rule(_));
            if let Some(other) = roles[..at].iter().find(|other| named && other.host == role.host) {
                return wrong(format!("roles.{}.host", role.role), format!("it is that of {}", other.role));
            }
        }
        Ok(())
    }

    fn bootstrap_becomes(&self, roles: &[RolePlan]) -> Result<(), DescriptionError> {
        let Some(becomes) = &self.bootstrap_becomes else { return Ok(()) };
        let key = "bootstrap_becomes";
        match roles.iter().find(|role| role.role == *becomes) {
            None => wrong(key, format!("there is no role {becomes}")),
            Some(role) if role.kind != NodeKind::Worker => wrong(key, format!("{becomes} is no worker")),
            Some(_) if self.roles.get(becomes).is_some_and(|entry| entry.host.is_some()) => {
                wrong(format!("roles.{becomes}.host"), "its host is the bootstrap's, by `bootstrap_becomes`")
            }
            Some(_) => Ok(()),
        }
    }
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cluster, parse};
    use super::super::{AddressingPolicy, BondPolicy, LacpStrategy, MastersSchedulable, RoleEntry};
    use super::*;

    type Change = fn(&mut ClusterDescription);

    fn entry<'a>(cluster: &'a mut ClusterDescription, role: &str) -> &'a mut RoleEntry {
        cluster.roles.entry(parse(role)).or_default()
    }

    #[test]
    fn a_usual_cluster_has_nothing_to_say() {
        assert_eq!(cluster().check(), Ok(Vec::new()));
    }

    #[test]
    fn each_contradiction_names_its_key() {
        let cases: [(&str, Change); 22] = [
            ("roles", |c| {
                c.roles.remove(&parse::<crate::host::Role>("master-2"));
            }),
            ("roles", |c| {
                c.roles.remove(&parse::<crate::host::Role>("bootstrap"));
            }),
            ("roles.database", |c| {
                entry(c, "database");
            }),
            ("roles.api-int", |c| entry(c, "api-int").kind = Some(NodeKind::Worker)),
            ("roles.worker-00000000000000000000000000000000000000000000000000", |c| {
                entry(c, "worker-00000000000000000000000000000000000000000000000000");
            }),
            ("network.service", |c| c.network.service = parse("10.129.0.0/16")),
            ("network.machine", |c| c.network.machine = parse("10.10.0.7/24")),
            ("network.cluster.cidr", |c| c.network.machine = parse("10.0.0.0/8")),
            ("network.cluster.host_prefix", |c| c.network.cluster.host_prefix = 14),
            ("network.cluster.host_prefix", |c| c.network.cluster.host_prefix = 33),
            ("network.cluster", |c| c.network.cluster.host_prefix = 16),
            ("endpoints.api", |c| c.endpoints.api = parse("172.30.0.1")),
            ("endpoints.ingress", |c| c.endpoints.ingress = parse("10.10.0.255")),
            ("roles.master-0.address", |c| entry(c, "master-0").address = Some(parse("10.11.0.1"))),
            ("roles.master-0.address", |c| entry(c, "master-0").address = Some(parse("10.10.0.5"))),
            ("roles.master-1.address", |c| {
                entry(c, "master-0").address = Some(parse("10.10.0.11"));
                entry(c, "master-1").address = Some(parse("10.10.0.11"));
            }),
            ("roles.master-0.address", |c| {
                entry(c, "master-0").addressing =
                    Some(AddressingPolicy::Static { gateway: None, dns: vec![parse("10.10.0.2")] });
            }),
            ("roles.master-0.addressing.gateway", |c| {
                let master = entry(c, "master-0");
                master.address = Some(parse("10.10.0.11"));
                let gateway = Some(parse("10.10.0.11"));
                master.addressing = Some(AddressingPolicy::Static { gateway, dns: vec![parse("10.10.0.2")] });
            }),
            ("roles.worker-1.host", |c| {
                entry(c, "worker-0").host = Some(HostBinding::Serial("S".into()));
                entry(c, "worker-1").host = Some(HostBinding::Serial("S".into()));
            }),
            ("roles.worker-0.bond.nics", |c| {
                let nics = NicChoice::These(vec![crate::boot::choice::NicPick::Name("eno1".into())]);
                entry(c, "worker-0").bond = Some(Bond::On(BondPolicy { nics, ..BondPolicy::default() }));
            }),
            ("roles.worker-0.lacp", |c| {
                let worker = entry(c, "worker-0");
                (worker.bond, worker.lacp) = (Some(Bond::Off), Some(LacpStrategy::Flip));
            }),
            ("bootstrap_becomes", |c| c.bootstrap_becomes = Some(parse("master-0"))),
        ];
        for (at, (key, change)) in cases.into_iter().enumerate() {
            let mut cluster = cluster();
            change(&mut cluster);
            let error = cluster.check().expect_err(key);
            assert_eq!(error.key, key, "case {at}: {error}");
        }
    }

    #[test]
    fn what_works_but_is_unusual_is_advised_against() {
        let mut single = cluster();
        single.roles.retain(|role, _| ["bootstrap", "master-0"].contains(&role.as_str()));
        assert!(single.check().expect("works")[0].contains("three are usual"));
        single.masters_schedulable = MastersSchedulable::Never;
        assert_eq!(single.check().expect_err("nothing could run").key, "masters_schedulable");
    }

    #[test]
    fn roles_come_in_the_order_in_which_they_start() {
        let mut cluster = cluster();
        entry(&mut cluster, "worker-10");
        let plans = cluster.role_plans().expect("valid");
        let roles: Vec<_> = plans.iter().map(|plan| plan.role.as_str()).collect();
        assert_eq!(roles, ["bootstrap", "master-0", "master-1", "master-2", "worker-0", "worker-1", "worker-10"]);
        assert_eq!(plans[1].hostname.as_str(), "master-0.ocp4.example.com");
        assert_eq!((plans[0].bond.is_some(), plans[1].bond.is_some()), (false, true), "the bootstrap is not bonded");
    }

    #[test]
    fn a_role_has_its_own_before_its_kind() {
        let mut cluster = cluster();
        let settings = super::super::RoleSettings { bond: Some(Bond::Off), ..Default::default() };
        cluster.defaults.insert(NodeKind::Worker, settings);
        entry(&mut cluster, "worker-1").bond = Some(Bond::On(BondPolicy::default()));
        let bonded = |role: &str| cluster.role_plan(&parse(role)).expect("valid").bond.is_some();
        assert_eq!((bonded("worker-0"), bonded("worker-1"), bonded("master-0")), (false, true, true));
    }

    #[test]
    fn it_is_read_back_as_it_was_written() {
        let mut cluster = cluster();
        let worker = entry(&mut cluster, "worker-0");
        worker.bond = Some(Bond::On(BondPolicy { nics: NicChoice::AtLeastMbps(10_000), ..BondPolicy::default() }));
        worker.host = Some(HostBinding::Port(parse("tor/Eth1/4")));
        entry(&mut cluster, "worker-1").bond = Some(Bond::Off);
        let text = serde_json::to_string(&cluster).expect("serialises");
        assert_eq!(serde_json::from_str::<ClusterDescription>(&text).expect("reads back"), cluster, "{text}");
    }
}
