//! `harmony hosts`, `harmony host show|assign|unassign|forget|forget-key`.

use std::fmt::Write as _;
use std::path::Path;

use clap::Subcommand;
use harmony_core::boot::{Order, OrderState};
use harmony_core::host::{Assignment, Host, Lifecycle, PortWitness, Role};
use harmony_core::store::{SharedStore, StoreError};
use jiff::Timestamp;

use super::json_text;
use crate::run::output;
use crate::{CommandError, find_host, open_inventory, read_site};

#[derive(Debug, Subcommand)]
pub(super) enum HostCommand {
    /// Everything that is known of a host.
    Show {
        /// Id, name, role, MAC, serial, or a part of one.
        host: String,
    },
    /// Give a host a role. The next `apply` orders its installation, anew where the last one failed.
    #[command(after_help = "Examples:
  harmony host assign brisk-otter master-0
  harmony host assign 52:54:00:12:34:56 worker-1 --disk S4EVNF0M --erase S4EVNF0M")]
    Assign {
        /// Id, name, role, MAC, serial, or a part of one.
        host: String,
        /// The role; it becomes the host name.
        role: Role,
        /// Serial of the disk to install on; needed where there are several.
        #[arg(long, value_name = "SERIAL")]
        disk: Option<String>,
        /// Serial of the disk whose present contents may be lost.
        #[arg(long, value_name = "SERIAL")]
        erase: Option<String>,
    },
    /// Take a host's role away. One that has none of its own system yet is free again; one that was
    /// installed is released, to be wiped.
    Unassign {
        /// Id, name, role, MAC, serial, or a part of one.
        host: String,
    },
    /// Remove a host and all that is kept of it. It is found again if it reports again.
    Forget {
        /// Id, name, role, MAC, serial, or a part of one.
        host: String,
    },
    /// Drop the SSH host keys that are pinned for a host which somebody else installed anew.
    #[command(after_help = "Examples:
  harmony host forget-key brisk-otter    the next key that it shows is pinned; be sure that it is this host's")]
    ForgetKey {
        /// Id, name, role, MAC, serial, or a part of one.
        host: String,
    },
}

pub(super) async fn list(site: &Path, json: bool) -> Result<(), CommandError> {
    let hosts = open_inventory(site).await?.hosts().await?;
    output::print(&if json { json_text(&hosts)? } else { output::host_table(&hosts) })
}

pub(super) async fn run(site: &Path, json: bool, command: HostCommand) -> Result<(), CommandError> {
    let store = open_inventory(site).await?;
    let hosts = store.hosts().await?;
    match command {
        HostCommand::Show { host } => {
            let host = find_host(&hosts, &host).map_err(CommandError::from_error)?;
            let orders: Vec<Order> =
                store.orders().await?.into_iter().filter(|order| order.id.host == host.id).collect();
            let text = if json {
                let (history, evidence) = (store.history(&host.id).await?, store.boot_events(&host.id, None).await?);
                json_text(
                    &serde_json::json!({ "host": host, "orders": orders, "history": history, "evidence": evidence }),
                )?
            } else {
                show(&store, host, &orders).await?
            };
            output::print(&text)
        }
        HostCommand::Assign { host, role, disk, erase } => {
            let host = find_host(&hosts, &host).map_err(CommandError::from_error)?;
            let done = assign(&store, host, Assignment { role, disk, erase }).await?;
            eprintln!("{done}");
            Ok(())
        }
        HostCommand::Forget { host } => {
            let host = find_host(&hosts, &host).map_err(CommandError::from_error)?;
            store.forget(&host.id).await?;
            eprintln!("{} is forgotten", host.label());
            Ok(())
        }
        HostCommand::Unassign { host } => {
            let host = find_host(&hosts, &host).map_err(CommandError::from_error)?;
            let state = store.unassign(&host.id, "by command", Timestamp::now()).await?;
            eprintln!("{} has no role any more; it is {state}", host.label());
            Ok(())
        }
        HostCommand::ForgetKey { host } => {
            let host = find_host(&hosts, &host).map_err(CommandError::from_error)?;
            let count = read_site(site)?.forget_host_keys(&host.id).map_err(CommandError::from_error)?;
            eprintln!("{}: {count} pinned host keys dropped", host.label());
            Ok(())
        }
    }
}

