//! What an installer tells of its progress. It can add evidence, and say that it is through;
//! nothing else.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use harmony_core::boot::{BootEventKind, OrderState};
use harmony_core::secret::Secret;
use harmony_core::store::StoreError;
use percent_encoding::percent_decode_str;

use super::{Boot, Client, Refusal};
use crate::evidence::{About, shown};
use crate::marks;

/// `GET` or `POST /progress/{host}/{number}/{key}/{event}[?reason=…]`.
pub(super) async fn progress(
    State(boot): State<Arc<Boot>>,
    Extension(client): Extension<Client>,
    uri: Uri,
) -> Response {
    let answer = boot.told(client, uri.path(), uri.query().unwrap_or_default()).await;
    boot.finish(client, uri.path(), answer).await
}

impl Boot {
    async fn told(&self, client: Client, path: &str, query: &str) -> Result<Response, Refusal> {
        let (order, rest) = self.order_in(path).await?;
        let id = &order.id;
        let about = About { host: Some(id.host.clone()), order: Some(id.clone()), mac: None };
        let refuse = |status, reason: String| Err(Refusal::new(status, reason).about(about.clone()));
        let (key, event) = rest.first().zip(rest.get(1)).unwrap_or((&"", &""));
        let token = self.store.order_token(id).await?;
        if token.map(|token| Secret::new(marks::progress_key(&token))) != Some(Secret::new(*key)) {
            return refuse(StatusCode::FORBIDDEN, format!("this is not the progress key of order {id}"));
        }
        if !self.is_at(&order, client.0).await? {
            return refuse(StatusCode::FORBIDDEN, format!("{} is not where order {id} is carried out", client.0));
        }
        let Some(kind) = event_of(event, query) else {
            return refuse(StatusCode::NOT_FOUND, format!("`{}` is no event of an installer", shown(event)));
        };
        // Told twice, since the first answer was lost: heard once.
        if kind == BootEventKind::InstallDone && order.state == OrderState::Installed {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        if order.state > OrderState::Answered {
            return refuse(StatusCode::GONE, format!("order {id} is {}", order.state));
        }
        let done = kind == BootEventKind::InstallDone;
        self.evidence.saw_of(client.0, about.clone(), kind).await?;
        if done && order.state == OrderState::Answered {
            match self.store.advance_order(id, OrderState::Answered, OrderState::Installed, None).await {
                // Somebody else has moved it on in the meantime.
                Ok(()) | Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(StatusCode::NO_CONTENT.into_response())
    }
}

fn event_of(name: &str, query: &str) -> Option<BootEventKind> {
    Some(match name {
        "install-started" => BootEventKind::InstallStarted,
        "image-written" => BootEventKind::ImageWritten,
        "install-done" => BootEventKind::InstallDone,
        "install-failed" => {
            let reason =
                query.split('&').find_map(|part| part.strip_prefix("reason=")).filter(|reason| !reason.is_empty());
            let reason = reason.map(|reason| shown(&percent_decode_str(reason).decode_utf8_lossy()));
            BootEventKind::InstallFailed { reason: reason.unwrap_or_else(|| "no reason given".to_owned()) }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_known_and_reasons_are_one_short_line() {
        assert_eq!(event_of("image-written", ""), Some(BootEventKind::ImageWritten));
        assert_eq!(event_of("complete", ""), None);
        let reason = |query: &str| match event_of("install-failed", query) {
            Some(BootEventKind::InstallFailed { reason }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason("reason=digest"), "digest");
        assert_eq!(reason("a=b&reason=wrong%20disk%0a%1b[2J"), "wrong disk  [2J");
        assert_eq!(reason("reason="), "no reason given");
        assert_eq!(reason(&format!("reason={}", "x".repeat(9000))).chars().count(), 201);
    }
}
