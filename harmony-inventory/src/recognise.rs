//! Which machine a sighting or a report belongs to: one that is known, a new one, or nobody can say.
//!
//! All that is known of a host takes part (`SystemIdentity::compare`). Evidence for two machines is
//! reported with both of them named, and nothing is changed: guessing would install the wrong one.

use std::net::{IpAddr, SocketAddr};

use harmony_core::host::identity::{Match, same_uuid};
use harmony_core::host::{self, FriendlyName, Host, HostId, Lifecycle, LifecycleEvent, SystemIdentity};
use harmony_core::report::limits::{MAX_NICS, MAX_TEXT_BYTES};
use harmony_core::report::{self, v1};
use harmony_core::store::{Sighting, StoreError, StoredReport};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::assignments;
use crate::columns::{Columns, time};
use crate::failure::Fault;
use crate::hosts;

/// MACs that one host may have been seen with. Virtual functions get new ones at each boot, so it
/// is far above what a machine has; without a bound, one that lies could fill the disk.
const MAX_MACS: usize = 4096;

/// Hosts in one inventory. Whoever is on the provisioning network can invent machines.
const MAX_HOSTS: i64 = 65_536;

/// A report that contradicts a known host, kept as evidence. One for each address: the latest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedReport {
    /// Counts all reports.
    pub number: i64,
    /// When it was read.
    pub at: Timestamp,
    /// Who was asked.
    pub address: IpAddr,
    /// What it contradicts; both hosts are named.
    pub reason: String,
    /// The JSON text, as the agent sent it.
    pub body: String,
}

/// Registers or recognises the machine of a sighting.
pub(crate) async fn record_sighting(connection: &mut SqliteConnection, sighting: &Sighting) -> Result<HostId, Fault> {
    let Sighting { identity, address, agent_port, at } = sighting;
    let identity = SystemIdentity::new(identity.uuid, identity.serial.as_deref(), identity.macs.iter().copied());
    let what = || format!("the sighting of {}", place(*address));
    check(&identity).map_err(|reason| Fault::invalid(what(), reason))?;
    let mut host = recognise_or_register(connection, &identity, &describe(&identity, *address)).await?;
    host.identity = host.identity.merge(&identity);
    seen(&mut host, *address, *at);
    bound(&host)?;
    hosts::save(connection, &mut host).await?;
    if let (Some(address), Some(port)) = (address, agent_port) {
        sqlx::query(
            "INSERT INTO announcement (host, address, port, at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (host) DO UPDATE SET address = ?2, port = ?3, at = ?4",
        )
        .bind(host.id.as_str())
        .bind(address.to_string())
        .bind(*port)
        .bind(time(*at))
        .execute(connection)
        .await?;
    }
    Ok(host.id)
}

/// Where agents wait to be read.
pub(crate) async fn unread_announcements(
    connection: &mut SqliteConnection,
) -> Result<Vec<(HostId, SocketAddr)>, Fault> {
    let rows =
        sqlx::query("SELECT host, address, port FROM announcement ORDER BY at, host").fetch_all(connection).await?;
    let waiting =
        |row: &SqliteRow| Ok((row.required("host")?, SocketAddr::new(row.required("address")?, row.number("port")?)));
    rows.iter().map(waiting).collect()
}

/// Stores a report and absorbs it. The inner error is a contradiction: the report is kept with it.
pub(crate) async fn record_report(
    connection: &mut SqliteConnection,
    address: IpAddr,
    body: &str,
    at: Timestamp,
) -> Result<Result<HostId, StoreError>, Fault> {
    let what = || format!("the report of {address}");
    let report = report::parse(body.as_bytes()).map_err(|error| Fault::invalid(what(), error))?;
    let identity = host::identity_in(&report);
    check(&identity).map_err(|reason| Fault::invalid(what(), reason))?;
    let host = match recognise_or_register(connection, &identity, &describe(&identity, Some(address))).await {
        Ok(host) => host,
        Err(Fault::Refused(StoreError::Conflict(reason))) => {
            sqlx::query("DELETE FROM report WHERE host IS NULL AND address = ?1")
                .bind(address.to_string())
                .execute(&mut *connection)
                .await?;
            keep_report(connection, None, address, body, at, Some(&reason)).await?;
            return Ok(Err(StoreError::Conflict(reason)));
        }
        Err(fault) => return Err(fault),
    };
    let id = host.id.clone();
    absorb(connection, host, &report, address, at).await?;
    keep_report(connection, Some(&id), address, body, at, None).await?;
    sqlx::query("DELETE FROM announcement WHERE host = ?1 AND at <= ?2")
        .bind(id.as_str())
        .bind(time(at))
        .execute(connection)
        .await?;
    Ok(Ok(id))
}

