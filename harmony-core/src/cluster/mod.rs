//! A cluster of hosts: what is wanted of it, and what follows from that, without touching anything.
//!
//! [`ClusterDescription`] is what a user writes. Whether it can work is for its `check`; the rest of the folder decides from
//! it: which host becomes what, which names and services there are, which certificate requests are right, and what is to be
//! put right before anything is changed.

mod binding;
mod check;
pub mod choice;
pub mod csr;
mod description;
pub mod endpoints;
mod link_policy;
pub mod preflight;
#[cfg(test)]
pub(crate) mod testing;

pub use binding::{HostBinding, HostRule, Minimums};
pub use check::DescriptionError;
pub use description::{
    ClusterDescription, ClusterNetwork, CsrPolicy, Endpoints, MastersSchedulable, NetworkType, PodNetwork, RoleEntry,
    RolePlan, RoleSettings,
};
pub use link_policy::{AddressingPolicy, Bond, BondMode, BondPolicy, LacpStrategy, Persist};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::net::{Hostname, NameError, serde_as_text};

/// A cluster's name, the first label of its domain: `ocp4`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName(String);

impl ClusterName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name: Hostname = text.parse()?;
        if name.as_str().contains('.') {
            return Err(NameError::new("cluster name", text, "one label is allowed"));
        }
        // It is part of the names of services, which are labels of at most 63 characters themselves.
        if text.len() > 40 {
            return Err(NameError::new("cluster name", text, "1 to 40 characters are allowed"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(ClusterName);

/// What a machine is in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Starts the cluster, and leaves it again.
    Bootstrap,
    /// Control plane.
    Master,
    /// Runs workloads.
    Worker,
}

impl NodeKind {
    /// All of them, in the order in which they come up.
    pub const ALL: [Self; 3] = [Self::Bootstrap, Self::Master, Self::Worker];

    /// The word for it, as the installer and its machine config pools use it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Master => "master",
            Self::Worker => "worker",
        }
    }
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
