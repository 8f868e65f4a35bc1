//! Why a boot server does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use harmony_core::store::StoreError;
use harmony_templates::TemplateError;

/// A boot server that could not be started. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The address cannot be listened on.
    #[error(
        "failed to listen on {address} for {protocol}; is another boot server running, or the address of another machine?"
    )]
    Listen {
        /// `HTTP` or `TFTP`.
        protocol: &'static str,
        /// Where.
        address: SocketAddr,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A folder cannot be opened.
    #[error("failed to open the folder `{}` that is to be served", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The agent's binary cannot be read.
    #[error("failed to read the inventory agent `{}`; is it built?", file.display())]
    Agent {
        /// The file.
        file: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Hosts would not know where to fetch.
    #[error("{0} is no address that hosts can fetch from; set the base URL")]
    NoBaseUrl(SocketAddr),
    /// The scripts that do not depend on a host cannot be rendered.
    #[error("failed to prepare the scripts for hosts without orders")]
    Template(#[from] TemplateError),
    /// The store cannot be read.
    #[error("failed to read what was seen before")]
    Store(#[from] StoreError),
}
