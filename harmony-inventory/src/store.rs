//! `Store` as promised: each method is one transaction, and names itself in its error.
//!
//! What an operation does is in the module of its table; here is only which transaction it runs in
//! and what it is called.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use harmony_core::boot::{BootEvent, BootToken, Order, OrderId, OrderState};
use harmony_core::capability::BootEntry;
use harmony_core::event::Record;
use harmony_core::host::{Assignment, BmcId, Host, HostId, Lifecycle, LifecycleEvent, PortWitnesses};
use harmony_core::net::MacAddress;
use harmony_core::store::{
    Document, HostChanges, LifecycleEntry, OneShot, RunId, RunRow, Sighting, Store, StoreResult, StoredReport,
};
use jiff::Timestamp;
use tokio::sync::OwnedMutexGuard;

use crate::connection::Inventory;
use crate::failure::Fault;
use crate::hosts::Which;
use crate::known::Known;
use crate::recognise::RefusedReport;
use crate::{assignments, boot, hosts, orders, recognise, runs};

/// `transaction!(inventory reads tx => work, "operation")`: the work's value once it is committed.
/// Dropped half way, whatever the reason, it is rolled back.
macro_rules! transaction {
    ($self:ident reads $tx:ident => $work:expr, $($operation:tt)+) => {
        transaction!($self, read, $tx, $work, $($operation)+)
    };
    ($self:ident writes $tx:ident => $work:expr, $($operation:tt)+) => {
        transaction!($self, write, $tx, $work, $($operation)+)
    };
    ($self:ident, $begin:ident, $tx:ident, $work:expr, $($operation:tt)+) => {{
        let work = async {
            let mut transaction = $self.$begin().await?;
            let $tx = transaction.connection()?;
            let value = $work.await?;
            transaction.commit().await?;
            Ok(value)
        };
        work.await.map_err(|fault: Fault| fault.during(format!($($operation)+), &$self.place))
    }};
}

/// The same for work that is a single statement, which SQLite makes a transaction of by itself.
macro_rules! statement {
    ($self:ident reads $tx:ident => $work:expr, $($operation:tt)+) => {
        statement!($self, reading, $tx, $work, $($operation)+)
    };
    ($self:ident writes $tx:ident => $work:expr, $($operation:tt)+) => {
        statement!($self, writing, $tx, $work, $($operation)+)
    };
    ($self:ident, $session:ident, $tx:ident, $work:expr, $($operation:tt)+) => {{
        let mut session = $self.$session().await;
        let $tx = session.connection();
        $work.await.map_err(|fault: Fault| fault.during(format!($($operation)+), &$self.place))
    }};
}

impl Inventory {
    /// Reports that contradict a known host, oldest first; the latest of each address.
    ///
    /// # Errors
    /// `Database`.
    pub async fn refused_reports(&self) -> StoreResult<Vec<RefusedReport>> {
        statement!(self reads tx => recognise::refused_reports(tx), "read the refused reports")
    }

    /// Every text that a host was or is to be served, sorted by name. Holds no secret: tokens are marked.
    ///
    /// # Errors
    /// `Database`.
    pub async fn documents(&self) -> StoreResult<Vec<Document>> {
        statement!(self reads tx => boot::documents(tx), "read the documents")
    }

    /// Hosts and orders as they are now.
    async fn known(&self) -> Result<OwnedMutexGuard<Known>, Fault> {
        let mut known = self.known.clone().lock_owned().await;
        let revision = hosts::revision(self.reading().await.connection()).await?;
        if revision != known.revision {
            let mut transaction = self.read().await?;
            known.catch_up(transaction.connection()?).await?;
            transaction.commit().await?;
        }
        Ok(known)
    }

    async fn changed_since(&self, revision: i64) -> Result<HostChanges, Fault> {
        let now = hosts::revision(self.reading().await.connection()).await?;
        if now == revision {
            return Ok(HostChanges { hosts: Vec::new(), forgotten: Vec::new(), revision });
        }
        let mut transaction = self.read().await?;
        let connection = transaction.connection()?;
        let changes = HostChanges {
            revision: hosts::revision(connection).await?,
            hosts: hosts::load(connection, Which::ChangedSince(revision)).await?,
            forgotten: hosts::forgotten_since(connection, revision).await?,
        };
        transaction.commit().await?;
        Ok(changes)
    }
}

