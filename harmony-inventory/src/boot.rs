//! Network boot: the texts that are served, what each host is told, what was seen of it.

use std::collections::BTreeSet;

use harmony_core::boot::BootEvent;
use harmony_core::capability::BootEntry;
use harmony_core::host::HostId;
use harmony_core::store::Document;
use jiff::Timestamp;
use sqlx::SqliteConnection;
use sqlx::error::ErrorKind;
use sqlx::sqlite::SqliteRow;

use crate::columns::{Columns, json, time};
use crate::failure::Fault;

/// Events kept of each host, and of all unknown clients together: an installation makes some
/// dozens, and whoever is on the provisioning network can make as many as they like.
const MAX_EVENTS: i64 = 10_000;

/// Stores a document.
pub(crate) async fn put_document(connection: &mut SqliteConnection, document: &Document) -> Result<(), Fault> {
    let Document { hash, name, text } = document;
    if Document::new(name, text).hash != *hash {
        return Err(Fault::invalid(format!("the document `{name}`"), format!("{hash} is not the SHA-256 of its text")));
    }
    sqlx::query("INSERT INTO document (hash, name, body) VALUES (?1, ?2, ?3) ON CONFLICT (hash) DO NOTHING")
        .bind(hash.as_str())
        .bind(name.as_str())
        .bind(text.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// A document by its hash.
pub(crate) async fn document(connection: &mut SqliteConnection, hash: &str) -> Result<Option<Document>, Fault> {
    let row = sqlx::query("SELECT * FROM document WHERE hash = ?1").bind(hash).fetch_optional(connection).await?;
    row.as_ref().map(read_document).transpose()
}

/// All documents, sorted by name.
pub(crate) async fn documents(connection: &mut SqliteConnection) -> Result<Vec<Document>, Fault> {
    let rows = sqlx::query("SELECT * FROM document ORDER BY name, hash").fetch_all(connection).await?;
    rows.iter().map(read_document).collect()
}

fn read_document(row: &SqliteRow) -> Result<Document, Fault> {
    Ok(Document { hash: row.required("hash")?, name: row.required("name")?, text: row.required("body")? })
}

/// Boot entries, sorted by host.
pub(crate) async fn entries(connection: &mut SqliteConnection) -> Result<Vec<BootEntry>, Fault> {
    let rows = sqlx::query("SELECT * FROM boot_entry ORDER BY host").fetch_all(connection).await?;
    rows.iter().map(read_entry).collect()
}

/// A host's boot entry.
pub(crate) async fn entry(connection: &mut SqliteConnection, host: &HostId) -> Result<Option<BootEntry>, Fault> {
    let statement = "SELECT * FROM boot_entry WHERE host = ?1";
    let row = sqlx::query(statement).bind(host.as_str()).fetch_optional(connection).await?;
    row.as_ref().map(read_entry).transpose()
}

/// Makes or replaces a host's boot entry.
pub(crate) async fn set_entry(connection: &mut SqliteConnection, entry: &BootEntry) -> Result<(), Fault> {
    let done = sqlx::query(
        "INSERT INTO boot_entry (host, macs, target) VALUES (?1, ?2, ?3) \
         ON CONFLICT (host) DO UPDATE SET macs = ?2, target = ?3",
    )
    .bind(entry.host.as_str())
    .bind(json(&entry.macs)?)
    .bind(json(&entry.target)?)
    .execute(connection)
    .await;
    done.map_err(|error| or_no_host(error, Some(&entry.host)))?;
    Ok(())
}

/// Removes a host's boot entry.
pub(crate) async fn remove_entry(connection: &mut SqliteConnection, host: &HostId) -> Result<(), Fault> {
    sqlx::query("DELETE FROM boot_entry WHERE host = ?1").bind(host.as_str()).execute(connection).await?;
    Ok(())
}

fn read_entry(row: &SqliteRow) -> Result<BootEntry, Fault> {
    Ok(BootEntry { host: row.required("host")?, macs: row.json("macs")?, target: row.json("target")? })
}

/// Adds evidence, and drops the oldest of the same host when there is too much.
pub(crate) async fn add_event(connection: &mut SqliteConnection, event: &BootEvent) -> Result<(), Fault> {
    let host = event.host.as_ref().map(HostId::as_str);
    let number = sqlx::query_scalar::<_, i64>(
        "INSERT INTO boot_event (host, number, at, mac, address, install_order, kind) \
         VALUES (?1, 1 + coalesce((SELECT max(number) FROM boot_event WHERE host IS ?1), 0), ?2, ?3, ?4, ?5, ?6) \
         RETURNING number",
    )
    .bind(host)
    .bind(time(event.at))
    .bind(event.mac.map(|mac| mac.to_string()))
    .bind(event.address.map(|address| address.to_string()))
    .bind(event.order.as_ref().map(ToString::to_string))
    .bind(json(&event.kind)?)
    .fetch_one(&mut *connection)
    .await;
    let number = number.map_err(|error| or_no_host(error, event.host.as_ref()))?;
    if number > MAX_EVENTS {
        sqlx::query("DELETE FROM boot_event WHERE host IS ?1 AND number <= ?2")
            .bind(host)
            .bind(number - MAX_EVENTS)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Evidence of a host, oldest first, not older than `since`.
pub(crate) async fn events(
    connection: &mut SqliteConnection,
    host: &HostId,
    since: Option<Timestamp>,
) -> Result<Vec<BootEvent>, Fault> {
    let statement = "SELECT * FROM boot_event WHERE host = ?1 AND (?2 IS NULL OR at >= ?2) ORDER BY number";
    let rows = sqlx::query(statement).bind(host.as_str()).bind(since.map(time)).fetch_all(connection).await?;
    rows.iter().map(read_event).collect()
}

/// Hosts of which an installer said that it failed, since then.
pub(crate) async fn failed_since(
    connection: &mut SqliteConnection,
    since: Timestamp,
) -> Result<BTreeSet<HostId>, Fault> {
    // As the index says it, or it is not used.
    let statement = "SELECT host FROM boot_event \
                     WHERE json_extract(kind, '$.kind') = 'install_failed' AND at >= ?1 AND host IS NOT NULL";
    let rows = sqlx::query(statement).bind(time(since)).fetch_all(connection).await?;
    rows.iter().map(|row| row.required("host")).collect()
}

/// The latest evidence of any client, oldest first.
pub(crate) async fn latest_events(connection: &mut SqliteConnection, limit: u32) -> Result<Vec<BootEvent>, Fault> {
    let statement = "SELECT * FROM boot_event ORDER BY id DESC LIMIT ?1";
    let rows = sqlx::query(statement).bind(limit).fetch_all(connection).await?;
    rows.iter().rev().map(read_event).collect()
}

fn read_event(row: &SqliteRow) -> Result<BootEvent, Fault> {
    Ok(BootEvent {
        at: row.required("at")?,
        host: row.optional("host")?,
        mac: row.optional("mac")?,
        address: row.optional("address")?,
        order: row.optional("install_order")?,
        kind: row.json("kind")?,
    })
}

/// The one reference of these tables is to the host.
fn or_no_host(error: sqlx::Error, host: Option<&HostId>) -> Fault {
    match (error.as_database_error().map(|error| error.kind()), host) {
        (Some(ErrorKind::ForeignKeyViolation), Some(host)) => {
            Fault::not_found(format!("no host {host} in the inventory"))
        }
        _ => error.into(),
    }
}
