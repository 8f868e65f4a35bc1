//! Cluster operators: what each waits for, and how far it is.

use std::collections::BTreeMap;
use std::time::Duration;

use harmony_core::capability::Operator;

use super::ClusterState;
use super::clockwork::Change;

/// What an operator needs before it can do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// The masters' control plane.
    ControlPlane,
    /// Routers that run.
    Routers,
    /// The operator of the routers.
    Ingress,
    /// A serving certificate of each node that is ready: it reads their kubelets.
    Kubelets,
}

/// The operators, sorted by name.
const OPERATORS: [(&str, Need); 16] = [
    ("authentication", Need::Ingress),
    ("cloud-credential", Need::ControlPlane),
    ("console", Need::Ingress),
    ("dns", Need::ControlPlane),
    ("etcd", Need::ControlPlane),
    ("image-registry", Need::ControlPlane),
    ("ingress", Need::Routers),
    ("kube-apiserver", Need::ControlPlane),
    ("kube-controller-manager", Need::ControlPlane),
    ("kube-scheduler", Need::ControlPlane),
    ("machine-config", Need::ControlPlane),
    ("monitoring", Need::Kubelets),
    ("network", Need::ControlPlane),
    ("openshift-apiserver", Need::ControlPlane),
    ("service-ca", Need::ControlPlane),
    ("storage", Need::ControlPlane),
];

/// How far an operator is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Installing {
    need: Need,
    is_started: bool,
    is_done: bool,
}

pub(super) fn all() -> BTreeMap<&'static str, Installing> {
    OPERATORS.into_iter().map(|(name, need)| (name, Installing { need, is_started: false, is_done: false })).collect()
}

impl ClusterState {
    /// What an operator waits for, if it does.
    fn lack(&self, need: Need) -> Option<String> {
        match need {
            Need::ControlPlane => (!self.control.on_masters).then(|| "the control plane starts".to_owned()),
            Need::Routers => self.lacks_routers(),
            Need::Ingress => (!self.operator_works("ingress"))
                .then(|| "the route's endpoint answers with 503: no router serves it".to_owned()),
            Need::Kubelets if !self.control.on_masters => Some("the control plane starts".to_owned()),
            Need::Kubelets => self
                .lacks_serving()
                .map(|node| format!("the kubelet of {node} serves no certificate: tls: internal error")),
        }
    }

    pub(super) fn settle_operators(&mut self) {
        for (name, need) in OPERATORS {
            let is_started = self.operators.get(name).is_none_or(|operator| operator.is_started);
            if !is_started && self.lack(need).is_none() {
                self.operators.entry(name).and_modify(|operator| operator.is_started = true);
                let time = self.about(self.spec.timing.operator);
                self.clock.after(time, Change::Operator(name));
            }
        }
        let is_well = self.control.is_complete && OPERATORS.iter().all(|(name, _)| self.is_well(name));
        if is_well && !self.control.is_installing {
            self.control.is_installing = true;
            let time = self.about(self.spec.timing.version);
            self.clock.after(time, Change::Installed);
        }
    }

    pub(super) fn operator_is_done(&mut self, name: &'static str) {
        let Some(operator) = self.operators.get(name).copied() else { return };
        // What it needed may be gone again meanwhile; then it begins anew.
        let is_done = self.lack(operator.need).is_none();
        self.operators.insert(name, Installing { is_started: is_done, is_done, ..operator });
        if is_done {
            self.note(format!("operator {name}: available"));
        }
    }

    pub(super) fn version_is_installed(&mut self) {
        self.control.is_installing = false;
        if OPERATORS.iter().all(|(name, _)| self.is_well(name)) && !self.control.is_installed {
            self.control.is_installed = true;
            self.control.is_installing = true;
            self.note("cluster version: installed");
        }
    }

    /// Whether an operator's work is there.
    pub(super) fn operator_works(&self, name: &str) -> bool {
        let Some(operator) = self.operators.get(name).filter(|operator| operator.is_done) else { return false };
        // Routers and what lies behind them come and go with the nodes that they are on.
        match operator.need {
            Need::Routers => self.ready_routers() > 0,
            Need::Ingress => self.operator_works("ingress"),
            Need::ControlPlane | Need::Kubelets => true,
        }
    }

    fn is_well(&self, name: &str) -> bool {
        self.operator_works(name) && self.complaint(name).is_none()
    }

    /// Why an operator that works calls itself degraded.
    fn complaint(&self, name: &str) -> Option<String> {
        let operator = self.operators.get(name).filter(|operator| operator.is_done)?;
        if self.is_degraded(name) {
            return Some(format!("{name}Degraded: the deployment of {name} does not become available"));
        }
        match operator.need {
            Need::Routers | Need::Kubelets => self.lack(operator.need),
            Need::ControlPlane | Need::Ingress => None,
        }
    }

    /// The operators, sorted by name. One that has not begun says nothing.
    pub fn operators(&mut self, now: Duration) -> Vec<Operator> {
        self.advance(now);
        OPERATORS.iter().map(|(name, need)| self.operator(name, *need)).collect()
    }

    fn operator(&self, name: &str, need: Need) -> Operator {
        let operator = |available, progressing, degraded, message| Operator {
            name: name.to_owned(),
            available,
            progressing,
            degraded,
            message,
        };
        if !self.control.on_masters {
            return operator(None, None, None, None);
        }
        let complaint = self.complaint(name);
        if self.operator_works(name) {
            return operator(Some(true), Some(false), Some(complaint.is_some()), complaint);
        }
        let message = self.lack(need).unwrap_or_else(|| format!("{name} is being deployed"));
        operator(Some(false), Some(true), Some(complaint.is_some()), Some(message))
    }
}
