//! A Kubernetes API of a few resources, over HTTPS with the certificate that `bootstrap.ign` carries, for clients whose
//! certificate the cluster's authorities have signed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::work::{carried, json};

pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    answers: Arc<Mutex<BTreeMap<String, Value>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Api {
    /// The API of the cluster whose artefacts are in a folder.
    pub(crate) async fn of(folder: &Path) -> Self {
        let bootstrap = json(&folder.join("bootstrap.ign"));
        let pem = |name: &str| carried(&bootstrap, &format!("/opt/openshift/tls/{name}")).expect(name).into_bytes();
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(&pem("kube-apiserver-complete-client-ca-bundle.crt")) {
            roots.add(authority.expect("PEM")).expect("an authority");
        }
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let chain =
            CertificateDer::pem_slice_iter(&pem("kube-apiserver-lb-server.crt")).map(|c| c.expect("PEM")).collect();
        let key = PrivateKeyDer::from_pem_slice(&pem("kube-apiserver-lb-server.key")).expect("PEM");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(clients.build().expect("a verifier"))
            .with_single_cert(chain, key)
            .expect("a certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let answers = Arc::new(Mutex::new(BTreeMap::new()));
        let served = Arc::clone(&answers);
        let app = axum::Router::new().fallback(move |uri: Uri| {
            let found = served.lock().expect("no panic").get(uri.path()).cloned();
            async move {
                found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |value: Value| Json(value).into_response())
            }
        });
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(app.clone()));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let builder = hyper::server::conn::http1::Builder::new();
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, answers, serving }
    }

    pub(crate) fn answer(&self, path: &str, value: Value) {
        self.answers.lock().expect("no panic").insert(path.to_owned(), value);
    }

    pub(crate) fn is_up(&self) {
        self.answer("/version", json!({ "major": "1", "minor": "32", "gitVersion": "v1.32.5" }));
    }

    pub(crate) fn bootstrap_is_complete(&self) {
        self.answer("/api/v1/namespaces/kube-system/configmaps/bootstrap", json!({ "data": { "status": "complete" } }));
    }

    pub(crate) fn operators(&self, conditions: Value) {
        let item = json!({ "metadata": { "name": "etcd" }, "status": { "conditions": conditions } });
        self.answer("/apis/config.openshift.io/v1/clusteroperators", json!({ "items": [item] }));
    }

    pub(crate) fn version_is(&self, conditions: Value) {
        self.answer(
            "/apis/config.openshift.io/v1/clusterversions/version",
            json!({ "status": { "conditions": conditions } }),
        );
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(crate) fn conditions(rows: &[(&str, &str, &str)]) -> Value {
    rows.iter()
        .map(|(kind, status, message)| json!({ "type": kind, "status": status, "reason": "R", "message": message }))
        .collect()
}
