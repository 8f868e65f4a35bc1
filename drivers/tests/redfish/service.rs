//! A Redfish service of given resources, which remembers what is asked and can be told to answer otherwise.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use harmony_core::host::BmcId;
use harmony_drivers::WriteLog;
use harmony_drivers::bmc::redfish::{Redfish, RedfishSpec};
use harmony_sim::wire::https::{Certificate, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::rack::{PATIENCE, spec};

/// The password that the driver has.
pub(crate) const PASSWORD: &str = "s3cret-pw";

/// A request, as an interceptor sees it.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
    /// How often this was asked before.
    pub(crate) before: usize,
}

type Interceptor = Box<dyn FnMut(&Asked<'_>, &mut BTreeMap<String, Value>) -> Option<Response> + Send>;

struct Inner {
    resources: BTreeMap<String, Value>,
    asked: Vec<String>,
    intercept: Interceptor,
}

/// A service on a loopback port.
pub(crate) struct Service {
    inner: Arc<Mutex<Inner>>,
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    pub(crate) certificate: Certificate,
    pub(crate) writes: WriteLog,
    _until: DropGuard,
}

/// A small BMC: a session service, one system with one NIC.
pub(crate) fn small() -> BTreeMap<String, Value> {
    let system = "/redfish/v1/Systems/1";
    let resources = [
        json!({"@odata.id": "/redfish/v1", "Vendor": "Contoso", "Systems": {"@odata.id": "/redfish/v1/Systems"},
            "Links": {"Sessions": {"@odata.id": "/redfish/v1/SessionService/Sessions"}}}),
        json!({"@odata.id": "/redfish/v1/SessionService/Sessions", "Members": []}),
        json!({"@odata.id": "/redfish/v1/Systems", "Members": [{"@odata.id": system}]}),
        json!({"@odata.id": system, "PowerState": "On", "UUID": "00112233-4455-6677-8899-aabbccddeeff",
            "Boot": {"BootSourceOverrideTarget": "None", "BootSourceOverrideEnabled": "Disabled"},
            "Actions": {"#ComputerSystem.Reset": {"target": format!("{system}/Actions/ComputerSystem.Reset")}},
            "EthernetInterfaces": {"@odata.id": format!("{system}/EthernetInterfaces")}}),
        json!({"@odata.id": format!("{system}/EthernetInterfaces"), "Members": [{"@odata.id": format!("{system}/EthernetInterfaces/1")}]}),
        json!({"@odata.id": format!("{system}/EthernetInterfaces/1"), "Id": "1", "MACAddress": "52:54:00:00:00:01"}),
    ];
    by_path(resources)
}

/// Resources by their own `@odata.id`; of several with the same one, the richest.
pub(crate) fn by_path(resources: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::<String, Value>::new();
    let size = |resource: &Value| resource.as_object().map_or(0, serde_json::Map::len);
    for resource in resources {
        let Some(path) = resource.get("@odata.id").and_then(Value::as_str) else { continue };
        let path = path.trim_end_matches('/').to_owned();
        if found.get(&path).is_none_or(|other| size(other) < size(&resource)) {
            found.insert(path, resource);
        }
    }
    found
}

/// An error with a message.
pub(crate) fn refusal(status: StatusCode, id: &str, text: &str) -> Response {
    let info = json!([{"MessageId": id, "Message": text}]);
    (status, axum::Json(json!({"error": {"@Message.ExtendedInfo": info}}))).into_response()
}

impl Service {
    /// Serves these resources as they are.
    pub(crate) async fn of(resources: BTreeMap<String, Value>) -> Self {
        Self::with(resources, |_, _| None).await
    }

    /// Serves these resources, and whatever the interceptor puts in their place.
    pub(crate) async fn with(
        resources: BTreeMap<String, Value>,
        intercept: impl FnMut(&Asked<'_>, &mut BTreeMap<String, Value>) -> Option<Response> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("password"), format!("{PASSWORD}\n")).expect("written");
        let inner = Arc::new(Mutex::new(Inner { resources, asked: Vec::new(), intercept: Box::new(intercept) }));
        let (certificate, stop) = (Certificate::self_signed("127.0.0.1").expect("made"), CancellationToken::new());
        let app = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        tokio::spawn(serve(listener, certificate.clone(), app, stop.clone()));
        Self { inner, folder, port, certificate, writes: WriteLog::default(), _until: stop.drop_guard() }
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn bmc(&self) -> Redfish {
        self.bmc_with(|_| ())
    }

    pub(crate) fn bmc_with(&self, change: impl FnOnce(&mut RedfishSpec)) -> Redfish {
        let mut spec = spec(self.port, &self.folder().join("password"));
        change(&mut spec);
        Redfish::new(id(), spec, self.folder(), self.writes.clone()).with_patience(PATIENCE)
    }

    /// What was asked, `GET /redfish/v1/`, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }

    /// How often that was asked.
    pub(crate) fn count(&self, asked: &str) -> usize {
        self.asked().iter().filter(|one| *one == asked).count()
    }

    pub(crate) fn sent(&self) -> Vec<String> {
        self.writes.entries().into_iter().map(|write| write.command).collect()
    }
}

pub(crate) fn id() -> BmcId {
    "node-a".parse().expect("valid")
}

async fn answer(State(inner): State<Arc<Mutex<Inner>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Value = serde_json::from_slice(&to_bytes(body, 1 << 20).await.expect("a body")).unwrap_or_default();
    let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
    let line = format!("{} {}", parts.method, parts.uri);
    let before = inner.asked.iter().filter(|one| **one == line).count();
    inner.asked.push(line);
    let Inner { resources, intercept, .. } = &mut *inner;
    let path = parts.uri.path().trim_end_matches('/');
    let asked = Asked { method: &parts.method, path, headers: &parts.headers, before };
    intercept(&asked, resources).unwrap_or_else(|| usual(&asked, resources, &body))
}

/// What a service does that follows the standard.
fn usual(asked: &Asked<'_>, resources: &mut BTreeMap<String, Value>, body: &Value) -> Response {
    let path = asked.path;
    match *asked.method {
        Method::GET => match resources.get(path) {
            Some(resource) => axum::Json(resource.clone()).into_response(),
            None => refusal(StatusCode::NOT_FOUND, "Base.1.4.ResourceMissingAtURI", path),
        },
        Method::POST if path.ends_with("/Sessions") && resources.contains_key(path) => {
            let location = format!("{path}/1");
            (
                StatusCode::CREATED,
                [(header::LOCATION, location.as_str()), (header::HeaderName::from_static("x-auth-token"), "t0ken")],
            )
                .into_response()
        }
        Method::DELETE => StatusCode::NO_CONTENT.into_response(),
        Method::PATCH => {
            let Some(resource) = resources.get_mut(path) else { return StatusCode::NOT_FOUND.into_response() };
            for (key, value) in body["Boot"].as_object().into_iter().flatten() {
                resource["Boot"][key] = value.clone();
            }
            StatusCode::NO_CONTENT.into_response()
        }
        Method::POST => {
            let system = path.split("/Actions/").next().unwrap_or_default();
            let Some(resource) = resources.get_mut(system) else { return StatusCode::NOT_FOUND.into_response() };
            let is_off = body["ResetType"] == "ForceOff";
            resource["PowerState"] = json!(if is_off { "Off" } else { "On" });
            StatusCode::NO_CONTENT.into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}
