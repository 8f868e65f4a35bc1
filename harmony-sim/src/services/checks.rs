//! The rules of `crate::checkers` that are about clusters.

use std::time::Duration;

use harmony_core::boot::OrderId;
use harmony_core::cluster::NodeKind;

use crate::checkers::{Rule, Violation};
use crate::cluster::{ClusterRule, Server};
use crate::machine::System;
use crate::world::{Shared, State};

impl State {
    /// What clusters themselves have found.
    pub(crate) fn cluster_violations(&self) -> Vec<Violation> {
        let all = self.services.installer.all().flat_map(|made| made.state.violations());
        let rule = |rule: ClusterRule| match rule {
            ClusterRule::ForeignApproved => Rule::ForeignApproved,
            ClusterRule::QuorumLost => Rule::QuorumAtRisk,
        };
        all.map(|found| Violation { at: found.at, rule: rule(found.rule), text: found.text.clone() }).collect()
    }

    /// Rule 10, when Harmony has done something to a master.
    pub(crate) fn check_quorum(&mut self, id: usize, now: Duration) {
        let Some(member) = self.system_member(id).filter(|member| member.kind == NodeKind::Master) else { return };
        let is_fellow = |other: &usize| {
            self.system_member(*other).is_some_and(|other| {
                other.kind == NodeKind::Master
                    && other.cluster == member.cluster
                    && other.generation == member.generation
                    && other.has_run
            })
        };
        let fellows: Vec<usize> = (0..self.machines.len()).filter(is_fellow).collect();
        let names: Vec<String> =
            fellows.iter().filter_map(|other| Some(self.system_of(*other)?.hostname.clone())).collect();
        // Before etcd is on the masters, they may come and go; once it has lost its quorum, that is told already.
        let has_quorum = self
            .services
            .installer
            .of_mut(&member)
            .is_some_and(|made| names.into_iter().any(|name| made.state.api_serves(now, &Server::Master(name))));
        if !has_quorum {
            return;
        }
        let away: Vec<String> = fellows
            .into_iter()
            .filter(|other| !self.runs_member(*other) || !self.is_reachable(*other, now))
            .map(|other| self.machines[other].name.clone())
            .collect();
        if away.len() > 1 {
            let text = format!(
                "{} are without power or network at once: etcd of {} bears the loss of one",
                away.join(" and "),
                member.cluster
            );
            self.violate(Rule::QuorumAtRisk, now, text);
        }
    }

    /// What the system on a machine's disk is in a cluster, whether or not it runs.
    fn system_member(&self, id: usize) -> Option<super::Member> {
        self.system_of(id)?.member.clone()
    }

    fn system_of(&self, id: usize) -> Option<&System> {
        self.machines[id].disks.iter().filter(|disk| disk.is_present).find_map(|disk| disk.system.as_ref())
    }
}

impl Shared {
    /// Rule 8, when a machine was given an answer file.
    pub(crate) async fn check_role_config(&self, id: usize, order: &OrderId, answer: &[u8]) {
        let is_secret = self.with(|state| {
            let text = String::from_utf8_lossy(answer);
            let mut known = state.services.installer.all().map(super::installer::Generation::mark);
            known.any(|mark| text.contains(&mark))
        });
        if !is_secret {
            return;
        }
        let macs = self.with(|state| state.machines[id].macs());
        let own = self.host_with(&macs).await;
        if own.as_ref() != Some(&order.host) {
            let now = self.now();
            self.with(|state| {
                let text = format!("{} was given the configuration of order {order}", state.machines[id].name);
                state.violate(Rule::RoleConfigOfOther, now, text);
            });
        }
    }
}
