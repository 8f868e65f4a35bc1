//! One approved installation of one host. Nothing is erased without it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::{HostId, Role};
use crate::net::{Hostname, MacAddress, NameError, VlanId, serde_as_text};
use crate::secret::Secret;

/// The n-th order of a host, `hc-7KQ2M9X/1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId {
    /// The host.
    pub host: HostId,
    /// Counts the host's orders, from 1.
    pub number: u32,
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.number)
    }
}

impl FromStr for OrderId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || NameError::new("order", text, "expected HOST/NUMBER");
        let (host, number) = text.split_once('/').ok_or_else(refuse)?;
        Ok(Self { host: host.parse()?, number: number.parse().map_err(|_| refuse())? })
    }
}

serde_as_text!(OrderId);

/// The secret that an installer shows to get its answer file, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootToken(pub Secret);

/// How far an order has come. Only these transitions exist: each to the next, and any open one
/// to `Failed` or `Cancelled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// The install script is served to the host's MACs.
    Issued,
    /// The token was used; the host is sent to its disk from now on.
    Answered,
    /// The system is on the disk.
    Installed,
    /// The installed system answers, its NICs are in a bond.
    Bonded,
    /// Both ends of the bond were verified.
    Complete,
    /// Its attempts are used up. Its host has failed with it, and gets another order once it is resumed.
    Failed,
    /// A person withdrew it.
    Cancelled,
}

impl OrderState {
    /// Whether work is left.
    #[must_use]
    pub fn is_open(self) -> bool {
        self < Self::Complete
    }

    /// Whether an order in this state may be moved to `next`.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        let following = match self {
            Self::Issued => Self::Answered,
            Self::Answered => Self::Installed,
            Self::Installed => Self::Bonded,
            Self::Bonded => Self::Complete,
            Self::Complete | Self::Failed | Self::Cancelled => return false,
        };
        next == following || matches!(next, Self::Failed | Self::Cancelled)
    }

    /// All states.
    pub const ALL: [Self; 7] =
        [Self::Issued, Self::Answered, Self::Installed, Self::Bonded, Self::Complete, Self::Failed, Self::Cancelled];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Answered => "answered",
            Self::Installed => "installed",
            Self::Bonded => "bonded",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for OrderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for OrderState {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || NameError::new("order state", text, "expected one of issued … cancelled");
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(unknown)
    }
}

/// How fast LACP partners talk. Source: IEEE 802.1AX-2014 section 6.4.4 (`LACP_Timeout`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LacpRate {
    /// Each second.
    #[default]
    Fast,
    /// Every thirty seconds.
    Slow,
}

/// Which fields choose the link of a frame. Source: Linux `Documentation/networking/bonding.rst`, `xmit_hash_policy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HashPolicy {
    /// MAC addresses.
    #[serde(rename = "layer2")]
    Layer2,
    /// MAC and IP addresses: what switches and Linux have in common.
    #[default]
    #[serde(rename = "layer2+3")]
    Layer23,
    /// IP addresses and ports. Not strictly what IEEE 802.3ad asks for.
    #[serde(rename = "layer3+4")]
    Layer34,
}

/// Options of an 802.3ad bond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BondOptions {
    /// How fast LACP is spoken.
    pub lacp_rate: LacpRate,
    /// How a frame's link is chosen.
    pub xmit_hash_policy: HashPolicy,
    /// Milliseconds between two looks at each link.
    pub miimon: u32,
}

impl Default for BondOptions {
    fn default() -> Self {
        Self { lacp_rate: LacpRate::default(), xmit_hash_policy: HashPolicy::default(), miimon: 100 }
    }
}

impl BondOptions {
    /// As the bonding driver names and takes them, `mode` first.
    #[must_use]
    pub fn pairs(&self) -> [(&'static str, String); 4] {
        let rate = match self.lacp_rate {
            LacpRate::Fast => "fast",
            LacpRate::Slow => "slow",
        };
        let hash = match self.xmit_hash_policy {
            HashPolicy::Layer2 => "layer2",
            HashPolicy::Layer23 => "layer2+3",
            HashPolicy::Layer34 => "layer3+4",
        };
        [
            ("mode", "802.3ad".to_owned()),
            ("miimon", self.miimon.to_string()),
            ("lacp_rate", rate.to_owned()),
            ("xmit_hash_policy", hash.to_owned()),
        ]
    }
}

/// Where an installed host has its address from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Addressing {
    /// A reservation of the DHCP server.
    #[default]
    Dhcp,
    /// Its own configuration.
    Static {
        /// Length of the network's prefix.
        prefix_len: u8,
        /// The default gateway, if there is one.
        gateway: Option<IpAddr>,
        /// The DNS servers that it asks.
        dns: Vec<IpAddr>,
    },
}

