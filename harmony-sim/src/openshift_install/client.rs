//! The little of a Kubernetes client that waiting needs: GET over HTTPS, with the kubeconfig's authority and client
//! certificate.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::wire::https_client;

/// Time for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

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
        let own = (pem(&user["client-certificate-data"]), pem(&user["client-key-data"]));
        let tls = https_client::connector(&pem(&cluster["certificate-authority-data"]), Some((&own.0, &own.1)));
        let tls = tls.ok_or("invalid configuration: certificates")?;
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
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        https_client::get(stream, &self.tls, (&self.host, self.port), path, headers).await
    }
}
