//! Hosts as rows: one of `host`, one of `mac` for each MAC ever seen, those of `nic` and `disk` as
//! the latest report has them.

use std::collections::{BTreeMap, BTreeSet};

use harmony_core::host::{Assignment, Disk, Host, HostId, Nic, SystemIdentity};
use harmony_core::net::MacAddress;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::columns::{Columns, bytes, json, time, word};
use crate::failure::Fault;

/// Which hosts to read.
pub(crate) enum Which<'a> {
    /// Those with a greater revision, sorted by it.
    ChangedSince(i64),
    /// The one of this id.
    One(&'a HostId),
    /// The one that was ever seen with this MAC.
    WithMac(MacAddress),
}

/// The four statements that read the hosts of a condition on `host`. `CROSS JOIN` keeps SQLite from
/// beginning with all NICs or disks that there are, to have them in order.
/// Source: <https://www.sqlite.org/optoverview.html>, section 8.2.
macro_rules! select {
    ($condition:literal) => {
        [
            concat!("SELECT * FROM host WHERE ", $condition, " ORDER BY revision"),
            concat!("SELECT mac.host, mac.mac FROM host CROSS JOIN mac ON mac.host = host.id WHERE ", $condition),
            concat!(
                "SELECT mac.host, nic.* FROM host CROSS JOIN mac ON mac.host = host.id \
                 CROSS JOIN nic ON nic.mac = mac.mac WHERE ",
                $condition,
                " ORDER BY nic.name, nic.mac"
            ),
            concat!(
                "SELECT disk.* FROM host CROSS JOIN disk ON disk.host = host.id WHERE ",
                $condition,
                " ORDER BY disk.name"
            ),
        ]
    };
}

/// Reads hosts, with all that belongs to them.
pub(crate) async fn load(connection: &mut SqliteConnection, which: Which<'_>) -> Result<Vec<Host>, Fault> {
    let statements = match which {
        Which::ChangedSince(_) => select!("host.revision > ?1"),
        Which::One(_) => select!("host.id = ?1"),
        Which::WithMac(_) => select!("host.id = (SELECT host FROM mac WHERE mac = ?1)"),
    };
    let mut rows = Vec::with_capacity(statements.len());
    for statement in statements {
        let query = sqlx::query(statement);
        let query = match &which {
            Which::ChangedSince(revision) => query.bind(*revision),
            Which::One(id) => query.bind(id.as_str()),
            Which::WithMac(mac) => query.bind(mac.to_string()),
        };
        rows.push(query.fetch_all(&mut *connection).await?);
    }
    let mut rows = rows.into_iter();
    let mut next = || rows.next().unwrap_or_default();
    let hosts = next();
    let mut macs = by_host(&next(), |row| row.required::<MacAddress>("mac"))?;
    let mut nics = by_host(&next(), nic)?;
    let mut disks = by_host(&next(), disk)?;
    let host = |row: &SqliteRow| {
        let id: HostId = row.required("id")?;
        let macs = macs.remove(&id).unwrap_or_default().into_iter().collect();
        host(row, macs, nics.remove(&id).unwrap_or_default(), disks.remove(&id).unwrap_or_default())
    };
    hosts.iter().map(host).collect()
}

/// The hosts that were forgotten after a revision, in the order in which they were.
pub(crate) async fn forgotten_since(connection: &mut SqliteConnection, revision: i64) -> Result<Vec<HostId>, Fault> {
    let statement = "SELECT id FROM retired_host WHERE revision > ?1 ORDER BY revision";
    let rows = sqlx::query(statement).bind(revision).fetch_all(connection).await?;
    rows.iter().map(|row| row.required("id")).collect()
}

/// The number of the latest change of any host or order.
pub(crate) async fn revision(connection: &mut SqliteConnection) -> Result<i64, Fault> {
    Ok(sqlx::query_scalar("SELECT value FROM revision").fetch_one(connection).await?)
}

