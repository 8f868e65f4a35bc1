//! The agents of live environments, found and read by the real driver.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use harmony_core::capability::HostDiscovery;
use harmony_core::error::FailureKind;
use harmony_core::report::{AGENT_PORT, v1};
use harmony_sim::{AgentReply, Fault, World, WorldSpec};

use crate::harness::Site;

/// As it is delivered, and on.
fn rack(machines: u16) -> WorldSpec {
    let mut spec = WorldSpec::mixed_rack(7, machines);
    spec.hosts.iter_mut().for_each(|host| host.powered = true);
    // One that tells little of itself, with names that people count otherwise than computers.
    let odd = &mut spec.hosts[0];
    odd.nics[0].name = "eth10".to_owned();
    odd.nics[1].name = "eth2".to_owned();
    odd.disks[0].signatures = vec!["dos".to_owned(), "LVM2_member".to_owned(), "ext4".to_owned()];
    odd.disks.iter_mut().skip(1).for_each(|disk| disk.serial = None);
    spec
}

/// What both say, of the time at which they say it nothing.
fn lasting(mut report: v1::Report) -> serde_json::Value {
    report.agent.peak_memory_bytes = None;
    report.boot.uptime_s = None;
    report.unread.clear();
    for nic in &mut report.nics {
        nic.lldp_listened_s = None;
        nic.lldp.iter_mut().for_each(|heard| heard.age_s = 0);
    }
    serde_json::to_value(report).expect("JSON")
}

/// Whether every switch that a machine can hear has spoken since its agent began to listen.
fn has_heard_all(world: &World, machines: &BTreeSet<String>) -> bool {
    let mut known = world.machines().into_iter();
    known.all(|m| !machines.contains(&m.name) || (m.agent && m.reachable))
}

#[tokio::test]
async fn a_scan_finds_every_agent_and_each_says_what_it_says_in_process() {
    let site = Site::new(rack(8)).await;
    let names: BTreeSet<String> = site.world.machines().into_iter().map(|machine| machine.name).collect();
    site.until("all agents answer", |world| has_heard_all(world, &names)).await;
    // The switch speaks every 30 s; now it has.
    site.world.pace().sleep(std::time::Duration::from_secs(31)).await;
    let mut addresses: Vec<IpAddr> = names.iter().filter_map(|name| site.machine(name).address).collect();
    addresses.sort_unstable();
    for name in &names {
        site.report(name).await;
    }
    assert_eq!(site.discovery().scan().await.expect("scans"), addresses);
    for address in addresses {
        let wire = site.discovery().fetch_report(address).await.expect("answers");
        let process = site.topology.fetch_report(address).await.expect("answers");
        assert_eq!(wire.address, SocketAddr::new(address, AGENT_PORT));
        let [wire, process] = [wire, process].map(|reply| harmony_core::report::parse(&reply.body).expect("a report"));
        assert!(wire.nics.iter().any(|nic| !nic.lldp.is_empty() && !nic.addresses.is_empty()), "{wire:?}");
        assert_eq!(lasting(wire), lasting(process));
    }
}

#[tokio::test]
async fn an_agent_announces_itself_from_its_own_address() {
    let site = Site::new(rack(2)).await;
    let announced = || site.announced.lock().expect("lock").clone();
    site.until("both have", |_| announced().len() == 2).await;
    for (from, announcement) in announced() {
        let machine = site.world.machines().into_iter().find(|machine| machine.address == Some(from));
        let machine = machine.unwrap_or_else(|| panic!("nobody has {from}"));
        assert_eq!(announcement.listen, SocketAddr::new(from, AGENT_PORT));
        assert_eq!(announcement.serial.as_deref(), Some(&*machine.serial));
        let macs: BTreeSet<_> = announcement.macs.iter().map(|mac| mac.parse().expect("a MAC")).collect();
        assert_eq!(macs, machine.macs.into_iter().collect());
    }
}

#[tokio::test]
async fn a_fault_makes_an_agent_answer_otherwise() {
    let site = Site::new(WorldSpec::rack(7, 2)).await;
    let honest = site.report("node-1").await;
    let address = site.machine("node-1").address.expect("leased");
    let discovery = site.discovery();
    let cases = [
        (AgentReply::Error500, FailureKind::Transient),
        (AgentReply::Gigabyte, FailureKind::Invalid),
        (AgentReply::Silence, FailureKind::Unreachable),
    ];
    for (reply, kind) in cases {
        let fault = site.world.inject(Fault::Agent { machine: "node-1".to_owned(), reply });
        let failed = discovery.fetch_report(address).await.expect_err("no report");
        assert_eq!((failed.kind(), fault.fired()), (kind, 1), "{reply:?}");
    }
    let lies = [AgentReply::OtherSerial, AgentReply::OtherMac, AgentReply::OtherPort];
    for reply in lies {
        let fault = site.world.inject(Fault::Agent { machine: "node-1".to_owned(), reply });
        let told = discovery.fetch_report(address).await.expect("a report");
        let told = harmony_core::report::parse(&told.body).expect("a report");
        assert!(fault.fired() > 0, "{reply:?}");
        match reply {
            AgentReply::OtherSerial => assert_eq!(told.system.serial, Some(site.machine("node-2").serial)),
            AgentReply::OtherMac => {
                assert_eq!(told.nics[0].permanent_mac, Some(site.machine("node-2").macs[0].to_string()));
            }
            _ => assert!(told.nics[0].lldp.iter().all(|heard| heard.port_id == "node-2-p0"), "{told:?}"),
        }
    }
    assert_eq!(lasting(site.report("node-1").await)["system"], lasting(honest)["system"]);
}
