//! Switch ports: their modes, their LACP state, who is behind them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::boot::PortKind;
use crate::error::{DeviceError, DeviceResult, FailureKind};
use crate::net::{LagName, MacAddress, PortRef, SwitchId, VlanId};

/// How a port is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mode")]
pub enum PortMode {
    /// Untagged in one VLAN.
    Access {
        /// The VLAN.
        vlan: VlanId,
    },
    /// Member of a LAG with LACP.
    Lacp {
        /// The LAG.
        lag: LagName,
        /// Its untagged VLAN.
        vlan: Option<VlanId>,
        /// Whether its ports work alone while no partner is heard.
        fallback: bool,
    },
    /// Anything else, in the device's own words.
    Unrecognised {
        /// As the device says.
        text: String,
    },
}

impl PortMode {
    /// What the invariant needs to know of it.
    #[must_use]
    pub fn kind(&self) -> PortKind {
        match self {
            Self::Access { .. } => PortKind::Access,
            Self::Lacp { fallback: true, .. } => PortKind::LacpFallback,
            Self::Lacp { fallback: false, .. } => PortKind::Lacp,
            Self::Unrecognised { .. } => PortKind::Unknown,
        }
    }
}

impl fmt::Display for PortMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access { vlan } => write!(f, "access VLAN {vlan}"),
            Self::Lacp { lag, vlan, fallback } => {
                write!(f, "LACP in {lag}")?;
                vlan.map_or(Ok(()), |vlan| write!(f, " VLAN {vlan}"))?;
                if *fallback { f.write_str(" with fallback") } else { Ok(()) }
            }
            Self::Unrecognised { text } => write!(f, "unrecognised: {text}"),
        }
    }
}

/// Link state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Carrier.
    Up,
    /// No carrier, or shut down.
    Down,
    /// Anything else, in the device's own words.
    Unrecognised(String),
}

/// LACP state of one port, as the switch sees it. Source: IEEE 802.1AX-2014 section 6.4.2.3.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LacpPortState {
    /// The switch's own system id.
    pub system: Option<MacAddress>,
    /// The partner's system id.
    pub partner: Option<MacAddress>,
    /// Attached to the aggregator that it belongs to.
    pub synchronised: bool,
    /// Accepts frames.
    pub collecting: bool,
    /// Sends frames.
    pub distributing: bool,
}

/// One port, as read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStatus {
    /// Which.
    pub port: PortRef,
    /// Link.
    pub link: LinkState,
    /// Mbit/s, where there is a link.
    pub speed_mbps: Option<u32>,
    /// Configuration.
    pub mode: PortMode,
    /// LACP state; only for members of a LAG.
    pub lacp: Option<LacpPortState>,
}

/// A LAG to be made of ports of one switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LagSpec {
    /// Its name.
    pub name: LagName,
    /// Its members. Where a switch lets one alone work while no partner is heard, that is the first.
    pub ports: Vec<PortRef>,
    /// Its untagged VLAN.
    pub vlan: VlanId,
    /// Whether its ports work alone while no partner is heard.
    pub fallback: bool,
}

/// A learnt address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacTableEntry {
    /// The address.
    pub mac: MacAddress,
    /// Where it was learnt.
    pub port: PortRef,
    /// In which VLAN.
    pub vlan: Option<VlanId>,
}

/// A neighbour that a switch hears on a port. Source: IEEE 802.1AB-2016 clause 8.5.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LldpNeighbour {
    /// Where it is heard.
    pub port: PortRef,
    /// Its chassis id, as text.
    pub chassis: String,
    /// Its port id, as text; a MAC for most hosts.
    pub port_id: String,
    /// Its system name.
    pub system_name: Option<String>,
}

/// Switches of a site.
///
/// Contract:
/// 1. Reads change nothing. `get_port_status` answers for every port it was asked for or fails;
///    asked for no port, it answers for all.
/// 2. `set_ports_access_mode` takes each port out of any LAG first; a LAG that loses its last
///    member is removed. It may be repeated.
/// 3. `set_ports_lacp_mode` makes the LAG and its members in one transaction where the device has
///    one. It may be repeated. LLDP stays enabled on the ports.
/// 4. Both read the device again and fail unless the ports are as asked.
/// 5. After an error of kind `Unreachable` the change may have taken effect.
#[async_trait]
pub trait Switch: Send + Sync {
    /// State of ports.
    async fn get_port_status(&self, ports: &[PortRef]) -> DeviceResult<Vec<PortStatus>>;
    /// Puts ports into access mode, untagged in `vlan`, as edge ports.
    async fn set_ports_access_mode(&self, ports: &[PortRef], vlan: VlanId) -> DeviceResult<()>;
    /// Bundles ports in a LAG with active LACP, fast rate.
    async fn set_ports_lacp_mode(&self, lag: &LagSpec) -> DeviceResult<()>;
    /// The MAC address table.
    async fn mac_table(&self) -> DeviceResult<Vec<MacTableEntry>>;
    /// LLDP neighbours heard.
    async fn lldp_neighbours(&self) -> DeviceResult<Vec<LldpNeighbour>>;

