//! The one-time boot override: what is to be sent, and whether it took. Pure.
//!
//! Properties that the BMC keeps in a settings resource go there, the others to the system.
//! Source: DSP0266 clause "Settings resource"; openstack/sushy `resources/system/system.py`.

use harmony_core::capability::BootDevice;
use harmony_core::host::Firmware;
use serde_json::{Map, Value, json};

use super::quirks::Quirks;
use super::resource::{Boot, shown};
use super::spec::NetworkBoot;

/// What the next boot shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub(super) device: BootDevice,
    pub(super) firmware: Option<Firmware>,
    pub(super) network_boot: NetworkBoot,
    /// For UEFI HTTP Boot; without it the DHCP server says what is loaded.
    pub(super) uri: Option<&'a str>,
}

/// Why the BMC cannot do that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BootError {
    /// No `Boot` object.
    #[error("the system has no boot override")]
    Absent,
    /// The target is not among those that it offers.
    #[error("the BMC offers no boot target {wanted}, only {offered}")]
    Target {
        /// What was wanted.
        wanted: &'static str,
        /// What there is.
        offered: String,
    },
    /// The mode is not among those that it offers.
    #[error("the BMC offers no boot mode {wanted}, only {offered}")]
    Mode {
        /// What was wanted.
        wanted: &'static str,
        /// What there is.
        offered: String,
    },
    /// The mode is a BIOS setting.
    #[error("the machine is set to boot in mode {now}, not {wanted}, which this BMC cannot change for one boot")]
    ModeIsSetting {
        /// What it is.
        now: String,
        /// What was wanted.
        wanted: &'static str,
    },
    /// HTTP boot of a machine without UEFI.
    #[error("UEFI HTTP Boot is asked of a machine with BIOS firmware")]
    HttpWithoutUefi,
    /// The BMC took the request and did not do it.
    #[error("the BMC accepted the boot override, but shows {0}")]
    Ignored(String),
}

/// What the override must show when it has been taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Override {
    target: &'static str,
    mode: Option<&'static str>,
    uri: Option<String>,
}

/// What is to be sent, and where to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Changes {
    /// For the system.
    pub(super) system: Option<Value>,
    /// For its settings resource.
    pub(super) settings: Option<Value>,
}

/// The target before anything is known of the BMC, and the mode.
pub(super) fn usual(request: &Request<'_>) -> (&'static str, Option<&'static str>) {
    let target = match (request.device, request.network_boot) {
        (BootDevice::Disk, _) => "Hdd",
        (BootDevice::Network, NetworkBoot::Pxe) => "Pxe",
        (BootDevice::Network, NetworkBoot::Http) => "UefiHttp",
    };
    let mode = match (request.firmware, target) {
        (Some(Firmware::Uefi), _) | (_, "UefiHttp") => Some("UEFI"),
        (Some(Firmware::Bios), _) => Some("Legacy"),
        (None, _) => None,
    };
    (target, mode)
}

/// The body that asks for it in full, by the alphabet: the same text whether or not maps keep an order.
pub(super) fn whole(target: &str, mode: Option<&str>, uri: Option<&str>) -> Value {
    let mut boot = Map::new();
    boot.insert(Boot::ENABLED.to_owned(), json!("Once"));
    boot.extend(mode.map(|mode| (Boot::MODE.to_owned(), json!(mode))));
    boot.insert(Boot::TARGET.to_owned(), json!(target));
    boot.extend(uri.map(|uri| (Boot::HTTP_URI.to_owned(), json!(uri))));
    json!({ "Boot": boot })
}

