//! One request to a BMC and its answer, within limits of time and size.
//!
//! Does not know sessions, retries or what a resource means.

use std::sync::Arc;
use std::time::Duration;

use harmony_core::secret::Secret;
use reqwest::header::{ACCEPT, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, LOCATION, RETRY_AFTER};
use reqwest::{Method, StatusCode, redirect};
use serde_json::Value;

use super::error::RedfishError;
use super::resource::{Messages, ResourcePath};
use crate::transport::tls::{Trust, Verifier};

/// Largest answer, in bytes. A system of a large server is some 40 kB.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Time for TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest entity tag that is sent back, in bytes.
const MAX_ETAG_BYTES: usize = 200;
/// Source: DSP0266 clause "Session login".
const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
/// Source: DSP0266 clause "Request headers".
const ODATA_VERSION: HeaderName = HeaderName::from_static("odata-version");

/// How a request says who we are.
#[derive(Clone)]
pub(super) enum Auth {
    /// Not at all.
    Nobody,
    /// By a session's token.
    Token(HeaderValue),
    /// By user and password each time.
    Basic(String, Secret),
}

/// A request.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) path: &'a ResourcePath,
    pub(super) body: Option<&'a Value>,
    pub(super) if_match: Option<&'a str>,
}

impl<'a> Request<'a> {
    pub(super) fn get(path: &'a ResourcePath) -> Self {
        Self { method: Method::GET, path, body: None, if_match: None }
    }
}

/// An answer with a status of 2xx.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) etag: Option<String>,
    pub(super) location: Option<String>,
    pub(super) retry_after: Option<Duration>,
    /// Of a new session.
    pub(super) token: Option<HeaderValue>,
    /// `null` where there was none.
    pub(super) body: Value,
}

/// Connections to one BMC.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Arc<str>,
    verifier: Arc<Verifier>,
    timeout: Duration,
}

impl Client {
    /// Connections to `base` (`https://host:port`), where nothing is sent yet. `timeout` is for one
    /// request, from the first packet to the last byte.
    pub(super) fn new(base: &str, trust: Trust, timeout: Duration) -> Result<Self, RedfishError> {
        let verifier = Verifier::new(trust).map_err(RedfishError::Tls)?;
        let tls = verifier.client_config().map_err(RedfishError::Tls)?;
        // No redirection: it could lead the token elsewhere. No proxy: none sees the BMCs' network.
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .http1_only()
            .build()
            .map_err(RedfishError::Client)?;
        Ok(Self { http, base: base.into(), verifier, timeout })
    }

    /// Who decides about its certificate, and has seen it.
    pub(super) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Sends one request, once.
    pub(super) async fn send(&self, request: &Request<'_>, auth: &Auth) -> Result<Answer, RedfishError> {
        // No Accept-Encoding: iLO of Gen10 and later refuses `identity`, and without it nothing is encoded.
        let mut sent = self.http.request(request.method.clone(), format!("{}{}", self.base, request.path));
        sent = sent.header(ACCEPT, "application/json").header(ODATA_VERSION, "4.0");
        sent = match auth {
            Auth::Nobody => sent,
            Auth::Token(token) => sent.header(X_AUTH_TOKEN, token),
            Auth::Basic(user, password) => sent.basic_auth(user, Some(password.expose())),
        };
        if let Some(etag) = request.if_match {
            sent = sent.header(IF_MATCH, etag);
        }
        if let Some(body) = request.body {
            sent = sent.json(body);
        }
        let failed = |error| self.failed(request, error);
        let mut response = sent.send().await.map_err(failed)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(RedfishError::TooLarge { path: request.path.clone(), max_bytes: MAX_BODY_BYTES });
            }
            bytes.extend_from_slice(&chunk);
        }
        let body = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes) };
        if status.is_success() {
            let body = match body {
                Ok(body) => body,
                // What a write answers besides its status is not needed.
                Err(_) if request.method != Method::GET => Value::Null,
                Err(source) => return Err(RedfishError::NotJson { path: request.path.clone(), source }),
            };
            Ok(Answer {
                status,
                etag: text(&headers, &ETAG).filter(|etag| etag.len() <= MAX_ETAG_BYTES),
                location: text(&headers, &LOCATION),
                retry_after: retry_after(&headers),
                token: headers.get(X_AUTH_TOKEN).map(|token| {
                    let mut token = token.clone();
                    token.set_sensitive(true);
                    token
                }),
                body,
            })
        } else {
            let mut messages = Messages::of(&body.unwrap_or_default());
            if let Auth::Basic(_, password) = auth {
                messages = messages.without(password.expose());
            }
            let (method, path) = (request.method.clone(), request.path.clone());
            Err(RedfishError::Status { method, path, status, messages, retry_after: retry_after(&headers) })
        }
    }

    fn failed(&self, request: &Request<'_>, source: reqwest::Error) -> RedfishError {
        let path = request.path.clone();
        match (self.verifier.trust(), self.verifier.seen()) {
            (Trust::Pinned(pinned), Some(shown)) if *pinned != shown => {
                return RedfishError::CertificateChanged { pinned: *pinned, shown };
            }
            (Trust::Authorities(_), Some(shown)) if source.is_connect() => {
                return RedfishError::CertificateRefused { shown, source };
            }
            _ => {}
        }
        let source = source.without_url();
        if source.is_connect() {
            RedfishError::Connect { source }
        } else if source.is_timeout() {
            RedfishError::TimedOut { path, after: self.timeout }
        } else {
            RedfishError::Cut { path, source }
        }
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// In seconds; a date is not understood. Source: RFC 9110 section 10.2.3.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    text(headers, &RETRY_AFTER)?.trim().parse().ok().map(Duration::from_secs)
}
