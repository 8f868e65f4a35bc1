//! How one product does it: each folder drives one kind of device through a capability trait of
//! `harmony-core`.
//!
//! Owns the devices' languages (commands, files, protocols) and everything that only one product
//! does. Deliberately does not know what is wanted (Scores), which device is where (topologies), or
//! what has happened so far (inventory). Every word that a device says is parsed as untrusted input.
//!
//! Every change of a device is noted in a [`WriteLog`] just before it is sent, so that "a second
//! `apply` writes nothing" can be counted.
//!
//! Read next: [`switch::openvswitch`], [`switch::cisco_ios`], [`dhcp::dnsmasq`], [`dns::dnsmasq`], [`bmc::ipmi`],
//! [`bmc::redfish`], [`load_balancer::haproxy`], [`host::ssh`], [`host::discovery`], [`cluster::kubernetes`],
//! [`cluster::openshift_install`], [`assets`].

pub mod assets;
pub mod bmc;
pub mod cluster;
pub mod dhcp;
pub mod dns;
pub mod host;
pub mod load_balancer;
pub mod switch;
pub mod transport;
mod write_log;

pub use write_log::{Write, WriteLog};
