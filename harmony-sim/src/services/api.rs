//! A cluster's API as Harmony reaches it: by name, by the load balancer, on whatever machine serves it then.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::StatusCode;
use harmony_core::capability::{CertificateRequest, Cluster, CsrState, MachineConfigAnswer, Node, Operator, Pool};
use harmony_core::cluster::ClusterName;
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::net::DnsName;

use super::connect::{API, MACHINE_CONFIG, NoReply};
use crate::cluster::{Approver, ClusterState};
use crate::topology::SimTopology;
use crate::world::State;

/// What the driver of a real cluster says then.
const EXPIRED_HINT: &str = "the certificates of a bootstrap are good for a day: with the right hour on this machine and on \
    the bootstrap, release its host (harmony host unassign HOST), and begin again";

impl State {
    /// Whether the API of a cluster answers who asks for it by its name; why not.
    fn api(&mut self, cluster: &ClusterName, now: Duration) -> Result<(), String> {
        let latest = self.services.installer.latest(cluster).ok_or("there is no kubeconfig")?;
        let (host, generation) = (latest.name("api"), latest.artefacts.generation);
        let name: DnsName = host.parse().map_err(|_| NoReply::UnknownHost(host.clone()).to_string())?;
        let address = self.resolve(&name).first().copied().ok_or_else(|| NoReply::UnknownHost(host).to_string())?;
        let client = self.network.address;
        let id = self.reach(client, SocketAddr::new(address, API), now).map_err(|why| why.to_string())?;
        let member =
            self.running_member(id).filter(|member| member.cluster == *cluster && member.generation == generation);
        member.map(|_| ()).ok_or_else(|| NoReply::Certificate("certificate signed by unknown authority").to_string())
    }
}

impl SimTopology {
    /// Whether the API answers just now; why not.
    pub(super) fn api(&self, cluster: &ClusterName) -> Result<(), String> {
        let now = self.world().now();
        self.world().with(|state| state.api(cluster, now))
    }

    /// Asks the API of a cluster something; why it does not answer.
    pub(super) fn ask_cluster<T>(
        &self,
        cluster: &ClusterName,
        question: impl FnOnce(&mut ClusterState, Duration) -> T,
    ) -> Result<T, String> {
        let now = self.world().now();
        self.world().with(|state| {
            state.api(cluster, now)?;
            let made = state.services.installer.latest_mut(cluster).ok_or("there is no kubeconfig")?;
            Ok(question(&mut made.state, now))
        })
    }

    /// Reads something of a cluster.
    async fn read<T>(
        &self,
        cluster: &ClusterName,
        what: &str,
        question: impl FnOnce(&mut ClusterState, Duration) -> T + Send,
    ) -> DeviceResult<T> {
        self.world().ask().await;
        self.ask_cluster(cluster, question).map_err(|why| unreachable(cluster, &format!("read {what}"), why))
    }

    /// Changes something in a cluster.
    async fn change(
        &self,
        cluster: &ClusterName,
        command: String,
        change: impl FnOnce(&mut ClusterState, Duration) -> DeviceResult<()> + Send,
    ) -> DeviceResult<()> {
        let told = command.clone();
        let effect = async {
            let done = self.ask_cluster(cluster, change).map_err(|why| unreachable(cluster, &told, why))?;
            self.world().with(|state| state.services.changed.notify_one());
            done
        };
        self.world().write("cluster", cluster.as_str(), command, effect).await
    }
}

fn unreachable(cluster: &ClusterName, what: &str, why: String) -> DeviceError {
    DeviceError::new(FailureKind::Unreachable, format!("failed to {what} in cluster {cluster}")).because(why)
}

#[async_trait]
impl Cluster for SimTopology {
    async fn api_is_ready(&self, cluster: &ClusterName) -> DeviceResult<bool> {
        self.read(cluster, "/readyz", |_, _| true).await
    }

