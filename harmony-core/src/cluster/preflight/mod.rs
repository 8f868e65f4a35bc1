//! What is to be put right before anything is changed: each finding with its evidence and its remedy. Pure.
//!
//! What was observed is handed in; whatever was not is not judged. `hosts` looks at the hosts that roles would get,
//! `network` at names, addresses and the balancer, `ports` at the switches, `software` at what is installed from.

mod hosts;
mod network;
mod ports;
mod software;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::choice::{RoleChoice, choose_hosts};
use super::endpoints::NodeAddress;
use super::{ClusterDescription, RolePlan};
use crate::boot::choice::Cabling;
use crate::capability::{AssetInfo, BootImages, InstallerVersion, PortStatus};
use crate::host::{Host, HostId};
use crate::net::{DnsName, PortRef, SwitchId};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The installation would fail: it does not begin.
    Blocking,
    /// It may fail, or end as one would not want it.
    Warning,
    /// Worth knowing.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Blocking => "blocking",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: `role master-0`, `DNS api.ocp4.example.com`.
    pub subject: String,
    /// What was seen.
    pub evidence: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.severity, self.subject, self.evidence, self.remedy)
    }
}

/// What answers at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occupant {
    /// Nobody.
    Free,
    /// Who should.
    Ours,
    /// Somebody else; as they are known: a MAC, a lease.
    Other(String),
}

/// How a host can be made to boot from the network once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OneTimeBoot {
    /// Its BMC answers.
    Bmc,
    /// It has a BMC that does not answer; why.
    BmcSilent(String),
    /// It is in the inventory environment, and can be told by SSH to restart.
    Ssh,
    /// By a person only.
    Person,
}

/// What the DNS server answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsSeen {
    /// Whether somebody else keeps the records.
    pub is_external: bool,
    /// What was asked, with the answer, or why there was none.
    pub forward: BTreeMap<DnsName, Result<Vec<IpAddr>, String>>,
    /// The same for addresses.
    pub back: BTreeMap<IpAddr, Result<Vec<DnsName>, String>>,
}

/// What the load balancer does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BalancerSeen {
    /// Whether somebody else configures it.
    pub is_external: bool,
    /// Where it should listen, and why it does not where it does not.
    pub listens: BTreeMap<SocketAddr, Result<(), String>>,
}

/// A file that hosts boot, as it should be and as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetSeen {
    /// Its path below `/os/`.
    pub path: String,
    /// Its digest as the release says it.
    pub sha256: String,
    /// What is there.
    pub there: Option<AssetInfo>,
}

/// The certificates in what the installer made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificatesSeen {
    /// When they were made.
    pub made_at: Timestamp,
    /// When they expire.
    pub expires_at: Timestamp,
    /// Whether a machine has yet to join by them.
    pub are_needed: bool,
}

/// What was observed. What is empty or absent was not looked at.
#[derive(Debug, Clone, Default)]
pub struct Observations {
    /// Now.
    pub now: Timestamp,
    /// All hosts.
    pub hosts: Vec<Host>,
    /// Addresses that nodes have or are to have.
    pub nodes: Vec<NodeAddress>,
    /// DNS.
    pub dns: Option<DnsSeen>,
    /// Who answers at the addresses of endpoints and nodes.
    pub occupants: BTreeMap<IpAddr, Occupant>,
    /// The load balancer.
    pub balancer: Option<BalancerSeen>,
    /// How far the clocks of machines are ahead of Harmony's, by what they are called.
    pub clocks: BTreeMap<String, SignedDuration>,
    /// The installer program.
    pub installer: Option<InstallerVersion>,
    /// What it says that hosts are booted with.
    pub images: Option<BootImages>,
    /// The files that hosts boot.
    pub assets: Vec<AssetSeen>,
    /// Certificates of an installation that has begun.
    pub certificates: Option<CertificatesSeen>,
    /// Switch ports of hosts; empty where all are.
    pub host_ports: Vec<PortRef>,
    /// Switches that bundle as one.
    pub pairs: Vec<BTreeSet<SwitchId>>,
    /// Switch ports as read.
    pub ports: BTreeMap<PortRef, PortStatus>,
    /// Switches whose LAGs can work while no partner is heard.
    pub falls_back: BTreeSet<SwitchId>,
    /// Longest frame that passes, in bytes, by host and interface.
    pub mtu: BTreeMap<(HostId, String), u32>,
    /// How hosts can be made to boot.
    pub boots: BTreeMap<HostId, OneTimeBoot>,
}

impl Observations {
    /// What the site says of its cables.
    #[must_use]
    pub fn cabling(&self) -> Cabling<'_> {
        Cabling { host_ports: &self.host_ports, pairs: &self.pairs }
    }
}

/// Everything that is looked at together.
struct Review<'a> {
    description: &'a ClusterDescription,
    seen: &'a Observations,
    roles: &'a [RolePlan],
    choices: &'a [RoleChoice<'a>],
    findings: Vec<Finding>,
}

impl Review<'_> {
    fn find(
        &mut self,
        severity: Severity,
        subject: impl Into<String>,
        evidence: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (subject, evidence, remedy) = (subject.into(), evidence.into(), remedy.into());
        self.findings.push(Finding { severity, subject, evidence, remedy });
    }
}

/// All findings, the worst first.
#[must_use]
pub fn preflight(description: &ClusterDescription, seen: &Observations) -> Vec<Finding> {
    let mut findings = Vec::new();
    let blocking = |subject: String, evidence: String| Finding {
        severity: Severity::Blocking,
        subject,
        evidence,
        remedy: "correct the description (docs/reference/cluster.md)".to_owned(),
    };
    match description.check() {
        Ok(advice) => findings.extend(advice.into_iter().map(|evidence| Finding {
            severity: Severity::Warning,
            subject: format!("cluster {}", description.name),
            evidence,
            remedy: "change the description, or go on knowingly".to_owned(),
        })),
        Err(error) => findings.push(blocking(format!("description, {}", error.key), error.reason)),
    }
    let roles = match description.role_plans() {
        Ok(roles) => roles,
        // `check` has said so.
        Err(_) => return findings,
    };
    let choices = choose_hosts(description, &roles, &seen.hosts);
    let mut review = Review { description, seen, roles: &roles, choices: &choices, findings };
    review.hosts();
    review.ports();
    review.network();
    review.software();
    let mut findings = review.findings;
    findings.sort();
    findings.dedup();
    findings
}

/// Whether nothing stands against beginning.
#[must_use]
pub fn may_begin(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity != Severity::Blocking)
}

#[cfg(test)]
mod tests;
