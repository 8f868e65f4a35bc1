//! `default.ipxe.tpl`: the inventory environment, for hosts that are unknown or have nothing to do.

use askama::Template;
use harmony_core::secret::Secret;

use crate::kernel_args::CommandLine;
use crate::{TemplateError, filters, urls};

/// Bytes of the command line that are in the template: `initrd=main BOOTIF=01-` and a MAC.
const IN_TEMPLATE: usize = 40;

/// What runs in memory. Files are named as [`urls::asset`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveEnvironment {
    /// A kernel and an initramfs that holds the agent.
    Initramfs {
        /// The kernel.
        kernel: String,
        /// The initramfs.
        initrd: String,
    },
    /// CentOS Stream 9's installer, which the Kickstart keeps from installing.
    Anaconda {
        /// The folder that holds `.treeinfo` and `images/`.
        tree: String,
    },
}

/// The script for hosts without orders.
#[derive(Debug)]
pub struct DefaultIpxe<'a> {
    /// The boot server's base URL.
    pub base_url: &'a str,
    /// What runs.
    pub environment: &'a LiveEnvironment,
    /// What a caller of the agent must show, if anything.
    pub agent_token: Option<&'a Secret>,
    /// Further kernel arguments.
    pub extra_args: &'a [String],
    /// A line for whoever looks at the console.
    pub notice: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "default.ipxe.tpl", escape = "ipxe")]
struct Page<'a> {
    base_url: &'a str,
    kernel_url: String,
    initrd_url: String,
    args: CommandLine,
    notice: Option<&'a str>,
}

/// The script that starts the inventory environment.
///
/// # Errors
/// A refused value, or too many extra arguments.
pub fn default_ipxe(script: &DefaultIpxe<'_>) -> Result<String, TemplateError> {
    let base_url = script.base_url;
    let mut args = CommandLine::default();
    let (kernel_url, initrd_url) = match script.environment {
        LiveEnvironment::Initramfs { kernel, initrd } => {
            args = args.arg("harmony.ssh", &format!("{base_url}{}", urls::AUTHORIZED_KEYS))?;
            (urls::asset(base_url, kernel), urls::asset(base_url, initrd))
        }
        LiveEnvironment::Anaconda { tree } => {
            let tree = urls::asset(base_url, tree);
            // Source: Anaconda `docs/boot-options.rst`, branch rhel-9.
            args =
                args.arg("inst.stage2", &tree)?.arg("inst.ks", &format!("{base_url}{}", urls::INVENTORY_KS))?.extra(
                    &[
                        "inst.ks.sendmac",
                        "inst.ks.sendsn",
                        "inst.text",
                        "inst.sshd",
                        "inst.nosave=all",
                        "inst.noninteractive",
                        "ip=dhcp",
                    ]
                    .map(String::from),
                )?;
            (format!("{tree}/images/pxeboot/vmlinuz"), format!("{tree}/images/pxeboot/initrd.img"))
        }
    };
    args = args.arg("harmony.announce", &format!("{base_url}{}", urls::ANNOUNCE))?;
    if let Some(token) = script.agent_token {
        args = args.secret("harmony.token", token)?;
    }
    let args = args.extra(script.extra_args)?.fitting(IN_TEMPLATE)?;
    let page = Page { base_url, kernel_url, initrd_url, args, notice: script.notice };
    page.render().map_err(TemplateError::rendering("default.ipxe.tpl"))
}
