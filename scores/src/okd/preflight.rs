//! What stands against beginning, looked at before the first host of a cluster is ordered. The judgement is the core's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use harmony_core::cluster::preflight::{
    CertificatesSeen, Finding, Observations, Occupant, OneTimeBoot, Severity, preflight,
};
use harmony_core::error::{DeviceError, FailureKind};
use harmony_core::host::Host;
use harmony_core::net::MacAddress;
use harmony_core::score::ScoreError;

use super::cluster::Okd;
use super::observe::Observed;

/// All findings, the worst first. There are none before every role has its host, which `OkdSetup01Inventory` waits for, nor
/// once the first of them has been ordered.
pub(super) fn findings(okd: &Okd, seen: &Observed) -> Vec<Finding> {
    if seen.is_to_begin(okd) { preflight(&okd.description, &observations(okd, seen)) } else { Vec::new() }
}

/// Refuses to begin, naming everything that stands against it.
pub(super) fn refuse(okd: &Okd, findings: &[Finding]) -> Result<(), ScoreError> {
    let blocking: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == Severity::Blocking).collect();
    let Some(first) = blocking.first() else { return Ok(()) };
    let lines =
        blocking.iter().map(|finding| format!("\n  {}: {} ({})", finding.subject, finding.evidence, finding.remedy));
    let what = format!("cluster {} cannot be begun:{}", okd.name(), lines.collect::<String>());
    Err(DeviceError::new(FailureKind::Conflict, what).hint(first.remedy.clone()).into())
}

fn observations(okd: &Okd, seen: &Observed) -> Observations {
    let hosts = &seen.hosts;
    Observations {
        now: hosts.now,
        hosts: hosts.hosts.clone(),
        nodes: seen.nodes(okd),
        occupants: occupants(okd, seen),
        dns: seen.surroundings.dns.clone(),
        balancer: seen.surroundings.balancer.clone(),
        clocks: seen.surroundings.clocks.clone(),
        installer: seen.installer.as_ref().map(|installer| installer.version.clone()),
        images: seen.installer.as_ref().map(|installer| installer.images.clone()),
        certificates: seen.artefacts.as_ref().map(|made| CertificatesSeen {
            made_at: made.made_at,
            expires_at: made.expires_at,
            // The installer makes new ones as long as no host has these.
            are_needed: false,
        }),
        host_ports: hosts.network.host_ports.clone(),
        ports: hosts.ports.clone(),
        falls_back: seen.falls_back.clone(),
        boots: hosts.hosts.iter().map(|host| (host.id.clone(), one_time_boot(host))).collect(),
        ..Observations::default()
    }
}

fn one_time_boot(host: &Host) -> OneTimeBoot {
    match (&host.bmc, host.address) {
        (Some(_), _) => OneTimeBoot::Bmc,
        (None, Some(_)) => OneTimeBoot::Ssh,
        (None, None) => OneTimeBoot::Person,
    }
}

/// Who has the addresses that endpoints and nodes are to have, by what the DHCP server keeps for whom.
fn occupants(okd: &Okd, seen: &Observed) -> BTreeMap<IpAddr, Occupant> {
    let endpoints = &okd.description.endpoints;
    let ours = okd.plans.iter().filter_map(|plan| Some((seen.address(okd, &plan.role)?, Some(&plan.hostname))));
    let endpoints = [endpoints.api, endpoints.internal(), endpoints.ingress].into_iter().map(|address| (address, None));
    let kept = &seen.hosts.reservations;
    ours.chain(endpoints)
        .map(|(address, hostname)| {
            let occupant = match kept.iter().find(|reservation| reservation.address == address) {
                None => Occupant::Free,
                Some(reservation) if Some(&reservation.hostname) == hostname => Occupant::Ours,
                Some(reservation) => {
                    let macs = reservation.macs.iter().map(MacAddress::to_string).collect::<Vec<_>>().join(" ");
                    Occupant::Other(format!("kept for {} ({macs})", reservation.hostname))
                }
            };
            (address, occupant)
        })
        .collect()
}
