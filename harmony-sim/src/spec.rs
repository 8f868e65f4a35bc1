//! What a world is made of, as a test or a file says it: plain data, checked once by `World::new`.
//!
//! Names are texts here and typed inside; a seed decides everything that is not said. What a rack is
//! usually made of is in `crate::racks`. Read next: [`crate::World`].

use std::net::Ipv4Addr;
use std::time::Duration;

use harmony_core::capability::{AddressRange, BootDevice, PortMode};
use harmony_core::host::Firmware;
use harmony_core::net::MacAddress;
use jiff::Timestamp;
use uuid::Uuid;

use crate::cluster::ClusterTiming;

/// A rack and its network.
#[derive(Debug, Clone)]
pub struct WorldSpec {
    /// Decides jitter, serial numbers left out, boot ids. The same spec and seed give the same log.
    pub seed: u64,
    /// The site's name.
    pub site: String,
    /// When virtual time begins.
    pub epoch: Timestamp,
    /// The provisioning VLAN, 1 to 4094.
    pub vlan: u16,
    /// VLANs that every port carries tagged as well, and that lead to the same network.
    pub tagged: Vec<u16>,
    /// Prefix of the provisioning network: address and length in bits.
    pub prefix: (Ipv4Addr, u8),
    /// Harmony's own address in it.
    pub address: Ipv4Addr,
    /// Addresses for MACs without reservation.
    pub pool: AddressRange,
    /// Addresses for reservations.
    pub reserved: AddressRange,
    /// How long things take.
    pub timing: Timing,
    /// The switches.
    pub switches: Vec<SwitchSpec>,
    /// The machines.
    pub hosts: Vec<HostSpec>,
    /// What unknown machines are booted into, where the world's own boot server serves them.
    pub live: LiveFlavour,
    /// Whether the world keeps its log; benchmarks do without.
    pub log: bool,
}

/// Which live environment the world's own boot server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LiveFlavour {
    /// An initramfs that holds the agent.
    #[default]
    Initramfs,
    /// CentOS Stream 9's installer, whose Kickstart fetches the agent.
    Anaconda,
}

/// A switch.
#[derive(Debug, Clone)]
pub struct SwitchSpec {
    /// Its name in the site.
    pub name: String,
    /// Its chassis id in LLDP, and its system id in LACP unless it is one of a pair.
    pub mac: MacAddress,
    /// Whether its LLDP tells a system name; Open vSwitch's does not.
    pub names_itself: bool,
    /// How often it asks its LACP partners to speak.
    pub lacp_rate: LacpRate,
    /// What it does with a LAG's port on which it hears no LACP partner.
    pub unpartnered: Unpartnered,
    /// The other switch with which it makes a pair, if it has one.
    pub mlag: Option<MlagSpec>,
    /// Its ports.
    pub ports: Vec<PortSpec>,
}

/// Two switches that are one to their LACP partners (MLAG, vPC, VLT): a LAG of the same name on both
/// is one LAG. Both sides must say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MlagSpec {
    /// The other switch.
    pub peer: String,
    /// The pair's system id in LACP.
    pub system: MacAddress,
    /// The own end of the link between them, one of its ports.
    pub peer_link: String,
}

/// How often a LACP partner is to speak: it is given up after three silent periods.
/// Source: IEEE 802.1AX-2014 section 6.4.4, `Fast_Periodic_Time`, `Slow_Periodic_Time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LacpRate {
    /// Once a second.
    Fast,
    /// Every 30 s.
    Slow,
}

/// What a switch does with a LAG's port on which it hears no LACP partner, and that has no fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpartnered {
    /// It forwards nothing: Open vSwitch, Nexus 7000 and 9000, IOS-XE with `standalone-disable`.
    Suspended,
    /// It works by itself, as if it were in no LAG: Nexus 5000, IOS without `standalone-disable`.
    Individual,
}

/// A switch port.
#[derive(Debug, Clone)]
pub struct PortSpec {
    /// Its name on the switch.
    pub name: String,
    /// How it is configured at the beginning; without it, an access port of the provisioning VLAN.
    pub mode: Option<PortMode>,
    /// Whether it forwards as soon as it has a link, without waiting for spanning tree. Harmony
    /// makes an edge port of every port that it sets.
    pub edge: bool,
}

/// What is in the NICs' boot ROM, which decides whether it boots over a port in LACP mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootRom {
    /// A PC BIOS's PXE ROM: it sends no LACPDU and loads iPXE (`undionly.kpxe`) over TFTP.
    BiosPxe,
    /// UEFI's own PXE stack: it sends no LACPDU and loads iPXE (`ipxe.efi`) over TFTP.
    UefiPxe,
    /// UEFI's HTTP Boot: it sends no LACPDU and loads iPXE (`ipxe.efi`) over HTTP.
    UefiHttp,
    /// iPXE, on either firmware: it answers LACP by itself.
    IpxeRom,
}

/// Whose BMC a machine has, which decides how it misbehaves. Read next: `crate::bmc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BmcPersonality {
    /// Dell iDRAC.
    Idrac,
    /// HPE iLO.
    Ilo,
    /// Supermicro.
    Supermicro,
    /// One that does what the specification says.
    Generic,
}

