//! A site without findings, and what each thing that is wrong is found as.

use super::super::testing::{cluster, hosts, parse};
use super::super::{LacpStrategy, NodeKind, RoleEntry};
use super::*;
use crate::boot::choice::DiskHints;
use crate::capability::{LinkState, PortMode, RemoteFile};
use crate::host::{PortWitnesses, WitnessKind};

const GOOD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// Six hosts, and everything as it should be.
fn seen(cluster: &ClusterDescription) -> Observations {
    let roles = cluster.role_plans().expect("valid");
    let node = |(role, last): (&RolePlan, u8)| NodeAddress {
        role: role.role.clone(),
        kind: role.kind,
        address: [10, 10, 0, last].into(),
    };
    let nodes: Vec<NodeAddress> = roles.iter().zip(10..).map(node).collect();
    let records =
        super::super::endpoints::dns_records(cluster, &nodes, super::super::endpoints::ClusterPhase::Bootstrapping);
    let mut dns = DnsSeen { is_external: true, ..DnsSeen::default() };
    for record in records.expect("valid") {
        if record.reverse {
            let back = dns.back.entry(record.address).or_insert_with(|| Ok(Vec::new()));
            back.as_mut().expect("an answer").push(record.name.clone());
        }
        dns.forward.insert(record.name, Ok(vec![record.address]));
    }
    let hosts = hosts(6);
    let remote = |name: &str| RemoteFile { location: format!("https://mirror/{name}"), sha256: GOOD.into() };
    let ports = hosts.iter().flat_map(|host| host.nics.iter().filter_map(|nic| nic.port.agreed()));
    let status = |port: PortRef| {
        let mode = PortMode::Access { vlan: 10.try_into().expect("valid") };
        (port.clone(), PortStatus { port, link: LinkState::Up, speed_mbps: Some(10_000), mode, lacp: None })
    };
    Observations {
        now: parse("2026-11-27T12:00:00Z"),
        ports: ports.map(status).collect(),
        nodes,
        dns: Some(dns),
        balancer: Some(BalancerSeen { is_external: true, ..BalancerSeen::default() }),
        installer: Some(InstallerVersion {
            version: "4.19.0-okd-scos.9".into(),
            release_image: None,
            sha256: GOOD.into(),
        }),
        images: Some(BootImages {
            release: "9.0.20250510-0".into(),
            kernel: remote("scos-live-kernel.x86_64"),
            initramfs: remote("initramfs"),
            rootfs: remote("rootfs"),
        }),
        boots: hosts.iter().map(|host| (host.id.clone(), OneTimeBoot::Bmc)).collect(),
        hosts,
        ..Observations::default()
    }
}

fn pinned() -> ClusterDescription {
    ClusterDescription { release: Some("4.19.0-okd-scos.9".into()), ..cluster() }
}

#[test]
fn a_site_that_is_as_it_should_be_has_no_findings() {
    assert_eq!(preflight(&pinned(), &seen(&pinned())), Vec::new());
    // What was not looked at is not judged; a cluster without hosts cannot begin.
    let findings = preflight(&pinned(), &Observations::default());
    assert!(!may_begin(&findings));
    assert!(findings.iter().all(|finding| finding.subject.starts_with("role ")), "{findings:?}");
}

type Change = fn(&mut ClusterDescription, &mut Observations);

fn entry<'a>(cluster: &'a mut ClusterDescription, role: &str) -> &'a mut RoleEntry {
    cluster.roles.entry(parse(role)).or_default()
}

