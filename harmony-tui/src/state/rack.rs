//! Hosts and switch ports as they were last told of, and how they hang together.
//!
//! Knows nothing of the run. Read next: [`super::State`].

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use harmony_core::capability::{LacpPortState, PortStatus};
use harmony_core::event::{Event, Record};
use harmony_core::host::{Host, HostId, Lifecycle, Nic, PortWitness, Role};
use harmony_core::net::{MacAddress, PortRef};
use jiff::Timestamp;

use crate::text;

/// Hosts and ports, in the order in which they are listed: sorting thousands for each frame takes longer
/// than drawing them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rack {
    hosts: Vec<Host>,
    ports: Vec<PortReading>,
}

/// A port with the time when it was told of: only changes are.
#[derive(Debug, Clone)]
pub(crate) struct PortReading {
    pub(crate) status: PortStatus,
    pub(crate) at: Timestamp,
}

/// Who is behind a port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind<'a> {
    pub(crate) host: &'a Host,
    pub(crate) nic: &'a Nic,
    /// Another witness names another port.
    pub(crate) disputed: bool,
}

impl Rack {
    /// Takes the next record.
    pub(crate) fn on_record(&mut self, record: &Record) {
        match &record.event {
            Event::HostChanged { host } => {
                self.hosts.retain(|known| known.id != host.id);
                let at = self.hosts.partition_point(|known| by_role(known, host).is_lt());
                self.hosts.insert(at, (**host).clone());
            }
            Event::HostForgotten { host } => self.hosts.retain(|known| known.id != *host),
            Event::PortsRead { ports } => {
                for status in ports {
                    self.ports.retain(|known| known.status.port != status.port);
                    let order = |known: &PortReading| by_number(&known.status.port, &status.port);
                    let at = self.ports.partition_point(|known| order(known).is_lt());
                    self.ports.insert(at, PortReading { status: status.clone(), at: record.at });
                }
            }
            _ => {}
        }
    }

    pub(crate) fn host(&self, id: &HostId) -> Option<&Host> {
        self.hosts.iter().find(|host| host.id == *id)
    }

    pub(crate) fn port(&self, port: &PortRef) -> Option<&PortReading> {
        self.ports.iter().find(|reading| reading.status.port == *port)
    }

    /// All hosts: those without a role first, then by role.
    pub(crate) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// All ports, switch by switch, in the order of their numbers.
    pub(crate) fn ports(&self) -> &[PortReading] {
        &self.ports
    }

    /// How many hosts a person could give a role.
    pub(crate) fn free(&self) -> usize {
        self.hosts.iter().filter(|host| is_free(host)).count()
    }

    pub(crate) fn host_count(&self) -> usize {
        self.hosts.len()
    }

    /// The host that has this role.
    pub(crate) fn holder(&self, role: &Role) -> Option<&Host> {
        self.hosts.iter().find(|host| host.assignment.as_ref().is_some_and(|given| given.role == *role))
    }

    /// By port, the NICs that any witness places behind it.
    pub(crate) fn behind(&self) -> BTreeMap<&PortRef, Vec<Behind<'_>>> {
        let mut behind: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for host in &self.hosts {
            for nic in &host.nics {
                let named: BTreeSet<_> = nic.port.iter().map(|(_, port)| port).collect();
                for port in named {
                    behind.entry(port).or_default().push(Behind { host, nic, disputed: is_disputed(nic) });
                }
            }
        }
        behind
    }

    /// Whether each NIC with a known port is in a negotiated LAG, and there are at least two.
    pub(crate) fn is_bonded(&self, host: &Host) -> bool {
        let lacp = |nic: &Nic| self.port(&nic.port.agreed()?)?.status.lacp.clone();
        let negotiated = host.nics.iter().filter(|nic| lacp(nic).is_some_and(|lacp| is_negotiated(&lacp))).count();
        negotiated >= 2 && negotiated == host.nics.iter().filter(|nic| nic.port.agreed().is_some()).count()
    }
}

/// Whether a person may give it a role now.
pub(crate) fn is_free(host: &Host) -> bool {
    host.lifecycle.is_free() && host.assignment.is_none()
}

/// Whether witnesses contradict each other on the port of this NIC.
pub(crate) fn is_disputed(nic: &Nic) -> bool {
    matches!(nic.port.verdict(), PortWitness::Disputed(_))
}

/// Whether the port forwards in its LAG, with a partner.
pub(crate) fn is_negotiated(lacp: &LacpPortState) -> bool {
    has_partner(lacp) && lacp.synchronised && lacp.collecting && lacp.distributing
}

/// Some switches print zeros where no partner is heard.
fn has_partner(lacp: &LacpPortState) -> bool {
    lacp.partner.is_some_and(MacAddress::is_unicast)
}

/// What the LACP state amounts to.
pub(crate) fn lacp_word(lacp: &LacpPortState) -> &'static str {
    match lacp {
        lacp if is_negotiated(lacp) => "negotiated",
        lacp if !has_partner(lacp) => "no partner",
        LacpPortState { synchronised: false, .. } => "not in sync",
        LacpPortState { collecting: false, .. } => "not collecting",
        _ => "not distributing",
    }
}

/// Hosts that can be given a role first, then others without one, then by role; equal ones by name.
fn by_role(a: &Host, b: &Host) -> Ordering {
    let rank = |host: &Host| match (&host.assignment, host.lifecycle) {
        (None, Lifecycle::Discovered) => 0,
        (None, _) => 1,
        (Some(_), _) => 2,
    };
    rank(a)
        .cmp(&rank(b))
        .then_with(|| text::natural(role(a), role(b)))
        .then_with(|| text::natural(a.name.as_str(), b.name.as_str()))
}

fn role(host: &Host) -> &str {
    host.assignment.as_ref().map_or("", |given| given.role.as_str())
}

/// Switch by switch, in the order of the ports' numbers.
fn by_number(a: &PortRef, b: &PortRef) -> Ordering {
    a.switch.cmp(&b.switch).then_with(|| text::natural(a.port.as_str(), b.port.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lacp_in_a_word() {
        let all = LacpPortState {
            system: None,
            partner: "52:54:00:00:00:01".parse().ok(),
            synchronised: true,
            collecting: true,
            distributing: true,
        };
        assert_eq!(lacp_word(&all), "negotiated");
        for (state, word) in [
            (LacpPortState { partner: None, ..all.clone() }, "no partner"),
            (LacpPortState { partner: "00:00:00:00:00:00".parse().ok(), ..all.clone() }, "no partner"),
            (LacpPortState { synchronised: false, ..all.clone() }, "not in sync"),
            (LacpPortState { collecting: false, ..all.clone() }, "not collecting"),
            (LacpPortState { distributing: false, ..all.clone() }, "not distributing"),
        ] {
            assert_eq!((lacp_word(&state), is_negotiated(&state)), (word, false));
        }
    }
}
