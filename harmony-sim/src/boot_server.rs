//! The boot server's part: what it answers to a host, and the evidence that it leaves in the store.
//!
//! Stands in for `harmony-boot`'s HTTP and TFTP, over the same store and with its own decision on
//! which script a machine gets: who asks is sighted, an answer file is served once, progress moves
//! the order on. Read next: `harmony_boot::decide`.

use std::net::IpAddr;

use harmony_boot::decide;
use harmony_core::boot::{BootEvent, BootEventKind, BootToken, Order, OrderId, OrderState};
use harmony_core::capability::BootTarget;
use harmony_core::host::{HostId, SystemIdentity};
use harmony_core::net::MacAddress;
use harmony_core::report::AGENT_PORT;
use harmony_core::secret::Secret;
use harmony_core::store::{SharedStore, Sighting, StoreError, StoreResult, TOKEN_MARK};

use crate::world::Shared;

/// Who asks the boot server.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) id: usize,
    pub(crate) mac: MacAddress,
    pub(crate) address: IpAddr,
    /// Whose script it was served last: the server knows it by its address.
    pub(crate) order: Option<OrderId>,
}

/// The script that a client is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Script {
    /// Start the inventory environment.
    Inventory,
    /// Install: the order's script, with its token in place.
    Install(OrderId, String),
    /// Start from disk.
    Disk,
}

impl Shared {
    /// A request for the boot script, with UUID, serial and MACs. None if no server answers, or it
    /// refuses.
    pub(crate) async fn serve_script(&self, client: &Client) -> Option<Script> {
        let store = self.store()?;
        let served = match self.sight(&store, client, None).await {
            Ok(host) => self.decided(&store, client, &host).await,
            Err(StoreError::Conflict(reason)) => {
                self.refuse(&store, client, "/ipxe/chain", reason).await;
                Ok((Script::Inventory, None, None))
            }
            Err(error) => Err(error),
        };
        match served {
            Ok((script, host, order)) => {
                let kind = match script {
                    Script::Inventory => BootEventKind::InventoryScript,
                    Script::Install(..) => BootEventKind::InstallScript,
                    Script::Disk => BootEventKind::DiskScript,
                };
                self.evidence(&store, client, host, order, kind).await;
                Some(script)
            }
            Err(error) => {
                self.refuse(&store, client, "/ipxe/chain", error.to_string()).await;
                None
            }
        }
    }

    async fn decided(
        &self,
        store: &SharedStore,
        client: &Client,
        host: &HostId,
    ) -> StoreResult<(Script, Option<HostId>, Option<OrderId>)> {
        let entry = store.boot_entry(host).await?;
        let id = match entry.as_ref().map(|entry| &entry.target) {
            Some(BootTarget::Install { order, .. }) => Some(order.clone()),
            Some(BootTarget::Inventory | BootTarget::Disk) | None => None,
        };
        let order = match &id {
            Some(id) => store.order(id).await?,
            None => None,
        };
        self.evidence(store, client, Some(host.clone()), id.clone(), BootEventKind::Chain).await;
        let macs = self.with(|state| state.machines[client.id].macs());
        let script = match decide(entry.as_ref(), order.as_ref(), &macs, self.timestamp()) {
            harmony_boot::Script::Inventory => Script::Inventory,
            harmony_boot::Script::Disk => Script::Disk,
            harmony_boot::Script::Install { order, script } => {
                let document = store.document(&script).await?;
                let document = document.ok_or_else(|| StoreError::NotFound(format!("no document {script}")))?;
                let token = store.order_token(&order).await?;
                let token = token.ok_or_else(|| StoreError::NotFound(format!("no token of order {order}")))?;
                Script::Install(order, document.text.replace(TOKEN_MARK, token.0.expose()))
            }
        };
        Ok((script, Some(host.clone()), id))
    }

