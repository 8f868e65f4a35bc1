//! What of the written Ignition files matters before they are served: their version, and until when they hold.
//!
//! Source: Ignition's specification 3.x, `ignition.version` and `storage.files`; `data:` URLs, RFC 2397.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;

/// Folder of the certificates that the bootstrap machine starts the cluster with.
const TLS_FOLDER: &str = "/opt/openshift/tls/";

/// Why a file is no Ignition configuration that machines take.
#[derive(Debug, thiserror::Error)]
pub enum IgnitionError {
    /// It is none.
    #[error("it is no Ignition configuration")]
    Shape(#[source] serde_json::Error),
    /// Its version is not 3.x.
    #[error("its version of Ignition's specification is `{0}`; machines of this release take 3.x")]
    Version(String),
}

#[derive(Deserialize)]
struct Config {
    ignition: Head,
    #[serde(default)]
    storage: Storage,
}

#[derive(Deserialize)]
struct Head {
    version: String,
}

#[derive(Default, Deserialize)]
struct Storage {
    #[serde(default)]
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    path: String,
    #[serde(default)]
    contents: Contents,
}

#[derive(Default, Deserialize)]
struct Contents {
    #[serde(default)]
    source: Option<String>,
}

/// What was read of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// Its version, `3.2.0`.
    pub(super) version: String,
    /// When the first of the cluster's own certificates that it carries expires.
    pub(super) expires_at: Option<Timestamp>,
}

/// Reads a configuration.
pub(super) fn read(bytes: &[u8]) -> Result<Read, IgnitionError> {
    let config: Config = serde_json::from_slice(bytes).map_err(IgnitionError::Shape)?;
    let version = config.ignition.version;
    let parts: Vec<_> = version.split('.').map(str::parse::<u16>).collect();
    if !matches!(parts[..], [Ok(3), Ok(_), Ok(_)]) {
        return Err(IgnitionError::Version(version.chars().take(40).flat_map(char::escape_default).collect()));
    }
    let certificates = config.storage.files.iter().filter(|file| {
        file.path.starts_with(TLS_FOLDER) && std::path::Path::new(&file.path).extension().is_some_and(|e| e == "crt")
    });
    let ends = certificates.filter_map(|file| file.contents.source.as_deref()).filter_map(data).flat_map(not_after);
    Ok(Read { version, expires_at: ends.min() })
}

/// The bytes of a `data:` URL that is in Base64.
fn data(url: &str) -> Option<Vec<u8>> {
    let (head, body) = url.strip_prefix("data:")?.split_once(',')?;
    head.ends_with(";base64").then(|| STANDARD.decode(body).ok())?
}

/// When each certificate of a PEM text ends.
fn not_after(pem: Vec<u8>) -> Vec<Timestamp> {
    let blocks = x509_parser::pem::Pem::iter_from_buffer(&pem).filter_map(Result::ok);
    let ends = blocks.filter_map(|block| block.parse_x509().ok().map(|found| found.validity().not_after.timestamp()));
    ends.filter_map(|seconds| Timestamp::from_second(seconds).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let config = |version: &str| format!(r#"{{"ignition":{{"version":"{version}"}}}}"#);
        let read = |text: &str| read(text.as_bytes());
        assert_eq!(read(&config("3.2.0")).expect("valid"), Read { version: "3.2.0".into(), expires_at: None });
        for version in ["2.2.0", "3", "3.2", "3.2.0-dev", "4.0.0", ""] {
            assert!(read(&config(version)).is_err_and(|e| e.to_string().starts_with("its version")), "{version}");
        }
        for text in ["", "{}", "[1]", r#"{"ignition":{}}"#] {
            assert!(read(text).is_err_and(|e| e.to_string() == "it is no Ignition configuration"), "{text}");
        }
    }

    #[test]
    fn what_looks_like_a_certificate_and_is_none_is_passed_over() {
        let text = format!(
            r#"{{"ignition":{{"version":"3.2.0"}},"storage":{{"files":[
                {{"path":"{TLS_FOLDER}a.crt","contents":{{"source":"data:,x"}}}},
                {{"path":"{TLS_FOLDER}b.crt","contents":{{"source":"data:;base64,!!"}}}},
                {{"path":"{TLS_FOLDER}c.crt","contents":{{"source":"data:;base64,{}"}}}},
                {{"path":"{TLS_FOLDER}d.crt"}}]}}}}"#,
            STANDARD.encode("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        );
        assert_eq!(read(text.as_bytes()).expect("valid").expires_at, None);
    }
}
