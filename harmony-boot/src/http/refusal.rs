//! A request that is not done: what the client is told, and what is kept of it.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use harmony_core::store::StoreError;
use percent_encoding::percent_decode_str;

use super::{Boot, Client};
use crate::evidence::About;

/// Why a request is not done.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    reason: String,
    about: Option<About>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), about: None }
    }

    /// Not yet; the client is to ask again.
    pub(super) fn not_yet(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason)
    }

    /// What it is about, if the client's address does not tell.
    pub(super) fn about(mut self, about: About) -> Self {
        self.about = Some(about);
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::Conflict(_) => StatusCode::CONFLICT,
            StoreError::Invalid { .. } => StatusCode::BAD_REQUEST,
            // Both may have passed by the next attempt, and no client may take them as final.
            StoreError::Database { .. } | StoreError::NotFound(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, harmony_core::error::chain(&error))
    }
}

impl Boot {
    /// The answer, or the refusal after it was stored.
    pub(super) async fn finish(&self, client: Client, path: &str, answer: Result<Response, Refusal>) -> Response {
        match answer {
            Ok(response) => response,
            Err(refusal) => self.refuse(client, path, refusal).await,
        }
    }

    pub(super) async fn refuse(&self, client: Client, path: &str, refusal: Refusal) -> Response {
        self.evidence.refused(client.0, refusal.about.clone(), &without_secrets(path), &refusal.reason).await;
        refusal.into_response()
    }
}

/// A path as it may be kept: what follows host and number in answer and progress URLs is dropped.
fn without_secrets(path: &str) -> String {
    let path = percent_decode_str(path).decode_utf8_lossy();
    let secret = ["answer/", "progress/"].iter().filter_map(|word| path.find(word).map(|at| at + word.len())).min();
    let Some(start) = secret else { return path.into_owned() };
    let (known, rest) = path.split_at(start);
    let mut kept: Vec<_> = rest.split('/').take(2).collect();
    kept.push("…");
    known.to_owned() + &kept.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_not_kept() {
        for path in
            ["/answer/hc-1/1/TOKEN", "/answer/hc-1/1/TOKEN/x", "/%61nswer/hc-1/1/TOKEN", "//x/answer/hc-1/1/%54OKEN"]
        {
            let kept = without_secrets(path);
            assert!(!kept.contains("TOKEN") && kept.ends_with("answer/hc-1/1/…"), "{kept}");
        }
        assert_eq!(without_secrets("/progress/hc-1/1/KEY/install-done"), "/progress/hc-1/1/…");
        assert_eq!(without_secrets("/os/%2e%2e/passwd"), "/os/../passwd");
    }
}