    /// A request for an answer file. Err is what the server says why not.
    pub(crate) async fn serve_answer(&self, client: &Client, url: &str) -> Result<(Order, String), String> {
        let store = self.store().ok_or("no answer")?;
        let (id, token) = answer_url(url).ok_or("404 not found")?;
        let served = async {
            let order = store.order(&id).await?.ok_or_else(|| StoreError::NotFound(format!("no order {id}")))?;
            let entry = store.boot_entry(&id.host).await?.filter(|entry| entry.macs.contains(&client.mac));
            let Some(BootTarget::Install { order: current, answer, .. }) = entry.map(|entry| entry.target) else {
                return Err(StoreError::Conflict(format!("order {id} is not for {}", client.mac)));
            };
            if current != id {
                return Err(StoreError::Conflict(format!("order {id} is not the current one, {current} is")));
            }
            let missing = || StoreError::NotFound(format!("no document {answer}"));
            let document = store.document(&answer).await?.ok_or_else(missing)?;
            store.redeem_token(&id, &token, self.timestamp()).await?;
            Ok((order, document.text))
        };
        match served.await {
            Ok(served) => {
                self.evidence(&store, client, Some(id.host.clone()), Some(id), BootEventKind::Answer).await;
                Ok(served)
            }
            Err(error) => {
                let reason = error.to_string();
                self.refuse(&store, client, &format!("/answer/{}/{}", id.host, id.number), reason.clone()).await;
                Err(format!("403 {reason}"))
            }
        }
    }

    /// The installer tells how far it is.
    pub(crate) async fn take_progress(&self, client: &Client, order: &OrderId, kind: BootEventKind) {
        let Some(store) = self.store() else { return };
        let is_done = kind == BootEventKind::InstallDone;
        self.evidence(&store, client, Some(order.host.clone()), Some(order.clone()), kind).await;
        if is_done
            && let Err(error) = store.advance_order(order, OrderState::Answered, OrderState::Installed, None).await
        {
            self.note(&format!("boot server: {error}"));
        }
    }

    /// The agent announces itself. Whether that was acknowledged.
    pub(crate) async fn take_announcement(&self, client: &Client) -> bool {
        let Some(store) = self.store() else { return false };
        match self.sight(&store, client, Some(AGENT_PORT)).await {
            Ok(host) => {
                self.evidence(&store, client, Some(host), None, BootEventKind::Announced { port: AGENT_PORT }).await;
                true
            }
            Err(error) => {
                self.refuse(&store, client, "/announce", error.to_string()).await;
                false
            }
        }
    }

    /// A request that leaves evidence and nothing else. Whether a server answered.
    pub(crate) async fn serve(&self, client: &Client, kind: BootEventKind) -> bool {
        let Some(store) = self.store() else { return false };
        let host = store.host_by_mac(client.mac).await.ok().flatten().map(|host| host.id);
        self.evidence(&store, client, host, client.order.clone(), kind).await;
        true
    }

    async fn sight(&self, store: &SharedStore, client: &Client, agent_port: Option<u16>) -> StoreResult<HostId> {
        let (uuid, serial, macs) = self.with(|state| {
            let machine = &state.machines[client.id];
            (machine.uuid, machine.serial.clone(), machine.macs())
        });
        let identity = SystemIdentity::new(Some(uuid), Some(&serial), macs);
        let sighting = Sighting { identity, address: Some(client.address), agent_port, at: self.timestamp() };
        store.record_sighting(&sighting).await
    }

    async fn refuse(&self, store: &SharedStore, client: &Client, path: &str, reason: String) {
        let host = store.host_by_mac(client.mac).await.ok().flatten().map(|host| host.id);
        let kind = BootEventKind::Refused { path: path.to_owned(), reason };
        self.evidence(store, client, host, client.order.clone(), kind).await;
    }

    async fn evidence(
        &self,
        store: &SharedStore,
        client: &Client,
        host: Option<HostId>,
        order: Option<OrderId>,
        kind: BootEventKind,
    ) {
        let name = self.with(|state| state.machines[client.id].name.clone());
        self.note(&format!("boot server: {kind} ({name}, {})", client.address));
        let event =
            BootEvent { at: self.timestamp(), host, mac: Some(client.mac), address: Some(client.address), order, kind };
        if let Err(error) = store.add_boot_event(&event).await {
            self.note(&format!("boot server: {error}"));
        }
    }
}

/// Order and token of `http://…/answer/HOST/NUMBER/TOKEN`.
fn answer_url(url: &str) -> Option<(OrderId, BootToken)> {
    let (_, path) = url.split_once("/answer/")?;
    let (order, token) = path.rsplit_once('/')?;
    Some((order.parse().ok()?, BootToken(Secret::new(token))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_urls_name_order_and_token() {
        let (order, token) = answer_url("http://10.10.0.1:8080/answer/hc-0123456/2/abc").expect("valid");
        assert_eq!((order.to_string().as_str(), token.0.expose()), ("hc-0123456/2", "abc"));
        assert!(answer_url("http://10.10.0.1:8080/answer/hc-0123456/2").is_none());
        assert!(answer_url("http://10.10.0.1:8080/os/kernel").is_none());
    }
}
