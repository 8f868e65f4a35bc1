//! Whole installations, and each fault.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use harmony_core::capability::CsrState;
use harmony_core::cluster::NodeKind;
use jiff::Timestamp;

use super::*;
use crate::pace::Speed;

/// Long enough for anything.
const LONG: Duration = Duration::from_secs(7200);

fn spec() -> ClusterSpec {
    ClusterSpec {
        name: "ocp4".parse().expect("a name"),
        base_domain: "example.com".parse().expect("a domain"),
        masters: 3,
        seed: 7,
        epoch: Timestamp::from_second(1_700_000_000).expect("an hour"),
        speed: Speed::ONE,
        timing: ClusterTiming::default(),
    }
}

fn fqdn(host: &str) -> String {
    format!("{host}.ocp4.example.com")
}

/// A cluster whose time passes by its own changes.
struct Site {
    cluster: ClusterState,
    now: Duration,
}

impl Site {
    fn new(spec: ClusterSpec) -> Self {
        Self { cluster: ClusterState::new(spec), now: Duration::ZERO }
    }

    fn joins(&mut self, host: &str, kind: NodeKind, last: u8) {
        let addresses = vec![IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))];
        self.cluster.kubelet(self.now, Kubelet { fqdn: fqdn(host), kind, addresses, has_order: true });
    }

    fn masters(&mut self) {
        for last in 0..3 {
            self.joins(&format!("master-{last}"), NodeKind::Master, 10 + last);
        }
    }

    /// Lets time pass until this holds; whether it came to that within a while.
    fn until(&mut self, holds: impl Fn(&mut ClusterState, Duration) -> bool) -> bool {
        let end = self.now + LONG;
        while self.now <= end {
            if holds(&mut self.cluster, self.now) {
                return true;
            }
            match self.cluster.next_change(self.now) {
                Some(next) => self.now = next,
                None => return false,
            }
        }
        false
    }

    /// Approves whatever a host with an order asks for, as somebody would who looks at it.
    fn approve_own(&mut self) {
        let pending: Vec<_> = self.pending().into_iter().filter(|request| !request.contains("stranger")).collect();
        for name in pending {
            self.cluster.approve(self.now, &name, Approver::Administrator).expect("is there");
        }
    }

    fn pending(&mut self) -> Vec<String> {
        let requests = self.cluster.certificate_requests(self.now).into_iter();
        requests.filter(|request| request.state == CsrState::Pending).map(|request| request.name).collect()
    }

    fn ready(&mut self) -> usize {
        self.cluster.nodes(self.now).iter().filter(|node| node.ready == Some(true)).count()
    }

    /// Up to three masters and a bootstrap that is done.
    fn bootstrapped() -> Self {
        let mut site = Self::new(spec());
        site.cluster.bootstrap_started(site.now);
        site.masters();
        assert!(site.until(ClusterState::bootstrap_is_complete), "{:?}", site.cluster.take_notes());
        site.cluster.bootstrap_stopped(site.now);
        site
    }

    /// The same with two workers that have joined.
    fn with_workers() -> Self {
        let mut site = Self::bootstrapped();
        site.joins("worker-0", NodeKind::Worker, 20);
        site.joins("worker-1", NodeKind::Worker, 21);
        for _ in 0..2 {
            assert!(site.until(|cluster, now| {
                cluster.certificate_requests(now).iter().filter(|request| request.state == CsrState::Pending).count()
                    == 2
            }));
            site.approve_own();
        }
        assert!(
            site.until(|cluster, now| cluster.nodes(now).iter().filter(|node| node.ready == Some(true)).count() == 5)
        );
        site
    }
}

fn config(cluster: &mut ClusterState, now: Duration, server: &Server, pool: &str) -> Option<u16> {
    cluster.machine_config(now, server, pool).map(|reply| reply.status)
}

