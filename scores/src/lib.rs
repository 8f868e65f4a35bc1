//! What a user wants of a site: one folder per Score.
//!
//! A Score sees `harmony-core` and `harmony-templates`, never a driver: it names the capabilities
//! that it needs by its bound on the Topology. In each folder `mod.rs` holds the Score, `plan.rs`
//! its pure planning, and the other files what its steps do. `cluster_file` reads the description of a cluster.

mod cluster_file;
pub mod host_provisioning;
pub mod inventory;
pub mod okd;
pub mod switch_automation;
#[cfg(test)]
mod testing;

pub use cluster_file::{ClusterFileError, parse_cluster, read_cluster};
pub use host_provisioning::HostProvisioningScore;
pub use inventory::InventoryScore;
pub use okd::{OkdInstallationScore, OkdLimits};
pub use switch_automation::SwitchAutomationScore;
