//! NetworkManager keyfiles for the bond, by nmstate, so that they say what NMState would.
//!
//! Members are matched by their permanent MAC: the installed system may name its NICs otherwise
//! than the live environment did. Source: nm-settings-keyfile(5), `802-3-ethernet.mac-address`.

use harmony_core::boot::BondPlan;
use nmstate::NetworkState;
use serde_json::json;

use crate::TemplateError;
use crate::kernel_args::{BOND_OPTIONS, bond_args};

/// A file for `/etc/NetworkManager/system-connections`, mode 0600.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Keyfile {
    /// `bond0.nmconnection`.
    pub name: String,
    /// Its text.
    pub contents: String,
}

/// The keyfiles of a bond and its members, sorted by name: LACP, DHCP on the bond, the bond's MAC pinned.
///
/// # Errors
/// A name that is no interface name, a bond without members, or what nmstate refuses.
pub fn bond_keyfiles(bond: &BondPlan) -> Result<Vec<Keyfile>, TemplateError> {
    // The names go into arguments and keyfiles alike.
    bond_args(bond)?;
    let failed = |source| TemplateError::Keyfiles { bond: bond.name.clone(), source };
    let mut modes = BOND_OPTIONS.iter();
    let mode = modes.next().map(|(_, mode)| *mode);
    let options: serde_json::Map<_, _> = modes.map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let members: Vec<_> = bond.members.iter().map(|(name, _)| name).collect();
    let bond_state = json!({
        "name": bond.name, "type": "bond", "state": "up", "mac-address": bond.mac,
        "ipv4": {"enabled": true, "dhcp": true}, "ipv6": {"enabled": false},
        "link-aggregation": {"mode": mode, "options": options, "port": members},
    });
    let member = |(name, mac): &(String, harmony_core::net::MacAddress)| json!({"name": name, "type": "ethernet", "state": "up", "identifier": "mac-address", "mac-address": mac});
    let interfaces: Vec<_> = std::iter::once(bond_state).chain(bond.members.iter().map(member)).collect();
    let state = NetworkState::new_from_json(&json!({"interfaces": interfaces}).to_string()).map_err(failed)?;
    let mut files: Vec<_> = state
        .gen_conf()
        .map_err(failed)?
        .remove("NetworkManager")
        .unwrap_or_default()
        .into_iter()
        .map(|(name, contents)| Keyfile { name, contents })
        .collect();
    files.sort();
    Ok(files)
}
