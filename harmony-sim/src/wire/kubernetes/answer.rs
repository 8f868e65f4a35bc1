//! What can be asked of an API.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::resource::{Resource, Target, target};
use super::status::Refusal;
use super::store::{Store, name_of};
use super::{Front, change, watch};
use crate::cluster::ApiStanding;
use crate::wire::https::{Cut, Peer};

/// Largest request that is read, in bytes. Source: kube-apiserver `MaxRequestBodyBytes`, 3 MiB.
const MAX_REQUEST_BYTES: usize = 3 << 20;

/// What a query says.
pub(super) struct Query {
    fields: BTreeMap<String, String>,
}

impl Query {
    fn of(text: &str) -> Self {
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self { fields: pairs.map(|(key, value)| (decode(key), decode(value))).collect() }
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn is_set(&self, key: &str) -> bool {
        matches!(self.get(key), Some("true" | "1"))
    }
}

/// Which objects are asked for.
#[derive(Debug, Default)]
pub(super) struct Selector {
    name: Option<String>,
    labels: Vec<(String, String)>,
}

impl Selector {
    fn of(query: &Query) -> Result<Self, Refusal> {
        let mut selector = Self::default();
        if let Some(text) = query.get("fieldSelector") {
            let name = text.strip_prefix("metadata.name=").map(|name| name.trim_start_matches('='));
            let name = name.ok_or_else(|| Refusal::bad_request(format!("field label not supported: {text}")))?;
            selector.name = Some(name.to_owned());
        }
        for text in query.get("labelSelector").into_iter().flat_map(|text| text.split(',')) {
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| Refusal::bad_request(format!("unable to parse requirement: {text}")))?;
            selector.labels.push((key.to_owned(), value.trim_start_matches('=').to_owned()));
        }
        Ok(selector)
    }

    pub(super) fn takes(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        let has = |(key, value): &(String, String)| labels.and_then(|labels| labels.get(key)) == Some(&json!(value));
        self.name.as_ref().is_none_or(|name| name_of(object) == name) && self.labels.iter().all(has)
    }
}

pub(super) async fn answer(State(front): State<Front>, request: Request) -> Response {
    let standing = front.api.ask(|state, now| state.api_standing(now, &front.server));
    match standing {
        Some(ApiStanding::Ready) => handle(front, request).await.unwrap_or_else(Refusal::into_response),
        // Etcd has no quorum: the server runs, and can say nothing else.
        Some(ApiStanding::NotReady) if is_health(request.uri().path()) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n")
                .into_response()
        }
        Some(ApiStanding::NotReady) => {
            let text = "etcdserver: request timed out";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", text).into_response()
        }
        Some(ApiStanding::Silent) | None => {
            let mut response = Response::default();
            response.extensions_mut().insert(Cut);
            response
        }
    }
}

fn is_health(path: &str) -> bool {
    matches!(path, "/readyz" | "/livez" | "/healthz")
}

async fn handle(front: Front, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if is_health(path) {
        return Ok("ok".into_response());
    }
    if path == "/version" {
        return Ok(Json(json!({"major": "1", "minor": "32", "gitVersion": "v1.32.5", "platform": "linux/amd64"}))
            .into_response());
    }
    front.api.admission.check(&parts.headers, parts.extensions.get::<Peer>())?;
    let target = target(path).ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
    })?;
    if parts.method == Method::GET {
        return read(front, &parts, target);
    }
    let body = to_bytes(body, MAX_REQUEST_BYTES).await;
    let too_much = |_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", "limit is 3145728");
    let body = serde_json::from_slice(&body.map_err(too_much)?);
    let body: Value = body.map_err(|error| Refusal::bad_request(error.to_string()))?;
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let object = change::change(&front.api, &parts.method, kind, target, &body)?;
    Ok(Json(object).into_response())
}

fn read(front: Front, parts: &Parts, target: Target<'_>) -> Result<Response, Refusal> {
    let resource = target.resource;
    if let Some(name) = target.name {
        let object = front.api.store(resource, |store| store.object(resource, name).cloned());
        return object
            .map(|object| Json(object).into_response())
            .ok_or_else(|| Refusal::not_found(&resource.called(name)));
    }
    let query = Query::of(parts.uri.query().unwrap_or_default());
    let selector = Selector::of(&query)?;
    if query.is_set("watch") {
        return watch::watch(front, resource, selector, &query);
    }
    let list = front.api.store(resource, |store| list(store, resource, &selector, &query))?;
    Ok(Json(list).into_response())
}

/// All objects that are asked for, or one page of them.
fn list(store: &Store, resource: Resource, selector: &Selector, query: &Query) -> Result<Value, Refusal> {
    let number = |key: &str| {
        let value = query.get(key).map(str::parse::<usize>).transpose();
        value.map_err(|_| Refusal::bad_request(format!("{key} is no number")))
    };
    let (limit, first) = (number("limit")?.filter(|limit| *limit > 0), number("continue")?.unwrap_or_default());
    let all: Vec<&Value> = store.objects(resource).filter(|object| selector.takes(object)).collect();
    let page: Vec<&Value> = all.iter().skip(first).take(limit.unwrap_or(usize::MAX)).copied().collect();
    let (next, mut metadata) = (first + page.len(), json!({"resourceVersion": store.version().to_string()}));
    if next < all.len() {
        metadata["continue"] = json!(next.to_string());
        metadata["remainingItemCount"] = json!(all.len() - next);
    }
    let kind = format!("{}List", resource.kind());
    Ok(json!({"apiVersion": resource.api_version(), "kind": kind, "metadata": metadata, "items": page}))
}