#[async_trait]
impl Store for Inventory {
    async fn hosts(&self) -> StoreResult<Vec<Host>> {
        let known = self.known().await.map_err(|fault| fault.during("read the hosts".to_owned(), &self.place))?;
        Ok(known.hosts.values().cloned().collect())
    }

    async fn hosts_changed_since(&self, revision: i64) -> StoreResult<HostChanges> {
        let changes = self.changed_since(revision).await;
        changes.map_err(|fault| fault.during(format!("read the hosts changed since {revision}"), &self.place))
    }

    async fn host(&self, id: &HostId) -> StoreResult<Option<Host>> {
        let hosts = transaction!(self reads tx => hosts::load(tx, Which::One(id)), "read host {id}")?;
        Ok(hosts.into_iter().next())
    }

    async fn host_by_mac(&self, mac: MacAddress) -> StoreResult<Option<Host>> {
        let hosts =
            transaction!(self reads tx => hosts::load(tx, Which::WithMac(mac)), "read the host with MAC {mac}")?;
        Ok(hosts.into_iter().next())
    }

    async fn record_sighting(&self, sighting: &Sighting) -> StoreResult<HostId> {
        transaction!(
            self writes tx => recognise::record_sighting(tx, sighting),
            "record the sighting of {}", recognise::place(sighting.address)
        )
    }

    async fn unread_announcements(&self) -> StoreResult<Vec<(HostId, SocketAddr)>> {
        statement!(self reads tx => recognise::unread_announcements(tx), "read the announcements")
    }

    async fn record_report(&self, address: IpAddr, body: &str, at: Timestamp) -> StoreResult<HostId> {
        transaction!(
            self writes tx => recognise::record_report(tx, address, body, at),
            "record the report of {address}"
        )?
    }

    async fn reports(&self, host: &HostId) -> StoreResult<Vec<StoredReport>> {
        statement!(self reads tx => recognise::reports(tx, host), "read the reports of {host}")
    }

    async fn set_port_witnesses(&self, host: &HostId, nic: MacAddress, port: &PortWitnesses) -> StoreResult<()> {
        transaction!(
            self writes tx => assignments::set_port_witnesses(tx, host, nic, port),
            "record the switch port of NIC {nic} of {host}"
        )
    }

    async fn set_bmc(&self, host: &HostId, bmc: &BmcId) -> StoreResult<()> {
        transaction!(self writes tx => assignments::set_bmc(tx, host, bmc), "bind BMC `{bmc}` to {host}")
    }

    async fn assign(&self, host: &HostId, assignment: &Assignment, at: Timestamp) -> StoreResult<()> {
        transaction!(
            self writes tx => assignments::assign(tx, host, assignment, at),
            "give {host} the role `{}`", assignment.role
        )
    }

    async fn unassign(&self, host: &HostId, note: &str, at: Timestamp) -> StoreResult<Lifecycle> {
        transaction!(self writes tx => assignments::unassign(tx, host, note, at), "take the role of {host} away")
    }

    async fn forget(&self, host: &HostId) -> StoreResult<()> {
        transaction!(self writes tx => assignments::forget(tx, host), "forget {host}")
    }

    async fn lifecycle(
        &self,
        host: &HostId,
        event: LifecycleEvent,
        note: &str,
        at: Timestamp,
    ) -> StoreResult<Lifecycle> {
        transaction!(
            self writes tx => assignments::lifecycle(tx, host, event, note, at),
            "record `{event}` of {host}"
        )
    }

    async fn history(&self, host: &HostId) -> StoreResult<Vec<LifecycleEntry>> {
        statement!(self reads tx => assignments::history(tx, host), "read the history of {host}")
    }

    async fn create_order(&self, order: &Order, token: &BootToken) -> StoreResult<()> {
        transaction!(self writes tx => orders::create(tx, order, token), "give order {}", order.id)
    }

    async fn orders(&self) -> StoreResult<Vec<Order>> {
        let known = self.known().await.map_err(|fault| fault.during("read the orders".to_owned(), &self.place))?;
        Ok(known.orders.values().cloned().collect())
    }

    async fn latest_order(&self, host: &HostId) -> StoreResult<Option<Order>> {
        statement!(self reads tx => orders::latest(tx, host), "read the latest order of {host}")
    }

    async fn order(&self, id: &OrderId) -> StoreResult<Option<Order>> {
        statement!(self reads tx => orders::get(tx, id), "read order {id}")
    }

