//! Every rule is broken once, on purpose, and noticed.

use std::time::Duration;

use harmony_core::boot::OrderState;
use harmony_core::capability::{Bmc, BootEntry, BootTarget, DhcpServer, PowerAction, PxeServer, Reservation, Switch};
use harmony_core::store::Document;
use harmony_sim::{DiskSpec, Rule, WorldSpec};

use crate::harness::{BOOT, Site, rack};

fn rules(site: &Site) -> Vec<Rule> {
    let mut rules: Vec<Rule> = site.world.violations().iter().map(|violation| violation.rule).collect();
    rules.sort();
    rules.dedup();
    rules
}

#[tokio::test(start_paused = true)]
async fn lacp_in_front_of_a_host_without_bond() {
    let site = Site::new(rack(1));
    site.discover("node-1").await;
    site.topology.set_ports_lacp_mode(&site.lag("node-1")).await.expect("accepted");
    let violations = site.world.violations();
    assert_eq!(violations.len(), 2, "{violations:?}");
    assert_eq!(
        violations[0].text,
        "node-1 is in a system without bond while its port tor/node-1-p0 is LACP in lag-node-1 VLAN 10"
    );
}

#[tokio::test(start_paused = true)]
async fn a_network_boot_of_a_host_whose_ports_are_bundled() {
    let mut spec = rack(1);
    let host = spec.hosts.remove(0);
    spec.hosts.push(host.with_firmware_pxe());
    let site = Site::new(spec);
    site.install("node-1", 1).await;
    site.topology.set_ports_lacp_mode(&site.lag("node-1")).await.expect("accepted");
    tokio::time::sleep(Duration::from_secs(10)).await;
    site.assert_clean();
    site.netboot("node-1").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rules(&site), [Rule::IncompatiblePort]);
    assert!(site.world.violations()[0].text.contains("firmware network boot"), "{:?}", site.world.violations());
}

