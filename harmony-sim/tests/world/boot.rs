//! Booting from the network over ports in each mode.

use std::time::Duration;

use harmony_core::boot::{BootEventKind, Stage};
use harmony_core::capability::{Bmc, DhcpServer, HostDiscovery, PortMode, PowerAction, PowerState, Switch};
use harmony_core::host::{Lifecycle, PortWitness, WitnessKind};
use harmony_core::report;
use harmony_sim::WorldSpec;

use crate::harness::{BOOT, Site, lacp, rack};

#[tokio::test(start_paused = true)]
async fn machines_that_nobody_knows_are_found_and_read() {
    let site = Site::new(rack(3));
    for name in ["node-1", "node-2", "node-3"] {
        let host = site.discover(name).await;
        assert_eq!(host.lifecycle, Lifecycle::Discovered);
        assert_eq!(host.identity.uuid, Some(site.machine(name).uuid));
        assert_eq!(host.boot_nic().map(|nic| nic.mac), Some(site.machine(name).macs[0]));
    }
    let found = site.topology.scan().await.expect("scans");
    assert_eq!(found.len(), 3, "each has an address of its own: {found:?}");
    assert_eq!(site.topology.leases().await.expect("reads").len(), 3);
    assert_eq!(site.world.writes(), [], "nothing was written to find them");
    site.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn all_three_witnesses_name_the_cables_end() {
    let site = Site::new(rack(2));
    site.discover("node-2").await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    let machine = site.machine("node-2");
    let reply = site.topology.fetch_report(machine.address.expect("leased")).await.expect("answers");
    let report = report::parse(&reply.body).expect("a report within its bounds");
    let table = site.topology.mac_table().await.expect("reads");
    let neighbours = site.topology.lldp_neighbours().await.expect("reads");
    for (index, (mac, port)) in machine.macs.iter().zip(&machine.ports).enumerate() {
        let mut heard = harmony_core::host::PortWitnesses::default();
        assert_eq!(report.nics[index].lldp[0].system_name.as_deref(), Some("tor"));
        heard.hear(
            WitnessKind::AgentLldp,
            format!("tor/{}", report.nics[index].lldp[0].port_id).parse().expect("a port"),
        );
        let learnt = table.iter().find(|entry| entry.mac == *mac).expect("learnt");
        heard.hear(WitnessKind::MacTable, learnt.port.clone());
        let neighbour = neighbours.iter().find(|n| n.port_id == mac.to_string()).expect("heard");
        heard.hear(WitnessKind::SwitchLldp, neighbour.port.clone());
        assert_eq!(heard.verdict(), PortWitness::Agreed(port.clone()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_mac_is_forgotten_after_five_minutes_of_silence() {
    let site = Site::new(rack(1));
    site.discover("node-1").await;
    let count = async || site.topology.mac_table().await.expect("reads").len();
    assert_eq!(count().await, 2);
    site.world.power_by_hand("node-1", PowerAction::Off);
    tokio::time::sleep(Duration::from_secs(290)).await;
    assert_eq!(count().await, 2);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(count().await, 0);
}

/// A rack of one machine whose ports are in this mode from the beginning.
fn with_ports(mode: &PortMode, firmware_pxe: bool) -> WorldSpec {
    let mut spec = rack(1);
    for port in &mut spec.switches[0].ports {
        port.mode = Some(mode.clone());
    }
    if firmware_pxe {
        let host = spec.hosts.remove(0);
        spec.hosts.push(host.with_firmware_pxe());
    }
    spec
}

#[tokio::test(start_paused = true)]
async fn firmware_pxe_gets_no_answer_on_a_port_in_lacp_mode() {
    let site = Site::new(with_ports(&lacp("lag1", false), true));
    assert!(!site.agent("node-1").await);
    assert!(site.world.log().contains("firmware PXE: no DHCP answer on NIC 0 (tor/node-1-p0 is LACP in lag1 VLAN 10)"));
    assert!(site.world.log().contains("firmware: nothing to start from; tries again"), "{}", site.world.log());
    assert_eq!(site.machine("node-1").starts, 1, "it loops without a restart");
    assert_eq!(site.topology.leases().await.expect("reads"), []);
    assert_eq!(site.store.latest_boot_events(10).await.expect("reads"), []);
    site.assert_clean();

    // Its own patience brings it back as soon as the ports are right.
    let ports = site.machine("node-1").ports;
    site.topology.set_ports_access_mode(&ports, 10.try_into().expect("a VLAN")).await.expect("accepted");
    assert!(site.agent("node-1").await, "{}", site.world.log());
}

#[tokio::test(start_paused = true)]
async fn firmware_pxe_works_on_access_and_on_lacp_with_fallback() {
    for mode in [PortMode::Access { vlan: 10.try_into().expect("a VLAN") }, lacp("lag1", true)] {
        let site = Site::new(with_ports(&mode, true));
        assert!(site.agent("node-1").await, "{mode}");
        let events = site.store.latest_boot_events(100).await.expect("reads");
        assert!(events.iter().any(|event| matches!(&event.kind, BootEventKind::Tftp { path } if path == "ipxe.efi")));
    }
}

#[tokio::test(start_paused = true)]
async fn ipxe_passes_a_port_in_lacp_mode_and_what_it_starts_does_not() {
    let site = Site::new(with_ports(&lacp("lag1", false), false));
    assert!(!site.agent("node-1").await);
    let events = site.store.latest_boot_events(100).await.expect("reads");
    assert!(events.iter().any(|event| event.kind == BootEventKind::Chain), "iPXE answered LACP");
    let machine = site.machine("node-1");
    assert_eq!((machine.stage, machine.reachable, machine.address), (Stage::Plain, false, None));
}

#[tokio::test(start_paused = true)]
async fn a_port_in_another_vlan_leads_nowhere_and_the_next_nic_is_tried() {
    let mut spec = rack(1);
    spec.switches[0].ports[0].mode = Some(PortMode::Access { vlan: 20.try_into().expect("a VLAN") });
    let site = Site::new(spec);
    let host = site.discover("node-1").await;
    assert_eq!(host.boot_nic().map(|nic| nic.name.as_str()), Some("eth1"));
}

#[tokio::test(start_paused = true)]
async fn power_by_bmc_starts_and_stops_a_machine() {
    let mut spec = rack(1);
    spec.hosts[0].powered = false;
    let site = Site::new(spec);
    let bmc = "bmc-1".parse().expect("valid");
    tokio::time::sleep(BOOT).await;
    assert_eq!(site.topology.power_state(&bmc).await.expect("reads"), PowerState::Off);
    assert_eq!(site.machine("node-1").starts, 0);
    site.topology.power(&bmc, PowerAction::Restart).await.expect("accepted");
    assert!(site.agent("node-1").await);
    assert_eq!(site.topology.system_uuid(&bmc).await.expect("reads"), Some(site.machine("node-1").uuid));
    site.topology.power(&bmc, PowerAction::On).await.expect("accepted");
    assert_eq!((site.machine("node-1").starts, site.machine("node-1").restarts), (1, 1), "it was on already");
    site.topology.power(&bmc, PowerAction::Off).await.expect("accepted");
    let machine = site.machine("node-1");
    assert_eq!((machine.powered, machine.agent, machine.stage), (false, false, Stage::Idle));
    let status = site.topology.get_port_status(&machine.ports).await.expect("reads");
    assert!(status.iter().all(|port| port.link == harmony_core::capability::LinkState::Down));
}
