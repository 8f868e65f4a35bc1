//! A cluster by its own API, with `kube`; and its machine config servers, asked as Ignition asks.
//!
//! Owns how Kubernetes and OpenShift say things, and how their approvals and patches are sent. Does not know which
//! hosts make the cluster, which requests are to be approved, or when the API should be there.
//!
//! Everything that an API says has limits: 8 MiB an answer, 10 000 objects a list, [`KubernetesSpec`] for time. Where a
//! cluster's files are, the caller says; they are read anew whenever they have changed.
//!
//! Read next: `connection` for kubeconfigs, `api` for requests and their limits, `objects` for what is made of answers,
//! `request` for certificate requests, `machine_config` for the other server, `error` for what can go wrong.
//! Source: Kubernetes API reference 1.32; openshift/api `config/v1`, `machineconfiguration/v1`.

mod api;
mod approve;
mod connection;
mod count;
mod error;
mod machine_config;
mod objects;
mod pointer;
mod request;
mod spec;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use harmony_core::capability::{CertificateRequest, Cluster, MachineConfigAnswer, Node, Operator, Pool};
use harmony_core::cluster::ClusterName;
use harmony_core::error::{DeviceError, DeviceResult};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Node as KubernetesNode, Pod};
use kube::api::ListParams;
use serde_json::json;

use crate::WriteLog;
use api::Api;
use approve::Seen;
use connection::Connection;
use error::KubernetesError;
use objects::{CLUSTER_OPERATORS, CLUSTER_VERSIONS, POOLS};
pub use spec::{ApiAddress, KubernetesSpec};

/// Name of this driver in the site file and in the [`WriteLog`].
pub const DRIVER: &str = "kubernetes";
/// Where the routers are.
const INGRESS: &str = "openshift-ingress";
/// Their deployment, and the label of its pods. Source: openshift/cluster-ingress-operator `pkg/operator/controller`.
const ROUTERS: &str = "router-default";
const ROUTER_LABEL: &str = "ingresscontroller.operator.openshift.io/deployment-ingresscontroller=default";
/// Lets a deployment make its pods anew. Source: `kubectl rollout restart`.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// The files of one cluster, as the installer wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFiles {
    /// An administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// `master.ign` or `worker.ign`: it names the machine config server and the authority that has signed its certificate.
    /// Without it, that server is not told from an impostor; which is why nothing that it says is used but its status.
    pub pointer: Option<PathBuf>,
}

/// Says where the files of a cluster are.
pub type Locate = Arc<dyn Fn(&ClusterName) -> DeviceResult<ClusterFiles> + Send + Sync>;

/// Clusters, each by the API that its kubeconfig names.
pub struct Kubernetes {
    spec: KubernetesSpec,
    locate: Locate,
    writes: WriteLog,
    connections: Mutex<BTreeMap<ClusterName, Arc<Connection>>>,
    /// Which request was behind a name when it was read.
    seen: Seen,
}

impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubernetes").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Kubernetes {
    /// Clusters whose files are where `locate` says. Nothing is read or contacted yet.
    #[must_use]
    pub fn new(spec: KubernetesSpec, locate: Locate, writes: WriteLog) -> Self {
        Self { spec, locate, writes, connections: Mutex::default(), seen: Seen::default() }
    }

    /// The connection to a cluster: the one that there is, unless its kubeconfig has changed.
    async fn connection(&self, cluster: &ClusterName) -> DeviceResult<Arc<Connection>> {
        let files = (self.locate)(cluster)?;
        let operation = || format!("failed to connect to cluster `{cluster}`");
        let failed = |error: KubernetesError| error.into_device(operation(), cluster, &files.kubeconfig, None);
        let text = connection::read(&files.kubeconfig).await.map_err(failed)?;
        let known = self.connections.lock().unwrap_or_else(PoisonError::into_inner).get(cluster).cloned();
        if let Some(known) = known.filter(|known| known.is_of(&files.kubeconfig, &text)) {
            return Ok(known);
        }
        let made = Connection::new(files.kubeconfig.clone(), &text, &self.spec).await.map_err(failed)?;
        let made = Arc::new(made);
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).insert(cluster.clone(), Arc::clone(&made));
        Ok(made)
    }

    /// What a cluster is asked with; `operation` begins the error: "failed to read the nodes".
    async fn api<'a>(&'a self, cluster: &'a ClusterName, operation: &'a str) -> DeviceResult<Asking<'a>> {
        let connection = self.connection(cluster).await?;
        let api = Api { client: connection.client(), limit: self.spec.answer_limit() };
        Ok(Asking { cluster, operation, api, connection })
    }

    fn record(&self, cluster: &ClusterName, command: String) {
        self.writes.record(DRIVER, cluster.as_str(), command);
    }
}

