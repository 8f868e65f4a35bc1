//! HTTP: which path is answered by what, and how a refusal is told.
//!
//! | path | what |
//! |---|---|
//! | `GET /boot.ipxe` | the boot chain, which DHCP hands to iPXE |
//! | `GET /ipxe/chain?uuid=…&mac=…&serial=…` | the script for this machine ([`chain`]) |
//! | `GET /ipxe/default.ipxe`, `GET /ipxe/{mac}.ipxe` | the script for unknown machines, for one MAC |
//! | `GET /agent/…`, `GET /ks/inventory.ks` | what the inventory environment fetches ([`live`]) |
//! | `POST /announce` | the agent announces itself ([`announce`]) |
//! | `GET /answer/{host}/{number}/{token}` | an order's answer file, once ([`answer`]) |
//! | `GET\|POST /progress/{host}/{number}/{key}/{event}` | what an installer tells ([`progress`]) |
//! | `GET\|HEAD /os/{path}` | static files ([`assets`]) |
//! | `GET /healthz` | `ok` and which server this is, anew at each start |

mod announce;
mod answer;
mod assets;
mod chain;
mod live;
mod progress;
mod query;
mod range;
mod refusal;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use harmony_core::boot::{BootEventKind, Order};
use harmony_core::clock::SharedClock;
use harmony_core::store::{SharedStore, StoreResult};
use harmony_templates::{BootChain, TemplateError, boot_chain, urls};
use uuid::Uuid;

use crate::agent::Agent;
use crate::evidence::Evidence;
use crate::files::Root;
use crate::{BootConfig, BootError};
use refusal::Refusal;

/// Who asks: the address of the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client(pub(crate) IpAddr);

/// What all handlers share.
pub(crate) struct Boot {
    config: BootConfig,
    base_url: String,
    boot_chain: String,
    assets: Root,
    agent: Agent,
    store: SharedStore,
    clock: SharedClock,
    evidence: Arc<Evidence>,
    /// Tells this server from any other that may answer at its address, now or later.
    pub(crate) instance: Uuid,
}

impl Boot {
    /// Renders what does not depend on a host, so that a bad configuration is found at the start.
    pub(crate) fn new(
        config: BootConfig,
        base_url: String,
        assets: Root,
        agent: Agent,
        store: SharedStore,
        clock: SharedClock,
        evidence: Arc<Evidence>,
    ) -> Result<Arc<Self>, BootError> {
        let boot_chain = boot_chain(&BootChain { base_url: &base_url })?;
        let instance = Uuid::new_v4();
        let boot = Self { config, base_url, boot_chain, assets, agent, store, clock, evidence, instance };
        boot.inventory_script(None)?;
        if matches!(boot.config.live, harmony_templates::LiveEnvironment::Anaconda { .. }) {
            boot.kickstart()?;
        }
        Ok(Arc::new(boot))
    }

    /// Whether an order's installer may ask from this address: the order's script was last fetched
    /// from there, or it is reserved for the host.
    async fn is_at(&self, order: &Order, client: IpAddr) -> StoreResult<bool> {
        if order.address == client {
            return Ok(true);
        }
        let events = self.store.boot_events(&order.id.host, Some(order.issued_at)).await?;
        let script = events
            .iter()
            .rev()
            .find(|event| event.kind == BootEventKind::InstallScript && event.order.as_ref() == Some(&order.id));
        Ok(script.and_then(|event| event.address) == Some(client))
    }
}

/// All routes.
pub(crate) fn router(boot: Arc<Boot>) -> Router {
    Router::new()
        .route("/healthz", get(async |State(boot): State<Arc<Boot>>| format!("ok {}\n", boot.instance)))
        .route(urls::BOOT_CHAIN, get(async |State(boot): State<Arc<Boot>>| script(boot.boot_chain.clone())))
        .route(urls::CHAIN, only_get(get(chain::by_identity)))
        .route("/ipxe/{file}", only_get(get(chain::by_file)))
        .route(urls::AGENT, get(live::agent))
        .route(urls::AGENT_SHA256, get(live::agent_sha256))
        .route(urls::AUTHORIZED_KEYS, get(live::authorized_keys))
        .route(urls::INVENTORY_KS, get(live::inventory_ks))
        .route(urls::ANNOUNCE, axum::routing::post(announce::announce))
        .route("/answer/{host}/{number}/{token}", only_get(get(answer::answer)))
        .route("/progress/{host}/{number}/{key}/{event}", only_get(get(progress::progress).post(progress::progress)))
        .route("/os/{*path}", get(assets::asset))
        .fallback(any(nothing))
        .with_state(boot)
}

/// axum gives HEAD to the handler of GET; where a request has an effect, it must not.
fn only_get(routes: MethodRouter<Arc<Boot>>) -> MethodRouter<Arc<Boot>> {
    routes.head(async || StatusCode::METHOD_NOT_ALLOWED)
}

async fn nothing(
    State(boot): State<Arc<Boot>>,
    axum::Extension(client): axum::Extension<Client>,
    request: Request,
) -> Response {
    let refusal = Refusal::new(StatusCode::NOT_FOUND, "there is nothing here");
    boot.refuse(client, request.uri().path(), refusal).await
}

/// A text that must be fetched anew each time.
fn text(content_type: &'static str, text: impl Into<axum::body::Body>) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An iPXE script.
fn script(script: String) -> Response {
    text("text/plain; charset=utf-8", script)
}

impl From<TemplateError> for Refusal {
    fn from(error: TemplateError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, harmony_core::error::chain(&error))
    }
}

/// Whether the body of the answer is wanted.
fn is_head(method: &Method) -> bool {
    *method == Method::HEAD
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = text("text/plain; charset=utf-8", format!("{}\n", self.reason()));
        *response.status_mut() = self.status();
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("3"));
        }
        response
    }
}
