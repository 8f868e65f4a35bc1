//! The approval of the very request that was decided on.
//!
//! What a request asks for cannot be changed, but it can be deleted, and another made under its name. So the unique id of
//! each is kept when it is read, and compared before it is approved; between that and the approval the version guards.
//! Source: Kubernetes documentation, "Certificates and Certificate Signing Requests".

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use harmony_core::capability::{CertificateRequest, CsrState};
use harmony_core::cluster::ClusterName;
use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::api::Api;
use super::error::KubernetesError;
use super::request;

/// What is told as the reason of an approval.
const REASON: &str = "HarmonyApprove";

/// Which request, by its unique id, was behind each name when the requests were last read.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<BTreeMap<ClusterName, BTreeMap<String, String>>>);

impl Seen {
    /// Keeps the requests that were read.
    pub(super) fn keep(&self, cluster: &ClusterName, found: &[CertificateSigningRequest]) {
        let ids = found.iter().filter_map(|request| {
            let metadata = &request.metadata;
            Some((metadata.name.clone()?, metadata.uid.clone()?))
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(cluster.clone(), ids.collect());
    }

    fn id(&self, cluster: &ClusterName, name: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(cluster)?.get(name).cloned()
    }
}

/// Approves a request, unless it is approved already. `record` notes that something is about to be sent.
pub(super) async fn approve(
    api: &Api,
    seen: &Seen,
    cluster: &ClusterName,
    wanted: &CertificateRequest,
    record: impl FnOnce(),
) -> Result<(), KubernetesError> {
    let id = seen.id(cluster, &wanted.name).ok_or(KubernetesError::Unread)?;
    let read = || async {
        let found = api.get::<CertificateSigningRequest>(None, &wanted.name).await?;
        let found = found.ok_or(KubernetesError::Changed { what: "it is gone" })?;
        same(&found, &id, wanted)?;
        Ok(found)
    };
    let mut found: CertificateSigningRequest = read().await?;
    match request::state(&found) {
        CsrState::Approved => return Ok(()),
        CsrState::Denied => return Err(KubernetesError::Changed { what: "it was denied" }),
        CsrState::Pending => {}
    }
    let now = Some(Time(Timestamp::now()));
    let conditions = found.status.get_or_insert_default().conditions.get_or_insert_default();
    conditions.push(CertificateSigningRequestCondition {
        type_: "Approved".to_owned(),
        status: "True".to_owned(),
        reason: Some(REASON.to_owned()),
        message: Some("It is the request of a host with an order.".to_owned()),
        last_update_time: now.clone(),
        last_transition_time: now,
    });
    record();
    api.replace_part("approval", &wanted.name, &found).await?;
    match request::state(&read().await?) {
        CsrState::Approved => Ok(()),
        _ => Err(KubernetesError::NotKept { what: format!("certificatesigningrequests/{}", wanted.name) }),
    }
}

fn same(found: &CertificateSigningRequest, id: &str, wanted: &CertificateRequest) -> Result<(), KubernetesError> {
    if found.metadata.uid.as_deref() != Some(id) {
        return Err(KubernetesError::Changed { what: "another was made under its name" });
    }
    let found = CertificateRequest { state: wanted.state, ..request::read(found) };
    if found == *wanted { Ok(()) } else { Err(KubernetesError::Changed { what: "it asks for something else" }) }
}
