//! What the inventory environment fetches: agent, keys, Kickstart.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{Method, Uri};
use axum::response::Response;
use harmony_core::boot::BootEventKind;
use harmony_templates::{InventoryKickstart, TemplateError, inventory_ks as render, urls};

use super::{Boot, Client, is_head, text};

/// `GET /agent/harmony-inventory-agent`.
pub(super) async fn agent(
    State(boot): State<Arc<Boot>>,
    Extension(client): Extension<Client>,
    method: Method,
) -> Response {
    if !is_head(&method) {
        // Evidence is no condition for what is no secret.
        let _ = boot.evidence.saw(client.0, BootEventKind::AgentBinary).await;
    }
    text("application/octet-stream", boot.agent.binary.clone())
}

/// `GET /agent/harmony-inventory-agent.sha256`.
pub(super) async fn agent_sha256(State(boot): State<Arc<Boot>>) -> Response {
    text("text/plain; charset=utf-8", format!("{}  harmony-inventory-agent\n", boot.agent.sha256))
}

/// `GET /agent/authorized_keys`.
pub(super) async fn authorized_keys(State(boot): State<Arc<Boot>>) -> Response {
    text("text/plain; charset=utf-8", boot.config.authorized_keys.clone())
}

/// `GET /ks/inventory.ks`.
pub(super) async fn inventory_ks(
    State(boot): State<Arc<Boot>>,
    Extension(client): Extension<Client>,
    method: Method,
    uri: Uri,
) -> Response {
    let answer = match boot.kickstart() {
        Ok(kickstart) => {
            if !is_head(&method) {
                // As above.
                let _ = boot.evidence.saw(client.0, BootEventKind::Kickstart).await;
            }
            Ok(text("text/plain; charset=utf-8", kickstart))
        }
        Err(error) => Err(error.into()),
    };
    boot.finish(client, uri.path(), answer).await
}

impl Boot {
    /// The Kickstart of the inventory environment.
    pub(super) fn kickstart(&self) -> Result<String, TemplateError> {
        let agent_url = format!("{}{}", self.base_url, urls::AGENT);
        let kickstart = InventoryKickstart {
            agent_url: &agent_url,
            agent_sha256: &self.agent.sha256,
            ssh_keys: &self.config.ssh_keys(),
        };
        render(&kickstart)
    }
}
