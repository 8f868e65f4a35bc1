//! The world on the wire: loopback servers that the real drivers and the real boot server talk to.
//!
//! A front reads and prints one protocol and nothing else: what is asked and done goes through the same
//! state and the same operations as in process, so writes are recorded and faults strike. Here is who answers
//! where, and with which credentials. Deliberately absent: the boot server, which is the real one and is
//! started by whoever starts the rest of Harmony; DHCP, whose frames loopback does not carry
//! ([`World::dhcp`]).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use harmony_sim::wire::{Loopback, Wire};
//! use harmony_sim::{World, WorldSpec};
//!
//! let loopback = Loopback::claim()?;
//! let world = World::new(loopback.place(WorldSpec::rack(7, 3)))?;
//! world.pace().set_speed("10".parse()?);
//! let wire = Wire::start(&world, loopback).await?;
//! # drop(wire);
//! # Ok(())
//! # }
//! ```
//!
//! Read next: [`Loopback`] for the addresses, `hosts` for when a host answers, `tree` for what its agent reads.

mod agent;
mod balancer;
mod cisco_ios;
mod cut;
mod devices;
mod hosts;
pub mod https;
pub(crate) mod https_client;
pub mod kubernetes;
mod loopback;
mod mirror;
mod redfish;
mod ssh;
mod tree;

use std::net::SocketAddr;
use std::sync::Arc;

use harmony_core::capability::{InstallSource, NetworkPlan};
use harmony_core::secret::Secret;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use cisco_ios::{CiscoIosFront, Personality};
pub use devices::{BmcEndpoint, SwitchEndpoint};
pub use loopback::{Loopback, LoopbackError};

use crate::openshift_install::BootFile;
use crate::world::World;
use devices::Devices;

/// Port of every host's SSH server: one that anybody may open.
const SSH_PORT: u16 = 2222;
/// Port for a boot server's TFTP: likewise.
const TFTP_PORT: u16 = 6969;

/// Why a world cannot be put on the wire.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Its addresses are not those of the prefix.
    #[error("the provisioning network {0} is not in the claimed prefix; make the world of `Loopback::place`")]
    Elsewhere(ipnet::IpNet),
    /// Its hosts could be given the addresses of switches and BMCs.
    #[error("the provisioning network gives out addresses of the upper half of the prefix")]
    Overlap,
    /// A device has no place in the prefix.
    #[error("the prefix has no address for device {0}")]
    TooMany(usize),
    /// A device's address cannot be listened on.
    #[error("failed to listen on {address} for {device}")]
    Listen {
        /// The device.
        device: String,
        /// Its address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What a front lets in.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    /// The one user.
    pub(crate) user: String,
    /// Its password.
    pub(crate) password: Secret,
    /// The password of `enable`, on devices that have that.
    pub(crate) enable: Secret,
}

/// A world on the wire. All of it is gone soon after this is dropped.
#[derive(Debug)]
pub struct Wire {
    network: NetworkPlan,
    install: InstallSource,
    bmcs: Vec<BmcEndpoint>,
    switches: Vec<SwitchEndpoint>,
    mirror: SocketAddr,
    _until: DropGuard,
}

impl Wire {
    /// Puts a world on the wire: every BMC, every switch, and each host while it answers. Must be called inside a
    /// Tokio runtime with I/O whose time is not paused. From now on hosts answer here too, not only in process.
    ///
    /// # Errors
    /// [`WireError`]; then nothing is on the wire.
    pub async fn start(world: &World, loopback: Loopback) -> Result<Self, WireError> {
        let shared = Arc::clone(&world.shared);
        let network = shared.network.clone();
        check(&network, &loopback)?;
        let stop = CancellationToken::new();
        let until = stop.clone().drop_guard();
        let mut devices = Devices { world: &shared, loopback: &loopback, stop: &stop, given: 0 };
        let (bmcs, switches) = (devices.bmcs().await?, devices.switches().await?);
        let mirror = devices.mirror().await?;
        tokio::spawn(hosts::run(Arc::clone(&shared), loopback, stop));
        Ok(Self { network, install: shared.install.clone(), bmcs, switches, mirror, _until: until })
    }

    /// The provisioning network, for `[network]` of a site file.
    #[must_use]
    pub fn network(&self) -> &NetworkPlan {
        &self.network
    }

    /// Where a boot server is to listen for HTTP: what the hosts are told by DHCP.
    #[must_use]
    pub fn boot_http(&self) -> SocketAddr {
        self.install.server
    }

    /// What hosts are installed from, of [`asset_files`](crate::asset_files).
    #[must_use]
    pub fn install_source(&self) -> &InstallSource {
        &self.install
    }

    /// Where a boot server is to listen for TFTP.
    #[must_use]
    pub fn boot_tftp(&self) -> SocketAddr {
        SocketAddr::new(self.boot_http().ip(), TFTP_PORT)
    }

    /// How each BMC is reached, sorted by name.
    #[must_use]
    pub fn bmcs(&self) -> &[BmcEndpoint] {
        &self.bmcs
    }

    /// How each switch is reached, sorted by name.
    #[must_use]
    pub fn switches(&self) -> &[SwitchEndpoint] {
        &self.switches
    }

    /// What machines of a cluster are booted with, where it is fetched from: kernel, initramfs, root file system.
    #[must_use]
    pub fn boot_files(&self) -> [BootFile; 3] {
        mirror::boot_files(self.mirror)
    }

    /// Port of every host's SSH server.
    #[must_use]
    pub fn ssh_port(&self) -> u16 {
        SSH_PORT
    }
}

fn check(network: &NetworkPlan, loopback: &Loopback) -> Result<(), WireError> {
    if !loopback.holds(network.cidr.network()) || !loopback.holds(network.cidr.broadcast()) {
        return Err(WireError::Elsewhere(network.cidr));
    }
    let is_upper = |address: std::net::Ipv4Addr| address.octets()[2] >= 0x80;
    if is_upper(network.pool.last) || is_upper(network.hosts.last) {
        return Err(WireError::Overlap);
    }
    Ok(())
}
