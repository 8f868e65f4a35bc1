//! The kernel's command line, as the live environment's `init` and NetworkManager's initrd generator read it.
//!
//! Source: Linux `Documentation/admin-guide/kernel-parameters.rst`; dracut.cmdline(7) and nm-initrd-generator(8) for
//! `bond=`, `vlan=`, `ip=`, `nameserver=`, `BOOTIF=`; coreos-installer `scripts/coreos-installer-service` for what of it
//! the first boot of an installed system is given.

use std::net::IpAddr;

use harmony_core::net::MacAddress;

use super::link::{Link, OwnAddress};
use super::{Bond, Machine};

/// What Linux keeps of a command line on x86, in bytes. Source: Linux `arch/x86/include/asm/setup.h`.
const MAX_BYTES: usize = 2047;
/// What the installer hands on to the first boot of the system that it installs.
const FIRST_BOOT: &[&str] = &[
    "ipv6.disable",
    "net.ifnames",
    "net.naming-scheme",
    "ip",
    "ifname",
    "rd.route",
    "bootdev",
    "BOOTIF",
    "rd.bootif",
    "nameserver",
    "rd.peerdns",
    "biosdevname",
    "vlan",
    "bond",
    "team",
    "bridge",
    "rd.net.timeout.carrier",
    "coreos.no_persist_ip",
    "coreos.force_persist_ip",
];

/// A command line.
#[derive(Clone, Copy)]
pub(super) struct Args<'a>(&'a str);

impl<'a> Args<'a> {
    /// As much of it as a kernel keeps.
    pub(super) fn of(line: &'a str) -> Self {
        let end = (0..=line.len().min(MAX_BYTES)).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        Self(&line[..end])
    }

    /// The last value of an argument.
    pub(super) fn get(self, name: &str) -> Option<&'a str> {
        let value = |arg: &'a str| arg.strip_prefix(name)?.strip_prefix('=');
        self.0.split_ascii_whitespace().filter_map(value).next_back().filter(|value| !value.is_empty())
    }

    /// Whether an argument without value is there.
    pub(super) fn has(self, name: &str) -> bool {
        self.0.split_ascii_whitespace().any(|arg| arg == name)
    }

    /// The MAC of the NIC that booted: `BOOTIF=01-52-54-…`.
    pub(super) fn boot_mac(self) -> Option<Result<MacAddress, String>> {
        let value = self.get("BOOTIF")?;
        let mac = value.strip_prefix("01-").unwrap_or(value).replace('-', ":");
        Some(mac.parse().map_err(|_| format!("BOOTIF={value} is no MAC")))
    }

    /// All values of an argument, in order.
    fn all(self, name: &str) -> impl Iterator<Item = &'a str> {
        let value = move |arg: &'a str| arg.strip_prefix(name)?.strip_prefix('=');
        self.0.split_ascii_whitespace().filter_map(value).filter(|value| !value.is_empty())
    }

    /// What of it an installed system is started with the first time: how it is connected.
    pub(super) fn for_first_boot(self) -> String {
        let is_kept = |arg: &&str| FIRST_BOOT.contains(&arg.split_once('=').map_or(*arg, |(name, _)| name));
        self.0.split_ascii_whitespace().filter(is_kept).collect::<Vec<_>>().join(" ")
    }

    /// The link that `bond=`, `vlan=` and `ip=` make of a machine's NICs. None if they name none.
    pub(super) fn link(self, machine: &Machine) -> Option<Result<Link, String>> {
        let ips: Vec<Ip<'a>> = self.all("ip").filter_map(Ip::read).collect();
        let named = ips.iter().find(|ip| ip.interface.is_some());
        if self.get("bond").is_none() && named.is_none() {
            return None;
        }
        Some(self.read_link(named, machine))
    }

    fn read_link(self, ip: Option<&Ip<'a>>, machine: &Machine) -> Result<Link, String> {
        let vlan = self.get("vlan").map(|value| {
            let (name, below) =
                value.split_once(':').ok_or_else(|| format!("vlan={value} names no device below it"))?;
            let digits = name
                .rsplit_once('.')
                .map_or_else(|| name.trim_start_matches(|c: char| !c.is_ascii_digit()), |(_, id)| id);
            let id = digits.parse().map_err(|_| format!("vlan={value} has no VLAN id in its name"))?;
            Ok::<_, String>((name, below, id))
        });
        let vlan = vlan.transpose()?;
        let wanted = ip.and_then(|ip| ip.interface);
        // What `ip=` configures is the VLAN only if it names it.
        let vlan = vlan.filter(|(name, ..)| wanted.is_none_or(|wanted| wanted == *name));
        let below = vlan.map(|(_, below, _)| below).or(wanted);
        let pinned = ip.and_then(|ip| ip.mac);
        let bond = match self.get("bond") {
            Some(value) => {
                let made = self.read_bond(value, pinned, machine);
                let made = made.ok_or_else(|| format!("bond={value} makes no LACP bond here"))?;
                if below.is_some_and(|below| below != made.name) {
                    return Err(format!("ip= names {}, bond= makes {}", below.unwrap_or_default(), made.name));
                }
                Some(made)
            }
            None => None,
        };
        let nic = match (&bond, below) {
            (Some(bond), _) => bond.members.first().copied().unwrap_or(0),
            (None, Some(name)) => machine
                .nics
                .iter()
                .position(|nic| nic.name == name)
                .ok_or_else(|| format!("no NIC is called {name}"))?,
            (None, None) => 0,
        };
        let dns = || self.all("nameserver").filter_map(|text| bare(text).parse().ok());
        let own = ip.and_then(|ip| {
            let dns = ip.dns.iter().copied().chain(dns()).collect();
            Some(OwnAddress { address: ip.address?, dns, hostname: ip.hostname.map(str::to_owned) })
        });
        Ok(Link { bond, nic, others: false, vlan: vlan.map(|(.., id)| id), own })
    }

    fn read_bond(self, value: &str, pinned: Option<MacAddress>, machine: &Machine) -> Option<Bond> {
        let mut parts = value.split(':');
        let (name, ports, options) = (parts.next()?, parts.next()?, parts.next()?);
        if !options.split(',').any(|option| matches!(option, "mode=802.3ad" | "mode=4")) {
            return None;
        }
        let members = ports.split(',').map(|port| machine.nics.iter().position(|nic| nic.name == port));
        let members: Vec<usize> = members.collect::<Option<_>>()?;
        let mac = pinned.or_else(|| Some(machine.nics[*members.first()?].mac))?;
        Some(Bond { name: name.to_owned(), mac, members })
    }
}

