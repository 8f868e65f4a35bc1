//! `harmony inventory scan|diff`.

use std::path::Path;

use clap::Subcommand;
use harmony_core::capability::HostDiscovery as _;
use harmony_core::error::chain;
use harmony_core::store::Store as _;
use jiff::Timestamp;
use similar::TextDiff;

use crate::run::output;
use crate::{CommandError, find_host, open_inventory, open_site};

#[derive(Debug, Subcommand)]
pub(super) enum InventoryCommand {
    /// Find agents on the provisioning network, and store their reports.
    Scan,
    /// Show what changed between two reports of a host.
    #[command(after_help = "Examples:
  harmony inventory diff brisk-otter            between its last two reports
  harmony inventory diff brisk-otter --since 3  between its third and its last")]
    Diff {
        /// Id, name, role, MAC, serial, or a part of one.
        host: String,
        /// Compare with its n-th report, counted from 1.
        #[arg(long, value_name = "N")]
        since: Option<usize>,
    },
}

pub(super) async fn run(site: &Path, json: bool, command: InventoryCommand) -> Result<(), CommandError> {
    match command {
        InventoryCommand::Scan => scan(site, json).await,
        InventoryCommand::Diff { host, since } => diff(site, &host, since).await,
    }
}

async fn scan(site: &Path, json: bool) -> Result<(), CommandError> {
    let (store, topology) = open_site(site).await?;
    let agents = topology.scan().await?;
    let (mut read, mut failed) = (Vec::new(), Vec::new());
    for address in &agents {
        let stored = async {
            let reply = topology.fetch_report(*address).await?;
            let body = String::from_utf8(reply.body).map_err(|_| CommandError::new("it does not answer in UTF-8"))?;
            Ok::<_, CommandError>(store.record_report(*address, &body, Timestamp::now()).await?)
        };
        match stored.await {
            Ok(host) => {
                let label = store.host(&host).await?.map_or_else(|| host.to_string(), |host| host.label());
                eprintln!("{address}: {label}");
                read.push(serde_json::json!({ "address": address, "host": host }));
            }
            Err(error) => {
                eprintln!("{address}: {error}");
                failed.push(serde_json::json!({ "address": address, "error": error.to_string() }));
            }
        }
    }
    if json {
        output::print(&format!("{}\n", serde_json::json!({ "read": read, "failed": failed })))?;
    }
    eprintln!("{} agents found, {} read", agents.len(), read.len());
    if failed.is_empty() {
        return Ok(());
    }
    Err(CommandError::new(format!("{} of {} agents could not be read", failed.len(), agents.len()))
        .hint("the lines above say why"))
}

async fn diff(site: &Path, host: &str, since: Option<usize>) -> Result<(), CommandError> {
    let store = open_inventory(site).await?;
    let hosts = store.hosts().await?;
    let host = find_host(&hosts, host).map_err(CommandError::from_error)?;
    let reports = store.reports(&host.id).await?;
    let Some(newer) = reports.last() else {
        return Err(CommandError::new(format!("{} has not reported yet", host.label())).hint("harmony inventory scan"));
    };
    let older = match since {
        Some(n) => n.checked_sub(1).and_then(|index| reports.get(index)),
        None => reports.len().checked_sub(2).and_then(|index| reports.get(index)),
    };
    let Some(older) = older else {
        return Err(CommandError::new(format!("{} has {} reports, none to compare with", host.label(), reports.len())));
    };
    let pretty = |body: &str| {
        let mut value: serde_json::Value = serde_json::from_str(body).map_err(|error| {
            CommandError::new(format!("a stored report of {} is no JSON: {}", host.label(), chain(&error)))
        })?;
        forget_what_always_changes(&mut value);
        serde_json::to_string_pretty(&value).map_err(CommandError::from_error)
    };
    let (before, after) = (pretty(&older.body)?, pretty(&newer.body)?);
    let diff = TextDiff::from_lines(&before, &after);
    let header =
        (format!("report {} of {:.0}", older.number, older.at), format!("report {} of {:.0}", newer.number, newer.at));
    output::print(&diff.unified_diff().context_radius(3).header(&header.0, &header.1).to_string())
}

/// Times and ages differ in every report and tell of no change.
fn forget_what_always_changes(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.retain(|name, _| {
                !matches!(name.as_str(), "uptime_s" | "age_s" | "lldp_listened_s" | "peak_memory_bytes")
            });
            fields.values_mut().for_each(forget_what_always_changes);
        }
        serde_json::Value::Array(entries) => entries.iter_mut().for_each(forget_what_always_changes),
        _ => {}
    }
}
