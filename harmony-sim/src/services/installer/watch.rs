//! What the installer waits for, and what it says meanwhile. It asks the API where its own kubeconfig says that it is.
//!
//! Source: openshift/installer `cmd/openshift-install/command/waitfor.go`: limits, messages, exit codes.

use std::time::Duration;

use harmony_core::capability::InstallStage;
use harmony_core::cluster::ClusterName;
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};

use crate::topology::SimTopology;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(5);
/// How long it waits for the API, for the bootstrap, and for the cluster.
const API_LIMIT: Duration = Duration::from_secs(20 * 60);
const BOOTSTRAP_LIMIT: Duration = Duration::from_secs(45 * 60);
const CLUSTER_LIMIT: Duration = Duration::from_secs(40 * 60);

impl SimTopology {
    /// Watches until a stage is reached, or its time is up.
    pub(super) async fn watch(
        &self,
        cluster: &ClusterName,
        stage: InstallStage,
        progress: &(dyn for<'line> Fn(&'line str) + Send + Sync),
    ) -> DeviceResult<()> {
        let what = match stage {
            InstallStage::BootstrapComplete => format!("failed to wait for the bootstrap of {cluster}"),
            InstallStage::InstallComplete => format!("failed to wait for the installation of {cluster}"),
        };
        let url = self.world().with(|state| {
            state.services.installer.latest(cluster).map(|made| format!("https://{}:6443", made.name("api")))
        });
        let Some(url) = url else {
            return Err(DeviceError::new(FailureKind::Invalid, what)
                .because("loading kubeconfig: stat auth/kubeconfig: no such file or directory"));
        };
        let minutes = |limit: Duration| limit.as_secs() / 60;
        if stage == InstallStage::BootstrapComplete {
            progress(&format!("Waiting up to {}m0s for the Kubernetes API at {url}...", minutes(API_LIMIT)));
            self.watch_for(API_LIMIT, |topology| topology.api(cluster).is_ok()).await.map_err(|()| {
                let why = match self.api(cluster) {
                    Err(why) => why,
                    Ok(()) => "timed out waiting for the condition".to_owned(),
                };
                DeviceError::new(FailureKind::Rejected, what.clone())
                    .because(format!("waiting for Kubernetes API: {why} (the installer's exit code is 4)"))
                    .hint("log in to the bootstrap host and read `journalctl -b -u release-image.service -u bootkube.service`")
            })?;
            progress("API v1.32.5 up");
            progress(&format!("Waiting up to {}m0s for bootstrapping to complete...", minutes(BOOTSTRAP_LIMIT)));
            let complete = |topology: &Self| {
                topology.ask_cluster(cluster, |state, now| state.bootstrap_is_complete(now)) == Ok(true)
            };
            self.watch_for(BOOTSTRAP_LIMIT, complete).await.map_err(|()| {
                DeviceError::new(FailureKind::Rejected, what.clone())
                    .because("failed to wait for bootstrapping to complete: timed out waiting for the condition (the installer's exit code is 5)")
                    .hint("see which masters are nodes; on a master's console, Ignition says what it waits for")
            })?;
            progress("It is now safe to remove the bootstrap resources");
            return Ok(());
        }
        progress(&format!("Waiting up to {}m0s for the cluster at {url} to initialize...", minutes(CLUSTER_LIMIT)));
        let installed =
            |topology: &Self| topology.ask_cluster(cluster, |state, now| state.install_is_complete(now)) == Ok(true);
        self.watch_for(CLUSTER_LIMIT, installed).await.map_err(|()| {
            let unwell = self.ask_cluster(cluster, |state, now| {
                let unwell = state.operators(now).into_iter().filter(|operator| !operator.is_well());
                unwell.map(|operator| operator.name).collect::<Vec<_>>().join(", ")
            });
            let unwell = unwell.unwrap_or_else(|why| why);
            DeviceError::new(FailureKind::Rejected, what)
                .because(format!("failed to initialize the cluster: {unwell} (the installer's exit code is 6)"))
                .hint("see what these cluster operators say, and run again: waiting can be repeated")
        })?;
        progress("All cluster operators have completed progressing");
        progress("Install complete!");
        Ok(())
    }

    async fn watch_for(&self, limit: Duration, is_so: impl Fn(&Self) -> bool) -> Result<(), ()> {
        let deadline = self.world().now() + limit;
        while !is_so(self) {
            if self.world().now() >= deadline {
                return Err(());
            }
            self.world().sleep(LOOK).await;
        }
        Ok(())
    }
}