#[tokio::test(start_paused = true)]
async fn an_installed_host_that_restarts_behind_its_bundle_is_fine() {
    let site = Site::new(rack(1));
    site.install("node-1", 1).await;
    site.topology.set_ports_lacp_mode(&site.lag("node-1")).await.expect("accepted");
    tokio::time::sleep(Duration::from_secs(10)).await;
    site.world.power_by_hand("node-1", PowerAction::Restart);
    assert!(site.world.until(BOOT, |world| world.machine("node-1").is_some_and(|m| m.bundled)).await);
    site.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_the_order_does_not_name() {
    let mut spec = rack(1);
    spec.hosts[0].disks.push(DiskSpec::blank("vdb", "OTHER"));
    let site = Site::new(spec);
    let host = site.discover("node-1").await;
    // The script contradicts the order that is stored.
    site.order(&host, 1, |order| {
        order.disk_path = "/dev/disk/by-id/virtio-OTHER".to_owned();
        order.disk_serial = "OTHER".to_owned();
    })
    .await;
    site.netboot("node-1").await;
    assert!(site.world.until(BOOT, |world| world.machine("node-1").is_some_and(|m| m.installs == 1)).await);
    assert_eq!(rules(&site), [Rule::WrongDisk]);
}

#[tokio::test(start_paused = true)]
async fn an_installation_by_the_order_of_another_host() {
    let site = Site::new(rack(2));
    let (one, two) = (site.discover("node-1").await, site.discover("node-2").await);
    let order = site.order(&one, 1, |_| {}).await;
    // What node-1 is to get is served to node-2 as well, disk serial included.
    let stored = site.store.boot_entry(&one.id).await.expect("reads").expect("there");
    let BootTarget::Install { script, answer, .. } = stored.target else { panic!("an installation") };
    let text = site.store.document(&script).await.expect("reads").expect("there").text;
    let forged = Document::new("forged.ipxe", text.replace("DISK-00001-A", "DISK-00002-A"));
    site.store.put_document(&forged).await.expect("stored");
    let target = BootTarget::Install { order: order.id.clone(), script: forged.hash, answer, base: None };
    let macs = one.macs().iter().chain(two.macs()).copied().collect();
    let entries = [(&two, two.macs().iter().copied().collect()), (&one, macs)];
    for (host, macs) in entries {
        let entry = BootEntry { host: host.id.clone(), macs, target: target.clone() };
        site.topology.set_boot_entry(&entry).await.expect("stored");
    }
    site.netboot("node-2").await;
    assert!(
        site.world.until(BOOT, |world| world.machine("node-2").is_some_and(|m| m.installs == 1)).await,
        "{}",
        site.world.log()
    );
    assert_eq!(rules(&site), [Rule::InstallWithoutOrder], "{:?}", site.world.violations());
}

#[tokio::test(start_paused = true)]
async fn an_address_reserved_for_the_nics_of_two_machines() {
    let site = Site::new(rack(2));
    assert!(site.agent("node-1").await && site.agent("node-2").await);
    let macs = ["node-1", "node-2"].iter().flat_map(|name| site.machine(name).macs).collect();
    let reservation = Reservation { hostname: "both".parse().expect("valid"), address: [10, 10, 0, 11].into(), macs };
    site.topology.set_reservation(&reservation).await.expect("free");
    for name in ["node-1", "node-2"] {
        site.world.power_by_hand(name, PowerAction::Restart);
        assert!(site.agent(name).await);
    }
    assert_eq!(rules(&site), [Rule::AddressLeasedTwice]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_a_host_in_use() {
    let site = Site::new(rack(1));
    let order = site.install("node-1", 1).await;
    for (from, to) in [(OrderState::Installed, OrderState::Bonded), (OrderState::Bonded, OrderState::Complete)] {
        site.store.advance_order(&order.id, from, to, None).await.expect("in order");
    }
    let bmc = site.machine("node-1").bmc.expect("has one");
    site.topology.power(&bmc, PowerAction::On).await.expect("accepted");
    site.assert_clean();
    site.topology.power(&bmc, PowerAction::Restart).await.expect("accepted");
    assert_eq!(rules(&site), [Rule::PowerOfHostInUse]);
}

/// Installs machines, then bundles the ports of the first, and those of the second before or after that is done.
async fn flip_two(spec: WorldSpec, pause: Duration) -> Site {
    let site = Site::new(spec);
    for (number, name) in [(1, "node-1"), (2, "node-2")] {
        site.install(name, number).await;
    }
    site.topology.set_ports_lacp_mode(&site.lag("node-1")).await.expect("accepted");
    tokio::time::sleep(pause).await;
    site.topology.set_ports_lacp_mode(&site.lag("node-2")).await.expect("accepted");
    site
}

#[tokio::test(start_paused = true)]
async fn two_flips_at_once_on_a_pair_of_switches() {
    let pair = || {
        let mut spec = WorldSpec::mlag_rack(1, 2);
        spec.hosts.iter_mut().for_each(|host| (host.quorum, host.powered) = (None, true));
        spec
    };
    let site = flip_two(pair(), Duration::ZERO).await;
    assert_eq!(rules(&site), [Rule::FlipsOverlap]);
    let text = &site.world.violations()[0].text;
    assert_eq!(
        text,
        "the ports of node-2 are bundled while those of node-1 are: both are across MLAG pair 02:5a:00:00:01:00"
    );
    flip_two(pair(), Duration::from_secs(5)).await.assert_clean();
    // LAGs of one switch alone are no business of the pair.
    let mut alone = pair();
    for host in &mut alone.hosts {
        host.nics.pop();
    }
    flip_two(alone, Duration::ZERO).await.assert_clean();
    // A machine whose bundle is through may lose it again: that is no flip.
    let site = Site::new(pair());
    for (number, name) in [(1, "node-1"), (2, "node-2")] {
        site.install(name, number).await;
    }
    site.topology.set_ports_lacp_mode(&site.lag("node-1")).await.expect("accepted");
    tokio::time::sleep(Duration::from_secs(5)).await;
    site.world.power_by_hand("node-1", PowerAction::Off);
    site.topology.set_ports_lacp_mode(&site.lag("node-2")).await.expect("accepted");
    site.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn two_flips_at_once_in_a_quorum_group_and_two_that_have_nothing_in_common() {
    let group = |of: [Option<&str>; 2]| {
        let mut spec = rack(2);
        for (host, group) in spec.hosts.iter_mut().zip(of) {
            host.quorum = group.map(str::to_owned);
        }
        spec
    };
    let site = flip_two(group([Some("etcd"), Some("etcd")]), Duration::ZERO).await;
    assert_eq!(rules(&site), [Rule::FlipsOverlap]);
    assert!(site.world.violations()[0].text.ends_with("both are in quorum group etcd"));
    for others in [[Some("etcd"), Some("ceph")], [None, None]] {
        flip_two(group(others), Duration::ZERO).await.assert_clean();
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_in_an_output() {
    let site = Site::new(rack(1));
    site.world.add_secret("hunter2-of-tor");
    let host = site.discover("node-1").await;
    site.order(&host, 1, |_| {}).await;
    assert!(site.world.check_output(&site.world.log()).await, "the world's own log shows none");
    assert!(site.world.check_output("a plan\nthat says token and password").await);
    site.assert_clean();
    assert!(!site.world.check_output("GET http://10.10.0.1:8080/answer/hc-0000000/1/token1").await);
    assert!(!site.world.check_output("one line\nenable secret hunter2-of-tor").await);
    assert_eq!(rules(&site), [Rule::SecretInOutput]);
    let texts: Vec<String> = site.world.violations().iter().map(|violation| violation.text.clone()).collect();
    assert_eq!(texts, ["1 secrets in an output, first in line 1", "1 secrets in an output, first in line 2"]);
}
