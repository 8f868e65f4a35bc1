//! What a world is made of, as a test or a file says it: plain data, checked once by `World::new`.
//!
//! Names are texts here and typed inside; a seed decides everything that is not said.
//! Read next: [`crate::World`].

use std::net::Ipv4Addr;
use std::time::Duration;

use harmony_core::capability::{AddressRange, BootDevice, PortMode};
use harmony_core::host::Firmware;
use harmony_core::net::MacAddress;
use jiff::Timestamp;
use uuid::Uuid;

use crate::random::Random;

/// 2026-01-01T00:00:00Z.
const EPOCH: Timestamp = Timestamp::constant(1_767_225_600, 0);

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
}

/// A switch.
#[derive(Debug, Clone)]
pub struct SwitchSpec {
    /// Its name in the site.
    pub name: String,
    /// Its system id in LACP.
    pub mac: MacAddress,
    /// Whether its LLDP tells a system name; Open vSwitch's does not.
    pub names_itself: bool,
    /// Its ports.
    pub ports: Vec<PortSpec>,
}

/// A switch port.
#[derive(Debug, Clone)]
pub struct PortSpec {
    /// Its name on the switch.
    pub name: String,
    /// How it is configured at the beginning; without it, an access port of the provisioning VLAN.
    pub mode: Option<PortMode>,
}

/// What is in the NICs' boot ROM, which decides whether it boots over a port in LACP mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootRom {
    /// The firmware's own PXE stack: it sends no LACPDU and loads iPXE over TFTP.
    FirmwarePxe,
    /// iPXE: it answers LACP by itself.
    IpxeRom,
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
    /// What the firmware tries, in order.
    pub boot_order: Vec<BootDevice>,
    /// Whether it is on at the beginning.
    pub powered: bool,
    /// Whether its live environment sends LLDP.
    pub sends_lldp: bool,
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
    /// Its serial number, if it tells one.
    pub serial: Option<String>,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// What `blkid` finds on it; empty for a blank disk.
    pub signatures: Vec<String>,
    /// Whether a system that Harmony knows nothing of starts from it.
    pub bootable: bool,
}

/// How long things take; each time up to a quarter is added, by the seed.
#[derive(Debug, Clone)]
pub struct Timing {
    /// From power-on or reset to the first boot device.
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
    /// Writing the image to the disk.
    pub image: Duration,
    /// From power-on self-test to an installed system that asks for an address.
    pub disk_start: Duration,
    /// One request to a device and its answer.
    pub device: Duration,
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
            image: s(20),
            disk_start: s(12),
            device: Duration::from_millis(100),
        }
    }
}

impl WorldSpec {
    /// A rack of up to 60,000 machines `node-1`… with two NICs and a blank disk each, on one switch `tor`
    /// whose ports `node-1-p0`… are access ports of VLAN 10, each with a BMC `bmc-1`….
    /// All are on, with iPXE ROMs, and nobody has catalogued them.
    #[must_use]
    pub fn rack(seed: u64, machines: u16) -> Self {
        let hosts: Vec<HostSpec> = (1..=machines).map(|number| HostSpec::numbered(seed, number)).collect();
        let ports = hosts.iter().flat_map(|host| &host.nics).filter_map(|nic| nic.port.as_deref()?.split_once('/'));
        let ports = ports.map(|(_, port)| PortSpec { name: port.to_owned(), mode: None });
        let tor = SwitchSpec {
            name: "tor".to_owned(),
            mac: MacAddress::new([0x02, 0x5a, 0, 0, 0, 1]),
            names_itself: true,
            ports: ports.collect(),
        };
        Self {
            seed,
            site: "sim".to_owned(),
            epoch: EPOCH,
            vlan: 10,
            prefix: (Ipv4Addr::new(10, 10, 0, 0), 16),
            address: Ipv4Addr::new(10, 10, 0, 1),
            pool: AddressRange { first: Ipv4Addr::new(10, 10, 64, 0), last: Ipv4Addr::new(10, 10, 127, 255) },
            reserved: AddressRange { first: Ipv4Addr::new(10, 10, 0, 11), last: Ipv4Addr::new(10, 10, 63, 255) },
            timing: Timing::default(),
            switches: vec![tor],
            hosts,
        }
    }
}

impl HostSpec {
    /// The machine of this number in [`WorldSpec::rack`].
    fn numbered(seed: u64, number: u16) -> Self {
        let name = format!("node-{number}");
        let mut random = Random::new(seed, &name);
        let [high, low] = number.to_be_bytes();
        let nic = |index: u8| NicSpec {
            name: format!("eth{index}"),
            mac: MacAddress::new([0x52, 0x54, 0, high, low, index + 1]),
            port: Some(format!("tor/{name}-p{index}")),
        };
        Self {
            firmware: Firmware::Bios,
            rom: BootRom::IpxeRom,
            uuid: random.uuid(),
            serial: format!("SN-{number:05}"),
            nics: vec![nic(0), nic(1)],
            disks: vec![DiskSpec::blank("vda", &format!("DISK-{number:05}-A"))],
            bmc: Some(format!("bmc-{number}")),
            boot_order: vec![BootDevice::Disk, BootDevice::Network],
            powered: true,
            sends_lldp: true,
            name,
        }
    }

    /// The same machine with UEFI firmware and its own PXE stack, which does not answer LACP.
    #[must_use]
    pub fn with_firmware_pxe(mut self) -> Self {
        self.firmware = Firmware::Uefi;
        self.rom = BootRom::FirmwarePxe;
        self
    }
}

impl DiskSpec {
    /// A blank disk of 100 GB.
    #[must_use]
    pub fn blank(name: &str, serial: &str) -> Self {
        Self {
            name: name.to_owned(),
            serial: Some(serial.to_owned()),
            size_bytes: 100_000_000_000,
            signatures: Vec::new(),
            bootable: false,
        }
    }

    /// Its links in `/dev/disk/by-id`, as udev makes them for virtio disks.
    pub(crate) fn by_id(&self) -> Vec<String> {
        self.serial.iter().map(|serial| format!("/dev/disk/by-id/virtio-{serial}")).collect()
    }
}
