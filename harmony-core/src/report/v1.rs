//! Version 1 of the report, `harmony-inventory/v1`: plain data, as it crosses the wire.
//!
//! One rule holds throughout: **what could not be read is `null` and has an entry in
//! [`Report::unread`]** that says why, at its own path or at one above; nothing is guessed. What a
//! machine simply does not have (a NIC outside any bond has no [`Nic::bond`]) is left out altogether.
//!
//! Later versions of v1 may add fields, so readers ignore what they do not know. A change of meaning is
//! a v2. Raw numbers carry their unit in their name; speeds of links are in 10^6 bit/s.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// What `schema` says in every [`Report`].
pub const SCHEMA: &str = "harmony-inventory/v1";

/// What `schema` says in every [`Announcement`].
pub const ANNOUNCE_SCHEMA: &str = "harmony-announce/v1";

/// All that the agent could read of its machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The program that made the report.
    pub agent: Agent,
    /// What was booted, how and when.
    pub boot: Boot,
    /// Who made the machine, and which one it is.
    pub system: System,
    /// Processors, all sockets together.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// Disks with hardware behind them: no loop, RAM, device-mapper or optical devices. Sorted by name.
    pub disks: Vec<Disk>,
    /// NICs with hardware behind them. Sorted by name.
    pub nics: Vec<Nic>,
    /// Bonds that exist at the moment (a live environment has none of its own).
    #[serde(default)]
    pub bonds: Vec<Bond>,
    /// PCI functions, sorted by address.
    pub pci: Vec<PciDevice>,
    /// What is absent, and why.
    pub unread: Vec<Unread>,
}

/// The program that made the report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its version, as in its `Cargo.toml`.
    pub version: String,
    /// Most resident memory that it has had so far (`VmHWM`), in bytes. Left out of recorded trees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
}

/// What was booted, how and when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// A UUID of this boot, new on each (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: Option<String>,
    /// Since the kernel started, in whole seconds.
    pub uptime_s: Option<u64>,
    /// Kernel release, as `uname -r` prints it.
    pub kernel: Option<String>,
    /// `uefi` or `bios`: what the firmware was when it started this kernel.
    pub firmware: Option<String>,
    /// Whether UEFI Secure Boot is enforced. Left out where the machine was not started by UEFI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<bool>,
}

/// Who made the machine, and which one it is. Texts are as the SMBIOS has them, without surrounding
/// blanks; vendors leave fillers such as `To Be Filled By O.E.M.`, which are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// Manufacturer.
    pub vendor: Option<String>,
    /// Product name.
    pub product: Option<String>,
    /// Serial number of the machine.
    pub serial: Option<String>,
    /// UUID in lower case, in the byte order that `dmidecode` prints and iPXE's `${uuid}` shows.
    pub uuid: Option<String>,
    /// The firmware.
    pub bios: Bios,
    /// The main board.
    pub board: Board,
    /// The management controller.
    pub bmc: Bmc,
}

/// The firmware (SMBIOS type 0).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bios {
    /// Who made it.
    pub vendor: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Its release date as written there, usually `mm/dd/yyyy`.
    pub date: Option<String>,
}

/// The main board (SMBIOS type 2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    /// Who made it.
    pub vendor: Option<String>,
    /// Its product name.
    pub product: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
}

/// The management controller, as far as SMBIOS tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bmc {
    /// How the machine talks to it: `kcs`, `smic`, `bt`, `ssif` (SMBIOS type 38).
    pub interface: Option<String>,
    /// Where its Redfish service answers this machine (SMBIOS type 42). Often a link-local address of
    /// the machine's own interface to it, not its address on the management network.
    pub address: Option<IpAddr>,
}

/// Processors, all sockets together. Counts are of what is on line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// As `uname -m` prints it: `x86_64`, `aarch64`.
    pub architecture: Option<String>,
    /// `GenuineIntel`, `AuthenticAMD`, …
    pub vendor: Option<String>,
    /// Model name.
    pub model: Option<String>,
    /// Sockets in use.
    pub sockets: Option<u32>,
    /// Cores of all sockets.
    pub cores: Option<u32>,
    /// Hardware threads of all cores: what the kernel calls CPUs.
    pub threads: Option<u32>,
    /// Features of the first one, in the kernel's words and order.
    pub flags: Vec<String>,
}

/// Memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// What the kernel has to give (`MemTotal`), in bytes: less than the modules hold.
    pub total_bytes: Option<u64>,
    /// Modules (SMBIOS type 17), in the order of the table.
    pub dimms: Vec<Dimm>,
    /// Names of slots without a module.
    #[serde(default)]
    pub empty_slots: Vec<String>,
}

