//! What can go wrong with a cluster, as data.

use std::time::Duration;

use super::ClusterState;
use super::clockwork::Change;
use super::control::Bootstrap;

/// A fault. It holds until it is lifted; what has happened by it meanwhile stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClusterFault {
    /// The bootstrap pulls images for ever.
    BootstrapNeverServes,
    /// The kubelet of this node (its name in full) never asks for a certificate.
    KubeletHangs(String),
    /// The certificates in the Ignition files are older than a day: kubelets that have none of their own yet are refused.
    CertificatesExpired,
    /// This operator, where it would work, says that it is degraded.
    OperatorDegraded(String),
    /// Somebody who is no host of ours asks for a certificate, once.
    ForeignRequest(Foreign),
}

/// What is foreign about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Foreign {
    /// A node that nobody ordered asks to join.
    Node,
    /// The common name is no node's.
    CommonName,
    /// The organisation is that of administrators.
    Organisation,
    /// A node asks to serve under a name that is another's.
    DnsName,
    /// A node asks to serve at an address that is another's.
    Address,
    /// A node asks for a certificate of another node.
    User,
}

impl ClusterState {
    /// Lets a fault happen, from now on.
    pub fn inject(&mut self, now: Duration, fault: ClusterFault) {
        self.advance(now);
        self.note(format!("fault: {fault:?}"));
        if let ClusterFault::ForeignRequest(foreign) = fault {
            self.intrude_as(foreign);
        } else {
            if fault == ClusterFault::BootstrapNeverServes && self.control.bootstrap == Bootstrap::Starting {
                // Whatever was under way does not come: it belongs to an earlier start.
                self.control.bootstrap = Bootstrap::Absent;
                self.faults.insert(fault.clone());
                self.bootstrap_started(now);
            }
            self.faults.insert(fault);
        }
        self.settle();
    }

    /// Ends a fault; what it held up goes on.
    pub fn lift(&mut self, now: Duration, fault: &ClusterFault) {
        self.advance(now);
        if !self.faults.remove(fault) {
            return;
        }
        self.note(format!("fault over: {fault:?}"));
        match fault {
            ClusterFault::BootstrapNeverServes if self.control.bootstrap == Bootstrap::Starting => {
                self.control.bootstrap = Bootstrap::Absent;
                self.bootstrap_started(now);
            }
            ClusterFault::KubeletHangs(_) | ClusterFault::CertificatesExpired => {
                let held: Vec<_> = self.unheard().map(|(name, member)| (name.clone(), member.life)).collect();
                for (node, life) in held {
                    self.clock.after(Duration::ZERO, Change::AsksClient { node, life });
                }
            }
            _ => {}
        }
        self.settle();
    }

    /// Whether an operator says that it is degraded.
    pub(super) fn is_degraded(&self, operator: &str) -> bool {
        self.faults.contains(&ClusterFault::OperatorDegraded(operator.to_owned()))
    }
}
