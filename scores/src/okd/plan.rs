//! What the plans of all OKD Scores are made of: steps with their keys, and what they have in common.

use std::collections::BTreeMap;

use harmony_core::capability::{Artefacts, DnsRecord, LbService, Reservation};
use harmony_core::cluster::endpoints::{ClusterPhase, NodeAddress, dns_records, services};
use harmony_core::cluster::{MastersSchedulable, NodeKind};
use harmony_core::host::{Host, Role};
use harmony_core::net::{DnsName, NameError};
use harmony_core::score::{Bound, Change, Deferred, Plan, ScoreError, Step};

use super::action::OkdAction;
use super::cluster::Okd;
use super::observe::Observed;
use crate::host_provisioning::{self, ProvisioningAction};

/// A plan in the making.
pub(super) struct Builder<'a> {
    pub(super) okd: &'a Okd,
    pub(super) seen: &'a Observed,
    pub(super) plan: Plan<OkdAction>,
}

/// What a step says and does.
pub(super) struct Draft {
    /// The last part of its key.
    pub(super) what: String,
    pub(super) target: String,
    pub(super) sentence: String,
    pub(super) changes: Vec<Change>,
    pub(super) after: Vec<String>,
    pub(super) bound: Bound,
    pub(super) one_shot: bool,
    pub(super) action: OkdAction,
}

impl<'a> Builder<'a> {
    pub(super) fn new(okd: &'a Okd, seen: &'a Observed) -> Self {
        Self { okd, seen, plan: Plan::default() }
    }

    /// Adds a step; its key.
    pub(super) fn step(&mut self, draft: Draft) -> String {
        let Draft { what, target, sentence, changes, after, bound, one_shot, action } = draft;
        let key = self.okd.key(&what);
        self.plan.steps.push(Step {
            key: key.clone(),
            target,
            sentence,
            changes,
            expects: BTreeMap::new(),
            after,
            bound,
            budgets: Vec::new(),
            effects: Vec::new(),
            one_shot,
            action,
        });
        key
    }

    pub(super) fn cluster(&self) -> String {
        format!("cluster {}", self.okd.name())
    }

    pub(super) fn wait_for(&mut self, what: &str, waits_for: impl Into<String>, hint: Option<&str>) {
        self.plan.deferred.push(Deferred {
            key: self.okd.key(what),
            waits_for: waits_for.into(),
            hint: hint.map(str::to_owned),
            limit_s: (!self.seen.hosts.attended).then_some(self.okd.limits.wait_s),
        });
    }

    /// The steps that the hosts of a kind still need, from order to bundle. Each begins only after these steps.
    ///
    /// The keys of the steps that bring them up, without those that bundle their ports.
    pub(super) fn provision(
        &mut self,
        kind: NodeKind,
        made: &Artefacts,
        first: &[String],
        bundle_after: &[String],
    ) -> Result<Vec<String>, ScoreError> {
        let images = self.seen.installer.as_ref().map(|installer| &installer.images);
        let score = self.okd.provisioning(kind, Some(made), images, &self.seen.source, bundle_after);
        let plan = host_provisioning::plan(&score, &self.seen.hosts)?;
        let mut up = Vec::new();
        for mut step in plan.steps {
            let bundles = matches!(step.action, ProvisioningAction::Flip { .. });
            if step.after.is_empty() && !bundles {
                step.after.extend(first.iter().cloned());
            }
            if !bundles {
                up.push(step.key.clone());
            }
            let others = || self.okd.hostnames(kind);
            if bundles && kind == NodeKind::Master {
                // It waits for all masters first.
                step.bound.deadline_s += self.okd.limits.join_s;
            }
            let step = step.try_map(|action| {
                Ok::<_, ScoreError>(match (&action, kind) {
                    (ProvisioningAction::Flip { .. }, NodeKind::Master) => {
                        OkdAction::BundleMaster { action, masters: others() }
                    }
                    _ => OkdAction::Host { action },
                })
            })?;
            self.plan.steps.push(step);
        }
        self.plan.deferred.extend(plan.deferred);
        self.plan.situations.extend(plan.situations);
        Ok(up)
    }

    /// An address for each role that has a host and none yet, kept by its reservation.
    pub(super) fn reserve(&mut self) -> Vec<String> {
        let (okd, seen) = (self.okd, self.seen);
        let said = okd.said_addresses();
        let mut free = seen.hosts.free_addresses().filter(|address| !said.contains(address));
        let mut keys = Vec::new();
        for plan in &okd.plans {
            if seen.address(okd, &plan.role).is_some() && seen.hosts.reservation_of(&plan.hostname).is_some() {
                continue;
            }
            let has_left = plan.kind == NodeKind::Bootstrap && seen.is_bootstrapped;
            let Some(host) = seen.hosts.host_with(&plan.role).filter(|_| !has_left) else { continue };
            let Some(address) = seen.address(okd, &plan.role).or_else(|| free.next()) else {
                let waits_for =
                    format!("a free address for {}: all of the site's addresses for hosts are taken", plan.role);
                self.wait_for("addresses", waits_for, Some("widen `hosts` in the site file's [network]"));
                continue;
            };
            keys.push(self.keep(
                host,
                &plan.role,
                Reservation { hostname: plan.hostname.clone(), address, macs: host.macs().iter().copied().collect() },
            ));
        }
        keys
    }

    fn keep(&mut self, host: &Host, role: &Role, reservation: Reservation) -> String {
        self.step(Draft {
            what: format!("address-{role}"),
            target: format!("host {}", host.label()),
            sentence: format!("reserve {} for {}", reservation.address, reservation.hostname),
            changes: Vec::new(),
            after: Vec::new(),
            bound: Bound::new(3, 30),
            one_shot: false,
            action: OkdAction::Reserve { reservation },
        })
    }