/// One memory module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dimm {
    /// The slot as printed on the board, such as `DIMM_A1`.
    pub slot: Option<String>,
    /// Capacity, in bytes.
    pub size_bytes: Option<u64>,
    /// `DDR4`, `DDR5`, …, in `dmidecode`'s words.
    pub kind: Option<String>,
    /// What the module can do, in 10^6 transfers per second.
    pub speed_mts: Option<u32>,
    /// What it is run at, in 10^6 transfers per second.
    pub configured_speed_mts: Option<u32>,
    /// Who made it.
    pub vendor: Option<String>,
    /// Part number.
    pub part: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
}

/// One disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Kernel name, such as `nvme0n1`: may differ after the next boot.
    pub name: String,
    /// Its links in `/dev/disk/by-id`, sorted, as full paths. They outlive a boot.
    pub by_id: Vec<String>,
    /// Its links in `/dev/disk/by-path`, sorted, as full paths: they name the slot, whatever disk is in it. Agents of before
    /// left them out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_path: Vec<String>,
    /// Model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// World wide name as udev writes it: `0x5000…` of SCSI and ATA, `eui.…` or `nvme.…` of NVMe.
    pub wwn: Option<String>,
    /// Capacity, in bytes. Zero where a reader has no medium.
    pub size_bytes: Option<u64>,
    /// Smallest unit that can be addressed, in bytes: 512 or 4096.
    pub logical_block_size_bytes: Option<u32>,
    /// Whether the kernel takes it for a spinning disk (it does so for most virtual ones).
    pub rotational: Option<bool>,
    /// `nvme`, `sata`, `sas`, `virtio`, `usb`, `mmc`, `fc`, `iscsi`, or `scsi` where only that is known.
    pub bus: Option<String>,
    /// What the whole disk is recognised as. Empty: nothing known was found, or see `unread`.
    pub signatures: Vec<Signature>,
    /// Partitions that the kernel found, by number.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Kernel name, such as `nvme0n1p1`.
    pub name: String,
    /// Size, in bytes.
    pub size_bytes: Option<u64>,
    /// What it is recognised as.
    pub signatures: Vec<Signature>,
}

/// A magic number found: data that an installation would destroy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// `filesystem`, `swap`, `lvm`, `raid`, `crypto`, `partition-table` or `storage` (ZFS, Ceph, bcache).
    pub kind: String,
    /// As `blkid` names it: `ext4`, `xfs`, `LVM2_member`, `linux_raid_member`, `gpt`, …
    pub name: String,
}

/// One NIC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Kernel name, such as `eno1`: may differ in the installed system.
    pub name: String,
    /// The MAC in the hardware, in lower case with colons. It stays while a bond changes `mac`.
    pub permanent_mac: Option<String>,
    /// The MAC in use.
    pub mac: Option<String>,
    /// Speed of the link, in 10^6 bit/s.
    pub speed_mbps: Option<u32>,
    /// `full` or `half`.
    pub duplex: Option<String>,
    /// Whether a link is there. Unknown while the interface is down.
    pub carrier: Option<bool>,
    /// Kernel driver, such as `ixgbe`.
    pub driver: Option<String>,
    /// PCI address, such as `0000:3b:00.0`. Left out for NICs on another bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pci_address: Option<String>,
    /// Name of the bond that it is a member of. Left out where it is in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bond: Option<String>,
    /// IP addresses on it at the moment.
    pub addresses: Vec<Address>,
    /// Whether this is the NIC that the machine booted from.
    pub booted: Option<bool>,
    /// LLDP neighbours heard and not expired, oldest first.
    pub lldp: Vec<LldpNeighbour>,
    /// For how long LLDP has been listened for, in seconds: neighbours speak every 30 s or so.
    pub lldp_listened_s: Option<u64>,
}

/// A bond that exists on the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bond {
    /// Kernel name, such as `bond0`.
    pub name: String,
    /// `802.3ad`, `active-backup`, …
    pub mode: Option<String>,
    /// The MAC in use.
    pub mac: Option<String>,
    /// Names of its members.
    pub members: Vec<String>,
    /// IP addresses on it at the moment.
    pub addresses: Vec<Address>,
}

/// An IP address on an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// IPv4 or IPv6, link-local ones included.
    pub address: IpAddr,
    /// Length of the prefix, in bits.
    pub prefix_len: u8,
}

