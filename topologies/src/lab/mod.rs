//! The virtual rack: a switch, servers and their BMCs on one machine, as root.
//!
//! It makes hardware and nothing else: a network namespace with a private Open vSwitch, QEMU
//! machines that are switched off, a BMC each, the images that they boot, and the site file by which
//! Harmony's ordinary drivers find all this. It knows nothing of inventory, orders or Scores.
//!
//! Whoever works with the rack runs inside its namespace: [`Lab::command`]. A rack outlives the
//! process that made it, until [`Lab::down`]; [`Lab::guard`] ties the two together.
//!
//! Read next: `spec` for what a rack consists of, `machine` and `switch` for how it is made,
//! `images` and `assets/` for what the machines boot, `cluster` for what is there besides where a cluster is to be made.

mod bmc;
mod cluster;
mod error;
mod folder;
mod images;
mod machine;
mod namespace;
mod prerequisites;
mod process;
mod site_file;
mod spec;
mod switch;

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use harmony_core::cluster::ClusterDescription;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use error::LabError;
pub use prerequisites::Missing;
pub use spec::{LabName, LabSpec, MAX_MACHINES, Machine, MachineFirmware, MachineName, MachineSpec, SpecError};

use crate::site::SiteFile;
use cluster::Offer;
pub use cluster::ReleasePrograms;
use folder::Folder;
use namespace::Namespace;

/// How a rack's folder is called, before its name.
const FOLDER_PREFIX: &str = "harmony-lab-";

/// Where racks are made unless told otherwise: the folder for temporary files.
#[must_use]
pub fn default_parent() -> PathBuf {
    std::env::temp_dir()
}

/// Where images are kept unless told otherwise: `$HARMONY_CACHE`, else `~/.cache/harmony`.
#[must_use]
pub fn default_cache() -> PathBuf {
    let given = std::env::var_os("HARMONY_CACHE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME").filter(|path| !path.is_empty())?).join(".cache/harmony"));
    given.or_else(home).unwrap_or_else(|| PathBuf::from("/var/cache/harmony")).join("images")
}

/// A virtual rack.
#[derive(Debug)]
pub struct Lab {
    folder: Folder,
    record: Record,
}

/// What is written down of a rack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    name: LabName,
    made: Timestamp,
    accelerator: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<Offer>,
    machines: Vec<Machine>,
}

/// How a rack is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabStatus {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its network namespace.
    pub namespace: String,
    /// When it was made.
    pub made: Timestamp,
    /// What runs its machines: `kvm` or `tcg`.
    pub accelerator: String,
    /// Processes in its namespace; 0 after this machine was restarted.
    pub processes: usize,
    /// Its machines.
    pub machines: Vec<MachineStatus>,
}

/// How a machine of a rack is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MachineStatus {
    /// What it is.
    #[serde(flatten)]
    pub machine: Machine,
    /// Whether it is switched on.
    pub on: bool,
    /// What it said on its serial console; absent before it is first switched on.
    pub console: PathBuf,
}

impl Lab {
    /// Makes a rack: all machines are there, blank and switched off; nobody serves DHCP.
    /// Images that were not built before are built first, which takes about a minute;
    /// `say` hears what takes long. What a failure has left is removed.
    ///
    /// # Errors
    /// Not root, something not installed, a name that is taken; or a program that failed.
    pub fn up(spec: &LabSpec, say: &dyn Fn(&str)) -> Result<Self, LabError> {
        prerequisites::for_running()?;
        spec.check()?;
        let description = spec.release.as_ref().map(|_| cluster::description(spec.machines.len())).transpose();
        let description = description?;
        let cluster = spec.release.as_ref().map(Offer::of).transpose()?;
        if cluster.is_some() {
            prerequisites::for_a_cluster()?;
        }
        let name = spec.name.clone().unwrap_or_else(LabName::random);
        let parent = std::path::absolute(&spec.parent).map_err(LabError::file("find", &spec.parent))?;
        let folder = Folder::new(parent.join(format!("{FOLDER_PREFIX}{name}")));
        let machines = Machine::identify(&spec.machines, &name, Uuid::new_v4());
        let accelerator = prerequisites::accelerator().to_owned();
        let lab = Self { folder, record: Record { name, made: Timestamp::now(), accelerator, cluster, machines } };
        for path in [lab.folder.path(), &lab.namespace().path()] {
            if path.exists() {
                return Err(LabError::NameTaken { name: lab.record.name.to_string(), path: path.to_owned() });
            }
        }
        let images = images::ready(&spec.cache, &spec.agent, say)?;
        // Exclusive: of two that chose one name, one fails here, and must not tear down the other's.
        lab.folder.create()?;
        if let Err(error) = lab.make(&images, spec, description.as_ref()) {
            // The first error is the one to tell; what cannot be removed now, `down` removes later.
            let _ = lab.remove();
            return Err(error);
        }
        Ok(lab)
    }

