//! `disk.ipxe.tpl`: starts what is installed.

use askama::Template;

use crate::TemplateError;

#[derive(Template)]
#[template(path = "disk.ipxe.tpl", escape = "ipxe")]
struct Disk;

/// The script that starts a host from its disk.
///
/// # Errors
/// None that a caller could cause.
pub fn disk_boot() -> Result<String, TemplateError> {
    Disk.render().map_err(TemplateError::rendering("disk.ipxe.tpl"))
}
