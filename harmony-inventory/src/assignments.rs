//! A host's life: the role it gets, what happens to it, and how it leaves.

use harmony_core::boot::OrderState;
use harmony_core::host::{Assignment, BmcId, Host, HostId, Lifecycle, LifecycleEvent, PortWitnesses};
use harmony_core::net::MacAddress;
use harmony_core::store::LifecycleEntry;
use jiff::Timestamp;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::columns::{Columns, json, time, word};
use crate::failure::Fault;
use crate::hosts;
use crate::orders;

/// Gives a free host a role, changes what may be erased for the role that it has, or resumes one that failed.
pub(crate) async fn assign(
    connection: &mut SqliteConnection,
    id: &HostId,
    assignment: &Assignment,
    at: Timestamp,
) -> Result<(), Fault> {
    let mut host = hosts::require(connection, id).await?;
    let refuse =
        |reason: String| Err(Fault::conflict(format!("{} cannot be `{}`: {reason}", host.label(), assignment.role)));
    match (&host.assignment, host.lifecycle) {
        (Some(present), Lifecycle::Failed) if present.role == assignment.role => {
            if let Some(order) = orders::in_force(connection, id).await?.filter(|order| order.state.is_open()) {
                let why = order.failure.as_deref();
                orders::advance(connection, &order.id, order.state, OrderState::Cancelled, why).await?;
            }
            host.assignment = Some(assignment.clone());
            let note = format!("role {} again", assignment.role);
            return happen(connection, &mut host, LifecycleEvent::Resume, &note, at).await;
        }
        (Some(present), _) if present == assignment => return Ok(()),
        (Some(present), Lifecycle::Acquired) if present.role == assignment.role => {
            if let Some(order) =
                orders::in_force(connection, id).await?.filter(|order| order.state == OrderState::Complete)
            {
                return refuse(format!("order {} is complete", order.id));
            }
            host.assignment = Some(assignment.clone());
            return hosts::save(connection, &mut host).await;
        }
        (Some(present), _) if present.role != assignment.role => {
            return refuse(format!("it is `{}`; take that away first", present.role));
        }
        (None, state) if state.is_free() => {}
        (None, Lifecycle::Registered) => {
            return refuse("its hardware is not known yet; wait for its report".to_owned());
        }
        (_, state) => return refuse(format!("it is {state}")),
    }
    let holder: Option<String> = sqlx::query_scalar("SELECT name || ' (' || id || ')' FROM host WHERE role = ?1")
        .bind(assignment.role.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(holder) = holder {
        return refuse(format!("{holder} has this role; take it away there first, or choose another"));
    }
    host.assignment = Some(assignment.clone());
    happen(connection, &mut host, LifecycleEvent::Acquire, &format!("role {}", assignment.role), at).await
}

/// Takes a host's role away.
pub(crate) async fn unassign(
    connection: &mut SqliteConnection,
    id: &HostId,
    note: &str,
    at: Timestamp,
) -> Result<Lifecycle, Fault> {
    let host = hosts::require(connection, id).await?;
    if host.assignment.is_none() {
        return Err(Fault::conflict(format!("{} has no role", host.label())));
    }
    let ordered: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM install_order WHERE host = ?1)")
        .bind(id.as_str())
        .fetch_one(&mut *connection)
        .await?;
    let untouched = !ordered && host.lifecycle == Lifecycle::Acquired;
    let event = if untouched { LifecycleEvent::Withdraw } else { LifecycleEvent::Release };
    lifecycle(connection, id, event, note, at).await
}

/// Lets something happen to a host.
pub(crate) async fn lifecycle(
    connection: &mut SqliteConnection,
    id: &HostId,
    event: LifecycleEvent,
    note: &str,
    at: Timestamp,
) -> Result<Lifecycle, Fault> {
    let mut host = hosts::require(connection, id).await?;
    if matches!(event, LifecycleEvent::Release | LifecycleEvent::Withdraw) {
        orders::refuse_open(connection, &host, "its role cannot be taken away").await?;
        orders::out_of_force(connection, id).await?;
        host.assignment = None;
    }
    happen(connection, &mut host, event, note, at).await?;
    Ok(host.lifecycle)
}

