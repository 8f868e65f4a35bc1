//! What each vendor's service looks like and does its own way on the wire; what their BMCs do is in
//! `crate::bmc`.
//!
//! Source: OpenStack `sushy` and `ironic` (`drivers/modules/redfish/`); recorded resources of an iDRAC and
//! of a Supermicro X10; HPE iLO message registry.

use serde_json::{Value, json};

use crate::spec::BmcPersonality;

impl BmcPersonality {
    /// `Id` of the system.
    pub(super) fn system_id(self) -> &'static str {
        match self {
            Self::Idrac => "System.Embedded.1",
            Self::Ilo | Self::Supermicro => "1",
            Self::Generic => "Self",
        }
    }

    /// `Manufacturer` and `Model` of the system.
    pub(super) fn maker(self) -> (&'static str, &'static str) {
        match self {
            Self::Idrac => ("Dell Inc.", "PowerEdge R650"),
            Self::Ilo => ("HPE", "ProLiant DL360 Gen10"),
            Self::Supermicro => ("Supermicro", "Super Server"),
            Self::Generic => ("Contoso", "SX1000"),
        }
    }

    /// What the service root says of its maker: a Supermicro X10, nothing.
    pub(super) fn root(self) -> Value {
        match self {
            Self::Idrac => json!({
                "RedfishVersion": "1.15.0", "Vendor": "Dell", "Product": "Integrated Dell Remote Access Controller",
                "Oem": {"Dell": {"@odata.type": "#DellServiceRoot.v1_0_0.DellServiceRoot"}},
            }),
            Self::Ilo => json!({
                "RedfishVersion": "1.6.0", "Vendor": "HPE", "Product": "ProLiant DL360 Gen10",
                "Oem": {"Hpe": {"@odata.type": "#HpeiLOServiceExt.v2_3_0.HpeiLOServiceExt"}},
            }),
            Self::Supermicro => json!({"RedfishVersion": "1.0.1", "Oem": {}}),
            Self::Generic => json!({"RedfishVersion": "1.15.0", "Vendor": "Contoso", "Product": "Pilot"}),
        }
    }

    /// How many sessions there are at a time.
    pub(super) fn max_sessions(self) -> usize {
        match self {
            Self::Idrac => 8,
            Self::Ilo => 24,
            Self::Supermicro => 16,
            Self::Generic => 4,
        }
    }

    /// Types of reset that are offered.
    pub(super) fn resets(self) -> &'static [&'static str] {
        match self {
            Self::Idrac => &[
                "On",
                "ForceOff",
                "ForceRestart",
                "GracefulRestart",
                "GracefulShutdown",
                "PushPowerButton",
                "Nmi",
                "PowerCycle",
            ],
            Self::Ilo => {
                &["On", "ForceOff", "GracefulShutdown", "ForceRestart", "Nmi", "PushPowerButton", "GracefulRestart"]
            }
            Self::Supermicro => {
                &["On", "ForceOff", "GracefulShutdown", "GracefulRestart", "ForceRestart", "Nmi", "ForceOn"]
            }
            // No `ForceRestart`.
            Self::Generic => &["On", "ForceOff", "PowerCycle", "PushPowerButton"],
        }
    }

    /// Boot targets that are offered.
    pub(super) fn targets(self) -> &'static [&'static str] {
        match self {
            Self::Idrac => {
                &["None", "Pxe", "Cd", "Floppy", "Hdd", "BiosSetup", "Utilities", "UefiTarget", "SDCard", "UefiHttp"]
            }
            Self::Ilo => &[
                "None",
                "Cd",
                "Hdd",
                "Usb",
                "SDCard",
                "Utilities",
                "Diags",
                "BiosSetup",
                "Pxe",
                "UefiShell",
                "UefiHttp",
                "UefiTarget",
            ],
            Self::Supermicro => {
                &["None", "Pxe", "Hdd", "Diags", "CD/DVD", "BiosSetup", "UsbKey", "UsbCd", "UefiHdd", "UefiUsbCd"]
            }
            Self::Generic => &["None", "Pxe", "Floppy", "Cd", "Usb", "Hdd", "BiosSetup", "UefiHttp"],
        }
    }

    /// Whether the override has a mode; before Redfish 1.1 it has none.
    pub(super) fn has_boot_mode(self) -> bool {
        self != Self::Supermicro
    }

    /// Which resets are allowed stands in a resource of its own.
    pub(super) fn tells_resets_elsewhere(self) -> bool {
        self == Self::Generic
    }

    /// Lists come in pages.
    pub(super) fn pages(self) -> bool {
        self == Self::Generic
    }

    /// Refuses `BootSourceOverrideEnabled` that is what it is already. Source: ironic story 2007355.
    pub(super) fn refuses_unchanged_enabled(self) -> bool {
        self == Self::Generic
    }

    /// Answers a reset with a task.
    pub(super) fn resets_by_task(self) -> bool {
        self == Self::Generic
    }

    /// Takes changes only of what was read just before, by its entity tag.
    pub(super) fn wants_etag(self) -> bool {
        self == Self::Generic
    }

    /// Sends locations as whole URLs.
    pub(super) fn sends_absolute_locations(self) -> bool {
        self == Self::Supermicro
    }

    /// Gen10 and later refuse `Accept-Encoding: identity`.
    pub(super) fn refuses_identity_encoding(self) -> bool {
        self == Self::Ilo
    }

    /// The root is at `/redfish/v1/` only.
    pub(super) fn redirects_root(self) -> bool {
        self == Self::Ilo
    }

    /// The boot mode is a BIOS setting: changing it makes a job for the next restart, and changes nothing now.
    pub(super) fn boot_mode_is_a_job(self) -> bool {
        self == Self::Idrac
    }

    /// The entity tag of a resource, where the service has any; a weak one where it has weak ones.
    pub(super) fn etag(self, resource: &Value) -> Option<String> {
        // FNV-1a; what matters is that it changes with the resource.
        let bytes = resource.to_string().into_bytes();
        let hash = bytes
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
        match self {
            Self::Supermicro => None,
            Self::Idrac => Some(format!("\"gen-{hash:x}\"")),
            Self::Ilo => Some(format!("W/\"{hash:X}\"")),
            Self::Generic => Some(format!("\"{hash}\"")),
        }
    }
}
