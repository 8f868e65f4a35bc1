//! Racks as they are found: what machines, switches and cables there usually are, decided by a seed.
//!
//! A rack is only a [`WorldSpec`]: change it before `World::new` as you like.

use std::net::Ipv4Addr;

use harmony_core::capability::{AddressRange, BootDevice};
use harmony_core::host::Firmware;
use harmony_core::net::MacAddress;
use jiff::Timestamp;

use crate::random::Random;
use crate::spec::{
    BmcPersonality, BootRom, DiskBus, DiskSpec, HostSpec, LacpRate, LiveFlavour, MlagSpec, NicSpec, PortSpec,
    SwitchSpec, Timing, Unpartnered, WorldSpec,
};

/// 2026-01-01T00:00:00Z.
const EPOCH: Timestamp = Timestamp::constant(1_767_225_600, 0);
/// Ports of one switch of a stack.
const STACK_MEMBER: usize = 48;
/// Members of a quorum group in a rack that has one.
const QUORUM: usize = 3;
const PERSONALITIES: [BmcPersonality; 4] =
    [BmcPersonality::Idrac, BmcPersonality::Ilo, BmcPersonality::Supermicro, BmcPersonality::Generic];
const ROMS: [(Firmware, BootRom); 5] = [
    (Firmware::Uefi, BootRom::UefiPxe),
    (Firmware::Bios, BootRom::IpxeRom),
    (Firmware::Uefi, BootRom::UefiHttp),
    (Firmware::Bios, BootRom::BiosPxe),
    (Firmware::Uefi, BootRom::IpxeRom),
];

impl WorldSpec {
    /// A rack of up to 60,000 machines `node-1`… with two NICs and a blank disk each, on one switch `tor`
    /// whose ports `node-1-p0`… are access ports of VLAN 10, each with a BMC `bmc-1`….
    /// All are on, with iPXE ROMs, and nobody has catalogued them.
    #[must_use]
    pub fn rack(seed: u64, machines: u16) -> Self {
        let hosts = (1..=machines).map(|number| HostSpec::numbered(seed, number)).collect();
        Self::of(seed, hosts, &["tor"])
    }

    /// A rack as it is delivered: machines of four vendors, with every sort of firmware and boot
    /// ROM, two to four NICs of which not all are plugged in, disks on NVMe, SATA and SAS and the odd
    /// USB stick, on one stack `tor` with ports `Gi1/0/1`… of which some are no edge ports; some
    /// are on, some are off. Each has one disk that an order can name, and it is blank.
    #[must_use]
    pub fn mixed_rack(seed: u64, machines: u16) -> Self {
        let mut hosts: Vec<HostSpec> = (1..=machines).map(|number| HostSpec::mixed(seed, number)).collect();
        let cables = hosts.iter_mut().flat_map(|host| &mut host.nics).filter_map(|nic| nic.port.as_mut());
        for (at, port) in cables.enumerate() {
            *port = format!("tor/Gi{}/0/{}", at / STACK_MEMBER + 1, at % STACK_MEMBER + 1);
        }
        let mut spec = Self::of(seed, hosts, &["tor"]);
        let mut random = Random::new(seed, "edge ports");
        spec.switches[0].ports.iter_mut().for_each(|port| port.edge = random.pick(8) > 0);
        spec
    }

    /// A rack for a cluster: a [`mixed_rack`](Self::mixed_rack) with a machine for the bootstrap and one for each master
    /// and worker. Every machine is large enough for any of them.
    #[must_use]
    pub fn okd_rack(seed: u64, masters: u16, workers: u16) -> Self {
        Self::mixed_rack(seed, 1 + masters + workers)
    }

