//! dnsmasq as a DNS server, asked over DNS; and servers that are not Harmony's, some of which lie.

use std::net::IpAddr;

use harmony_core::capability::{DnsRecord, DnsServer};
use harmony_core::error::{FailureKind, chain};
use harmony_core::net::DnsName;
use harmony_drivers::dns::external::{ExternalDns, ExternalDnsSpec};
use tokio::net::UdpSocket;

use crate::parts::dns::Site;
use crate::parts::dnsmasq::script;

fn name(text: &str) -> DnsName {
    text.parse().expect("a name")
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn record(text: &str, at: &str, reverse: bool) -> DnsRecord {
    DnsRecord { name: name(text), address: address(at), reverse }
}

async fn addresses(dns: &impl DnsServer, of: &str) -> Vec<String> {
    dns.resolve(&name(of)).await.expect("answered").iter().map(ToString::to_string).collect()
}

async fn names(dns: &impl DnsServer, of: &str) -> Vec<String> {
    dns.resolve_back(address(of)).await.expect("answered").iter().map(ToString::to_string).collect()
}

const NONE: [String; 0] = [];

#[tokio::test]
async fn the_records_of_a_cluster() {
    let site = Site::new();
    let dns = site.dns();
    let wanted = [
        record("*.apps.ocp4.example.com", "192.168.1.8", false),
        record("api-int.ocp4.example.com", "192.168.1.5", true),
        record("api.ocp4.example.com", "192.168.1.5", true),
        record("master-0.ocp4.example.com", "fd10::50", true),
        record("quiet.ocp4.example.com", "192.168.1.9", false),
    ];
    for record in &wanted {
        dns.set_dns_record(record).await.expect("set");
    }
    assert_eq!(dns.dns_records().await.expect("read"), wanted);
    assert_eq!(addresses(&dns, "api.ocp4.example.com").await, ["192.168.1.5"]);
    assert_eq!(names(&dns, "192.168.1.5").await, ["api-int.ocp4.example.com", "api.ocp4.example.com"]);
    assert_eq!(addresses(&dns, "master-0.ocp4.example.com").await, ["fd10::50"]);
    assert_eq!(names(&dns, "fd10::50").await, ["master-0.ocp4.example.com"]);

    // The wildcard, some name below it, one further below; but not back.
    for below in ["*.apps.ocp4.example.com", "console.apps.ocp4.example.com", "a.b.apps.ocp4.example.com"] {
        assert_eq!(addresses(&dns, below).await, ["192.168.1.8"], "{below}");
    }
    assert_eq!(names(&dns, "192.168.1.8").await, NONE);
    assert_eq!(addresses(&dns, "quiet.ocp4.example.com").await, ["192.168.1.9"]);
    assert_eq!(names(&dns, "192.168.1.9").await, NONE);
    for absent in ["master-1.ocp4.example.com", "x.api.ocp4.example.com", "x.quiet.ocp4.example.com", "www.example.org"]
    {
        assert_eq!(addresses(&dns, absent).await, NONE, "{absent}");
    }
    let text = std::fs::read_to_string(site.file("dns/dnsmasq.conf")).expect("there");
    for record in &wanted {
        let (path, lines) = dns.dns_record_text(record);
        assert!(path.ends_with("dns/dnsmasq.conf") && text.contains(&lines), "{lines}");
    }
    assert!(!dns.dns_is_external());
}

#[tokio::test]
async fn changed_and_removed_records_take_effect() {
    let site = Site::new();
    let dns = site.dns();
    for (at, reverse) in [("192.168.1.5", true), ("192.168.1.6", true), ("192.168.1.6", false), ("fd10::5", true)] {
        let wanted = record("api.ocp4.example.com", at, reverse);
        for _ in 0..2 {
            dns.set_dns_record(&wanted).await.expect("set");
        }
        assert_eq!(dns.dns_records().await.expect("read"), [wanted]);
        assert_eq!(addresses(&dns, "api.ocp4.example.com").await, [at]);
        assert_eq!(names(&dns, at).await.len(), usize::from(reverse));
    }
    assert_eq!(names(&dns, "192.168.1.5").await, NONE, "it leads back no more");
    let change = ["write /dns/dnsmasq.conf", "start dnsmasq --conf-file=/dns/dnsmasq.conf"];
    assert_eq!(site.writes(), change.repeat(4), "repeating one writes nothing");

    dns.set_dns_record(&record("*.apps.ocp4.example.com", "fd10::8", false)).await.expect("set");
    let count = site.writes().len();
    for _ in 0..2 {
        dns.remove_dns_record(&name("api.ocp4.example.com")).await.expect("removed");
    }
    dns.remove_dns_record(&name("absent.ocp4.example.com")).await.expect("is not there");
    assert_eq!(site.writes()[count..], change);
    assert_eq!(addresses(&dns, "api.ocp4.example.com").await, NONE);
    assert_eq!(names(&dns, "fd10::5").await, NONE);
    assert_eq!(addresses(&dns, "x.apps.ocp4.example.com").await, ["fd10::8"], "others stay");
}

#[tokio::test]
async fn it_outlives_its_starter_and_keeps_its_records() {
    let site = Site::new();
    assert!(!site.dns().is_running().expect("read"));
    assert_eq!(site.dns().dns_records().await.expect("read before it ever ran"), []);
    let wanted = record("api.ocp4.example.com", "192.168.1.5", true);
    site.dns().set_dns_record(&wanted).await.expect("set");
    let count = site.writes().len();
    site.dns().ensure_running().await.expect("adopted");
    assert_eq!(site.writes().len(), count);
    let other = Site::new();
    other.dns().ensure_running().await.expect("starts");
    other.dns().stop().await.expect("ends");
    assert!(site.dns().is_running().expect("another Harmony's is none of ours"));

    site.dns().stop().await.expect("ends");
    site.dns().stop().await.expect("is not there");
    assert_eq!(site.dns().dns_records().await.expect("read while it is down"), std::slice::from_ref(&wanted));
    let error = site.dns().resolve(&wanted.name).await.expect_err("nobody there");
    assert!(error.kind() == FailureKind::Unreachable && error.hint_text().is_some(), "{}", chain(&error));
    site.dns().ensure_running().await.expect("starts");
    assert_eq!(addresses(&site.dns(), "api.ocp4.example.com").await, ["192.168.1.5"]);

    // Another domain for it: started again, with the records that it has.
    let changed = site.dns_with(|spec| spec.domains.push("example.org".parse().expect("a name")));
    let count = site.writes().len();
    changed.ensure_running().await.expect("started again");
    assert_eq!(site.writes().len(), count + 2);
    assert_eq!(addresses(&changed, "api.ocp4.example.com").await, ["192.168.1.5"]);
}

#[tokio::test]
async fn what_was_cut_off_is_finished() {
    let site = Site::new();
    let dns = site.dns();
    let (first, second) =
        (record("a.ocp4.example.com", "10.0.0.1", true), record("a.ocp4.example.com", "10.0.0.2", true));
    dns.set_dns_record(&first).await.expect("set");
    let (file, before) = (site.file("dns/dnsmasq.conf"), site.file("dns/.dnsmasq.conf.before"));
    let text = std::fs::read_to_string(&file).expect("there");
    // Killed after the file was replaced, before dnsmasq was started again.
    std::fs::write(&before, &text).expect("written");
    let lines = |record| dns.dns_record_text(record).1;
    std::fs::write(&file, text.replace(&lines(&first), &lines(&second))).expect("written");
    assert_eq!(dns.dns_records().await.expect("read"), [first], "what is known for sure");
    dns.set_dns_record(&second).await.expect("repeated");
    assert_eq!(addresses(&dns, "a.ocp4.example.com").await, ["10.0.0.2"]);
    assert_eq!(dns.dns_records().await.expect("read"), [second]);
    assert!(!before.exists());
}

#[tokio::test]
async fn what_cannot_work_leaves_everything_as_it_was() {
    let site = Site::new();
    let hosts = site.file("hosts");
    std::fs::write(&hosts, "192.168.1.7 nas.ocp4.example.com nas\n").expect("written");
    let with_hosts = || site.dns_with(|spec| spec.hosts.push(hosts.clone()));
    let dns = with_hosts();
    let wanted = record("api.ocp4.example.com", "192.168.1.5", true);
    dns.set_dns_record(&wanted).await.expect("set");
    assert_eq!(addresses(&dns, "nas.ocp4.example.com").await, ["192.168.1.7"]);
    let file = site.file("dns/dnsmasq.conf");
    let (count, text) = (site.writes().len(), std::fs::read_to_string(&file).expect("there"));

    let theirs = record("nas.ocp4.example.com", "192.168.1.9", true);
    let error = dns.set_dns_record(&theirs).await.expect_err("somebody else's");
    let said = chain(&error);
    assert!(error.kind() == FailureKind::Conflict && said.contains("has `nas.ocp4.example.com`, and is not"), "{said}");
    assert!(error.hint_text().is_some());
    assert_eq!(addresses(&dns, "nas.ocp4.example.com").await, ["192.168.1.7"]);
    let error = dns.set_dns_record(&record("*.apps.x", "10.0.0.1", true)).await.expect_err("no way back");
    assert_eq!(error.kind(), FailureKind::Invalid);

    let refusing = site.file("refusing");
    script(&refusing, "#!/bin/sh\necho 'dnsmasq: bad option at line 3' >&2\nexit 1");
    let judge = site.dns_with(|spec| {
        spec.hosts.push(hosts.clone());
        spec.program = Some(refusing);
    });
    let error = judge.set_dns_record(&record("b.ocp4.example.com", "10.0.0.1", true)).await.expect_err("refused");
    assert!(
        chain(&error).ends_with(
            "dnsmasq refuses the configuration: `refusing` ended with exit status: 1: dnsmasq: bad option at line 3"
        ),
        "{}",
        chain(&error)
    );
    assert_eq!(site.writes().len(), count);

    // One that passes the judgement, and does not start: the earlier one does, again.
    let failing = site.file("failing");
    script(
        &failing,
        "#!/bin/sh\n[ \"$1\" = --test ] && exit 0\ngrep -q b.ocp4 \"${1#--conf-file=}\" && exit 3\nexec dnsmasq \"$@\"",
    );
    let fails = site.dns_with(|spec| {
        spec.hosts.push(hosts.clone());
        spec.program = Some(failing);
    });
    let error = fails.set_dns_record(&record("b.ocp4.example.com", "10.0.0.1", true)).await.expect_err("fails");
    assert!(chain(&error).contains("dnsmasq did not start"), "{}", chain(&error));
    assert_eq!(std::fs::read_to_string(&file).expect("there"), text);
    assert_eq!(dns.dns_records().await.expect("read"), [wanted]);
    assert_eq!(addresses(&dns, "api.ocp4.example.com").await, ["192.168.1.5"]);

    std::fs::write(&file, text.replace("host-record=api", "host-record=API")).expect("written");
    let error = dns.dns_records().await.expect_err("changed by hand");
    assert!(chain(&error).contains("was changed by hand: line "), "{}", chain(&error));
    assert!(error.kind() == FailureKind::Invalid && error.hint_text().is_some());
    std::fs::write(&file, text).expect("written");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let site = Site::new();
    let _taken = UdpSocket::bind(site.server).await.expect("free");
    let error = site.dns().ensure_running().await.expect_err("taken");
    assert_eq!(error.kind(), FailureKind::Conflict, "{}", chain(&error));
    assert!(error.hint_text().is_some_and(|hint| hint.contains("another DNS server")), "{error:?}");
    assert!(!site.dns().is_running().expect("read"));
}

fn external(port: u16) -> ExternalDns {
    ExternalDns::new(ExternalDnsSpec { servers: vec![address("127.0.0.1")], port })
}

#[tokio::test]
async fn external_dns_is_asked_and_not_changed() {
    let site = Site::new();
    let wanted = record("api.ocp4.example.com", "192.168.1.5", true);
    site.dns().set_dns_record(&wanted).await.expect("set");
    let dns = external(site.server.port());
    assert!(dns.dns_is_external());
    assert_eq!(dns.dns_records().await.expect("none of ours"), []);
    assert_eq!(addresses(&dns, "api.ocp4.example.com").await, ["192.168.1.5"]);
    assert_eq!(names(&dns, "192.168.1.5").await, ["api.ocp4.example.com"]);
    assert_eq!(addresses(&dns, "absent.ocp4.example.com").await, NONE);
    for error in [
        dns.set_dns_record(&wanted).await.expect_err("not ours"),
        dns.remove_dns_record(&wanted.name).await.expect_err("not ours"),
    ] {
        assert!(error.kind() == FailureKind::Rejected && error.hint_text().is_some(), "{}", chain(&error));
    }
    // The second server answers where the first is not there.
    let servers = vec![address("127.9.9.9"), site.server.ip()];
    let dns = ExternalDns::new(ExternalDnsSpec { servers, port: site.server.port() });
    assert_eq!(addresses(&dns, "api.ocp4.example.com").await, ["192.168.1.5"]);
    site.dns().stop().await.expect("ends");
    let error = dns.resolve(&wanted.name).await.expect_err("nobody there");
    assert!(error.kind() == FailureKind::Unreachable && error.hint_text().is_some(), "{}", chain(&error));
}

/// Answers each question with what is made of it.
async fn liar(answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> ExternalDns {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    let port = socket.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question).await {
            for answer in answers(&question[..length]) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    external(port)
}

/// The right answer to a question for an address, with one record of this data.
fn answer(question: &[u8], data: &[u8]) -> Vec<u8> {
    let is_ipv4 = question.ends_with(&[0, 1, 0, 1]);
    let mut answer = question.to_vec();
    (answer[2], answer[3], answer[7]) = (0x81, 0x80, u8::from(is_ipv4));
    if is_ipv4 {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, data.len() as u8]);
        answer.extend(data);
    }
    answer
}