/// How a host is attached to the network once it is installed: its NICs in a bond, or one NIC alone; the VLAN on top; where
/// its address comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPlan {
    /// Interface name: `bond0`, or the NIC's own.
    pub name: String,
    /// Its MAC. That of a bond is pinned to that of the NIC that booted, so that the DHCP reservation matches.
    pub mac: MacAddress,
    /// Member interfaces and their permanent MACs; the NIC itself where there is no bond.
    pub members: Vec<(String, MacAddress)>,
    /// Options of the bond; absent where one NIC stands alone. Orders of before had bonds only.
    #[serde(default = "LinkPlan::bonded")]
    pub bond: Option<BondOptions>,
    /// The tagged VLAN that carries the address.
    #[serde(default)]
    pub vlan: Option<VlanId>,
    /// Where the address comes from.
    #[serde(default)]
    pub addressing: Addressing,
}

impl LinkPlan {
    #[expect(clippy::unnecessary_wraps, reason = "the default of an optional field")]
    fn bonded() -> Option<BondOptions> {
        Some(BondOptions::default())
    }

    /// An 802.3ad bond with the usual options and DHCP.
    #[must_use]
    pub fn bond(name: impl Into<String>, mac: MacAddress, members: Vec<(String, MacAddress)>) -> Self {
        let addressing = Addressing::Dhcp;
        Self { name: name.into(), mac, members, bond: Self::bonded(), vlan: None, addressing }
    }

    /// One NIC alone, with DHCP.
    #[must_use]
    pub fn alone(name: impl Into<String>, mac: MacAddress) -> Self {
        let name = name.into();
        Self { members: vec![(name.clone(), mac)], name, mac, bond: None, vlan: None, addressing: Addressing::Dhcp }
    }

    /// The interface that has the address: `bond0`, `bond0.100`, `eno1`.
    #[must_use]
    pub fn interface(&self) -> String {
        self.vlan.map_or_else(|| self.name.clone(), |vlan| format!("{}.{vlan}", self.name))
    }
}

/// One approved installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Which.
    pub id: OrderId,
    /// What the host becomes.
    pub role: Role,
    /// Its host name.
    pub hostname: Hostname,
    /// The address reserved for it.
    pub address: IpAddr,
    /// Serial of the one disk that may be written.
    pub disk_serial: String,
    /// Stable path of that disk, `/dev/disk/by-id/…`.
    pub disk_path: String,
    /// How it is attached to the network in the end.
    pub link: LinkPlan,
    /// When it was given.
    pub issued_at: Timestamp,
    /// After this the token is refused.
    pub expires_at: Timestamp,
    /// How often its token was made anew after a failed installation; the first is 1.
    pub attempt: u32,
    /// How far it has come.
    pub state: OrderState,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_back() {
        let id = OrderId { host: HostId::derive("x", 0), number: 3 };
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("hc-1".parse::<OrderId>().is_err());
    }

    #[test]
    fn an_order_neither_skips_a_state_nor_goes_back() {
        use OrderState as S;
        assert!(
            S::Issued.may_become(S::Answered) && S::Bonded.may_become(S::Complete) && S::Issued.may_become(S::Failed)
        );
        for (from, to) in
            [(S::Issued, S::Installed), (S::Answered, S::Issued), (S::Failed, S::Issued), (S::Complete, S::Cancelled)]
        {
            assert!(!from.may_become(to), "{from} to {to}");
        }
    }

    #[test]
    fn open_states_come_before_closed_ones() {
        let open: Vec<_> = OrderState::ALL.into_iter().filter(|s| s.is_open()).collect();
        assert_eq!(open, [OrderState::Issued, OrderState::Answered, OrderState::Installed, OrderState::Bonded]);
    }
}
