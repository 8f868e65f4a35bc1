//! `inventory.ks.tpl`: keeps CentOS Stream 9's installer from installing, and runs the agent in it.
//!
//! In `%pre`, because Anaconda runs `%post` only after it has installed to a disk.
//! Source: Anaconda branch rhel-9, `anaconda.py`, `pyanaconda/kickstart.py`.

use askama::Template;

use crate::{TemplateError, filters};

/// The inventory environment's Kickstart.
#[derive(Debug)]
pub struct InventoryKickstart<'a> {
    /// Where the agent is fetched.
    pub agent_url: &'a str,
    /// Its SHA-256, lower-case hex.
    pub agent_sha256: &'a str,
    /// OpenSSH public keys that may log in as root, without options; at least one, since Anaconda
    /// without one lets anybody log in.
    pub ssh_keys: &'a [&'a str],
}

#[derive(Template)]
#[template(path = "inventory.ks.tpl", escape = "ks")]
struct Page<'a> {
    agent_url: &'a str,
    agent_sha256: &'a str,
    first_key: &'a str,
    further_keys: &'a [&'a str],
}

/// The Kickstart that inventories and never installs.
///
/// # Errors
/// A refused value, or no key at all.
pub fn inventory_ks(kickstart: &InventoryKickstart<'_>) -> Result<String, TemplateError> {
    // Kickstart takes one `sshpw` per user; %pre adds what is left.
    let Some((first_key, further_keys)) = kickstart.ssh_keys.split_first() else {
        return Err(TemplateError::value(
            "ssh_keys",
            "",
            "is empty: without a key, Anaconda would let anybody log in as root",
        ));
    };
    let InventoryKickstart { agent_url, agent_sha256, .. } = *kickstart;
    let page = Page { agent_url, agent_sha256, first_key, further_keys };
    page.render().map_err(TemplateError::rendering("inventory.ks.tpl"))
}
