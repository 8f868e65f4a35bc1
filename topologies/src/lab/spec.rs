//! What a virtual rack is asked to consist of.
//!
//! Owns the names and limits. Everything about a machine that others may rely on is derived here:
//! its port names, its addresses, its serials.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use harmony_core::net::MacAddress;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ReleasePrograms;

/// Most machines of one rack: BMC ports, addresses and this machine's memory set it.
pub const MAX_MACHINES: usize = 32;

/// Longest name of a machine, in bytes: with `-p0` it is a Linux interface name, which has 15.
/// Source: Linux `include/uapi/linux/if.h`, `IFNAMSIZ`.
const MAX_NAME_BYTES: usize = 12;

/// A request for a virtual rack.
#[derive(Debug, Clone)]
pub struct LabSpec {
    /// Its name; a new one if `None`.
    pub name: Option<LabName>,
    /// Its machines.
    pub machines: Vec<MachineSpec>,
    /// The inventory agent's binary for the live environment: static, for x86-64 Linux.
    pub agent: PathBuf,
    /// What stands in for a release, if a cluster is to be made in the rack.
    pub release: Option<ReleasePrograms>,
    /// Folder in which the rack's own folder is made; short, because sockets lie in there.
    pub parent: PathBuf,
    /// Folder of the images that were built before.
    pub cache: PathBuf,
}

impl LabSpec {
    /// The usual rack: three machines, one of each firmware, in the folder for temporary files.
    #[must_use]
    pub fn new(agent: impl Into<PathBuf>) -> Self {
        Self {
            name: None,
            machines: MachineSpec::usual(3),
            agent: agent.into(),
            release: None,
            parent: super::default_parent(),
            cache: super::default_cache(),
        }
    }

    /// Checks what types do not.
    pub(super) fn check(&self) -> Result<(), SpecError> {
        if self.machines.is_empty() || self.machines.len() > MAX_MACHINES {
            return Err(SpecError::Machines(self.machines.len()));
        }
        for (index, machine) in self.machines.iter().enumerate() {
            if self.machines[..index].iter().any(|other| other.name == machine.name) {
                return Err(SpecError::Twice(machine.name.clone()));
            }
            let limits = [
                ("cpus", u64::from(machine.cpus), 1, 16),
                ("memory_mib", u64::from(machine.memory_mib), 384, 65_536),
                ("disk_gib", u64::from(machine.disk_gib), 1, 1024),
            ];
            for (key, value, least, most) in limits {
                if !(least..=most).contains(&value) {
                    return Err(SpecError::Limit { machine: machine.name.clone(), key, value, least, most });
                }
            }
        }
        Ok(())
    }
}

/// Why a request makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No machines, or too many.
    #[error("a rack has 1 to {MAX_MACHINES} machines, not {0}")]
    Machines(usize),
    /// Two of one name.
    #[error("two machines are called `{0}`")]
    Twice(MachineName),
    /// Too small or too large.
    #[error("`{key}` of `{machine}` is {value}; {least} to {most} are allowed")]
    Limit {
        /// Whose.
        machine: MachineName,
        /// What.
        key: &'static str,
        /// As asked for.
        value: u64,
        /// Smallest value.
        least: u64,
        /// Largest value.
        most: u64,
    },
    /// Too few machines for a cluster.
    #[error("a cluster takes 4 machines at least, a bootstrap and 3 masters, not {0}")]
    Cluster(usize),
    /// No name of a machine.
    #[error("`{0}` is no name for a machine: 1 to {MAX_NAME_BYTES} of a-z, 0-9 and `-`, a letter first")]
    MachineName(String),
    /// No name of a rack.
    #[error("`{0}` is no name for a rack: 1 to 8 of a-z and 0-9")]
    LabName(String),
}

/// A machine of the rack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSpec {
    /// Its name; nothing inside the machine knows it.
    pub name: MachineName,
    /// What it boots with.
    pub firmware: MachineFirmware,
    /// Virtual processors.
    pub cpus: u8,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Disk in GiB; only what is written takes room.
    pub disk_gib: u32,
}

impl MachineSpec {
    /// Machines `node-a`, `node-b`…, each with the next firmware in turn.
    #[must_use]
    pub fn usual(count: usize) -> Vec<Self> {
        let firmwares = [MachineFirmware::BiosIpxe, MachineFirmware::UefiIpxe, MachineFirmware::UefiPxe];
        let names = (0..count.min(MAX_MACHINES)).map(|index| match u8::try_from(index) {
            Ok(index @ 0..26) => format!("node-{}", char::from(b'a' + index)),
            _ => format!("node-{}", index + 1),
        });
        names
            .zip(firmwares.into_iter().cycle())
            .map(|(name, firmware)| Self { name: MachineName(name), firmware, cpus: 2, memory_mib: 512, disk_gib: 4 })
            .collect()
    }
}

/// What a machine boots with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MachineFirmware {
    /// SeaBIOS; iPXE in the network cards' ROMs.
    BiosIpxe,
    /// OVMF; iPXE in the network cards' ROMs.
    UefiIpxe,
    /// OVMF with its own PXE, which knows nothing of LACP.
    UefiPxe,
}

impl MachineFirmware {
    /// Whether it is UEFI.
    #[must_use]
    pub fn is_uefi(self) -> bool {
        self != Self::BiosIpxe
    }
}

