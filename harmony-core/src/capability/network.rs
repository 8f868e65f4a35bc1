//! The provisioning network and what hosts are installed from: what a site says of itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::error::DeviceResult;
use crate::net::{PortRef, SwitchId, VlanId};

/// Addresses from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRange {
    /// The first.
    pub first: Ipv4Addr,
    /// The last.
    pub last: Ipv4Addr,
}

impl AddressRange {
    /// Every address of the range, in order.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> {
        (u32::from(self.first)..=u32::from(self.last)).map(|number| IpAddr::V4(Ipv4Addr::from(number)))
    }

    /// Whether the address is in the range.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }
}

/// The provisioning network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPlan {
    /// The prefix.
    pub cidr: IpNet,
    /// Harmony's own address in it.
    pub address: IpAddr,
    /// The VLAN, untagged on the hosts' ports.
    pub vlan: VlanId,
    /// Addresses for hosts that are not known yet.
    pub pool: AddressRange,
    /// Addresses for reservations.
    pub hosts: AddressRange,
    /// Switch ports that hosts are plugged into.
    pub host_ports: Vec<PortRef>,
    /// Pairs of switches that are one LACP partner to their hosts (MLAG, vPC): a bond may have its NICs on
    /// both of a pair. Such a LAG is made on each of the two, under one name.
    ///
    /// A site file cannot name any, because none of its drivers is for switches that pair like this; a
    /// Topology of your own can.
    pub mlag: Vec<[SwitchId; 2]>,
}

impl NetworkPlan {
    /// Whether ports of these switches can be in one LAG: they are one switch, or a pair.
    #[must_use]
    pub fn can_bundle(&self, a: &SwitchId, b: &SwitchId) -> bool {
        a == b || self.mlag.iter().any(|pair| pair.contains(a) && pair.contains(b))
    }
}

/// A disk image, as the boot server offers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskImage {
    /// Its path, `/os/…`.
    pub path: String,
    /// SHA-256 of it as it is served, lower-case hex.
    pub sha256: String,
}

/// What hosts are installed from, as the boot server offers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallSource {
    /// Where the boot server answers.
    pub server: SocketAddr,
    /// Path of the installer's kernel, `/os/…`.
    pub kernel: String,
    /// Path of its initramfs.
    pub initrd: String,
    /// Path of its root file system, where it needs one (CoreOS live).
    pub rootfs: Option<String>,
    /// The disk image; without one, the live system installs the one that it carries (CoreOS live).
    pub image: Option<DiskImage>,
    /// Further kernel arguments.
    pub args: Vec<String>,
    /// Public key that may log in to installed hosts, in OpenSSH's format.
    pub ssh_key: String,
}

/// What every installation from the boot server needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootSource {
    /// Where the boot server answers.
    pub server: SocketAddr,
    /// Further kernel arguments.
    pub args: Vec<String>,
    /// Public key that may log in to installed hosts, in OpenSSH's format.
    pub ssh_key: String,
}

/// A site's provisioning network.
pub trait ProvisioningNetwork: Send + Sync {
    /// The network.
    fn network(&self) -> &NetworkPlan;

    /// What every installation needs to know of the boot server.
    ///
    /// # Errors
    /// If the key cannot be read.
    fn boot_source(&self) -> DeviceResult<BootSource>;

    /// What hosts are installed from that get the site's own image.
    ///
    /// # Errors
    /// If the image or the key cannot be read; names the file.
    fn install_source(&self) -> DeviceResult<InstallSource>;
}
