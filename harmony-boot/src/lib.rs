//! The boot server: HTTP and read-only TFTP for machines that boot from the network.
//!
//! Everything that it serves comes from the store or from two sets of files; everything that it sees
//! goes to the store as evidence ([`BootEvent`](harmony_core::boot::BootEvent)) and sightings, so
//! several programs may share what it knows, and a restart loses nothing but the connections.
//!
//! What it guarantees:
//! 1. A machine gets the install script only while its order is `Issued` and not expired, and only
//!    if it has one of the order's MACs; after that it is sent to its disk. A reinstall loop cannot
//!    happen, whatever the firmware's boot order.
//! 2. An answer file is served once, to whoever shows the order's token from an address at which
//!    the order's script was fetched, or which is reserved for the host.
//! 3. "Not yet" is 503 with `Retry-After`, never 404, which installers take as final.
//! 4. Nothing outside the folders that are named is served, by any spelling of a path, nor over a symlink.
//! 5. Whatever a client sends is bounded in size, number and time, and a refusal is evidence.
//!
//! Deliberately absent: DHCP (the site's own), TLS (firmware and iPXE of many machines have none;
//! this is why tokens are used once), any way to change what is served other than the store.
//!
//! Read next: [`Service`] for what is behind the sockets, `decide` for which script a machine gets, `http` for the routes, `tftp`.

mod agent;
mod config;
mod connection;
mod decide;
mod error;
mod evidence;
mod files;
mod http;
mod marks;
mod pxe;
mod server;
mod service;
mod tftp;

pub use config::{AgentBinary, BootConfig, Files, PrivateFiles, PrivateFolder, TftpConfig};
pub use decide::{Script, decide};
pub use error::BootError;
pub use pxe::StorePxe;
pub use server::BootServer;
pub use service::Service;
