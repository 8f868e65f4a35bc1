//! Which ports differ from what is wanted, and whether a host allows the change. Pure.

use std::collections::{BTreeMap, BTreeSet};

use harmony_core::boot::{Effect, Order, OrderState, PortKind, Situation, Stage};
use harmony_core::capability::{LagSpec, PortMode, PortStatus};
use harmony_core::host::{Host, HostId};
use harmony_core::net::{PortRef, SwitchId, VlanId};
use harmony_core::score::{Bound, Plan, Step};

use super::{SwitchAction, SwitchAutomationScore, port_fact, port_facts};

/// What was read.
#[derive(Debug, Clone)]
pub struct Observed {
    ports: Vec<PortStatus>,
    /// Which host is behind a port, and whether it is bonded.
    owners: BTreeMap<PortRef, (HostId, Stage)>,
}

/// What runs on a host, by its latest order.
pub(crate) fn stage_of(order: Option<&Order>) -> Stage {
    match order.map(|order| order.state) {
        Some(OrderState::Bonded | OrderState::Complete) => Stage::Bonded,
        _ => Stage::Plain,
    }
}

/// Each host's latest order, of orders that are sorted by id.
pub(crate) fn latest(orders: &[Order]) -> BTreeMap<&HostId, &Order> {
    orders.iter().map(|order| (&order.id.host, order)).collect()
}

impl Observed {
    pub(super) fn new(ports: Vec<PortStatus>, hosts: &[Host], orders: &[Order]) -> Self {
        let (mut owners, latest) = (BTreeMap::new(), latest(orders));
        for host in hosts {
            let stage = stage_of(latest.get(&host.id).copied());
            for port in host.nics.iter().filter_map(|nic| nic.port.agreed()) {
                owners.insert(port, (host.id.clone(), stage));
            }
        }
        Self { ports, owners }
    }

    fn is_bonded(&self, port: &PortRef) -> bool {
        matches!(self.owners.get(port), Some((_, Stage::Bonded)))
    }

    /// Ports that must become access ports, by step key: one step for each switch and VLAN.
    fn access_changes(&self, score: &SwitchAutomationScore) -> BTreeMap<String, (Vec<PortRef>, VlanId)> {
        let mut changes: BTreeMap<String, (Vec<PortRef>, VlanId)> = BTreeMap::new();
        for status in &self.ports {
            if let Some(vlan) = score.access.get(&status.port)
                && status.mode != (PortMode::Access { vlan: *vlan })
                && !self.is_bonded(&status.port)
            {
                let key = format!("{}/access-{vlan}", status.port.switch);
                changes.entry(key).or_insert_with(|| (Vec::new(), *vlan)).0.push(status.port.clone());
            }
        }
        changes
    }

    fn lacp_changes<'a>(&self, score: &'a SwitchAutomationScore) -> Vec<&'a LagSpec> {
        let is_member = |lag: &LagSpec, port: &PortRef| {
            let status = self.ports.iter().find(|status| status.port == *port);
            let wanted = PortMode::Lacp { lag: lag.name.clone(), vlan: Some(lag.vlan), fallback: lag.fallback };
            status.is_some_and(|status| status.mode == wanted)
        };
        score.lags.iter().filter(|lag| !lag.ports.iter().all(|port| is_member(lag, port))).collect()
    }

    pub(super) fn plan(&self, score: &SwitchAutomationScore) -> Plan<SwitchAction> {
        let mut plan = Plan::default();
        let kinds: BTreeMap<&PortRef, PortKind> =
            self.ports.iter().map(|status| (&status.port, status.mode.kind())).collect();
        for (port, (host, stage)) in &self.owners {
            let idle = || Situation { stage: *stage, ports: BTreeMap::new() };
            let situation = plan.situations.entry(host.clone()).or_insert_with(idle);
            situation.ports.extend(kinds.get(port).map(|kind| (port.clone(), *kind)));
        }
        for (key, (ports, vlan)) in self.access_changes(score) {
            let sentence = format!("put {} in access mode, VLAN {vlan}", count(&ports));
            let action = SwitchAction::SetAccess { ports: ports.clone(), vlan };
            let mode = PortMode::Access { vlan };
            plan.steps.push(self.step(key, sentence, &ports, &mode, action));
        }
        for lag in self.lacp_changes(score) {
            let sentence = format!("bundle {} in {} with LACP", count(&lag.ports), lag.name);
            let mode = PortMode::Lacp { lag: lag.name.clone(), vlan: Some(lag.vlan), fallback: lag.fallback };
            plan.steps.push(self.step(
                lacp_key(lag),
                sentence,
                &lag.ports,
                &mode,
                SwitchAction::SetLacp { lag: lag.clone() },
            ));
        }
        // One after the other: two of them may concern the same host.
        let keys: Vec<String> = plan.steps.iter().map(|step| step.key.clone()).collect();
        for (step, previous) in plan.steps.iter_mut().skip(1).zip(keys) {
            step.after.push(previous);
        }
        plan
    }

    fn step(
        &self,
        key: String,
        sentence: String,
        ports: &[PortRef],
        mode: &PortMode,
        action: SwitchAction,
    ) -> Step<SwitchAction> {
        let mut switches: Vec<&SwitchId> = ports.iter().map(|port| &port.switch).collect();
        switches.dedup();
        let names = switches.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let wanted: BTreeSet<&PortRef> = ports.iter().collect();
        let expects = self.ports.iter().filter(|status| wanted.contains(&status.port));
        let mut effects: BTreeMap<&HostId, Vec<PortRef>> = BTreeMap::new();
        for port in ports {
            if let Some((host, _)) = self.owners.get(port) {
                effects.entry(host).or_default().push(port.clone());
            }
        }
        Step {
            target: format!("switch {names}"),
            sentence,
            changes: Vec::new(),
            expects: expects.map(|status| (port_fact(&status.port), status.mode.to_string())).collect(),
            after: Vec::new(),
            bound: Bound::new(3, 60),
            budgets: switches.iter().map(|id| format!("switch/{id}")).collect(),
            effects: effects
                .into_iter()
                .map(|(host, ports)| Effect::Ports { host: host.clone(), ports, mode: mode.kind() })
                .collect(),
            one_shot: false,
            action,
            key,
        }
    }

    pub(super) fn facts(&self) -> BTreeMap<String, String> {
        port_facts(&self.ports)
    }
}

fn lacp_key(lag: &LagSpec) -> String {
    let switch = lag.ports.first().map_or("none", |port| port.switch.as_str());
    format!("{switch}/{}", lag.name)
}

fn count(ports: &[PortRef]) -> String {
    match ports {
        [one] => format!("port {one}"),
        many => {
            format!("{} ports ({})", many.len(), many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        }
    }
}
