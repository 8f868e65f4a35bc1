//! The contract of a cluster: what is read, what is set, and what an API that is not there means.

use harmony_core::capability::{Cluster, Operator};
use harmony_core::cluster::NodeKind;
use harmony_core::error::FailureKind;
use harmony_sim::cluster::{ClusterFault, ClusterState, Server};

use super::site::{Site, TOKEN, User, fqdn, kubeconfig, name};

#[tokio::test]
async fn an_api_that_is_not_there_is_unreachable_and_one_without_a_quorum_not_ready() {
    let site = Site::new();
    let driver = site.driver(site.serve(Server::Bootstrap).await);
    let error = driver.api_is_ready(&name()).await.expect_err("nothing runs");
    assert_eq!(error.kind(), FailureKind::Unreachable);
    assert_eq!(error.to_string(), "failed to ask the API whether it is ready of cluster `ocp4`");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("load balancer")), "{error:?}");
    site.bootstrap();
    assert!(driver.api_is_ready(&name()).await.expect("answers"));
    assert!(!driver.bootstrap_is_complete(&name()).await.expect("answers"));

    site.control_plane();
    driver.api_is_ready(&name()).await.expect_err("the bootstrap is gone");
    let driver = site.driver(site.serve(Server::Master(fqdn("master-0"))).await);
    assert!(driver.api_is_ready(&name()).await.expect("answers"));
    assert!(driver.bootstrap_is_complete(&name()).await.expect("answers"));
    for master in ["master-1", "master-2"] {
        site.cluster.ask(|state, now| state.node_stopped(now, &fqdn(master)));
    }
    assert!(!driver.api_is_ready(&name()).await.expect("answers"), "etcd has no quorum");
    let error = driver.nodes(&name()).await.expect_err("without a quorum");
    assert_eq!(error.kind(), FailureKind::Transient);
}

#[tokio::test]
async fn what_is_read_is_what_the_cluster_knows() {
    let site = Site::new();
    site.control_plane();
    let driver = site.driver(site.serve(Server::Master(fqdn("master-1"))).await);
    let early = driver.operators(&name()).await.expect("read");
    assert!(early.iter().any(|operator| operator.available == Some(false) && operator.message.is_some()), "{early:?}");
    assert!(!driver.install_is_complete(&name()).await.expect("read"));
    site.until(ClusterState::install_is_complete);
    let now = site.now();
    let (nodes, operators, pools, routers) = site
        .cluster
        .ask(|state, _| (state.nodes(now), state.operators(now), state.pools(now), state.ingress_nodes(now)));
    assert_eq!(driver.nodes(&name()).await.expect("read"), nodes);
    assert_eq!(driver.operators(&name()).await.expect("read"), operators);
    assert!(operators.iter().all(Operator::is_well));
    assert_eq!(driver.pools(&name()).await.expect("read"), pools);
    assert_eq!(driver.ingress_nodes(&name()).await.expect("read"), routers);
    assert!(driver.install_is_complete(&name()).await.expect("read"));
    assert_eq!(site.writes.entries(), []);

    site.cluster.ask(|state, now| state.inject(now, ClusterFault::OperatorDegraded("dns".to_owned())));
    site.cluster.ask(|state, now| state.node_stopped(now, &fqdn("master-2")));
    site.until(|state, now| state.nodes(now).iter().any(|node| node.ready.is_none()));
    let now = site.now();
    let (nodes, operators) = site.cluster.ask(|state, _| (state.nodes(now), state.operators(now)));
    assert_eq!(driver.nodes(&name()).await.expect("read"), nodes);
    assert_eq!(driver.operators(&name()).await.expect("read"), operators);
    assert!(operators.iter().any(|operator| operator.degraded == Some(true)));
}

#[tokio::test]
async fn what_is_set_stays_and_is_set_once() {
    let site = Site::new();
    site.control_plane();
    site.joins("worker-0", NodeKind::Worker, 20);
    let driver = site.driver(site.serve(Server::Master(fqdn("master-0"))).await);
    assert!(driver.masters_schedulable(&name()).await.expect("read"));
    assert!(!driver.ingress_is_restarting(&name()).await.expect("read"));
    for _ in 0..2 {
        driver.set_masters_schedulable(&name(), false).await.expect("set");
        assert!(!driver.masters_schedulable(&name()).await.expect("read"));
        driver.restart_ingress(&name(), "order-7").await.expect("restarted");
        let is_restarting = site.cluster.ask(|state, now| state.ingress_is_restarting(now));
        assert_eq!(driver.ingress_is_restarting(&name()).await.expect("read"), is_restarting);
    }
    let writes: Vec<String> = site.writes.entries().into_iter().map(|write| write.command).collect();
    assert_eq!(writes[0], "PATCH schedulers/cluster {\"spec\":{\"mastersSchedulable\":false}}");
    assert_eq!(writes.len(), 2, "{writes:?}");
    driver.restart_ingress(&name(), "order-8").await.expect("restarted");
    assert_eq!(site.cluster.ask(|state, _| state.ingress_token().map(str::to_owned)).as_deref(), Some("order-8"));
}

#[tokio::test]
async fn two_hundred_and_fifty_nodes_are_read_page_by_page() {
    let site = Site::new();
    site.control_plane();
    for number in 0..250_u8 {
        site.joins(&format!("worker-{number}"), NodeKind::Worker, number);
    }
    site.until_pending(250);
    let driver = site.driver(site.serve(Server::Master(fqdn("master-0"))).await);
    let requests = driver.certificate_requests(&name()).await.expect("read");
    let known = site.cluster.ask(|state, now| state.certificate_requests(now));
    assert_eq!(requests.len(), known.len());
    assert_eq!(requests, known, "in PEM and back");
}

#[tokio::test]
async fn a_kubeconfig_that_has_changed_is_read_again() {
    let site = Site::new();
    site.bootstrap();
    let driver = site.driver(site.serve(Server::Bootstrap).await);
    driver.nodes(&name()).await.expect("by certificate");
    site.files.set_kubeconfig(&kubeconfig(&site.authority, &User::Token(TOKEN)));
    driver.nodes(&name()).await.expect("by token");
    site.files.set_kubeconfig(&kubeconfig(&site.authority, &User::Token("sha256~another")));
    let error = driver.nodes(&name()).await.expect_err("an unknown token");
    assert_eq!(error.kind(), FailureKind::Rejected);
}
