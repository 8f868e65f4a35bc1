//! How the hosts of a role are attached to the network: bond, LACP on the switch, addresses.

use std::fmt;
use std::net::IpAddr;

use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::NodeKind;
use crate::boot::choice::NicChoice;
use crate::boot::{Addressing, BondOptions, HashPolicy, LacpRate};

/// Whether NICs are bonded. In a file: `false`, or a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bond {
    /// One NIC stands alone: the one that booted.
    Off,
    /// They are, and how.
    On(BondPolicy),
}

impl Bond {
    /// The bootstrap lives for an hour, and never flips a port for it.
    #[must_use]
    pub fn usual(kind: NodeKind) -> Self {
        match kind {
            NodeKind::Bootstrap => Self::Off,
            NodeKind::Master | NodeKind::Worker => Self::On(BondPolicy::default()),
        }
    }

    pub(super) fn policy(self) -> Option<BondPolicy> {
        match self {
            Self::Off => None,
            Self::On(policy) => Some(policy),
        }
    }
}

/// How NICs are bonded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BondPolicy {
    /// Which.
    pub nics: NicChoice,
    /// How they share the load.
    pub mode: BondMode,
    /// How fast LACP is spoken.
    pub lacp_rate: LacpRate,
    /// How a frame's link is chosen.
    pub xmit_hash_policy: HashPolicy,
    /// Milliseconds between two looks at each link; 100 where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub miimon: Option<u32>,
    /// What keeps the bond on the installed system.
    pub persist: Persist,
}

impl BondPolicy {
    /// The options for the bonding driver.
    #[must_use]
    pub fn options(&self) -> BondOptions {
        let Self { lacp_rate, xmit_hash_policy, miimon, .. } = *self;
        let usual = BondOptions::default();
        BondOptions { lacp_rate, xmit_hash_policy, miimon: miimon.unwrap_or(usual.miimon) }
    }
}

/// How bonded NICs share the load. Harmony verifies both ends of a bond by LACP, so there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BondMode {
    /// IEEE 802.3ad, with LACP.
    #[default]
    #[serde(rename = "802.3ad")]
    Ieee8023ad,
}

/// What keeps a bond on the installed system. Kernel arguments hold it until then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Persist {
    /// Keyfiles in the host's own Ignition, matched by MAC.
    #[default]
    Ignition,
    /// A MachineConfig of the role: the machine config operator watches over it, and NICs must have the same names on all
    /// hosts of the kind.
    MachineConfig,
}

/// How switch ports get into LACP mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LacpStrategy {
    /// From access mode, once the host's bond is up.
    Flip,
    /// In LACP mode from the start, with ports that work alone while no partner is heard.
    Fallback,
    /// Not at all: the ports stay as they are.
    None,
    /// By fallback where the switch of all the host's ports can do that, else by a flip.
    Auto,
}

impl LacpStrategy {
    /// The strategy for a host, from what its description says and what its switches can do; never `Auto`. Nothing that is
    /// asked for is silently replaced: whether it can be done is for preflight.
    #[must_use]
    pub fn chosen(wanted: Option<Self>, is_bonded: bool, can_fall_back: bool) -> Self {
        match wanted {
            _ if !is_bonded => Self::None,
            Some(Self::Auto) if can_fall_back => Self::Fallback,
            // It works with every switch.
            Some(Self::Auto) | None => Self::Flip,
            Some(wanted) => wanted,
        }
    }
}

impl fmt::Display for LacpStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Flip => "flip",
            Self::Fallback => "fallback",
            Self::None => "none",
            Self::Auto => "auto",
        })
    }
}

/// Where hosts have their addresses from. In a file: `{ by = "dhcp" }`, `{ by = "static", gateway = "…", dns = ["…"] }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by", deny_unknown_fields)]
pub enum AddressingPolicy {
    /// A reservation of the DHCP server.
    #[default]
    Dhcp,
    /// Their own configuration; the prefix is that of the machine network.
    Static {
        /// The default gateway, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gateway: Option<IpAddr>,
        /// The DNS servers that they ask.
        dns: Vec<IpAddr>,
    },
}

impl AddressingPolicy {
    pub(super) fn addressing(self, prefix_len: u8) -> Addressing {
        match self {
            Self::Dhcp => Addressing::Dhcp,
            Self::Static { gateway, dns } => Addressing::Static { prefix_len, gateway, dns },
        }
    }
}

impl Serialize for Bond {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_bool(false),
            Self::On(policy) => policy.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Bond {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OffOrTable;
        impl<'de> Visitor<'de> for OffOrTable {
            type Value = Bond;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`false` or a table")
            }

            fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<Bond, E> {
                Ok(if on { Bond::On(BondPolicy::default()) } else { Bond::Off })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Bond, A::Error> {
                BondPolicy::deserialize(MapAccessDeserializer::new(map)).map(Bond::On)
            }
        }
        deserializer.deserialize_any(OffOrTable)
    }
}
