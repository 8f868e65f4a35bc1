//! An API that answers as a test wants it to.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use harmony_core::capability::CertificateRequest;
use harmony_sim::wire::https::{Cut, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::site::Authority;

/// What it answers; nothing lets the connection end.
pub(crate) type Script = dyn Fn(&str, &str) -> Option<(u16, Body)> + Send + Sync;

pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    _until: DropGuard,
}

impl Service {
    /// Answers by method and path, with a certificate of this authority.
    pub(crate) async fn start(
        authority: &Authority,
        script: impl Fn(&str, &str) -> Option<(u16, Body)> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let script: Arc<Script> = Arc::new(script);
        let app = Router::new().fallback(move |request: Request| {
            let answer = script(request.method().as_str(), request.uri().path());
            async move {
                match answer {
                    Some((status, body)) => {
                        let mut response = Response::new(body);
                        *response.status_mut() = status.try_into().expect("a status");
                        response
                    }
                    None => {
                        let mut response = Response::default();
                        response.extensions_mut().insert(Cut);
                        response
                    }
                }
            }
        });
        tokio::spawn(serve(listener, authority.server("api.ocp4.example.com"), app, stop.clone()));
        Self { address, _until: stop.drop_guard() }
    }
}

pub(crate) fn text(status: u16, body: impl Into<Body>) -> Option<(u16, Body)> {
    Some((status, body.into()))
}

pub(crate) fn object(status: u16, body: &Value) -> Option<(u16, Body)> {
    text(status, body.to_string())
}

/// A certificate request as an API tells of it.
pub(crate) fn request(name: &str, uid: &str, pem: &str) -> Value {
    use base64::Engine;
    json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": name, "uid": uid, "resourceVersion": "7"},
        "spec": {
            "request": base64::prelude::BASE64_STANDARD.encode(pem), "signerName": "kubernetes.io/kubelet-serving",
            "username": "system:node:a", "groups": [], "usages": ["server auth"],
        },
        "status": {},
    })
}

pub(crate) fn list(items: &[Value]) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": items})
}

pub(crate) fn only(requests: Vec<CertificateRequest>) -> CertificateRequest {
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests.into_iter().next().expect("one")
}
