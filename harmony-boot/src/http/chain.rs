//! The script for a machine: registers that it was seen, decides, serves, and says so as evidence.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use harmony_core::boot::{BootEventKind, OrderId};
use harmony_core::capability::{BootEntry, BootTarget};
use harmony_core::host::HostId;
use harmony_core::net::MacAddress;
use harmony_core::store::{Sighting, StoreError};
use harmony_templates::{DefaultIpxe, TemplateError, default_ipxe, disk_boot};
use percent_encoding::percent_decode_str;

use super::query::Caller;
use super::{Boot, Client, Refusal, script};
use crate::evidence::{About, shown};
use crate::{Script, decide, marks};

/// `GET /ipxe/chain`.
pub(super) async fn by_identity(
    State(boot): State<Arc<Boot>>,
    Extension(client): Extension<Client>,
    uri: Uri,
) -> Response {
    let answer = boot.chain(client, uri.query().unwrap_or_default()).await;
    boot.finish(client, uri.path(), answer).await
}

/// `GET /ipxe/default.ipxe` and `GET /ipxe/{mac}.ipxe`.
pub(super) async fn by_file(State(boot): State<Arc<Boot>>, Extension(client): Extension<Client>, uri: Uri) -> Response {
    let answer = match uri.path() {
        harmony_templates::urls::DEFAULT_IPXE => boot.inventory(client, About::default(), None).await,
        path => boot.by_mac(client, path).await,
    };
    boot.finish(client, uri.path(), answer).await
}

impl Boot {
    async fn chain(&self, client: Client, query: &str) -> Result<Response, Refusal> {
        let caller = Caller::parse(query).map_err(|reason| Refusal::new(StatusCode::BAD_REQUEST, reason))?;
        let mac = caller.macs.first().copied();
        let now = self.clock.now();
        let sighting = Sighting { identity: caller.identity, address: Some(client.0), agent_port: None, at: now };
        let host = match self.store.record_sighting(&sighting).await {
            Ok(host) => host,
            // Which machine it is must be found out by a person; until then it may say what it is made of.
            Err(StoreError::Conflict(reason)) => {
                let about = About { mac, ..About::default() };
                self.evidence.refused(client.0, Some(about.clone()), "/ipxe/chain", &reason).await;
                return self.inventory(client, about, Some(&reason)).await;
            }
            Err(error) => return Err(error.into()),
        };
        let entry = self.store.boot_entry(&host).await?;
        let about = About { host: Some(host), order: order_of(entry.as_ref()).cloned(), mac };
        self.evidence.saw_of(client.0, about.clone(), BootEventKind::Chain).await?;
        self.decided(client, about, entry.as_ref(), &caller.macs).await
    }

    async fn by_mac(&self, client: Client, path: &str) -> Result<Response, Refusal> {
        let name = path.rsplit('/').next().and_then(|name| name.strip_suffix(".ipxe")).unwrap_or_default();
        let unknown = || Refusal::new(StatusCode::NOT_FOUND, "no known host has this MAC");
        let mac: MacAddress = percent_decode_str(name).decode_utf8_lossy().parse().map_err(|_| unknown())?;
        let host: HostId = self.store.host_by_mac(mac).await?.ok_or_else(unknown)?.id;
        let entry = self.store.boot_entry(&host).await?;
        let about = About { host: Some(host), order: order_of(entry.as_ref()).cloned(), mac: Some(mac) };
        self.decided(client, about, entry.as_ref(), &[mac]).await
    }

    async fn decided(
        &self,
        client: Client,
        about: About,
        entry: Option<&BootEntry>,
        macs: &[MacAddress],
    ) -> Result<Response, Refusal> {
        let order = match order_of(entry) {
            Some(id) => self.store.order(id).await?,
            None => None,
        };
        match decide(entry, order.as_ref(), macs, self.clock.now()) {
            Script::Inventory => self.inventory(client, About { order: None, ..about }, None).await,
            Script::Disk => self.served(client, about, BootEventKind::DiskScript, disk_boot()?).await,
            Script::Install { order, script } => {
                let text = self.filled(&order, &script).await.map_err(|refusal| refusal.about(about.clone()))?;
                self.served(client, about, BootEventKind::InstallScript, text.1).await
            }
        }
    }

    /// A stored document's name, and its text with the order's secrets in their places.
    pub(super) async fn filled(&self, order: &OrderId, hash: &str) -> Result<(String, String), Refusal> {
        let document = self.store.document(hash).await?;
        let document =
            document.ok_or_else(|| Refusal::not_yet(format!("document {hash} of order {order} is not stored")))?;
        let token = self.store.order_token(order).await?;
        let token = token.ok_or_else(|| Refusal::not_yet(format!("order {order} has no token")))?;
        let text = marks::fill(&document.text, &token);
        let refuse =
            || Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the token of order {order} is no plain word"));
        text.map(|text| (document.name, text)).ok_or_else(refuse)
    }

    async fn inventory(&self, client: Client, about: About, notice: Option<&str>) -> Result<Response, Refusal> {
        let text = self.inventory_script(notice)?;
        self.served(client, about, BootEventKind::InventoryScript, text).await
    }

    /// The evidence is stored first: for an install script, it is what the answer file is bound to.
    async fn served(
        &self,
        client: Client,
        about: About,
        kind: BootEventKind,
        text: String,
    ) -> Result<Response, Refusal> {
        self.evidence.remember(client.0, &about);
        self.evidence.saw_of(client.0, about, kind).await?;
        Ok(script(text))
    }

    /// The script that starts the inventory environment.
    pub(super) fn inventory_script(&self, notice: Option<&str>) -> Result<String, TemplateError> {
        let plain = |c: char| if c.is_ascii_alphanumeric() || " ._:/=,@%+-".contains(c) { c } else { ' ' };
        let notice: Option<String> = notice.map(|notice| shown(notice).chars().map(plain).collect());
        default_ipxe(&DefaultIpxe {
            base_url: &self.base_url,
            environment: &self.config.live,
            agent_token: self.config.agent_token.as_ref(),
            extra_args: &self.config.live_args,
            notice: notice.as_deref(),
        })
    }
}

fn order_of(entry: Option<&BootEntry>) -> Option<&OrderId> {
    match &entry?.target {
        BootTarget::Install { order, .. } => Some(order),
        BootTarget::Inventory | BootTarget::Disk => None,
    }
}
