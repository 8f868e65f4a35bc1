//! Switch ports in the mode that is wanted, for ports that no host depends on otherwise.
//!
//! Its usual use is [`SwitchAutomationScore::ready_to_boot`]: every port that hosts are plugged
//! into is an access port of the provisioning VLAN, so that unknown hosts can boot over any NIC.
//! The ports of an installed host belong to its bond and are left alone.

mod plan;

use std::collections::BTreeMap;

use async_trait::async_trait;
use harmony_core::boot::Order;
use harmony_core::capability::{LagSpec, PortStatus, Switch, Topology};
use harmony_core::host::Host;
use harmony_core::net::{PortRef, VlanId};
use harmony_core::score::{Change, Context, Plan, Score, ScoreError, StepContext};
use serde::{Deserialize, Serialize};

pub use plan::Observed;
pub(crate) use plan::{latest, stage_of};

/// Wants ports in access mode, and groups of ports in LACP mode.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchAutomationScore {
    /// Ports that are to be untagged in a VLAN.
    pub access: BTreeMap<PortRef, VlanId>,
    /// Groups that are to be bundled. Refused where a host behind them is not bonded.
    pub lags: Vec<LagSpec>,
}

impl SwitchAutomationScore {
    /// Wants every one of these ports ready for a network boot.
    #[must_use]
    pub fn ready_to_boot(ports: impl IntoIterator<Item = PortRef>, vlan: VlanId) -> Self {
        Self { access: ports.into_iter().map(|port| (port, vlan)).collect(), lags: Vec::new() }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum SwitchAction {
    /// Puts ports of one switch into access mode.
    SetAccess {
        /// The ports.
        ports: Vec<PortRef>,
        /// Their VLAN.
        vlan: VlanId,
    },
    /// Bundles ports.
    SetLacp {
        /// The group.
        lag: LagSpec,
    },
}

#[async_trait]
impl<T: Topology + Switch> Score<T> for SwitchAutomationScore {
    type Observed = Observed;
    type Action = SwitchAction;

    fn name(&self) -> String {
        "SwitchAutomation".to_owned()
    }

    async fn observe(&self, cx: &Context<'_, T>) -> Result<Observed, ScoreError> {
        let ports: Vec<PortRef> =
            self.access.keys().chain(self.lags.iter().flat_map(|lag| &lag.ports)).cloned().collect();
        let status = if ports.is_empty() { Vec::new() } else { cx.topology.get_port_status(&ports).await? };
        cx.saw_ports(&status).await?;
        let hosts: Vec<Host> = cx.store.hosts().await?;
        let orders: Vec<Order> = cx.store.orders().await?;
        Ok(Observed::new(status, &hosts, &orders))
    }

    fn plan(&self, observed: &Observed) -> Result<Plan<SwitchAction>, ScoreError> {
        Ok(observed.plan(self))
    }

    fn describe(&self, topology: &T, action: &SwitchAction) -> Vec<Change> {
        match action {
            SwitchAction::SetAccess { ports, vlan } => commands(ports, topology.access_mode_commands(ports, *vlan)),
            SwitchAction::SetLacp { lag } => commands(&lag.ports, topology.lacp_mode_commands(lag)),
        }
    }

    fn facts(&self, observed: &Observed) -> BTreeMap<String, String> {
        observed.facts()
    }

    async fn apply(&self, cx: &StepContext<'_, T>, action: &SwitchAction) -> Result<(), ScoreError> {
        match action {
            SwitchAction::SetAccess { ports, vlan } => cx.cx.topology.set_ports_access_mode(ports, *vlan).await?,
            SwitchAction::SetLacp { lag } => cx.cx.topology.set_ports_lacp_mode(lag).await?,
        }
        Ok(())
    }

    async fn current_facts(
        &self,
        cx: &Context<'_, T>,
        names: &[String],
    ) -> Result<BTreeMap<String, String>, ScoreError> {
        current_port_facts(cx.topology, names).await
    }
}

/// Commands to the switch of these ports, as a plan shows them.
pub(crate) fn commands(ports: &[PortRef], commands: Vec<String>) -> Vec<Change> {
    let device = ports.first().map_or_else(String::new, |port| format!("switch {}", port.switch));
    commands.into_iter().map(|text| Change::Command { device: device.clone(), text }).collect()
}

/// Reads the ports that these facts are about again.
pub(crate) async fn current_port_facts<T: Switch>(
    topology: &T,
    names: &[String],
) -> Result<BTreeMap<String, String>, ScoreError> {
    let ports: Vec<PortRef> = names.iter().filter_map(|name| name.strip_prefix("port ")?.parse().ok()).collect();
    Ok(port_facts(&topology.get_port_status(&ports).await?))
}

/// The facts that plans name of ports: `port rack/p0` → `access VLAN 10`.
pub(crate) fn port_facts(ports: &[PortStatus]) -> BTreeMap<String, String> {
    ports.iter().map(|status| (port_fact(&status.port), status.mode.to_string())).collect()
}

/// The fact's name.
pub(crate) fn port_fact(port: &PortRef) -> String {
    format!("port {port}")
}