/// The event itself: new state, history, row.
async fn happen(
    connection: &mut SqliteConnection,
    host: &mut Host,
    event: LifecycleEvent,
    note: &str,
    at: Timestamp,
) -> Result<(), Fault> {
    host.lifecycle =
        host.lifecycle.on(event).map_err(|refusal| Fault::conflict(format!("{}: {refusal}", host.label())))?;
    hosts::save(connection, host).await?;
    add_history(connection, host, event, note, at).await
}

/// Adds a line to a host's history.
pub(crate) async fn add_history(
    connection: &mut SqliteConnection,
    host: &Host,
    event: LifecycleEvent,
    note: &str,
    at: Timestamp,
) -> Result<(), Fault> {
    sqlx::query("INSERT INTO lifecycle_event (host, at, event, state, note) VALUES (?1, ?2, ?3, ?4, ?5)")
        .bind(host.id.as_str())
        .bind(time(at))
        .bind(word(&event)?)
        .bind(host.lifecycle.as_str())
        .bind(note)
        .execute(connection)
        .await?;
    Ok(())
}

/// A host's history, oldest first.
pub(crate) async fn history(connection: &mut SqliteConnection, id: &HostId) -> Result<Vec<LifecycleEntry>, Fault> {
    let statement = "SELECT at, event, state, note FROM lifecycle_event WHERE host = ?1 ORDER BY number";
    let rows = sqlx::query(statement).bind(id.as_str()).fetch_all(connection).await?;
    let entry = |row: &SqliteRow| {
        Ok(LifecycleEntry {
            at: row.required("at")?,
            event: row.word("event")?,
            state: row.required("state")?,
            note: row.required("note")?,
        })
    };
    rows.iter().map(entry).collect()
}

/// Removes a host with all that is kept of it.
pub(crate) async fn forget(connection: &mut SqliteConnection, id: &HostId) -> Result<(), Fault> {
    let host = hosts::require(connection, id).await?;
    orders::refuse_open(connection, &host, "it cannot be forgotten").await?;
    let revision = hosts::next_revision(&mut *connection).await?;
    sqlx::query("INSERT INTO retired_host (id, revision) VALUES (?1, ?2)")
        .bind(id.as_str())
        .bind(revision)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM host WHERE id = ?1").bind(id.as_str()).execute(connection).await?;
    Ok(())
}

/// Replaces what is known of the switch port of a NIC.
pub(crate) async fn set_port_witnesses(
    connection: &mut SqliteConnection,
    id: &HostId,
    nic: MacAddress,
    port: &PortWitnesses,
) -> Result<(), Fault> {
    let mut host = hosts::require(connection, id).await?;
    let Some(known) = host.nics.iter().find(|known| known.mac == nic) else {
        return Err(Fault::not_found(format!("{} has no NIC {nic}", host.label())));
    };
    if known.port == *port {
        return Ok(());
    }
    sqlx::query("UPDATE nic SET port = ?2 WHERE mac = ?1")
        .bind(nic.to_string())
        .bind(json(port)?)
        .execute(&mut *connection)
        .await?;
    hosts::save(connection, &mut host).await
}

/// Binds a BMC to a host.
pub(crate) async fn set_bmc(connection: &mut SqliteConnection, id: &HostId, bmc: &BmcId) -> Result<(), Fault> {
    let mut host = hosts::require(connection, id).await?;
    if host.bmc.as_ref() == Some(bmc) {
        return Ok(());
    }
    let holder: Option<String> = sqlx::query_scalar("SELECT name || ' (' || id || ')' FROM host WHERE bmc = ?1")
        .bind(bmc.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(holder) = holder {
        return Err(Fault::conflict(format!(
            "BMC `{bmc}` is bound to {holder}; it cannot be that of {}",
            host.label()
        )));
    }
    host.bmc = Some(bmc.clone());
    hosts::save(connection, &mut host).await
}
