//! The site's DNS server: it answers at Harmony's own address, and DHCP names it.
//!
//! Source: RFC 1034 section 4.3.3 and RFC 4592 for wildcards.

use std::collections::BTreeMap;
use std::net::IpAddr;

use async_trait::async_trait;
use harmony_core::capability::{DnsRecord, DnsServer};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::net::DnsName;

use crate::topology::SimTopology;
use crate::world::{State, World};

/// The records.
#[derive(Default)]
pub(crate) struct Dns {
    records: BTreeMap<DnsName, DnsRecord>,
    /// What somebody else wrote.
    foreign: BTreeMap<DnsName, DnsRecord>,
}

impl Dns {
    /// Harmony's records, one line each.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let back = |record: &DnsRecord| if record.reverse { " and back" } else { "" };
        self.records.values().map(move |record| format!("name {} {}{}", record.name, record.address, back(record)))
    }

    fn find(&self, name: &DnsName) -> Option<&DnsRecord> {
        let of = |name: &DnsName| self.foreign.get(name).or_else(|| self.records.get(name));
        // A wildcard is asked for as some name below it would be.
        if name.is_wildcard() {
            return of(name).or_else(|| self.covering(name.base()));
        }
        of(name).or_else(|| self.covering(name.as_str()))
    }

    /// The nearest wildcard above a name.
    fn covering(&self, name: &str) -> Option<&DnsRecord> {
        let all = self.foreign.values().chain(self.records.values()).filter(|record| record.name.is_wildcard());
        let covers = |record: &&DnsRecord| {
            name.strip_suffix(record.name.base()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        };
        all.filter(covers).max_by_key(|record| record.name.base().len())
    }

    fn names_of(&self, address: IpAddr) -> Vec<DnsName> {
        let all = self.foreign.values().chain(self.records.values());
        let mut names: Vec<DnsName> = all
            .filter(|record| record.reverse && record.address == address)
            .map(|record| record.name.clone())
            .collect();
        names.sort();
        names
    }
}

impl State {
    /// The addresses that the DNS server gives for a name.
    pub(super) fn resolve(&self, name: &DnsName) -> Vec<IpAddr> {
        let found = self.services.dns.find(name).map(|record| record.address);
        found.map(|address| self.faults.stale_answer(name.as_str()).unwrap_or(address)).into_iter().collect()
    }
}

impl World {
    /// Somebody writes a DNS record, behind Harmony's back.
    pub fn add_dns_record_by_hand(&self, record: DnsRecord) {
        let now = self.now();
        self.shared.with(|state| {
            state.note(now, &format!("dns: somebody sets {} to {}", record.name, record.address));
            state.services.dns.foreign.insert(record.name.clone(), record);
        });
    }
}

#[async_trait]
impl DnsServer for SimTopology {
    async fn dns_records(&self) -> DeviceResult<Vec<DnsRecord>> {
        self.world().ask().await;
        Ok(self.world().with(|state| state.services.dns.records.values().cloned().collect()))
    }

    async fn set_dns_record(&self, record: &DnsRecord) -> DeviceResult<()> {
        // As it is already: nothing is written.
        if self.world().with(|state| state.services.dns.records.get(&record.name) == Some(record)) {
            self.world().ask().await;
            return Ok(());
        }
        let (path, text) = self.dns_record_text(record);
        let effect = async {
            self.world().with(|state| {
                let dns = &mut state.services.dns;
                if dns.foreign.contains_key(&record.name) {
                    let what = format!("failed to set the DNS record of {}", record.name);
                    return Err(DeviceError::new(FailureKind::Conflict, what)
                        .because("somebody else has written one")
                        .hint("remove it where it was written, or leave it and let Harmony check it"));
                }
                dns.records.insert(record.name.clone(), record.clone());
                Ok(())
            })
        };
        self.world().write("dns", "prov", format!("write {path}: {}", text.trim_end()), effect).await
    }

    async fn remove_dns_record(&self, name: &DnsName) -> DeviceResult<()> {
        let effect = async {
            self.world().with(|state| state.services.dns.records.remove(name));
            Ok(())
        };
        self.world().write("dns", "prov", format!("remove names/{name}"), effect).await
    }

    async fn resolve(&self, name: &DnsName) -> DeviceResult<Vec<IpAddr>> {
        self.world().ask().await;
        Ok(self.world().with(|state| state.resolve(name)))
    }

    async fn resolve_back(&self, address: IpAddr) -> DeviceResult<Vec<DnsName>> {
        self.world().ask().await;
        Ok(self.world().with(|state| state.services.dns.names_of(address)))
    }

    fn dns_record_text(&self, record: &DnsRecord) -> (String, String) {
        let reverse = if record.reverse { " and back" } else { "" };
        (format!("names/{}", record.name), format!("{} {}{reverse}\n", record.name, record.address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, last: u8) -> DnsRecord {
        DnsRecord {
            name: name.parse().expect("valid"),
            address: [10, 0, 0, last].into(),
            reverse: !name.starts_with('*'),
        }
    }

    #[test]
    fn a_name_comes_before_a_wildcard_and_the_nearest_wildcard_counts() {
        let mut dns = Dns::default();
        for record in [record("*.c.d", 1), record("*.apps.c.d", 2), record("api.c.d", 3), record("apps.c.d", 4)] {
            dns.records.insert(record.name.clone(), record);
        }
        let find = |name: &str| dns.find(&name.parse().expect("valid")).map(|record| record.address.to_string());
        for (name, last) in
            [("api.c.d", 3), ("x.apps.c.d", 2), ("a.b.apps.c.d", 2), ("other.c.d", 1), ("*.apps.c.d", 2)]
        {
            assert_eq!(find(name), Some(format!("10.0.0.{last}")), "{name}");
        }
        assert_eq!((find("c.d"), find("xc.d")), (None, None));
        assert_eq!(dns.names_of([10, 0, 0, 2].into()), []);
        assert_eq!(dns.names_of([10, 0, 0, 3].into()), ["api.c.d".parse().expect("valid")]);
    }
}
