//! What ports do between both ends of a cable: LACP's states, links, spanning tree, pairs of switches.

use std::time::Duration;

use harmony_core::boot::{BondReading, flip};
use harmony_core::capability::{LacpPortState, PortMode, Switch};
use harmony_sim::{Fault, LacpRate, SpecError, Unpartnered, World, WorldSpec};

use crate::harness::{Site, lacp, rack};

const S: Duration = Duration::from_secs(1);

fn bundled(world: &World) -> bool {
    world.machine("node-1").is_some_and(|machine| machine.bundled)
}

/// A machine on a pair of switches, switched on.
fn on_a_pair() -> WorldSpec {
    let mut spec = WorldSpec::mlag_rack(1, 1);
    spec.hosts[0].powered = true;
    spec
}

/// An installed machine whose ports are bundled.
async fn bundle(spec: WorldSpec) -> Site {
    let site = Site::new(spec);
    site.install("node-1", 1).await;
    site.topology.set_ports_lacp_mode(&site.lag("node-1")).await.expect("accepted");
    assert!(site.world.until(5 * S, bundled).await, "{}", site.world.log());
    site
}

#[tokio::test(start_paused = true)]
async fn a_port_hears_its_partner_then_is_in_sync_then_collects_then_distributes() {
    let site = Site::new(rack(1));
    site.install("node-1", 1).await;
    let lag = site.lag("node-1");
    site.topology.set_ports_lacp_mode(&lag).await.expect("accepted");
    let mut seen: Vec<LacpPortState> = Vec::new();
    while !seen.last().is_some_and(|state| state.distributing) {
        let status = site.topology.get_port_status(&lag.ports[..1]).await.expect("reads");
        let state = status[0].lacp.clone().expect("in a LAG");
        if seen.last() != Some(&state) {
            seen.push(state);
        }
        assert!(site.world.now() < 300 * S, "{seen:?}");
    }
    let steps: Vec<_> =
        seen.iter().map(|s| (s.partner.is_some(), s.synchronised, s.collecting, s.distributing)).collect();
    let all = [
        (false, false, false, false),
        (true, false, false, false),
        (true, true, false, false),
        (true, true, true, false),
        (true, true, true, true),
    ];
    assert_eq!(steps, all);
}

#[tokio::test(start_paused = true)]
async fn a_port_without_partner_works_alone_where_the_switch_does_so() {
    for (unpartnered, boots) in [(Unpartnered::Individual, true), (Unpartnered::Suspended, false)] {
        let mut spec = rack(1);
        spec.switches[0].unpartnered = unpartnered;
        spec.switches[0].ports.iter_mut().for_each(|port| port.mode = Some(lacp("lag1", false)));
        let host = spec.hosts.remove(0);
        spec.hosts.push(host.with_firmware_pxe());
        let site = Site::new(spec);
        assert_eq!(site.agent("node-1").await, boots, "{unpartnered:?}\n{}", site.world.log());
    }
}

