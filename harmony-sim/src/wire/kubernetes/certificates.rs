//! Certificates that an authority has signed, chosen by the name that a client asks for, as a cluster's API has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::wire::https::{Certificate, CertificateError};

/// A certificate, with those that lead to its authority, and its key, in PEM.
#[derive(Clone)]
pub struct KeyPairPem {
    /// The certificates.
    pub certificates: String,
    /// The key.
    pub key: String,
}

/// What a cluster's servers show and believe, as its installer laid it on the bootstrap.
///
/// Source: openshift/installer `pkg/asset/tls`; the folder is `/opt/openshift/tls`.
#[derive(Clone)]
pub struct ClusterKeys {
    /// The API's, by each of its names.
    pub api: Vec<KeyPairPem>,
    /// The machine config server's.
    pub machine_config: KeyPairPem,
    /// Who signs the certificates of the API's clients, in PEM.
    pub clients: String,
}

impl ClusterKeys {
    /// Out of the files of that folder, by their names. None if one of them is not there.
    #[must_use]
    pub fn of(files: &BTreeMap<String, String>) -> Option<Self> {
        let pair = |name: &str| {
            let certificates = files.get(&format!("{name}.crt"))?.clone();
            Some(KeyPairPem { certificates, key: files.get(&format!("{name}.key"))?.clone() })
        };
        Some(Self {
            api: vec![pair("kube-apiserver-lb-server")?, pair("kube-apiserver-internal-lb-server")?],
            machine_config: pair("machine-config-server")?,
            clients: files.get("kube-apiserver-complete-client-ca-bundle.crt")?.clone(),
        })
    }
}

/// What a front shows: whichever of these is for the name that is asked for, else the first. A client may show its own.
///
/// # Errors
/// [`CertificateError`], if one of them is none, or does not fit its key.
pub fn serving_certificate(pairs: &[KeyPairPem]) -> Result<Certificate, CertificateError> {
    let provider = Arc::new(default_provider());
    let keys = pairs.iter().map(|pair| certified(pair, &provider)).collect::<Result<Vec<_>, _>>()?;
    let failed = |error: Error| CertificateError::new("the API", error);
    let first = keys.first().and_then(|(_, key)| key.cert.first()).cloned();
    let first = first.ok_or_else(|| CertificateError::new("the API", "there is none"))?;
    let pem = pairs.first().map(|pair| pair.certificates.clone()).unwrap_or_default();
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_client_cert_verifier(Arc::new(AnyClient { provider }))
        .with_cert_resolver(Arc::new(ByName { keys }));
    Ok(Certificate::of(config, &first, pem))
}

type Named = (Vec<String>, Arc<CertifiedKey>);

fn certified(pair: &KeyPairPem, provider: &CryptoProvider) -> Result<Named, CertificateError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| CertificateError::new("the API", error);
    let chain = CertificateDer::pem_slice_iter(pair.certificates.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| failed(error.into()))?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(|error| failed(error.into()))?;
    let names = chain.first().map(names).unwrap_or_default();
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| failed(error.into()))?;
    Ok((names, Arc::new(certified)))
}

/// The DNS names that a certificate is for.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = parse_x509_certificate(certificate) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let dns = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    dns.collect()
}

/// Chooses a certificate by name.
#[derive(Debug)]
struct ByName {
    keys: Vec<Named>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.server_name().unwrap_or_default();
        let named = self.keys.iter().find(|(names, _)| names.iter().any(|name| name == wanted));
        named.or(self.keys.first()).map(|(_, key)| Arc::clone(key))
    }
}

/// Asks clients for a certificate, and takes any: an API answers 401 to one that is not good, it does not hang up.
#[derive(Debug)]
struct AnyClient {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
