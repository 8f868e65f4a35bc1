//! Every Score on a world in which it has something to do: what the laws are applied to.
//!
//! A new Score is a new function here and its name in `for_each_case`; `laws` fails until then.

use std::net::IpAddr;

use harmony_core::capability::{LagSpec, PortMode, PowerAction};
use harmony_core::cluster::{ClusterDescription, ClusterName, Endpoints};
use harmony_core::host::Role;
use harmony_core::net::PortRef;
use harmony_scores::{HostProvisioningScore, InventoryScore, OkdInstallationScore, SwitchAutomationScore};
use harmony_sim::{World, WorldSpec};
use ipnet::Ipv4Net;

use crate::site::{Scores, Site};

/// How many machines of an MLAG rack hold a quorum together, as its spec has it.
const QUORUM: usize = 3;

/// Calls a macro with the name of every case.
#[macro_export]
macro_rules! for_each_case {
    ($then:ident) => {
        $then! { access_ports, lags, inventory, provisioning, provisioning_by_ssh, mlag_pair, okd_hosts, okd_cluster, whole }
    };
}

/// Scores on a world.
pub struct Case {
    /// The Score that it is about, as `harmony-scores` calls it.
    pub score: &'static str,
    /// The world.
    pub spec: WorldSpec,
    /// What is applied before, undisturbed.
    pub before: Option<fn(&WorldSpec) -> Scores>,
    /// What is done by hand to the world then.
    pub at_first: fn(&World),
    /// What the laws are applied to.
    pub scores: fn(&WorldSpec) -> Scores,
    /// Changes something by hand that a plan of it rests on.
    pub by_hand: fn(&World),
    /// How a saved plan is refused then.
    pub refusal: &'static str,
}

impl Case {
    /// The site, as the Score finds it.
    ///
    /// # Panics
    /// If what is applied before fails.
    pub async fn site(&self) -> Site {
        let site = Site::wanting(self.spec.clone(), self.before.unwrap_or(self.scores));
        if self.before.is_some() {
            let outcome = site.apply().await;
            assert_eq!(outcome, harmony_core::event::Outcome::Converged, "before: {}", site.world.log());
        }
        (self.at_first)(&site.world);
        site.then_wanting(self.scores)
    }
}

/// Every case.
#[must_use]
pub fn all() -> Vec<Case> {
    macro_rules! list {
        ($($case:ident),*) => { vec![$($case()),*] };
    }
    for_each_case!(list)
}

/// Ports of machines nobody has catalogued, in all sorts of modes, made ready for a network boot.
#[must_use]
pub fn access_ports() -> Case {
    Case {
        score: "SwitchAutomationScore",
        spec: Site::mixed(31, 3),
        at_first: |world| {
            set(world, "tor/node-1-p0", lacp("old"));
            set(world, "tor/node-1-p1", access(99));
            set(world, "tor/node-3-p0", lacp("older"));
            set(world, "tor/node-3-p1", lacp("older"));
        },
        before: None,
        scores: ready_to_boot,
        by_hand: |world| set(world, "tor/node-2-p1", access(98)),
        refusal: "port tor/node-2-p1 was access VLAN 10, is access VLAN 98",
    }
}

/// Ports in two VLANs and two LAGs, of machines that are off.
#[must_use]
pub fn lags() -> Case {
    let scores = |_: &WorldSpec| -> Scores {
        let lag = |name: &str, node: u8, fallback| LagSpec {
            name: name.parse().expect("a name"),
            ports: [0, 1].map(|nic| port(&format!("tor/node-{node}-p{nic}"))).to_vec(),
            vlan: 10.try_into().expect("a VLAN"),
            fallback,
        };
        let vlan = |id: u16| id.try_into().expect("a VLAN");
        let access = [(port("tor/node-1-p0"), vlan(20)), (port("tor/node-1-p1"), vlan(30))].into();
        vec![Box::new(SwitchAutomationScore { access, lags: vec![lag("lag-2", 2, false), lag("lag-3", 3, true)] })]
    };
    Case {
        score: "SwitchAutomationScore",
        spec: Site::mixed(32, 3),
        at_first: |world| set(world, "tor/node-2-p1", lacp("old")),
        before: None,
        scores,
        by_hand: |world| set(world, "tor/node-3-p0", access(98)),
        refusal: "port tor/node-3-p0 was access VLAN 10, is access VLAN 98",
    }
}

