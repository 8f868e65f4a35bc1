//! What is remembered: hosts, reports, orders, documents, boot evidence, runs and their journal.
//!
//! The trait is implemented on SQLite by `harmony-inventory`; nothing is kept only in memory.
//! Every method is one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::boot::{BootEvent, BootToken, Order, OrderId, OrderState};
use crate::capability::BootEntry;
use crate::error::FailureKind;
use crate::event::Record;
use crate::host::{Assignment, BmcId, Host, HostId, Lifecycle, LifecycleEvent, PortWitnesses, SystemIdentity};
use crate::net::MacAddress;

/// A failed operation on the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or broke.
    #[error("failed to {operation} in the inventory")]
    Database {
        /// What was tried: "record the report of 10.0.0.7".
        operation: String,
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether another attempt may help.
        kind: FailureKind,
    },
    /// What was handed in cannot be understood; nothing was changed.
    #[error("failed to understand {what}")]
    Invalid {
        /// The object: "the report of 10.0.0.7".
        what: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What was asked contradicts what is stored; the text names the objects.
    #[error("{0}")]
    Conflict(String),
    /// What was asked for is not there; the text names it.
    #[error("{0}")]
    NotFound(String),
}

impl StoreError {
    /// What it means for a retry.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Database { kind, .. } => *kind,
            Self::Conflict(_) => FailureKind::Conflict,
            Self::Invalid { .. } | Self::NotFound(_) => FailureKind::Invalid,
        }
    }
}

/// Result of an operation on the store.
pub type StoreResult<T> = Result<T, StoreError>;

/// A host that was seen: what is known is its identity and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Who.
    pub identity: SystemIdentity,
    /// Where it answers.
    pub address: Option<std::net::IpAddr>,
    /// The port of its agent, if it announced one.
    pub agent_port: Option<u16>,
    /// When.
    pub at: Timestamp,
}

/// What has happened to hosts since some revision.
#[derive(Debug, Clone, PartialEq)]
pub struct HostChanges {
    /// Hosts that are new or changed, sorted by revision.
    pub hosts: Vec<Host>,
    /// Hosts that were forgotten, in the order in which they were.
    pub forgotten: Vec<HostId>,
    /// The revision to ask with the next time.
    pub revision: i64,
}

/// A hardware report as it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredReport {
    /// Counts all reports.
    pub number: i64,
    /// When it was read.
    pub at: Timestamp,
    /// The JSON text, as the agent sent it.
    pub body: String,
}

/// A rendered text that a host is served, kept so that it can be served again exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// SHA-256 of the text, lower-case hex.
    pub hash: String,
    /// What it is: `{mac}.ipxe`, `config.ign`, `inventory.ks`.
    pub name: String,
    /// The text. Holds no secret: a token's place is marked by [`TOKEN_MARK`].
    pub text: String,
}

/// Stands for the boot token in a stored document; the boot server puts the token there.
pub const TOKEN_MARK: &str = "@BOOT-TOKEN@";

/// Stands for the key of the progress URL, which the boot server derives from the token.
pub const PROGRESS_MARK: &str = "@PROGRESS-KEY@";

impl Document {
    /// Makes a document of a text.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        use sha2::{Digest, Sha256};
        let text = text.into();
        let hash = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { hash, name: name.into(), text }
    }
}

/// One line of a host's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleEntry {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub event: LifecycleEvent,
    /// The state after it.
    pub state: Lifecycle,
    /// Why, for people.
    pub note: String,
}

/// A run of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRow {
    /// Counts runs.
    pub id: RunId,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; absent for a run that was killed or still runs.
    pub ended_at: Option<Timestamp>,
    /// The program's name.
    pub program: String,
    /// How it ended, if it did.
    pub outcome: Option<String>,
}

/// Counts runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId(pub i64);

/// The inventory and the journal.
#[async_trait]
pub trait Store: Send + Sync {
    // Hosts.

    /// All hosts, sorted by id.
    async fn hosts(&self) -> StoreResult<Vec<Host>>;
    /// What has happened to hosts after a revision; after 0, all there are.
    async fn hosts_changed_since(&self, revision: i64) -> StoreResult<HostChanges>;
    /// One host.
    async fn host(&self, id: &HostId) -> StoreResult<Option<Host>>;
    /// The host that has this MAC.
    async fn host_by_mac(&self, mac: MacAddress) -> StoreResult<Option<Host>>;
    /// Registers or recognises a host by a sighting (iPXE chain request, announcement).
    /// `Conflict` if it contradicts a known host; nothing is changed then.
    async fn record_sighting(&self, sighting: &Sighting) -> StoreResult<HostId>;
    /// Sightings whose agent announced itself and has not been read since, with their host.
    async fn unread_announcements(&self) -> StoreResult<Vec<(HostId, std::net::SocketAddr)>>;
    /// Stores a report as it came, and brings the host's facts up to date with it. Registers the
    /// host if it is new. `Conflict` if it contradicts a known host; the report is kept all the same.
    async fn record_report(&self, address: std::net::IpAddr, body: &str, at: Timestamp) -> StoreResult<HostId>;
    /// The reports of a host, oldest first.
    async fn reports(&self, host: &HostId) -> StoreResult<Vec<StoredReport>>;
    /// Replaces what is known of the switch port of a NIC.
    async fn set_port_witnesses(&self, host: &HostId, nic: MacAddress, port: &PortWitnesses) -> StoreResult<()>;
    /// Binds a BMC to a host.
    async fn set_bmc(&self, host: &HostId, bmc: &BmcId) -> StoreResult<()>;
    /// Gives a free host a role, or changes what may be erased for the role that it has, before
    /// its order is complete. A host that failed is resumed by giving it its role again, and an order
    /// of it that is still open is cancelled. `Conflict` if another host has the role, or the host is in use.
    async fn assign(&self, host: &HostId, assignment: &Assignment, at: Timestamp) -> StoreResult<()>;
    /// Takes a host's role away: it is free again if it never had an order, else released, to be
    /// wiped. `Conflict` while it has an open order, or has no role.
    async fn unassign(&self, host: &HostId, note: &str, at: Timestamp) -> StoreResult<Lifecycle>;
    /// Removes a host and all that is kept of it; its id is not given again, since journals still
    /// name it. `Conflict` while it has an open order.
    async fn forget(&self, host: &HostId) -> StoreResult<()>;
    /// Lets something happen to a host. `Conflict` if it cannot happen in the host's state; an event
    /// that takes the role away also removes the assignment, and needs that no order is open.
    async fn lifecycle(
        &self,
        host: &HostId,
        event: LifecycleEvent,
        note: &str,
        at: Timestamp,
    ) -> StoreResult<Lifecycle>;
    /// A host's history, oldest first.
    async fn history(&self, host: &HostId) -> StoreResult<Vec<LifecycleEntry>>;