/// A number for one more change.
pub(crate) async fn next_revision(connection: &mut SqliteConnection) -> Result<i64, Fault> {
    let statement = "UPDATE revision SET value = value + 1 RETURNING value";
    Ok(sqlx::query_scalar(statement).fetch_one(connection).await?)
}

/// Reads the host of an id, which must be there.
pub(crate) async fn require(connection: &mut SqliteConnection, id: &HostId) -> Result<Host, Fault> {
    let host = load(connection, Which::One(id)).await?.pop();
    host.ok_or_else(|| Fault::not_found(format!("no host {id} in the inventory")))
}

/// The hosts that an identity may be: those that share its UUID in either byte order, its serial,
/// or a MAC.
pub(crate) async fn candidates(connection: &mut SqliteConnection, of: &SystemIdentity) -> Result<Vec<Host>, Fault> {
    let swapped = of.uuid.map(|uuid| Uuid::from_bytes(uuid.to_bytes_le()));
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM host WHERE uuid IN (?1, ?2) \
         UNION SELECT id FROM host WHERE serial = ?3 \
         UNION SELECT host FROM mac WHERE mac IN (SELECT value FROM json_each(?4))",
    )
    .bind(of.uuid.map(|uuid| uuid.to_string()))
    .bind(swapped.map(|uuid| uuid.to_string()))
    .bind(of.serial.as_deref())
    .bind(json(&of.macs)?)
    .fetch_all(&mut *connection)
    .await?;
    let mut hosts = Vec::with_capacity(ids.len());
    for id in ids {
        let id = id.parse().map_err(|error| Fault::Unreadable { column: "id", reason: format!("{error}") })?;
        hosts.push(require(connection, &id).await?);
    }
    Ok(hosts)
}