/// What one neighbour said of itself by LLDP (IEEE 802.1AB).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LldpNeighbour {
    /// Chassis ID: a MAC or an address as text, else the text itself.
    pub chassis_id: String,
    /// What that is: `mac`, `network-address`, `interface-name`, `local`, `component`, `port`,
    /// `interface-alias`, or `subtype-N`.
    pub chassis_id_kind: String,
    /// Port ID, in the same forms.
    pub port_id: String,
    /// What that is: as for the chassis, and `agent-circuit-id`.
    pub port_id_kind: String,
    /// Port description, where sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_description: Option<String>,
    /// System name, where sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_name: Option<String>,
    /// Untagged VLAN of the port (IEEE 802.1 Port VLAN ID), where sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan_id: Option<u16>,
    /// How long it holds, in seconds from when it was last heard.
    pub ttl_s: u16,
    /// When it was last heard, in seconds before the report.
    pub age_s: u64,
}

/// One PCI function, by number: names are looked up where the report is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciDevice {
    /// `domain:bus:device.function`, such as `0000:3b:00.0`.
    pub address: String,
    /// Vendor, four hex digits.
    pub vendor_id: Option<String>,
    /// Device, four hex digits.
    pub device_id: Option<String>,
    /// Vendor of the board, four hex digits.
    pub subsystem_vendor_id: Option<String>,
    /// The board, four hex digits.
    pub subsystem_device_id: Option<String>,
    /// Class, subclass and programming interface, six hex digits.
    pub class: Option<String>,
    /// A display controller or processing accelerator (classes 03 and 12) that is no BMC's console.
    pub gpu: bool,
    /// Kernel driver. Left out where none is bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
}

/// Why a fact is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// JSON pointer (RFC 6901) to the fact, or to the object that lacks several: `/nics/0/speed_mbps`.
    pub fact: String,
    /// What was tried and what came of it.
    pub reason: String,
}

impl Report {
    /// Why the fact at this JSON pointer is absent, if it was said there or above; the nearest counts.
    #[must_use]
    pub fn why_absent(&self, fact: &str) -> Option<&str> {
        let covers = |unread: &&Unread| {
            fact.strip_prefix(&*unread.fact).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let nearest = self.unread.iter().filter(covers).max_by_key(|unread| unread.fact.len());
        nearest.map(|unread| &*unread.reason)
    }
}

/// What the agent posts to the boot server until it is acknowledged: enough to know the host again and
/// to fetch the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// [`ANNOUNCE_SCHEMA`].
    pub schema: String,
    /// As [`System::uuid`].
    pub uuid: Option<String>,
    /// As [`System::serial`].
    pub serial: Option<String>,
    /// As [`Boot::boot_id`].
    pub boot_id: Option<String>,
    /// Permanent MACs, or those in use where the permanent ones are unknown.
    pub macs: Vec<String>,
    /// Where the agent answers `GET /`, as seen from the machine itself: compare with the sender.
    pub listen: SocketAddr,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn sample() -> Report {
        Report {
            schema: SCHEMA.into(),
            agent: Agent { version: "0.1.0".into(), peak_memory_bytes: Some(1 << 20) },
            system: System {
                uuid: Some("4c4c4544-004b-4e10-805a-b7c04f424832".into()),
                serial: Some("SN-1".into()),
                ..System::default()
            },
            disks: vec![Disk { name: "sda".into(), model: Some("X".into()), ..Disk::default() }],
            nics: vec![Nic {
                name: "eth0".into(),
                mac: Some("52:54:00:00:00:01".into()),
                permanent_mac: Some("52:54:00:00:00:01".into()),
                addresses: vec![Address { address: [10, 10, 0, 11].into(), prefix_len: 24 }],
                ..Nic::default()
            }],
            unread: vec![
                Unread { fact: "/nics".into(), reason: "cut".into() },
                Unread { fact: "/nics/0".into(), reason: "gone".into() },
                Unread { fact: "/cpu/model".into(), reason: "no /proc".into() },
            ],
            ..Report::default()
        }
    }

    #[test]
    fn absence_is_explained_at_the_fact_or_above() {
        let report = sample();
        assert_eq!(report.why_absent("/nics/0/speed_mbps"), Some("gone"));
        assert_eq!(report.why_absent("/cpu/model"), Some("no /proc"));
        assert_eq!(report.why_absent("/nics/01"), Some("cut"));
        assert_eq!(report.why_absent("/cpu"), None);
    }

    #[test]
    fn what_could_not_be_read_is_null_and_what_does_not_exist_is_left_out() {
        let report = serde_json::to_value(sample()).expect("serialises");
        assert!(report["cpu"]["model"].is_null() && report["cpu"].as_object().expect("object").contains_key("model"));
        assert!(!report["nics"][0].as_object().expect("object").contains_key("bond"));
    }
}