    /// A rack whose machines have one NIC on each of two switches `leaf-a` and `leaf-b` (ports
    /// `Eth1/1`…), which are an MLAG pair; half of them with firmware that does not answer LACP.
    /// The first three are a quorum group. All are off.
    #[must_use]
    pub fn mlag_rack(seed: u64, machines: u16) -> Self {
        let host = |number: u16| {
            let mut host = HostSpec::numbered(seed, number);
            for (nic, leaf) in host.nics.iter_mut().zip(["leaf-a", "leaf-b"]) {
                nic.port = Some(format!("{leaf}/Eth1/{number}"));
            }
            host.powered = false;
            host.quorum = (usize::from(number) <= QUORUM).then(|| "control-plane".to_owned());
            if number.is_multiple_of(2) { host.with_firmware_pxe() } else { host }
        };
        let mut spec = Self::of(seed, (1..=machines).map(host).collect(), &["leaf-a", "leaf-b"]);
        for (switch, peer) in spec.switches.iter_mut().zip(["leaf-b", "leaf-a"]) {
            let (system, peer_link) = (MacAddress::new([0x02, 0x5a, 0, 0, 1, 0]), "peer-link".to_owned());
            switch.ports.push(PortSpec::edge(&peer_link));
            switch.mlag = Some(MlagSpec { peer: peer.to_owned(), system, peer_link });
        }
        spec
    }

    /// These machines, on these switches.
    fn of(seed: u64, hosts: Vec<HostSpec>, switches: &[&str]) -> Self {
        let switch = |(number, name): (u8, &&str)| SwitchSpec {
            name: (*name).to_owned(),
            mac: MacAddress::new([0x02, 0x5a, 0, 0, 0, number]),
            names_itself: true,
            lacp_rate: LacpRate::Fast,
            unpartnered: Unpartnered::Suspended,
            mlag: None,
            ports: cables(&hosts, name).map(PortSpec::edge).collect(),
        };
        Self {
            seed,
            site: "sim".to_owned(),
            epoch: EPOCH,
            vlan: 10,
            tagged: Vec::new(),
            prefix: (Ipv4Addr::new(10, 10, 0, 0), 16),
            address: Ipv4Addr::new(10, 10, 0, 1),
            pool: AddressRange { first: Ipv4Addr::new(10, 10, 64, 0), last: Ipv4Addr::new(10, 10, 127, 255) },
            reserved: AddressRange { first: Ipv4Addr::new(10, 10, 0, 11), last: Ipv4Addr::new(10, 10, 63, 255) },
            timing: Timing::default(),
            switches: (1..).zip(switches).map(switch).collect(),
            hosts,
            live: LiveFlavour::default(),
            log: true,
        }
    }
}

/// The ports of a switch that something is plugged into.
fn cables<'a>(hosts: &'a [HostSpec], switch: &str) -> impl Iterator<Item = &'a str> {
    let ends = hosts.iter().flat_map(|host| &host.nics).filter_map(|nic| nic.port.as_deref()?.split_once('/'));
    ends.filter(move |(of, _)| *of == switch).map(|(_, port)| port)
}

impl PortSpec {
    /// An edge port, in access mode.
    fn edge(name: &str) -> Self {
        Self { name: name.to_owned(), mode: None, edge: true }
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
            bmc_personality: BmcPersonality::Generic,
            boot_order: vec![BootDevice::Disk, BootDevice::Network],
            powered: true,
            sends_lldp: true,
            clock_ahead_s: 0,
            quorum: None,
            name,
        }
    }

    /// The machine of this number in [`WorldSpec::mixed_rack`]; where its cables end is not decided yet.
    fn mixed(seed: u64, number: u16) -> Self {
        let mut host = Self::numbered(seed, number);
        let mut random = Random::new(seed, &format!("mixed {}", host.name));
        let at = usize::from(number) - 1;
        host.bmc_personality = PERSONALITIES[at % PERSONALITIES.len()];
        (host.firmware, host.rom) = ROMS[(at + at / ROMS.len()) % ROMS.len()];
        host.powered = random.pick(2) == 0;
        let (vendor, names, serial) = match host.bmc_personality {
            BmcPersonality::Idrac => ([0xd0, 0x8e, 0x79], ["eno8303", "eno8403", "ens3f0np0", "ens3f1np1"], "D"),
            BmcPersonality::Ilo => ([0x94, 0x40, 0xc9], ["eno1", "eno2", "ens1f0", "ens1f1"], "CZ"),
            BmcPersonality::Supermicro => ([0x3c, 0xec, 0xef], ["eno1", "eno2", "enp65s0f0", "enp65s0f1"], "S"),
            BmcPersonality::Generic => ([0x52, 0x54, 0], ["eth0", "eth1", "eth2", "eth3"], "G"),
        };
        let (nics, plugged) = [(2, 2), (4, 2), (3, 3), (4, 4)][random.pick(4)];
        let [high, low] = number.to_be_bytes();
        let nic = |(index, name): (u8, &&str)| NicSpec {
            name: (*name).to_owned(),
            mac: MacAddress::new([vendor[0], vendor[1], vendor[2], high, low, index]),
            port: (index <= plugged).then(String::new),
        };
        host.nics = (1..).zip(&names[..nics]).map(nic).collect();
        host.serial = format!("{serial}{:05X}{number:02}", random.pick(1 << 20));
        host.disks = DiskSpec::mixed(&mut random, number);
        host
    }

    /// The same machine with UEFI firmware and its own PXE stack, which does not answer LACP.
    #[must_use]
    pub fn with_firmware_pxe(mut self) -> Self {
        self.firmware = Firmware::Uefi;
        self.rom = BootRom::UefiPxe;
        self
    }
}

