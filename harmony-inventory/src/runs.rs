//! Runs, their journals, and the marks of one-shot acts.

use std::collections::BTreeMap;

use harmony_core::event::Record;
use harmony_core::store::{OneShot, RunId, RunRow};
use jiff::Timestamp;
use sqlx::SqliteConnection;
use sqlx::error::ErrorKind;
use sqlx::sqlite::SqliteRow;

use crate::columns::{Columns, json, time};
use crate::failure::Fault;

/// Begins a run.
pub(crate) async fn begin(connection: &mut SqliteConnection, program: &str, at: Timestamp) -> Result<RunId, Fault> {
    let statement = "INSERT INTO run (started_at, program) VALUES (?1, ?2) RETURNING id";
    Ok(RunId(sqlx::query_scalar(statement).bind(time(at)).bind(program).fetch_one(connection).await?))
}

/// Ends a run.
pub(crate) async fn end(
    connection: &mut SqliteConnection,
    run: RunId,
    outcome: &str,
    at: Timestamp,
) -> Result<(), Fault> {
    let statement = "UPDATE run SET ended_at = ?2, outcome = ?3 WHERE id = ?1";
    let done = sqlx::query(statement).bind(run.0).bind(time(at)).bind(outcome).execute(connection).await?;
    if done.rows_affected() == 0 { Err(no_run(run)) } else { Ok(()) }
}

/// All runs, oldest first.
pub(crate) async fn all(connection: &mut SqliteConnection) -> Result<Vec<RunRow>, Fault> {
    let rows = sqlx::query("SELECT * FROM run ORDER BY id").fetch_all(connection).await?;
    let run = |row: &SqliteRow| {
        Ok(RunRow {
            id: RunId(row.number("id")?),
            started_at: row.required("started_at")?,
            ended_at: row.optional("ended_at")?,
            program: row.required("program")?,
            outcome: row.text("outcome")?,
        })
    };
    rows.iter().map(run).collect()
}

/// Appends to a run's journal. One statement, and so a transaction of its own.
pub(crate) async fn append(connection: &mut SqliteConnection, run: RunId, record: &Record) -> Result<(), Fault> {
    let seq =
        i64::try_from(record.seq).map_err(|_| Fault::conflict(format!("no journal has a record {}", record.seq)))?;
    let done = sqlx::query("INSERT INTO journal (run, seq, record) VALUES (?1, ?2, ?3)")
        .bind(run.0)
        .bind(seq)
        .bind(json(record)?)
        .execute(connection)
        .await;
    match done.as_ref().err().and_then(sqlx::Error::as_database_error).map(|error| error.kind()) {
        Some(ErrorKind::UniqueViolation) => {
            Err(Fault::conflict(format!("run {} has a record {seq} in its journal already", run.0)))
        }
        Some(ErrorKind::ForeignKeyViolation) => Err(no_run(run)),
        _ => Ok(done.map(|_| ())?),
    }
}

/// A run's journal, in order.
pub(crate) async fn journal(connection: &mut SqliteConnection, run: RunId) -> Result<Vec<Record>, Fault> {
    let rows =
        sqlx::query("SELECT record FROM journal WHERE run = ?1 ORDER BY seq").bind(run.0).fetch_all(connection).await?;
    rows.iter().map(|row| row.json("record")).collect()
}

/// What is marked of a one-shot act.
pub(crate) async fn one_shot(connection: &mut SqliteConnection, key: &str) -> Result<OneShot, Fault> {
    let row = sqlx::query("SELECT * FROM one_shot WHERE key = ?1").bind(key).fetch_optional(connection).await?;
    row.as_ref().map_or(Ok(OneShot::Never), mark)
}

/// What is marked of one-shot acts; those never begun are absent.
pub(crate) async fn one_shots(
    connection: &mut SqliteConnection,
    keys: &[String],
) -> Result<BTreeMap<String, OneShot>, Fault> {
    let statement = "SELECT * FROM one_shot WHERE key IN (SELECT value FROM json_each(?1))";
    let rows = sqlx::query(statement).bind(json(&keys)?).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.required("key")?, mark(row)?))).collect()
}

fn mark(row: &SqliteRow) -> Result<OneShot, Fault> {
    match row.optional("done_at")? {
        Some(done) => Ok(OneShot::Done(done)),
        None => Ok(OneShot::Begun(row.required("begun_at")?)),
    }
}

/// Marks the intent or the end of a one-shot act. A new intent after an end begins it anew.
pub(crate) async fn mark_one_shot(
    connection: &mut SqliteConnection,
    key: &str,
    done: bool,
    at: Timestamp,
) -> Result<(), Fault> {
    let statement = if done {
        "INSERT INTO one_shot (key, begun_at, done_at) VALUES (?1, ?2, ?2) ON CONFLICT (key) DO UPDATE SET done_at = ?2"
    } else {
        "INSERT INTO one_shot (key, begun_at) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET begun_at = ?2, done_at = NULL"
    };
    sqlx::query(statement).bind(key).bind(time(at)).execute(connection).await?;
    Ok(())
}

fn no_run(run: RunId) -> Fault {
    Fault::not_found(format!("no run {} in the inventory", run.0))
}
