//! Opening: first use, again, and everything that is no inventory.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harmony_core::error::{FailureKind, chain};
use harmony_core::store::Store;
use harmony_inventory::{Inventory, OpenError};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::fixtures::*;

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

async fn raw(path: &Path) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    options.connect().await.expect("opens")
}

async fn refusal(path: &Path) -> OpenError {
    let before = std::fs::read(path).ok();
    let error = Inventory::open(&text(path)).await.expect_err("refused");
    assert!(std::fs::read(path).ok() == before, "nothing was changed");
    assert_names(&error.to_string(), &[&text(path)]);
    error
}

#[tokio::test]
async fn first_use_makes_a_file_for_its_owner_alone() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("var").join("lib").join("harmony.db");
    let store = Inventory::open(&format!("sqlite://{}", path.display())).await.expect("opens");
    discovered(&store, 1).await;
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", path.display());
        let mode = std::fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn what_was_written_is_there_again_and_opening_writes_nothing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("harmony.db");
    let store = Inventory::open(&text(&path)).await.expect("opens");
    acquired(&store, 1).await;
    let hosts = store.hosts().await.expect("read");
    store.close().await;
    let log = folder.path().join("harmony.db-wal");
    assert!(!log.exists(), "one file is left");

    let before = std::fs::read(&path).expect("read");
    let store = Inventory::open(&text(&path)).await.expect("opens");
    assert_eq!(store.hosts().await.expect("read"), hosts);
    assert!(std::fs::read(&path).expect("read") == before, "nothing is written into the file");
    assert_eq!(std::fs::metadata(&log).map_or(0, |log| log.len()), 0, "nor into its log");
}

#[tokio::test]
async fn a_newer_version_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("harmony.db");
    Inventory::open(&text(&path)).await.expect("opens").close().await;
    let mut connection = raw(&path).await;
    let future = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'future', 1, x'00', 0)";
    sqlx::query(future).execute(&mut connection).await.expect("written");
    connection.close().await.expect("closes");
    let error = refusal(&path).await;
    assert!(matches!(error, OpenError::Newer { found: 99, newest: 3, .. }), "{error:?}");
    assert_names(&error.to_string(), &["version 99", "newest that this program understands is 3"]);
    assert_names(error.hint(), &["newer harmony"]);
    assert_eq!(error.kind(), FailureKind::Invalid);
}

#[tokio::test]
async fn what_is_no_inventory_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let nonsense = folder.path().join("notes.txt");
    std::fs::write(&nonsense, "to do: ".repeat(1000)).expect("written");
    assert_names(&refusal(&nonsense).await.to_string(), &["is no inventory", "no SQLite database"]);

    let foreign = folder.path().join("photos.db");
    let mut connection = raw(&foreign).await;
    sqlx::query("CREATE TABLE photo (id INTEGER)").execute(&mut connection).await.expect("written");
    connection.close().await.expect("closes");
    let error = Inventory::open(&text(&foreign)).await.expect_err("refused");
    assert_names(&error.to_string(), &["photos.db", "another program's"]);

    assert_names(&refusal(folder.path()).await.to_string(), &["is no file"]);
}

#[tokio::test]
async fn where_no_file_can_be_made_the_folder_is_named() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("written");
    let error = Inventory::open(&text(&file.join("harmony.db"))).await.expect_err("refused");
    assert!(matches!(error, OpenError::Folder { .. }), "{error:?}");
    assert_names(&error.to_string(), &[&text(&file)]);
    assert_names(error.hint(), &["folder that you may write to"]);
    // Not even root makes files in /proc.
    let error = refusal(Path::new("/proc/harmony.db")).await;
    assert!(matches!(error, OpenError::Create { .. }), "{error:?}");
    let error = Inventory::open("postgres://db/harmony").await.expect_err("refused");
    assert_names(&chain(&error), &["postgres://db/harmony"]);
}

#[tokio::test]
async fn a_damaged_row_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("harmony.db");
    let store = Inventory::open(&text(&path)).await.expect("opens");
    let id = discovered(&store, 1).await;
    let mut connection = raw(&path).await;
    sqlx::query("UPDATE host SET lifecycle = 'dreaming'").execute(&mut connection).await.expect("written");
    let error = store.host(&id).await.expect_err("unreadable");
    assert_eq!(error.kind(), FailureKind::Invalid);
    assert_names(&chain(&error), &[&format!("failed to read host {id}"), "`lifecycle`", &text(&path), "dreaming"]);
}
