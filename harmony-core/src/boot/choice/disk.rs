//! The one disk that a host is installed on.

use serde::{Deserialize, Serialize};

use super::Undecided;
use crate::host::{Disk, Host, Role};

/// Smallest disk that an operating system is put on, in bytes.
const SMALLEST_DISK: u64 = 1 << 30;
/// A gigabyte as makers of disks count, and OpenShift's `minSizeGigabytes` with them.
const GIGABYTE: u64 = 1_000_000_000;

/// Which disk is meant, in the terms of OpenShift's root device hints; a disk must answer to all that are given.
///
/// `hctl`, `vendor`, `wwnWithExtension` and `wwnVendorExtension` are not among them: reports of hosts do not tell them.
/// Source: OpenShift, "Root device hints".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskHints {
    /// A path, `/dev/disk/by-id/…`, `/dev/disk/by-path/…` or `/dev/sda`.
    #[serde(alias = "deviceName", skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// Its serial number, whole.
    #[serde(alias = "serialNumber", skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// Its world wide name, whole; upper and lower case are one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    /// A part of its model's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its size at least, in 10^9 bytes.
    #[serde(alias = "minSizeGigabytes", skip_serializing_if = "Option::is_none")]
    pub min_size_gigabytes: Option<u64>,
    /// Whether it spins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotational: Option<bool>,
}

impl DiskHints {
    /// Whether nothing is hinted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Why a disk does not answer to the hints; nothing if it does.
    #[must_use]
    pub fn refuses(&self, disk: &Disk) -> Option<String> {
        if let Some(path) = &self.device_name
            && !paths(disk).any(|known| known == *path)
        {
            return Some(format!("it is not {path}"));
        }
        if let Some(serial) = &self.serial_number
            && disk.serial.as_ref() != Some(serial)
        {
            return Some(format!("its serial is not {serial}"));
        }
        if let Some(wwn) = &self.wwn
            && disk.wwn.as_deref().map(plain_wwn) != Some(plain_wwn(wwn))
        {
            return Some(format!("its world wide name is not {wwn}"));
        }
        if let Some(model) = &self.model
            && !disk.model.as_ref().is_some_and(|known| known.contains(model.as_str()))
        {
            return Some(format!("its model does not contain `{model}`"));
        }
        if let Some(gigabytes) = self.min_size_gigabytes
            && disk.size_bytes < gigabytes.saturating_mul(GIGABYTE)
        {
            return Some(format!("it has {} GB, fewer than {gigabytes}", disk.size_bytes / GIGABYTE));
        }
        match (self.rotational, disk.rotational) {
            (Some(wanted), Some(is)) if wanted != is => {
                Some(if is { "it spins".to_owned() } else { "it does not spin".to_owned() })
            }
            (Some(_), None) => Some("its report does not say whether it spins".to_owned()),
            _ => None,
        }
    }
}

/// Every path that the disk is known by.
fn paths(disk: &Disk) -> impl Iterator<Item = String> {
    let kernel = std::iter::once(format!("/dev/{}", disk.name));
    kernel.chain(disk.by_id.clone()).chain(disk.by_path.clone())
}

/// udev writes `0x` before, the kernel `naa.`, people neither.
fn plain_wwn(wwn: &str) -> String {
    let wwn = wwn.trim().to_ascii_lowercase();
    ["0x", "naa."].iter().find_map(|prefix| wwn.strip_prefix(prefix)).map_or(wwn.clone(), str::to_owned)
}

/// Why nothing may be installed on a disk, whatever is hinted; nothing if it may.
#[must_use]
pub fn unfit(disk: &Disk) -> Option<&'static str> {
    if disk.serial.is_none() {
        return Some("it has no serial number, by which an order could name it");
    }
    (disk.size_bytes < SMALLEST_DISK).then_some("it has less than 1 GiB")
}

/// Each disk of a host, with why it is not the one; nothing for those that could be.
#[must_use]
pub fn disks_with_reasons<'a>(host: &'a Host, hints: &DiskHints) -> Vec<(&'a Disk, Option<String>)> {
    let reason = |disk: &Disk| unfit(disk).map(str::to_owned).or_else(|| hints.refuses(disk));
    host.disks.iter().map(|disk| (disk, reason(disk))).collect()
}