/// The reports of a host, oldest first.
pub(crate) async fn reports(connection: &mut SqliteConnection, host: &HostId) -> Result<Vec<StoredReport>, Fault> {
    let statement = "SELECT number, at, body FROM report WHERE host = ?1 ORDER BY number";
    let rows = sqlx::query(statement).bind(host.as_str()).fetch_all(connection).await?;
    let report = |row: &SqliteRow| {
        Ok(StoredReport { number: row.number("number")?, at: row.required("at")?, body: row.required("body")? })
    };
    rows.iter().map(report).collect()
}

/// The reports that contradict a host, oldest first.
pub(crate) async fn refused_reports(connection: &mut SqliteConnection) -> Result<Vec<RefusedReport>, Fault> {
    let rows = sqlx::query("SELECT * FROM report WHERE host IS NULL ORDER BY number").fetch_all(connection).await?;
    let report = |row: &SqliteRow| {
        Ok(RefusedReport {
            number: row.number("number")?,
            at: row.required("at")?,
            address: row.required("address")?,
            reason: row.required("refusal")?,
            body: row.required("body")?,
        })
    };
    rows.iter().map(report).collect()
}

/// The known host that this identity is, or a new one that is not saved yet.
async fn recognise_or_register(
    connection: &mut SqliteConnection,
    identity: &SystemIdentity,
    machine: &str,
) -> Result<Host, Fault> {
    let mut same = Vec::new();
    let mut contradicting = None;
    for host in hosts::candidates(connection, identity).await? {
        match host.identity.compare(identity) {
            Match::Same => same.push(host),
            Match::Conflict(reason) => contradicting = contradicting.or(Some((reason, host))),
            Match::Different => {}
        }
    }
    if let Some((reason, other)) = contradicting {
        let one = same.first().map_or_else(|| machine.to_owned(), |host| format!("{} = {machine}", host.label()));
        return Err(Fault::conflict(format!(
            "{reason}: {one}, and {}; one of them must change, or be forgotten if it is gone (`harmony host forget`)",
            named(&other)
        )));
    }
    if let [one, other, ..] = &same[..] {
        return Err(Fault::conflict(format!(
            "{machine} has the {} of {} and the {} of {}; if both are this one machine, forget one of them (`harmony host forget`)",
            shared(&one.identity, identity),
            named(one),
            shared(&other.identity, identity),
            named(other)
        )));
    }
    match same.pop() {
        Some(host) => Ok(host),
        None => register(connection, identity).await,
    }
}

async fn register(connection: &mut SqliteConnection, identity: &SystemIdentity) -> Result<Host, Fault> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM host").fetch_one(&mut *connection).await?;
    if count >= MAX_HOSTS {
        return Err(Fault::conflict(format!(
            "the inventory has {MAX_HOSTS} hosts, the most that it takes; forget those that are gone (`harmony host forget`)"
        )));
    }
    let seed = identity.seed();
    let mut attempt = 0;
    let id = loop {
        let id = HostId::derive(&seed, attempt);
        let taken =
            "SELECT EXISTS (SELECT 1 FROM host WHERE id = ?1) OR EXISTS (SELECT 1 FROM retired_host WHERE id = ?1)";
        if !sqlx::query_scalar(taken).bind(id.as_str()).fetch_one(&mut *connection).await? {
            break id;
        }
        attempt += 1;
    };
    let mut attempt = 0;
    let name = loop {
        let name = FriendlyName::derive(&id, attempt);
        let taken = "SELECT EXISTS (SELECT 1 FROM host WHERE name = ?1)";
        if !sqlx::query_scalar(taken).bind(name.as_str()).fetch_one(&mut *connection).await? {
            break name;
        }
        attempt += 1;
    };
    Ok(Host {
        id,
        name,
        identity: identity.clone(),
        lifecycle: Lifecycle::Registered,
        assignment: None,
        model: None,
        firmware: None,
        cpus: None,
        memory_bytes: None,
        nics: Vec::new(),
        disks: Vec::new(),
        address: None,
        bmc: None,
        discovered_at: None,
        last_seen: None,
        revision: 0,
    })
}