    // Orders.

    /// Stores a new order with its token. `Conflict` if the host has an open one, or its address,
    /// name or number is taken.
    async fn create_order(&self, order: &Order, token: &BootToken) -> StoreResult<()>;
    /// All orders, sorted by id.
    async fn orders(&self) -> StoreResult<Vec<Order>>;
    /// A host's order with the greatest number.
    async fn latest_order(&self, host: &HostId) -> StoreResult<Option<Order>>;
    /// One order.
    async fn order(&self, id: &OrderId) -> StoreResult<Option<Order>>;
    /// The order's token, for the boot server.
    async fn order_token(&self, id: &OrderId) -> StoreResult<Option<BootToken>>;
    /// Moves an order on. `Conflict` unless it is in state `from`, and `from` may become `to`.
    async fn advance_order(
        &self,
        id: &OrderId,
        from: OrderState,
        to: OrderState,
        failure: Option<&str>,
    ) -> StoreResult<()>;
    /// Opens an order again for another attempt, with a new token and expiry: back to `Issued`,
    /// with its attempts counted. `Conflict` if it is complete or cancelled.
    async fn reissue_order(&self, id: &OrderId, token: &BootToken, expires_at: Timestamp) -> StoreResult<()>;
    /// Uses an order's token: in one transaction, if the order is `Issued`, not expired at `now`,
    /// and the token is right, moves it to `Answered`. `Conflict` with the reason otherwise.
    async fn redeem_token(&self, id: &OrderId, token: &BootToken, now: Timestamp) -> StoreResult<()>;

    // Network boot.

    /// Stores a document; the same text is stored once.
    async fn put_document(&self, document: &Document) -> StoreResult<()>;
    /// A document by its hash.
    async fn document(&self, hash: &str) -> StoreResult<Option<Document>>;
    /// Boot entries, sorted by host.
    async fn boot_entries(&self) -> StoreResult<Vec<BootEntry>>;
    /// A host's boot entry.
    async fn boot_entry(&self, host: &HostId) -> StoreResult<Option<BootEntry>>;
    /// Makes or replaces a host's boot entry.
    async fn set_boot_entry(&self, entry: &BootEntry) -> StoreResult<()>;
    /// Removes a host's boot entry.
    async fn remove_boot_entry(&self, host: &HostId) -> StoreResult<()>;
    /// Adds evidence.
    async fn add_boot_event(&self, event: &BootEvent) -> StoreResult<()>;
    /// Evidence of a host, oldest first, not older than `since`.
    async fn boot_events(&self, host: &HostId, since: Option<Timestamp>) -> StoreResult<Vec<BootEvent>>;
    /// Hosts of which an installer said, at `since` or later, that it failed. What became of it
    /// afterwards is in [`Store::boot_events`].
    async fn failed_installations(&self, since: Timestamp) -> StoreResult<BTreeSet<HostId>>;
    /// The latest evidence of any client, oldest first.
    async fn latest_boot_events(&self, limit: u32) -> StoreResult<Vec<BootEvent>>;

    // Runs.

    /// Begins a run.
    async fn begin_run(&self, program: &str, at: Timestamp) -> StoreResult<RunId>;
    /// Ends a run.
    async fn end_run(&self, run: RunId, outcome: &str, at: Timestamp) -> StoreResult<()>;
    /// All runs, oldest first.
    async fn runs(&self) -> StoreResult<Vec<RunRow>>;
    /// Appends to a run's journal; durable when it returns.
    async fn append(&self, run: RunId, record: &Record) -> StoreResult<()>;
    /// A run's journal, in order.
    async fn journal(&self, run: RunId) -> StoreResult<Vec<Record>>;
    /// The latest state of a one-shot step in any run: whether its intent was journalled, and
    /// whether its end was.
    async fn one_shot(&self, key: &str) -> StoreResult<OneShot>;
    /// The same of many steps at once, by key; those never begun are absent.
    async fn one_shots(&self, keys: &[String]) -> StoreResult<BTreeMap<String, OneShot>>;
    /// Journals the intent (`done == false`) or the end (`done == true`) of a one-shot step.
    async fn mark_one_shot(&self, key: &str, done: bool, at: Timestamp) -> StoreResult<()>;
}

/// What the journal says of a one-shot act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OneShot {
    /// Never begun.
    Never,
    /// Begun at that time, and not known to have ended: it may or may not have happened.
    Begun(Timestamp),
    /// Begun at that time (of the latest intent), and done since.
    Done(Timestamp),
}

/// A shared store.
pub type SharedStore = Arc<dyn Store>;
