//! `harmony serve`: the site's own services without a program's Scores.

use std::path::Path;

use harmony_core::capability::Topology as _;

use crate::{CommandError, open_site_here};

/// Runs boot server and DHCP server until a signal comes.
pub(super) async fn run(site: &Path) -> Result<(), CommandError> {
    use tokio::signal::unix::{SignalKind, signal};
    let (_inventory, topology) = open_site_here(site).await?;
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
