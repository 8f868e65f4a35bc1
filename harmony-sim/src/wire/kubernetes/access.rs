//! Who may: administrators, by a client certificate or a bearer token.
//!
//! Source: Kubernetes documentation, "Authenticating": a bad credential is 401; none at all is the user
//! `system:anonymous`, who may read health and version.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use harmony_core::secret::Secret;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use x509_parser::parse_x509_certificate;

use super::status::Refusal;
use crate::wire::https::{CertificateError, Peer};

/// The group that may do everything.
const ADMINISTRATORS: &str = "system:masters";

/// Who is let in.
pub(super) struct Admission {
    verifier: Arc<dyn ClientCertVerifier>,
    tokens: Vec<Secret>,
}

impl Admission {
    pub(super) fn new(authorities: &str, tokens: Vec<Secret>) -> Result<Self, CertificateError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| CertificateError::new("clients", error);
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
            let authority = authority.map_err(|error| failed(error.into()))?;
            roots.add(authority).map_err(|error| failed(error.into()))?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider())).build();
        Ok(Self { verifier: verifier.map_err(|error| failed(error.into()))?, tokens })
    }

    /// Refuses who is no administrator.
    pub(super) fn check(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<(), Refusal> {
        let unauthorized = || Refusal::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized");
        if let Some(header) = headers.get(header::AUTHORIZATION) {
            let token = header.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).map(Secret::new);
            return token.filter(|token| self.tokens.contains(token)).map(|_| ()).ok_or_else(unauthorized);
        }
        let Some((own, others)) = peer.and_then(|peer| peer.0.split_first()) else {
            return Err(forbidden("system:anonymous"));
        };
        self.verifier.verify_client_cert(own, others, UnixTime::now()).map_err(|_| unauthorized())?;
        let (_, certificate) = parse_x509_certificate(own).map_err(|_| unauthorized())?;
        let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().unwrap_or_default().to_owned();
        if certificate.subject().iter_organization().any(|group| text(group) == ADMINISTRATORS) {
            Ok(())
        } else {
            let user = certificate.subject().iter_common_name().next().map(text).unwrap_or_default();
            Err(forbidden(&user))
        }
    }
}

fn forbidden(user: &str) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, "Forbidden", format!("User \"{user}\" cannot access the resource"))
}