#[tokio::test(start_paused = true)]
async fn a_partner_that_falls_silent_is_believed_for_three_periods() {
    for (rate, still, gone) in [(LacpRate::Fast, 2 * S, 4 * S), (LacpRate::Slow, 80 * S, 100 * S)] {
        let mut spec = rack(1);
        spec.switches[0].lacp_rate = rate;
        let site = bundle(spec).await;
        let _mute = site.world.inject(Fault::NeverNegotiates { machine: "node-1".to_owned() });
        tokio::time::sleep(still).await;
        assert!(bundled(&site.world), "{rate:?}");
        tokio::time::sleep(gone - still).await;
        assert!(!bundled(&site.world), "{rate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_comes_and_goes_breaks_the_bundle_and_heals() {
    let site = bundle(rack(1)).await;
    let fault = site.world.inject(Fault::FlappingLink { machine: "node-1".to_owned(), nic: 1 });
    assert_eq!(fault.fired(), 1);
    let ports = site.machine("node-1").ports;
    let states = async || -> Vec<bool> {
        let status = site.topology.get_port_status(&ports).await.expect("reads");
        status.iter().map(|port| port.lacp.as_ref().is_some_and(|lacp| lacp.distributing)).collect()
    };
    assert_eq!(states().await, [true, false]);
    assert!(site.machine("node-1").reachable, "over the other link");
    tokio::time::sleep(10 * S).await;
    assert_eq!(states().await, [true, true]);
    tokio::time::sleep(21 * S).await;
    assert_eq!(states().await, [true, false], "again");
    drop(fault);
    tokio::time::sleep(4 * S).await;
    assert_eq!(states().await, [true, true]);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_no_edge_port_forwards_only_after_spanning_tree() {
    let found_at = async |edge: bool| {
        let mut spec = rack(1);
        spec.switches[0].ports.iter_mut().for_each(|port| port.edge = edge);
        let site = Site::new(spec);
        assert!(site.agent("node-1").await, "{}", site.world.log());
        (site.world.now(), site)
    };
    let (with_edge, _) = found_at(true).await;
    let (without, site) = found_at(false).await;
    assert!(with_edge < 30 * S && without > 30 * S, "{with_edge:?} {without:?}");
    // Harmony makes edge ports of those that it sets: the next start is as quick.
    let ports = site.machine("node-1").ports;
    site.topology.set_ports_access_mode(&ports, 10.try_into().expect("a VLAN")).await.expect("accepted");
    let before = site.world.now();
    site.netboot("node-1").await;
    assert!(site.agent("node-1").await);
    assert!(site.world.now() - before < 30 * S);
}

#[tokio::test(start_paused = true)]
async fn a_pair_of_switches_is_one_partner() {
    let site = bundle(on_a_pair()).await;
    let lag = site.lag("node-1");
    assert_eq!(lag.ports.iter().map(ToString::to_string).collect::<Vec<_>>(), ["leaf-a/Eth1/1", "leaf-b/Eth1/1"]);
    let order = site.store.orders().await.expect("reads").remove(0);
    let text = site.ssh(&order, "sudo cat /proc/net/bonding/bond0").await.expect("answers").stdout;
    let status = site.topology.get_port_status(&lag.ports).await.expect("reads");
    assert_eq!(flip::disagreement(&BondReading::parse(&text), &status), Vec::<String>::new());
    site.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn two_switches_that_are_no_pair_are_two_partners() {
    let mut spec = on_a_pair();
    spec.switches.iter_mut().for_each(|switch| switch.mlag = None);
    let site = Site::new(spec);
    let order = site.install("node-1", 1).await;
    let lag = site.lag("node-1");
    site.topology.set_ports_lacp_mode(&lag).await.expect("accepted");
    tokio::time::sleep(10 * S).await;
    let text = site.ssh(&order, "sudo cat /proc/net/bonding/bond0").await.expect("answers over one").stdout;
    let status = site.topology.get_port_status(&lag.ports).await.expect("reads");
    let missing = flip::disagreement(&BondReading::parse(&text), &status);
    assert!(missing.iter().any(|line| line.contains("different aggregators")), "{missing:?}");
}

#[tokio::test(start_paused = true)]
async fn both_switches_of_a_pair_know_where_an_address_is() {
    let site = Site::new(on_a_pair());
    site.discover("node-1").await;
    let first = site.machine("node-1").macs[0];
    let table = site.topology.mac_table().await.expect("reads");
    let ports: Vec<String> =
        table.iter().filter(|entry| entry.mac == first).map(|entry| entry.port.to_string()).collect();
    assert_eq!(ports, ["leaf-a/Eth1/1", "leaf-b/peer-link"]);
}

#[test]
fn a_pair_must_be_one_from_both_sides() {
    let refusal = |change: fn(&mut WorldSpec)| {
        let mut spec = WorldSpec::mlag_rack(1, 1);
        change(&mut spec);
        World::new(spec).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let one_sided = refusal(|spec| spec.switches[1].mlag = None);
    assert_eq!(one_sided, "switch leaf-a says that it makes a pair with leaf-b, which does not say the same of leaf-a");
    let no_port = refusal(|spec| drop(spec.switches[0].ports.pop()));
    assert_eq!(no_port, "switch leaf-a has no port peer-link to its peer");
    let wrong_rom = refusal(|spec| spec.hosts[0].rom = harmony_sim::BootRom::UefiHttp);
    assert_eq!(wrong_rom, "machine node-1 has a boot ROM of another firmware than its own");
    let twice = refusal(|spec| spec.hosts[0].nics[1].mac = spec.hosts[0].nics[0].mac);
    assert_eq!(twice, SpecError::Twice("MAC 52:54:00:00:01:01".to_owned()).to_string());
}

#[tokio::test(start_paused = true)]
async fn every_machine_of_a_mixed_rack_is_found() {
    let mut spec = WorldSpec::mixed_rack(3, 12);
    spec.hosts.iter_mut().for_each(|host| host.powered = true);
    let names: Vec<String> = spec.hosts.iter().map(|host| host.name.clone()).collect();
    let site = Site::new(spec);
    for name in names {
        let host = site.discover(&name).await;
        assert_eq!(host.disks.iter().filter(|disk| disk.serial.is_some()).count(), 1, "{name}");
        let port = site.machine(&name).ports[0].clone();
        assert_eq!(site.world.port_mode(&port).map(|mode| mode.kind()), Some(harmony_core::boot::PortKind::Access));
    }
    site.assert_clean();
    let access = PortMode::Access { vlan: 10.try_into().expect("a VLAN") };
    assert!(site.topology.get_port_status(&[]).await.expect("reads").iter().all(|port| port.mode == access));
}
