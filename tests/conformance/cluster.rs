//! The contract of [`Cluster`], where its control plane runs on the masters.

use std::fmt::Debug;

use harmony_core::capability::{CertificateRequest, Cluster, CsrState};
use harmony_core::cluster::ClusterName;
use harmony_core::error::{DeviceResult, FailureKind};

/// A cluster of masters and workers whose certificates are all approved.
pub(crate) trait Rig {
    /// The driver.
    fn cluster(&self) -> impl Cluster;
    /// Somebody who is no host asks for a certificate.
    fn intrude(&self);
    /// Its machines are switched off.
    fn silence(&self);
    /// How many changes were sent to it.
    fn writes(&self) -> usize;

    /// Its name.
    fn name(&self) -> ClusterName {
        "ocp4".parse().expect("a name")
    }
}

fn is_sorted<T>(all: &[T], name: impl Fn(&T) -> &str) {
    assert!(!all.is_empty() && all.is_sorted_by_key(|one| name(one).to_owned()));
}

pub(crate) async fn point_1_reads_change_nothing(rig: &impl Rig) {
    let (cluster, name, before) = (rig.cluster(), rig.name(), rig.writes());
    assert!(cluster.api_is_ready(&name).await.expect("read"));
    assert!(cluster.bootstrap_is_complete(&name).await.expect("read"));
    is_sorted(&cluster.nodes(&name).await.expect("read"), |node| &node.name);
    is_sorted(&cluster.operators(&name).await.expect("read"), |operator| &operator.name);
    is_sorted(&cluster.pools(&name).await.expect("read"), |pool| &pool.name);
    is_sorted(&cluster.certificate_requests(&name).await.expect("read"), |request| &request.name);
    cluster.ingress_nodes(&name).await.expect("read");
    cluster.ingress_is_restarting(&name).await.expect("read");
    cluster.masters_schedulable(&name).await.expect("read");
    cluster.install_is_complete(&name).await.expect("read");
    assert_eq!(rig.writes(), before);
}

pub(crate) async fn point_1_an_api_that_does_not_answer_is_unreachable(rig: &impl Rig) {
    fn unreachable<T: Debug>(read: DeviceResult<T>) {
        assert_eq!(read.expect_err("nobody is there").kind(), FailureKind::Unreachable);
    }
    let (cluster, name) = (rig.cluster(), rig.name());
    rig.silence();
    unreachable(cluster.api_is_ready(&name).await);
    unreachable(cluster.nodes(&name).await);
    unreachable(cluster.certificate_requests(&name).await);
    unreachable(cluster.set_masters_schedulable(&name, false).await);
}

pub(crate) async fn point_2_writes_may_be_repeated(rig: &impl Rig) {
    let (cluster, name) = (rig.cluster(), rig.name());
    for schedulable in [true, false, false] {
        cluster.set_masters_schedulable(&name, schedulable).await.expect("set");
        assert_eq!(cluster.masters_schedulable(&name).await.expect("read"), schedulable);
    }
    for _ in 0..2 {
        cluster.restart_ingress(&name, "order-1").await.expect("restarted");
    }
}

pub(crate) async fn point_3_the_very_request_that_was_read_is_approved(rig: &impl Rig) {
    let (cluster, name) = (rig.cluster(), rig.name());
    rig.intrude();
    let requests = cluster.certificate_requests(&name).await.expect("read");
    let request = requests.into_iter().find(|request| request.state == CsrState::Pending).expect("the stranger's");
    let other = CertificateRequest { common_name: "system:node:another".to_owned(), ..request.clone() };
    let gone = CertificateRequest { name: "csr-zzzzz".to_owned(), ..request.clone() };
    for wrong in [other, gone] {
        let refused = cluster.approve(&name, &wrong).await.expect_err("another than was read");
        assert_eq!(refused.kind(), FailureKind::Conflict, "{refused:?}");
    }
    for _ in 0..2 {
        cluster.approve(&name, &request).await.expect("approved");
    }
    let requests = cluster.certificate_requests(&name).await.expect("read");
    let same = requests.iter().find(|there| there.name == request.name).expect("is there");
    assert_eq!(same.state, CsrState::Approved);
}
