//! What goes wrong inside an operation, and what is told of it outside.
//!
//! SQLite's result codes become a sentence with the file's name and the next step, and a
//! [`FailureKind`] that says whether another attempt may help.

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};

use harmony_core::error::FailureKind;
use harmony_core::store::StoreError;

/// Where the data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this file.
    File(PathBuf),
    /// In memory.
    Memory,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Memory => f.write_str("the inventory in memory"),
        }
    }
}

impl Place {
    /// The folder that has to have room.
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::File(path) => path.parent().filter(|folder| !folder.as_os_str().is_empty()),
            Self::Memory => None,
        }
    }
}

/// What stops an operation; turned into a [`StoreError`] where the operation is named.
#[derive(Debug)]
pub(crate) enum Fault {
    /// SQLite refused or broke.
    Sql(sqlx::Error),
    /// A refusal of the domain, complete as it is.
    Refused(StoreError),
    /// A column does not hold what was written.
    Unreadable {
        /// Which.
        column: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A value has no JSON form.
    Unwritable(Box<dyn StdError + Send + Sync>),
}

impl Fault {
    /// A refusal because of what is stored.
    pub(crate) fn conflict(reason: impl Into<String>) -> Self {
        Self::Refused(StoreError::Conflict(reason.into()))
    }

    /// A refusal because something is not there.
    pub(crate) fn not_found(reason: impl Into<String>) -> Self {
        Self::Refused(StoreError::NotFound(reason.into()))
    }

    /// A refusal of what was handed in.
    pub(crate) fn invalid(what: impl Into<String>, reason: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Refused(StoreError::Invalid { what: what.into(), source: reason.into() })
    }

    /// The error of the operation that it stopped, such as "forget hc-7KQ2M9X".
    pub(crate) fn during(self, operation: String, place: &Place) -> StoreError {
        let (cause, kind) = match self {
            Self::Refused(error) => return error,
            Self::Sql(error) => explain(&error, place),
            Self::Unreadable { column, reason } => {
                (format!("column `{column}` in {place} cannot be read: {reason}"), FailureKind::Invalid)
            }
            Self::Unwritable(error) => (error.to_string(), FailureKind::Bug),
        };
        StoreError::Database { operation, source: cause.into(), kind }
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

/// SQLite's primary result code. Source: <https://www.sqlite.org/rescode.html>, sections 2 and 4.
pub(crate) fn result_code(error: &sqlx::Error) -> Option<u32> {
    match error.as_database_error()?.code()?.parse().ok()? {
        IOERR_SHMSIZE => Some(FULL),
        extended => Some(extended & 0xff),
    }
}

/// Locked by another connection (`SQLITE_BUSY`).
pub(crate) const BUSY: u32 = 5;
/// Locked by another statement of this program (`SQLITE_LOCKED`).
const LOCKED: u32 = 6;
/// The file may not be written (`SQLITE_READONLY`).
pub(crate) const READONLY: u32 = 8;
/// A read or write failed (`SQLITE_IOERR`).
const IOERR: u32 = 10;
/// The file's structure is broken (`SQLITE_CORRUPT`).
pub(crate) const CORRUPT: u32 = 11;
/// No room (`SQLITE_FULL`).
pub(crate) const FULL: u32 = 13;
/// No room for the index of the log (`SQLITE_IOERR_SHMSIZE`), the first thing that is missing
/// when a file is opened on a full disk.
const IOERR_SHMSIZE: u32 = 10 | (19 << 8);
/// The file cannot be opened (`SQLITE_CANTOPEN`).
pub(crate) const CANTOPEN: u32 = 14;
/// A rule of the schema forbids it (`SQLITE_CONSTRAINT`).
const CONSTRAINT: u32 = 19;
/// Not a database (`SQLITE_NOTADB`).
pub(crate) const NOTADB: u32 = 26;

/// A sentence with the next step, and what it means for another attempt.
fn explain(error: &sqlx::Error, place: &Place) -> (String, FailureKind) {
    let (text, kind) = match result_code(error) {
        Some(BUSY | LOCKED) => (format!("another program is writing to {place}: try again"), FailureKind::Transient),
        Some(FULL) => {
            let folder = place.folder().unwrap_or(Path::new(".")).display();
            (format!("no space is left for {place}: free some in `{folder}`, then run it again"), FailureKind::Rejected)
        }
        Some(READONLY) => (format!("{place} may not be written: check its owner and mode"), FailureKind::Rejected),
        Some(CANTOPEN | IOERR) => {
            (format!("{place} cannot be read or written: check the disk that it is on"), FailureKind::Rejected)
        }
        Some(CORRUPT | NOTADB) => (format!("{place} is damaged: restore it from a backup"), FailureKind::Invalid),
        Some(CONSTRAINT) => (format!("it contradicts what is in {place}"), FailureKind::Conflict),
        _ => return (error.to_string(), FailureKind::Bug),
    };
    (format!("{text} ({error})"), kind)
}

#[cfg(test)]
mod tests {
    use harmony_core::error::chain;
    use harmony_core::store::{Document, Store};

    use super::*;
    use crate::Inventory;

    #[tokio::test]
    async fn a_full_disk_is_named_and_nothing_is_half_written() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("harmony.db");
        let store = Inventory::open(path.to_str().expect("UTF-8")).await.expect("opens");
        let (small, large) = (Document::new("small", "x"), Document::new("large", "x".repeat(1 << 20)));
        sqlx::query("PRAGMA max_page_count = 1")
            .execute(store.writing().await.connection())
            .await
            .expect("as small as it is");
        let error = store.put_document(&large).await.expect_err("no room");
        assert_eq!(error.kind(), FailureKind::Rejected);
        let text = chain(&error);
        let place = format!("no space is left for `{}`: free some in `{}`", path.display(), folder.path().display());
        assert!(
            text.starts_with("failed to store the document `large` in the inventory: ") && text.contains(&place),
            "{text}"
        );
        assert_eq!(store.document(&large.hash).await.expect("read"), None);
        store.put_document(&small).await.expect("there is room for that");
    }

    #[tokio::test]
    async fn a_lock_that_is_never_let_go_is_worth_another_attempt() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("harmony.db");
        let open = async || Inventory::open(path.to_str().expect("UTF-8")).await.expect("opens");
        let (one, two) = (open().await, open().await);
        sqlx::query("PRAGMA busy_timeout = 1").execute(two.writing().await.connection()).await.expect("shorter");
        let _lock = one.write().await.expect("free");
        let error = two.put_document(&Document::new("a", "b")).await.expect_err("locked");
        assert_eq!(error.kind(), FailureKind::Transient);
        assert!(chain(&error).contains("another program is writing to `"), "{}", chain(&error));
        two.document("00").await.expect("readers do not wait");
    }

    #[tokio::test]
    async fn an_operation_that_is_dropped_half_way_leaves_no_lock() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("harmony.db");
        let open = async || Inventory::open(path.to_str().expect("UTF-8")).await.expect("opens");
        let (one, two) = (open().await, open().await);
        let document = Document::new("large", "x".repeat(1 << 20));
        for patience in 0..40 {
            let impatient = async {
                for _ in 0..patience * 10 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                _ = one.put_document(&document) => {}
                () = impatient => {}
            }
            two.put_document(&Document::new("a", format!("{patience}"))).await.expect("no lock is left");
            one.put_document(&Document::new("b", format!("{patience}!"))).await.expect("no transaction is left");
        }
    }
}