/// One operation on one cluster.
struct Asking<'a> {
    cluster: &'a ClusterName,
    operation: &'a str,
    api: Api,
    connection: Arc<Connection>,
}

impl Asking<'_> {
    /// Gives an error its operation, its cluster and its hint.
    fn failed(&self, error: KubernetesError) -> DeviceError {
        let operation = format!("{} of cluster `{}`", self.operation, self.cluster);
        error.into_device(operation, self.cluster, self.connection.kubeconfig(), self.connection.expires_at())
    }
}

#[async_trait]
impl Cluster for Kubernetes {
    async fn api_is_ready(&self, cluster: &ClusterName) -> DeviceResult<bool> {
        let asking = self.api(cluster, "failed to ask the API whether it is ready").await?;
        asking.api.is_ready().await.map_err(|error| asking.failed(error))
    }

    async fn machine_config(
        &self,
        cluster: &ClusterName,
        server: IpAddr,
        pool: &str,
    ) -> DeviceResult<MachineConfigAnswer> {
        let files = (self.locate)(cluster)?;
        machine_config::ask(&self.spec, cluster, &files, server, pool).await
    }

    async fn bootstrap_is_complete(&self, cluster: &ClusterName) -> DeviceResult<bool> {
        let asking = self.api(cluster, "failed to read whether the bootstrap is complete").await?;
        let status = asking.api.get::<ConfigMap>(Some("kube-system"), "bootstrap").await;
        let status = status.map_err(|error| asking.failed(error))?.and_then(|map| map.data?.remove("status"));
        Ok(status.as_deref() == Some("complete"))
    }

    async fn nodes(&self, cluster: &ClusterName) -> DeviceResult<Vec<Node>> {
        let asking = self.api(cluster, "failed to read the nodes").await?;
        let nodes = asking.api.list::<KubernetesNode>(None, ListParams::default()).await;
        let nodes = nodes.map_err(|error| asking.failed(error))?;
        let mut nodes: Vec<Node> = nodes.iter().map(objects::node).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(nodes)
    }

    async fn certificate_requests(&self, cluster: &ClusterName) -> DeviceResult<Vec<CertificateRequest>> {
        let asking = self.api(cluster, "failed to read the certificate requests").await?;
        let found = asking.api.list::<CertificateSigningRequest>(None, ListParams::default()).await;
        let found = found.map_err(|error| asking.failed(error))?;
        self.seen.keep(cluster, &found);
        let mut requests: Vec<CertificateRequest> = found.iter().map(request::read).collect();
        requests.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(requests)
    }

    async fn approve(&self, cluster: &ClusterName, request: &CertificateRequest) -> DeviceResult<()> {
        let operation = format!("failed to approve certificate request `{}`", request.name);
        let asking = self.api(cluster, &operation).await?;
        let record = || self.record(cluster, format!("PUT certificatesigningrequests/{}/approval", request.name));
        let done = approve::approve(&asking.api, &self.seen, cluster, request, record).await;
        done.map_err(|error| asking.failed(error))
    }

    async fn operators(&self, cluster: &ClusterName) -> DeviceResult<Vec<Operator>> {
        let asking = self.api(cluster, "failed to read the operators").await?;
        let operators = asking.api.list_of(CLUSTER_OPERATORS).await.map(|found| objects::operators(&found));
        operators.map_err(|error| asking.failed(error))
    }