/// Machines that nobody has catalogued, one of them on.
#[must_use]
pub fn inventory() -> Case {
    let mut spec = Site::mixed(33, 2);
    spec.hosts[0].powered = true;
    Case {
        score: "InventoryScore",
        spec,
        at_first: |_| (),
        before: None,
        scores: known,
        by_hand: |world| assert!(world.power_by_hand("node-2", PowerAction::On), "a machine"),
        refusal: "power behind BMC bmc-2 was off, is on",
    }
}

/// Machines that are known, one of them with a port in a wrong mode, to be installed and bonded.
#[must_use]
pub fn provisioning() -> Case {
    Case {
        score: "HostProvisioningScore",
        spec: Site::mixed(34, 2),
        before: Some(ready_and_known),
        at_first: |world| set(world, "tor/node-2-p1", lacp("old")),
        scores: provisioned,
        by_hand: |world| set(world, "tor/node-1-p1", access(98)),
        refusal: "port tor/node-1-p1 was access VLAN 10, is access VLAN 98",
    }
}

/// The same without BMCs: they are restarted over SSH.
#[must_use]
pub fn provisioning_by_ssh() -> Case {
    let mut spec = Site::mixed(35, 2);
    for host in &mut spec.hosts {
        (host.bmc, host.powered) = (None, true);
    }
    Case { spec, ..provisioning() }
}

/// Machines of a quorum, each with a cable to both switches of an MLAG pair, to be bonded across it.
#[must_use]
pub fn mlag_pair() -> Case {
    Case {
        spec: WorldSpec::mlag_rack(37, 3),
        at_first: |world| set(world, "leaf-b/Eth1/2", lacp("old")),
        scores: |spec| vec![Box::new(provisioning_of(spec).with_quorum(roles(spec).take(QUORUM)))],
        by_hand: |world| set(world, "leaf-a/Eth1/1", access(98)),
        refusal: "port leaf-a/Eth1/1 was access VLAN 10, is access VLAN 98",
        ..provisioning()
    }
}

/// Everything, from machines that are off to bonded nodes.
#[must_use]
pub fn whole() -> Case {
    Case {
        score: "HostProvisioningScore",
        spec: Site::mixed(36, 2),
        at_first: |world| set(world, "tor/node-2-p0", lacp("old")),
        before: None,
        scores: nodes,
        by_hand: |world| set(world, "tor/node-1-p0", access(98)),
        refusal: "port tor/node-1-p0 was access VLAN 10, is access VLAN 98",
    }
}

/// Every machine of the world installed and bonded, as `node-1` and so on.
#[must_use]
pub fn nodes(spec: &WorldSpec) -> Scores {
    let mut scores = ready_and_known(spec);
    scores.extend(provisioned(spec));
    scores
}

/// The same, with a cluster that comes up four times as fast.
#[must_use]
pub fn in_a_hurry(mut spec: WorldSpec) -> WorldSpec {
    spec.timing.cluster = spec.timing.cluster.divided_by(4);
    spec
}

fn off(mut spec: WorldSpec) -> WorldSpec {
    spec.hosts.iter_mut().for_each(|host| host.powered = false);
    spec
}

/// Hosts of a cluster, one of them on, that are to be known and to have their roles.
#[must_use]
pub fn okd_hosts() -> Case {
    let mut spec = off(WorldSpec::okd_rack(37, 1, 0));
    spec.hosts[0].powered = true;
    Case {
        score: "OkdSetup01Inventory",
        spec,
        before: Some(ready_to_boot),
        at_first: |_| (),
        scores: |spec| vec![okd_of(spec, 1).setups().remove(0)],
        by_hand: |world| assert!(world.power_by_hand("node-2", PowerAction::On), "a machine"),
        refusal: "power behind BMC bmc-2 was off, is on",
    }
}