async fn absorb(
    connection: &mut SqliteConnection,
    mut host: Host,
    report: &v1::Report,
    address: IpAddr,
    at: Timestamp,
) -> Result<(), Fault> {
    host::absorb(&mut host, report);
    seen(&mut host, Some(address), at);
    bound(&host)?;
    host.discovered_at = host.discovered_at.or(Some(at));
    let before = host.lifecycle;
    host.lifecycle = before.on(LifecycleEvent::Reported).unwrap_or(before);
    hosts::save(connection, &mut host).await?;
    hosts::save_parts(connection, &host).await?;
    if host.lifecycle != before {
        let note = format!("reported from {address}");
        assignments::add_history(connection, &host, LifecycleEvent::Reported, &note, at).await?;
    }
    Ok(())
}

async fn keep_report(
    connection: &mut SqliteConnection,
    host: Option<&HostId>,
    address: IpAddr,
    body: &str,
    at: Timestamp,
    refusal: Option<&str>,
) -> Result<(), Fault> {
    sqlx::query("INSERT INTO report (host, address, at, body, refusal) VALUES (?1, ?2, ?3, ?4, ?5)")
        .bind(host.map(HostId::as_str))
        .bind(address.to_string())
        .bind(time(at))
        .bind(body)
        .bind(refusal)
        .execute(connection)
        .await?;
    Ok(())
}

/// What arrives late does not undo what is known since.
fn seen(host: &mut Host, address: Option<IpAddr>, at: Timestamp) {
    if host.last_seen.is_none_or(|last| last <= at) {
        host.last_seen = Some(at);
        host.address = address.or(host.address);
    }
}

/// Whether an identity can be taken as one at all.
fn check(identity: &SystemIdentity) -> Result<(), &'static str> {
    let serial = identity.serial.as_deref().unwrap_or_default();
    if identity.is_empty() {
        return Err("nothing in it identifies a machine: no UUID, serial or MAC that is not a filler");
    }
    if identity.macs.len() > MAX_NICS {
        return Err("it has more MACs than any machine");
    }
    if serial.len() > MAX_TEXT_BYTES || serial.chars().any(char::is_control) {
        return Err("its serial is too long, or has control characters");
    }
    Ok(())
}

fn bound(host: &Host) -> Result<(), Fault> {
    if host.identity.macs.len() <= MAX_MACS {
        return Ok(());
    }
    Err(Fault::conflict(format!(
        "{} was seen with more than {MAX_MACS} MACs; if that is no mistake, forget it (`harmony host forget {}`)",
        named(host),
        host.id
    )))
}

/// A machine that has no name yet.
pub(crate) fn place(address: Option<IpAddr>) -> String {
    address.map_or("a machine".to_owned(), |address| format!("the machine at {address}"))
}

/// A machine that has no name yet, with what it says of itself, which must have been checked.
fn describe(identity: &SystemIdentity, address: Option<IpAddr>) -> String {
    let uuid = identity.uuid.map(|uuid| format!("UUID {uuid}"));
    let serial = identity.serial.as_ref().map(|serial| format!("serial {serial}"));
    let mac = identity.macs.first().map(|mac| format!("MAC {mac}"));
    let facts: Vec<_> = [uuid, serial, mac].into_iter().flatten().collect();
    format!("{} ({})", place(address), facts.join(", "))
}

/// A known host, with what a person finds it by.
fn named(host: &Host) -> String {
    match &host.identity.serial {
        Some(serial) => format!("{}, serial {serial}", host.label()),
        None => host.label(),
    }
}

/// The strongest fact that two identities share.
fn shared(a: &SystemIdentity, b: &SystemIdentity) -> String {
    let uuid = a.uuid.zip(b.uuid).filter(|(a, b)| same_uuid(*a, *b)).map(|(uuid, _)| format!("UUID {uuid}"));
    let serial =
        a.serial.as_ref().filter(|serial| b.serial.as_ref() == Some(*serial)).map(|serial| format!("serial {serial}"));
    let mac = a.macs.intersection(&b.macs).next().map(|mac| format!("MAC {mac}"));
    uuid.or(serial).or(mac).unwrap_or_default()
}