impl Override {
    /// The override that does what is asked, of what the BMC offers.
    pub(super) fn choose(
        request: &Request<'_>,
        system: &Boot,
        settings: Option<&Boot>,
        quirks: Quirks,
    ) -> Result<Self, BootError> {
        if request.network_boot == NetworkBoot::Http
            && request.device == BootDevice::Network
            && request.firmware == Some(Firmware::Bios)
        {
            return Err(BootError::HttpWithoutUefi);
        }
        let (mut target, mut mode) = usual(request);
        let both = || settings.into_iter().chain([system]);
        let list = |values: Vec<&str>| shown(&values.join(", "), 300);
        let targets = both().find_map(|boot| boot.allowed(Boot::TARGET));
        let has_mode = both().any(|boot| boot.has(Boot::MODE));
        if !has_mode {
            // Redfish before 1.1, and HPE Gen9: the target alone says how.
            mode = None;
            // As recorded of a Supermicro X10: UEFI disks are a target of their own.
            let uefi_disk = targets.as_ref().is_some_and(|targets| targets.contains(&"UefiHdd"));
            if target == "Hdd" && request.firmware == Some(Firmware::Uefi) && uefi_disk {
                target = "UefiHdd";
            }
        }
        if let Some(targets) = targets
            && !targets.contains(&target)
        {
            return Err(BootError::Target { wanted: target, offered: list(targets) });
        }
        let now = system.text(Boot::MODE).or_else(|| settings?.text(Boot::MODE));
        if let Some(wanted) = mode.filter(|wanted| now != Some(*wanted)) {
            let modes = both().find_map(|boot| boot.allowed(Boot::MODE));
            if let Some(modes) = modes.filter(|modes| !modes.contains(&wanted)) {
                return Err(BootError::Mode { wanted, offered: list(modes) });
            }
            if quirks.boot_mode_is_a_bios_setting() {
                // Where it is not told, it cannot be checked, nor changed.
                match now {
                    Some(now) => return Err(BootError::ModeIsSetting { now: shown(now, 40), wanted }),
                    None => mode = None,
                }
            }
        }
        let uri = request.uri.filter(|_| target == "UefiHttp").map(str::to_owned);
        Ok(Self { target, mode, uri })
    }

    /// What must be sent for it; nothing where all of it is set already. What is unchanged is left
    /// out, since many BMCs refuse `BootSourceOverrideEnabled` then; some want it nevertheless.
    /// Source: openstack/ironic `drivers/modules/redfish/management.py`, story 2007355.
    pub(super) fn changes(&self, system: &Boot, settings: Option<&Boot>, quirks: Quirks) -> Changes {
        let wanted = [
            (Boot::ENABLED, Some("Once")),
            (Boot::MODE, self.mode),
            (Boot::TARGET, Some(self.target)),
            (Boot::HTTP_URI, self.uri.as_deref()),
        ];
        // What the system itself shows: settings may be those of a boot that is over.
        if self.is_shown_by(&[Some(system), settings]) {
            return Changes::default();
        }
        let (mut to_system, mut to_settings) = (Map::new(), Map::new());
        for (property, wanted) in wanted {
            let Some(wanted) = wanted else { continue };
            let holder = settings.filter(|settings| settings.has(property));
            let must = property == Boot::TARGET
                || (property == Boot::ENABLED && quirks.always_sends_enabled())
                || quirks.needs_whole_override();
            if must || holder.unwrap_or(system).text(property) != Some(wanted) {
                let to = if holder.is_some() { &mut to_settings } else { &mut to_system };
                to.insert(property.to_owned(), json!(wanted));
            }
        }
        let body = |boot: Map<String, Value>| (!boot.is_empty()).then(|| json!({ "Boot": boot }));
        Changes { system: body(to_system), settings: body(to_settings) }
    }

    /// What the BMC shows instead of this override, in words; nothing if it took. What it has taken as
    /// a setting shows there until the next boot.
    pub(super) fn differs(&self, system: &Boot, settings: Option<&Boot>) -> Option<String> {
        let took = self.is_shown_by(&[settings, Some(system)]);
        (!took).then(|| settings.filter(|settings| settings.has(Boot::TARGET)).unwrap_or(system).summary())
    }

