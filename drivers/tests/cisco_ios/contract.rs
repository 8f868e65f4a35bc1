//! The numbered contract of the capability `Switch`.

use harmony_core::capability::{LinkState, PortMode, Switch};
use harmony_core::error::{FailureKind, chain};
use harmony_sim::wire::Personality;

use crate::rack::{Rack, is_bundled, lag, ports, until, vlan};

/// 1.
#[tokio::test]
async fn reads_change_nothing_and_answer_for_every_port_asked_for() {
    let rack = Rack::new().await;
    let switch = rack.switch();
    let all = switch.get_port_status(&[]).await.expect("read");
    let names: Vec<String> = all.iter().map(|status| status.port.to_string()).collect();
    assert_eq!(names, ["tor/Gi1/0/1", "tor/Gi1/0/2", "tor/Gi1/0/3", "tor/Gi1/0/4", "tor/Gi1/0/5"]);
    assert_eq!((&all[0].link, all[0].speed_mbps), (&LinkState::Up, Some(1000)));
    assert_eq!((&all[4].link, all[4].speed_mbps), (&LinkState::Down, None), "nothing is plugged in");
    assert_eq!(all[4].mode, PortMode::Access { vlan: vlan(20) });
    let some = switch.get_port_status(&ports(["Gi1/0/3", "GigabitEthernet1/0/1"])).await.expect("read");
    let names: Vec<String> = some.iter().map(|status| status.port.to_string()).collect();
    assert_eq!(names, ["tor/Gi1/0/3", "tor/GigabitEthernet1/0/1"], "as asked, in the order asked");
    switch.mac_table().await.expect("read");
    switch.lldp_neighbours().await.expect("read");
    for (name, said) in [
        ("Gi1/0/9", "port `tor/Gi1/0/9` is no host port"),
        ("Te1/1/1", "port `tor/Te1/1/1` is no host port"),
        ("eth0x", "switch `tor` has no port `eth0x`"),
    ] {
        let error = switch.get_port_status(&ports([name])).await.expect_err("refused");
        assert_eq!((error.kind(), error.to_string().as_str()), (FailureKind::Invalid, said));
        assert!(error.hint_text().expect("a hint").contains("Gi1/0/1, Gi1/0/2"), "{error:?}");
    }
    let absent = rack.switch_with(|spec| spec.host_ports.push("Gi2/0/1".parse().expect("valid")));
    let error = absent.get_port_status(&ports(["Gi2/0/1"])).await.expect_err("not on this switch");
    assert_eq!(error.to_string(), "switch `tor` has no port `Gi2/0/1`");
    assert_eq!((rack.count(), rack.world.writes().len()), (0, 0));
}

/// 2 and 3, with what the plan shows.
#[tokio::test]
async fn access_to_lacp_and_back() {
    for personality in
        [Personality::default(), Personality { archive: false, lacp_rate: false, ..Personality::default() }]
    {
        let rack = Rack::with(personality).await;
        let switch = rack.switch();
        let spec = lag("lag-node-1", ["Gi1/0/1", "Gi1/0/2"]);
        switch.get_port_status(&[]).await.expect("read");
        let planned = switch.lacp_mode_commands(&spec);
        switch.set_ports_lacp_mode(&spec).await.expect("bundled");
        assert_eq!(rack.writes.entries()[0].command, planned.join("; "), "the plan shows what is typed");
        assert_eq!(
            rack.modes(["Gi1/0/1", "Gi1/0/2", "Gi1/0/3"]),
            ["LACP in lag-node-1 VLAN 10", "LACP in lag-node-1 VLAN 10", "access VLAN 10"]
        );
        let status = switch.get_port_status(&ports(["Gi1/0/2"])).await.expect("read");
        assert_eq!(status[0].mode.to_string(), "LACP in lag-node-1 VLAN 10");
        assert!(status[0].lacp.as_ref().is_some_and(|lacp| lacp.system.is_some()));

        let (count, typed) = (rack.count(), rack.world.writes().len());
        switch.set_ports_lacp_mode(&lag("lag-node-1", ["Gi1/0/2", "Gi1/0/1"])).await.expect("as it is");
        rack.switch().set_ports_lacp_mode(&spec).await.expect("as it is, for another process too");
        assert_eq!((rack.count(), rack.world.writes().len()), (count, typed), "a repetition writes nothing");

        let both = ports(["Gi1/0/1", "Gi1/0/2"]);
        let planned = switch.access_mode_commands(&both, vlan(20));
        assert!(planned.contains(&"no interface Po1".to_owned()), "{planned:?}");
        switch.set_ports_access_mode(&both, vlan(20)).await.expect("access");
        assert_eq!(rack.writes.entries()[1].command, planned.join("; "));
        switch.set_ports_access_mode(&both, vlan(20)).await.expect("as it is");
        assert_eq!(rack.count(), 2);
        for status in switch.get_port_status(&both).await.expect("read") {
            assert_eq!((status.mode, status.lacp), (PortMode::Access { vlan: vlan(20) }, None));
        }
        assert_eq!(
            rack.modes(["Gi1/0/1", "Gi1/0/3", "Te1/1/1"]),
            ["access VLAN 20", "access VLAN 10", "unrecognised: trunk"]
        );
    }
}