/// The disk to install on: the one that a person named, else the smallest that answers to the hints, else the only eligible
/// one. One with known contents is refused unless a person agreed, by its serial, to lose them (`erase`, or what the host's
/// assignment says). `role` is what the host becomes, for the hint, where it has no role yet.
///
/// # Errors
/// What a person must do.
pub fn target_disk<'a>(
    host: &'a Host,
    hints: &DiskHints,
    erase: Option<&str>,
    role: Option<&Role>,
) -> Result<&'a Disk, Undecided> {
    let label = host.label();
    let assignment = host.assignment.as_ref();
    let role = assignment.map(|a| &a.role).or(role).map_or("ROLE", Role::as_str);
    let assign = format!("harmony host assign {} {role}", host.name);
    let eligible: Vec<&Disk> = host.disks.iter().filter(|disk| unfit(disk).is_none()).collect();
    let chosen = match assignment.and_then(|a| a.disk.as_deref()) {
        Some(serial) => {
            eligible.iter().find(|disk| disk.serial.as_deref() == Some(serial)).copied().ok_or_else(|| Undecided {
                waits_for: format!("a disk with serial {serial} of at least 1 GiB in {label}"),
                hint: format!("choose another: {assign} --disk SERIAL (it has {})", list(&eligible)),
            })?
        }
        None => by_hints(host, hints, &eligible, &assign)?,
    };
    let serial = chosen.serial.as_deref().unwrap_or_default();
    let agreed = assignment.and_then(|a| a.erase.as_deref()).or(erase) == Some(serial);
    if !chosen.signatures.is_empty() && !agreed {
        return Err(Undecided {
            waits_for: format!(
                "consent to erase disk {serial} of {label}, which holds {}",
                chosen.signatures.join(", ")
            ),
            hint: format!("if that may be lost: {assign} --disk {serial} --erase {serial}"),
        });
    }
    Ok(chosen)
}

