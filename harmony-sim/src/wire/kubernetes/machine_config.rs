//! The machine config server: what Ignition is told on a node's first boot.
//!
//! Source: openshift/machine-config-operator `pkg/server/api.go`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::ClusterAccess;
use crate::cluster::Server;
use crate::wire::https::{self, Certificate, Cut};

/// Latest specification that it can write, and the one that it writes for whoever does not say.
const LATEST: &str = "3.5.0";
const OLDEST: &str = "2.2.0";

#[derive(Clone)]
struct Front {
    access: Arc<dyn ClusterAccess>,
    server: Server,
}

/// Answers for the machine config server of one machine until it is told to stop. While none runs there, whoever asks is
/// cut off.
pub async fn serve_machine_config(
    access: Arc<dyn ClusterAccess>,
    server: Server,
    listener: TcpListener,
    certificate: Certificate,
    stop: CancellationToken,
) {
    let app = Router::new().fallback(answer).with_state(Front { access, server });
    https::serve(listener, certificate, app, stop).await;
}

async fn answer(State(front): State<Front>, request: Request) -> Response {
    let path = request.uri().path();
    // Which pool is asked for does not matter to whether anybody listens.
    let pool = path.strip_prefix("/config/").unwrap_or("master");
    let Some(reply) = front.access.machine_config(&front.server, pool) else {
        let mut response = Response::default();
        response.extensions_mut().insert(Cut);
        return response;
    };
    let is_config = path.starts_with("/config/") && !pool.contains('/') && !pool.is_empty();
    if !is_config && path != "/healthz" {
        return StatusCode::NOT_FOUND.into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if path == "/healthz" {
        return StatusCode::OK.into_response();
    }
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = if status.is_success() { of_version(&reply.body, version(request.headers())) } else { String::new() };
    let headers =
        [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_LENGTH, body.len().to_string())];
    // The length is that of what GET would answer.
    let body = if *request.method() == Method::HEAD { Body::empty() } else { Body::from(body) };
    (status, headers, body).into_response()
}

/// The specification that a client understands: `application/vnd.coreos.ignition+json;version=3.4.0, */*;q=0.1`.
fn version(headers: &HeaderMap) -> &str {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let kind = accept.split(',').find(|kind| kind.trim().starts_with("application/vnd.coreos.ignition+json"));
    let version = kind.and_then(|kind| kind.split(';').find_map(|part| part.trim().strip_prefix("version=")));
    let version = version.map(|version| version.trim_matches('"'));
    match version {
        Some(version) if version.starts_with("3.") && version <= LATEST => version,
        Some(version) if version.starts_with("3.") => LATEST,
        _ => OLDEST,
    }
}

fn of_version(config: &str, version: &str) -> String {
    let Ok(mut config) = serde_json::from_str::<serde_json::Value>(config) else { return config.to_owned() };
    config["ignition"]["version"] = version.into();
    config.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_that_ignition_asks_for() {
        let of = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("a value"));
            version(&headers).to_owned()
        };
        assert_eq!(of("application/vnd.coreos.ignition+json;version=3.4.0, */*;q=0.1"), "3.4.0");
        assert_eq!(of("application/vnd.coreos.ignition+json; version=3.6.0"), LATEST);
        assert_eq!(of("*/*"), OLDEST);
        assert_eq!(version(&HeaderMap::new()), OLDEST);
    }
}
