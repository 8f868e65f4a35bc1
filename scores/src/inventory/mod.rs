//! Every machine of the site known: found, its hardware read, its cables traced, its BMC recognised.
//!
//! Machines are found three ways: they announce themselves through the boot server, they hold a
//! lease, or a scan of the provisioning network meets their agent. A machine whose BMC is known
//! and that is off is switched on to boot the inventory environment.
//!
//! Read next: `plan` for the pure part, `witness` for how a NIC's switch port is found.

mod observe;
mod plan;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{
    Bmc, BootDevice, DhcpServer, HostDiscovery, PowerAction, ProvisioningNetwork, Switch, Topology,
};
use harmony_core::error::{DeviceError, FailureKind, chain};
use harmony_core::host::{BmcId, HostId, PortWitnesses};
use harmony_core::net::MacAddress;
use harmony_core::score::{Change, Context, Plan, Score, ScoreError, StepContext};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Instant;

pub use observe::Observed;
pub(crate) use plan::plan;

/// Between two searches of the network for agents that did not announce themselves.
const SCAN_INTERVAL: Duration = Duration::from_secs(10);
/// Between two readings of a host that has not heard LLDP yet.
const READ_AGAIN: Duration = Duration::from_secs(4);

/// The last search of the network. Announcements are looked at more often than it is searched.
#[derive(Debug, Default)]
struct Search {
    at: Option<Instant>,
    /// Where an agent listened.
    found: Vec<IpAddr>,
    /// Those that did not answer when they were to be read.
    silent: BTreeSet<IpAddr>,
}

/// How many machines are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// The one behind each BMC.
    EachBmc,
    /// So many.
    AtLeast(usize),
    /// Whatever appears, for ever.
    Any,
}

/// Wants machines to be known.
#[derive(Debug, Serialize, Deserialize)]
pub struct InventoryScore {
    /// How many machines there must be.
    pub expect: Expected,
    /// Whether to switch on machines that are off and not known.
    pub power_on: bool,
    /// How long to wait for machines that have not reported, in seconds.
    pub limit_s: u64,
    #[serde(skip)]
    search: Mutex<Search>,
}

impl Default for InventoryScore {
    fn default() -> Self {
        Self { expect: Expected::EachBmc, power_on: true, limit_s: 1800, search: Mutex::default() }
    }
}

impl InventoryScore {
    /// Wants this many machines.
    #[must_use]
    pub fn of(machines: usize) -> Self {
        Self { expect: Expected::AtLeast(machines), ..Self::default() }
    }