/// Checks an assignment against the host's disks and stores it. A host that failed is resumed, and an attempt
/// that failed closes its order, so that the host is ordered anew. Tells what was done.
pub(crate) async fn assign(store: &SharedStore, host: &Host, assignment: Assignment) -> Result<String, CommandError> {
    for serial in [&assignment.disk, &assignment.erase].into_iter().flatten() {
        if host.disk(serial).is_none() {
            let serials: Vec<&str> = host.disks.iter().filter_map(|disk| disk.serial.as_deref()).collect();
            let error = CommandError::new(format!("{} has no disk with serial {serial}", host.label()));
            return Err(error
                .hint(format!("it has {}", if serials.is_empty() { "none".to_owned() } else { serials.join(", ") })));
        }
    }
    if host.disks.is_empty() && !host.nics.is_empty() {
        let error = CommandError::new(format!("{} has no disks to install on", host.label()));
        return Err(error.hint("add a disk, let it report again (harmony inventory scan), or choose another host"));
    }
    let role = assignment.role.clone();
    store.assign(&host.id, &assignment, Timestamp::now()).await.map_err(|error| match error {
        StoreError::Conflict(_) if host.assignment.is_some() => {
            CommandError::from_error(error).hint(format!("`harmony host unassign {}` takes its role away", host.name))
        }
        _ => error.into(),
    })?;
    let mut anew = host.lifecycle == Lifecycle::Failed;
    let orders = store.orders().await?;
    if let Some(order) = orders.iter().rfind(|order| order.id.host == host.id && order.state.is_open()) {
        let boots = store.boot_events(&host.id, Some(order.issued_at)).await?;
        let failed = harmony_core::boot::InstallProgress::of(&order.id, &boots).failed;
        if let Some(reason) = failed {
            store.advance_order(&order.id, order.state, OrderState::Cancelled, Some(&reason)).await?;
            anew = true;
        }
    }
    let anew = if anew { " anew" } else { "" };
    Ok(format!("{} has the role {role}; `apply` orders its installation{anew}", host.label()))
}

async fn show(store: &SharedStore, host: &Host, orders: &[Order]) -> Result<String, CommandError> {
    let mut text = String::new();
    let dash = || "-".to_owned();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key:<10} {value}");
    };
    line("host", host.label());
    line("state", host.lifecycle.to_string());
    line("role", host.assignment.as_ref().map_or_else(dash, |a| a.role.to_string()));
    line("model", host.model.clone().unwrap_or_else(dash));
    line("serial", host.identity.serial.clone().unwrap_or_else(dash));
    line("uuid", host.identity.uuid.map_or_else(dash, |uuid| uuid.to_string()));
    line("cpus", host.cpus.map_or_else(dash, |cpus| cpus.to_string()));
    line("memory", host.memory_bytes.map_or_else(dash, |bytes| format!("{} MiB", bytes >> 20)));
    line("address", host.address.map_or_else(dash, |address| address.to_string()));
    line("bmc", host.bmc.as_ref().map_or_else(dash, ToString::to_string));
    line("last seen", host.last_seen.map_or_else(dash, |at| format!("{at:.0}")));
    for nic in &host.nics {
        let port = match nic.port.verdict() {
            PortWitness::Unknown => "port not known".to_owned(),
            PortWitness::Agreed(port) => format!("{port} ({} of 3 witnesses)", nic.port.iter().count()),
            PortWitness::Disputed(said) => format!("DISPUTED: {said}"),
        };
        let speed = nic.speed_mbps.map_or_else(|| "no link".to_owned(), |speed| format!("{speed} Mbit/s"));
        line(
            "nic",
            format!("{} {} {speed}{} {port}", nic.name, nic.mac, if nic.booted { ", booted from it," } else { "" }),
        );
    }
    for disk in &host.disks {
        let serial = disk.serial.as_deref().unwrap_or("no serial");
        let contents = if disk.signatures.is_empty() { "blank".to_owned() } else { disk.signatures.join(", ") };
        line("disk", format!("{} {serial} {} GB, {contents}", disk.name, disk.size_bytes / 1_000_000_000));
    }
    for order in orders {
        let failure = order.failure.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        line(
            "order",
            format!(
                "{} {} on {} (attempt {}) {}{failure}",
                order.id, order.role, order.disk_serial, order.attempt, order.state
            ),
        );
    }
    for entry in store.history(&host.id).await? {
        line("history", format!("{:.0} {} ({})", entry.at, entry.state, entry.note));
    }
    let events = store.boot_events(&host.id, None).await?;
    for event in events.iter().rev().take(8).rev() {
        line("boot", event.to_string());
    }
    Ok(text)
}
