//! What a boot server is told when it starts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use bytes::Bytes;
use harmony_core::secret::Secret;
use harmony_templates::LiveEnvironment;

/// A boot server's configuration.
#[derive(Debug, Clone)]
pub struct BootConfig {
    /// Where HTTP is answered; port 0 takes a free one.
    pub http: SocketAddr,
    /// TFTP, for firmware that must first load iPXE.
    pub tftp: Option<TftpConfig>,
    /// How hosts reach [`http`](Self::http): `http://ADDRESS:PORT`, without a slash at its end.
    /// Absent: the address that was bound, which then must be a definite one.
    pub base_url: Option<String>,
    /// What is served under `/os/`.
    pub assets: Files,
    /// The inventory agent's binary.
    pub agent: AgentBinary,
    /// Public keys that may log in to the inventory environment, one in a line, as in `authorized_keys`.
    pub authorized_keys: String,
    /// The inventory environment.
    pub live: LiveEnvironment,
    /// Further kernel arguments of the inventory environment.
    pub live_args: Vec<String>,
    /// What the agent shows when it announces itself, and wants to be shown by whoever reads it.
    pub agent_token: Option<Secret>,
    /// Where the secret configurations are that answer files are merged onto; absent where no answer file has one.
    pub private: Option<Arc<dyn PrivateFiles>>,
}

/// Files of which a host is given what belongs to its order, and nobody else anything.
pub trait PrivateFiles: Send + Sync + fmt::Debug {
    /// A file by its name, `ocp4/1/master.ign`.
    ///
    /// # Errors
    /// If it is not there, or cannot be read.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
}

/// Private files in a folder.
#[derive(Debug, Clone)]
pub struct PrivateFolder(pub PathBuf);

impl PrivateFiles for PrivateFolder {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a name below the folder"));
        }
        std::fs::read(self.0.join(name))
    }
}

/// The TFTP server's configuration.
#[derive(Debug, Clone)]
pub struct TftpConfig {
    /// Where it answers; port 0 takes a free one. Source: RFC 1350 section 4 (port 69).
    pub listen: SocketAddr,
    /// What is served.
    pub root: Files,
}

/// Files that are served.
#[derive(Debug, Clone)]
pub enum Files {
    /// Those of a folder. Symbolic links are followed inside it only.
    Folder(PathBuf),
    /// These, by path without a slash at its beginning: for a server that touches no disk.
    Memory(BTreeMap<String, Bytes>),
}

/// Where the inventory agent's binary is.
#[derive(Debug, Clone)]
pub enum AgentBinary {
    /// In a file, which is read once, at the start.
    File(PathBuf),
    /// Here.
    Memory(Bytes),
}

impl From<PathBuf> for Files {
    fn from(folder: PathBuf) -> Self {
        Self::Folder(folder)
    }
}

impl From<PathBuf> for AgentBinary {
    fn from(file: PathBuf) -> Self {
        Self::File(file)
    }
}

impl BootConfig {
    /// The lines of `authorized_keys` that are keys.
    pub(crate) fn ssh_keys(&self) -> Vec<&str> {
        self.authorized_keys.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
    }
}
