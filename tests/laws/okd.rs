//! The laws of a whole OKD installation, on a rack of machines that nobody has catalogued.

use harmony_core::capability::{Cluster, DnsServer, LoadBalancer};
use harmony_core::event::Outcome;
use harmony_sim::WorldSpec;
use harmony_tests::{Site, cases};

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
    // The bootstrap has left.
    let services = site.topology.services().await.expect("services");
    assert!(services.iter().flat_map(|service| &service.servers).all(|server| server.name.short() != "bootstrap"));
    let records = site.topology.dns_records().await.expect("records");
    assert!(records.iter().all(|record| !record.name.as_str().starts_with("bootstrap.")), "{records:?}");
    let plans = site.plan().await.expect("plans");
    assert!(plans.iter().all(|plan| plan.plan.is_empty()), "{plans:#?}");
}
