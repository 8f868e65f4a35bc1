//! Certificate requests: the flow of two approvals a node, and that only what was decided on is approved.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harmony_core::capability::{CertificateRequest, Cluster, CsrState};
use harmony_core::cluster::NodeKind;
use harmony_core::error::FailureKind;
use harmony_drivers::WriteLog;
use harmony_sim::cluster::{ClusterFault, Foreign, Server};
use serde_json::json;

use super::service::{Service, list, object, only, request};
use super::site::{Authority, Files, Site, User, driver, fqdn, name, spec};

fn pending(requests: Vec<CertificateRequest>) -> Vec<CertificateRequest> {
    requests.into_iter().filter(|request| request.state == CsrState::Pending).collect()
}

#[tokio::test]
async fn a_worker_joins_by_two_approvals() {
    let site = Site::new();
    site.control_plane();
    site.joins("worker-0", NodeKind::Worker, 20);
    let driver = site.driver(site.serve(Server::Master(fqdn("master-0"))).await);
    for signer in ["kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kubelet-serving"] {
        site.until_pending(1);
        let request = only(pending(driver.certificate_requests(&name()).await.expect("read")));
        assert_eq!((request.signer.as_str(), request.others.len()), (signer, 0));
        driver.approve(&name(), &request).await.expect("approved");
        driver.approve(&name(), &request).await.expect("approved before");
    }
    site.until(|state, now| state.nodes(now).iter().all(|node| node.ready == Some(true)));
    assert_eq!(driver.nodes(&name()).await.expect("read").len(), 4);
    assert_eq!(site.writes.counts().get("kubernetes"), Some(&2));
    assert_eq!(site.cluster.ask(|state, _| state.violations().to_vec()), []);
}

#[tokio::test]
async fn a_request_of_a_stranger_is_read_as_it_is() {
    let site = Site::new();
    site.control_plane();
    let driver = site.driver(site.serve(Server::Master(fqdn("master-0"))).await);
    for foreign in [Foreign::CommonName, Foreign::Organisation, Foreign::DnsName, Foreign::Address, Foreign::Node] {
        site.cluster.ask(|state, now| state.inject(now, ClusterFault::ForeignRequest(foreign)));
    }
    let known = site.cluster.ask(|state, now| state.certificate_requests(now));
    assert_eq!(driver.certificate_requests(&name()).await.expect("read"), known);
    let garbage = CertificateRequest { common_name: "system:node:a".to_owned(), ..known[0].clone() };
    let name_of = site.cluster.ask(|state, now| state.intrude(now, garbage, Some("-----BEGIN nothing".to_owned())));
    let read = driver.certificate_requests(&name()).await.expect("read");
    let read = read.iter().find(|request| request.name == name_of).expect("is there");
    assert_eq!(read.common_name, "");
    assert!(read.others[0].contains("not understood"), "{:?}", read.others);
}

#[tokio::test]
async fn what_was_denied_or_never_read_or_changed_is_refused() {
    let site = Site::new();
    site.control_plane();
    site.joins("worker-0", NodeKind::Worker, 20);
    site.until_pending(1);
    let api = site.serve(Server::Master(fqdn("master-0"))).await;
    let driver = site.driver(api);
    let request = only(pending(driver.certificate_requests(&name()).await.expect("read")));
    let error = site.driver(api).approve(&name(), &request).await.expect_err("another driver has not read it");
    assert_eq!(error.kind(), FailureKind::Conflict);
    let other = CertificateRequest { dns_names: vec![fqdn("worker-0")], ..request.clone() };
    let error = driver.approve(&name(), &other).await.expect_err("it asks for something else");
    assert_eq!(error.kind(), FailureKind::Conflict);
    site.cluster.ask(|state, now| state.deny(now, &request.name)).expect("is there");
    let error = driver.approve(&name(), &request).await.expect_err("denied");
    assert_eq!(error.kind(), FailureKind::Conflict);
    assert_eq!(
        error.to_string(),
        format!("failed to approve certificate request `{}` of cluster `ocp4`", request.name)
    );
    assert_eq!(site.writes.entries(), []);
}

/// A service that has one request, which changes its identity once it was read, or is changed while it is approved.
async fn service(authority: &Authority, is_replaced: bool) -> (Service, Arc<AtomicBool>) {
    let was_put = Arc::new(AtomicBool::new(false));
    let put = Arc::clone(&was_put);
    let pem = rcgen::CertificateParams::new(vec!["a".to_owned()]).expect("a name");
    let pem = pem.serialize_request(&rcgen::KeyPair::generate().expect("a key")).expect("made").pem().expect("PEM");
    let service = Service::start(authority, move |method, path| match (method, path.ends_with("requests")) {
        ("GET", true) => object(200, &list(&[request("csr-1", "uid-1", &pem)])),
        ("GET", false) if is_replaced => object(200, &request("csr-1", "uid-2", &pem)),
        ("GET", false) => object(200, &request("csr-1", "uid-1", &pem)),
        _ => {
            put.store(true, Ordering::SeqCst);
            let message = "Operation cannot be fulfilled: the object has been modified";
            object(
                409,
                &json!({"kind": "Status", "status": "Failure", "message": message, "reason": "Conflict", "code": 409}),
            )
        }
    });
    (service.await, was_put)
}

#[tokio::test]
async fn a_request_that_was_replaced_under_its_name_is_not_approved() {
    for is_replaced in [true, false] {
        let authority = Authority::new("ca");
        let files = Files::new(&authority, &User::Token("sha256~x"));
        let (service, was_put) = service(&authority, is_replaced).await;
        let driver = driver(&files.kubeconfig(), None, spec(service.address), &WriteLog::default());
        let request = only(driver.certificate_requests(&name()).await.expect("read"));
        let error = driver.approve(&name(), &request).await.expect_err("refused");
        assert_eq!(error.kind(), FailureKind::Conflict, "{error:?}");
        assert_eq!(was_put.load(Ordering::SeqCst), !is_replaced);
    }
}
