//! The rules of clusters are seen when they are broken.

use harmony_core::capability::{BootEntry, Cluster, DhcpServer, PowerAction, PxeServer, Reservation};
use harmony_core::cluster::endpoints::ClusterPhase;
use harmony_sim::cluster::Foreign;
use harmony_sim::{Fault, Rule};

use super::harness::{Okd, name};
use crate::harness::rack;

fn rules(okd: &Okd) -> Vec<Rule> {
    okd.site.world.violations().into_iter().map(|violation| violation.rule).collect()
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_was_ordered_for_another_machine() {
    let okd = Okd::new(rack(2), 1, 0).await;
    let order = okd.boot("bootstrap").await;
    let other = okd.site.discover("node-2").await;
    // What node-1 is to get is served to node-2 as well.
    let own = okd.site.store.boot_entry(&order.id.host).await.expect("reads").expect("there");
    okd.site.world.power_by_hand("node-1", PowerAction::Off);
    let macs: Vec<_> = other.macs().iter().copied().collect();
    let reservation = Reservation { hostname: order.hostname.clone(), address: order.address, macs: macs.clone() };
    okd.site.topology.set_reservation(&reservation).await.expect("free");
    let entry = BootEntry { host: other.id.clone(), macs, target: own.target.clone() };
    okd.site.topology.set_boot_entry(&entry).await.expect("stored");
    okd.site.netboot("node-2").await;
    okd.says("node-2: coreos-installer: GET /answer/").await;
    okd.passes(1).await;
    assert!(rules(&okd).contains(&Rule::RoleConfigOfOther), "{}", okd.site.world.log());
}

#[tokio::test(start_paused = true)]
async fn a_certificate_for_nobody_with_an_order() {
    let okd = Okd::new(rack(2), 1, 0).await;
    let _fault = okd.site.world.inject(Fault::ForeignRequest { foreign: Foreign::Node });
    okd.bootstrap().await;
    okd.set_phase(ClusterPhase::WorkersJoin).await;
    okd.passes(30).await;
    let requests = okd.site.topology.certificate_requests(&name()).await.expect("answers");
    okd.site.assert_clean();
    for request in requests.iter().filter(|request| request.common_name.contains("stranger")) {
        okd.site.topology.approve(&name(), request).await.expect("approved");
    }
    assert_eq!(rules(&okd), [Rule::ForeignApproved]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_as_it_was_read_is_not_approved() {
    let okd = Okd::new(rack(2), 1, 0).await;
    okd.bootstrap().await;
    okd.set_phase(ClusterPhase::WorkersJoin).await;
    okd.passes(30).await;
    let mut requests = okd.site.topology.certificate_requests(&name()).await.expect("answers");
    let mut changed = requests.remove(0);
    changed.common_name.push_str(".evil");
    let refused = okd.site.topology.approve(&name(), &changed).await.expect_err("another one");
    assert_eq!(refused.kind(), harmony_core::error::FailureKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn two_masters_without_network_at_once() {
    let okd = Okd::new(rack(4), 3, 0).await;
    okd.bootstrap().await;
    okd.set_phase(ClusterPhase::WorkersJoin).await;
    okd.site.assert_clean();
    okd.site.world.power_by_hand(&okd.machine("master-0"), PowerAction::Off);
    assert_eq!(rules(&okd), [], "one may be away");
    // Harmony bundles the ports of a second one, which then have no network for a moment.
    okd.site.flip(&okd.machine("master-1")).await;
    assert_eq!(rules(&okd), [Rule::QuorumAtRisk], "{:?}", okd.site.world.violations());
}

#[tokio::test(start_paused = true)]
async fn secrets_of_a_cluster_in_an_output() {
    let okd = Okd::new(rack(2), 1, 0).await;
    okd.bootstrap().await;
    assert!(okd.site.world.check_output(&okd.site.world.log()).await, "the world's own log shows none");
    okd.site.assert_clean();
    let secrets = okd.site.world.secrets();
    assert!(secrets.iter().any(|secret| secret.contains("registry.sim.invalid")), "the pull secret");
    for secret in secrets {
        assert!(!okd.site.world.check_output(&format!("a line\n{secret}\n")).await);
    }
}
