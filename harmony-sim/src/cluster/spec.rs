//! What a simulated cluster is made of.

use std::time::Duration;

use harmony_core::cluster::ClusterName;
use harmony_core::net::Hostname;
use jiff::Timestamp;

use crate::pace::Speed;

/// A cluster to be.
#[derive(Debug, Clone)]
pub struct ClusterSpec {
    /// Its name.
    pub name: ClusterName,
    /// The domain below which it is.
    pub base_domain: Hostname,
    /// Masters that it waits for, as its installer was told.
    pub masters: usize,
    /// What chance is made of.
    pub seed: u64,
    /// The hour at which the world's time is zero.
    pub epoch: Timestamp,
    /// How much of the world's time passes while its clocks go on by a second: one, but in a world on the wire, whose
    /// clocks are those of the machine that it runs on.
    pub speed: Speed,
    /// How long things take.
    pub timing: ClusterTiming,
}

/// How long things take in a cluster. Each takes this long and up to a quarter more, but for the fixed periods.
#[derive(Debug, Clone, Copy)]
pub struct ClusterTiming {
    /// From the bootstrap's start until its API and machine config server answer. It pulls images.
    pub bootstrap: Duration,
    /// From a kubelet's start until it asks for its certificate.
    pub kubelet: Duration,
    /// Period in which the bootstrap approves all requests; fixed.
    pub approval: Duration,
    /// After which a kubelet that got no certificate asks again; fixed.
    pub ask_again: Duration,
    /// From an approved request until the kubelet uses the certificate.
    pub certificate: Duration,
    /// From a node's first sight until its network works.
    pub node_network: Duration,
    /// From the last master's readiness until their own control plane serves.
    pub control_plane: Duration,
    /// From that until the bootstrap says that it is done.
    pub bootstrap_complete: Duration,
    /// One operator's start.
    pub operator: Duration,
    /// One router's start.
    pub router: Duration,
    /// From the last operator until the cluster's version counts as installed.
    pub version: Duration,
    /// From a change of the scheduler's configuration until labels and taints follow.
    pub relabel: Duration,
    /// After which a silent node is not ready any more; fixed.
    pub grace: Duration,
    /// After which pods of a silent node are made anew elsewhere; fixed.
    pub eviction: Duration,
}

impl Default for ClusterTiming {
    /// As on real hardware with a near mirror. Source of the periods: installer `approve-csr.sh` (20 s), kubelet
    /// `certificate manager` (15 min), controller manager `--node-monitor-grace-period` (40 s), default tolerations (300 s).
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            bootstrap: s(240),
            kubelet: s(10),
            approval: s(20),
            ask_again: s(900),
            certificate: s(2),
            node_network: s(60),
            control_plane: s(300),
            bootstrap_complete: s(60),
            operator: s(60),
            router: s(20),
            version: s(30),
            relabel: s(5),
            grace: s(40),
            eviction: s(300),
        }
    }
}

impl ClusterTiming {
    /// The same cluster, in a hurry: everything takes a part of the usual time.
    #[must_use]
    pub fn divided_by(self, by: u32) -> Self {
        let part = |time: Duration| time / by.max(1);
        Self {
            bootstrap: part(self.bootstrap),
            kubelet: part(self.kubelet),
            approval: part(self.approval),
            ask_again: part(self.ask_again),
            certificate: part(self.certificate),
            node_network: part(self.node_network),
            control_plane: part(self.control_plane),
            bootstrap_complete: part(self.bootstrap_complete),
            operator: part(self.operator),
            router: part(self.router),
            version: part(self.version),
            relabel: part(self.relabel),
            grace: part(self.grace),
            eviction: part(self.eviction),
        }
    }
}