    /// Where each node is; `None` while one of them has no address.
    fn nodes(&self) -> Option<Vec<NodeAddress>> {
        let (okd, seen) = (self.okd, self.seen);
        let wanted = okd.plans.iter().filter(|plan| !(plan.kind == NodeKind::Bootstrap && seen.is_bootstrapped));
        wanted
            .map(|plan| {
                let address = seen.address(okd, &plan.role)?;
                Some(NodeAddress { role: plan.role.clone(), kind: plan.kind, address })
            })
            .collect()
    }

    /// DNS records and services as they are to be in a phase; the keys of the steps, or `None` while that cannot be said.
    pub(super) fn names_and_services(
        &mut self,
        phase: ClusterPhase,
        after: &[String],
    ) -> Result<Option<Vec<String>>, ScoreError> {
        let (okd, seen) = (self.okd, self.seen);
        let Some(nodes) = self.nodes() else {
            self.wait_for("nodes", "every node to have an address", Some("each role needs a host: harmony hosts"));
            return Ok(None);
        };
        let failed = |source: NameError| ScoreError::Document {
            what: format!("name the nodes and services of cluster {}", okd.name()),
            source: source.into(),
        };
        let mut keys = Vec::new();
        if !seen.dns_is_external {
            let wanted = dns_records(&okd.description, &nodes, phase).map_err(failed)?;
            keys.extend(self.records(wanted, after).map_err(failed)?);
        }
        if !seen.balancer_is_external {
            let wanted = services(&okd.description, &nodes, phase).map_err(failed)?;
            keys.extend(self.services(wanted, after));
        }
        Ok(Some(keys))
    }

    fn records(&mut self, wanted: Vec<DnsRecord>, after: &[String]) -> Result<Vec<String>, NameError> {
        let seen = self.seen;
        let mut keys = Vec::new();
        for record in wanted.iter().filter(|record| !seen.dns.contains(record)) {
            keys.push(self.step(Draft {
                what: format!("name-{}", record.name.as_str().replace('*', "_")),
                target: format!("DNS name {}", record.name),
                sentence: format!("let {} be {}", record.name, record.address),
                changes: Vec::new(),
                after: after.to_vec(),
                bound: Bound::new(3, 60),
                one_shot: false,
                action: OkdAction::SetDns { record: record.clone() },
            }));
        }
        // Names below the cluster's domain that it has no more: the bootstrap's.
        let domain = format!(".{}", self.okd.description.domain()?);
        let ours = |name: &DnsName| name.as_str().ends_with(&domain);
        let gone = seen.dns.iter().filter(|record| ours(&record.name) && !wanted.iter().any(|w| w.name == record.name));
        for record in gone {
            keys.push(self.step(Draft {
                what: format!("no-name-{}", record.name),
                target: format!("DNS name {}", record.name),
                sentence: format!("let {} be no name any more", record.name),
                changes: Vec::new(),
                after: after.to_vec(),
                bound: Bound::new(3, 60),
                one_shot: false,
                action: OkdAction::RemoveDns { name: record.name.clone() },
            }));
        }
        Ok(keys)
    }

    fn services(&mut self, wanted: Vec<LbService>, after: &[String]) -> Option<String> {
        let seen = self.seen;
        let differ: Vec<LbService> = wanted.into_iter().filter(|service| !seen.services.contains(service)).collect();
        if differ.is_empty() {
            return None;
        }
        let names = differ.iter().map(|service| service.name.as_str()).collect::<Vec<_>>().join(", ");
        Some(self.step(Draft {
            what: "services".to_owned(),
            target: "load balancer".to_owned(),
            sentence: format!("balance {names}"),
            changes: Vec::new(),
            after: after.to_vec(),
            bound: Bound::new(3, 120),
            one_shot: false,
            action: OkdAction::SetServices { services: differ },
        }))
    }

    /// Puts the steps in an order in which each comes after those that it waits for; otherwise they stay as they are.
    pub(super) fn order_by_dependency(&mut self) {
        let mut left = std::mem::take(&mut self.plan.steps);
        while !left.is_empty() {
            let waits =
                |step: &Step<OkdAction>| step.after.iter().any(|key| left.iter().any(|other| other.key == *key));
            let (waiting, ready): (Vec<_>, Vec<_>) = left.iter().cloned().partition(waits);
            if ready.is_empty() {
                // They wait for each other: the engine says so.
                self.plan.steps.extend(left);
                return;
            }
            self.plan.steps.extend(ready);
            left = waiting;
        }
    }

    /// How far the running cluster has come, as far as names and services are concerned.
    pub(super) fn phase(&self) -> ClusterPhase {
        let Some(running) = &self.seen.running else { return ClusterPhase::Bootstrapping };
        let okd = self.okd;
        let workers = okd.hostnames(NodeKind::Worker);
        let is_worker = |name: &String| workers.iter().any(|worker| worker.as_str() == name);
        let moves = !workers.is_empty() && okd.description.masters_schedulable == MastersSchedulable::UntilWorkers;
        if moves && !running.ingress_nodes.is_empty() && running.ingress_nodes.iter().all(is_worker) {
            return ClusterPhase::Settled;
        }
        // Once all was installed, a worker that is away for a while changes nothing.
        if !running.is_complete && !running.unready(okd, NodeKind::Worker).is_empty() {
            return ClusterPhase::WorkersJoin;
        }
        if moves { ClusterPhase::IngressMoves } else { ClusterPhase::Settled }
    }
}
