//! The boot server's paths: the one place where whoever writes a URL and whoever answers it agree.
//!
//! `base` is `http://ADDRESS:PORT`, without a slash at its end.

use std::net::SocketAddr;

use harmony_core::boot::OrderId;
use harmony_core::store::{PROGRESS_MARK, TOKEN_MARK};

/// What DHCP hands to iPXE.
pub const BOOT_CHAIN: &str = "/boot.ipxe";
/// What the boot chain asks for, with UUID, MACs and serial.
pub const CHAIN: &str = "/ipxe/chain";
/// The script for unknown hosts.
pub const DEFAULT_IPXE: &str = "/ipxe/default.ipxe";
/// The inventory agent's binary.
pub const AGENT: &str = "/agent/harmony-inventory-agent";
/// Its SHA-256, as `sha256sum -c` reads it.
pub const AGENT_SHA256: &str = "/agent/harmony-inventory-agent.sha256";
/// Public keys that may log in to the inventory environment.
pub const AUTHORIZED_KEYS: &str = "/agent/authorized_keys";
/// The Kickstart of the inventory environment.
pub const INVENTORY_KS: &str = "/ks/inventory.ks";
/// Where the agent announces itself.
pub const ANNOUNCE: &str = "/announce";
/// Static files.
pub const ASSETS: &str = "/os/";

/// The boot server's base URL.
#[must_use]
pub fn base(server: SocketAddr) -> String {
    format!("http://{server}")
}

/// Where an order's answer file is fetched, once. The token's place is marked.
#[must_use]
pub fn answer(base: &str, order: &OrderId) -> String {
    format!("{base}/answer/{}/{}/{TOKEN_MARK}", order.host, order.number)
}

/// Where an order's installer tells its progress: the event's name is put at the end. The place
/// of the key, which is derived from the token but does not reveal it, is marked.
#[must_use]
pub fn progress(base: &str, order: &OrderId) -> String {
    format!("{base}/progress/{}/{}/{PROGRESS_MARK}/", order.host, order.number)
}

/// The URL of a static file, which is named by a URL, by its path on the server (`/os/x`), or by
/// its path among the assets (`x`).
#[must_use]
pub fn asset(base: &str, path: &str) -> String {
    if path.starts_with("http://") || path.starts_with("https://") {
        path.to_owned()
    } else if path.starts_with('/') {
        format!("{base}{path}")
    } else {
        format!("{base}{ASSETS}{path}")
    }
}
