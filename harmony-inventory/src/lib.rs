//! The inventory and the journal on SQLite: everything that Harmony remembers, in one file.
//!
//! Owns the schema (`migrations/`), the transactions, and which machine a sighting or a report
//! belongs to. Deliberately knows no device, no boot protocol and no Score: it keeps what they say.
//!
//! Several programs may have one file open (the boot server, a run, the command line): readers
//! never wait, writers queue, and every write takes the write lock when it begins, so that two
//! cannot wait for each other. What a call has written survives `SIGKILL` from its return on; a
//! power failure may take the last moments, but not the file's integrity (WAL with
//! `synchronous = NORMAL`).
//!
//! Times are kept as RFC 3339 texts with nine digits of fraction, which sort as times do.
//!
//! Read next: `harmony_core::store::Store` for what each operation promises, `recognise` for how
//! machines are told apart, `migrations/0001_initial.sql` for what is kept.

mod assignments;
mod boot;
mod columns;
mod connection;
mod failure;
mod hosts;
mod known;
mod open;
mod orders;
mod recognise;
mod runs;
mod schema;
mod store;

pub use connection::Inventory;
pub use open::OpenError;
pub use recognise::RefusedReport;
