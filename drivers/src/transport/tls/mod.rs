//! TLS to devices whose certificates nobody has signed: whoever was seen first under a name is who must
//! be there later, as with SSH host keys.
//!
//! Owns the verification of certificates and nothing else of TLS: protocol and ciphers are rustls's, with
//! ring. That leaves out what old BMCs may still offer alone: TLS 1.0 and 1.1, key exchange by RSA,
//! X.509 version 1. Does not know what is said over a connection.
//!
//! Read next: [`CertificatePins`] for the file of pins.

mod pins;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use pins::CertificatePins;

/// SHA-256 of a certificate's DER form, as `openssl x509 -fingerprint -sha256` prints it, with or
/// without colons.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no SHA-256 fingerprint: 64 hexadecimal digits, with or without colons")]
pub struct ParseFingerprintError(String);

impl Fingerprint {
    /// The fingerprint of a certificate in DER form.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseFingerprintError(text.chars().take(100).collect());
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
        let mut bytes = [0; 32];
        if digits.len() != 64 {
            return Err(wrong());
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            *byte = digit(pair[0]).ok_or_else(wrong)? << 4 | digit(pair[1]).ok_or_else(wrong)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = ParseFingerprintError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// Which certificate a server may show.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Any, but the same one on every connection; the caller pins it.
    FirstSight,
    /// This one, whatever name, time or issuer it has.
    Pinned(Fingerprint),
    /// One that one of these has signed, for the name or address that was connected to.
    Authorities(Arc<RootCertStore>),
}

/// Decides about certificates by a [`Trust`], and remembers the one that it saw.
#[derive(Debug)]
pub struct Verifier {
    trust: Trust,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Fingerprint>>,
}

impl Verifier {
    /// A verifier for connections to one server.
    ///
    /// # Errors
    /// If there are no authorities in [`Trust::Authorities`].
    pub fn new(trust: Trust) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let authorities = match &trust {
            Trust::FirstSight | Trust::Pinned(_) => None,
            Trust::Authorities(roots) => {
                let builder = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider));
                Some(builder.build().map_err(|error| TlsError(error.into()))?)
            }
        };
        Ok(Arc::new(Self { trust, authorities, provider, seen: Mutex::default() }))
    }

    /// How to speak TLS with this verifier.
    ///
    /// # Errors
    /// If ring lacks what rustls's default protocol versions need.
    pub fn client_config(self: &Arc<Self>) -> Result<ClientConfig, TlsError> {
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&self.provider)).with_safe_default_protocol_versions();
        let verifier = Arc::clone(self);
        let builder = builder.map_err(|error| TlsError(error.into()))?.dangerous();
        Ok(builder.with_custom_certificate_verifier(verifier).with_no_client_auth())
    }

    /// The certificate that the server showed last, accepted or not.
    #[must_use]
    pub fn seen(&self) -> Option<Fingerprint> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it trusts.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }
}

/// TLS cannot be set up on our side.
#[derive(Debug, thiserror::Error)]
#[error("failed to set up TLS")]
pub struct TlsError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// For clients of plain HTTP, which must be told something of TLS all the same: trusts nobody.
///
/// # Errors
/// As [`Verifier::client_config`].
pub fn trusting_nobody() -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| TlsError(error.into()))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// Files of authorities that machines trust: Debian's, and that of Red Hat's descendants.
const AUTHORITIES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// For servers of the internet: trusts the authorities that this machine does, those of the file that `SSL_CERT_FILE`
/// names if it is set. Where there are none, nobody.
///
/// # Errors
/// As [`Verifier::client_config`].
pub fn trusting_the_machine() -> Result<ClientConfig, TlsError> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let mut files = named.into_iter().chain(AUTHORITIES.map(PathBuf::from));
    let pem = files.find_map(|file| std::fs::read(file).ok()).unwrap_or_default();
    let mut roots = RootCertStore::empty();
    // One that is not understood vouches for nobody; the others still do.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| TlsError(error.into()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Fingerprint::of(end_entity);
        let before = self.seen.lock().unwrap_or_else(PoisonError::into_inner).replace(shown);
        let is_right = match (&self.trust, &self.authorities) {
            (Trust::Pinned(pinned), _) => *pinned == shown,
            (Trust::FirstSight, _) => before.is_none_or(|before| before == shown),
            (Trust::Authorities(_), Some(authorities)) => {
                return authorities.verify_server_cert(end_entity, intermediates, name, ocsp, now);
            }
            (Trust::Authorities(_), None) => false,
        };
        let refusal = rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        if is_right { Ok(ServerCertVerified::assertion()) } else { Err(refusal) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_as_openssl_prints_them() {
        let fingerprint = Fingerprint::of(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(fingerprint.to_string(), text);
        let pairs: Vec<String> =
            text.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).to_uppercase()).collect();
        assert_eq!(pairs.join(":").parse(), Ok(fingerprint));
        for wrong in ["", "e3b0", &text[1..], &format!("{}g", &text[1..]), &format!("{text}00")] {
            let error = wrong.parse::<Fingerprint>().expect_err(wrong).to_string();
            assert!(error.contains("64 hexadecimal digits"), "{error}");
        }
    }

    #[test]
    fn one_certificate_a_visit_and_the_pinned_one_alone() {
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let show = |verifier: &Verifier, der: &'static [u8]| {
            verifier.verify_server_cert(&CertificateDer::from(der), &[], &name, &[], UnixTime::now()).is_ok()
        };
        let first = Verifier::new(Trust::FirstSight).expect("made");
        assert!(show(&first, b"a") && show(&first, b"a") && !show(&first, b"b"));
        let pinned = Verifier::new(Trust::Pinned(Fingerprint::of(b"a"))).expect("made");
        assert!(show(&pinned, b"a") && !show(&pinned, b"b"));
        assert_eq!(pinned.seen(), Some(Fingerprint::of(b"b")));
        Verifier::new(Trust::Authorities(Arc::new(RootCertStore::empty()))).expect_err("no authority");
    }
}
