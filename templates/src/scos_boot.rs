//! `scos-boot.ipxe.tpl`: installs one host by one order, as coreos-installer reads its arguments.
//!
//! Source: coreos-installer `docs/getting-started.md` (`coreos.inst.*`); `harmony.*` is for the
//! lab's stand-in, which takes the same arguments. `coreos.inst.insecure` is not set here: for an
//! image without a signature beside it the site adds it to its arguments.

use askama::Template;
use harmony_core::boot::{Order, OrderId};
use harmony_core::capability::InstallSource;
use harmony_core::net::Hostname;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::kernel_args::{CommandLine, disk_path, link_args};
use crate::{TemplateError, filters, urls};

/// Bytes of the command line that are in the template: iPXE's initramfs, and the NIC that booted. Not
/// `BOOTIF`, of which CoreOS would make a connection that fights with the bond for the NIC.
/// Source: nm-initrd-generator(8), `BOOTIF`.
const IN_TEMPLATE: usize = "initrd=main harmony.bootmac=aa-bb-cc-dd-ee-ff ".len();
/// What a disk's serial may hold and a kernel argument may not.
const NOT_PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b':').remove(b'-').remove(b'+').remove(b'=');

/// The script of an order.
#[derive(Debug)]
pub struct ScosBoot<'a> {
    /// What is ordered.
    pub order: &'a Order,
    /// What it is installed from.
    pub source: &'a InstallSource,
}

#[derive(Template)]
#[template(path = "scos-boot.ipxe.tpl", escape = "ipxe")]
struct Page<'a> {
    base_url: &'a str,
    hostname: &'a Hostname,
    order: &'a OrderId,
    kernel_url: String,
    initrd_url: String,
    args: CommandLine,
}

/// The script that installs a host. Token and progress key are marked, not rendered.
///
/// Without an image the live system installs the one that it carries, as stock CoreOS does, and is told nothing else.
/// `harmony.disk_serial` has bytes other than letters, digits and `._:-+=` percent-encoded.
///
/// # Errors
/// A refused value, or too many arguments.
pub fn scos_boot(script: &ScosBoot<'_>) -> Result<String, TemplateError> {
    let ScosBoot { order, source } = script;
    let base_url = urls::base(source.server);
    let mut args = CommandLine::default();
    if let Some(rootfs) = &source.rootfs {
        args = args.arg("coreos.live.rootfs_url", &urls::asset(&base_url, rootfs))?;
    }
    args = args
        .arg("coreos.inst.install_dev", disk_path(order)?)?
        .arg("coreos.inst.ignition_url", &urls::answer(&base_url, &order.id))?;
    if let Some(image) = &source.image {
        let image_url = urls::asset(&base_url, &image.path);
        crate::check::url("image", &image_url)?;
        crate::check::sha256("image_sha256", &image.sha256)?;
        let serial = utf8_percent_encode(&order.disk_serial, NOT_PLAIN).to_string();
        args = args
            .arg("coreos.inst.image_url", &image_url)?
            .arg("harmony.image_sha256", &image.sha256)?
            .arg("harmony.disk_serial", &serial)?
            .arg("harmony.progress", &urls::progress(&base_url, &order.id))?;
    }
    let args = args.extra(&link_args(order)?)?.extra(&source.args)?.fitting(IN_TEMPLATE)?;
    let page = Page {
        kernel_url: urls::asset(&base_url, &source.kernel),
        initrd_url: urls::asset(&base_url, &source.initrd),
        base_url: &base_url,
        hostname: &order.hostname,
        order: &order.id,
        args,
    };
    page.render().map_err(TemplateError::rendering("scos-boot.ipxe.tpl"))
}