/// 2: a LAG goes with its last member, and not before.
#[tokio::test]
async fn a_port_leaves_a_lag_that_goes_on() {
    let rack = Rack::new().await;
    let switch = rack.switch();
    switch.set_ports_lacp_mode(&lag("a", ["Gi1/0/1", "Gi1/0/2", "Gi1/0/3"])).await.expect("three");
    switch.set_ports_access_mode(&ports(["Gi1/0/2"]), vlan(10)).await.expect("one leaves");
    assert_eq!(
        rack.modes(["Gi1/0/1", "Gi1/0/2", "Gi1/0/3"]),
        ["LACP in a VLAN 10", "access VLAN 10", "LACP in a VLAN 10"]
    );
    let error = switch.set_ports_lacp_mode(&lag("a", ["Gi1/0/1", "Gi1/0/2"])).await.expect_err("Gi1/0/3 is in it");
    assert_eq!(error.kind(), FailureKind::Conflict);
    assert!(error.hint_text().expect("a hint").contains("tor/Gi1/0/3"), "{error:?}");
    // Into another LAG, which takes the last port of the first.
    switch.set_ports_lacp_mode(&lag("b", ["Gi1/0/1", "Gi1/0/3"])).await.expect("moved");
    assert_eq!(rack.modes(["Gi1/0/1", "Gi1/0/3"]), ["LACP in b VLAN 10", "LACP in b VLAN 10"]);
    let planned = switch.access_mode_commands(&ports(["Gi1/0/1", "Gi1/0/3"]), vlan(10));
    assert_eq!(planned.iter().filter(|command| command.starts_with("no interface")).count(), 1, "{planned:?}");
}

/// 4: both ends agree, as the flip asks for.
#[tokio::test]
async fn the_state_of_lacp_is_that_of_a_partner_that_answers() {
    let rack = Rack::new().await;
    let switch = rack.switch();
    switch.set_ports_lacp_mode(&lag("lag-node-1", ["Gi1/0/1", "Gi1/0/2"])).await.expect("bundled");
    // The machines' iPXE answers LACP while it runs.
    let status = until("a port is bundled", async || {
        let status = switch.get_port_status(&ports(["Gi1/0/1"])).await.expect("read");
        status.into_iter().find(is_bundled)
    })
    .await;
    let lacp = status.lacp.expect("in a LAG");
    let machine = rack.world.machine("node-1").expect("there");
    assert!(lacp.partner.is_some_and(|partner| machine.macs.contains(&partner)), "{lacp:?}");
    assert_eq!(lacp.system.map(|mac| mac.to_string()).as_deref(), Some("02:5a:00:00:00:01"));
    // A port that nobody answers on is told as such.
    let spare = harmony_core::capability::LagSpec { vlan: vlan(20), ..lag("spare", ["Gi1/0/5"]) };
    switch.set_ports_lacp_mode(&spare).await.expect("bundled");
    let status = switch.get_port_status(&ports(["Gi1/0/5"])).await.expect("read").remove(0);
    let lacp = status.lacp.expect("in a LAG");
    assert!(!(lacp.synchronised || lacp.collecting || lacp.distributing) && lacp.partner.is_none(), "{lacp:?}");
}

