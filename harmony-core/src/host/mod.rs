//! A machine in the inventory: who it is, what is in it, where its cables go, how far it has come.
//!
//! Knows nothing of how facts are gathered (`report`) or kept (`store`).
//! Read next: [`identity`] for how two reports are recognised as one machine.

mod facts;
pub mod identity;
mod lifecycle;
mod name;
mod witness;

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use facts::{absorb, identity_in};
pub use identity::SystemIdentity;
pub use lifecycle::{Lifecycle, LifecycleEvent, LifecycleRefusal};
pub use name::{BmcId, FriendlyName, HostId, Role};
pub use witness::{PortWitness, PortWitnesses, WitnessKind};

use crate::net::MacAddress;

/// A machine, from its first sighting on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Never changes, whatever NIC or disk is replaced.
    pub id: HostId,
    /// Generated, unique, easier to say than the id.
    pub name: FriendlyName,
    /// What it is recognised by.
    pub identity: SystemIdentity,
    /// How far it has come.
    pub lifecycle: Lifecycle,
    /// The role that a person or a rule gave it, and what may be erased for it.
    pub assignment: Option<Assignment>,
    /// Vendor and product, as SMBIOS says.
    pub model: Option<String>,
    /// Firmware it was last booted by.
    pub firmware: Option<Firmware>,
    /// Sockets × cores × threads, summed: logical CPUs.
    pub cpus: Option<u32>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Its network interfaces, by name.
    pub nics: Vec<Nic>,
    /// Its disks, by name.
    pub disks: Vec<Disk>,
    /// The address under which it last answered.
    pub address: Option<IpAddr>,
    /// The BMC that was recognised as its own.
    pub bmc: Option<BmcId>,
    /// When its hardware was first reported.
    pub discovered_at: Option<Timestamp>,
    /// When anything was last heard of it.
    pub last_seen: Option<Timestamp>,
    /// Grows with every change of this record.
    pub revision: i64,
}

impl Host {
    /// The NIC that it booted from, if it said so.
    #[must_use]
    pub fn boot_nic(&self) -> Option<&Nic> {
        self.nics.iter().find(|nic| nic.booted)
    }

    /// Every MAC that it was ever seen with.
    #[must_use]
    pub fn macs(&self) -> &BTreeSet<MacAddress> {
        &self.identity.macs
    }

    /// The disk with this serial.
    #[must_use]
    pub fn disk(&self, serial: &str) -> Option<&Disk> {
        self.disks.iter().find(|disk| disk.serial.as_deref() == Some(serial))
    }

    /// Name and id, as people are shown it: `brisk-otter (hc-7KQ2M9X)`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} ({})", self.name, self.id)
    }
}

/// What a host was chosen for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The role; no two hosts have the same.
    pub role: Role,
    /// Serial of the disk to install on; without it, the only eligible disk.
    pub disk: Option<String>,
    /// Serial of a disk whose present contents a person agreed to lose.
    pub erase: Option<String>,
}

/// What starts the machine, which decides whether it can boot over a port in LACP mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Firmware {
    /// PC BIOS.
    Bios,
    /// UEFI.
    Uefi,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nic {
    /// As the live environment names it.
    pub name: String,
    /// The permanent address.
    pub mac: MacAddress,
    /// Link speed in Mbit/s; absent without link.
    pub speed_mbps: Option<u32>,
    /// Whether there was a link.
    pub carrier: Option<bool>,
    /// Whether the host booted from it.
    pub booted: bool,
    /// What is known of the switch port at the other end of its cable.
    pub port: PortWitnesses,
    /// LLDP neighbours that the agent heard on it, in its last report. Not yet a witness: which
    /// port of the site this names is for the Score to find out.
    #[serde(default)]
    pub lldp: Vec<HeardNeighbour>,
}

/// What a neighbour said of itself by LLDP, as the agent heard it. Source: IEEE 802.1AB-2016 clause 8.5.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardNeighbour {
    /// Its chassis id, as text.
    pub chassis: String,
    /// Its port id, as text.
    pub port_id: String,
    /// Its port description, if it sent one.
    pub port_description: Option<String>,
    /// Its system name, if it sent one.
    pub system_name: Option<String>,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Kernel name, `vda`.
    pub name: String,
    /// Stable path, `/dev/disk/by-id/…`.
    pub by_id: Option<String>,
    /// The path by the slot that it is in, `/dev/disk/by-path/…`; absent where the agent that reported does not tell it.
    #[serde(default)]
    pub by_path: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Serial; a disk without one cannot be ordered to be erased.
    pub serial: Option<String>,
    /// World wide name.
    pub wwn: Option<String>,
    /// Size in bytes; zero without medium, or where it could not be read.
    pub size_bytes: u64,
    /// Whether the kernel takes it for a spinning disk.
    #[serde(default)]
    pub rotational: Option<bool>,
    /// Known contents: file systems, LVM, RAID, partition tables. Empty only if the disk was read and is blank.
    pub signatures: Vec<String>,
}
