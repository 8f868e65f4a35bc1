//! What a host is given to boot and to become, as text: iPXE scripts, the inventory Kickstart,
//! kernel arguments, NetworkManager keyfiles, Ignition files, the installer's configuration and manifests.
//!
//! One typed function per file of `templates/`, under the founding epic's names. Text templates
//! are for scripts; JSON and keyfiles are built from types. Every value is checked for the
//! language that it goes into, and refused with its field's name: nothing is quoted or escaped
//! into safety, because neither iPXE nor Anaconda has quoting that can be relied on.
//!
//! Output is deterministic. No secret is ever rendered: the place of a token is marked by
//! [`TOKEN_MARK`](harmony_core::store::TOKEN_MARK), which the boot server replaces as it serves.
//!
//! Deliberately absent: files, sockets, time. Read next: [`urls`] for the boot server's paths,
//! [`scos_boot()`] for what installs a host.

pub mod ignition;
pub mod kernel_args;
pub mod keyfiles;
pub mod urls;

mod boot_chain;
mod check;
mod default_ipxe;
mod disk;
mod error;
mod escape;
mod filters;
mod install_config;
mod inventory_ks;
mod machine_config;
mod scos_boot;
mod yaml;

pub use boot_chain::{BootChain, boot_chain};
pub use default_ipxe::{DefaultIpxe, LiveEnvironment, default_ipxe};
pub use disk::disk_boot;
pub use error::TemplateError;
pub use ignition::{NodeIgnition, ignition};
pub use install_config::install_config;
pub use inventory_ks::{InventoryKickstart, inventory_ks};
pub use keyfiles::{Keyfile, link_keyfiles, link_state};
pub use machine_config::{NodeLink, br_ex_document, br_ex_state, link_document, machine_config};
pub use scos_boot::{ScosBoot, scos_boot};
