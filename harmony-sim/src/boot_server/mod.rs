//! The boot server as machines see it: HTTP and TFTP, asked from an address.
//!
//! It is always `harmony-boot`. In process its routes are called directly, over the store that Harmony has
//! ([`in_process`]); on the wire it listens somewhere, and machines talk to it over sockets that are bound to
//! their own addresses ([`wired`]). Nothing here decides what a machine is given.
//!
//! Read next: `crate::machine`'s `fetch` for when a request passes, `network_boot` for who asks what.

mod assets;
mod in_process;
mod tftp;
mod wired;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use harmony_boot::Files;
use harmony_core::clock::SharedClock;
use harmony_core::store::SharedStore;
use harmony_templates::urls;

pub use assets::{ANACONDA_TREE, SCOS_BUILD, agent_binary, asset_files, scos_files, tftp_files};
pub(crate) use assets::{hex, install_source, wanted_rootfs};
use in_process::InProcess;
use wired::Wired;
pub(crate) use wired::connect;

use crate::services::SharedFiles;
use crate::spec::LiveFlavour;
use crate::world::World;

/// What DHCP tells a client to load, by who it is.
///
/// Source: dnsmasq(8), `--dhcp-boot`, as the site's own DHCP server is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BootFiles {
    /// For iPXE: the URL of its script.
    pub(crate) script_url: String,
    /// Over TFTP, for PC BIOS.
    pub(crate) bios: &'static str,
    /// Over TFTP, for UEFI.
    pub(crate) efi: &'static str,
    /// For UEFI HTTP Boot.
    pub(crate) efi_url: String,
}

impl BootFiles {
    fn of(server: SocketAddr) -> Self {
        let base = urls::base(server);
        Self {
            script_url: format!("{base}{}", urls::BOOT_CHAIN),
            bios: assets::BIOS,
            efi: assets::EFI,
            efi_url: urls::asset(&base, assets::EFI),
        }
    }
}

/// Why no answer came to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// Nobody is there, or it says nothing.
    #[error("no answer")]
    Silence,
    /// Nobody listens there, or it closes the connection.
    #[error("connection refused")]
    Refused,
    /// The URL's host is no address: there is no DNS in the provisioning network.
    #[error("the host's name is unknown")]
    UnknownHost,
    /// No URL that a machine here could ask.
    #[error("no http:// URL")]
    Scheme,
    /// The body is longer than the machine takes.
    #[error("the answer is too long")]
    TooLong,
}

/// Why a file did not come over TFTP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TftpFailure {
    /// Nobody answers.
    #[error("no answer")]
    Silence,
    /// The server's ERROR packet.
    #[error("TFTP error: {0}")]
    Refused(String),
}

/// A boot server.
#[async_trait]
pub(crate) trait BootServer: Send + Sync {
    /// What DHCP tells clients of it.
    fn files(&self) -> &BootFiles;

    /// Sends a request with an absolute URI from an address. The answer's body comes as it is read.
    async fn http(&self, from: IpAddr, request: Request<Body>) -> Result<Response<Body>, NoAnswer>;

    /// Reads a file over TFTP from an address.
    async fn tftp(&self, from: IpAddr, path: &str) -> Result<Bytes, TftpFailure>;
}

/// The boot server that machines ask, if there is one.
pub(crate) type SharedBootServer = Arc<dyn BootServer>;

/// The boot server of a world in process, on a store: with files that were fetched for it, and private ones.
pub(crate) fn in_process(
    server: SocketAddr,
    flavour: LiveFlavour,
    store: SharedStore,
    clock: SharedClock,
    files: (SharedFiles, SharedFiles),
) -> SharedBootServer {
    let (fetched, private) = files;
    Arc::new(InProcess::new(server, flavour, store, clock, fetched, private))
}

impl World {
    /// From now on machines ask this boot server, which listens on loopback, over real sockets that are
    /// bound to their own addresses. It must serve [`asset_files`] under `/os/` and [`tftp_files`].
    pub fn use_boot_server(&self, http: SocketAddr, tftp: Option<SocketAddr>) {
        let server: SharedBootServer = Arc::new(Wired::new(http, tftp));
        self.shared.with(|state| state.boot = Some((BootKind::Wired, server)));
    }
}

/// Where a boot server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BootKind {
    InProcess,
    Wired,
}

/// Files in memory, for a boot server's configuration.
fn files(files: impl IntoIterator<Item = (String, Bytes)>) -> Files {
    Files::Memory(files.into_iter().collect())
}
