//! What each vendor's BMC does otherwise than the standard says: chosen once, from the service root, or
//! from the system's manufacturer where the root tells nothing.
//!
//! Each predicate says what the device does. What can be read off the resources themselves (settings
//! objects, missing properties, allowable values) is no quirk and is not here.

use super::resource::{EthernetInterface, Messages, ServiceRoot};

/// Who made the BMC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vendor {
    /// Dell iDRAC.
    Dell,
    /// HPE iLO.
    Hpe,
    /// Supermicro.
    Supermicro,
    /// Lenovo XCC.
    Lenovo,
    /// AMI MegaRAC and those who build on it (ASRockRack).
    Ami,
    /// Anybody else: what the standard says.
    Other,
}

/// The quirks of one BMC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quirks {
    vendor: Vendor,
}

impl Quirks {
    /// By `Vendor`, `Product` or the keys of `Oem`; else by the system's `Manufacturer`: Redfish before
    /// 1.5 (Supermicro X10) names nobody in the root. Source: DSP8010 `ServiceRoot.v1_5_0`.
    pub(super) fn of(root: &ServiceRoot, manufacturer: Option<&str>) -> Self {
        let oem = root.oem.iter().flat_map(|oem| oem.keys()).map(String::as_str);
        let words = [root.vendor.as_deref(), root.product.as_deref()].into_iter().flatten().chain(oem);
        let vendor = words.chain(manufacturer).find_map(named).unwrap_or(Vendor::Other);
        Self { vendor }
    }

    /// Supermicro drops an override whose `BootSourceOverrideEnabled` is not sent along, even if
    /// unchanged. Source: openstack/ironic `drivers/modules/redfish/management.py`, story 2008547.
    pub(super) fn always_sends_enabled(self) -> bool {
        matches!(self.vendor, Vendor::Supermicro) || self.needs_whole_override()
    }

    /// AMI and ASRockRack take target, enabled and mode only all together in one PATCH.
    /// Source: openstack/sushy `resources/system/system.py`.
    pub(super) fn needs_whole_override(self) -> bool {
        self.vendor == Vendor::Ami
    }

    /// iDRAC changes the boot mode by a BIOS job that wants a restart of its own, so that the override
    /// would not hold for the next boot. Source: openstack/sushy-oem-idrac, `SYS011`; Dell iDRAC9
    /// Redfish guide, "BootSourceOverrideMode is read-only".
    pub(super) fn boot_mode_is_a_bios_setting(self) -> bool {
        self.vendor == Vendor::Dell
    }

    /// iDRAC answers settings with a job that ends only after the next restart: waiting for it would be
    /// for ever. Source: Dell iDRAC9 Redfish guide, job state `Scheduled`, task state `Pending`.
    pub(super) fn jobs_wait_for_a_restart(self) -> bool {
        self.vendor == Vendor::Dell
    }

    /// Whether a refusal means "not now". Besides the standard's own keys:
    /// iDRAC says SYS518 while it is not ready, LC068 and RAC0679 while a job runs, and iDRAC10
    /// `ActionParameterValueConflict` to `On` just after the power went off;
    /// iLO cannot change boot settings during POST, nor reset in the first seconds of one.
    /// Source: openstack/ironic `drivers/modules/redfish/{management,power}.py`; HPE iLO message
    /// registry `iLO.2.26`; DSP2065 `Base` registry.
    pub(super) fn is_busy(self, messages: &Messages) -> bool {
        let standard =
            ["ServiceTemporarilyUnavailable", "ResourceInUse", "ServiceInUnknownState", "SessionLimitExceeded"];
        let own: &[&str] = match self.vendor {
            Vendor::Dell => &["SYS518", "LC068", "RAC0679", "ActionParameterValueConflict"],
            Vendor::Hpe => &["UnableToModifyDuringSystemPOST", "InvalidOperationForSystemState"],
            Vendor::Supermicro | Vendor::Lenovo | Vendor::Ami | Vendor::Other => &[],
        };
        messages.has(&standard) || messages.has(own)
    }

    /// The NIC between host and BMC, which is in the list of some: XCC's `ToManager`, iDRAC's USB NIC.
    /// It is no NIC of the provisioning network. Source: recorded systems of both.
    pub(super) fn is_host_to_bmc(self, nic: &EthernetInterface) -> bool {
        let id = nic.id.as_deref().unwrap_or_default();
        match self.vendor {
            Vendor::Lenovo => id == "ToManager",
            Vendor::Dell => id.contains("iDRAC") || id.contains("USB"),
            Vendor::Hpe | Vendor::Supermicro | Vendor::Ami | Vendor::Other => false,
        }
    }
}

/// The vendor that a word names.
fn named(word: &str) -> Option<Vendor> {
    let word = word.to_ascii_lowercase();
    let has = |part: &str| word.contains(part);
    if has("dell") || has("idrac") {
        Some(Vendor::Dell)
    } else if matches!(word.as_str(), "hp" | "hpe") || has("hewlett") || has("ilo ") || has("proliant") {
        Some(Vendor::Hpe)
    } else if has("supermicro") {
        Some(Vendor::Supermicro)
    } else if has("lenovo") {
        Some(Vendor::Lenovo)
    } else if matches!(word.as_str(), "ami" | "american megatrends") || has("asrock") {
        Some(Vendor::Ami)
    } else {
        None
    }
}

#[cfg(test)]
impl Quirks {
    pub(super) fn named(vendor: Vendor) -> Self {
        Self { vendor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn vendor(root: Value, manufacturer: Option<&str>) -> Vendor {
        let root: ServiceRoot = serde_json::from_value(root).expect("a root");
        Quirks::of(&root, manufacturer).vendor
    }

    #[test]
    fn the_root_decides_and_the_manufacturer_where_it_is_silent() {
        for (root, manufacturer, found) in [
            (json!({"Vendor": "Dell", "Product": "Integrated Dell Remote Access Controller"}), None, Vendor::Dell),
            (json!({"Oem": {"Hp": {}}, "Product": "ProLiant DL360 Gen9"}), None, Vendor::Hpe),
            (json!({"Vendor": "HPE"}), Some("Dell Inc."), Vendor::Hpe),
            (json!({"Oem": {}}), Some("Supermicro"), Vendor::Supermicro),
            (json!({"Vendor": "Lenovo"}), None, Vendor::Lenovo),
            (json!({"Vendor": "AMI"}), None, Vendor::Ami),
            (json!({"Vendor": "ASRockRack", "Oem": {"Ami": {}}}), None, Vendor::Ami),
            (json!({"Vendor": "Contoso", "Product": "Pilot 3"}), Some("Contoso"), Vendor::Other),
        ] {
            assert_eq!(vendor(root.clone(), manufacturer), found, "{root}");
        }
    }

    #[test]
    fn busy_in_each_vendors_words() {
        let said = |id: &str| Messages::of(&json!({"error": {"@Message.ExtendedInfo": [{"MessageId": id}]}}));
        for (vendor, id, busy) in [
            (Vendor::Dell, "IDRAC.2.8.SYS518", true),
            (Vendor::Hpe, "IDRAC.2.8.SYS518", false),
            (Vendor::Hpe, "iLO.2.26.UnableToModifyDuringSystemPOST", true),
            (Vendor::Other, "Base.1.8.ServiceTemporarilyUnavailable", true),
            (Vendor::Other, "Base.1.8.PropertyNotWritable", false),
        ] {
            assert_eq!(Quirks::named(vendor).is_busy(&said(id)), busy, "{vendor:?} {id}");
        }
    }
}