    async fn pools(&self, cluster: &ClusterName) -> DeviceResult<Vec<Pool>> {
        let asking = self.api(cluster, "failed to read the machine config pools").await?;
        let pools = asking.api.list_of(POOLS).await.map(|found| objects::pools(&found));
        pools.map_err(|error| asking.failed(error))
    }

    async fn masters_schedulable(&self, cluster: &ClusterName) -> DeviceResult<bool> {
        let asking = self.api(cluster, "failed to read whether masters are schedulable").await?;
        let scheduler = asking.api.scheduler().await;
        scheduler.map_err(|error| asking.failed(error))
    }

    async fn set_masters_schedulable(&self, cluster: &ClusterName, schedulable: bool) -> DeviceResult<()> {
        let asking = self.api(cluster, "failed to set whether masters are schedulable").await?;
        let failed = |error| asking.failed(error);
        if asking.api.scheduler().await.map_err(failed)? == schedulable {
            return Ok(());
        }
        let change = json!({"spec": {"mastersSchedulable": schedulable}});
        self.record(cluster, format!("PATCH schedulers/cluster {change}"));
        asking.api.patch_scheduler(&change).await.map_err(failed)?;
        match asking.api.scheduler().await.map_err(failed)? {
            is if is == schedulable => Ok(()),
            _ => Err(failed(KubernetesError::NotKept { what: "schedulers/cluster".to_owned() })),
        }
    }

    async fn ingress_nodes(&self, cluster: &ClusterName) -> DeviceResult<Vec<String>> {
        let asking = self.api(cluster, "failed to read the routers").await?;
        let pods = asking.api.list::<Pod>(Some(INGRESS), ListParams::default().labels(ROUTER_LABEL)).await;
        let pods = pods.map_err(|error| asking.failed(error))?;
        let mut nodes: Vec<String> = pods.iter().filter_map(objects::ready_on).collect();
        nodes.sort();
        nodes.dedup();
        Ok(nodes)
    }

    async fn ingress_is_restarting(&self, cluster: &ClusterName) -> DeviceResult<bool> {
        let asking = self.api(cluster, "failed to read whether the routers restart").await?;
        let routers = asking.api.get::<Deployment>(Some(INGRESS), ROUTERS).await;
        // While nobody has made them, there are none to be made anew.
        Ok(routers.map_err(|error| asking.failed(error))?.as_ref().is_some_and(objects::is_rolling_out))
    }

    async fn restart_ingress(&self, cluster: &ClusterName, token: &str) -> DeviceResult<()> {
        let asking = self.api(cluster, "failed to restart the routers").await?;
        let failed = |error| asking.failed(error);
        let is_done = |found: Option<Deployment>| {
            let found = found.ok_or(KubernetesError::Missing { what: format!("deployments/{ROUTERS}") })?;
            let annotations = found.spec.and_then(|spec| spec.template.metadata).and_then(|meta| meta.annotations);
            Ok(annotations.is_some_and(|annotations| annotations.get(RESTARTED_AT).is_some_and(|is| is == token)))
        };
        let read = || asking.api.get::<Deployment>(Some(INGRESS), ROUTERS);
        if read().await.and_then(is_done).map_err(failed)? {
            return Ok(());
        }
        let change = json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: token}}}}});
        self.record(cluster, format!("PATCH deployments/{ROUTERS} {change}"));
        asking.api.patch::<Deployment>(Some(INGRESS), ROUTERS, &change).await.map_err(failed)?;
        match read().await.and_then(is_done).map_err(failed)? {
            true => Ok(()),
            false => Err(failed(KubernetesError::NotKept { what: format!("deployments/{ROUTERS}") })),
        }
    }

    async fn install_is_complete(&self, cluster: &ClusterName) -> DeviceResult<bool> {
        let asking = self.api(cluster, "failed to read whether the installation is complete").await?;
        let version = asking.api.get_of(CLUSTER_VERSIONS, "version").await;
        // While nobody has made the version, it is not installed.
        Ok(version.map_err(|error| asking.failed(error))?.as_ref().is_some_and(objects::is_available))
    }
}