/// A whole cluster, as small as it can be, on machines that nobody has catalogued.
///
/// It comes up four times as fast as a real one: most of a run is waiting for it, and each second is looked at.
#[must_use]
pub fn okd_cluster() -> Case {
    Case {
        score: "OkdSetup",
        spec: off(in_a_hurry(WorldSpec::okd_rack(38, 1, 1))),
        before: None,
        at_first: |_| (),
        scores: |spec| {
            let mut scores = ready_to_boot(spec);
            scores.extend(okd_of(spec, 1).setups());
            scores
        },
        by_hand: |world| set(world, "tor/Gi1/0/1", access(98)),
        refusal: "port tor/Gi1/0/1 was access VLAN 10, is access VLAN 98",
    }
}

/// A cluster of three masters and as many workers as there are machines for, with a bootstrap.
#[must_use]
pub fn okd(spec: &WorldSpec) -> Scores {
    let mut scores = ready_to_boot(spec);
    scores.extend(okd_of(spec, 3).setups());
    scores
}

/// The name of every cluster here.
pub(crate) fn cluster_name() -> ClusterName {
    "ocp4".parse().expect("a name")
}

/// The cluster that a rack is for, with so many masters.
///
/// # Panics
/// If the rack has no place for it.
#[must_use]
pub fn okd_of(spec: &WorldSpec, masters: usize) -> OkdInstallationScore {
    let workers = spec.hosts.len() - 1 - masters;
    let numbered = |kind: &'static str, count: usize| (0..count).map(move |number| format!("{kind}-{number}"));
    let roles = numbered("master", masters).chain(numbered("worker", workers)).chain(["bootstrap".to_owned()]);
    let roles = roles.map(|role| role.parse::<Role>().expect("a role"));
    let machines = Ipv4Net::new(spec.prefix.0, spec.prefix.1).expect("a prefix").trunc();
    // The last addresses of the network are nobody's.
    let last = u32::from(machines.broadcast());
    let address = |back: u32| IpAddr::V4((last - back).into());
    let endpoints = Endpoints { api: address(2), api_int: None, ingress: address(3) };
    let domain = "example.com".parse().expect("a domain");
    let description = ClusterDescription::new(cluster_name(), domain, machines.into(), endpoints, roles);
    OkdInstallationScore::new(description).expect("a cluster")
}

fn ready_and_known(spec: &WorldSpec) -> Scores {
    let mut scores = ready_to_boot(spec);
    scores.extend(known(spec));
    scores
}

/// Every port that has a cable, ready for a network boot.
#[must_use]
pub fn ready_to_boot(spec: &WorldSpec) -> Scores {
    let cables = spec.hosts.iter().flat_map(|host| &host.nics).filter_map(|nic| nic.port.as_deref());
    let vlan = spec.vlan.try_into().expect("a VLAN");
    vec![Box::new(SwitchAutomationScore::ready_to_boot(cables.map(port), vlan))]
}

fn known(spec: &WorldSpec) -> Scores {
    vec![Box::new(InventoryScore::of(spec.hosts.len()))]
}

fn provisioned(spec: &WorldSpec) -> Scores {
    vec![Box::new(provisioning_of(spec))]
}

fn provisioning_of(spec: &WorldSpec) -> HostProvisioningScore {
    HostProvisioningScore::new(roles(spec)).assign_unattended()
}

fn roles(spec: &WorldSpec) -> impl Iterator<Item = Role> {
    (1..=spec.hosts.len()).map(|number| format!("node-{number}").parse().expect("a role"))
}

fn port(text: &str) -> PortRef {
    text.parse().expect("a port")
}

fn access(vlan: u16) -> PortMode {
    PortMode::Access { vlan: vlan.try_into().expect("a VLAN") }
}

fn lacp(lag: &str) -> PortMode {
    PortMode::Lacp { lag: lag.parse().expect("a name"), vlan: None, fallback: false }
}

fn set(world: &World, at: &str, mode: PortMode) {
    assert!(world.set_port_by_hand(&port(at), mode), "{at} is there");
}
