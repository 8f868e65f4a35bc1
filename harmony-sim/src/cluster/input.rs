//! What comes to a cluster from outside, as data: a state is what has come to it, and when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Approver, ClusterState, Kubelet, NoRequest};

/// Something that comes from outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A bootstrap has started from its disk.
    BootstrapStarted,
    /// The bootstrap has been switched off, or restarts.
    BootstrapStopped,
    /// A kubelet starts for the first time.
    Kubelet(Kubelet),
    /// A machine has been switched off, or restarts: its name in full.
    NodeStopped(String),
    /// A machine that was stopped runs again: its name in full.
    NodeRestarted(String),
    /// An administrator approves a request, by its name.
    Approve(String),
    /// An administrator denies a request, by its name.
    Deny(String),
    /// Whether masters are to run workloads.
    MastersSchedulable(bool),
    /// The routers are to be made anew, by this order.
    RestartIngress(String),
}

impl ClusterState {
    /// Takes something up, now.
    ///
    /// # Errors
    /// [`NoRequest`], where a request is named that is not there.
    pub fn take(&mut self, now: Duration, input: &Input) -> Result<(), NoRequest> {
        match input {
            Input::BootstrapStarted => self.bootstrap_started(now),
            Input::BootstrapStopped => self.bootstrap_stopped(now),
            Input::Kubelet(kubelet) => self.kubelet(now, kubelet.clone()),
            Input::NodeStopped(fqdn) => self.node_stopped(now, fqdn),
            Input::NodeRestarted(fqdn) => self.node_restarted(now, fqdn),
            Input::Approve(name) => return self.approve(now, name, Approver::Administrator),
            Input::Deny(name) => return self.deny(now, name),
            Input::MastersSchedulable(schedulable) => self.set_masters_schedulable(now, *schedulable),
            Input::RestartIngress(token) => self.restart_ingress(now, token),
        }
        Ok(())
    }
}
