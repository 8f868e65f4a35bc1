//! Hosts: found on the provisioning network, and reached over SSH.

pub mod discovery;
pub mod scan;
pub mod ssh;