/// One `ip=`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ip<'a> {
    interface: Option<&'a str>,
    address: Option<IpAddr>,
    hostname: Option<&'a str>,
    mac: Option<MacAddress>,
    dns: Vec<IpAddr>,
}

impl<'a> Ip<'a> {
    /// `<method>`, `<interface>:<method>[:[<mtu>][:<mac>]]`, or
    /// `<client>:[<peer>]:<gateway>:<mask>:<hostname>:<interface>:<method>[:…]`. Anything else is passed over.
    fn read(value: &'a str) -> Option<Self> {
        let fields = fields(value);
        let some = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        match fields.as_slice() {
            [_method] => Some(Self::default()),
            [interface, method, rest @ ..] if is_method(method) => {
                Some(Self { interface: some(interface), mac: mac_of(rest), ..Self::default() })
            }
            [client, _peer, _gateway, _mask, hostname, interface, method, rest @ ..] if is_method(method) => {
                let servers: Vec<IpAddr> = rest.iter().filter_map(|text| bare(text).parse().ok()).collect();
                let mac = if servers.is_empty() { mac_of(rest) } else { None };
                let (address, hostname) = (bare(client).parse().ok(), some(hostname));
                Some(Self { interface: some(interface), address, hostname, mac, dns: servers })
            }
            _ => None,
        }
    }
}

