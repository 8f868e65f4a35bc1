//! What lies where in a rack's folder.

use std::path::{Path, PathBuf};

use super::LabError;
use super::spec::MachineName;

/// Longest path of the folder, in bytes: the sockets in it must fit into a socket's address.
/// Source: unix(7), `sun_path` has 108 bytes.
const MAX_PATH_BYTES: usize = 80;

/// A rack's folder. It is root's alone.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Names one, whether it is there or not.
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it and what is in it, all of it closed to others.
    pub(super) fn create(&self) -> Result<(), LabError> {
        use std::os::unix::fs::DirBuilderExt;
        if self.0.as_os_str().len() > MAX_PATH_BYTES {
            let source = std::io::Error::other(format!("the path is longer than {MAX_PATH_BYTES} bytes"));
            return Err(LabError::file("make", &self.0)(source));
        }
        let make = |path: &Path| {
            let made = std::fs::DirBuilder::new().mode(0o700).create(path);
            made.map_err(LabError::file("make", path))
        };
        make(&self.0)?;
        [self.machines(), self.tftp(), self.assets(), self.state()].iter().try_for_each(|path| make(path))
    }

    /// What the rack consists of.
    pub(super) fn record(&self) -> PathBuf {
        self.0.join("lab.toml")
    }

    /// For the drivers.
    pub(super) fn site(&self) -> PathBuf {
        self.0.join("site.toml")
    }

    /// A cluster that fits the rack.
    pub(super) fn cluster(&self) -> PathBuf {
        self.0.join("cluster.toml")
    }

    /// What the mirror serves.
    pub(super) fn mirror(&self) -> PathBuf {
        self.0.join("mirror")
    }

    /// The stand-in for the installer.
    pub(super) fn installer(&self) -> PathBuf {
        self.0.join("openshift-install")
    }

    /// What that says that machines are booted with.
    pub(super) fn stream(&self) -> PathBuf {
        self.0.join("stream.json")
    }

    /// What it is told of registries.
    pub(super) fn pull_secret(&self) -> PathBuf {
        self.0.join("pull-secret")
    }

    /// Runtime folder of Open vSwitch.
    pub(super) fn switch(&self) -> PathBuf {
        self.0.join("ovs")
    }

    /// Where the switch's database listens.
    pub(super) fn database_socket(&self) -> PathBuf {
        self.switch().join("db.sock")
    }

    /// A machine's own folder.
    pub(super) fn machine(&self, name: &MachineName) -> PathBuf {
        self.machines().join(name.as_str())
    }

    /// The password of a machine's BMC.
    pub(super) fn bmc_password(&self, name: &MachineName) -> PathBuf {
        self.machine(name).join("bmc.password")
    }

    /// iPXE's binaries.
    pub(super) fn tftp(&self) -> PathBuf {
        self.0.join("tftp")
    }

    /// The inventory agent's binary.
    pub(super) fn agent(&self) -> PathBuf {
        self.0.join("harmony-inventory-agent")
    }

    /// Images, as they are served.
    pub(super) fn assets(&self) -> PathBuf {
        self.0.join("assets")
    }

    /// For Harmony's own files.
    pub(super) fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    fn machines(&self) -> PathBuf {
        self.0.join("machines")
    }
}