    async fn order_token(&self, id: &OrderId) -> StoreResult<Option<BootToken>> {
        statement!(self reads tx => orders::token(tx, id), "read the token of order {id}")
    }

    async fn advance_order(
        &self,
        id: &OrderId,
        from: OrderState,
        to: OrderState,
        failure: Option<&str>,
    ) -> StoreResult<()> {
        transaction!(
            self writes tx => orders::advance(tx, id, from, to, failure),
            "move order {id} from {from} to {to}"
        )
    }

    async fn reissue_order(&self, id: &OrderId, token: &BootToken, expires_at: Timestamp) -> StoreResult<()> {
        transaction!(self writes tx => orders::reissue(tx, id, token, expires_at), "give order {id} again")
    }

    async fn redeem_token(&self, id: &OrderId, token: &BootToken, now: Timestamp) -> StoreResult<()> {
        transaction!(self writes tx => orders::redeem(tx, id, token, now), "use the token of order {id}")
    }

    async fn put_document(&self, document: &Document) -> StoreResult<()> {
        statement!(self writes tx => boot::put_document(tx, document), "store the document `{}`", document.name)
    }

    async fn document(&self, hash: &str) -> StoreResult<Option<Document>> {
        statement!(self reads tx => boot::document(tx, hash), "read document {hash}")
    }

    async fn boot_entries(&self) -> StoreResult<Vec<BootEntry>> {
        statement!(self reads tx => boot::entries(tx), "read the boot entries")
    }

    async fn boot_entry(&self, host: &HostId) -> StoreResult<Option<BootEntry>> {
        statement!(self reads tx => boot::entry(tx, host), "read the boot entry of {host}")
    }

    async fn set_boot_entry(&self, entry: &BootEntry) -> StoreResult<()> {
        statement!(self writes tx => boot::set_entry(tx, entry), "set the boot entry of {}", entry.host)
    }

    async fn remove_boot_entry(&self, host: &HostId) -> StoreResult<()> {
        statement!(self writes tx => boot::remove_entry(tx, host), "remove the boot entry of {host}")
    }

    async fn add_boot_event(&self, event: &BootEvent) -> StoreResult<()> {
        transaction!(self writes tx => boot::add_event(tx, event), "record that a host booted: {}", event.kind)
    }

    async fn boot_events(&self, host: &HostId, since: Option<Timestamp>) -> StoreResult<Vec<BootEvent>> {
        statement!(self reads tx => boot::events(tx, host, since), "read the boot events of {host}")
    }

    async fn failed_installations(&self, since: Timestamp) -> StoreResult<BTreeSet<HostId>> {
        statement!(self reads tx => boot::failed_since(tx, since), "read which installations failed")
    }

    async fn latest_boot_events(&self, limit: u32) -> StoreResult<Vec<BootEvent>> {
        statement!(self reads tx => boot::latest_events(tx, limit), "read the latest boot events")
    }

    async fn begin_run(&self, program: &str, at: Timestamp) -> StoreResult<RunId> {
        statement!(self writes tx => runs::begin(tx, program, at), "begin a run of `{program}`")
    }

    async fn end_run(&self, run: RunId, outcome: &str, at: Timestamp) -> StoreResult<()> {
        statement!(self writes tx => runs::end(tx, run, outcome, at), "end run {}", run.0)
    }

    async fn runs(&self) -> StoreResult<Vec<RunRow>> {
        statement!(self reads tx => runs::all(tx), "read the runs")
    }

    async fn append(&self, run: RunId, record: &Record) -> StoreResult<()> {
        statement!(self writes tx => runs::append(tx, run, record), "journal record {} of run {}", record.seq, run.0)
    }

    async fn journal(&self, run: RunId) -> StoreResult<Vec<Record>> {
        statement!(self reads tx => runs::journal(tx, run), "read the journal of run {}", run.0)
    }

    async fn one_shot(&self, key: &str) -> StoreResult<OneShot> {
        statement!(self reads tx => runs::one_shot(tx, key), "read the mark of `{key}`")
    }

    async fn one_shots(&self, keys: &[String]) -> StoreResult<BTreeMap<String, OneShot>> {
        statement!(self reads tx => runs::one_shots(tx, keys), "read {} marks", keys.len())
    }

    async fn mark_one_shot(&self, key: &str, done: bool, at: Timestamp) -> StoreResult<()> {
        statement!(self writes tx => runs::mark_one_shot(tx, key, done, at), "mark `{key}`")
    }
}
