//! What a site offers: small, object-safe traits, implemented by drivers and by Topologies.
//!
//! A Topology implements each capability for all its devices at once; [`SwitchSet`] and [`BmcSet`]
//! route to the driver concerned. Reads return snapshots and change nothing. Writes state an
//! absolute target, so that repeating one is harmless. After a write the driver reads the device
//! again. A driver that does not know returns an error, never a default.

mod bmc;
mod cluster;
mod dhcp;
mod discovery;
mod dns;
mod host_control;
mod installer;
mod load_balancer;
mod network;
mod pxe;
mod switch;

pub use bmc::{Bmc, BmcSet, BootDevice, PowerAction, PowerState};
pub use cluster::{CertificateRequest, Cluster, CsrState, MachineConfigAnswer, Node, Operator, Pool};
pub use dhcp::{DhcpServer, Lease, Reservation};
pub use discovery::{AgentReply, HostDiscovery};
pub use dns::{DnsRecord, DnsServer};
pub use host_control::{CommandOutput, HostControl, HostTarget, LoginStage};
pub use installer::{
    Artefacts, AssetInfo, BootAssets, BootImages, ClusterInstaller, InstallStage, InstallerInput, InstallerVersion,
    Manifest, PULL_SECRET_MARK, RemoteFile, RoleConfig,
};
pub use load_balancer::{
    Balance, HealthCheck, LbServer, LbService, LoadBalancer, ServerAdmin, ServerHealth, ServerState,
};
pub use network::{AddressRange, BootSource, DiskImage, InstallSource, NetworkPlan, ProvisioningNetwork};
pub use pxe::{BootEntry, BootTarget, PxeServer};
pub use switch::{
    LacpFallback, LacpPortState, LagSpec, LinkState, LldpNeighbour, MacTableEntry, PortMode, PortStatus, Switch,
    SwitchSet,
};

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::error::DeviceResult;

/// What every site has: a name, and services of its own that must run before anything is applied.
#[async_trait]
pub trait Topology: Send + Sync {
    /// The site's name.
    fn name(&self) -> &str;

    /// Starts what Harmony itself runs for this site (boot server, DHCP server) and is not running
    /// yet. Called before the first write of an `apply`, never by a `plan`.
    ///
    /// # Errors
    /// If a service cannot be started; those that were started keep running.
    async fn prepare(&self) -> DeviceResult<()>;

    /// How many changes were sent to devices since this Topology was made, by driver.
    fn device_writes(&self) -> BTreeMap<String, usize> {
        BTreeMap::new()
    }
}