    fn make(
        &self,
        images: &images::Images,
        spec: &LabSpec,
        description: Option<&ClusterDescription>,
    ) -> Result<(), LabError> {
        let Self { folder, record } = self;
        let text = toml::to_string(record)
            .map_err(|source| LabError::Write { what: "the rack's record", source: source.into() })?;
        machine::write(&folder.record(), &text, 0o600)?;
        machine::write(&folder.site(), &self.site_toml()?, 0o600)?;
        copy(&spec.agent, &folder.agent())?;
        for file in prerequisites::IPXE.map(Path::new) {
            copy(file, &folder.tftp().join(file.file_name().unwrap_or_default()))?;
        }
        share(&images.live, &folder.assets().join("live"))?;
        share(&images.node, &folder.assets().join("node"))?;

        let namespace = self.namespace();
        namespace.create()?;
        switch::start(folder, &namespace, &record.machines)?;
        if let (Some(programs), Some(description)) = (&spec.release, description) {
            let text = toml::to_string(description)
                .map_err(|source| LabError::Write { what: "the cluster's description", source: source.into() })?;
            machine::write(&folder.cluster(), &text, 0o600)?;
            cluster::start(folder, &namespace, images, programs)?;
        }
        for machine in &record.machines {
            machine::make(folder, &namespace, &record.accelerator, machine)?;
            bmc::start(folder, &namespace, machine)?;
        }
        Ok(())
    }

    /// Finds a rack by its folder.
    ///
    /// # Errors
    /// There is none, it is another user's, or its record is damaged.
    pub fn open(folder: &Path) -> Result<Self, LabError> {
        let folder = Folder::new(std::path::absolute(folder).map_err(LabError::file("find", folder))?);
        let no_lab = || LabError::NoLab(folder.path().to_owned());
        // Anyone may make a folder where temporary files are, and name any namespace in it.
        let metadata = std::fs::symlink_metadata(folder.path()).map_err(|_| no_lab())?;
        if !metadata.is_dir() || metadata.uid() != nix::unistd::geteuid().as_raw() {
            return Err(no_lab());
        }
        let path = folder.record();
        let text = std::fs::read_to_string(&path).map_err(|_| no_lab())?;
        let record: Record = toml::from_str(&text).map_err(|source| LabError::Record { path, source })?;
        Ok(Self { folder, record })
    }

