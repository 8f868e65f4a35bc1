//! One bridge of Open vSwitch as its database describes it, read in one transaction.
//!
//! Owns the meaning of the columns of `Port` and `Interface`; does not know LACP's state, which the
//! database does not hold ([`super::lacp`]).
//! Source: ovs-vswitchd.conf.db(5), tables Bridge, Port, Interface.

use std::collections::BTreeMap;

use harmony_core::capability::{LinkState, PortMode};
use harmony_core::net::VlanId;

use super::table::{self, Row, TableError};

/// Characters kept of a text that is only shown.
const MAX_TEXT_CHARS: usize = 200;

/// Columns of `Port` that are read.
pub(super) const PORT_COLUMNS: &str = "_uuid,name,tag,trunks,vlan_mode,lacp,bond_mode,other_config,interfaces";
/// Columns of `Interface` that are read.
pub(super) const INTERFACE_COLUMNS: &str = "_uuid,name,type,link_state,admin_state,link_speed,error,lldp,ofport";

/// A row of `Interface`: what is called a port everywhere but here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    /// Empty and `system` are network devices of the kernel.
    pub(super) kind: String,
    pub(super) link: LinkState,
    pub(super) speed_mbps: Option<u32>,
    pub(super) lldp: bool,
    /// OpenFlow port number, by which the MAC table names it.
    pub(super) ofport: Option<i64>,
}

/// A row of `Port`: one interface, or a bond of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) name: String,
    tag: Option<i64>,
    trunks: usize,
    vlan_mode: Option<String>,
    lacp: Option<String>,
    bond_mode: Option<String>,
    other_config: BTreeMap<String, String>,
    pub(super) members: Vec<Interface>,
}

/// All ports of one bridge, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) ports: Vec<Port>,
}

impl Snapshot {
    /// Reads the answer to `list Bridge` (ports), `list Port`, `list Interface`, in this order.
    pub(super) fn parse(stdout: &[u8]) -> Result<Self, TableError> {
        let [bridges, ports, interfaces] = table::parse::<3>(stdout)?;
        let bridge = bridges.first().ok_or(TableError::Column { column: "ports" })?;
        let by_uuid = |rows: Vec<Row>| -> Result<BTreeMap<String, Row>, TableError> {
            let keyed = |row: Row| Ok((row.uuids("_uuid")?.into_iter().next().unwrap_or_default(), row));
            rows.into_iter().map(keyed).collect()
        };
        let (ports, interfaces) = (by_uuid(ports)?, by_uuid(interfaces)?);
        let rows = bridge.uuids("ports")?;
        let mut ports: Vec<Port> = rows
            .iter()
            .filter_map(|uuid| ports.get(uuid))
            .map(|row| Port::read(row, &interfaces))
            .collect::<Result<_, _>>()?;
        ports.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { ports })
    }

    /// The interface of this name and the port that it is in.
    pub(super) fn find(&self, interface: &str) -> Option<(&Port, &Interface)> {
        let found = |port| Port::member(port, interface).map(|member| (port, member));
        self.ports.iter().find_map(found)
    }

    /// The port of this name.
    pub(super) fn port(&self, name: &str) -> Option<&Port> {
        self.ports.iter().find(|port| port.name == name)
    }
}