    async fn machine_config(
        &self,
        cluster: &ClusterName,
        server: IpAddr,
        pool: &str,
    ) -> DeviceResult<MachineConfigAnswer> {
        self.world().ask().await;
        let now = self.world().now();
        let answer = self.world().with(|state| {
            let client = state.network.address;
            let id = state.reach(client, SocketAddr::new(server, MACHINE_CONFIG), now)?;
            let member =
                state.running_member(id).filter(|member| member.cluster == *cluster).ok_or(NoReply::Refused)?;
            if state.faults.expires_certificates() {
                return Err(NoReply::Certificate("certificate has expired or is not yet valid"));
            }
            state.machine_config(&member, id, pool, now)
        });
        let refused = || {
            let what = format!("failed to ask the machine config server at {server} of {cluster} for pool {pool}");
            DeviceError::new(FailureKind::Rejected, what)
        };
        match answer {
            Ok((StatusCode::OK, _)) => Ok(MachineConfigAnswer::Serving),
            Ok((status, body)) if status.is_server_error() => {
                let text = String::from_utf8_lossy(&body);
                Ok(MachineConfigAnswer::NotYet { reason: format!("{status}: {}", text.trim()) })
            }
            Ok((status, _)) => Err(refused()
                .because(format!("it answered with {status}"))
                .hint(format!("it has no pool `{pool}`; Ignition asks once, and gives up"))),
            Err(why @ NoReply::Certificate(_)) => Err(refused().because(why).hint(EXPIRED_HINT)),
            Err(why) => Ok(MachineConfigAnswer::Silent { reason: why.to_string() }),
        }
    }

    async fn bootstrap_is_complete(&self, cluster: &ClusterName) -> DeviceResult<bool> {
        self.read(cluster, "the bootstrap's status", ClusterState::bootstrap_is_complete).await
    }

    async fn nodes(&self, cluster: &ClusterName) -> DeviceResult<Vec<Node>> {
        self.read(cluster, "nodes", ClusterState::nodes).await
    }

    async fn certificate_requests(&self, cluster: &ClusterName) -> DeviceResult<Vec<CertificateRequest>> {
        self.read(cluster, "certificate requests", ClusterState::certificate_requests).await
    }

    async fn approve(&self, cluster: &ClusterName, request: &CertificateRequest) -> DeviceResult<()> {
        let wanted = CertificateRequest { state: CsrState::Pending, ..request.clone() };
        let command = format!("approve {} for {}", request.name, request.common_name);
        self.change(cluster, command, |state, now| {
            let there = state.certificate_requests(now).into_iter().find(|there| there.name == wanted.name);
            let same = there.map(|there| CertificateRequest { state: CsrState::Pending, ..there });
            let conflict = |why: &str| {
                let what = format!("failed to approve certificate request {}", wanted.name);
                DeviceError::new(FailureKind::Conflict, what).because(why.to_owned())
            };
            match same {
                Some(there) if there == wanted => state
                    .approve(now, &wanted.name, Approver::Administrator)
                    .map_err(|error| conflict(&error.to_string())),
                Some(_) => Err(conflict("it is another one than the one that was read")),
                None => Err(conflict("it is not there any more")),
            }
        })
        .await
    }

    async fn operators(&self, cluster: &ClusterName) -> DeviceResult<Vec<Operator>> {
        self.read(cluster, "cluster operators", ClusterState::operators).await
    }

    async fn pools(&self, cluster: &ClusterName) -> DeviceResult<Vec<Pool>> {
        self.read(cluster, "machine config pools", ClusterState::pools).await
    }

    async fn masters_schedulable(&self, cluster: &ClusterName) -> DeviceResult<bool> {
        self.read(cluster, "the scheduler's configuration", ClusterState::masters_schedulable).await
    }

    async fn set_masters_schedulable(&self, cluster: &ClusterName, schedulable: bool) -> DeviceResult<()> {
        self.change(cluster, format!("set mastersSchedulable to {schedulable}"), |state, now| {
            state.set_masters_schedulable(now, schedulable);
            Ok(())
        })
        .await
    }

    async fn ingress_nodes(&self, cluster: &ClusterName) -> DeviceResult<Vec<String>> {
        self.read(cluster, "routers", ClusterState::ingress_nodes).await
    }

    async fn ingress_is_restarting(&self, cluster: &ClusterName) -> DeviceResult<bool> {
        self.read(cluster, "the routers' restart", ClusterState::ingress_is_restarting).await
    }

    async fn restart_ingress(&self, cluster: &ClusterName, token: &str) -> DeviceResult<()> {
        self.change(cluster, format!("restart the routers by {token}"), |state, now| {
            state.restart_ingress(now, token);
            Ok(())
        })
        .await
    }

    async fn install_is_complete(&self, cluster: &ClusterName) -> DeviceResult<bool> {
        self.read(cluster, "the cluster's version", ClusterState::install_is_complete).await
    }
}