    /// Finds a rack by its name.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn named(name: &LabName, parent: &Path) -> Result<Self, LabError> {
        Self::open(&parent.join(format!("{FOLDER_PREFIX}{name}")))
    }

    /// This user's racks on this machine, oldest first.
    ///
    /// # Errors
    /// A folder that cannot be read, a record that is damaged.
    pub fn list(parent: &Path) -> Result<Vec<Self>, LabError> {
        let entries = std::fs::read_dir(parent).map_err(LabError::file("read", parent))?;
        let folders = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(FOLDER_PREFIX));
        let opened = folders.map(|entry| Self::open(&entry.path()));
        let mut labs = opened.filter(|lab| !matches!(lab, Err(LabError::NoLab(_)))).collect::<Result<Vec<_>, _>>()?;
        labs.sort_by_key(|lab| lab.record.made);
        Ok(labs)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &LabName {
        &self.record.name
    }

    /// Its folder; everything of the rack is in it, and goes with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its machines.
    #[must_use]
    pub fn machines(&self) -> &[Machine] {
        &self.record.machines
    }

    /// A program that runs in the rack's network, with everything else as it is here.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.namespace().command(program)
    }

    /// What the drivers are told of the rack.
    ///
    /// # Errors
    /// A path that is no text.
    pub fn site_file(&self) -> Result<SiteFile, LabError> {
        site_file::site_file(&self.folder, &self.record.name, &self.record.machines, self.record.cluster.as_ref())
    }

    /// The site file's text; it lies at [`Self::site_path`].
    ///
    /// # Errors
    /// A path that is no text.
    pub fn site_toml(&self) -> Result<String, LabError> {
        toml::to_string(&self.site_file()?)
            .map_err(|source| LabError::Write { what: "the site file", source: source.into() })
    }

    /// Where the site file lies.
    #[must_use]
    pub fn site_path(&self) -> PathBuf {
        self.folder.site()
    }

    /// Where the description of a cluster lies that fits the rack; there, if the rack was made for one.
    #[must_use]
    pub fn cluster_path(&self) -> PathBuf {
        self.folder.cluster()
    }

    /// How the rack is now.
    #[must_use]
    pub fn status(&self) -> LabStatus {
        let namespace = self.namespace();
        let machines = self.record.machines.iter().map(|machine| MachineStatus {
            machine: machine.clone(),
            on: machine::is_on(&self.folder, machine),
            console: self.folder.machine(&machine.spec.name).join("console.log"),
        });
        LabStatus {
            name: self.record.name.to_string(),
            folder: self.folder.path().to_owned(),
            namespace: namespace.name().to_owned(),
            made: self.record.made,
            accelerator: self.record.accelerator.clone(),
            processes: namespace.processes().len(),
            machines: machines.collect(),
        }
    }

    /// Takes the rack down: ends every process in its namespace, removes namespace and folder.
    /// Repeating it after a failure is safe.
    ///
    /// # Errors
    /// It runs inside the rack itself; processes that do not end; a folder that cannot be removed.
    pub fn down(self) -> Result<(), LabError> {
        self.remove()
    }

    /// A rack that is taken down when the value is dropped, as when a test panics.
    #[must_use]
    pub fn guard(self) -> LabGuard {
        LabGuard { lab: self, armed: true }
    }

    fn remove(&self) -> Result<(), LabError> {
        self.namespace().destroy()?;
        let path = self.folder.path();
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(LabError::file("remove", path)(error)),
            _ => Ok(()),
        }
    }

    fn namespace(&self) -> Namespace {
        Namespace::new(format!("harmony-{}", self.record.name))
    }
}

/// A rack that ends with this value.
#[derive(Debug)]
pub struct LabGuard {
    lab: Lab,
    armed: bool,
}

impl LabGuard {
    /// Takes the rack down now, and says how that went.
    ///
    /// # Errors
    /// As for [`Lab::down`].
    pub fn down(mut self) -> Result<(), LabError> {
        self.armed = false;
        self.lab.remove()
    }
}

impl std::ops::Deref for LabGuard {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Drop for LabGuard {
    fn drop(&mut self) {
        if self.armed {
            // There is nobody left to tell; `harmony lab status` shows a rack that is still there.
            let _ = self.lab.remove();
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), LabError> {
    std::fs::copy(from, to).map(|_| ()).map_err(LabError::file("copy", from))
}

/// Puts the files of a folder into a new one: the same files where that is possible, else copies.
fn share(from: &Path, to: &Path) -> Result<(), LabError> {
    std::fs::create_dir(to).map_err(LabError::file("make", to))?;
    for entry in std::fs::read_dir(from).map_err(LabError::file("read", from))?.flatten() {
        share_file(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// The same for one file.
fn share_file(from: &Path, to: &Path) -> Result<(), LabError> {
    std::fs::hard_link(from, to).or_else(|_| copy(from, to))
}

#[cfg(test)]
mod tests;
