//! The open inventory: one connection that writes, one that reads.
//!
//! Each is a thread of its own that SQLite runs on. A mutex per connection is all the pooling there
//! is: operations take tens of microseconds, and it needs no timer, so that nothing here can time
//! out in a runtime whose clock is paused.
//!
//! Read next: `known` for what is not read twice.

use std::fmt;
use std::sync::Arc;

use sqlx::{Connection, SqliteConnection};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::failure::{Fault, Place};
use crate::known::Known;

/// An open inventory. Clones share its connections.
#[derive(Clone)]
pub struct Inventory {
    pub(crate) place: Place,
    writer: Arc<Mutex<SqliteConnection>>,
    reader: Arc<Mutex<SqliteConnection>>,
    pub(crate) known: Arc<Mutex<Known>>,
}

impl Inventory {
    pub(crate) fn new(place: Place, writer: SqliteConnection, reader: Option<SqliteConnection>) -> Self {
        let writer = Arc::new(Mutex::new(writer));
        let reader = reader.map_or_else(|| writer.clone(), |reader| Arc::new(Mutex::new(reader)));
        Self { place, writer, reader, known: Arc::default() }
    }

    /// Ends the connections, unless a clone is still in use. The last program to do so brings
    /// `FILE-wal` into the file, which can then be copied alone. Without it nothing is lost.
    pub async fn close(self) {
        let Self { writer, reader, .. } = self;
        for connection in [reader, writer] {
            if let Some(connection) = Arc::into_inner(connection) {
                // What can fail is bringing in the log, which the next program does instead.
                let _ = connection.into_inner().close().await;
            }
        }
    }

    /// Begins a transaction that sees one state throughout.
    pub(crate) async fn read(&self) -> Result<Transaction, Fault> {
        self.begin(&self.reader, "BEGIN").await
    }

    /// Begins a transaction that nothing can overtake.
    pub(crate) async fn write(&self) -> Result<Transaction, Fault> {
        self.begin(&self.writer, "BEGIN IMMEDIATE").await
    }

    /// The connection that reads, for one statement: that is a transaction already.
    pub(crate) async fn reading(&self) -> Session {
        self.session(&self.reader).await
    }

    /// The connection that may write, for one statement.
    pub(crate) async fn writing(&self) -> Session {
        self.session(&self.writer).await
    }

    async fn session(&self, connection: &Arc<Mutex<SqliteConnection>>) -> Session {
        let clock = self.hold_clock();
        Session { connection: connection.clone().lock_owned().await, _clock: clock }
    }

    async fn begin(
        &self,
        connection: &Arc<Mutex<SqliteConnection>>,
        statement: &'static str,
    ) -> Result<Transaction, Fault> {
        let mut transaction = Transaction(Some(self.session(connection).await));
        sqlx::query(statement).execute(transaction.connection()?).await?;
        Ok(transaction)
    }

    /// An inventory in memory is what tests and simulations use, whose clock may be paused. Tokio
    /// would take the wait for SQLite's thread for idleness and jump to the next timer. Only a
    /// runtime of one thread can be paused. Source: `tokio::time::pause`, "Panics".
    fn hold_clock(&self) -> Option<HeldClock> {
        let can_be_paused = || Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
        (self.place == Place::Memory && can_be_paused()).then(HeldClock::new)
    }
}

impl fmt::Debug for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Inventory").field(&self.place).finish()
    }
}

/// A connection for the time of one operation.
pub(crate) struct Session {
    connection: OwnedMutexGuard<SqliteConnection>,
    _clock: Option<HeldClock>,
}

impl Session {
    /// The connection.
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

/// A transaction; rolled back unless it is committed, also if its future is dropped half way.
///
/// Not sqlx's own: that counts depths, and never counts down when SQLite has rolled back by itself,
/// as it does on a full disk. Every later transaction on the connection would be refused.
pub(crate) struct Transaction(Option<Session>);

impl Transaction {
    /// The connection, with the transaction open on it.
    pub(crate) fn connection(&mut self) -> Result<&mut SqliteConnection, Fault> {
        self.0.as_mut().map(Session::connection).ok_or(Fault::Sql(sqlx::Error::BeginFailed))
    }

    /// Makes it durable.
    pub(crate) async fn commit(mut self) -> Result<(), Fault> {
        sqlx::query("COMMIT").execute(self.connection()?).await?;
        self.0 = None;
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(mut session) = self.0.take() else { return };
        // Whoever comes next waits for the connection, and so for this. Outside a runtime nobody does.
        if let Ok(runtime) = Handle::try_current() {
            // It fails if SQLite has rolled back already.
            runtime.spawn(async move { sqlx::query("ROLLBACK").execute(session.connection()).await.is_ok() });
        }
    }
}

/// While it lives, the paused clock of a runtime stands still: Tokio does not advance it while a
/// blocking task runs. Source: `tokio::time::pause`, "Auto-advance".
struct HeldClock {
    _release: std::sync::mpsc::Sender<()>,
}

impl HeldClock {
    fn new() -> Self {
        let (release, released) = std::sync::mpsc::channel();
        tokio::task::spawn_blocking(move || released.recv().is_ok());
        Self { _release: release }
    }
}
