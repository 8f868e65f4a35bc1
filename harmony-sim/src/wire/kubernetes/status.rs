//! What an API says when it does not do what it was asked. Source: Kubernetes API reference, `Status`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A refusal.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    reason: &'static str,
    message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into() }
    }

    /// There is no such thing.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", format!("{what} not found"))
    }

    /// What was asked is not understood.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// Somebody else was first.
    pub(super) fn conflict(what: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {what}: the object has been modified; please apply your changes to the latest version and try again"
        );
        Self::new(StatusCode::CONFLICT, "Conflict", message)
    }

    /// The version that a watch is to begin at is forgotten.
    pub(super) fn gone() -> Self {
        Self::new(StatusCode::GONE, "Expired", "too old resource version")
    }

    /// As an object.
    pub(super) fn object(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.status.as_u16(),
        })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.object())).into_response()
    }
}