    /// Whether the first of these that has a property has it as wanted. A property that none shows,
    /// besides target and enabled, is not held against them.
    fn is_shown_by(&self, boots: &[Option<&Boot>]) -> bool {
        let shows = |property: &str| boots.iter().flatten().find_map(|boot| boot.text(property));
        shows(Boot::TARGET) == Some(self.target)
            && shows(Boot::ENABLED) == Some("Once")
            && self.mode.is_none_or(|mode| shows(Boot::MODE).is_none_or(|shown| shown == mode))
            && self.uri.as_deref().is_none_or(|uri| shows(Boot::HTTP_URI).is_none_or(|shown| shown == uri))
    }
}

#[cfg(test)]
mod tests {
    use super::super::quirks::Vendor;
    use super::*;

    fn boot(value: Value) -> Boot {
        Boot::from(value)
    }

    fn request(device: BootDevice, firmware: Option<Firmware>) -> Request<'static> {
        Request { device, firmware, network_boot: NetworkBoot::Pxe, uri: None }
    }

    const NETWORK: Request<'static> = Request {
        device: BootDevice::Network,
        firmware: Some(Firmware::Uefi),
        network_boot: NetworkBoot::Pxe,
        uri: None,
    };

    fn nothing_set() -> Boot {
        boot(json!({
            "BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None", "BootSourceOverrideMode": "UEFI",
            "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Hdd", "UefiHttp"],
        }))
    }

    /// What is sent to a BMC in this state; nothing where all is set.
    fn sent(
        request: &Request<'_>,
        system: &Boot,
        settings: Option<&Boot>,
        vendor: Vendor,
    ) -> Result<Changes, BootError> {
        let quirks = Quirks::named(vendor);
        Ok(Override::choose(request, system, settings, quirks)?.changes(system, settings, quirks))
    }

    #[test]
    fn what_is_unchanged_is_left_out_unless_the_vendor_wants_it() {
        let set = boot(json!({
            "BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Hdd", "BootSourceOverrideMode": "UEFI",
        }));
        for (vendor, body) in [
            (Vendor::Other, json!({"Boot": {"BootSourceOverrideTarget": "Pxe"}})),
            (
                Vendor::Supermicro,
                json!({"Boot": {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once"}}),
            ),
            (
                Vendor::Ami,
                json!({"Boot": {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once", "BootSourceOverrideMode": "UEFI"}}),
            ),
        ] {
            let changes = sent(&NETWORK, &set, None, vendor).expect("offered");
            assert_eq!(changes, Changes { system: Some(body), settings: None }, "{vendor:?}");
            let same = sent(&request(BootDevice::Disk, Some(Firmware::Uefi)), &set, None, vendor).expect("offered");
            assert_eq!(same, Changes::default(), "{vendor:?}: all of it is set");
        }
    }

    #[test]
    fn the_mode_goes_where_the_bmc_has_one() {
        let whole = |mode: &str| json!({"Boot": {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once", "BootSourceOverrideMode": mode}});
        let bios = request(BootDevice::Network, Some(Firmware::Bios));
        assert_eq!(sent(&bios, &nothing_set(), None, Vendor::Hpe).expect("offered").system, Some(whole("Legacy")));
        let error = sent(&bios, &nothing_set(), None, Vendor::Dell).expect_err("a BIOS setting");
        assert_eq!(
            error.to_string(),
            "the machine is set to boot in mode UEFI, not Legacy, which this BMC cannot change for one boot"
        );
        let only_uefi =
            boot(json!({"BootSourceOverrideMode": "UEFI", "BootSourceOverrideMode@Redfish.AllowableValues": ["UEFI"]}));
        let error = sent(&bios, &only_uefi, None, Vendor::Other).expect_err("not offered");
        assert_eq!(error.to_string(), "the BMC offers no boot mode Legacy, only UEFI");
        // As recorded of a Supermicro X10.
        let x10 = boot(json!({
            "BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None",
            "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Hdd", "UefiHdd"],
        }));
        let target = |request: &Request<'_>| {
            let changes = sent(request, &x10, None, Vendor::Supermicro).expect("offered");
            changes.system.expect("changes")["Boot"]["BootSourceOverrideTarget"].clone()
        };
        assert_eq!(target(&NETWORK), "Pxe");
        assert_eq!(target(&request(BootDevice::Disk, Some(Firmware::Uefi))), "UefiHdd");
        assert_eq!(target(&request(BootDevice::Disk, Some(Firmware::Bios))), "Hdd");
    }

    #[test]
    fn what_the_settings_resource_has_goes_there() {
        // As recorded of a Lenovo SE450, with all of it; and of an iDRAC, with the mode alone.
        let system = boot(json!({"BootSourceOverrideTarget": null}));
        let changes = sent(&NETWORK, &system, Some(&nothing_set()), Vendor::Lenovo).expect("offered");
        assert_eq!(changes.system, None);
        assert_eq!(changes.settings, Some(whole("Pxe", None, None)));
        let mode_alone = boot(json!({"BootSourceOverrideMode": null}));
        let changes = sent(&NETWORK, &boot(json!({})), Some(&mode_alone), Vendor::Other).expect("offered");
        assert_eq!(changes.settings, Some(json!({"Boot": {"BootSourceOverrideMode": "UEFI"}})));
        assert_eq!(changes.system, Some(whole("Pxe", None, None)));
        // Settings of a boot that is over: the system shows that nothing is set.
        let over = boot(json!({"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once"}));
        let changes = sent(&NETWORK, &nothing_set(), Some(&over), Vendor::Other).expect("offered");
        assert_eq!(changes.settings, Some(json!({"Boot": {"BootSourceOverrideTarget": "Pxe"}})));
    }

    #[test]
    fn http_boot() {
        let uri = Some("http://10.0.0.1/ipxe.efi");
        let http = Request { network_boot: NetworkBoot::Http, uri, ..NETWORK };
        let changes = sent(&http, &nothing_set(), None, Vendor::Other).expect("offered");
        assert_eq!(
            changes.system,
            Some(
                json!({"Boot": {"BootSourceOverrideTarget": "UefiHttp", "BootSourceOverrideEnabled": "Once", "HttpBootUri": uri}})
            )
        );
        let disk = sent(&Request { device: BootDevice::Disk, ..http.clone() }, &nothing_set(), None, Vendor::Other);
        assert_eq!(disk.expect("offered").system, Some(whole("Hdd", None, None)), "the URI is for HTTP alone");
        let error = sent(&Request { firmware: Some(Firmware::Bios), ..http }, &nothing_set(), None, Vendor::Other);
        assert_eq!(error, Err(BootError::HttpWithoutUefi));
        let few = boot(json!({"BootSourceOverrideTarget@Redfish.AllowableValues": ["Cd"]}));
        let error = sent(&NETWORK, &few, None, Vendor::Other).expect_err("not offered").to_string();
        assert_eq!(error, "the BMC offers no boot target Pxe, only Cd");
    }

    #[test]
    fn whether_it_took() {
        let wanted = Override { target: "Pxe", mode: Some("UEFI"), uri: None };
        let show = |target: &str, enabled: &str, mode: Value| {
            boot(
                json!({"BootSourceOverrideTarget": target, "BootSourceOverrideEnabled": enabled, "BootSourceOverrideMode": mode}),
            )
        };
        assert_eq!(wanted.differs(&show("Pxe", "Once", json!("UEFI")), None), None);
        assert_eq!(wanted.differs(&show("Pxe", "Once", json!(null)), None), None, "it does not tell the mode");
        for (shown, words) in [
            (show("None", "Disabled", json!("UEFI")), "target None, enabled Disabled, mode UEFI"),
            (show("Pxe", "Continuous", json!("UEFI")), "target Pxe, enabled Continuous, mode UEFI"),
            (show("Pxe", "Once", json!("Legacy")), "target Pxe, enabled Once, mode Legacy"),
            (boot(json!({})), "target nothing, enabled nothing"),
        ] {
            assert_eq!(wanted.differs(&shown, None).as_deref(), Some(words));
        }
    }
}