impl fmt::Display for MachineFirmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::BiosIpxe => "SeaBIOS, iPXE ROM",
            Self::UefiIpxe => "OVMF, iPXE ROM",
            Self::UefiPxe => "OVMF, own PXE",
        })
    }
}

/// The name of a machine: a letter, then letters, digits and `-`; at most 12 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MachineName(String);

impl MachineName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Names of its two switch ports.
    #[must_use]
    pub fn ports(&self) -> [String; 2] {
        [0, 1].map(|nic| format!("{self}-p{nic}"))
    }
}

/// The name of a rack: 1 to 8 letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabName(String);

impl LabName {
    /// A new one, which nobody else has.
    pub(super) fn random() -> Self {
        Self(Uuid::new_v4().simple().to_string()[..6].to_owned())
    }
}

macro_rules! text {
    ($type:ident, $error:ident, $most:expr, $valid:expr) => {
        impl FromStr for $type {
            type Err = SpecError;

            fn from_str(text: &str) -> Result<Self, SpecError> {
                let valid: fn(&str) -> bool = $valid;
                if (1..=$most).contains(&text.len()) && valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(SpecError::$error(text.to_owned()))
                }
            }
        }
        impl TryFrom<String> for $type {
            type Error = SpecError;

            fn try_from(text: String) -> Result<Self, SpecError> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text!(MachineName, MachineName, MAX_NAME_BYTES, |text| {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
});
text!(LabName, LabName, 8, |text| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));

/// A machine with the identity that it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// What was asked for.
    #[serde(flatten)]
    pub spec: MachineSpec,
    /// SMBIOS UUID; its BMC has the same.
    pub uuid: Uuid,
    /// SMBIOS serial.
    pub serial: String,
    /// Serial of its disk.
    pub disk_serial: String,
    /// Addresses of its network cards.
    pub macs: [MacAddress; 2],
    /// UDP port of its BMC, at the rack's own address.
    pub bmc_port: u16,
}

impl Machine {
    /// Gives identities to machines. `seed` is the rack's own: a random UUID.
    pub(super) fn identify(specs: &[MachineSpec], lab: &LabName, seed: Uuid) -> Vec<Self> {
        let [a, b, ..] = seed.into_bytes();
        (0u8..)
            .zip(specs)
            .map(|(index, spec)| {
                let upper = spec.name.as_str().to_ascii_uppercase();
                let mut uuid = seed.into_bytes();
                uuid[15] = uuid[15].wrapping_add(index);
                Self {
                    uuid: Uuid::from_bytes(uuid),
                    serial: format!("{}-{upper}", lab.0.to_ascii_uppercase()),
                    disk_serial: format!("DISK-{upper}"),
                    // QEMU's own prefix, then the rack, then the card.
                    macs: [0, 1].map(|nic| MacAddress::new([0x52, 0x54, 0x00, a, b, index * 2 + nic])),
                    bmc_port: 6230 + u16::from(index),
                    spec: spec.clone(),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_interface_and_file_names() {
        for name in ["node-a", "a", "rack12-node3"] {
            let name: MachineName = name.parse().expect(name);
            assert!(name.ports().iter().all(|port| port.len() <= 15), "{name}");
        }
        for name in ["", "Node", "1a", "-a", "a b", "a/b", "../x", "thirteen-char", "ä"] {
            assert_eq!(name.parse::<MachineName>(), Err(SpecError::MachineName(name.to_owned())));
        }
        for name in ["", "lab/x", "..", "A", "ninechars"] {
            assert_eq!(name.parse::<LabName>(), Err(SpecError::LabName(name.to_owned())));
        }
        assert!(LabName::random().to_string().parse::<LabName>().is_ok());
    }

    #[test]
    fn machines_differ_in_everything_that_identifies() {
        let specs = MachineSpec::usual(MAX_MACHINES);
        let machines = Machine::identify(&specs, &LabName("ab12cd".into()), Uuid::from_bytes([0xab; 16]));
        assert_eq!(machines.len(), MAX_MACHINES);
        for (index, a) in machines.iter().enumerate() {
            assert!(a.disk_serial.len() <= 20, "virtio-blk cuts longer serials: {}", a.disk_serial);
            for b in &machines[index + 1..] {
                assert!(a.uuid != b.uuid && a.serial != b.serial && a.bmc_port != b.bmc_port);
                assert!(a.macs.iter().all(|mac| !b.macs.contains(mac)));
            }
        }
        let first = &machines[0];
        assert_eq!((first.serial.as_str(), first.disk_serial.as_str()), ("AB12CD-NODE-A", "DISK-NODE-A"));
        assert_eq!(first.macs[1].to_string(), "52:54:00:ab:ab:01");
    }

    #[test]
    fn impossible_racks_are_refused() {
        let mut spec = LabSpec::new("/agent");
        assert_eq!(spec.check(), Ok(()));
        spec.machines[1].name = spec.machines[0].name.clone();
        assert_eq!(spec.check().expect_err("twice").to_string(), "two machines are called `node-a`");
        spec.machines = Vec::new();
        assert_eq!(spec.check(), Err(SpecError::Machines(0)));
        spec.machines = MachineSpec::usual(1);
        spec.machines[0].memory_mib = 16;
        let error = spec.check().expect_err("too small").to_string();
        assert_eq!(error, "`memory_mib` of `node-a` is 16; 384 to 65536 are allowed");
    }
}
