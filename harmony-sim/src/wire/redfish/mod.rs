//! A BMC's Redfish service over HTTPS, in front of one machine of the world.
//!
//! Shapes and manners are those of the BMC's personality; what is asked and done goes through the same
//! state as in process (`crate::bmc`), so writes are recorded and faults strike. Sessions, tasks and the
//! words of a boot override are the service's own. Time in it is world time.
//!
//! Read next: `access` for who is let in, `resources` for what there is, `change` for what can be done,
//! `manners` for what vendors do otherwise. Source: DMTF DSP0266; recorded resources of an iDRAC and of a
//! Supermicro X10.

mod access;
mod change;
mod manners;
mod refusal;
mod resources;
mod tasks;

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use harmony_core::host::BmcId;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Credentials;
use super::https::{self, Certificate};
use crate::spec::BmcPersonality;
use crate::world::Shared;
use access::Sessions;
use refusal::Refusal;
use tasks::Tasks;

/// Largest request that is read, in bytes.
const MAX_REQUEST_BYTES: usize = 64 << 10;

/// One BMC.
struct Service {
    world: Arc<Shared>,
    bmc: BmcId,
    /// Index of the machine behind it.
    machine: usize,
    personality: BmcPersonality,
    credentials: Credentials,
    /// Where it says that it is: some BMCs send absolute locations.
    base: String,
    own: Mutex<Own>,
}

/// What is the service's own.
#[derive(Default)]
struct Own {
    sessions: Sessions,
    tasks: Tasks,
    /// The words in which the boot override was set.
    target: Option<&'static str>,
    http_uri: Option<String>,
}

impl Service {
    fn own<R>(&self, work: impl FnOnce(&mut Own) -> R) -> R {
        work(&mut self.own.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Path of the one system.
    fn system(&self) -> String {
        format!("/redfish/v1/Systems/{}", self.personality.system_id())
    }
}

/// Answers for a BMC until it is told to stop. A BMC that the world does not have answers nothing.
pub(crate) async fn serve(
    world: Arc<Shared>,
    bmc: BmcId,
    listener: TcpListener,
    certificate: Certificate,
    credentials: Credentials,
    stop: CancellationToken,
) {
    let (Ok(machine), Ok(address)) = (world.with(|state| state.behind(&bmc)), listener.local_addr()) else { return };
    let personality = world.with(|state| state.machines[machine].bmc_personality);
    let base = format!("https://{address}");
    let own = Mutex::default();
    let service = Arc::new(Service { world, bmc, machine, personality, credentials, base, own });
    let app = Router::new().fallback(answer).with_state(service);
    https::serve(listener, certificate, app, stop).await;
}

async fn answer(State(service): State<Arc<Service>>, request: Request) -> Response {
    // Reads take the time that HTTPS takes; so they are answered while the world stands still.
    let mut response = match handle(&service, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    response.headers_mut().insert("OData-Version", HeaderValue::from_static("4.0"));
    response
}

async fn handle(service: &Service, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if service.personality.refuses_identity_encoding()
        && parts.headers.get(header::ACCEPT_ENCODING).is_some_and(|encoding| encoding == "identity")
    {
        return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "Base.1.4.HeaderInvalid", "Accept-Encoding"));
    }
    if path == "/redfish/v1" && service.personality.redirects_root() {
        return Ok((StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "/redfish/v1/")]).into_response());
    }
    let path = path.trim_end_matches('/');
    let is_login = parts.method == Method::POST && path == access::SESSIONS;
    let is_public = matches!(path, "/redfish" | "/redfish/v1") && parts.method == Method::GET;
    if !is_login && !is_public {
        access::check(service, &parts.headers)?;
    }
    let body = to_bytes(body, MAX_REQUEST_BYTES).await;
    let body = body.map_err(|_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "Base.1.4.PayloadTooLarge", ""))?;
    let parse = || {
        let value: Result<Value, _> = serde_json::from_slice(&body);
        value.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "Base.1.4.MalformedJSON", "The body is no JSON."))
    };
    match parts.method {
        Method::GET => resources::get(service, path, parts.uri.query()),
        Method::POST if is_login => access::log_in(service, &parse()?),
        Method::DELETE => access::log_out(service, path),
        Method::PATCH if path == service.system() => {
            change::patch(service, &parse()?, parts.headers.get(header::IF_MATCH)).await
        }
        Method::POST if path == format!("{}/Actions/ComputerSystem.Reset", service.system()) => {
            change::reset(service, &parse()?).await
        }
        _ => Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Base.1.4.OperationNotAllowed", path)),
    }
}

/// A resource as an answer.
fn json(status: StatusCode, value: &Value) -> Response {
    let body = Body::from(value.to_string());
    (status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
}
