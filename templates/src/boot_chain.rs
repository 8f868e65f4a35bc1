//! `boot.ipxe.tpl`: what DHCP hands to iPXE.

use askama::Template;

use crate::{TemplateError, filters};

/// The boot chain script.
#[derive(Debug, Template)]
#[template(path = "boot.ipxe.tpl", escape = "ipxe")]
pub struct BootChain<'a> {
    /// The boot server's base URL.
    pub base_url: &'a str,
}

/// The script that tells the boot server UUID, serial and MACs, and does what the server answers.
///
/// # Errors
/// If the URL is none.
pub fn boot_chain(chain: &BootChain<'_>) -> Result<String, TemplateError> {
    chain.render().map_err(TemplateError::rendering("boot.ipxe.tpl"))
}
