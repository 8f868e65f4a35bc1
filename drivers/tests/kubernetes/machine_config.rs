//! The machine config server, asked as Ignition asks.

use std::net::{IpAddr, SocketAddr};

use harmony_core::capability::{Cluster, MachineConfigAnswer};
use harmony_core::error::FailureKind;
use harmony_drivers::WriteLog;
use harmony_drivers::cluster::kubernetes::{Kubernetes, KubernetesSpec};
use harmony_sim::cluster::{ClusterState, Server};

use super::site::{Authority, Site, driver, fqdn, name};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn asks(site: &Site, authority: Option<&Authority>, at: SocketAddr) -> Kubernetes {
    let spec = KubernetesSpec { machine_config_port: at.port(), answer_timeout_s: 5, ..KubernetesSpec::default() };
    let pointer = authority.map(|authority| site.files.pointer(authority));
    driver(&site.files.kubeconfig(), pointer.as_deref(), spec, &WriteLog::default())
}

#[tokio::test]
async fn the_bootstraps_serves_masters_and_lets_workers_wait() {
    let (site, root) = (Site::new(), Authority::new("root-ca"));
    let at = site.serve_config(Server::Bootstrap, root.server("api-int.ocp4.example.com")).await;
    let driver = asks(&site, Some(&root), at);
    let silent = driver.machine_config(&name(), HERE, "master").await.expect("an answer");
    assert!(matches!(&silent, MachineConfigAnswer::Silent { reason } if !reason.is_empty()), "{silent:?}");
    site.bootstrap();
    let answer = driver.machine_config(&name(), HERE, "master").await.expect("an answer");
    assert_eq!(answer, MachineConfigAnswer::Serving);
    let answer = driver.machine_config(&name(), HERE, "worker").await.expect("an answer");
    assert_eq!(answer, MachineConfigAnswer::NotYet { reason: "500 Internal Server Error".to_owned() });
}

#[tokio::test]
async fn a_masters_serves_workers_and_refuses_pools_that_are_not_there() {
    let (site, root) = (Site::new(), Authority::new("root-ca"));
    site.control_plane();
    site.until(ClusterState::install_is_complete);
    let server = Server::Master(fqdn("master-0"));
    let driver = asks(&site, Some(&root), site.serve_config(server, root.server("api-int.ocp4.example.com")).await);
    assert_eq!(driver.machine_config(&name(), HERE, "worker").await.expect("answers"), MachineConfigAnswer::Serving);
    let error = driver.machine_config(&name(), HERE, "infra").await.expect_err("no such pool");
    assert_eq!(error.kind(), FailureKind::Rejected);
    let error = driver.machine_config(&name(), HERE, "../../x").await.expect_err("no pool");
    assert_eq!(error.kind(), FailureKind::Bug);
}

#[tokio::test]
async fn whoever_cannot_show_the_clusters_certificate_is_none_of_its_servers() {
    let (site, root, other) = (Site::new(), Authority::new("root-ca"), Authority::new("root-ca"));
    site.bootstrap();
    let at = site.serve_config(Server::Bootstrap, other.server("api-int.ocp4.example.com")).await;
    let error = asks(&site, Some(&root), at).machine_config(&name(), HERE, "master").await.expect_err("an impostor");
    assert_eq!(error.kind(), FailureKind::Rejected);
    assert!(error.hint_text().is_some_and(|hint| hint.contains("is not of cluster `ocp4`")), "{error:?}");
    let elsewhere = site.serve_config(Server::Bootstrap, root.server("elsewhere.example.com")).await;
    asks(&site, Some(&root), elsewhere).machine_config(&name(), HERE, "master").await.expect_err("another name");
    // Without an authority nobody can tell; what is told is no more than that something serves.
    let answer = asks(&site, None, at).machine_config(&name(), HERE, "master").await.expect("an answer");
    assert_eq!(answer, MachineConfigAnswer::Serving);
}