/// A machine.
#[derive(Debug, Clone)]
pub struct HostSpec {
    /// How the log and the tests call it; Harmony does not know this name.
    pub name: String,
    /// Its firmware.
    pub firmware: Firmware,
    /// Its boot ROM.
    pub rom: BootRom,
    /// SMBIOS UUID.
    pub uuid: Uuid,
    /// SMBIOS serial number.
    pub serial: String,
    /// Its NICs, in the order in which the firmware tries them.
    pub nics: Vec<NicSpec>,
    /// Its disks, in the order in which the firmware tries them.
    pub disks: Vec<DiskSpec>,
    /// Its BMC's name in the site, if it has one.
    pub bmc: Option<String>,
    /// Whose it is.
    pub bmc_personality: BmcPersonality,
    /// What the firmware tries, in order.
    pub boot_order: Vec<BootDevice>,
    /// Whether it is on at the beginning.
    pub powered: bool,
    /// Whether its live environment sends LLDP.
    pub sends_lldp: bool,
    /// By how much its clock is ahead of the world's, in seconds; negative where it is behind.
    pub clock_ahead_s: i64,
    /// The group that only bears the loss of one at a time, if it is in one: etcd's members, say.
    pub quorum: Option<String>,
}

/// A NIC.
#[derive(Debug, Clone)]
pub struct NicSpec {
    /// As Linux names it.
    pub name: String,
    /// Its permanent address.
    pub mac: MacAddress,
    /// The switch port at the other end of its cable, `tor/node-1-p0`; without it, no cable.
    pub port: Option<String>,
}

/// A disk.
#[derive(Debug, Clone)]
pub struct DiskSpec {
    /// As Linux names it.
    pub name: String,
    /// How it is attached.
    pub bus: DiskBus,
    /// Its model.
    pub model: String,
    /// Its serial number, if it tells one.
    pub serial: Option<String>,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// What `blkid` finds on it; empty for a blank disk.
    pub signatures: Vec<String>,
    /// Whether a system that Harmony knows nothing of starts from it.
    pub bootable: bool,
}

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskBus {
    /// virtio-blk.
    Virtio,
    /// NVMe.
    Nvme,
    /// SATA.
    Sata,
    /// SAS.
    Sas,
    /// USB: a stick, or an SD card inside the case.
    Usb,
}

/// How long things take; each time up to a quarter is added, by the seed.
#[derive(Debug, Clone)]
pub struct Timing {
    /// From power-on or reset to the first boot device, with BIOS; UEFI takes twice as long.
    pub post: Duration,
    /// Loading iPXE over TFTP.
    pub tftp: Duration,
    /// iPXE's own start, and its chain of scripts.
    pub ipxe: Duration,
    /// Loading kernel and initramfs.
    pub kernel: Duration,
    /// From the kernel's start to a system that asks for an address.
    pub system_start: Duration,
    /// From its address to an agent that answers.
    pub agent_start: Duration,
    /// Loading the stock live system's root file system into memory.
    pub rootfs: Duration,
    /// From there until its installer runs.
    pub coreos_start: Duration,
    /// Writing the image to the disk.
    pub image: Duration,
    /// From power-on self-test to an installed system that asks for an address.
    pub disk_start: Duration,
    /// Getting the cluster's own image at the first boot, before the restart into it.
    pub pivot: Duration,
    /// One request to a device and its answer.
    pub device: Duration,
    /// What happens inside a cluster.
    pub cluster: ClusterTiming,
}

impl Default for Timing {
    /// Times of the virtual rack in QEMU, rounded.
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            post: s(4),
            tftp: s(2),
            ipxe: s(2),
            kernel: s(3),
            system_start: s(8),
            agent_start: s(1),
            rootfs: s(10),
            coreos_start: s(5),
            image: s(20),
            disk_start: s(12),
            pivot: s(60),
            device: Duration::from_millis(100),
            cluster: ClusterTiming::default(),
        }
    }
}

impl DiskSpec {
    /// A blank virtio disk of 100 GB.
    #[must_use]
    pub fn blank(name: &str, serial: &str) -> Self {
        Self {
            name: name.to_owned(),
            bus: DiskBus::Virtio,
            model: "SimDisk".to_owned(),
            serial: Some(serial.to_owned()),
            size_bytes: 100_000_000_000,
            signatures: Vec::new(),
            bootable: false,
        }
    }

    /// Its links in `/dev/disk/by-id`, as udev makes them. Source: systemd `rules.d/60-persistent-storage.rules`.
    pub(crate) fn by_id(&self) -> Vec<String> {
        let model = self.model.replace(' ', "_");
        let link = |serial: &String| match self.bus {
            DiskBus::Virtio => format!("virtio-{serial}"),
            DiskBus::Nvme => format!("nvme-{model}_{serial}"),
            DiskBus::Sata => format!("ata-{model}_{serial}"),
            DiskBus::Sas => format!("scsi-S{model}_{serial}"),
            DiskBus::Usb => format!("usb-{model}_{serial}-0:0"),
        };
        self.serial.iter().map(|serial| format!("/dev/disk/by-id/{}", link(serial))).collect()
    }
}

impl DiskBus {
    /// As the agent's report names it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Virtio => "virtio",
            Self::Nvme => "nvme",
            Self::Sata => "sata",
            Self::Sas => "sas",
            Self::Usb => "usb",
        }
    }
}

impl BmcPersonality {
    /// Who made the machine, and what they call it: in SMBIOS and in its BMC.
    pub(crate) fn product(self) -> (&'static str, &'static str) {
        match self {
            Self::Idrac => ("Dell Inc.", "PowerEdge R650"),
            Self::Ilo => ("HPE", "ProLiant DL360 Gen10 Plus"),
            Self::Supermicro => ("Supermicro", "SYS-120U-TNR"),
            Self::Generic => ("LabCorp", "SimServer"),
        }
    }
}

impl BootRom {
    /// Whether machines with this firmware have such a ROM.
    pub(crate) fn fits(self, firmware: Firmware) -> bool {
        match self {
            Self::BiosPxe => firmware == Firmware::Bios,
            Self::UefiPxe | Self::UefiHttp => firmware == Firmware::Uefi,
            Self::IpxeRom => true,
        }
    }
}