#[test]
fn from_a_bootstrap_to_an_installed_cluster() {
    let mut site = Site::new(spec());
    site.cluster.bootstrap_started(site.now);
    assert!(!site.cluster.api_is_up(site.now));
    assert_eq!(config(&mut site.cluster, site.now, &Server::Bootstrap, "master"), None);
    assert!(site.until(|cluster, now| cluster.api_serves(now, &Server::Bootstrap)));
    assert!((240..300).contains(&site.now.as_secs()), "{:?}", site.now);
    assert_eq!(config(&mut site.cluster, site.now, &Server::Bootstrap, "master"), Some(200));
    assert_eq!(config(&mut site.cluster, site.now, &Server::Bootstrap, "worker"), Some(500));

    site.masters();
    assert!(site.until(|cluster, now| cluster.nodes(now).len() == 3));
    let nodes = site.cluster.nodes(site.now);
    assert!(nodes.iter().any(|node| node.ready == Some(false) && node.message.is_some()), "{nodes:?}");
    assert!(site.until(|cluster, now| cluster.api_serves(now, &Server::Master(fqdn("master-1")))));
    assert!(site.cluster.operators(site.now).iter().all(|operator| operator.available == Some(false)));
    assert!(site.until(ClusterState::bootstrap_is_complete));
    assert!(!site.cluster.api_serves(site.now, &Server::Bootstrap), "its own control plane is torn down");
    site.cluster.bootstrap_stopped(site.now);
    assert!(site.cluster.api_is_up(site.now));

    let master = Server::Master(fqdn("master-0"));
    assert!(site.until(|cluster, now| config(cluster, now, &master, "worker") == Some(200)));
    assert_eq!(config(&mut site.cluster, site.now, &master, "infra"), Some(404));
    assert!(site.until(ClusterState::install_is_complete), "masters run the routers");
    assert!(site.cluster.operators(site.now).iter().all(harmony_core::capability::Operator::is_well));
    let pools = site.cluster.pools(site.now);
    assert_eq!((pools[0].name.as_str(), pools[0].updated, pools[0].machines), ("master", Some(true), 3));
    assert_eq!(site.cluster.ingress_nodes(site.now), [fqdn("master-0"), fqdn("master-1")]);
    assert_eq!(site.cluster.violations(), []);
}

#[test]
fn after_the_bootstrap_a_person_approves_both_requests_of_a_worker() {
    let mut site = Site::bootstrapped();
    site.joins("worker-0", NodeKind::Worker, 20);
    assert!(site.until(|cluster, now| {
        cluster.certificate_requests(now).iter().any(|request| request.state == CsrState::Pending)
    }));
    let [first] = &site.pending()[..] else { panic!("one request") };
    assert_eq!(site.ready(), 3);
    site.cluster.approve(site.now, first, Approver::Administrator).expect("is there");
    assert!(site.until(|cluster, now| cluster.nodes(now).len() == 4));
    let requests = site.cluster.certificate_requests(site.now);
    let serving = requests.iter().find(|request| request.state == CsrState::Pending).expect("the second");
    assert_eq!(serving.user, "system:node:worker-0.ocp4.example.com");
    assert_eq!(
        (&serving.dns_names[..], &serving.addresses[..]),
        (&[fqdn("worker-0")][..], &[IpAddr::from([10, 0, 0, 20])][..])
    );
    assert!(site.until(|cluster, now| cluster.nodes(now).iter().all(|node| node.ready == Some(true))));
    // Ready it is without; but not all is well until it serves.
    assert!(!site.until(ClusterState::install_is_complete));
    let operators = site.cluster.operators(site.now);
    let monitoring = operators.iter().find(|operator| operator.name == "monitoring").expect("is there");
    assert!(
        !monitoring.is_well() && monitoring.message.as_ref().is_some_and(|text| text.contains("worker-0")),
        "{monitoring:?}"
    );
    site.approve_own();
    assert!(site.until(ClusterState::install_is_complete));
    assert_eq!(site.cluster.violations(), []);
}

