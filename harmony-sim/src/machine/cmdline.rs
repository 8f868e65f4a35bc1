//! The kernel's command line, as the live environment's `init` reads it.
//!
//! Source: Linux `Documentation/admin-guide/kernel-parameters.rst`; dracut.cmdline(7) for `bond=`, `ip=`, `BOOTIF=`.

use harmony_core::net::MacAddress;

use super::{Bond, Machine};

/// What Linux keeps of a command line on x86, in bytes. Source: Linux `arch/x86/include/asm/setup.h`.
const MAX_BYTES: usize = 2047;

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

    /// The bond that `bond=` makes of a machine's NICs, with the MAC that `ip=` pins.
    pub(super) fn bond(self, machine: &Machine) -> Option<Result<Bond, String>> {
        let value = self.get("bond")?;
        Some(self.read_bond(value, machine).ok_or_else(|| format!("bond={value} makes no LACP bond here")))
    }

    fn read_bond(self, value: &str, machine: &Machine) -> Option<Bond> {
        let mut parts = value.split(':');
        let (name, ports, options) = (parts.next()?, parts.next()?, parts.next()?);
        if !options.split(',').any(|option| matches!(option, "mode=802.3ad" | "mode=4")) {
            return None;
        }
        let members = ports.split(',').map(|port| machine.nics.iter().position(|nic| nic.name == port));
        let members: Vec<usize> = members.collect::<Option<_>>()?;
        let pinned = self.get("ip").and_then(|ip| ip.strip_prefix(name)?.strip_prefix(":dhcp::")?.parse().ok());
        let mac = pinned.or_else(|| Some(machine.nics[*members.first()?].mac))?;
        Some(Bond { name: name.to_owned(), mac, members })
    }
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
        let bond = |line: &str| Args::of(line).bond(&machine());
        let made = bond(line).expect("named").expect("made");
        assert_eq!((made.mac, made.members), (machine().nics[1].mac, vec![0, 1]));
        for other in [line.replace("eth0,eth1", "eno1,eno2"), line.replace("802.3ad", "active-backup")] {
            assert!(bond(&other).is_some_and(|made| made.is_err()), "{other}");
        }
        assert_eq!(bond("ip=dhcp"), None);
    }
}
