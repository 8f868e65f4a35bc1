//! Faults of clusters and of what they need: the questions that are asked there, and what is passed on to a cluster.

use std::net::IpAddr;
use std::time::Duration;

use super::{Fault, Faults};
use crate::cluster::{ClusterFault, ClusterState};
use crate::world::State;

impl Fault {
    /// The same as a fault of a cluster, for those that hold in it.
    fn in_cluster(&self) -> Option<ClusterFault> {
        match self {
            Self::BootstrapNeverServes => Some(ClusterFault::BootstrapNeverServes),
            Self::CertificatesExpired => Some(ClusterFault::CertificatesExpired),
            Self::OperatorDegraded { operator } => Some(ClusterFault::OperatorDegraded(operator.clone())),
            _ => None,
        }
    }

    /// Whether it strikes as soon as it is in a cluster.
    fn strikes_at_once(&self) -> bool {
        matches!(self, Self::OperatorDegraded { .. })
    }
}

impl Faults {
    /// Whether a machine hangs at its first boot.
    pub(crate) fn first_boot_hangs(&self, name: &str) -> bool {
        self.strikes(|active| matches!(&active.fault, Fault::FirstBootHangs { machine } if machine == name))
    }

    /// Whether a machine config server answers 404.
    pub(crate) fn misses_machine_config(&self) -> bool {
        self.strikes(|active| active.fault == Fault::MachineConfigMissing)
    }

    /// Whether the certificate of a machine config server is over its time.
    pub(crate) fn expires_certificates(&self) -> bool {
        self.strikes(|active| active.fault == Fault::CertificatesExpired)
    }

    /// Whether the load balancer's check of a server on a machine fails.
    pub(crate) fn balancer_loses(&self, name: &str) -> bool {
        self.strikes(|active| matches!(&active.fault, Fault::BalancerLoses { machine } if machine == name))
    }

    /// The old address that is given for a name.
    pub(crate) fn stale_answer(&self, asked: &str) -> Option<IpAddr> {
        self.find(|active| match &active.fault {
            Fault::StaleDns { name, address } if asked.starts_with(name.as_str()) => Some(IpAddr::V4(*address)),
            _ => None,
        })
    }

    /// A bootstrap starts: one that never serves is counted here.
    pub(crate) fn meets_bootstrap(&self) {
        self.strikes(|active| active.fault == Fault::BootstrapNeverServes);
    }

    /// Begins in a new cluster what is in force.
    pub(crate) fn begin_in_cluster(&self, state: &mut ClusterState, now: Duration) {
        for active in &self.active {
            if let Some(fault) = active.fault.in_cluster() {
                state.inject(now, fault);
                if active.fault.strikes_at_once() {
                    active.fire();
                }
            }
        }
    }

    /// Somebody foreign asks for a certificate, once.
    pub(crate) fn intrude(&self, state: &mut ClusterState, now: Duration) {
        for active in self.active.iter().filter(|active| active.fired.get() == 0) {
            if let Fault::ForeignRequest { foreign } = active.fault {
                active.fire();
                state.inject(now, ClusterFault::ForeignRequest(foreign));
            }
        }
    }
}

impl State {
    /// Begins a fault in all clusters. Whether it has struck one.
    pub(super) fn begin_in_clusters(&mut self, fault: &Fault, now: Duration) -> bool {
        let Some(inside) = fault.in_cluster() else { return false };
        let struck = self.each_cluster(|state| state.inject(now, inside.clone()));
        struck && fault.strikes_at_once()
    }

    /// Ends a fault in all clusters.
    pub(super) fn end_in_clusters(&mut self, fault: &Fault, now: Duration) {
        if let Some(inside) = fault.in_cluster() {
            self.each_cluster(|state| state.lift(now, &inside));
        }
    }
}