/// What is wrong, and what it is found as.
const WRONG: [(&str, Change); 34] = [
    ("an even number of masters", |c, _| {
        c.roles.remove(&parse::<crate::host::Role>("master-2"));
    }),
    ("too few hosts", |_, o| o.hosts.truncate(2)),
    ("a named host that is too small", |c, o| {
        entry(c, "master-0").host = Some(super::super::HostBinding::Serial("SN003".into()));
        o.hosts[3].memory_bytes = Some(8 << 30);
    }),
    ("a disk with contents", |_, o| o.hosts[0].disks[0].signatures = vec!["ext4".into()]),
    ("no disk that answers to the hints", |c, _| {
        let disk = Some(DiskHints { rotational: Some(true), ..DiskHints::default() });
        entry(c, "worker-0").disk = disk;
        entry(c, "worker-0").host = Some(super::super::HostBinding::Serial("SN004".into()));
    }),
    ("a disk that is too small", |c, o| {
        entry(c, "worker-0").host = Some(super::super::HostBinding::Serial("SN004".into()));
        entry(c, "worker-0").disk = Some(DiskHints { serial_number: Some("SMALL".into()), ..DiskHints::default() });
        let small = crate::host::Disk {
            name: "sdb".into(),
            size_bytes: 60_000_000_000,
            ..super::super::testing::disk("SMALL")
        };
        o.hosts[4].disks.push(small);
    }),
    ("a NIC whose port is unknown", |_, o| o.hosts[1].nics[1].port = PortWitnesses::default()),
    ("a NIC whose port is disputed", |_, o| {
        o.hosts[1].nics[1].port.hear(WitnessKind::MacTable, parse("tor/p9-9"));
    }),
    ("two switches that do not bundle", |_, o| {
        o.hosts[1].nics[1].port = PortWitnesses::default();
        o.hosts[1].nics[1].port.hear(WitnessKind::AgentLldp, parse("tor-2/p1-1"));
    }),
    ("another NIC with a link, its port unknown", |_, o| {
        let mut nic = o.hosts[0].nics[1].clone();
        (nic.name, nic.mac, nic.port) = ("eno9".into(), parse("52:54:00:00:99:99"), PortWitnesses::default());
        // The smallest host is the bootstrap, which uses one NIC only.
        o.hosts[0].nics.push(nic);
        o.hosts[0].memory_bytes = Some(32 << 30);
    }),
    ("an unknown port mode", |_, o| {
        let port = o.ports.get_mut(&parse::<PortRef>("tor/p1-0")).expect("there");
        port.mode = PortMode::Unrecognised { text: "dot1q-tunnel".into() };
    }),
    ("a switch port without link", |_, o| {
        o.ports.get_mut(&parse::<PortRef>("tor/p1-0")).expect("there").link = LinkState::Down;
    }),
    ("fallback that the switch cannot do", |c, _| entry(c, "master-0").lacp = Some(LacpStrategy::Fallback)),
    ("a tagged VLAN on bundled ports", |c, _| entry(c, "master-0").vlan = 100.try_into().ok()),
    ("a tagged VLAN on ports that are left alone", |c, _| {
        let master = entry(c, "master-0");
        (master.vlan, master.lacp) = (100.try_into().ok(), Some(LacpStrategy::None));
    }),
    ("a small MTU", |_, o| {
        o.mtu.insert((o.hosts[1].id.clone(), "eno1".into()), 1400);
    }),
    ("MTUs that differ", |_, o| {
        o.mtu.insert((o.hosts[1].id.clone(), "eno1".into()), 9000);
        o.mtu.insert((o.hosts[2].id.clone(), "eno1".into()), 1500);
    }),
    ("firmware that is not known", |_, o| o.hosts[2].firmware = None),
    ("a BMC that is silent", |_, o| {
        o.boots.insert(o.hosts[2].id.clone(), OneTimeBoot::BmcSilent("no route to 10.10.1.3".into()));
    }),
    ("a host that only a person can boot", |_, o| {
        o.boots.insert(o.hosts[2].id.clone(), OneTimeBoot::Person);
    }),
    ("an address that is taken", |_, o| {
        o.occupants.insert(parse("10.10.0.5"), Occupant::Other("52:54:00:ff:ff:ff".into()));
    }),
    ("two nodes at one address", |_, o| o.nodes[2].address = o.nodes[1].address),
    ("a name that is not there", |_, o| {
        let dns = o.dns.as_mut().expect("there");
        dns.forward.insert(parse("api.ocp4.example.com"), Ok(Vec::new()));
    }),
    ("a wildcard that leads elsewhere", |_, o| {
        let dns = o.dns.as_mut().expect("there");
        dns.forward.insert(parse("*.apps.ocp4.example.com"), Ok(vec![parse("10.10.0.99")]));
    }),
    ("an address that does not lead back", |_, o| {
        let dns = o.dns.as_mut().expect("there");
        dns.back.insert(parse("10.10.0.11"), Ok(Vec::new()));
    }),
    ("an address that leads back to another", |_, o| {
        let dns = o.dns.as_mut().expect("there");
        dns.back.insert(parse("10.10.0.11"), Ok(vec![parse("printer.example.com")]));
    }),
    ("a DNS server that is silent", |_, o| {
        let dns = o.dns.as_mut().expect("there");
        dns.forward.insert(parse("api.ocp4.example.com"), Err("no answer in 5 s".into()));
    }),
    ("an external balancer without the API", |_, o| {
        let balancer = o.balancer.as_mut().expect("there");
        balancer.listens.insert(parse("10.10.0.5:6443"), Err("connection refused".into()));
    }),
    ("clocks that are wrong", |_, o| {
        o.clocks.insert("master-0".into(), SignedDuration::from_secs(-400));
        o.clocks.insert("worker-0".into(), SignedDuration::from_secs(45));
        o.clocks.insert("worker-1".into(), SignedDuration::from_secs(2));
    }),
    ("another release", |c, _| c.release = Some("4.19.0-okd-scos.10".into())),
    ("a release that is known to fail, not pinned", |c, o| {
        c.release = None;
        o.installer.as_mut().expect("there").version = "4.19.0-okd-scos.19".into();
    }),
    ("Fedora CoreOS", |_, o| {
        o.images.as_mut().expect("there").kernel.location = "https://mirror/fedora-coreos-41-live-kernel-x86_64".into();
    }),
    ("assets that are not there or wrong", |_, o| {
        let there = Some(AssetInfo { sha256: "b".repeat(64), size_bytes: 1 });
        let asset = |path: &str, there| AssetSeen { path: path.into(), sha256: GOOD.into(), there };
        let right = Some(AssetInfo { sha256: GOOD.into(), size_bytes: 1 });
        o.assets = vec![asset("kernel", there), asset("initramfs", None), asset("rootfs", right)];
    }),
    ("old certificates", |_, o| {
        let (made_at, expires_at) = (parse("2026-11-26T23:00:00Z"), parse("2026-11-27T23:00:00Z"));
        o.certificates = Some(CertificatesSeen { made_at, expires_at, are_needed: true });
    }),
];

