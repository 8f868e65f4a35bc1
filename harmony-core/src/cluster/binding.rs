//! Which host a role is bound to: by one thing that names it, or by a rule over its facts.

use serde::{Deserialize, Serialize};

use super::NodeKind;
use crate::host::{Host, HostId};
use crate::net::{MacAddress, PortRef};

/// How a role's host is found. In a file: exactly one of `{ id = "hc-…" }`, `{ serial = "…" }`, `{ mac = "…" }`,
/// `{ port = "SWITCH/PORT" }`, `{ rule = { … } }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostBinding {
    /// The host with this id.
    Id(HostId),
    /// The host with this SMBIOS serial number.
    Serial(String),
    /// The host with this MAC on one of its NICs.
    Mac(MacAddress),
    /// The host that is plugged into this switch port.
    Port(PortRef),
    /// The smallest free host that fits.
    Rule(HostRule),
}

impl Default for HostBinding {
    fn default() -> Self {
        Self::Rule(HostRule::default())
    }
}

impl HostBinding {
    /// Why a host is not the one that is named; nothing if it is. A rule names none.
    #[must_use]
    pub fn refuses(&self, host: &Host) -> Option<String> {
        let (is, what) = match self {
            Self::Id(id) => (host.id == *id, format!("its id is not {id}")),
            Self::Serial(serial) => {
                (host.identity.serial.as_ref() == Some(serial), format!("its serial number is not {serial}"))
            }
            Self::Mac(mac) => (host.macs().contains(mac), format!("none of its NICs has the MAC {mac}")),
            Self::Port(port) => {
                let there = host.nics.iter().any(|nic| nic.port.agreed().as_ref() == Some(port));
                (there, format!("none of its NICs is known to be plugged into {port}"))
            }
            Self::Rule(rule) => return rule.refuses(host),
        };
        (!is).then_some(what)
    }
}

/// What a host must be like. Whatever is absent is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostRule {
    /// Logical CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least_cpus: Option<u32>,
    /// Memory in 2^30 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least_memory_gib: Option<u64>,
    /// Whether one of its disks is NVMe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_nvme: Option<bool>,
    /// A part of its model's name, vendor included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_contains: Option<String>,
}

impl HostRule {
    /// Why a host is not like that; nothing if it is.
    #[must_use]
    pub fn refuses(&self, host: &Host) -> Option<String> {
        if let Some(reason) = self.at_least_cpus.and_then(|least| too_few_cpus(host, least)) {
            return Some(reason);
        }
        if let Some(reason) = self.at_least_memory_gib.and_then(|least| too_little_memory(host, least)) {
            return Some(reason);
        }
        let nvme = host.disks.iter().any(|disk| disk.name.starts_with("nvme"));
        match self.has_nvme {
            Some(true) if !nvme => return Some("it has no NVMe disk".to_owned()),
            Some(false) if nvme => return Some("it has an NVMe disk".to_owned()),
            _ => {}
        }
        let part = self.model_contains.as_ref()?;
        let contains = host.model.as_ref().is_some_and(|model| model.contains(part.as_str()));
        (!contains)
            .then(|| format!("its model ({}) does not contain `{part}`", host.model.as_deref().unwrap_or("unknown")))
    }
}

/// What a machine must have to do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minimums {
    /// Logical CPUs.
    pub cpus: u32,
    /// Memory in 2^30 bytes.
    pub memory_gib: u64,
    /// Disk in 10^9 bytes.
    pub disk_gb: u64,
}

impl Minimums {
    /// What OpenShift asks for. Source: OpenShift, "Minimum resource requirements for cluster installation".
    #[must_use]
    pub fn usual(kind: NodeKind) -> Self {
        match kind {
            NodeKind::Bootstrap | NodeKind::Master => Self { cpus: 4, memory_gib: 16, disk_gb: 100 },
            NodeKind::Worker => Self { cpus: 2, memory_gib: 8, disk_gb: 100 },
        }
    }

    /// What a host lacks of it; nothing if it has all.
    #[must_use]
    pub fn refuses(&self, host: &Host) -> Option<String> {
        let disk = host.disks.iter().map(|disk| disk.size_bytes).max().unwrap_or(0);
        too_few_cpus(host, self.cpus).or_else(|| too_little_memory(host, self.memory_gib)).or_else(|| {
            let gigabytes = disk / 1_000_000_000;
            (gigabytes < self.disk_gb)
                .then(|| format!("its largest disk has {gigabytes} GB, fewer than {}", self.disk_gb))
        })
    }
}

fn too_few_cpus(host: &Host, least: u32) -> Option<String> {
    match host.cpus {
        _ if least == 0 => None,
        Some(cpus) if cpus >= least => None,
        Some(cpus) => Some(format!("it has {cpus} CPUs, fewer than {least}")),
        None => Some(format!("its number of CPUs is unknown, {least} are needed")),
    }
}

/// Firmware and kernel keep some of the memory for themselves, which no report tells: a sixteenth is let pass.
fn too_little_memory(host: &Host, least_gib: u64) -> Option<String> {
    let least = least_gib.saturating_mul(1 << 30);
    match host.memory_bytes {
        _ if least == 0 => None,
        Some(bytes) if bytes >= least - least / 16 => None,
        Some(bytes) => {
            Some(format!("it has {:.1} GiB of memory, less than {least_gib}", bytes as f64 / f64::from(1 << 30)))
        }
        None => Some(format!("its memory is unknown, {least_gib} GiB are needed")),
    }
}
