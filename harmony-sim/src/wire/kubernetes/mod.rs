//! A cluster's API and its machine config servers over HTTPS, in front of a [`ClusterState`].
//!
//! Owns how Kubernetes and OpenShift say what the state knows. What is true, and what follows from a change, is the
//! state's. Several machines of one cluster answer for the same [`KubernetesApi`], each with what its own [`Server`]
//! would say. Deliberately absent: most resources, admission, other groups of users than administrators.
//!
//! Read next: `answer` for what can be asked, `change` for what can be changed, `access` for who may, `store` for
//! versions and watches, `objects` for what things look like, `machine_config` for what Ignition is told.
//! Source: Kubernetes API reference 1.32, "API concepts"; openshift/api `config/v1`, `machineconfiguration/v1`.

mod access;
mod answer;
mod certificates;
mod change;
mod csr;
mod machine_config;
mod objects;
mod resource;
mod status;
mod store;
mod watch;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use harmony_core::secret::Secret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use certificates::{ClusterKeys, KeyPairPem, serving_certificate};
pub use machine_config::serve_machine_config;

use super::https::{self, Certificate, CertificateError};
use crate::cluster::{ClusterState, Input, MachineConfigReply, NoRequest, Server};
use access::Admission;
use resource::Resource;
use status::Refusal;
use store::Store;

/// Where a cluster's state is, and what time it is there.
pub trait ClusterAccess: Send + Sync + 'static {
    /// Does something with the state, at this time.
    fn with(&self, work: &mut dyn FnMut(&mut ClusterState, Duration));

    /// Brings something to the cluster from outside, now.
    ///
    /// # Errors
    /// [`NoRequest`], where a request is named that is not there.
    fn take(&self, input: Input) -> Result<(), NoRequest> {
        ask(self, |state, now| state.take(now, &input)).unwrap_or(Ok(()))
    }

    /// What a machine config server answers for a pool; nothing, where none runs.
    fn machine_config(&self, server: &Server, pool: &str) -> Option<MachineConfigReply> {
        ask(self, |state, now| state.machine_config(now, server, pool)).flatten()
    }
}

/// A cluster that is in nobody's world.
pub struct OwnCluster {
    state: Mutex<ClusterState>,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
}

impl OwnCluster {
    /// A state whose time this clock tells.
    #[must_use]
    pub fn new(state: ClusterState, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { state: Mutex::new(state), clock: Box::new(clock) }
    }

    /// Does something with the state, now.
    pub fn ask<R>(&self, work: impl FnOnce(&mut ClusterState, Duration) -> R) -> R {
        let now = (self.clock)();
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

impl ClusterAccess for OwnCluster {
    fn with(&self, work: &mut dyn FnMut(&mut ClusterState, Duration)) {
        self.ask(|state, now| work(state, now));
    }
}

impl fmt::Debug for OwnCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnCluster").finish_non_exhaustive()
    }
}

/// Asks a cluster's state.
fn ask<R>(access: &(impl ClusterAccess + ?Sized), work: impl FnOnce(&mut ClusterState, Duration) -> R) -> Option<R> {
    let (mut work, mut answer) = (Some(work), None);
    access.with(&mut |state, now| answer = work.take().map(|work| work(state, now)));
    answer
}

/// The API of one cluster, whichever of its machines answers.
pub struct KubernetesApi {
    access: Arc<dyn ClusterAccess>,
    admission: Admission,
    store: Mutex<Store>,
}

impl KubernetesApi {
    /// The API of a cluster, for administrators: whoever has a certificate in the group `system:masters` that one of
    /// these authorities (in PEM) has signed, or one of these bearer tokens.
    ///
    /// # Errors
    /// [`CertificateError`], if an authority is none.
    pub fn new(
        access: Arc<dyn ClusterAccess>,
        client_authorities: &str,
        tokens: Vec<Secret>,
    ) -> Result<Arc<Self>, CertificateError> {
        let admission = Admission::new(client_authorities, tokens)?;
        Ok(Arc::new(Self { access, admission, store: Mutex::default() }))
    }

    fn ask<R>(&self, work: impl FnOnce(&mut ClusterState, Duration) -> R) -> Option<R> {
        ask(&*self.access, work)
    }

    fn take(&self, input: Input) -> Result<(), Refusal> {
        self.access.take(input).map_err(|missing| Refusal::not_found(&missing.to_string()))
    }

    /// Does something with the objects of a resource as they are now.
    fn store<R>(&self, resource: Resource, work: impl FnOnce(&mut Store) -> R) -> R {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let objects = self.ask(|state, now| objects::all(resource, state, now, &mut store));
        store.refresh(resource, objects.unwrap_or_default());
        work(&mut store)
    }
}

impl fmt::Debug for KubernetesApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesApi").finish_non_exhaustive()
    }
}

/// One machine that answers for an API.
#[derive(Clone)]
struct Front {
    api: Arc<KubernetesApi>,
    server: Server,
}

/// Answers for the API on one machine until it is told to stop. While no API runs there, whoever asks is cut off.
pub async fn serve_api(
    api: Arc<KubernetesApi>,
    server: Server,
    listener: TcpListener,
    certificate: Certificate,
    stop: CancellationToken,
) {
    https::serve(listener, certificate, api_routes(api, server), stop).await;
}

/// What answers for the API on one machine.
pub(crate) fn api_routes(api: Arc<KubernetesApi>, server: Server) -> Router {
    Router::new().fallback(answer::answer).with_state(Front { api, server })
}