#[test]
fn each_thing_that_is_wrong_is_found() {
    let mut text = String::new();
    for (name, change) in WRONG {
        let mut cluster = pinned();
        let mut seen = seen(&cluster);
        change(&mut cluster, &mut seen);
        let findings = preflight(&cluster, &seen);
        assert!(!findings.is_empty(), "{name}");
        text += &format!("== {name}\n");
        for finding in findings {
            text += &format!("{finding}\n");
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn certificates_block_once_they_have_expired_and_only_while_they_are_needed() {
    let cluster = pinned();
    let mut seen = seen(&cluster);
    let (made_at, expires_at) = (parse("2026-11-26T11:00:00Z"), parse("2026-11-27T11:00:00Z"));
    for are_needed in [true, false] {
        seen.certificates = Some(CertificatesSeen { made_at, expires_at, are_needed });
        assert_eq!(may_begin(&preflight(&cluster, &seen)), !are_needed);
    }
}

#[test]
fn names_of_a_dns_server_that_harmony_keeps_need_not_be_there_yet() {
    let cluster = pinned();
    let mut seen = seen(&cluster);
    let dns = seen.dns.as_mut().expect("there");
    dns.is_external = false;
    dns.forward.values_mut().for_each(|answer| *answer = Ok(Vec::new()));
    dns.back.values_mut().for_each(|answer| *answer = Ok(Vec::new()));
    assert_eq!(preflight(&cluster, &seen), Vec::new());
}

#[test]
fn minimums_are_those_of_the_description() {
    let mut cluster = pinned();
    let mut seen = seen(&cluster);
    seen.hosts.iter_mut().for_each(|host| (host.cpus, host.memory_bytes) = (Some(1), Some(512 << 20)));
    assert!(!may_begin(&preflight(&cluster, &seen)));
    let minimums = Some(super::super::Minimums { cpus: 1, memory_gib: 0, disk_gb: 10 });
    for kind in NodeKind::ALL {
        let settings = super::super::RoleSettings { minimums, ..Default::default() };
        cluster.defaults.insert(kind, settings);
    }
    assert_eq!(preflight(&cluster, &seen), Vec::new());
}
