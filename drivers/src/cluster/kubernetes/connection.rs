//! Kubeconfigs, and the clients that are made of them.
//!
//! A kubeconfig that would run a program, trust any certificate or go without TLS is refused: no installer writes one.

use std::path::{Path, PathBuf};
use std::sync::Once;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::Limited;
use hyper::{Response, Uri};
use jiff::Timestamp;
use kube::client::{ClientBuilder, DynBody};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use tower::util::MapResponseLayer;
use x509_parser::parse_x509_certificate;

use super::error::{BadKubeconfig, KubernetesError};
use super::spec::KubernetesSpec;

/// Largest kubeconfig, in bytes. The installer's has some 15 kB.
const MAX_KUBECONFIG_BYTES: u64 = 1 << 20;
/// Largest answer, in bytes.
pub(super) const MAX_ANSWER_BYTES: usize = 8 << 20;

/// A client for one cluster, by one kubeconfig.
pub(super) struct Connection {
    kubeconfig: PathBuf,
    digest: [u8; 32],
    client: Client,
    expires_at: Option<Timestamp>,
}

/// Reads a kubeconfig.
pub(super) async fn read(path: &Path) -> Result<String, KubernetesError> {
    let failed = |source| KubernetesError::ReadFile { path: path.to_owned(), source };
    let size = tokio::fs::metadata(path).await.map_err(failed)?.len();
    if size > MAX_KUBECONFIG_BYTES {
        return Err(KubernetesError::BadKubeconfig { path: path.to_owned(), why: BadKubeconfig::TooLarge });
    }
    tokio::fs::read_to_string(path).await.map_err(failed)
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

impl Connection {
    /// A client of a kubeconfig with this text. Nothing is contacted yet.
    pub(super) async fn new(path: PathBuf, text: &str, spec: &KubernetesSpec) -> Result<Self, KubernetesError> {
        let bad = |why| KubernetesError::BadKubeconfig { path: path.clone(), why };
        // What the parser says of it would show a part of it.
        let kubeconfig = Kubeconfig::from_yaml(text).map_err(|_| bad(BadKubeconfig::NotUnderstood))?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let config = config.map_err(|_| bad(BadKubeconfig::NotUnderstood))?;
        check(&config).map_err(bad)?;
        let expires_at = expires_at(&config);
        let client = client(config, spec).map_err(bad)?;
        Ok(Self { kubeconfig: path, digest: digest(text), client, expires_at })
    }

    /// Whether it was made of this kubeconfig with this text.
    pub(super) fn is_of(&self, path: &Path, text: &str) -> bool {
        self.kubeconfig == path && self.digest == digest(text)
    }

    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Until when its client certificate is good, where it has one.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }
}

/// The host name that a URL names.
fn host(url: &Uri) -> Option<&str> {
    url.host().map(|host| host.trim_start_matches('[').trim_end_matches(']'))
}

fn check(config: &Config) -> Result<(), BadKubeconfig> {
    if config.cluster_url.scheme_str() != Some("https") || host(&config.cluster_url).is_none() {
        return Err(BadKubeconfig::NoHttps);
    }
    if config.accept_invalid_certs || config.root_cert.as_ref().is_none_or(Vec::is_empty) {
        return Err(BadKubeconfig::NoAuthority);
    }
    if config.auth_info.exec.is_some() || config.auth_info.auth_provider.is_some() {
        return Err(BadKubeconfig::Program);
    }
    Ok(())
}

fn expires_at(config: &Config) -> Option<Timestamp> {
    let text = config.auth_info.client_certificate_data.as_ref()?;
    let pem = BASE64_STANDARD.decode(text.trim()).ok()?;
    let certificate = CertificateDer::from_pem_slice(&pem).ok()?;
    let (_, certificate) = parse_x509_certificate(&certificate).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

fn client(mut config: Config, spec: &KubernetesSpec) -> Result<Client, BadKubeconfig> {
    static PROVIDER: Once = Once::new();
    // Whoever was first has set ring's too: there is no other in this program.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    // No proxy: none sees the cluster's network. No retry: whether to try again is for the engine to say.
    config.proxy_url = None;
    config.default_retry = false;
    config.connect_timeout = Some(spec.connect_limit());
    config.read_timeout = Some(spec.answer_limit());
    config.write_timeout = Some(spec.answer_limit());
    if let Some(place) = spec.api_address {
        let name = host(&config.cluster_url).map(str::to_owned);
        config.tls_server_name = config.tls_server_name.take().or(name);
        let port = place.port.or(config.cluster_url.port_u16()).unwrap_or(443);
        let url = format!("https://{}", std::net::SocketAddr::new(place.address, port));
        config.cluster_url = url.parse().map_err(|_| BadKubeconfig::NoHttps)?;
    }
    let builder = ClientBuilder::try_from(config).map_err(|_| BadKubeconfig::Credentials)?;
    let limit = MapResponseLayer::new(|response: Response<Box<DynBody>>| {
        response.map(|body| Limited::new(body, MAX_ANSWER_BYTES))
    });
    Ok(builder.with_layer(&limit).build())
}