/// Fields between colons; what is in brackets is one.
fn fields(value: &str) -> Vec<&str> {
    let (mut fields, mut start, mut is_inside) = (Vec::new(), 0, false);
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            b'[' => is_inside = true,
            b']' => is_inside = false,
            b':' if !is_inside => {
                fields.push(&value[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    fields.push(&value[start..]);
    fields
}

/// The MAC after an MTU: `["", "52", "54", …]`.
fn mac_of(rest: &[&str]) -> Option<MacAddress> {
    let (_mtu, octets) = rest.split_first()?;
    octets.join(":").parse().ok()
}

fn bare(text: &str) -> &str {
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text)
}

fn is_method(text: &str) -> bool {
    matches!(
        text,
        "none" | "off" | "static" | "dhcp" | "on" | "any" | "dhcp4" | "dhcp6" | "auto" | "auto6" | "link6" | "either6"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::WorldSpec;

    fn machine() -> Machine {
        Machine::new(WorldSpec::rack(1, 1).hosts.remove(0)).expect("valid")
    }

    #[test]
    fn the_last_value_counts_and_what_is_too_long_is_cut() {
        let args = Args::of("a=1 quiet a=2 b= ab=3");
        assert_eq!((args.get("a"), args.get("b"), args.get("c")), (Some("2"), None, None));
        assert!(args.has("quiet") && !args.has("a"));
        let long = format!("{} a=1", "x".repeat(MAX_BYTES));
        assert_eq!(Args::of(&long).get("a"), None);
    }

    #[test]
    fn the_nic_that_booted_is_named_by_its_mac() {
        let mac = |line: &str| Args::of(line).boot_mac();
        assert_eq!(mac("BOOTIF=01-52-54-00-00-01-02"), Some(Ok(MacAddress::new([0x52, 0x54, 0, 0, 1, 2]))));
        assert_eq!(mac("BOOTIF=01-${netX/mac:hexhyp}").map(|mac| mac.is_err()), Some(true));
        assert_eq!(mac("quiet"), None);
    }

    #[test]
    fn a_bond_needs_lacp_and_nics_that_are_there() {
        let line = "bond=bond0:eth0,eth1:mode=802.3ad,miimon=100 ip=bond0:dhcp::52:54:00:00:01:02";
        let link = |line: &str| Args::of(line).link(&machine());
        let made = link(line).expect("named").expect("made").bond.expect("a bond");
        assert_eq!((made.mac, made.members), (machine().nics[1].mac, vec![0, 1]));
        for other in [
            line.replace("eth0,eth1", "eno1,eno2"),
            line.replace("802.3ad", "active-backup"),
            line.replace("ip=bond0", "ip=bond1"),
        ] {
            assert!(link(&other).is_some_and(|made| made.is_err()), "{other}");
        }
        assert_eq!(link("ip=dhcp"), None);
    }

    #[test]
    fn one_nic_a_vlan_and_an_own_address_are_read_as_harmony_writes_them() {
        let link = |line: &str| Args::of(line).link(&machine()).expect("named");
        let alone = link("ip=eth1:dhcp::52:54:00:00:01:02").expect("made");
        assert_eq!(alone, Link { others: false, ..Link::plain(1) });
        let line = "bond=bond0:eth0,eth1:mode=802.3ad vlan=bond0.100:bond0 ip=10.0.0.11::10.0.0.1:24:m-0:bond0.100:none::52:54:00:00:01:02 nameserver=10.0.0.2 nameserver=[fd00::2]";
        let made = link(line).expect("made");
        let own = made.own.expect("an own address");
        assert_eq!(
            (made.vlan, own.address.to_string(), own.hostname.as_deref()),
            (Some(100), "10.0.0.11".to_owned(), Some("m-0"))
        );
        assert_eq!(own.dns.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.2", "fd00::2"]);
        assert_eq!(made.bond.map(|bond| bond.mac), Some(machine().nics[1].mac));
        let v6 = link("ip=[fd00::11]::[fd00::1]:64:m-0:eth0:none:[fd00::53]").expect("made").own.expect("its own");
        assert_eq!((v6.address.to_string(), v6.dns.len()), ("fd00::11".to_owned(), 1));
        assert_eq!(link("ip=eno9:dhcp"), Err("no NIC is called eno9".to_owned()));
        assert_eq!(link("vlan=x:eth0 ip=eth0:dhcp"), Err("vlan=x:eth0 has no VLAN id in its name".to_owned()));
    }

    #[test]
    fn the_first_boot_is_told_how_it_is_connected_and_nothing_else() {
        let line = "initrd=main coreos.inst.install_dev=/dev/vda bond=bond0:a,b:mode=802.3ad ip=bond0:dhcp harmony.bootmac=x nameserver=10.0.0.2";
        assert_eq!(Args::of(line).for_first_boot(), "bond=bond0:a,b:mode=802.3ad ip=bond0:dhcp nameserver=10.0.0.2");
    }
}
