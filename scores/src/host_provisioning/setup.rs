//! What a host with a role becomes, where that is not the usual: another image, another network, a name in a domain.

use std::net::IpAddr;

use harmony_core::boot::choice::{DiskHints, NicChoice};
use harmony_core::boot::{Addressing, BondOptions};
use harmony_core::capability::{InstallSource, RoleConfig};
use harmony_core::net::{Hostname, VlanId};
use serde::{Deserialize, Serialize};

/// What one host becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSetup {
    /// Its name.
    pub hostname: Hostname,
    /// Its address; without one, the one that is reserved for its name, or the next that is free.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// What it is installed with.
    #[serde(default)]
    pub payload: Payload,
    /// Which of its disks is written.
    #[serde(default)]
    pub disk: DiskHints,
    /// Which of its NICs carry its address, if they are bonded; without a bond it is the one that booted.
    #[serde(default)]
    pub nics: NicChoice,
    /// Whether they are bonded, and how.
    pub bond: Option<BondOptions>,
    /// The tagged VLAN that carries the address.
    #[serde(default)]
    pub vlan: Option<VlanId>,
    /// Where the address comes from.
    #[serde(default)]
    pub addressing: Addressing,
    /// When the ports of its bond are bundled.
    #[serde(default)]
    pub bundle: Bundling,
    /// Whether something else than its own answer file keeps its network.
    #[serde(default)]
    pub network_is_kept: bool,
}

impl NodeSetup {
    /// The usual: the site's image, all NICs in a bond, bundled as soon as it is up.
    #[must_use]
    pub fn usual(hostname: Hostname) -> Self {
        Self {
            hostname,
            address: None,
            payload: Payload::SiteImage,
            disk: DiskHints::default(),
            nics: NicChoice::All,
            bond: Some(BondOptions::default()),
            vlan: None,
            addressing: Addressing::Dhcp,
            bundle: Bundling::default(),
            network_is_kept: false,
        }
    }

    /// Whether the ports of its bond are ever bundled.
    pub(super) fn is_bundled(&self) -> bool {
        self.bond.is_some() && !matches!(self.bundle, Bundling::Never | Bundling::NotOurs)
    }
}

/// What a host is installed with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "payload")]
pub enum Payload {
    /// The site's own image, with an answer file of its own. Its installer tells how far it is.
    #[default]
    SiteImage,
    /// CoreOS, with the configuration of its role. Its installer tells nothing.
    CoreOs {
        /// What it is booted with.
        source: Box<InstallSource>,
        /// Its role's configuration.
        base: RoleConfig,
    },
    /// Nothing any more: it is installed.
    Installed,
}

/// When the ports of a bond are bundled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "when")]
pub enum Bundling {
    /// As soon as the host's end is up.
    #[default]
    AtOnce,
    /// After these steps of the plan, too.
    After {
        /// Their keys.
        steps: Vec<String>,
    },
    /// From the start, with ports that work alone while no LACP partner is heard; both ends are verified once it is up.
    WithFallback,
    /// Never: its ports stay in access mode.
    Never,
    /// Its ports are as somebody else wants them.
    NotOurs,
}