    /// Whether LAGs of a switch can be made whose ports work alone while no LACP partner is heard.
    fn lags_fall_back(&self, _switch: &SwitchId) -> bool {
        false
    }

    /// The commands that `set_ports_access_mode` would send, for the plan.
    fn access_mode_commands(&self, ports: &[PortRef], vlan: VlanId) -> Vec<String>;
    /// The commands that `set_ports_lacp_mode` would send, for the plan.
    fn lacp_mode_commands(&self, lag: &LagSpec) -> Vec<String>;

    /// The port where an address was learnt.
    async fn port_of_mac(&self, mac: MacAddress) -> DeviceResult<Option<PortRef>> {
        Ok(self.mac_table().await?.into_iter().find(|entry| entry.mac == mac).map(|entry| entry.port))
    }
}

/// Switches whose LAG ports can work alone while no LACP partner is heard.
#[async_trait]
pub trait LacpFallback: Switch {
    /// Turns fallback of an existing LAG on or off.
    async fn set_lacp_fallback(&self, switch: &SwitchId, lag: &LagName, enabled: bool) -> DeviceResult<()>;
}

/// The switches of a site behind one [`Switch`].
#[derive(Clone, Default)]
pub struct SwitchSet(BTreeMap<SwitchId, Arc<dyn Switch>>);

impl SwitchSet {
    /// Adds a switch.
    pub fn insert(&mut self, id: SwitchId, switch: Arc<dyn Switch>) {
        self.0.insert(id, switch);
    }

    /// The switches' names.
    pub fn ids(&self) -> impl Iterator<Item = &SwitchId> {
        self.0.keys()
    }

    fn get(&self, id: &SwitchId) -> DeviceResult<&Arc<dyn Switch>> {
        self.0.get(id).ok_or_else(|| {
            let known = self.0.keys().map(SwitchId::as_str).collect::<Vec<_>>().join(", ");
            DeviceError::new(FailureKind::Invalid, format!("no switch `{id}` in this site"))
                .hint(format!("the site file names: {known}"))
        })
    }

    /// Ports grouped by their switch.
    fn by_switch(ports: &[PortRef]) -> BTreeMap<&SwitchId, Vec<PortRef>> {
        let mut groups: BTreeMap<&SwitchId, Vec<PortRef>> = BTreeMap::new();
        for port in ports {
            groups.entry(&port.switch).or_default().push(port.clone());
        }
        groups
    }
}

#[async_trait]
impl Switch for SwitchSet {
    async fn get_port_status(&self, ports: &[PortRef]) -> DeviceResult<Vec<PortStatus>> {
        let mut all = Vec::new();
        if ports.is_empty() {
            for switch in self.0.values() {
                all.extend(switch.get_port_status(&[]).await?);
            }
        }
        for (id, group) in Self::by_switch(ports) {
            all.extend(self.get(id)?.get_port_status(&group).await?);
        }
        Ok(all)
    }

    async fn set_ports_access_mode(&self, ports: &[PortRef], vlan: VlanId) -> DeviceResult<()> {
        for (id, group) in Self::by_switch(ports) {
            self.get(id)?.set_ports_access_mode(&group, vlan).await?;
        }
        Ok(())
    }

    async fn set_ports_lacp_mode(&self, lag: &LagSpec) -> DeviceResult<()> {
        for (id, ports) in Self::by_switch(&lag.ports) {
            self.get(id)?.set_ports_lacp_mode(&LagSpec { ports, ..lag.clone() }).await?;
        }
        Ok(())
    }

    async fn mac_table(&self) -> DeviceResult<Vec<MacTableEntry>> {
        let mut all = Vec::new();
        for switch in self.0.values() {
            all.extend(switch.mac_table().await?);
        }
        Ok(all)
    }

    async fn lldp_neighbours(&self) -> DeviceResult<Vec<LldpNeighbour>> {
        let mut all = Vec::new();
        for switch in self.0.values() {
            all.extend(switch.lldp_neighbours().await?);
        }
        Ok(all)
    }

    fn lags_fall_back(&self, switch: &SwitchId) -> bool {
        self.0.get(switch).is_some_and(|own| own.lags_fall_back(switch))
    }

    fn access_mode_commands(&self, ports: &[PortRef], vlan: VlanId) -> Vec<String> {
        let groups = Self::by_switch(ports).into_iter();
        groups
            .flat_map(|(id, group)| self.0.get(id).map(|s| s.access_mode_commands(&group, vlan)).unwrap_or_default())
            .collect()
    }

    fn lacp_mode_commands(&self, lag: &LagSpec) -> Vec<String> {
        let groups = Self::by_switch(&lag.ports).into_iter();
        let commands = |(id, ports): (&SwitchId, Vec<PortRef>)| {
            self.0.get(id).map(|s| s.lacp_mode_commands(&LagSpec { ports, ..lag.clone() })).unwrap_or_default()
        };
        groups.flat_map(commands).collect()
    }
}
