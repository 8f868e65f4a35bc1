//! The contract of [`DnsServer`], where Harmony keeps the records.

use std::net::IpAddr;

use harmony_core::capability::{DnsRecord, DnsServer};
use harmony_core::error::FailureKind;
use harmony_core::net::DnsName;

/// A DNS server that is Harmony's.
pub(crate) trait Rig {
    /// The driver.
    fn dns(&self) -> impl DnsServer;
    /// A domain that it answers for, without records at first.
    fn domain(&self) -> &'static str;
    /// A name that somebody else made a record of, where that can be.
    fn foreign(&self) -> Option<DnsName>;
    /// How many changes were sent to it.
    fn writes(&self) -> usize;

    /// A record of a name in the domain.
    fn record(&self, name: &str, last: u8, reverse: bool) -> DnsRecord {
        let name = format!("{name}.{}", self.domain()).parse().expect("a name");
        DnsRecord { name, address: address(last), reverse }
    }
}

fn address(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

pub(crate) async fn point_1_reads_change_nothing(rig: &impl Rig) {
    let record = rig.record("api", 5, true);
    rig.dns().set_dns_record(&record).await.expect("set");
    let (dns, before) = (rig.dns(), rig.writes());
    assert_eq!(dns.dns_records().await.expect("read"), std::slice::from_ref(&record));
    dns.resolve(&record.name).await.expect("answered");
    dns.resolve_back(record.address).await.expect("answered");
    let (path, text) = dns.dns_record_text(&record);
    assert!(!path.is_empty() && text.contains(record.name.as_str()), "{path}: {text}");
    assert!(!dns.dns_is_external());
    assert_eq!(rig.writes(), before);
}

pub(crate) async fn point_2_a_record_is_replaced_and_may_be_repeated(rig: &impl Rig) {
    let dns = rig.dns();
    for wanted in [rig.record("b", 5, true), rig.record("b", 6, true), rig.record("b", 6, false)] {
        dns.set_dns_record(&wanted).await.expect("set");
        let before = rig.writes();
        dns.set_dns_record(&wanted).await.expect("as it is");
        assert_eq!(rig.writes(), before, "repeating one writes nothing");
        assert_eq!(dns.dns_records().await.expect("read"), [wanted]);
    }
    assert_eq!(dns.resolve_back(address(5)).await.expect("answered"), [], "the way back went with it");
    dns.set_dns_record(&rig.record("a", 5, true)).await.expect("set");
    let names: Vec<DnsName> = dns.dns_records().await.expect("read").into_iter().map(|record| record.name).collect();
    assert_eq!(names, [rig.record("a", 5, true).name, rig.record("b", 6, false).name], "sorted by name");
}

pub(crate) async fn point_2_what_somebody_else_has_is_refused(rig: &impl Rig) {
    let Some(name) = rig.foreign() else { return };
    let dns = rig.dns();
    let before = dns.resolve(&name).await.expect("answered");
    let error = dns.set_dns_record(&DnsRecord { name: name.clone(), address: address(9), reverse: true }).await;
    assert_eq!(error.expect_err("somebody else's").kind(), FailureKind::Conflict);
    dns.remove_dns_record(&name).await.expect("not there, as far as Harmony is concerned");
    assert_eq!(dns.resolve(&name).await.expect("answered"), before);
    assert_eq!(dns.dns_records().await.expect("read"), []);
}

pub(crate) async fn point_3_removing_what_is_not_there_succeeds(rig: &impl Rig) {
    let (dns, kept, gone) = (rig.dns(), rig.record("kept", 5, true), rig.record("gone", 6, true));
    dns.set_dns_record(&kept).await.expect("set");
    dns.set_dns_record(&gone).await.expect("set");
    for _ in 0..2 {
        dns.remove_dns_record(&gone.name).await.expect("removed");
        assert_eq!(dns.dns_records().await.expect("read"), std::slice::from_ref(&kept));
    }
}

pub(crate) async fn point_4_the_server_answers_accordingly(rig: &impl Rig) {
    let dns = rig.dns();
    let (api, internal) = (rig.record("api", 5, true), rig.record("api-int", 5, true));
    let (apps, quiet) = (rig.record("*.apps", 8, false), rig.record("quiet", 9, false));
    for record in [&api, &internal, &apps, &quiet] {
        dns.set_dns_record(record).await.expect("set");
        assert_eq!(dns.resolve(&record.name).await.expect("answered"), [record.address]);
    }
    assert_eq!(dns.resolve_back(address(5)).await.expect("answered"), [internal.name, api.name.clone()]);
    for last in [8, 9] {
        assert_eq!(dns.resolve_back(address(last)).await.expect("answered"), [], "{last} does not lead back");
    }
    let below = rig.record("console.apps", 8, false).name;
    assert_eq!(dns.resolve(&below).await.expect("answered"), [address(8)]);
    dns.remove_dns_record(&api.name).await.expect("removed");
    for absent in [api, rig.record("absent", 1, true)] {
        assert!(dns.resolve(&absent.name).await.expect("answered").is_empty(), "{}", absent.name);
    }
}
