//! The inventory agent: says what a machine is made of, from the live environment that runs on it.
//!
//! It collects facts ([`collect`]), answers them over HTTP ([`http`]), announces itself ([`announce`]) and
//! listens for the switches it is plugged into ([`lldp`]). All that it reads of the machine is below a
//! [`Root`], so that tests run on recorded trees and simulated machines on made ones. It decides nothing, stores nothing and writes nothing,
//! save that `--links-up` sets NICs up. What it cannot read is absent with a reason.
//!
//! Apart from all that, and out of reach of HTTP, the program wipes disks that are named by serial ([`wipe`]).
//!
//! It must stay below 1.6 MB and 4 MB of memory, so it has no TLS, no argument parser and no log crate;
//! `tests/footprint.rs` holds it to that. The report itself is `harmony_core::report::v1`.

pub mod announce;
pub mod args;
mod cmdline;
mod facts;
pub mod http;
pub mod lldp;
pub mod log;
mod mac;
mod netlink;
mod root;
pub mod signature;
mod smbios;
pub mod wipe;

pub use cmdline::{Cmdline, Token};
pub use facts::collect;
pub use root::{Reason, Root, by_name};
