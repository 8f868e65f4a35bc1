//! The answer file of an order: once, to its own machine, in time.
//!
//! A client without the token learns nothing but that it is wrong. Ignition and coreos-installer
//! take every status below 500 as final, so what may yet come is 503.
//! Source: Ignition `docs/operator-notes.md`, coreos-installer `src/source.rs`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use harmony_core::boot::{BootEventKind, BootToken, Order, OrderId, OrderState};
use harmony_core::capability::{BootEntry, BootTarget, RoleConfig};
use harmony_core::error::chain;
use harmony_core::secret::Secret;
use harmony_core::store::StoreError;
use sha2::{Digest, Sha256};

use super::{Boot, Client, Refusal, text};
use crate::evidence::About;

/// `GET /answer/{host}/{number}/{token}`.
pub(super) async fn answer(State(boot): State<Arc<Boot>>, Extension(client): Extension<Client>, uri: Uri) -> Response {
    let answer = boot.answer_file(client, uri.path()).await;
    boot.finish(client, uri.path(), answer).await
}

impl Boot {
    /// The order that a path like `/answer/{host}/{number}/…` names, and what follows.
    pub(super) async fn order_in<'a>(&self, path: &'a str) -> Result<(Order, Vec<&'a str>), Refusal> {
        let unknown = || Refusal::new(StatusCode::NOT_FOUND, "no such order");
        let mut parts = path.split('/').skip(2);
        let (host, number) = parts.next().zip(parts.next()).ok_or_else(unknown)?;
        let id: OrderId = format!("{host}/{number}").parse().map_err(|_| unknown())?;
        match self.store.order(&id).await? {
            Some(order) => Ok((order, parts.collect())),
            None if self.store.host(&id.host).await?.is_some() => {
                Err(Refusal::not_yet(format!("there is no order {id} yet")))
            }
            None => Err(unknown()),
        }
    }

    async fn answer_file(&self, client: Client, path: &str) -> Result<Response, Refusal> {
        let (order, rest) = self.order_in(path).await?;
        let about = About { host: Some(order.id.host.clone()), order: Some(order.id.clone()), mac: None };
        let answer = self.redeemed(client, &order, rest.first().copied().unwrap_or_default()).await;
        let (name, contents) = answer.map_err(|refusal| refusal.about(about.clone()))?;
        // The token is used up: whatever happens to the evidence now, the file must go out.
        let _ = self.evidence.saw_of(client.0, about, BootEventKind::Answer).await;
        let ignition = name.ends_with(".ign");
        Ok(text(if ignition { "application/vnd.coreos.ignition+json" } else { "text/plain; charset=utf-8" }, contents))
    }

    /// Name and text of the answer file, after the token was used up.
    async fn redeemed(&self, client: Client, order: &Order, token: &str) -> Result<(String, String), Refusal> {
        let id = &order.id;
        let shown = BootToken(Secret::new(token));
        if self.store.order_token(id).await?.as_ref() != Some(&shown) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, format!("this is not the token of order {id}")));
        }
        if !self.is_at(order, client.0).await? {
            let reason = format!(
                "order {id} is for {}, or for where its script was fetched; this is {}",
                order.address, client.0
            );
            return Err(Refusal::new(StatusCode::FORBIDDEN, reason));
        }
        if order.state != OrderState::Issued {
            return Err(Refusal::new(
                StatusCode::GONE,
                format!("the token of order {id} is used up; the order is {}", order.state),
            ));
        }
        if self.clock.now() > order.expires_at {
            let reason = format!("the token of order {id} expired at {:.0}; order again", order.expires_at);
            return Err(Refusal::new(StatusCode::GONE, reason));
        }
        let (answer, base) = match self.store.boot_entry(&id.host).await? {
            Some(BootEntry { target: BootTarget::Install { order, answer, base, .. }, .. }) if order == *id => {
                (answer, base)
            }
            _ => return Err(Refusal::not_yet(format!("the answer file of order {id} is not set yet"))),
        };
        // Everything that can fail comes before the token is used up.
        let (name, own) = self.filled(id, &answer).await?;
        let contents = match base {
            Some(base) => self.merged(id, &base, &own)?,
            None => own,
        };
        match self.store.redeem_token(id, &shown, self.clock.now()).await {
            Ok(()) => Ok((name, contents)),
            Err(StoreError::Conflict(reason)) => Err(Refusal::new(StatusCode::GONE, reason)),
            Err(error) => Err(error.into()),
        }
    }

    /// The host's own part merged onto its role's configuration, which must be the one that was ordered.
    ///
    /// No refusal shows anything of the configuration. What is missing may yet come, so it is asked for again.
    fn merged(&self, id: &OrderId, base: &RoleConfig, own: &str) -> Result<String, Refusal> {
        let name = &base.name;
        let Some(private) = &self.config.private else {
            return Err(Refusal::not_yet(format!(
                "this boot server has no private files, and order {id} wants {name}"
            )));
        };
        let bytes = private
            .read(name)
            .map_err(|error| Refusal::not_yet(format!("failed to read {name} for order {id}: {error}")))?;
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if sha256 != base.sha256 {
            return Err(Refusal::not_yet(format!("{name} is not the file that order {id} was given for")));
        }
        harmony_templates::ignition::merge(&bytes, own)
            .map_err(|error| Refusal::not_yet(format!("failed to merge {name} for order {id}: {}", chain(&error))))
    }
}
