//! What a site offers to its hosts besides DHCP and the boot server: names, a load balancer, the installer with its
//! private files, files to boot from, and the clusters that hosts become.
//!
//! Each has the contract of its capability; writes are recorded and faults strike, as with every device. Knows machines
//! only by what answers at an address (`connect`). What happens inside a cluster is `crate::cluster`'s.
//! Read next: `connect` for how a request finds its way, `life` for what a machine's life means to its cluster.

mod api;
mod assets;
mod balancer;
mod checks;
mod connect;
mod dns;
mod files;
mod installer;
mod life;
mod load_balancer;

use std::sync::Arc;
use std::time::Duration;

use harmony_core::cluster::{ClusterName, NodeKind};
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::cluster::ClusterTiming;
use crate::pace::Speed;
use crate::wire::kubernetes::ClusterKeys;
use crate::world::Shared;
pub(crate) use connect::{API, HttpsGet, MACHINE_CONFIG, NoReply};
pub(crate) use files::SharedFiles;
pub use life::WorldCluster;

pub(crate) use installer::bootstrap_pools;

use balancer::Balancer;
use dns::Dns;
use installer::Installer;

/// The services of a site.
#[derive(Default)]
pub(crate) struct Services {
    dns: Dns,
    balancer: Balancer,
    installer: Installer,
    /// What the boot server offers under `/os/` besides what every world has.
    pub(crate) assets: SharedFiles,
    /// What the boot server merges answer files onto.
    pub(crate) private: SharedFiles,
    /// How long things take in clusters.
    cluster_timing: ClusterTiming,
    seed: u64,
    /// Told whenever something here has to happen sooner than was known.
    changed: Arc<Notify>,
}

/// What an installed system is in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) cluster: ClusterName,
    /// Which of the clusters of that name: each generation of artefacts is one.
    pub(crate) generation: u32,
    pub(crate) kind: NodeKind,
    /// Whether it has run before.
    pub(crate) has_run: bool,
}

/// What hour it is: that at which the world's time was zero, and how much of it passes in a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    pub(crate) epoch: Timestamp,
    pub(crate) speed: Speed,
}

/// What the configuration of a member's first boot brings of its cluster.
pub(crate) struct Brought {
    /// The certificates that it believes.
    pub(crate) authorities: Vec<Vec<u8>>,
    /// What an installer laid on a bootstrap for the cluster, by the name of the file.
    pub(crate) manifests: Vec<(String, String)>,
    /// What the cluster's servers show, likewise.
    pub(crate) keys: Option<ClusterKeys>,
    /// The clocks that the cluster is to have.
    pub(crate) clocks: Clocks,
}

impl Services {
    /// Those of a world at its beginning.
    pub(crate) fn new(cluster_timing: ClusterTiming, seed: u64) -> Self {
        Self { cluster_timing, seed, ..Self::default() }
    }
}

/// Lets time pass in the services: checks of the load balancer, changes in clusters. Until the world ends.
pub(crate) async fn run(world: Arc<Shared>) {
    let changed = world.with(|state| Arc::clone(&state.services.changed));
    loop {
        let now = world.now();
        let next = world.with(|state| {
            let checks = state.check_servers(now);
            let changes = state.advance_clusters(now);
            checks.into_iter().chain(changes).min()
        });
        match next {
            None => changed.notified().await,
            Some(at) => tokio::select! {
                biased;
                () = changed.notified() => {}
                () = world.sleep(at.saturating_sub(now).max(Duration::from_millis(1))) => {}
            },
        }
    }
}
