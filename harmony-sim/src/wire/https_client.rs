//! The little of an HTTPS client that simulated programs need: one request over a connection that is there already.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::request::Builder;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Largest answer, in bytes.
const MAX_BODY_BYTES: usize = 8 << 20;

/// A client that believes these authorities, and shows its own certificate, with the key, where it has one; all in PEM.
/// None if one of them is not what it should be.
pub(crate) fn connector(authorities: &[u8], own: Option<(&[u8], &[u8])>) -> Option<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities) {
        roots.add(authority.ok()?).ok()?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots);
    let config = match own {
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>().ok()?;
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key).ok()?).ok()?
        }
        None => builder.with_no_client_auth(),
    };
    Some(TlsConnector::from(Arc::new(config)))
}

/// Asks whoever is at the other end, who must be `host`, for a path.
pub(crate) async fn get(
    stream: TcpStream,
    tls: &TlsConnector,
    (host, port): (&str, u16),
    path: &str,
    headers: HeaderMap,
) -> Result<(StatusCode, Bytes), String> {
    send(stream, tls, (host, port), Request::get(path), headers, Bytes::new()).await
}

/// Tells whoever is at the other end, who must be `host`, something at a path.
pub(crate) async fn post(
    stream: TcpStream,
    tls: &TlsConnector,
    (host, port): (&str, u16),
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Bytes), String> {
    send(stream, tls, (host, port), Request::post(path), headers, body).await
}

async fn send(
    stream: TcpStream,
    tls: &TlsConnector,
    (host, port): (&str, u16),
    request: Builder,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Bytes), String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let stream = tls.connect(name, stream).await.map_err(|error| format!("tls: {error}"))?;
    let failed = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let request = request.header(header::HOST, format!("{host}:{port}"));
    let mut request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
    request.headers_mut().extend(headers);
    let answer = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await;
        Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
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
