//! What a member listens on: the ports of the API, of the machine config server, and of the routers.
//!
//! Whether anything answers there, and what, is the cluster's state; where it has nothing there, connections are cut.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use harmony_core::cluster::NodeKind;
use harmony_core::secret::Secret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Failure;
use super::exchange::{self, Door, Heard};
use super::history::History;
use super::settings::Settings;
use crate::cluster::Server;
use crate::services::{API, MACHINE_CONFIG};
use crate::wire::https::{self, Certificate};
use crate::wire::kubernetes::{KubernetesApi, api_routes, serve_machine_config, serving_certificate};

/// Ports of the routers that speak HTTP.
const ROUTER_HTTP: [u16; 2] = [80, 1936];
const ROUTER_HTTPS: u16 = 443;

/// Opens the ports of a machine's part.
pub(super) async fn open(
    settings: &Settings,
    history: &Arc<History>,
    heard: &Arc<Heard>,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let server = match settings.kind {
        NodeKind::Bootstrap => Some(Server::Bootstrap),
        NodeKind::Master => Some(Server::Master(Settings::own_name()?)),
        NodeKind::Worker => None,
    };
    if let Some(server) = server {
        let keys = settings.keys().ok_or("there are no keys for the API")?;
        let api = KubernetesApi::new(Arc::clone(history) as _, &keys.clients, Vec::new())?;
        let token = Secret::new(&settings.token);
        let door = Door { history: Arc::clone(history), heard: Arc::clone(heard), token };
        let members = Router::new().route(exchange::PATH, post(exchange::answer)).with_state(door);
        let app = members.fallback_service(api_routes(api, server.clone()));
        drop(tokio::spawn(https::serve(listen(API).await?, serving_certificate(&keys.api)?, app, stop.clone())));
        let (access, certificate) = (Arc::clone(history) as _, serving_certificate(&[keys.machine_config])?);
        let listener = listen(MACHINE_CONFIG).await?;
        drop(tokio::spawn(serve_machine_config(access, server, listener, certificate, stop.clone())));
    }
    if settings.kind != NodeKind::Bootstrap {
        let certificate = Certificate::self_signed(&settings.name("*.apps"))?;
        drop(tokio::spawn(https::serve(listen(ROUTER_HTTPS).await?, certificate, router(history)?, stop.clone())));
        for port in ROUTER_HTTP {
            let (listener, app) = (listen(port).await?, router(history)?);
            let until = stop.clone().cancelled_owned();
            drop(tokio::spawn(async move { axum::serve(listener, app).with_graceful_shutdown(until).await }));
        }
    }
    Ok(())
}

async fn listen(port: u16) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await;
    listener.map_err(|error| format!("failed to listen on port {port}: {error}").into())
}

/// A router that has no routes: what matters is whether it is there.
fn router(history: &Arc<History>) -> Result<Router, Failure> {
    let name = Settings::own_name()?;
    let state = (Arc::clone(history), name);
    Ok(Router::new().fallback(is_here).with_state(state))
}

async fn is_here(State((history, name)): State<(Arc<History>, String)>) -> StatusCode {
    if history.ask(|state, now| state.ingress_nodes(now)).contains(&name) {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}
