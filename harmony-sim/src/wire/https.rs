//! HTTPS as BMCs speak it, with a certificate that nobody has signed; or with another, where a front has one.
//!
//! Serves whatever is given to it; what is said is for the front that uses it. An answer that carries
//! [`Cut`] is never sent: the connection ends instead. A request of a client with a certificate carries its [`Peer`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Time for a TLS handshake, in real time: whoever is silent for longer holds no socket.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// No certificate could be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to make a certificate for {name}")]
pub struct CertificateError {
    name: String,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl CertificateError {
    pub(super) fn new(name: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { name: name.to_owned(), source: source.into() }
    }
}

/// A certificate with its key: one that signs itself, or another.
#[derive(Clone)]
pub struct Certificate {
    acceptor: TlsAcceptor,
    sha256: String,
    pem: String,
}

impl Certificate {
    /// Makes one for a name or an address.
    ///
    /// # Errors
    /// [`CertificateError`] for a name that can be in no certificate.
    pub fn self_signed(name: &str) -> Result<Self, CertificateError> {
        let failed = |source| CertificateError { name: name.to_owned(), source };
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).map_err(|error| failed(error.into()))?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into())
            })
            .map_err(|error| failed(error.into()))?;
        let sha256 = Sha256::digest(made.cert.der()).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), sha256, pem: made.cert.pem() })
    }

    /// One that a front has made by itself, with whatever it asks of clients.
    pub(super) fn of(config: ServerConfig, first: &CertificateDer<'_>, pem: String) -> Self {
        let sha256 = Sha256::digest(first).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), sha256, pem }
    }

    /// SHA-256 of its DER form, in hexadecimal digits.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The certificate without its key, in PEM form.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

/// Put into an answer's extensions, lets the connection end in its place.
#[derive(Debug, Clone, Copy)]
pub struct Cut;

/// The certificates that a client showed, its own first; whether they are good for anything is for the front to say.
#[derive(Debug, Clone)]
pub(super) struct Peer(pub(super) Arc<[CertificateDer<'static>]>);

/// Serves until it is told to stop; then every connection is cut.
pub async fn serve(listener: TcpListener, certificate: Certificate, app: Router, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, certificate.clone(), app.clone()))),
                // Out of descriptors, say: they come back as connections end.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }
}

async fn connection(stream: TcpStream, certificate: Certificate, app: Router) {
    // Small answers to small questions; a stream that is gone already will say so when it is read.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = timeout(HANDSHAKE, certificate.acceptor.accept(stream)).await else { return };
    let peer = stream.get_ref().1.peer_certificates().map(|shown| Peer(shown.into()));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let app = app.clone();
        if let Some(peer) = &peer {
            request.extensions_mut().insert(peer.clone());
        }
        async move {
            let Ok(response) = app.oneshot(request.map(Body::new)).await;
            let is_cut = response.extensions().get::<Cut>().is_some();
            if is_cut { Err(io::Error::from(io::ErrorKind::ConnectionReset)) } else { Ok(response) }
        }
    });
    // However it ends, the client knows as much as we.
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}
