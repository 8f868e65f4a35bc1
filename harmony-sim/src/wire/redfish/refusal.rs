//! What a service says when it does not do what it was asked. Source: DSP0266 clause "Error responses".

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::wire::https::Cut;

/// A refusal.
#[derive(Debug)]
pub(super) enum Refusal {
    /// In words.
    Said {
        /// The status.
        status: StatusCode,
        /// Registry, version and key.
        id: &'static str,
        /// The text.
        text: String,
        /// When to come again, in seconds.
        retry_after_s: Option<u16>,
    },
    /// By silence: the connection ends.
    Cut,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, id: &'static str, text: impl Into<String>) -> Self {
        Self::Said { status, id, text: text.into(), retry_after_s: None }
    }

    /// The same, with a time to come again.
    pub(super) fn again_after(self, seconds: u16) -> Self {
        match self {
            Self::Said { status, id, text, .. } => Self::Said { status, id, text, retry_after_s: Some(seconds) },
            Self::Cut => Self::Cut,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Said { status, id, text, retry_after_s } => {
                let info = json!({"MessageId": id, "Message": text, "Severity": "Warning"});
                let error = json!({"code": "Base.1.4.GeneralError", "message": "See ExtendedInfo.", "@Message.ExtendedInfo": [info]});
                let mut response = super::json(status, &json!({ "error": error }));
                if let Some(seconds) = retry_after_s {
                    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                }
                if status == StatusCode::UNAUTHORIZED {
                    let basic = HeaderValue::from_static("Basic realm=\"RedfishService\"");
                    response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
                }
                response
            }
            Self::Cut => {
                let mut response = Response::default();
                response.extensions_mut().insert(Cut);
                response
            }
        }
    }
}
