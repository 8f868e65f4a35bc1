//! A cluster as its own machines make it: who has joined, what works already, and how long all of it takes.
//!
//! Owns what happens between a kubelet's first request and an installed cluster. Pure: every method is told the
//! world's time, nothing is read or sent, and chance is seeded. Deliberately does not know machines, disks, networks or
//! load balancers: whoever simulates those says when a bootstrap or a kubelet starts and stops, and asks here what the
//! API and the machine config server of one machine would answer.
//!
//! What a method answers is as it stands in the cluster's own store; whether anybody can read it there is
//! [`ClusterState::api_serves`]. Nothing of it happens while there is no API.
//!
//! Read next: [`ClusterSpec`] for how long things take, `clockwork` for what follows from what, `nodes` and `requests`
//! for how a machine joins, `operators` and `ingress` for what is installed then, `faults` for what can go wrong.
//! Source: openshift/installer `data/data/bootstrap`, openshift/machine-config-operator `pkg/server`.

mod checks;
mod clockwork;
mod control;
mod faults;
mod ingress;
mod input;
mod nodes;
mod operators;
mod requests;
mod spec;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use checks::{ClusterRule, ClusterViolation};
pub use control::{ApiStanding, MachineConfigReply, Server};
pub use faults::{ClusterFault, Foreign};
pub use ingress::{RESTARTED_AT, RouterPod};
pub use input::Input;
pub use nodes::Kubelet;
pub use requests::{Approver, NoRequest};
pub use spec::{ClusterSpec, ClusterTiming};

use crate::random::Random;
use clockwork::Clockwork;
use control::Control;
use ingress::Ingress;
use nodes::Member;
use operators::Installing;
use requests::Request;

/// A cluster at one moment. Time never goes backwards in it: an earlier `now` is taken for the latest.
#[derive(Debug)]
pub struct ClusterState {
    spec: ClusterSpec,
    clock: Clockwork,
    random: Random,
    control: Control,
    /// By name in full.
    members: BTreeMap<String, Member>,
    /// By name in the API.
    requests: BTreeMap<String, Request>,
    /// By name.
    operators: BTreeMap<&'static str, Installing>,
    ingress: Ingress,
    faults: BTreeSet<ClusterFault>,
    violations: Vec<ClusterViolation>,
    notes: Vec<(Duration, String)>,
}

impl ClusterState {
    /// A cluster of which nothing runs yet.
    #[must_use]
    pub fn new(spec: ClusterSpec) -> Self {
        let random = Random::new(spec.seed, spec.name.as_str());
        let ingress = Ingress::new(spec.masters);
        Self {
            spec,
            clock: Clockwork::default(),
            random,
            control: Control::default(),
            members: BTreeMap::new(),
            requests: BTreeMap::new(),
            operators: operators::all(),
            ingress,
            faults: BTreeSet::new(),
            violations: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// What it was made of.
    #[must_use]
    pub fn spec(&self) -> &ClusterSpec {
        &self.spec
    }

    /// What has happened since this was last asked, oldest first: for a log.
    pub fn take_notes(&mut self) -> Vec<(Duration, String)> {
        std::mem::take(&mut self.notes)
    }

    fn note(&mut self, text: impl Into<String>) {
        self.notes.push((self.clock.now(), text.into()));
    }
}

#[cfg(test)]
mod tests;