#[test]
fn routers_move_once_they_are_restarted_and_not_before() {
    let mut site = Site::with_workers();
    assert!(site.until(ClusterState::install_is_complete));
    site.cluster.set_masters_schedulable(site.now, false);
    assert!(site.until(|cluster, now| cluster.nodes(now)[0].roles.len() == 2));
    assert!(!site.cluster.nodes(site.now)[0].schedulable);
    assert_eq!(site.cluster.ingress_nodes(site.now), [fqdn("master-0"), fqdn("master-1")], "nothing moves by itself");
    site.cluster.restart_ingress(site.now, "order-1");
    let workers = [fqdn("worker-0"), fqdn("worker-1")];
    assert!(site.until(|cluster, now| {
        let nodes = cluster.ingress_nodes(now);
        assert!(!nodes.is_empty(), "one after the other");
        nodes == workers
    }));
    let before = site.cluster.routers(site.now);
    site.cluster.restart_ingress(site.now, "order-1");
    assert_eq!(site.cluster.next_change(site.now), None, "the same order again");
    assert_eq!(site.cluster.routers(site.now), before);
}

#[test]
fn without_schedulable_masters_ingress_waits_for_two_workers() {
    let mut site = Site::new(spec());
    site.cluster.set_masters_schedulable(site.now, false);
    site.cluster.bootstrap_started(site.now);
    site.masters();
    assert!(site.until(ClusterState::bootstrap_is_complete));
    assert!(!site.until(ClusterState::install_is_complete));
    let operators = site.cluster.operators(site.now);
    let ingress = operators.iter().find(|operator| operator.name == "ingress").expect("is there");
    assert_eq!(ingress.available, Some(false));
    assert!(ingress.message.as_ref().is_some_and(|text| text.contains("no node is left")), "{ingress:?}");
}

#[test]
fn a_node_that_stops_is_not_ready_after_a_while_and_comes_back_without_a_request() {
    let mut site = Site::with_workers();
    let requests = site.cluster.certificate_requests(site.now).len();
    site.cluster.node_stopped(site.now, &fqdn("master-2"));
    assert_eq!(site.ready(), 5, "nobody has noticed");
    site.now += Duration::from_secs(41);
    assert_eq!(site.ready(), 4);
    assert!(site.cluster.api_is_up(site.now) && !site.cluster.api_serves(site.now, &Server::Master(fqdn("master-2"))));
    site.cluster.node_restarted(site.now, &fqdn("master-2"));
    assert!(site.until(|cluster, now| cluster.nodes(now).iter().all(|node| node.ready == Some(true))));
    assert_eq!(site.cluster.certificate_requests(site.now).len(), requests);
    assert_eq!(site.cluster.violations(), []);
}

#[test]
fn two_masters_off_are_a_lost_quorum_and_a_cluster_that_stands_still() {
    let mut site = Site::with_workers();
    site.cluster.node_stopped(site.now, &fqdn("master-1"));
    site.cluster.node_stopped(site.now, &fqdn("master-2"));
    assert!(!site.cluster.api_is_up(site.now));
    let [violation] = site.cluster.violations() else { panic!("one violation") };
    assert_eq!(violation.rule, ClusterRule::QuorumLost);
    assert!(violation.to_string().contains("master-2"), "{violation}");
    site.joins("worker-2", NodeKind::Worker, 22);
    assert!(!site.until(ClusterState::api_is_up));
    site.cluster.node_restarted(site.now, &fqdn("master-1"));
    assert!(site.until(ClusterState::api_is_up));
    assert!(site.until(|cluster, now| {
        cluster.certificate_requests(now).iter().any(|request| request.common_name.contains("worker-2"))
    }));
}

#[test]
fn a_bootstrap_that_never_serves() {
    let mut site = Site::new(spec());
    site.cluster.inject(site.now, ClusterFault::BootstrapNeverServes);
    site.cluster.bootstrap_started(site.now);
    site.masters();
    assert!(!site.until(ClusterState::api_is_up));
    assert_eq!(site.cluster.console(site.now, &fqdn("master-0")).as_deref(), Some("kubelet: cannot reach the API"));
    site.cluster.lift(site.now, &ClusterFault::BootstrapNeverServes);
    assert!(site.until(ClusterState::bootstrap_is_complete));
}

