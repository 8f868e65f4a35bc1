//! Watches: changes as they come, one line each.
//!
//! Source: Kubernetes documentation, "API concepts", "Efficient detection of changes".

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Front;
use super::answer::{Query, Selector};
use super::resource::Resource;
use super::status::Refusal;
use crate::pace::tick;

/// How long a watch lasts where nobody says, in real time. Source: kube-apiserver `--min-request-timeout`.
const USUAL: Duration = Duration::from_secs(1800);

struct Watch {
    front: Front,
    resource: Resource,
    selector: Selector,
    /// What is told so far.
    version: u64,
    until: Instant,
    is_over: bool,
}

pub(super) fn watch(front: Front, resource: Resource, selector: Selector, query: &Query) -> Result<Response, Refusal> {
    let number = |key: &str| {
        let value = query.get(key).map(str::parse::<u64>).transpose();
        value.map_err(|_| Refusal::bad_request(format!("{key} is no number")))
    };
    let lasts = number("timeoutSeconds")?.map_or(USUAL, Duration::from_secs);
    let mut watch =
        Watch { front, resource, selector, version: 0, until: Instant::now() + lasts.min(USUAL), is_over: false };
    let first = match number("resourceVersion")?.filter(|version| *version > 0) {
        Some(version) => {
            watch.version = version;
            let is_remembered = watch.front.api.store(resource, |store| store.since(resource, version).is_some());
            if !is_remembered {
                return Err(Refusal::gone());
            }
            Bytes::new()
        }
        // Whoever does not say where to begin is told first what there is.
        None => watch.front.api.store(resource, |store| {
            watch.version = store.version();
            lines(store.objects(resource).filter(|object| watch.selector.takes(object)).map(|object| ("ADDED", object)))
        }),
    };
    let stream = stream::unfold((Some(first), watch), |(first, mut watch)| async move {
        let lines = match first {
            Some(first) if !first.is_empty() => Some(first),
            _ => watch.next().await,
        };
        lines.map(|lines| (Ok::<_, Infallible>(lines), (None, watch)))
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(stream)).into_response())
}

fn lines<'a>(events: impl Iterator<Item = (&'static str, &'a Value)>) -> Bytes {
    let lines: String = events.map(|(kind, object)| format!("{}\n", json!({"type": kind, "object": object}))).collect();
    lines.into()
}

impl Watch {
    /// The lines that come next; the end, where its time is up or the API is gone.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.is_over && Instant::now() < self.until {
            let serves = self.front.api.ask(|state, now| state.api_serves(now, &self.front.server));
            if serves != Some(true) {
                return None;
            }
            let (changes, version) = self
                .front
                .api
                .store(self.resource, |store| (store.since(self.resource, self.version), store.version()));
            let Some(changes) = changes else {
                self.is_over = true;
                return Some(lines([("ERROR", &Refusal::gone().object())].into_iter()));
            };
            self.version = version;
            let told = changes.iter().filter(|change| self.selector.takes(&change.object));
            let lines = lines(told.map(|change| (change.kind, &change.object)));
            if !lines.is_empty() {
                return Some(lines);
            }
            tick().await;
        }
        None
    }
}
