//! Programs that bring their own rack, without root: [`in_simulation`] makes a simulated one on loopback and runs the
//! program on it.
//!
//! Scores, drivers, boot server and agent are the real ones. Where a cluster is made, this program stands in for
//! `openshift-install`, by a script in the rack's folder that starts it with a word of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use harmony_core::cluster::ClusterDescription;
use harmony_core::engine::Engine;
use harmony_core::event::Outcome;
use harmony_core::score::AnyScore;
use harmony_inventory::Inventory;
use harmony_sim::{Speed, WorldSpec};
use harmony_topologies::simulated::SimulatedRack;
use harmony_topologies::site::SiteTopology;

use crate::{CommandError, report};

/// The first argument by which a program stands in for `openshift-install`.
pub(crate) const INSTALLER: &str = "openshift-install";
/// Seconds of the rack's time in one second.
const SPEED: f64 = 60.0;

/// A simulated rack, as a program has it.
pub struct Simulation {
    rack: SimulatedRack,
    inventory: Inventory,
    /// Holds everything that the rack leaves, until the program ends.
    _folder: tempfile::TempDir,
}

impl Simulation {
    async fn start(spec: WorldSpec) -> Result<Self, CommandError> {
        let failed = |error| CommandError::new(format!("failed to make a temporary folder: {error}"));
        let folder = tempfile::Builder::new().prefix("harmony-simulation-").tempdir().map_err(failed)?;
        let installer = stand_in(folder.path())?;
        let rack = SimulatedRack::start(spec, folder.path(), Some(&installer)).await;
        let rack = rack.map_err(CommandError::from_error)?;
        rack.world().pace().set_speed(Speed::new(SPEED).map_err(CommandError::from_error)?);
        let inventory = crate::open_database(rack.site()).await?;
        Ok(Self { rack, inventory, _folder: folder })
    }

    /// Its inventory and its devices, as [`crate::open_site`] opens a real one's.
    ///
    /// # Errors
    /// What a driver refuses.
    pub fn open_site(&self) -> Result<(Inventory, SiteTopology), CommandError> {
        let site = self.rack.open(Arc::new(self.inventory.clone())).map_err(CommandError::from_error)?;
        Ok((self.inventory.clone(), site))
    }

    /// The cluster that it has room for, `ocp4.example.com`, with so many masters and workers, and a bootstrap.
    ///
    /// # Errors
    /// If these make no cluster.
    pub fn cluster(&self, masters: u16, workers: u16) -> Result<ClusterDescription, CommandError> {
        self.rack.cluster(masters, workers).map_err(CommandError::from_error)
    }

    /// Makes something so that is to be there before the program begins, and says nothing of it.
    ///
    /// # Errors
    /// Why it could not be.
    pub async fn prepare(
        &self,
        scores: impl FnOnce(&SiteTopology) -> Vec<Box<dyn AnyScore<SiteTopology>>>,
    ) -> Result<(), CommandError> {
        let (inventory, site) = self.open_site()?;
        let engine = Engine::new(Arc::new(inventory), self.rack.world().machine_clock());
        let outcome = engine.apply("prepare", &site, &scores(&site), None).await?;
        site.stop_services().await?;
        match outcome {
            Outcome::Converged => Ok(()),
            other => Err(CommandError::new(format!("the simulated rack could not be prepared: {other:?}"))),
        }
    }
}

/// Runs a program on a simulated rack, which is gone when it ends.
pub fn in_simulation<F>(spec: WorldSpec, program: F) -> ExitCode
where
    F: AsyncFnOnce(&Simulation) -> Result<ExitCode, CommandError>,
{
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some(INSTALLER) {
        return harmony_sim::openshift_install::main(args);
    }
    let failed = |error: &CommandError| {
        report(error);
        ExitCode::FAILURE
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&CommandError::new(format!("failed to start: {error}"))),
    };
    let result = runtime.block_on(async { program(&Simulation::start(spec).await?).await });
    // Threads that wait for a keyboard do not keep the program from ending.
    runtime.shutdown_timeout(Duration::from_millis(200));
    result.unwrap_or_else(|error| failed(&error))
}

/// Makes a program in a folder that speaks as `openshift-install`: this one, by its first argument.
pub(crate) fn stand_in(folder: &Path) -> Result<PathBuf, CommandError> {
    let failed = |error: std::io::Error| CommandError::new(format!("failed to make a stand-in installer: {error}"));
    let own = std::env::current_exe().map_err(failed)?;
    let quoted = own.display().to_string().replace('\'', r"'\''");
    let path = std::path::absolute(folder.join("bin").join(INSTALLER)).map_err(failed)?;
    path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
    std::fs::write(&path, format!("#!/bin/sh\nexec '{quoted}' {INSTALLER} \"$@\"\n")).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
    Ok(path)
}
