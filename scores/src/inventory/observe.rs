//! What the inventory looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use futures::StreamExt;
use futures::stream;
use harmony_core::boot::{Order, OrderState};
use harmony_core::capability::{
    Bmc, DhcpServer, HostDiscovery, LldpNeighbour, MacTableEntry, PortStatus, PowerState, ProvisioningNetwork, Switch,
    Topology,
};
use harmony_core::error::FailureKind;
use harmony_core::host::{BmcId, Host, HostId};
use harmony_core::net::PortRef;
use harmony_core::score::{Context, ScoreError};
use jiff::Timestamp;
use uuid::Uuid;

use super::{Search, witness};

/// BMCs asked at once.
const BMCS_AT_ONCE: usize = 32;

/// What was read.
#[derive(Debug, Clone)]
pub struct Observed {
    pub(super) now: Timestamp,
    pub(super) hosts: Vec<Host>,
    pub(super) orders: Vec<Order>,
    pub(super) bmcs: BTreeMap<BmcId, BmcSeen>,
    /// Addresses at which an agent answers or announced itself, and that were not read since.
    pub(super) agents: BTreeSet<IpAddr>,
    pub(super) ports: Vec<PortStatus>,
    /// Ports of the site that hosts are plugged into.
    pub(super) host_ports: Vec<PortRef>,
    pub(super) mac_table: Vec<MacTableEntry>,
    pub(super) neighbours: Vec<LldpNeighbour>,
    /// Latest evidence of hosts that have not reported.
    pub(super) evidence: Vec<String>,
}

/// What a BMC said.
#[derive(Debug, Clone)]
pub(super) enum BmcSeen {
    /// It answers.
    Answers { power: PowerState, uuid: Option<Uuid> },
    /// It does not, or not now.
    Silent(String),
}

impl Observed {
    pub(super) async fn read<T>(cx: &Context<'_, T>, search: &Search) -> Result<Self, ScoreError>
    where
        T: Topology + ProvisioningNetwork + Switch + DhcpServer + Bmc + HostDiscovery,
    {
        let (topology, store) = (cx.topology, cx.store);
        let hosts = store.hosts().await?;
        let announced = store.unread_announcements().await?;
        let read: BTreeSet<IpAddr> =
            hosts.iter().filter(|host| !host.nics.is_empty()).filter_map(|host| host.address).collect();
        let mut agents: BTreeSet<IpAddr> = announced.into_iter().map(|(_, agent)| agent.ip()).collect();
        agents.extend(search.found.iter().filter(|address| !read.contains(address)));
        agents.retain(|address| !search.silent.contains(address));
        let ports = topology.get_port_status(&[]).await?;
        cx.saw_ports(&ports).await?;
        let evidence = store.latest_boot_events(6).await?;
        Ok(Self {
            now: cx.clock.now(),
            bmcs: read_bmcs(topology, &hosts).await?,
            hosts,
            orders: store.orders().await?,
            agents,
            ports,
            host_ports: topology.network().host_ports.clone(),
            mac_table: topology.mac_table().await?,
            neighbours: topology.lldp_neighbours().await?,
            evidence: evidence.iter().map(ToString::to_string).collect(),
        })
    }

    pub(super) fn facts(&self) -> BTreeMap<String, String> {
        let hosts = self.hosts.iter().map(|host| (format!("host {}", host.label()), host.lifecycle.to_string()));
        let bmcs = self.bmcs.iter().map(|(id, seen)| match seen {
            BmcSeen::Answers { power, .. } => (format!("power behind BMC {id}"), power.to_string()),
            BmcSeen::Silent(_) => (format!("power behind BMC {id}"), "not known".to_owned()),
        });
        let host_ports: BTreeSet<&PortRef> = self.host_ports.iter().collect();
        let ports = self.ports.iter().filter(|status| host_ports.contains(&status.port));
        let ports = ports.map(|status| (format!("port {}", status.port), status.mode.to_string()));
        hosts.chain(bmcs).chain(ports).collect()
    }

    /// What the witnesses say of a host's NICs.
    pub(super) fn witnesses(&self) -> witness::Sources<'_> {
        // A link between switches shows the MACs of the hosts behind the other one.
        let host_ports: BTreeSet<&PortRef> = self.host_ports.iter().collect();
        let learnt = self.mac_table.iter().filter(|entry| host_ports.contains(&entry.port));
        witness::Sources::new(&self.ports, learnt, &self.neighbours)
    }

    /// Hosts with an order, from its issue on: what it was issued for was known then, and from its
    /// installer on a host may show its bond's MAC on any of its ports.
    pub(super) fn ordered(&self) -> BTreeSet<&HostId> {
        let orders = self.orders.iter().filter(|order| order.state <= OrderState::Complete);
        orders.map(|order| &order.id.host).collect()
    }
}

/// Asks the BMCs that no known host has. A refused login is an error; silence is not.
async fn read_bmcs<T: Bmc>(topology: &T, hosts: &[Host]) -> Result<BTreeMap<BmcId, BmcSeen>, ScoreError> {
    let known: BTreeSet<&BmcId> = hosts.iter().filter_map(|host| host.bmc.as_ref()).collect();
    let asked = stream::iter(topology.bmcs().into_iter().filter(|bmc| !known.contains(bmc))).map(|bmc| async move {
        let power = topology.power_state(&bmc).await;
        let uuid = if power.is_ok() { topology.system_uuid(&bmc).await } else { Ok(None) };
        (bmc, power, uuid)
    });
    let mut seen = BTreeMap::new();
    for (bmc, power, uuid) in asked.buffer_unordered(BMCS_AT_ONCE).collect::<Vec<_>>().await {
        let answer = match (power, uuid) {
            (Ok(power), Ok(uuid)) => BmcSeen::Answers { power, uuid },
            (Err(error), _) | (_, Err(error)) => match error.kind() {
                FailureKind::Transient | FailureKind::Unreachable => {
                    BmcSeen::Silent(harmony_core::error::chain(&error))
                }
                _ => return Err(error.into()),
            },
        };
        seen.insert(bmc, answer);
    }
    Ok(seen)
}
