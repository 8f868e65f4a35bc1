//! The laws of a whole OKD installation, on a rack of machines that nobody has catalogued.

use std::collections::BTreeMap;

use harmony_core::capability::{Cluster, DnsServer, LoadBalancer, PortMode, PortStatus, Switch};
use harmony_core::cluster::{LacpStrategy, NodeKind, RoleEntry};
use harmony_core::event::{Event, Outcome, Record};
use harmony_core::host::{Host, Lifecycle};
use harmony_scores::OkdInstallationScore;
use harmony_sim::{WorldSpec, Write};
use harmony_tests::{Scores, Site, cases};

fn site(seed: u64, workers: u16) -> Site {
    Site::wanting(WorldSpec::okd_rack(seed, 3, workers), cases::okd)
}

#[tokio::test(start_paused = true)]
async fn unknown_machines_become_a_cluster() {
    let site = site(41, 2);
    let outcome = site.apply().await;
    assert_eq!(outcome, Outcome::Converged, "{}", site.world.log());
    site.assert_unbroken("at the end");
    let name = "ocp4".parse().expect("a name");
    let nodes = site.topology.nodes(&name).await.expect("an API");
    assert_eq!(nodes.len(), 5, "{nodes:?}");
    assert!(nodes.iter().all(|node| node.ready == Some(true)), "{nodes:?}");
    assert!(site.topology.install_is_complete(&name).await.expect("an API"));
    assert!(!site.topology.masters_schedulable(&name).await.expect("an API"));
    // The bootstrap has left, and its host is free, with nothing on its disk.
    let hosts = site.store.hosts().await.expect("hosts");
    let free: Vec<&Host> = hosts.iter().filter(|host| host.lifecycle == Lifecycle::Discovered).collect();
    let [freed] = free[..] else { panic!("{hosts:#?}") };
    assert!(freed.disks.iter().all(|disk| disk.signatures.is_empty()), "{:?}", freed.disks);
    let services = site.topology.services().await.expect("services");
    assert!(services.iter().flat_map(|service| &service.servers).all(|server| server.name.short() != "bootstrap"));
    let records = site.topology.dns_records().await.expect("records");
    assert!(records.iter().all(|record| !record.name.as_str().starts_with("bootstrap.")), "{records:?}");
    let plans = site.plan().await.expect("plans");
    assert!(plans.iter().all(|plan| plan.plan.is_empty()), "{plans:#?}");
}

/// The cluster of [`cases::okd`], whose bootstrap becomes its last worker.
fn pivoting(spec: &WorldSpec) -> Scores {
    let mut description = cases::okd_of(spec, 3).description().clone();
    // One machine is both: there are as many as masters and workers.
    description.roles.insert("worker-1".parse().expect("a role"), RoleEntry::default());
    description.bootstrap_becomes = Some("worker-1".parse().expect("a role"));
    let mut scores = cases::ready_to_boot(spec);
    scores.extend(OkdInstallationScore::new(description).expect("a cluster").setups());
    scores
}

#[tokio::test(start_paused = true)]
async fn the_bootstrap_becomes_a_worker() {
    let site = Site::wanting(WorldSpec::okd_rack(42, 3, 1), pivoting);
    let outcome = site.apply().await;
    assert_eq!(outcome, Outcome::Converged, "{}", site.world.log());
    site.assert_unbroken("at the end");
    let nodes = site.topology.nodes(&"ocp4".parse().expect("a name")).await.expect("an API");
    let ready: Vec<&str> = nodes.iter().filter(|n| n.ready == Some(true)).map(|node| node.name.as_str()).collect();
    assert_eq!(ready.len(), 5, "{nodes:?}");
    assert!(ready.contains(&"worker-1.ocp4.example.com"), "{ready:?}");
    let wiped = site.world.disk_writes().iter().filter(|write| write.order.is_none()).count();
    assert_eq!(wiped, 1, "its disk was wiped once");
    let plans = site.plan().await.expect("plans");
    assert!(plans.iter().all(|plan| plan.plan.is_empty()), "{plans:#?}");
}

/// A host's clock is a day behind: the cluster is not begun, and it is said why.
async fn the_clock_is_found(workers: u16, wanted: fn(&WorldSpec) -> Scores) {
    let mut spec = WorldSpec::okd_rack(41, 3, workers);
    spec.hosts[2].clock_ahead_s = -86_400;
    let site = Site::wanting(spec, wanted);
    let outcome = site.apply().await;
    let Outcome::Failed { error, hint } = &outcome else { panic!("{outcome:?}: {}", site.world.log()) };
    assert!(error.contains("clock of ") && error.contains("86399 s behind Harmony's"), "{error}");
    assert!(hint.as_deref().is_some_and(|hint| hint.contains("NTP")), "{hint:?}");
    let hosts = site.store.hosts().await.expect("hosts");
    assert!(hosts.iter().all(|host| host.lifecycle != Lifecycle::Provisioned), "{hosts:?}");
    assert!(site.world.disk_writes().is_empty());
    site.assert_unbroken("at the end");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_is_found_before_anything_is_installed() {
    the_clock_is_found(2, cases::okd).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_is_found_where_the_bootstrap_becomes_a_worker_too() {
    the_clock_is_found(1, pivoting).await;
}

/// The cluster of [`cases::okd`], whose ports are bundled as its switches can.
fn as_switches_can(spec: &WorldSpec) -> Scores {
    let mut description = cases::okd_of(spec, 3).description().clone();
    for kind in [NodeKind::Master, NodeKind::Worker] {
        description.defaults.entry(kind).or_default().lacp = Some(LacpStrategy::Auto);
    }
    let mut scores = cases::ready_to_boot(spec);
    scores.extend(OkdInstallationScore::new(description).expect("a cluster").setups());
    scores
}

#[tokio::test(start_paused = true)]
async fn ports_that_fall_back_are_bundled_before_the_boot_and_never_flipped() {
    let site = Site::wanting(WorldSpec::okd_rack(43, 3, 2), as_switches_can);
    let outcome = site.apply().await;
    assert_eq!(outcome, Outcome::Converged, "{}", site.world.log());
    site.assert_unbroken("at the end");
    // What is called flip looks at both ends then; what it asks of the switch is there already.
    let writes = site.world.writes();
    let lags: Vec<&Write> = writes.iter().filter(|write| write.command.starts_with("set lag")).collect();
    assert!(!lags.is_empty() && lags.iter().all(|write| write.command.ends_with(" fallback")), "{lags:?}");
    let ports = site.topology.get_port_status(&[]).await.expect("ports");
    let falls_back = |status: &&PortStatus| matches!(status.mode, PortMode::Lacp { fallback: true, .. });
    let bundled = ports.iter().filter(|status| matches!(status.mode, PortMode::Lacp { .. })).count();
    assert!(bundled >= 10, "{ports:?}");
    assert_eq!(ports.iter().filter(falls_back).count(), bundled, "{ports:?}");
    let journal = site.journal().await;
    let ended = |end: &str| {
        let of = |record: &Record| match &record.event {
            Event::StepFinished { step, .. } => step.strip_suffix(end).map(str::to_owned),
            _ => None,
        };
        journal.iter().filter_map(|record| Some((of(record)?, record.seq))).collect::<BTreeMap<_, _>>()
    };
    let (bundled, restarted) = (ended("/fallback"), ended("/boot-1.1"));
    assert_eq!(bundled.len(), 5, "{bundled:?}");
    assert!(bundled.iter().all(|(host, seq)| restarted[host] > *seq), "{bundled:?} {restarted:?}");
}
