//! What can be changed in an API: the decision on a request, the scheduler, the routers' restart.

use axum::http::{Method, StatusCode};
use serde_json::Value;

use super::KubernetesApi;
use super::objects::{ROUTERS, SCHEDULER};
use super::resource::{Resource, Target};
use super::status::Refusal;
use crate::cluster::{Input, RESTARTED_AT};

/// Carries out a change, and says what became of the object.
pub(super) fn change(
    api: &KubernetesApi,
    method: &Method,
    content: &str,
    target: Target<'_>,
    body: &Value,
) -> Result<Value, Refusal> {
    let resource = target.resource;
    let refused = |text: &str| Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", text);
    let name = target.name.ok_or_else(|| refused("the server does not allow this method on the requested resource"))?;
    let current = api.store(resource, |store| store.object(resource, name).cloned());
    let current = current.ok_or_else(|| Refusal::not_found(&resource.called(name)))?;
    is_current(&current, body, &resource.called(name))?;
    let is_merge = *method == Method::PATCH && content.contains("merge-patch+json");
    match (resource, target.part, name) {
        (Resource::CertificateRequests, Some("approval"), _) if is_merge || *method == Method::PUT => {
            decide(api, name, body)?;
        }
        (Resource::Schedulers, None, SCHEDULER) if is_merge => {
            let schedulable = body.pointer("/spec/mastersSchedulable").and_then(Value::as_bool);
            let schedulable = schedulable.ok_or_else(|| Refusal::bad_request("spec.mastersSchedulable"))?;
            api.take(Input::MastersSchedulable(schedulable))?;
        }
        (Resource::IngressDeployments, None, ROUTERS) if is_merge => {
            let annotations = body.pointer("/spec/template/metadata/annotations");
            let token = annotations.and_then(|annotations| annotations.get(RESTARTED_AT)).and_then(Value::as_str);
            let token = token.ok_or_else(|| Refusal::bad_request(format!("annotation {RESTARTED_AT}")))?;
            api.take(Input::RestartIngress(token.to_owned()))?;
        }
        _ => return Err(refused("the server does not allow this method on the requested resource")),
    }
    let changed = api.store(resource, |store| store.object(resource, name).cloned());
    changed.ok_or_else(|| Refusal::not_found(&resource.called(name)))
}

/// Refuses a change of something that has changed since it was read, where the change says what was read.
fn is_current(current: &Value, body: &Value, what: &str) -> Result<(), Refusal> {
    for field in ["/metadata/resourceVersion", "/metadata/uid"] {
        let read = body.pointer(field).and_then(Value::as_str).filter(|read| !read.is_empty());
        if read.is_some() && read != current.pointer(field).and_then(Value::as_str) {
            return Err(Refusal::conflict(what));
        }
    }
    Ok(())
}

fn decide(api: &KubernetesApi, name: &str, body: &Value) -> Result<(), Refusal> {
    let conditions = body.pointer("/status/conditions").and_then(Value::as_array);
    let has = |kind: &str| {
        conditions.is_some_and(|conditions| {
            conditions.iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
        })
    };
    match (has("Approved"), has("Denied")) {
        (true, false) => api.take(Input::Approve(name.to_owned())),
        (false, true) => api.take(Input::Deny(name.to_owned())),
        _ => Err(Refusal::bad_request("status.conditions: Approved or Denied")),
    }
}
