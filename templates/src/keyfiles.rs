//! NetworkManager keyfiles for a host's network, by nmstate, so that they say what NMState would.
//!
//! Members are matched by their permanent MAC: the installed system may name its NICs otherwise
//! than the live environment did. Source: nm-settings-keyfile(5), `802-3-ethernet.mac-address`.

use std::net::IpAddr;

use harmony_core::boot::{Addressing, LinkPlan};
use harmony_core::net::MacAddress;
use nmstate::NetworkState;
use serde_json::{Value, json};

use crate::TemplateError;
use crate::kernel_args::check_link;

/// A file for `/etc/NetworkManager/system-connections`, mode 0600.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Keyfile {
    /// `bond0.nmconnection`.
    pub name: String,
    /// Its text.
    pub contents: String,
}

/// The keyfiles of a host's network, sorted by name: a bond and its members, or one NIC; the VLAN on top; the MAC pinned.
///
/// `address` is the one that it has by itself where the link's addressing is static.
///
/// # Errors
/// A name that is no interface name, a link without members, or what nmstate refuses.
pub fn link_keyfiles(link: &LinkPlan, address: IpAddr) -> Result<Vec<Keyfile>, TemplateError> {
    render(&link.name, &link_state(link, address)?)
}

/// A network state as keyfiles, sorted by name.
pub(crate) fn render(name: &str, state: &Value) -> Result<Vec<Keyfile>, TemplateError> {
    let failed = |source| TemplateError::Keyfiles { bond: name.to_owned(), source };
    let state = NetworkState::new_from_json(&state.to_string()).map_err(failed)?;
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

/// A host's network as NMState has it. Source: nmstate.io, "Network state".
///
/// # Errors
/// A name that is no interface name, or a link without members.
pub fn link_state(link: &LinkPlan, address: IpAddr) -> Result<Value, TemplateError> {
    // The names go into arguments and keyfiles alike.
    check_link(link)?;
    let none = || (json!({"enabled": false}), json!({"enabled": false}));
    let (own_v4, own_v6) = addresses(&link.addressing, address);
    let (v4, v6) = if link.vlan.is_some() { none() } else { (own_v4.clone(), own_v6.clone()) };
    let mut interfaces = Vec::new();
    if let Some(options) = &link.bond {
        let [(_, mode), options @ ..] = options.pairs();
        let options: serde_json::Map<_, _> =
            options.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
        let members: Vec<_> = link.members.iter().map(|(name, _)| name).collect();
        interfaces.push(json!({
            "name": link.name, "type": "bond", "state": "up", "mac-address": link.mac,
            "ipv4": v4, "ipv6": v6,
            "link-aggregation": {"mode": mode, "options": options, "port": members},
        }));
        let member = |(name, mac): &(String, MacAddress)| json!({"name": name, "type": "ethernet", "state": "up", "identifier": "mac-address", "mac-address": mac});
        interfaces.extend(link.members.iter().map(member));
    } else {
        interfaces.push(json!({
            "name": link.name, "type": "ethernet", "state": "up", "identifier": "mac-address", "mac-address": link.mac,
            "ipv4": v4, "ipv6": v6,
        }));
    }
    if let Some(vlan) = link.vlan {
        interfaces.push(json!({
            "name": link.interface(), "type": "vlan", "state": "up", "mac-address": link.mac,
            "ipv4": own_v4, "ipv6": own_v6,
            "vlan": {"base-iface": link.name, "id": vlan.get()},
        }));
    }
    let mut state = json!({"interfaces": interfaces});
    if let Addressing::Static { gateway, dns, .. } = &link.addressing {
        if let Some(gateway) = gateway {
            let destination = if gateway.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
            let route = json!({"destination": destination, "next-hop-address": gateway, "next-hop-interface": link.interface(), "table-id": 254});
            state["routes"] = json!({"config": [route]});
        }
        if !dns.is_empty() {
            state["dns-resolver"] = json!({"config": {"server": dns}});
        }
    }
    Ok(state)
}

/// What the interface that has the address says of IPv4 and of IPv6.
fn addresses(addressing: &Addressing, address: IpAddr) -> (Value, Value) {
    let off = json!({"enabled": false});
    match (addressing, address) {
        (Addressing::Dhcp, _) => (json!({"enabled": true, "dhcp": true}), off),
        (Addressing::Static { prefix_len, .. }, address) => {
            let on = json!({"enabled": true, "dhcp": false, "address": [{"ip": address, "prefix-length": prefix_len}]});
            if address.is_ipv4() { (on, off) } else { (off, on) }
        }
    }
}
