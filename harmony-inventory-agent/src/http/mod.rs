//! The HTTP side: `GET /` is the report, `GET /healthz` says that we live.
//!
//! A report is collected in the handler itself, on the one thread: it takes milliseconds, cannot hang
//! (see `signature::probe`), and two at a time would only cost memory.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use harmony_core::report::v1::Report;
use tokio::net::TcpListener;

use crate::cmdline::Token;

mod listener;

use listener::BoundedListener;

/// What answers are made of.
pub struct Agent {
    /// Collects the report, anew for each who asks.
    pub report: Box<dyn Fn() -> Report + Send + Sync>,
    /// Who may ask for the report: whoever has this, or everybody.
    pub token: Option<Token>,
}

/// Answers until the process ends.
///
/// # Errors
/// When the socket can no longer be used.
pub async fn serve(listener: TcpListener, agent: Agent) -> io::Result<()> {
    axum::serve(BoundedListener::new(listener), router(agent)).await
}

/// What [`serve`] answers, for those who serve it themselves.
pub fn router(agent: Agent) -> Router {
    Router::new().route("/", get(report)).route("/healthz", get(async || "ok\n")).with_state(Arc::new(agent))
}

async fn report(State(agent): State<Arc<Agent>>, headers: HeaderMap) -> Response {
    // One request per connection: there are few of them to be had.
    const CLOSE: (header::HeaderName, &str) = (header::CONNECTION, "close");
    if !is_allowed(&agent, &headers) {
        let say = "this agent answers only those who present the token that it was booted with\n";
        return (StatusCode::UNAUTHORIZED, [CLOSE, (header::WWW_AUTHENTICATE, "Bearer")], say).into_response();
    }
    match serde_json::to_vec(&(agent.report)()) {
        Ok(mut body) => {
            body.push(b'\n');
            let headers = [CLOSE, (header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (headers, body).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [CLOSE], format!("{error}\n")).into_response(),
    }
}

/// Source: RFC 6750 clause 2.1; the scheme's case does not count (RFC 9110 clause 11.1).
fn is_allowed(agent: &Agent, headers: &HeaderMap) -> bool {
    let Some(token) = &agent.token else { return true };
    let presented = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    match presented.and_then(|value| value.split_at_checked(b"Bearer ".len())) {
        Some((scheme, presented)) => scheme.eq_ignore_ascii_case(b"Bearer ") && token.matches(presented),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(token: Option<&str>) -> Agent {
        Agent { report: Box::new(Report::default), token: token.map(Token::from) }
    }

    #[test]
    fn only_the_token_opens() {
        let allowed = |token: Option<&str>, header: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert("authorization", header.parse().expect("a header"));
            }
            is_allowed(&agent(token), &headers)
        };
        assert!(allowed(None, None) && allowed(None, Some("Bearer x")));
        assert!(allowed(Some("t0"), Some("Bearer t0")) && allowed(Some("t0"), Some("bearer t0")));
        for bad in ["Bearer t", "Bearer t00", "Bearer  t0", "Basic t0xx", "t0", "", "Bearer", "Bearer "] {
            assert!(!allowed(Some("t0"), Some(bad)), "{bad}");
        }
        assert!(!allowed(Some("t0"), None));
    }
}