impl DiskSpec {
    /// One blank disk for a system; beside it, now and then, something that is none.
    fn mixed(random: &mut Random, number: u16) -> Vec<Self> {
        let (name, bus, model, size_bytes) = [
            ("nvme0n1", DiskBus::Nvme, "SAMSUNG MZQL2960HCJR-00A07", 960_197_124_096),
            ("sda", DiskBus::Sata, "INTEL SSDSC2KG480G8", 480_103_981_056),
            ("sda", DiskBus::Sas, "SEAGATE ST600MM0009", 600_127_266_816),
            ("nvme0n1", DiskBus::Nvme, "Dell BOSS-N1", 480_036_847_616),
        ][random.pick(4)];
        let serial = format!("S{:08X}{number:05}", random.pick(1 << 32));
        let disk = Self { bus, model: model.to_owned(), size_bytes, ..Self::blank(name, &serial) };
        let stick = Self {
            bus: DiskBus::Usb,
            model: "Internal SD-CARD".to_owned(),
            serial: None,
            size_bytes: 16_000_000_000,
            ..Self::blank("sdb", "")
        };
        if random.pick(3) == 0 { vec![disk, stick] } else { vec![disk] }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_mixed_rack_has_everything_that_is_to_be_expected() {
        let spec = WorldSpec::mixed_rack(1, 40);
        let vendors: BTreeSet<_> = spec.hosts.iter().map(|host| host.bmc_personality).collect();
        let roms: BTreeSet<String> = spec.hosts.iter().map(|h| format!("{:?} {:?}", h.firmware, h.rom)).collect();
        let nics: BTreeSet<usize> = spec.hosts.iter().map(|host| host.nics.len()).collect();
        let buses: BTreeSet<&str> = spec.hosts.iter().flat_map(|host| &host.disks).map(|d| d.bus.as_str()).collect();
        assert_eq!((vendors.len(), roms.len(), nics.len()), (4, 5, 3));
        assert_eq!(buses.into_iter().collect::<Vec<_>>(), ["nvme", "sas", "sata", "usb"]);
        assert!(spec.hosts.iter().any(|host| host.powered) && spec.hosts.iter().any(|host| !host.powered));
        let ports = &spec.switches[0].ports;
        assert!(ports.iter().any(|port| port.edge) && ports.iter().any(|port| !port.edge));
        assert_eq!((ports[0].name.as_str(), ports[48].name.as_str()), ("Gi1/0/1", "Gi2/0/1"));
        let serials: BTreeSet<&str> = spec.hosts.iter().map(|host| host.serial.as_str()).collect();
        assert_eq!(serials.len(), 40, "each its own");
    }

    #[test]
    fn racks_are_decided_by_their_seed() {
        let text = |seed| format!("{:?}", WorldSpec::mixed_rack(seed, 9));
        assert_eq!(text(3), text(3));
        assert_ne!(text(3), text(4));
    }

    #[test]
    fn each_machine_of_an_mlag_rack_is_on_both_switches() {
        let spec = WorldSpec::mlag_rack(1, 5);
        let ends: Vec<_> = spec.hosts[4].nics.iter().filter_map(|nic| nic.port.as_deref()).collect();
        assert_eq!(ends, ["leaf-a/Eth1/5", "leaf-b/Eth1/5"]);
        assert_eq!(spec.switches.iter().map(|switch| switch.ports.len()).collect::<Vec<_>>(), [6, 6]);
        assert_eq!(spec.hosts.iter().filter(|host| host.quorum.is_some()).count(), 3);
    }
}
