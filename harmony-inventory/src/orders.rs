//! Orders and their tokens: what may be erased, once.
//!
//! An order is *in force* while it is open, and after its completion until its host gets another or
//! is released; so long its address and host name belong to it. The schema has the same rules as
//! unique indices; the checks here come first to name what is in the way.

use harmony_core::boot::{BootToken, Order, OrderId, OrderState};
use harmony_core::host::{Host, HostId};
use harmony_core::secret::Secret;
use jiff::Timestamp;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::columns::{Columns, json, time};
use crate::failure::Fault;
use crate::hosts;

/// Stores a new order with its token.
pub(crate) async fn create(connection: &mut SqliteConnection, order: &Order, token: &BootToken) -> Result<(), Fault> {
    let Order { id, .. } = order;
    let host = hosts::require(connection, &id.host).await?;
    refuse_open(connection, &host, &format!("order {id} cannot be given")).await?;
    if get(connection, id).await?.is_some() {
        return Err(Fault::conflict(format!("order {id} was given before; orders are never changed")));
    }
    out_of_force(connection, &id.host).await?;
    refuse_taken(connection, order).await?;
    let revision = hosts::next_revision(&mut *connection).await?;
    sqlx::query(
        "INSERT INTO install_order (host, number, role, hostname, address, disk_serial, disk_path, bond, issued_at, \
         expires_at, attempt, state, failure, token, in_force, revision) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )
    .bind(id.host.as_str())
    .bind(id.number)
    .bind(order.role.as_str())
    .bind(order.hostname.as_str())
    .bind(order.address.to_string())
    .bind(order.disk_serial.as_str())
    .bind(order.disk_path.as_str())
    .bind(json(&order.link)?)
    .bind(time(order.issued_at))
    .bind(time(order.expires_at))
    .bind(order.attempt)
    .bind(order.state.as_str())
    .bind(order.failure.as_deref())
    .bind(token.0.expose())
    .bind(is_in_force(order.state))
    .bind(revision)
    .execute(connection)
    .await?;
    Ok(())
}

/// The orders that are new or changed after a revision, but for those of forgotten hosts.
pub(crate) async fn changed_since(connection: &mut SqliteConnection, revision: i64) -> Result<Vec<Order>, Fault> {
    let statement = "SELECT * FROM install_order WHERE revision > ?1";
    let rows = sqlx::query(statement).bind(revision).fetch_all(connection).await?;
    rows.iter().map(order).collect()
}

/// The latest order of a host.
pub(crate) async fn latest(connection: &mut SqliteConnection, host: &HostId) -> Result<Option<Order>, Fault> {
    let statement = "SELECT * FROM install_order WHERE host = ?1 ORDER BY number DESC LIMIT 1";
    let row = sqlx::query(statement).bind(host.as_str()).fetch_optional(connection).await?;
    row.as_ref().map(order).transpose()
}

/// One order.
pub(crate) async fn get(connection: &mut SqliteConnection, id: &OrderId) -> Result<Option<Order>, Fault> {
    Ok(with_token(connection, id).await?.map(|(order, _)| order))
}

/// The order's token.
pub(crate) async fn token(connection: &mut SqliteConnection, id: &OrderId) -> Result<Option<BootToken>, Fault> {
    Ok(with_token(connection, id).await?.map(|(_, token)| token))
}

/// Moves an order on.
pub(crate) async fn advance(
    connection: &mut SqliteConnection,
    id: &OrderId,
    from: OrderState,
    to: OrderState,
    failure: Option<&str>,
) -> Result<(), Fault> {
    let (order, _) = require(connection, id).await?;
    if order.state != from {
        return Err(Fault::conflict(format!("order {id} is {}, not {from}; it cannot become {to}", order.state)));
    }
    if !from.may_become(to) {
        return Err(Fault::conflict(format!("order {id} is {from}; it cannot become {to}")));
    }
    set_state(connection, id, to, failure).await
}

/// Opens an order again, with a new token.
pub(crate) async fn reissue(
    connection: &mut SqliteConnection,
    id: &OrderId,
    token: &BootToken,
    expires_at: Timestamp,
) -> Result<(), Fault> {
    let (order, _) = require(connection, id).await?;
    if matches!(order.state, OrderState::Complete | OrderState::Cancelled) {
        return Err(Fault::conflict(format!("order {id} is {}; a new one is needed", order.state)));
    }
    if let Some(other) = in_force(connection, &id.host).await?.filter(|other| other.id != *id) {
        return Err(Fault::conflict(format!("order {id} was followed by {}, which is {}", other.id, other.state)));
    }
    refuse_taken(connection, &order).await?;
    sqlx::query(
        "UPDATE install_order SET token = ?3, expires_at = ?4, attempt = attempt + 1 WHERE host = ?1 AND number = ?2",
    )
    .bind(id.host.as_str())
    .bind(id.number)
    .bind(token.0.expose())
    .bind(time(expires_at))
    .execute(&mut *connection)
    .await?;
    set_state(connection, id, OrderState::Issued, None).await
}

/// Uses an order's token. The token is looked at first: who does not have it learns nothing.
pub(crate) async fn redeem(
    connection: &mut SqliteConnection,
    id: &OrderId,
    token: &BootToken,
    now: Timestamp,
) -> Result<(), Fault> {
    let (order, right) = require(connection, id).await?;
    let refuse = |reason: String| Err(Fault::conflict(format!("the token of order {id} is refused: {reason}")));
    if *token != right {
        return refuse("it is wrong".to_owned());
    }
    if order.state != OrderState::Issued {
        return refuse(format!("it was used, or withdrawn; the order is {}", order.state));
    }
    if now > order.expires_at {
        return refuse(format!("it expired at {:.0}", order.expires_at));
    }
    set_state(connection, id, OrderState::Answered, None).await
}

/// The order of a host that is in force.
pub(crate) async fn in_force(connection: &mut SqliteConnection, host: &HostId) -> Result<Option<Order>, Fault> {
    let statement = "SELECT * FROM install_order WHERE host = ?1 AND in_force = 1";
    let row = sqlx::query(statement).bind(host.as_str()).fetch_optional(connection).await?;
    row.as_ref().map(order).transpose()
}

/// Ends the hold that a host's orders have on address and name.
pub(crate) async fn out_of_force(connection: &mut SqliteConnection, host: &HostId) -> Result<(), Fault> {
    sqlx::query("UPDATE install_order SET in_force = 0 WHERE host = ?1")
        .bind(host.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Refuses, with `consequence`, if the host has an open order.
pub(crate) async fn refuse_open(
    connection: &mut SqliteConnection,
    host: &Host,
    consequence: &str,
) -> Result<(), Fault> {
    match in_force(connection, &host.id).await?.filter(|order| order.state.is_open()) {
        None => Ok(()),
        Some(order) => Err(Fault::conflict(format!(
            "{} has the open order {}, which is {}: {consequence} until that has ended or is cancelled",
            host.label(),
            order.id,
            order.state
        ))),
    }
}

/// Refuses if the address or the name that an order is to have belongs to another.
async fn refuse_taken(connection: &mut SqliteConnection, wanted: &Order) -> Result<(), Fault> {
    // Two halves, each by its index: with OR, SQLite reads every order.
    let statement = "SELECT * FROM install_order WHERE in_force = 1 AND host <> ?1 AND address = ?2 \
                     UNION ALL SELECT * FROM install_order WHERE in_force = 1 AND host <> ?1 AND hostname = ?3 LIMIT 1";
    let row = sqlx::query(statement)
        .bind(wanted.id.host.as_str())
        .bind(wanted.address.to_string())
        .bind(wanted.hostname.as_str())
        .fetch_optional(connection)
        .await?;
    let Some(holder) = row.as_ref().map(order).transpose()? else { return Ok(()) };
    let taken = if holder.address == wanted.address {
        format!("address {}", wanted.address)
    } else {
        format!("host name `{}`", wanted.hostname)
    };
    Err(Fault::conflict(format!(
        "{taken} of order {} belongs to order {}, which is {}",
        wanted.id, holder.id, holder.state
    )))
}

async fn set_state(
    connection: &mut SqliteConnection,
    id: &OrderId,
    state: OrderState,
    failure: Option<&str>,
) -> Result<(), Fault> {
    let revision = hosts::next_revision(&mut *connection).await?;
    sqlx::query(
        "UPDATE install_order SET state = ?3, failure = ?4, in_force = ?5, revision = ?6 \
         WHERE host = ?1 AND number = ?2",
    )
    .bind(id.host.as_str())
    .bind(id.number)
    .bind(state.as_str())
    .bind(failure)
    .bind(is_in_force(state))
    .bind(revision)
    .execute(connection)
    .await?;
    Ok(())
}

fn is_in_force(state: OrderState) -> bool {
    state.is_open() || state == OrderState::Complete
}

async fn require(connection: &mut SqliteConnection, id: &OrderId) -> Result<(Order, BootToken), Fault> {
    with_token(connection, id).await?.ok_or_else(|| Fault::not_found(format!("no order {id} in the inventory")))
}

async fn with_token(connection: &mut SqliteConnection, id: &OrderId) -> Result<Option<(Order, BootToken)>, Fault> {
    let statement = "SELECT * FROM install_order WHERE host = ?1 AND number = ?2";
    let row = sqlx::query(statement).bind(id.host.as_str()).bind(id.number).fetch_optional(connection).await?;
    let read = |row: SqliteRow| Ok((order(&row)?, BootToken(Secret::new(row.required::<String>("token")?))));
    row.map(read).transpose()
}

fn order(row: &SqliteRow) -> Result<Order, Fault> {
    Ok(Order {
        id: OrderId { host: row.required("host")?, number: row.number("number")? },
        role: row.required("role")?,
        hostname: row.required("hostname")?,
        address: row.required("address")?,
        disk_serial: row.required("disk_serial")?,
        disk_path: row.required("disk_path")?,
        link: row.json("bond")?,
        issued_at: row.required("issued_at")?,
        expires_at: row.required("expires_at")?,
        attempt: row.number("attempt")?,
        state: row.required("state")?,
        failure: row.text("failure")?,
    })
}