    /// Wants whatever machines appear, for ever, and switches none on.
    #[must_use]
    pub fn watching() -> Self {
        Self { expect: Expected::Any, power_on: false, ..Self::default() }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum InventoryAction {
    /// Switches a machine on, to boot from the network.
    PowerOn {
        /// Its BMC.
        bmc: BmcId,
    },
    /// Reads and stores the report of the agent at an address.
    ReadReport {
        /// The address.
        address: IpAddr,
    },
    /// Reads a host's agent again and again, until each connected NIC has heard LLDP or it is given up.
    HearLldp {
        /// The host.
        host: HostId,
        /// Where it answers.
        address: IpAddr,
    },
    /// Stores which switch port a NIC is plugged into, as the witnesses say.
    RecordPort {
        /// The host.
        host: HostId,
        /// The NIC.
        nic: MacAddress,
        /// What they say.
        port: PortWitnesses,
    },
    /// Stores that a BMC belongs to a host.
    RecordBmc {
        /// The host.
        host: HostId,
        /// Its BMC.
        bmc: BmcId,
    },
}

#[async_trait]
impl<T> Score<T> for InventoryScore
where
    T: Topology + ProvisioningNetwork + Switch + DhcpServer + Bmc + HostDiscovery,
{
    type Observed = Observed;
    type Action = InventoryAction;

    fn name(&self) -> String {
        "Inventory".to_owned()
    }

    async fn observe(&self, cx: &Context<'_, T>) -> Result<Observed, ScoreError> {
        let mut search = self.search.lock().await;
        if search.at.is_none_or(|at| at.elapsed() >= SCAN_INTERVAL) {
            *search = Search { at: Some(Instant::now()), found: cx.topology.scan().await?, silent: BTreeSet::new() };
        }
        Observed::read(cx, &search).await
    }

    fn plan(&self, observed: &Observed) -> Result<Plan<InventoryAction>, ScoreError> {
        Ok(plan::plan(self, observed))
    }

    fn describe(&self, topology: &T, action: &InventoryAction) -> Vec<Change> {
        let InventoryAction::PowerOn { bmc } = action else { return Vec::new() };
        let commands = topology.power_commands(bmc, PowerAction::On, BootDevice::Network, None);
        commands.into_iter().map(|text| Change::Command { device: format!("BMC {bmc}"), text }).collect()
    }

    fn facts(&self, observed: &Observed) -> BTreeMap<String, String> {
        observed.facts()
    }

    async fn apply(&self, scx: &StepContext<'_, T>, action: &InventoryAction) -> Result<(), ScoreError> {
        let (topology, store) = (scx.cx.topology, scx.cx.store);
        match action {
            InventoryAction::PowerOn { bmc } => {
                topology.set_next_boot(bmc, BootDevice::Network, None).await?;
                topology.power(bmc, PowerAction::On).await?;
            }
            InventoryAction::ReadReport { address } => match read_report(scx, *address).await {
                // It was there a moment ago: most likely it restarts. The next search, or its next
                // announcement, finds it again.
                Err(ScoreError::Device(error)) if error.kind() == FailureKind::Unreachable => {
                    scx.waiting(format!("the agent at {address} to answer"), vec![chain(&error)]).await?;
                    self.search.lock().await.silent.insert(*address);
                }
                result => result?,
            },

            InventoryAction::HearLldp { host, address } => hear_lldp(scx, host, *address).await?,
            InventoryAction::RecordPort { host, nic, port } => store.set_port_witnesses(host, *nic, port).await?,
            InventoryAction::RecordBmc { host, bmc } => store.set_bmc(host, bmc).await?,
        }
        Ok(())
    }

    fn poll_interval(&self) -> Duration {
        Duration::from_secs(1)
    }
}

pub(crate) async fn read_report<T: HostDiscovery>(scx: &StepContext<'_, T>, address: IpAddr) -> Result<(), ScoreError> {
    let reply = scx.cx.topology.fetch_report(address).await?;
    let body = std::str::from_utf8(&reply.body).map_err(|source| {
        DeviceError::new(FailureKind::Invalid, format!("the agent at {address} does not answer in UTF-8"))
            .because(source)
            .hint(format!("look at it: curl http://{}/", reply.address))
    })?;
    scx.cx.store.record_report(address, body, scx.cx.clock.now()).await?;
    Ok(())
}

async fn hear_lldp<T: HostDiscovery>(scx: &StepContext<'_, T>, id: &HostId, address: IpAddr) -> Result<(), ScoreError> {
    loop {
        let Some(host) = scx.cx.store.host(id).await? else { return Ok(()) };
        let silent: Vec<&str> = host
            .nics
            .iter()
            .filter(|n| n.carrier == Some(true) && n.lldp.is_empty())
            .map(|n| n.name.as_str())
            .collect();
        let waited = host.discovered_at.map_or(i64::MAX, |at| scx.cx.clock.now().duration_since(at).as_secs());
        if silent.is_empty() || waited > plan::LLDP_PATIENCE_S {
            return Ok(());
        }
        scx.waiting(format!("LLDP on {} of {}", silent.join(", "), host.label()), Vec::new()).await?;
        scx.pause(READ_AGAIN).await?;
        // A host that does not answer just now may answer next time; its report was read before.
        if let Err(error) = read_report(scx, address).await {
            scx.waiting(format!("{} to answer again", host.label()), vec![chain(&error)]).await?;
        }
    }
}
