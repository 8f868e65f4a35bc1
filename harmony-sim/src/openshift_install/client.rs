//! The little of a Kubernetes client that waiting needs: GET over HTTPS, with the kubeconfig's authority and client
//! certificate.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Time for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer, in bytes.
const MAX_BODY_BYTES: usize = 8 << 20;

/// The API of a cluster.
pub(super) struct Api {
    /// `https://api.ocp4.example.com:6443`.
    pub(super) url: String,
    host: String,
    port: u16,
    address: Option<(IpAddr, Option<u16>)>,
    tls: TlsConnector,
}

/// What it answered, or why it did not, as Go says it.
pub(super) type Answer = Result<Value, String>;

impl Api {
    /// Reads `auth/kubeconfig` of a folder.
    pub(super) fn of(dir: &Path, address: Option<(IpAddr, Option<u16>)>) -> Result<Self, String> {
        let text = std::fs::read_to_string(dir.join("auth/kubeconfig")).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "stat auth/kubeconfig: no such file or directory".to_owned(),
            _ => error.to_string(),
        })?;
        let value: Value = serde_saphyr::from_str(&text).map_err(|_| "invalid configuration".to_owned())?;
        let (cluster, user) = (&value["clusters"][0]["cluster"], &value["users"][0]["user"]);
        let url = cluster["server"].as_str().unwrap_or_default().to_owned();
        let (host, port) = url
            .strip_prefix("https://")
            .and_then(|place| place.split_once(':'))
            .ok_or("invalid configuration: no server")?;
        let (host, port) = (host.to_owned(), port.parse().map_err(|_| "invalid configuration: no port".to_owned())?);
        let pem = |value: &Value| STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
        let config = tls(
            &pem(&cluster["certificate-authority-data"]),
            &pem(&user["client-certificate-data"]),
            &pem(&user["client-key-data"]),
        );
        let tls = TlsConnector::from(Arc::new(config.ok_or("invalid configuration: certificates")?));
        Ok(Self { url, host, port, address, tls })
    }

    /// Asks for a resource.
    pub(super) async fn get(&self, path: &str) -> Answer {
        let said = |what: String| format!("Get \"{}{path}\": {what}", self.url);
        match tokio::time::timeout(ANSWER_TIMEOUT, self.ask(path)).await {
            Err(_) => {
                Err(said("net/http: request canceled (Client.Timeout exceeded while awaiting headers)".to_owned()))
            }
            Ok(Err(what)) => Err(said(what)),
            Ok(Ok((status, body))) if status.is_success() => {
                Ok(serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into()))
            }
            Ok(Ok((StatusCode::NOT_FOUND, _))) => Err("the server could not find the requested resource".to_owned()),
            Ok(Ok((status, _))) => {
                Err(said(format!("an error on the server ({status}) has prevented the request from succeeding")))
            }
        }
    }

    async fn ask(&self, path: &str) -> Result<(StatusCode, Bytes), String> {
        let stream = match self.address {
            Some((address, port)) => TcpStream::connect((address, port.unwrap_or(self.port))).await,
            None => TcpStream::connect((self.host.as_str(), self.port)).await,
        };
        let stream = stream.map_err(|error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => {
                format!("dial tcp {}:{}: connect: connection refused", self.host, self.port)
            }
            _ => format!("dial tcp: lookup {}: {error}", self.host),
        })?;
        let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| format!("tls: {error}"))?;
        let failed = |error: hyper::Error| error.to_string();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let request = Request::get(path)
            .header("host", format!("{}:{}", self.host, self.port))
            .header("accept", "application/json");
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(failed)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_BODY_BYTES)
                .collect()
                .await
                .map_err(|error| error.to_string())?;
            Ok((status, body.to_bytes()))
        };
        tokio::pin!(answer, connection);
        // The connection is driven until the answer is there; what becomes of it afterwards is nobody's concern.
        tokio::select! {
            answer = &mut answer => answer,
            ended = &mut connection => {
                ended.map_err(failed)?;
                answer.await
            }
        }
    }
}

fn tls(authorities: &[u8], certificate: &[u8], key: &[u8]) -> Option<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities) {
        roots.add(authority.ok()?).ok()?;
    }
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>().ok()?;
    let key = PrivateKeyDer::from_pem_slice(key).ok()?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    builder
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .ok()
}
