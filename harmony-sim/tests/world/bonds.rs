//! LACP between an installed host and its switch.

use std::time::Duration;

use harmony_core::boot::{BondReading, flip};
use harmony_core::capability::{LacpFallback, Switch};
use harmony_core::net::MacAddress;
use harmony_sim::{Fault, World};

use crate::harness::{Site, rack};

const READ: &str = "sudo cat /proc/net/bonding/bond0";

async fn reading(site: &Site, order: &harmony_core::boot::Order) -> BondReading {
    let output = site.ssh(order, READ).await.expect("answers");
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    BondReading::parse(&output.stdout)
}

#[tokio::test(start_paused = true)]
async fn both_ends_agree_a_few_seconds_after_the_flip() {
    let site = Site::new(rack(2));
    let order = site.install("node-1", 1).await;
    let alone = reading(&site, &order).await;
    assert!(alone.is_lacp && alone.members.len() == 2);
    assert!(alone.members.iter().all(|member| !member.is_negotiated()), "no partner yet");
    assert_ne!(alone.members[0].aggregator, alone.members[1].aggregator);

    let lag = site.lag("node-1");
    site.topology.set_ports_lacp_mode(&lag).await.expect("accepted");
    let status = site.topology.get_port_status(&lag.ports).await.expect("reads");
    assert!(status.iter().all(|port| port.lacp.as_ref().is_some_and(|lacp| !lacp.distributing)), "not at once");
    assert!(site.world.until(Duration::from_secs(5), |world| world.machine("node-1").is_some_and(|m| m.bundled)).await);
    let (host, switch) =
        (reading(&site, &order).await, site.topology.get_port_status(&lag.ports).await.expect("reads"));
    assert_eq!(flip::disagreement(&host, &switch), Vec::<String>::new());
    assert!(site.machine("node-1").reachable);
    site.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn the_bonding_text_is_that_of_linux() {
    let site = Site::new(rack(1));
    let order = site.install("node-1", 1).await;
    site.topology.set_ports_lacp_mode(&site.lag("node-1")).await.expect("accepted");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let text = site.ssh(&order, READ).await.expect("answers").stdout;
    let recorded = include_str!("../../../harmony-core/src/boot/testdata/bond0-negotiated.txt");
    let keys =
        |text: &str| text.lines().map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect::<Vec<_>>();
    assert_eq!(keys(&text), keys(recorded), "{text}");
}

#[tokio::test(start_paused = true)]
async fn back_to_access_costs_a_few_seconds_and_keeps_one_link() {
    let site = Site::new(rack(1));
    let order = site.install("node-1", 1).await;
    let lag = site.lag("node-1");
    site.topology.set_ports_lacp_mode(&lag).await.expect("accepted");
    tokio::time::sleep(Duration::from_secs(5)).await;
    site.topology.set_ports_access_mode(&lag.ports, lag.vlan).await.expect("accepted");
    let reachable = |world: &World| world.machine("node-1").is_some_and(|m| m.reachable);
    assert!(reachable(&site.world), "it has not noticed yet");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!reachable(&site.world));
    assert!(site.world.until(Duration::from_secs(3), reachable).await);
    let alone = reading(&site, &order).await;
    assert!(alone.members.iter().all(|member| !member.is_negotiated()));
    site.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn ports_of_two_hosts_do_not_bundle() {
    let site = Site::new(rack(2));
    site.install("node-1", 1).await;
    site.install("node-2", 2).await;
    let mut lag = site.lag("node-1");
    lag.ports[1] = site.machine("node-2").ports[1].clone();
    site.topology.set_ports_lacp_mode(&lag).await.expect("accepted");
    tokio::time::sleep(Duration::from_secs(30)).await;
    let status = site.topology.get_port_status(&lag.ports).await.expect("reads");
    let partners: Vec<Option<MacAddress>> =
        status.iter().map(|port| port.lacp.as_ref().and_then(|lacp| lacp.partner)).collect();
    assert_eq!(partners, [Some(site.machine("node-1").macs[0]), None]);
}

#[tokio::test(start_paused = true)]
async fn a_bond_that_is_not_understood_never_bundles() {
    let site = Site::new(rack(1));
    let order = site.install("node-1", 1).await;
    let lag = site.lag("node-1");
    let fault = site.world.inject(Fault::NeverNegotiates { machine: "node-1".to_owned() });
    site.topology.set_ports_lacp_mode(&lag).await.expect("accepted");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!site.machine("node-1").bundled && site.ssh(&order, READ).await.is_err(), "the ports block");
    drop(fault);
    assert!(site.machine("node-1").bundled);
}

#[tokio::test(start_paused = true)]
async fn with_fallback_a_host_without_bond_stays_reachable() {
    let site = Site::new(rack(1));
    site.discover("node-1").await;
    let mut lag = site.lag("node-1");
    lag.fallback = true;
    site.topology.set_ports_lacp_mode(&lag).await.expect("accepted");
    assert!(!site.machine("node-1").reachable, "the switch listens first");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(site.machine("node-1").reachable);
    site.assert_clean();
    let switch = lag.ports[0].switch.clone();
    site.topology.set_lacp_fallback(&switch, &lag.name, false).await.expect("accepted");
    assert!(!site.machine("node-1").reachable);
    assert_eq!(site.world.violations().len(), 2, "one for each port");
}

#[tokio::test(start_paused = true)]
async fn a_lag_is_exactly_its_ports() {
    let site = Site::new(rack(2));
    let mut lag = site.lag("node-1");
    site.topology.set_ports_lacp_mode(&lag).await.expect("accepted");
    let left = lag.ports.pop().expect("two");
    site.topology.set_ports_lacp_mode(&lag).await.expect("accepted");
    let modes = site.topology.get_port_status(&[lag.ports[0].clone(), left]).await.expect("reads");
    let modes: Vec<String> = modes.iter().map(|port| port.mode.to_string()).collect();
    assert_eq!(modes, ["LACP in lag-node-1 VLAN 10", "access VLAN 10"]);
    let unknown = site.topology.get_port_status(&["tor/x".parse().expect("valid")]).await.expect_err("unknown");
    assert_eq!(unknown.to_string(), "no port tor/x in this site");
}