fn by_hints<'a>(host: &'a Host, hints: &DiskHints, eligible: &[&'a Disk], assign: &str) -> Result<&'a Disk, Undecided> {
    let label = host.label();
    let fits: Vec<&Disk> = eligible.iter().filter(|disk| hints.refuses(disk).is_none()).copied().collect();
    match fits.as_slice() {
        [only] => Ok(only),
        // What a person hinted at is meant for any of these: the smallest leaves the others to data.
        [_, ..] if !hints.is_empty() => fits
            .iter()
            .min_by(|a, b| (a.size_bytes, &a.serial).cmp(&(b.size_bytes, &b.serial)))
            .copied()
            .ok_or_else(|| Undecided { waits_for: format!("a disk in {label}"), hint: assign.to_owned() }),
        [_, ..] => Err(Undecided {
            waits_for: format!("a choice among the disks of {label}"),
            hint: format!("{assign} --disk SERIAL (it has {})", list(eligible)),
        }),
        [] => {
            let why = if host.disks.is_empty() {
                "it has no disks".to_owned()
            } else if eligible.is_empty() {
                "none has a serial number and at least 1 GiB".to_owned()
            } else {
                let reasons = disks_with_reasons(host, hints).into_iter();
                let reasons = reasons.filter_map(|(disk, reason)| Some(format!("{}: {}", disk.name, reason?)));
                format!("none answers to the hints ({})", reasons.collect::<Vec<_>>().join("; "))
            };
            Err(Undecided {
                waits_for: format!("a disk in {label}: {why}"),
                hint: "add a disk and let the host report again, or give the role to another host".to_owned(),
            })
        }
    }
}

fn list(disks: &[&Disk]) -> String {
    let one =
        |disk: &&Disk| format!("{} ({} GB)", disk.serial.as_deref().unwrap_or("no serial"), disk.size_bytes / GIGABYTE);
    if disks.is_empty() { "none".to_owned() } else { disks.iter().map(one).collect::<Vec<_>>().join(", ") }
}

/// What a plan says of a disk that is erased.
#[must_use]
pub fn describe_disk(disk: &Disk) -> String {
    let model = disk.model.as_deref().unwrap_or("unknown model");
    let contents = if disk.signatures.is_empty() {
        "no known contents".to_owned()
    } else {
        format!("holds {}", disk.signatures.join(", "))
    };
    format!("{} ({model}, {} GB), {contents}", disk.name, disk.size_bytes / GIGABYTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> Disk {
        Disk {
            name: "sda".into(),
            by_id: Some("/dev/disk/by-id/ata-S1".into()),
            by_path: Some("/dev/disk/by-path/pci-0000:00:1f.2-ata-1".into()),
            model: Some("INTEL SSDSC2KB480G8".into()),
            serial: Some("S1".into()),
            wwn: Some("0x55cd2e404b66d3a8".into()),
            size_bytes: 480_103_981_056,
            rotational: Some(false),
            signatures: Vec::new(),
        }
    }

    #[test]
    fn each_hint_is_answered_by_its_fact() {
        let text = |text: &str| Some(text.to_owned());
        let none = DiskHints::default();
        for (hints, fits) in [
            (DiskHints { device_name: text("/dev/sda"), ..none.clone() }, true),
            (DiskHints { device_name: text("/dev/disk/by-id/ata-S1"), ..none.clone() }, true),
            (DiskHints { device_name: text("/dev/disk/by-path/pci-0000:00:1f.2-ata-1"), ..none.clone() }, true),
            (DiskHints { device_name: text("sda"), ..none.clone() }, false),
            (DiskHints { serial_number: text("S1"), ..none.clone() }, true),
            (DiskHints { serial_number: text("S"), ..none.clone() }, false),
            (DiskHints { wwn: text("55CD2E404B66D3A8"), ..none.clone() }, true),
            (DiskHints { wwn: text("naa.55cd2e404b66d3a8"), ..none.clone() }, true),
            (DiskHints { wwn: text("0x55cd2e404b66d3a9"), ..none.clone() }, false),
            (DiskHints { model: text("SSDSC2"), ..none.clone() }, true),
            (DiskHints { model: text("SAMSUNG"), ..none.clone() }, false),
            (DiskHints { min_size_gigabytes: Some(480), ..none.clone() }, true),
            (DiskHints { min_size_gigabytes: Some(481), ..none.clone() }, false),
            (DiskHints { min_size_gigabytes: Some(u64::MAX), ..none.clone() }, false),
            (DiskHints { rotational: Some(false), ..none.clone() }, true),
            (DiskHints { rotational: Some(true), ..none.clone() }, false),
            (DiskHints { rotational: Some(false), serial_number: text("S2"), ..none.clone() }, false),
        ] {
            assert_eq!(hints.refuses(&disk()).is_none(), fits, "{hints:?}");
        }
        let unknown = Disk { rotational: None, wwn: None, ..disk() };
        assert!(DiskHints { rotational: Some(false), ..none.clone() }.refuses(&unknown).is_some());
        assert!(DiskHints { wwn: text("0x"), ..none }.refuses(&unknown).is_some(), "no name is not any name");
    }

    #[test]
    fn hints_are_written_as_openshift_writes_them_too() {
        let ours = r#"{"device_name":"/dev/sda","serial_number":"S1","min_size_gigabytes":100}"#;
        let theirs = r#"{"deviceName":"/dev/sda","serialNumber":"S1","minSizeGigabytes":100}"#;
        let read = |text: &str| serde_json::from_str::<DiskHints>(text).expect("hints");
        assert_eq!(read(ours), read(theirs));
        assert!(serde_json::from_str::<DiskHints>(r#"{"hctl":"1:0:0:0"}"#).is_err());
    }

    #[test]
    fn of_several_that_answer_to_the_hints_the_smallest_is_taken_and_never_what_it_holds() {
        let mut host = crate::cluster::testing::host(1);
        let large = Disk { serial: Some("A".into()), size_bytes: 2_000_000_000_000, ..disk() };
        let small = Disk { serial: Some("B".into()), signatures: vec!["xfs".into()], ..disk() };
        host.disks = vec![large, small];
        assert!(target_disk(&host, &DiskHints::default(), None, None).expect_err("two").waits_for.contains("a choice"));
        let hints = DiskHints { rotational: Some(false), ..DiskHints::default() };
        let undecided = target_disk(&host, &hints, None, None).expect_err("contents");
        assert!(undecided.waits_for.contains("consent to erase disk B"), "{undecided:?}");
        assert!(target_disk(&host, &hints, Some("A"), None).is_err(), "consent to another");
        assert_eq!(target_disk(&host, &hints, Some("B"), None).expect("consent").serial.as_deref(), Some("B"));
        let none = DiskHints { rotational: Some(true), ..DiskHints::default() };
        let undecided = target_disk(&host, &none, Some("B"), None).expect_err("none spins");
        assert!(undecided.waits_for.contains("sda: it does not spin"), "{undecided:?}");
    }
}
