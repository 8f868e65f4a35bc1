//! What is seen goes to the store, with the host that it is about where that can be known.
//!
//! A client is known by its address: that of the latest script it fetched, or the one reserved by
//! an open order. This is for people who watch a boot; nothing is permitted because of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use harmony_core::boot::{BootEvent, BootEventKind, OrderId};
use harmony_core::clock::SharedClock;
use harmony_core::host::HostId;
use harmony_core::net::MacAddress;
use harmony_core::store::{SharedStore, StoreError, StoreResult};
use jiff::Timestamp;

/// Events that are looked through at the start, to know clients again after a restart.
const REMEMBERED_EVENTS: u32 = 1000;
/// Addresses that are kept in mind; a network with more of them is not being booted.
const MAX_ADDRESSES: usize = 1 << 16;
/// Refusals of one address that are stored in a minute: more would drive useful evidence out.
const MAX_REFUSALS: u32 = 30;
/// Length of a text from outside, in characters.
const MAX_TEXT: usize = 200;

/// Whom a client's request is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) host: Option<HostId>,
    pub(crate) order: Option<OrderId>,
    pub(crate) mac: Option<MacAddress>,
}

/// The way to the store.
pub(crate) struct Evidence {
    store: SharedStore,
    clock: SharedClock,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    clients: HashMap<IpAddr, About>,
    refusals: HashMap<IpAddr, (Timestamp, u32)>,
}

impl Evidence {
    /// Remembers from the store who was where.
    pub(crate) async fn of(store: SharedStore, clock: SharedClock) -> StoreResult<Self> {
        let mut memory = Memory::default();
        for event in store.latest_boot_events(REMEMBERED_EVENTS).await? {
            let script = matches!(
                event.kind,
                BootEventKind::InstallScript | BootEventKind::DiskScript | BootEventKind::InventoryScript
            );
            if let (true, Some(address)) = (script, event.address) {
                memory.clients.insert(address, About { host: event.host, order: event.order, mac: event.mac });
            }
        }
        Ok(Self { store, clock, memory: Mutex::new(memory) })
    }

    /// From now on, requests from this address are about these.
    pub(crate) fn remember(&self, address: IpAddr, about: &About) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.clients.len() >= MAX_ADDRESSES {
            memory.clients.clear();
        }
        memory.clients.insert(address, about.clone());
    }

    /// Whom requests from this address are about.
    async fn about(&self, address: IpAddr) -> About {
        let known = self.memory.lock().unwrap_or_else(PoisonError::into_inner).clients.get(&address).cloned();
        if let Some(about) = known {
            return about;
        }
        let orders = self.store.orders().await.unwrap_or_default();
        let reserved = orders.into_iter().find(|order| order.state.is_open() && order.address == address);
        reserved.map_or_else(About::default, |order| About {
            host: Some(order.id.host.clone()),
            order: Some(order.id),
            mac: None,
        })
    }

    /// Stores what was seen of a client that only its address tells.
    pub(crate) async fn saw(&self, client: IpAddr, kind: BootEventKind) -> StoreResult<()> {
        let about = self.about(client).await;
        self.saw_of(client, about, kind).await
    }

    /// Stores what was seen of a known host.
    pub(crate) async fn saw_of(&self, client: IpAddr, about: About, kind: BootEventKind) -> StoreResult<()> {
        let About { host, order, mac } = about;
        let mut event = BootEvent { at: self.clock.now(), host, mac, address: Some(client), order, kind };
        match self.store.add_boot_event(&event).await {
            // The host was forgotten; what is seen of it is evidence all the same.
            Err(StoreError::NotFound(_)) if event.host.is_some() => {
                event.host = None;
                self.store.add_boot_event(&event).await
            }
            stored => stored,
        }
    }

    /// Stores a refusal. The refusal itself has been given: if it cannot be stored, it still stands.
    pub(crate) async fn refused(&self, client: IpAddr, about: Option<About>, path: &str, reason: &str) {
        if self.is_flooding(client) {
            return;
        }
        let kind = BootEventKind::Refused { path: shown(path), reason: shown(reason) };
        let _ = match about {
            Some(about) => self.saw_of(client, about, kind).await,
            None => self.saw(client, kind).await,
        };
    }

    fn is_flooding(&self, client: IpAddr) -> bool {
        let now = self.clock.now();
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.refusals.len() >= MAX_ADDRESSES {
            memory.refusals.clear();
        }
        let (since, count) = memory.refusals.entry(client).or_insert((now, 0));
        if now.duration_since(*since).as_secs() >= 60 {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count > MAX_REFUSALS
    }
}

/// A text from outside as it may be shown: in one line, cut.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_TEXT).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_text_is_one_short_line() {
        assert_eq!(shown("a\nb\u{1b}[2J"), "a b [2J");
        assert_eq!(shown(&"x".repeat(201)).chars().count(), 201);
        assert!(shown(&"x".repeat(201)).ends_with('…'));
    }
}
