//! From a system on the disk to the bundle: the host's bond, then the switch's.

use std::collections::BTreeSet;

use harmony_core::boot::{Effect, OrderState};
use harmony_core::capability::{LagSpec, PortMode};
use harmony_core::host::Lifecycle;
use harmony_core::net::{PortRef, SwitchId};
use harmony_core::score::{Bound, Change};

use super::chain::{Chain, Decided};
use crate::host_provisioning::bond::awaited;
use crate::host_provisioning::{Bundling, ProvisioningAction};

impl Chain<'_> {
    pub(super) fn await_bond(&mut self, decided: &Decided<'_>) {
        let draft = &decided.draft;
        let awaited = awaited(&draft.link);
        let sentence = format!("wait until {} answers at {} with its {awaited} up", draft.hostname, draft.address);
        let mode =
            if draft.link.bond.is_some() { format!(", {} in 802.3ad mode", draft.link.name) } else { String::new() };
        let text = format!("SSH at {}{mode}", draft.address);
        let bound = Bound::new(1, self.site.score.start_limit_s);
        let action = ProvisioningAction::AwaitBond { order: draft.id.clone() };
        self.push(format!("{}/bond", self.host.id), sentence, vec![Change::Wait { text }], bound, Vec::new(), action);
    }

    /// Notes that the host is in use, without bundling anything.
    pub(super) fn settle(&mut self, decided: &Decided<'_>) {
        let complete = decided.order.is_some_and(|order| order.state == OrderState::Complete);
        if complete && self.host.lifecycle == Lifecycle::Provisioned {
            return;
        }
        let id = decided.draft.id.clone();
        let changes = vec![Change::Record { name: format!("order {id}"), text: "complete".to_owned() }];
        let sentence = format!("note that {} is in use", decided.draft.hostname);
        let action = ProvisioningAction::Settle { order: id };
        self.push(format!("{}/settled", self.host.id), sentence, changes, Bound::new(3, 30), Vec::new(), action);
    }

    /// The bundle that its ports end in.
    pub(super) fn lag(&self, decided: &Decided<'_>) -> Option<LagSpec> {
        let name = format!("lag-{}", decided.draft.role).parse().ok()?;
        let fallback = self.setup.bundle == Bundling::WithFallback;
        let mut ports = decided.ports.clone();
        if fallback {
            // Firmware tries the NIC first by which it has booted before.
            let boots = |port: &PortRef| {
                self.host.nics.iter().any(|nic| nic.booted && nic.port.agreed().as_ref() == Some(port))
            };
            ports.sort_by_key(|port| !boots(port));
        }
        Some(LagSpec { name, ports, vlan: self.site.seen.network.vlan, fallback })
    }

    pub(super) fn flip(&mut self, decided: &Decided<'_>) {
        let draft = &decided.draft;
        let vlan = self.site.seen.network.vlan;
        let Some(lag) = self.lag(decided) else { return };
        let wanted = PortMode::Lacp { lag: lag.name.clone(), vlan: Some(vlan), fallback: lag.fallback };
        let bundled =
            lag.ports.iter().all(|port| self.site.seen.ports.get(port).is_some_and(|status| status.mode == wanted));
        let complete = decided.order.is_some_and(|order| order.state == OrderState::Complete);
        if complete && bundled && self.host.lifecycle == Lifecycle::Provisioned {
            return;
        }
        let names = lag.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let sentence = format!(
            "bundle {names} with LACP, verify both ends, go back to access after {} s",
            self.site.score.flip_limit_s
        );
        let changes = vec![Change::Record { name: format!("order {}", draft.id), text: "complete".to_owned() }];
        let effects = vec![Effect::Ports { host: self.host.id.clone(), ports: lag.ports.clone(), mode: wanted.kind() }];
        let bound = Bound::new(1, self.site.score.flip_limit_s + 120);
        let ports = lag.ports.clone();
        let action = ProvisioningAction::Flip { order: draft.id.clone(), lag };
        self.push(format!("{}/flip", self.host.id), sentence, changes, bound, effects, action);
        // The ports' present mode is expected only where no step of this plan changes it first.
        if decided.order.is_some_and(|order| order.state >= OrderState::Installed) {
            self.expect_ports(&ports);
        }
        let quorum = self.site.score.quorum_groups.iter().filter(|group| group.contains(&draft.role));
        let quorum = quorum.filter_map(|group| Some(format!("quorum/{}", group.first()?)));
        self.take(flip_budgets(&ports).into_iter().chain(quorum));
        if let Bundling::After { steps } = self.setup.bundle.clone() {
            self.only_after(steps);
        }
    }
}

/// Flips wait for LACP most of their time, and share a switch. Those across two switches, which are an MLAG
/// pair, go one at a time: each moves what the pair agrees on.
fn flip_budgets(ports: &[PortRef]) -> Vec<String> {
    let switches: BTreeSet<&SwitchId> = ports.iter().map(|port| &port.switch).collect();
    let mut budgets: Vec<String> = switches.iter().map(|switch| format!("flip/{switch}")).collect();
    if switches.len() > 1 {
        let names: Vec<&str> = switches.iter().map(|switch| switch.as_str()).collect();
        budgets.push(format!("pair/{}", names.join("+")));
    }
    budgets
}
