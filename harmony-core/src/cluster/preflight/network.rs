//! Names, addresses, and the load balancer before the cluster.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{DnsSeen, Occupant, Review, Severity};
use crate::capability::DnsRecord;
use crate::cluster::endpoints::{ClusterPhase, dns_records, services};

impl Review<'_> {
    pub(super) fn network(&mut self) {
        let mut named: BTreeMap<IpAddr, String> = BTreeMap::new();
        let endpoints = &self.description.endpoints;
        for (address, what) in [(endpoints.api, "the API's"), (endpoints.ingress, "the ingress's")] {
            named.insert(address, what.to_owned());
        }
        for node in &self.seen.nodes {
            if let Some(other) = named.insert(node.address, node.role.to_string()) {
                let evidence = format!("{} is that of {other} and of {}", node.address, node.role);
                self.find(Severity::Blocking, format!("address {}", node.address), evidence, "give each its own");
            }
        }
        for (address, occupant) in &self.seen.occupants {
            if let Occupant::Other(who) = occupant {
                let what = named.get(address).map_or("an address of the cluster", String::as_str);
                let evidence = format!("{what} address is in use by {who}");
                let remedy = "free it, or choose another in the description";
                self.find(Severity::Blocking, format!("address {address}"), evidence, remedy);
            }
        }
        if let Some(dns) = &self.seen.dns {
            // `check` has said which name cannot be.
            let records = dns_records(self.description, &self.seen.nodes, ClusterPhase::Bootstrapping);
            for record in records.unwrap_or_default() {
                self.forward(dns, &record);
                if record.reverse {
                    self.back(dns, &record);
                }
            }
        }
        self.balancer();
    }

    fn forward(&mut self, dns: &DnsSeen, record: &DnsRecord) {
        let subject = format!("DNS {}", record.name);
        let add = format!("add the record: {} A {}", record.name, record.address);
        match dns.forward.get(&record.name) {
            None => {}
            Some(Err(why)) => self.find(
                Severity::Blocking,
                subject,
                format!("it was asked, without answer: {why}"),
                "see that the DNS server answers",
            ),
            // Harmony adds it itself.
            Some(Ok(addresses)) if addresses.is_empty() && !dns.is_external => {}
            Some(Ok(addresses)) if addresses.is_empty() => {
                self.find(Severity::Blocking, subject, "there is no such name", add);
            }
            Some(Ok(addresses)) if addresses == &[record.address] => {}
            Some(Ok(addresses)) => {
                let list = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let evidence = format!("it leads to {list}, not to {} alone", record.address);
                // Harmony replaces what it wrote itself, and never what others did.
                let severity = if dns.is_external { Severity::Blocking } else { Severity::Warning };
                self.find(severity, subject, evidence, add);
            }
        }
    }

    fn back(&mut self, dns: &DnsSeen, record: &DnsRecord) {
        let subject = format!("DNS {}", record.address);
        let add = format!("add the record: {} PTR {}", record.address, record.name);
        match dns.back.get(&record.address) {
            None => {}
            Some(Err(why)) => self.find(
                Severity::Blocking,
                subject,
                format!("it was asked, without answer: {why}"),
                "see that the DNS server answers",
            ),
            Some(Ok(names)) if names.contains(&record.name) => {}
            Some(Ok(names)) if names.is_empty() && !dns.is_external => {}
            Some(Ok(names)) if names.is_empty() => {
                self.find(Severity::Blocking, subject, format!("it does not lead back to {}", record.name), add);
            }
            Some(Ok(names)) => {
                let list = names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let evidence = format!("it leads back to {list}, not to {}", record.name);
                let severity = if dns.is_external { Severity::Blocking } else { Severity::Warning };
                self.find(severity, subject, evidence, add);
            }
        }
    }

    fn balancer(&mut self) {
        let Some(balancer) = self.seen.balancer.as_ref().filter(|balancer| balancer.is_external) else { return };
        let wanted = services(self.description, &self.seen.nodes, ClusterPhase::Bootstrapping).unwrap_or_default();
        for service in wanted {
            for listen in &service.listen {
                if let Some(Err(why)) = balancer.listens.get(listen) {
                    let servers = service.servers.iter().map(|server| server.address.to_string());
                    let servers = servers.collect::<Vec<_>>().join(", ");
                    let evidence = format!("nothing answers at {listen}: {why}");
                    let remedy =
                        format!("balance it over {servers}, as TCP, up after 2 successes, down after 3 failures");
                    self.find(Severity::Blocking, format!("load balancer {}", service.name), evidence, remedy);
                }
            }
        }
    }
}
