//! What a machine's pointer Ignition says of the machine config server: its name, and who has signed its certificate.
//!
//! Source: openshift/installer `pkg/asset/ignition/machine/node.go`.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::Uri;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;

/// Largest pointer, in bytes: the installer's has less than 2 kB, one with a host's own files some more.
const MAX_POINTER_BYTES: u64 = 4 << 20;

/// What a pointer says.
#[derive(Debug)]
pub(super) struct Pointer {
    /// The name that the server's certificate is for.
    pub(super) host: String,
    /// Who has signed it.
    pub(super) authorities: Arc<RootCertStore>,
}

/// Why a pointer cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum PointerError {
    #[error("failed to read it")]
    Read(#[source] std::io::Error),
    #[error("it has more than {MAX_POINTER_BYTES} bytes")]
    TooLarge,
    #[error("it is no Ignition that points to a machine config server")]
    NotUnderstood,
    #[error("it has no certificate of an authority")]
    NoAuthority,
}

#[derive(Deserialize)]
struct File {
    ignition: Ignition,
}

#[derive(Deserialize)]
struct Ignition {
    config: Config,
    #[serde(default)]
    security: Security,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    merge: Vec<Source>,
}

#[derive(Default, Deserialize)]
struct Security {
    #[serde(default)]
    tls: Tls,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tls {
    #[serde(default)]
    certificate_authorities: Vec<Source>,
}

#[derive(Deserialize)]
struct Source {
    #[serde(default)]
    source: Option<String>,
}

impl Pointer {
    /// Reads a pointer.
    pub(super) async fn read(path: &Path) -> Result<Self, PointerError> {
        if tokio::fs::metadata(path).await.map_err(PointerError::Read)?.len() > MAX_POINTER_BYTES {
            return Err(PointerError::TooLarge);
        }
        Self::of(&tokio::fs::read(path).await.map_err(PointerError::Read)?)
    }

    fn of(text: &[u8]) -> Result<Self, PointerError> {
        let file: File = serde_json::from_slice(text).map_err(|_| PointerError::NotUnderstood)?;
        let mut urls = file.ignition.config.merge.iter().filter_map(|merge| merge.source.as_ref()?.parse::<Uri>().ok());
        let url = urls.find(|url| url.scheme_str() == Some("https") && url.path().starts_with("/config/"));
        let host = url.and_then(|url| Some(url.host()?.to_owned())).ok_or(PointerError::NotUnderstood)?;
        let mut authorities = RootCertStore::empty();
        for authority in file.ignition.security.tls.certificate_authorities.iter().filter_map(|tls| tls.source.as_ref())
        {
            let (_, data) = authority.split_once(";base64,").ok_or(PointerError::NoAuthority)?;
            let pem = BASE64_STANDARD.decode(data).map_err(|_| PointerError::NoAuthority)?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|_| PointerError::NoAuthority)?;
                authorities.add(certificate).map_err(|_| PointerError::NoAuthority)?;
            }
        }
        if authorities.is_empty() {
            return Err(PointerError::NoAuthority);
        }
        Ok(Self { host, authorities: Arc::new(authorities) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointer(source: &str, authority: &str) -> Vec<u8> {
        json!({"ignition": {
            "config": {"merge": [{"source": "data:,x"}, {"source": source}]},
            "security": {"tls": {"certificateAuthorities": [{"source": authority}]}}, "version": "3.2.0",
        }})
        .to_string()
        .into_bytes()
    }

    #[test]
    fn name_and_authority() {
        let made = rcgen::generate_simple_self_signed(["root-ca".to_owned()]).expect("made");
        let source = format!("data:text/plain;charset=utf-8;base64,{}", BASE64_STANDARD.encode(made.cert.pem()));
        let url = "https://api-int.ocp4.example.com:22623/config/master";
        let found = Pointer::of(&pointer(url, &source)).expect("read");
        assert_eq!((found.host.as_str(), found.authorities.len()), ("api-int.ocp4.example.com", 1));
        for (url, source) in [
            ("http://api-int.ocp4.example.com:22623/config/master", source.as_str()),
            ("https://api-int.ocp4.example.com:22623/", source.as_str()),
            (url, "data:text/plain;charset=utf-8;base64,"),
            (url, "data:,nothing"),
            (url, "data:text/plain;charset=utf-8;base64,%%%"),
        ] {
            assert!(Pointer::of(&pointer(url, source)).is_err(), "{url} {source}");
        }
        assert!(Pointer::of(b"{}").is_err());
    }
}