#[test]
fn a_master_that_hangs_holds_up_the_control_plane() {
    let mut site = Site::new(spec());
    let fault = ClusterFault::KubeletHangs(fqdn("master-1"));
    site.cluster.inject(site.now, fault.clone());
    site.cluster.bootstrap_started(site.now);
    site.masters();
    assert!(!site.until(ClusterState::bootstrap_is_complete));
    assert_eq!(site.ready(), 2);
    assert_eq!(site.cluster.console(site.now, &fqdn("master-1")).as_deref(), Some("kubelet hangs"));
    site.cluster.lift(site.now, &fault);
    assert!(site.until(ClusterState::bootstrap_is_complete));
}

#[test]
fn expired_certificates_let_nobody_ask() {
    let mut site = Site::bootstrapped();
    site.cluster.inject(site.now, ClusterFault::CertificatesExpired);
    site.joins("worker-0", NodeKind::Worker, 20);
    assert!(!site.until(|cluster, now| cluster.nodes(now).len() == 4));
    let console = site.cluster.console(site.now, &fqdn("worker-0")).expect("says why");
    assert!(console.contains("certificate has expired"), "{console}");
    site.cluster.lift(site.now, &ClusterFault::CertificatesExpired);
    assert!(site.until(|cluster, now| {
        !cluster.certificate_requests(now).iter().all(|request| request.state == CsrState::Approved)
    }));
}

#[test]
fn a_degraded_operator_holds_up_the_end() {
    let mut site = Site::bootstrapped();
    let fault = ClusterFault::OperatorDegraded("network".to_owned());
    site.cluster.inject(site.now, fault.clone());
    assert!(!site.until(ClusterState::install_is_complete));
    let operators = site.cluster.operators(site.now);
    let network = operators.iter().find(|operator| operator.name == "network").expect("is there");
    assert_eq!((network.available, network.degraded), (Some(true), Some(true)));
    site.cluster.lift(site.now, &fault);
    assert!(site.until(ClusterState::install_is_complete));
}

#[test]
fn foreign_requests_wait_and_whoever_approves_one_has_broken_a_rule() {
    use Foreign::{Address, CommonName, DnsName, Node, Organisation, User};
    for foreign in [Node, CommonName, Organisation, DnsName, Address, User] {
        let mut site = Site::bootstrapped();
        site.cluster.inject(site.now, ClusterFault::ForeignRequest(foreign));
        let nodes = site.cluster.nodes(site.now);
        let [name] = &site.pending()[..] else { panic!("one request of {foreign:?}") };
        site.cluster.approve(site.now, name, Approver::Administrator).expect("is there");
        assert_eq!(site.cluster.violations()[0].rule, ClusterRule::ForeignApproved, "{foreign:?}");
        assert_eq!(site.cluster.nodes(site.now + LONG), nodes, "nobody of ours came of it");
    }
}

#[test]
fn the_bootstrap_approves_strangers_too_and_that_is_not_held_against_us() {
    let mut site = Site::new(spec());
    site.cluster.bootstrap_started(site.now);
    assert!(site.until(ClusterState::api_is_up));
    site.cluster.inject(site.now, ClusterFault::ForeignRequest(Foreign::Organisation));
    assert!(site.until(|cluster, now| cluster.certificate_requests(now)[0].state == CsrState::Approved));
    assert_eq!(site.cluster.violations(), []);
}

#[test]
fn a_host_without_an_order_is_a_stranger() {
    let mut site = Site::bootstrapped();
    let addresses = Vec::new();
    let kubelet = Kubelet { fqdn: fqdn("worker-9"), kind: NodeKind::Worker, addresses, has_order: false };
    site.cluster.kubelet(site.now, kubelet);
    assert!(site.until(|cluster, now| {
        cluster.certificate_requests(now).iter().any(|request| request.state == CsrState::Pending)
    }));
    site.approve_own();
    assert_eq!(site.cluster.violations()[0].rule, ClusterRule::ForeignApproved);
}

#[test]
fn the_same_seed_is_the_same_cluster() {
    let run = || {
        let mut site = Site::with_workers();
        assert!(site.until(ClusterState::install_is_complete));
        (site.now, site.cluster.take_notes())
    };
    assert_eq!(run(), run());
}