#[tokio::test]
async fn machines_are_found_by_their_addresses() {
    let rack = Rack::new().await;
    let switch = rack.switch();
    let machine = rack.world.machine("node-2").expect("there");
    let port = until("the switch learns it", async || switch.port_of_mac(machine.macs[0]).await.expect("read")).await;
    assert_eq!(port.to_string(), "tor/Gi1/0/3");
    assert_eq!(rack.count(), 0);
}

/// 4: what is not as asked is an error, and put back.
#[tokio::test]
async fn a_vlan_that_is_not_there_is_not_made() {
    for archive in [true, false] {
        let rack = Rack::with(Personality { archive, ..Personality::default() }).await;
        let switch = rack.switch();
        let error = switch.set_ports_access_mode(&ports(["Gi1/0/1"]), vlan(77)).await.expect_err("no such VLAN");
        assert_eq!(error.kind(), FailureKind::Rejected);
        assert_eq!(
            chain(&error),
            "failed to put port `tor/Gi1/0/1` into access mode, VLAN 77: `tor` answers `switchport access vlan 77` with: \
             % Access VLAN does not exist. Creating vlan 77"
        );
        assert_eq!(error.hint_text(), Some("make the VLAN on switch `tor` and on its uplinks first"));
        assert_eq!(error.evidence_lines(), ["everything was put back as it was"]);
        assert_eq!(rack.modes(["Gi1/0/1"]), ["access VLAN 10"]);
    }
}

#[tokio::test]
async fn what_a_site_file_does_not_allow_is_not_typed() {
    let rack = Rack::new().await;
    let switch = rack.switch();
    let uplink = switch.set_ports_access_mode(&ports(["Te1/1/1"]), vlan(10)).await.expect_err("no host port");
    assert_eq!(uplink.kind(), FailureKind::Invalid);
    let mut fallback = lag("a", ["Gi1/0/1"]);
    fallback.fallback = true;
    let error = switch.set_ports_lacp_mode(&fallback).await.expect_err("no fallback");
    assert!(chain(&error).ends_with("Cisco IOS has no LACP fallback that can be relied on"), "{error:?}");
    let none = rack.switch_with(|spec| spec.port_channels = [3, 3]);
    none.set_ports_lacp_mode(&lag("a", ["Gi1/0/1"])).await.expect("Po3");
    let error = none.set_ports_lacp_mode(&lag("b", ["Gi1/0/2"])).await.expect_err("none left");
    assert!(error.hint_text().expect("a hint").contains("`port_channels`"), "{error:?}");
    assert_eq!(rack.modes(["Te1/1/1", "Gi1/0/2"]), ["unrecognised: trunk", "access VLAN 10"]);
}

#[tokio::test]
async fn what_somebody_else_configured_is_told_as_it_is() {
    let rack = Rack::new().await;
    let switch = rack.switch();
    let [by_hand] = ports(["Gi1/0/4"]);
    for (mode, seen) in [
        (PortMode::Unrecognised { text: "trunk".to_owned() }, "unrecognised: trunk, trunk"),
        (
            PortMode::Lacp { lag: "theirs".parse().expect("valid"), vlan: Some(vlan(10)), fallback: false },
            "LACP in theirs VLAN 10",
        ),
        (PortMode::Access { vlan: vlan(20) }, "access VLAN 20"),
    ] {
        assert!(rack.world.set_port_by_hand(&by_hand, mode));
        let status = switch.get_port_status(std::slice::from_ref(&by_hand)).await.expect("read");
        let told = status[0].mode.to_string().replace("trunk, down", "trunk, trunk");
        assert_eq!(told, seen);
    }
    // From a port that is shut down to one that works.
    rack.world.set_port_by_hand(&by_hand, PortMode::Unrecognised { text: "shutdown".to_owned() });
    switch.set_ports_access_mode(std::slice::from_ref(&by_hand), vlan(10)).await.expect("access");
    assert_eq!(rack.modes(["Gi1/0/4"]), ["access VLAN 10"]);
}
