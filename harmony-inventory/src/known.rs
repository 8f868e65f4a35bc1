//! Hosts and orders as they were read last, so that only what has changed since is read again.
//!
//! A run looks at all of them after every step that ends. Each change of one has a revision, kept in the
//! file with it, so that another program's changes are seen in the same way; nothing is known here that
//! is not in the file.

use std::collections::BTreeMap;

use harmony_core::boot::{Order, OrderId};
use harmony_core::host::{Host, HostId};
use sqlx::SqliteConnection;

use crate::failure::Fault;
use crate::hosts::{self, Which};
use crate::orders;

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Everything up to this change is in it.
    pub(crate) revision: i64,
    pub(crate) hosts: BTreeMap<HostId, Host>,
    pub(crate) orders: BTreeMap<OrderId, Order>,
}

impl Known {
    /// Reads what has changed, in one transaction of the caller's.
    pub(crate) async fn catch_up(&mut self, connection: &mut SqliteConnection) -> Result<(), Fault> {
        // All is read before any of it is kept: dropped in between, it knows what it knew before.
        let revision = hosts::revision(&mut *connection).await?;
        let changed = hosts::load(&mut *connection, Which::ChangedSince(self.revision)).await?;
        let forgotten = hosts::forgotten_since(&mut *connection, self.revision).await?;
        let orders = orders::changed_since(connection, self.revision).await?;
        self.hosts.extend(changed.into_iter().map(|host| (host.id.clone(), host)));
        self.orders.extend(orders.into_iter().map(|order| (order.id.clone(), order)));
        for id in forgotten {
            self.hosts.remove(&id);
            self.orders.retain(|order, _| order.host != id);
        }
        self.revision = revision;
        Ok(())
    }
}