impl Port {
    fn read(row: &Row, interfaces: &BTreeMap<String, Row>) -> Result<Self, TableError> {
        let members = row.uuids("interfaces")?;
        let mut members: Vec<Interface> =
            members.iter().filter_map(|uuid| interfaces.get(uuid)).map(Interface::read).collect::<Result<_, _>>()?;
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            name: row.text("name")?,
            tag: row.number("tag")?,
            trunks: row.len("trunks")?,
            vlan_mode: row.optional_text("vlan_mode")?,
            lacp: row.optional_text("lacp")?,
            bond_mode: row.optional_text("bond_mode")?,
            other_config: row.map("other_config")?,
            members,
        })
    }

    fn member(&self, interface: &str) -> Option<&Interface> {
        self.members.iter().find(|member| member.name == interface)
    }

    fn config(&self, key: &str) -> Option<&str> {
        self.other_config.get(key).map(String::as_str)
    }

    /// Whether its interfaces speak LACP, so that its name is that of a LAG.
    pub(super) fn is_lag(&self) -> bool {
        self.members.len() > 1 || self.lacp.as_deref().is_some_and(|lacp| lacp != "off")
    }

    /// The VLAN of its untagged frames. VLAN 0 means "priority tag only" and is none.
    fn untagged(&self) -> Option<VlanId> {
        let native = matches!(self.vlan_mode.as_deref(), None | Some("access" | "native-untagged"));
        let tag = self.tag.filter(|_| native)?;
        u16::try_from(tag).ok().and_then(|tag| VlanId::try_from(tag).ok())
    }

    /// How it is configured, in words of the capability.
    pub(super) fn mode(&self) -> PortMode {
        let plain = matches!(self.vlan_mode.as_deref(), None | Some("access")) && self.trunks == 0;
        let unrecognised = |what: String| PortMode::Unrecognised { text: what.chars().take(MAX_TEXT_CHARS).collect() };
        match (self.lacp.as_deref(), self.untagged()) {
            (Some("active"), vlan) => match self.name.parse() {
                Ok(lag) => PortMode::Lacp { lag, vlan, fallback: self.config("lacp-fallback-ab") == Some("true") },
                Err(_) => unrecognised(format!("LACP in a bond named {:?}", self.name)),
            },
            (None | Some("off"), _) if self.members.len() > 1 => {
                unrecognised(format!("bond {} without LACP", self.name))
            }
            (None | Some("off"), Some(vlan)) if plain => PortMode::Access { vlan },
            (None | Some("off"), _) => unrecognised(format!(
                "{}, tag {}, {} trunk VLANs",
                self.vlan_mode.as_deref().unwrap_or("trunk"),
                self.tag.map_or("none".to_owned(), |tag| tag.to_string()),
                if self.trunks == 0 { "all".to_owned() } else { self.trunks.to_string() },
            )),
            (Some(other), _) => unrecognised(format!("LACP {other} in {}", self.name)),
        }
    }

    /// Whether it is an access port of `vlan` that answers LLDP, so that nothing is left to write.
    pub(super) fn is_access(&self, vlan: VlanId) -> bool {
        self.mode() == PortMode::Access { vlan } && self.members.iter().all(|member| member.lldp)
    }

    /// Whether it is exactly the LAG that `set_ports_lacp_mode` makes; `alone` works while no partner is heard.
    pub(super) fn is_lag_of(&self, members: &[&str], vlan: VlanId, alone: Option<&str>) -> bool {
        self.members.iter().map(|member| member.name.as_str()).eq(members.iter().copied())
            && matches!(self.mode(), PortMode::Lacp { vlan: v, fallback: f, .. } if v == Some(vlan) && f == alone.is_some())
            && alone.is_none_or(|alone| self.config("bond-primary") == Some(alone))
            && self.trunks == 0
            && self.bond_mode.as_deref() == Some("balance-tcp")
            && self.config("lacp-time") == Some("fast")
            && self.members.iter().all(|member| member.lldp)
    }
}

impl Interface {
    fn read(row: &Row) -> Result<Self, TableError> {
        let (admin, link) = (row.optional_text("admin_state")?, row.optional_text("link_state")?);
        let link = match (admin.as_deref(), link.as_deref()) {
            (_, None) => {
                let error = row.optional_text("error")?.unwrap_or_else(|| "no link state".to_owned());
                LinkState::Unrecognised(error.chars().take(MAX_TEXT_CHARS).collect())
            }
            (Some("down"), _) | (_, Some("down")) => LinkState::Down,
            (_, Some("up")) => LinkState::Up,
            (_, Some(other)) => LinkState::Unrecognised(other.to_owned()),
        };
        // The column is in bit/s.
        let speed = row.number("link_speed")?.and_then(|bits| u32::try_from(bits / 1_000_000).ok());
        Ok(Self {
            name: row.text("name")?,
            kind: row.text("type")?,
            speed_mbps: speed.filter(|speed| *speed > 0 && link == LinkState::Up),
            link,
            lldp: row.map("lldp")?.get("enable").is_some_and(|enable| enable == "true"),
            ofport: row.number("ofport")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RACK: &[u8] = include_bytes!("testdata/list-bridge-port-interface.jsonl");

    #[test]
    fn a_recorded_rack() {
        let rack = Snapshot::parse(RACK).expect("recorded");
        let lines: Vec<String> = rack
            .ports
            .iter()
            .flat_map(|port| {
                port.members.iter().map(|m| {
                    format!(
                        "{} {}: {:?} {:?} lldp {} | {}",
                        port.name,
                        m.name,
                        m.link,
                        m.speed_mbps,
                        m.lldp,
                        port.mode()
                    )
                })
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn what_is_exactly_as_wanted_needs_no_write() {
        let rack = Snapshot::parse(RACK).expect("recorded");
        let vlan = |id: u16| VlanId::try_from(id).expect("valid");
        let lag = rack.port("lag1").expect("recorded");
        assert!(lag.is_lag_of(&["sw0", "sw1"], vlan(10), None));
        assert!(!lag.is_lag_of(&["sw0", "sw1"], vlan(11), None), "VLAN");
        assert!(!lag.is_lag_of(&["sw0", "sw1"], vlan(10), Some("sw0")), "fallback");
        assert!(!lag.is_lag_of(&["sw0"], vlan(10), None), "members");
        let (access, _) = rack.find("sw2").expect("recorded");
        assert!(access.is_access(vlan(10)) && !access.is_access(vlan(11)));
        let (silent, _) = rack.find("ctl0").expect("recorded");
        assert!(!silent.is_access(vlan(10)), "LLDP is off");
    }

    #[test]
    fn only_the_ports_of_the_bridge_are_seen() {
        let rack = Snapshot::parse(RACK).expect("recorded");
        assert!(rack.find("host").is_none(), "it is on another bridge");
    }
}
