//! A simulated rack on loopback, as a site: the drivers, the boot server and the agent are the real ones, the
//! machines, switches and BMCs are `harmony-sim`'s.
//!
//! Clusters are made by whatever program speaks as `openshift-install`; their API and machine config servers answer on
//! the machines that were installed. Needs no root, no hardware and no network, and may run beside others of its
//! kind. DHCP is the one service that loopback cannot carry: there the world's own server stands in
//! (`driver = "program"`), as do its DNS server and load balancer.
//! Read next: `site_file` for what the drivers are told, `harmony_sim::wire` for who answers.

mod cluster;
mod site_file;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harmony_core::cluster::ClusterDescription;
use harmony_core::store::SharedStore;
use harmony_sim::wire::{Loopback, LoopbackError, Wire, WireError};
use harmony_sim::{SpecError, World, WorldSpec};

use crate::site::{ProgramDrivers, SiteError, SiteFile, SiteTopology};

/// Why there is no simulated rack.
#[derive(Debug, thiserror::Error)]
pub enum SimulatedError {
    /// No addresses.
    #[error("failed to find addresses for the simulated rack")]
    Loopback(#[from] LoopbackError),
    /// The world cannot be.
    #[error("failed to make the simulated rack")]
    Spec(#[from] SpecError),
    /// Its devices cannot listen.
    #[error("failed to put the simulated rack on the wire")]
    Wire(#[from] WireError),
    /// A file cannot be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The site file cannot be described.
    #[error("failed to describe the simulated rack in a site file")]
    Describe(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A simulated rack that runs. It is gone when this is dropped; its folder stays.
pub struct SimulatedRack {
    file: SiteFile,
    world: World,
    _wire: Wire,
}

impl SimulatedRack {
    /// Makes a world, puts it on loopback, and writes its site into this folder, which must be there. Must be
    /// called inside a Tokio runtime whose time is real. Clusters are made by `installer`, a program with the command line of
    /// `openshift-install`: the stand-in, [`harmony_sim::openshift_install`].
    ///
    /// # Errors
    /// What cannot be, or cannot be written. Nothing runs then.
    pub async fn start(spec: WorldSpec, folder: &Path, installer: Option<&Path>) -> Result<Self, SimulatedError> {
        let failed = |source| SimulatedError::Write { path: folder.to_owned(), source };
        let folder = std::path::absolute(folder).map_err(failed)?;
        let loopback = Loopback::claim()?;
        let world = World::new(loopback.place(spec))?;
        let wire = Wire::start(&world, loopback).await?;
        world.use_boot_server(wire.boot_http(), Some(wire.boot_tftp()));
        lay_out(&folder, &wire)?;
        let mut file = site_file::describe(&folder, &wire).map_err(SimulatedError::Describe)?;
        if let Some(installer) = installer {
            write(&folder.join(cluster::STREAM), cluster::stream(&wire).as_bytes())?;
            write(&folder.join(cluster::PULL_SECRET), crate::stand_in::pull_secret().as_bytes())?;
            cluster::offer(&mut file, installer, &folder);
        }
        let text = toml::to_string(&file).map_err(|error| SimulatedError::Describe(error.into()))?;
        write(&folder.join("site.toml"), text.as_bytes())?;
        Ok(Self { file, world, _wire: wire })
    }

    /// The site as any other, with its DHCP and DNS server and its load balancer.
    ///
    /// # Errors
    /// What a driver refuses.
    pub fn open(&self, store: SharedStore) -> Result<SiteTopology, SiteError> {
        let services = Arc::new(self.world.topology(Arc::clone(&store)));
        let program = ProgramDrivers {
            dhcp: Some(self.world.dhcp()),
            dns: Some(services.clone()),
            load_balancer: Some(services),
        };
        SiteTopology::with_drivers(self.file.clone(), store, self.world.machine_clock(), &program)
    }

    /// The world, to be looked at and meddled with.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The cluster that the rack is for, `ocp4.example.com`: with a bootstrap, and with addresses that are nobody's.
    ///
    /// # Errors
    /// If its numbers make no cluster.
    pub fn cluster(&self, masters: u16, workers: u16) -> Result<ClusterDescription, SimulatedError> {
        crate::stand_in::describe(self.file.network.cidr, masters, workers).map_err(SimulatedError::Describe)
    }

    /// The site file.
    #[must_use]
    pub fn site(&self) -> &SiteFile {
        &self.file
    }
}

/// Writes what the boot server serves, and the devices' passwords.
fn lay_out(folder: &Path, wire: &Wire) -> Result<(), SimulatedError> {
    let served = |under: &'static str| move |(path, bytes): (String, _)| (Path::new(under).join(path), bytes);
    let files = harmony_sim::asset_files().into_iter().map(served(site_file::ASSETS));
    let files = files.chain(harmony_sim::tftp_files().into_iter().map(served(site_file::TFTP)));
    let files = files.chain([(PathBuf::from(site_file::AGENT), harmony_sim::agent_binary())]);
    for (path, bytes) in files {
        write(&folder.join(path), &bytes)?;
    }
    for (path, secret) in site_file::passwords(folder, wire) {
        write(&path, secret.expose().as_bytes())?;
    }
    Ok(())
}

/// Writes a file that nobody else may read, and the folders above it.
fn write(path: &Path, bytes: &[u8]) -> Result<(), SimulatedError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(bytes)
    });
    written.map_err(|source| SimulatedError::Write { path: path.to_owned(), source })
}
