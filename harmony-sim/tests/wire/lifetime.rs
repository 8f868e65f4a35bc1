//! What a wire is as a whole: its pace, its addresses, its end.

use std::net::SocketAddr;

use harmony_core::capability::{HostDiscovery, PowerAction};
use harmony_core::report::AGENT_PORT;
use harmony_sim::wire::{Loopback, Wire, WireError};
use harmony_sim::{World, WorldSpec};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{REAL, Site};

#[tokio::test]
async fn a_pause_stops_machines_and_they_go_on_where_they_were() {
    let site = Site::new(WorldSpec::rack(7, 1)).await;
    let pace = site.world.pace();
    site.until("it has begun", |world| world.machine("node-1").is_some_and(|machine| machine.starts == 1)).await;
    pace.pause();
    let (before, log) = (site.machine("node-1"), site.world.log());
    let now = pace.now();
    // Real time goes on: the runtime looks at its sockets meanwhile.
    for _ in 0..50 {
        assert!(TcpStream::connect(SocketAddr::new(site.wire.boot_http().ip(), AGENT_PORT)).await.is_err());
    }
    assert_eq!((pace.now(), site.machine("node-1"), site.world.log()), (now, before, log));
    // What needs no time is done in a pause too.
    assert!(site.world.power_by_hand("node-1", PowerAction::Restart));
    pace.set_speed("100".parse().expect("a speed"));
    pace.resume();
    assert!(!site.report("node-1").await.nics.is_empty());
}

#[tokio::test]
async fn two_wires_at_once_do_not_meet() {
    let (a, b) = tokio::join!(Site::new(WorldSpec::rack(1, 2)), Site::new(WorldSpec::rack(2, 1)));
    for (site, machines) in [(&a, 2), (&b, 1)] {
        for number in 1..=machines {
            site.report(&format!("node-{number}")).await;
        }
        let found = site.discovery().scan().await.expect("scans");
        assert_eq!(found.len(), machines);
        assert!(found.iter().all(|address| site.wire.network().cidr.contains(address)));
    }
    assert_ne!(a.wire.network().cidr, b.wire.network().cidr);
}

#[tokio::test]
async fn all_is_gone_when_the_wire_is() {
    let site = Site::new(WorldSpec::rack(7, 1)).await;
    site.report("node-1").await;
    let address = site.machine("node-1").address.expect("leased");
    let ports = [AGENT_PORT, site.wire.ssh_port()].map(|port| SocketAddr::new(address, port));
    for port in ports {
        TcpStream::connect(port).await.expect("somebody listens");
    }
    drop(site.wire);
    for port in ports {
        let gone = async { while TcpStream::connect(port).await.is_ok() {} };
        timeout(REAL, gone).await.unwrap_or_else(|_| panic!("{port} still answers"));
    }
    assert!(site.world.machine("node-1").is_some_and(|machine| machine.agent), "the world itself goes on");
}

#[tokio::test]
async fn a_world_that_is_elsewhere_is_refused() {
    let world = World::new(WorldSpec::rack(7, 1)).expect("valid");
    let refused = Wire::start(&world, Loopback::claim().expect("free")).await.expect_err("elsewhere");
    assert!(matches!(refused, WireError::Elsewhere(_)), "{refused}");
    let loopback = Loopback::claim().expect("free");
    let mut spec = WorldSpec::rack(7, 1);
    spec.pool.last = [10, 10, 200, 0].into();
    let world = World::new(loopback.place(spec)).expect("valid");
    let refused = Wire::start(&world, loopback).await.expect_err("overlaps");
    assert!(matches!(refused, WireError::Overlap), "{refused}");
}
