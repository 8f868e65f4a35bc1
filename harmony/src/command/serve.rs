//! `harmony serve` and `harmony tui`: the site's own services without a program's Scores.

use std::path::Path;
use std::process::ExitCode;

use harmony_core::capability::Topology as _;
use harmony_core::score::AnyScore;
use harmony_scores::InventoryScore;
use harmony_topologies::site::SiteTopology;

use crate::run::run_in_tui;
use crate::{CommandError, open_site, report};

/// Runs boot server and DHCP server until a signal comes.
pub(super) async fn run(site: &Path) -> Result<(), CommandError> {
    use tokio::signal::unix::{SignalKind, signal};
    let (_inventory, topology) = open_site(site).await?;
    topology.prepare().await?;
    for line in topology.services() {
        eprintln!("{line}");
    }
    eprintln!("serving {}; Ctrl-C stops", topology.name());
    let failed = |error| CommandError::new(format!("failed to wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.map_err(failed)?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Watches the site in the TUI: hosts are discovered, roles can be assigned; nothing is installed.
pub(super) async fn watch(site: &Path) -> ExitCode {
    match open_site(site).await {
        Ok((inventory, topology)) => {
            let scores: Vec<Box<dyn AnyScore<SiteTopology>>> = vec![Box::new(InventoryScore::watching())];
            run_in_tui(inventory, topology, scores).await
        }
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}
