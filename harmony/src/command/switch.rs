//! `harmony switch status`.

use std::path::Path;

use clap::Subcommand;
use harmony_core::capability::{LinkState, Switch as _};
use harmony_core::net::PortRef;
use harmony_core::store::Store as _;

use super::json_text;
use crate::run::output;
use crate::{CommandError, open_site};

#[derive(Debug, Subcommand)]
pub(super) enum SwitchCommand {
    /// Ports with mode, link, LACP state, and who is behind them.
    #[command(after_help = "Examples:
  harmony switch status
  harmony switch status tor-1/Gi1/0/3 tor-1/Gi1/0/4")]
    Status {
        /// Only these, as SWITCH/PORT.
        ports: Vec<PortRef>,
    },
}

pub(super) async fn run(site: &Path, json: bool, command: SwitchCommand) -> Result<(), CommandError> {
    let SwitchCommand::Status { ports } = command;
    let (store, topology) = open_site(site).await?;
    let status = topology.get_port_status(&ports).await?;
    if json {
        return output::print(&json_text(&status)?);
    }
    let hosts = store.hosts().await?;
    let mut text = format!("{:<28} {:<6} {:<36} {:<24} BEHIND IT\n", "PORT", "LINK", "MODE", "LACP");
    for port in &status {
        let link = match &port.link {
            LinkState::Up => "up",
            LinkState::Down => "down",
            LinkState::Unrecognised(text) => text,
        };
        let lacp = port.lacp.as_ref().map_or_else(String::new, |lacp| {
            let state =
                if lacp.synchronised && lacp.collecting && lacp.distributing { "negotiated" } else { "not negotiated" };
            lacp.partner.map_or_else(|| "no partner".to_owned(), |_| state.to_owned())
        });
        let behind = hosts.iter().find_map(|host| {
            let nic = host.nics.iter().find(|nic| nic.port.agreed().as_ref() == Some(&port.port))?;
            Some(format!("{} of {}", nic.name, host.name))
        });
        let row = format!(
            "{:<28} {link:<6} {:<36} {lacp:<24} {}",
            port.port.to_string(),
            port.mode.to_string(),
            behind.unwrap_or_default()
        );
        text.push_str(row.trim_end());
        text.push('\n');
    }
    output::print(&text)
}
