//! What users of Harmony depend on: a program says what its site offers (a Topology) and what it
//! wants (Scores), and [`run`] gives it the whole command line.
//!
//! ```no_run
//! # use harmony::prelude::*;
//! # async fn program() -> Result<std::process::ExitCode, harmony::CommandError> {
//! let (inventory, site) = harmony::open_site("site.toml").await?;
//! let ports = site.network().host_ports.clone();
//! let vlan = site.network().vlan;
//! let scores: Vec<Box<dyn AnyScore<SiteTopology>>> = vec![
//!     Box::new(SwitchAutomationScore::ready_to_boot(ports, vlan)),
//!     Box::new(InventoryScore::of(3)),
//! ];
//! Ok(harmony::run(inventory, site, scores).await)
//! # }
//! ```
//!
//! Owns the command line, its output and its exit codes; decides nothing about sites or devices.
//! Read next: [`run`] for programs of users, [`in_simulation`] and [`in_lab`] for racks to try them on, `command` for the
//! `harmony` command.

mod boot_server;
pub mod command;
mod error;
mod find;
mod lab;
mod run;
mod simulation;
mod summary;

pub use error::{CommandError, report};
pub use find::{FindError, find_host};
pub use lab::in_lab;
pub use run::run;
pub use simulation::{Simulation, in_simulation};
pub use summary::{FirstAnswers, first_answers, summary};

/// What a program of a user needs.
pub mod prelude {
    pub use harmony_core::boot::LacpRate;
    pub use harmony_core::capability::{PortMode, ProvisioningNetwork, Topology};
    pub use harmony_core::cluster::{Bond, BondPolicy, ClusterDescription, RoleEntry};
    pub use harmony_core::host::Role;
    pub use harmony_core::net::VlanId;
    pub use harmony_core::score::AnyScore;
    pub use harmony_inventory::Inventory;
    pub use harmony_scores::{HostProvisioningScore, InventoryScore, OkdInstallationScore, SwitchAutomationScore};
    pub use harmony_sim::WorldSpec;
    pub use harmony_topologies::site::SiteTopology;

    pub use crate::{CommandError, Simulation, open_site, run};
}

use std::path::Path;
use std::sync::Arc;

use harmony_core::clock::SystemClock;
use harmony_core::store::SharedStore;
use harmony_inventory::Inventory;
use harmony_topologies::site::{SiteError, SiteFile, SiteTopology};

/// Reads a site file, and opens the site's inventory (created on first use, in the folder that the
/// file names) and its devices. Nothing is sent to any device.
///
/// A run that needs the site's boot server starts this program once more for it, so that it goes on
/// serving if the run is killed. In that second process, this function serves and does not return.
///
/// # Errors
/// What is wrong with the file, by line and key, or with the inventory.
pub async fn open_site(path: impl AsRef<Path>) -> Result<(Inventory, SiteTopology), CommandError> {
    let path = path.as_ref();
    let (inventory, topology) = open_site_here(path).await?;
    if boot_server::is_this_process(topology.file()) {
        let code = boot_server::serve(&topology).await;
        drop((inventory, topology));
        std::process::exit(code);
    }
    let start = boot_server::command(path, &topology.file().site.state);
    Ok((inventory, topology.with_boot_server_apart(start)))
}

/// The same, with the boot server in this process.
pub(crate) async fn open_site_here(path: &Path) -> Result<(Inventory, SiteTopology), CommandError> {
    let file = read_site(path)?;
    let inventory = open_database(&file).await?;
    let topology = SiteTopology::new(file, Arc::new(inventory.clone()), Arc::new(SystemClock))
        .map_err(CommandError::from_error)?;
    Ok((inventory, topology))
}

async fn open_database(file: &SiteFile) -> Result<Inventory, CommandError> {
    let database = file.site.state.join("harmony.db");
    let opened = Inventory::open(&database.to_string_lossy()).await;
    opened.map_err(|error| {
        let hint = error.hint();
        CommandError::from_error(error).hint(hint)
    })
}

fn read_site(path: &Path) -> Result<SiteFile, CommandError> {
    SiteFile::read(path).map_err(|error| {
        let hint = match &error {
            SiteError::Read { .. } => {
                "name the site file with --site or HARMONY_SITE; docs/reference/site.md tells what it holds"
            }
            _ => "docs/reference/site.md tells what a site file holds",
        };
        CommandError::from_error(error).hint(hint)
    })
}

/// Opens the inventory of a site alone.
pub(crate) async fn open_inventory(path: &Path) -> Result<SharedStore, CommandError> {
    let file = read_site(path)?;
    Ok(Arc::new(open_database(&file).await?))
}