/// Writes a host's own row and its MACs, with a new revision.
pub(crate) async fn save(connection: &mut SqliteConnection, host: &mut Host) -> Result<(), Fault> {
    host.revision = next_revision(&mut *connection).await?;
    let assignment = host.assignment.as_ref();
    sqlx::query(
        "INSERT INTO host (id, name, uuid, serial, lifecycle, role, install_disk, erase_disk, model, firmware, cpus, \
         memory_bytes, address, bmc, discovered_at, last_seen, revision) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) \
         ON CONFLICT (id) DO UPDATE SET uuid = ?3, serial = ?4, lifecycle = ?5, role = ?6, install_disk = ?7, \
         erase_disk = ?8, model = ?9, firmware = ?10, cpus = ?11, memory_bytes = ?12, address = ?13, bmc = ?14, \
         discovered_at = ?15, last_seen = ?16, revision = ?17",
    )
    .bind(host.id.as_str())
    .bind(host.name.as_str())
    .bind(host.identity.uuid.map(|uuid| uuid.to_string()))
    .bind(host.identity.serial.as_deref())
    .bind(host.lifecycle.as_str())
    .bind(assignment.map(|assignment| assignment.role.as_str()))
    .bind(assignment.and_then(|assignment| assignment.disk.as_deref()))
    .bind(assignment.and_then(|assignment| assignment.erase.as_deref()))
    .bind(host.model.as_deref())
    .bind(host.firmware.as_ref().map(word).transpose()?)
    .bind(host.cpus)
    .bind(host.memory_bytes.map(bytes))
    .bind(host.address.map(|address| address.to_string()))
    .bind(host.bmc.as_ref().map(|bmc| bmc.as_str()))
    .bind(host.discovered_at.map(time))
    .bind(host.last_seen.map(time))
    .bind(host.revision)
    .execute(&mut *connection)
    .await?;
    // Only MACs that are not its own yet: one of another host fails, instead of changing sides.
    sqlx::query(
        "INSERT INTO mac (mac, host) SELECT value, ?1 FROM json_each(?2) \
         WHERE value NOT IN (SELECT mac FROM mac WHERE host = ?1)",
    )
    .bind(host.id.as_str())
    .bind(json(&host.identity.macs)?)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// Replaces a host's NICs and disks. Its MACs must have been saved.
pub(crate) async fn save_parts(connection: &mut SqliteConnection, host: &Host) -> Result<(), Fault> {
    let id = host.id.as_str();
    sqlx::query("DELETE FROM nic WHERE mac IN (SELECT mac FROM mac WHERE host = ?1)")
        .bind(id)
        .execute(&mut *connection)
        .await?;
    for nic in &host.nics {
        sqlx::query(
            "INSERT INTO nic (mac, name, speed_mbps, carrier, booted, port, lldp) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .bind(nic.mac.to_string())
        .bind(nic.name.as_str())
        .bind(nic.speed_mbps)
        .bind(nic.carrier)
        .bind(nic.booted)
        .bind(json(&nic.port)?)
        .bind(json(&nic.lldp)?)
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query("DELETE FROM disk WHERE host = ?1").bind(id).execute(&mut *connection).await?;
    for disk in &host.disks {
        sqlx::query(
            "INSERT INTO disk (host, name, by_id, by_path, model, serial, wwn, size_bytes, rotational, \
             signatures) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .bind(id)
        .bind(disk.name.as_str())
        .bind(disk.by_id.as_deref())
        .bind(disk.by_path.as_deref())
        .bind(disk.model.as_deref())
        .bind(disk.serial.as_deref())
        .bind(disk.wwn.as_deref())
        .bind(bytes(disk.size_bytes))
        .bind(disk.rotational)
        .bind(json(&disk.signatures)?)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The rows of each host.
fn by_host<T>(
    rows: &[SqliteRow],
    read: impl Fn(&SqliteRow) -> Result<T, Fault>,
) -> Result<BTreeMap<HostId, Vec<T>>, Fault> {
    let mut hosts: BTreeMap<HostId, Vec<T>> = BTreeMap::new();
    for row in rows {
        hosts.entry(row.required("host")?).or_default().push(read(row)?);
    }
    Ok(hosts)
}

fn host(row: &SqliteRow, macs: BTreeSet<MacAddress>, nics: Vec<Nic>, disks: Vec<Disk>) -> Result<Host, Fault> {
    let assigned = |role| {
        let (disk, erase) = (row.text("install_disk")?, row.text("erase_disk")?);
        Ok::<_, Fault>(Assignment { role, disk, erase })
    };
    Ok(Host {
        id: row.required("id")?,
        name: row.required("name")?,
        identity: SystemIdentity { uuid: row.optional("uuid")?, serial: row.text("serial")?, macs },
        lifecycle: row.required("lifecycle")?,
        assignment: row.optional("role")?.map(assigned).transpose()?,
        model: row.text("model")?,
        firmware: row.optional_word("firmware")?,
        cpus: row.optional_number("cpus")?,
        memory_bytes: row.optional_number("memory_bytes")?,
        nics,
        disks,
        address: row.optional("address")?,
        bmc: row.optional("bmc")?,
        discovered_at: row.optional("discovered_at")?,
        last_seen: row.optional("last_seen")?,
        revision: row.number("revision")?,
    })
}

fn nic(row: &SqliteRow) -> Result<Nic, Fault> {
    Ok(Nic {
        name: row.required("name")?,
        mac: row.required("mac")?,
        speed_mbps: row.optional_number("speed_mbps")?,
        carrier: row.flag("carrier")?,
        booted: row.flag("booted")?.unwrap_or(false),
        port: row.json("port")?,
        lldp: row.json("lldp")?,
    })
}

fn disk(row: &SqliteRow) -> Result<Disk, Fault> {
    Ok(Disk {
        name: row.required("name")?,
        by_id: row.text("by_id")?,
        by_path: row.text("by_path")?,
        model: row.text("model")?,
        serial: row.text("serial")?,
        wwn: row.text("wwn")?,
        size_bytes: row.number("size_bytes")?,
        rotational: row.flag("rotational")?,
        signatures: row.json("signatures")?,
    })
}