#[tokio::test]
async fn answers_that_are_none_are_refused() {
    // Others' answers arrive first: wrong number, another name, a question. The right one counts.
    let spoofed = liar(|question| {
        let right = answer(question, &[10, 0, 0, 1]);
        let (mut number, mut other) = (answer(question, &[6, 6, 6, 6]), answer(question, &[6, 6, 6, 6]));
        number[0] ^= 1;
        other[13] ^= 1;
        vec![number, other, question.to_vec(), vec![], vec![0; 4000], right]
    })
    .await;
    assert!(spoofed.resolve(&name("api.x")).await.is_err(), "an answer that is cut off ends it");
    let spoofed = liar(|question| {
        let right = answer(question, &[10, 0, 0, 1]);
        let (mut number, mut other) = (answer(question, &[6, 6, 6, 6]), answer(question, &[6, 6, 6, 6]));
        number[0] ^= 1;
        other[13] ^= 1;
        vec![number, other, question.to_vec(), right]
    })
    .await;
    assert_eq!(addresses(&spoofed, "api.x").await, ["10.0.0.1"]);

    for (why, data) in [("an address in it is none", &[1, 2, 3][..]), ("an address in it is none", &[0; 200][..])] {
        let garbled = liar(|question| vec![answer(question, data)]).await;
        let error = garbled.resolve(&name("api.x")).await.expect_err(why);
        assert!(error.kind() == FailureKind::Invalid && chain(&error).contains(why), "{}", chain(&error));
    }
    for (code, kind) in [(2, FailureKind::Transient), (5, FailureKind::Rejected)] {
        let failing = liar(move |question| {
            let mut answer = answer(question, &[10, 0, 0, 1]);
            answer[3] = 0x80 | code;
            vec![answer]
        })
        .await;
        let error = failing.resolve(&name("api.x")).await.expect_err("failed");
        assert_eq!(error.kind(), kind, "{}", chain(&error));
    }
}
