//! `openvswitch` against a private Open vSwitch, whose second bridge plays the bonded host.

use std::path::{Path, PathBuf};

use harmony_core::capability::{LacpFallback, LagSpec, LinkState, PortMode, PortStatus, Switch};
use harmony_core::error::{FailureKind, chain};
use harmony_core::net::{PortRef, VlanId};
use harmony_drivers::switch::openvswitch::OpenVswitchSpec;

use crate::parts::openvswitch::Rack;
use crate::world::{end_daemon, until};

fn ports<const N: usize>(names: [&str; N]) -> [PortRef; N] {
    names.map(|name| format!("tor/{name}").parse().expect("valid"))
}

fn vlan(id: u16) -> VlanId {
    VlanId::try_from(id).expect("valid")
}

fn lag<const N: usize>(names: [&str; N]) -> LagSpec {
    LagSpec { name: "lag-a".parse().expect("valid"), ports: ports(names).to_vec(), vlan: vlan(10), fallback: false }
}

fn is_bundled(status: &PortStatus) -> bool {
    status.lacp.as_ref().is_some_and(|l| l.synchronised && l.collecting && l.distributing && l.partner.is_some())
}

#[tokio::test]
async fn access_to_lacp_and_back_with_a_host_that_bonds() {
    let rack = Rack::new();
    let switch = rack.switch();
    rack.bond_host();

    switch.set_ports_lacp_mode(&lag(["p0", "p1"])).await.expect("bundled");
    assert_eq!(rack.count(), 1);
    let command = rack.writes.entries()[0].command.clone();
    assert_eq!(switch.lacp_mode_commands(&lag(["p0", "p1"])), [command], "the plan prints what is sent");
    let status = until("both ends agree", async || {
        let status = switch.get_port_status(&ports(["p0", "p1"])).await.expect("read");
        status.iter().all(is_bundled).then_some(status)
    })
    .await;
    assert_eq!(status[0].mode.to_string(), "LACP in lag-a VLAN 10");
    assert_eq!((&status[0].link, status[0].speed_mbps), (&LinkState::Up, Some(10_000)));
    let lacp = status[0].lacp.clone().expect("bundled");
    assert_ne!(lacp.system, lacp.partner);

    switch.set_ports_lacp_mode(&lag(["p1", "p0"])).await.expect("as it is");
    assert_eq!(rack.count(), 1, "a repetition writes nothing");
    until("LLDP goes out of the bonded port", async || {
        let statistics = rack.appctl(&["autoattach/statistics"]);
        let of_p0 = statistics.split("Statistics: p0").nth(1)?.split("Statistics:").next()?.to_owned();
        of_p0
            .lines()
            .find_map(|line| line.trim().strip_prefix("tx cnt: "))
            .filter(|count| *count != "0")
            .map(str::to_owned)
    })
    .await;

    switch.set_ports_access_mode(&ports(["p0", "p1"]), vlan(20)).await.expect("access");
    switch.set_ports_access_mode(&ports(["p0", "p1"]), vlan(20)).await.expect("as it is");
    assert_eq!(rack.count(), 2);
    for status in switch.get_port_status(&ports(["p0", "p1"])).await.expect("read") {
        assert_eq!((status.mode, status.lacp), (PortMode::Access { vlan: vlan(20) }, None));
    }
    let spare = switch.get_port_status(&ports(["p2"])).await.expect("read");
    assert_eq!(spare[0].mode, PortMode::Access { vlan: vlan(10) }, "another host's port is untouched");
}

#[tokio::test]
async fn a_lag_that_no_host_answers_is_not_bundled() {
    let rack = Rack::new();
    let switch = rack.switch();
    switch.set_ports_lacp_mode(&lag(["p0", "p1"])).await.expect("configured");
    // Open vSwitch itself says "collecting distributing" of such members after a while.
    until("the member gives up waiting", async || rack.appctl(&["lacp/show"]).contains("defaulted").then_some(()))
        .await;
    for status in switch.get_port_status(&ports(["p0", "p1"])).await.expect("read") {
        let lacp = status.lacp.expect("a member");
        assert!(!(lacp.synchronised || lacp.collecting || lacp.distributing), "{lacp:?}");
        assert_eq!(lacp.partner, None);
    }
}

#[tokio::test]
async fn a_port_leaves_a_lag_that_goes_on() {
    let rack = Rack::new();
    let switch = rack.switch();
    switch.set_ports_lacp_mode(&lag(["p0", "p1", "p2"])).await.expect("three");
    switch.set_ports_access_mode(&ports(["p1"]), vlan(10)).await.expect("one leaves");
    let modes: Vec<String> =
        switch.get_port_status(&[]).await.expect("read").iter().map(|s| format!("{} {}", s.port, s.mode)).collect();
    assert_eq!(modes, ["tor/p0 LACP in lag-a VLAN 10", "tor/p1 access VLAN 10", "tor/p2 LACP in lag-a VLAN 10"]);

    let error = switch.set_ports_lacp_mode(&lag(["p0", "p1"])).await.expect_err("p2 would be in no port");
    assert_eq!(error.kind(), FailureKind::Conflict);
    assert!(error.hint_text().expect("a hint").contains("tor/p2"), "{error:?}");

    switch.set_ports_access_mode(&ports(["p0", "p2"]), vlan(10)).await.expect("all leave");
    rack.vsctl(&["list", "Port"]);
    let gone = std::process::Command::new("ovs-vsctl")
        .args([&format!("--db={}", rack.db()), "get", "Port", "lag-a", "name"])
        .output();
    assert!(!gone.expect("runs").status.success(), "an empty LAG is removed");
}

#[tokio::test]
async fn fallback_is_read_and_set() {
    let rack = Rack::new();
    let switch = rack.switch();
    let spec = LagSpec { fallback: true, ..lag(["p0", "p1"]) };
    switch.set_ports_lacp_mode(&spec).await.expect("bundled");
    let mode = async || switch.get_port_status(&ports(["p0"])).await.expect("read").remove(0).mode.to_string();
    assert_eq!(mode().await, "LACP in lag-a VLAN 10 with fallback");
    let tor = "tor".parse().expect("valid");
    for _ in 0..2 {
        switch.set_lacp_fallback(&tor, &spec.name, false).await.expect("set");
    }
    assert_eq!((mode().await.as_str(), rack.count()), ("LACP in lag-a VLAN 10", 2));
    let error = switch.set_lacp_fallback(&tor, &"lag-b".parse().expect("valid"), true).await.expect_err("no such LAG");
    assert_eq!(chain(&error), "failed to turn fallback of LAG `lag-b` on switch `tor` on: there is no such LAG");
}

#[tokio::test]
async fn the_port_of_a_mac_that_sent_a_frame() {
    let rack = Rack::new();
    let switch = rack.switch();
    rack.namespace.ip(&["link", "set", "h2", "address", "52:54:00:aa:00:02"]);
    let mac = "52:54:00:aa:00:02".parse().expect("valid");
    // Duplicate address detection: one broadcast ARP request without an address of its own.
    let send = || {
        std::process::Command::new("ip")
            .args([
                "netns",
                "exec",
                rack.namespace.name(),
                "busybox",
                "arping",
                "-D",
                "-c1",
                "-w1",
                "-I",
                "h2",
                "10.9.9.9",
            ])
            .output()
    };
    send().expect("busybox");
    let port = until("the switch learns it", async || switch.port_of_mac(mac).await.expect("read")).await;
    assert_eq!(port.to_string(), "tor/p2");
    assert_eq!(rack.count(), 0);
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_sent() {
    let rack = Rack::new();
    let switch = rack.switch();
    let refused = async |names: &[&str], text: &str, hint: &str| {
        let ports: Vec<PortRef> = names.iter().map(|name| format!("tor/{name}").parse().expect("valid")).collect();
        let error = switch.set_ports_access_mode(&ports, vlan(10)).await.expect_err("refused");
        assert_eq!((error.kind(), chain(&error).as_str()), (FailureKind::Invalid, text));
        assert!(error.hint_text().expect("a hint").contains(hint), "{error:?}");
        switch.get_port_status(&ports).await.expect_err("not read either");
    };
    refused(&["p0", "p9"], "switch `tor` has no port `p9`", "its ports are: p0, p1, p2").await;
    refused(&["br0"], "switch `tor` has no port `br0`", "p0").await;
    refused(&["p3"], "port `tor/p3` is no host port", "host_ports").await;
    assert!(switch.set_ports_lacp_mode(&lag(["p0"])).await.is_err(), "a bond of one");
    assert!(switch.set_ports_lacp_mode(&lag(["p0", "p0"])).await.is_err(), "a bond of one, named twice");
    assert_eq!(rack.count(), 0);
}

#[tokio::test]
async fn a_switch_that_is_not_there() {
    let rack = Rack::new();
    let away = rack.folder.path().join("away.sock").display().to_string();
    for (name, change, kind, hint) in [
        (
            "database",
            &(|spec: &mut OpenVswitchSpec| spec.db = format!("unix:{away}")) as &dyn Fn(&mut OpenVswitchSpec),
            FailureKind::Unreachable,
            away.as_str(),
        ),
        ("bridge", &|spec| spec.bridge = "br9".parse().expect("valid"), FailureKind::Invalid, "no bridge `br9`"),
    ] {
        let switch = rack.switch_with(change);
        let error = switch.get_port_status(&[]).await.expect_err(name);
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (kind, "failed to read the ports of switch `tor`"),
            "{name}"
        );
        assert!(error.hint_text().expect("a hint").contains(hint), "{error:?}");
        switch.set_ports_access_mode(&ports(["p0"]), vlan(30)).await.expect_err(name);
    }
    let deaf = rack.switch_with(|spec| spec.appctl = Some(PathBuf::from(&away)));
    deaf.get_port_status(&[]).await.expect("no LAG, so its state is not asked for");
    let error = deaf.mac_table().await.expect_err("no control socket");
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (FailureKind::Unreachable, "failed to read the MAC table of switch `tor`")
    );
    assert_eq!(rack.count(), 0);
    assert!(Path::new(&rack.folder.path().join("db.sock")).exists());
}

#[tokio::test]
async fn a_change_that_nobody_takes_is_unreachable_and_may_have_happened() {
    let rack = Rack::new();
    let switch = rack.switch();
    end_daemon(&rack.folder.path().join("vswitchd.pid"));
    let error = switch.set_ports_access_mode(&ports(["p0"]), vlan(30)).await.expect_err("nobody acts on it");
    assert_eq!((error.kind(), rack.count()), (FailureKind::Unreachable, 1), "{}", chain(&error));
    assert_eq!(error.to_string(), "failed to put port `tor/p0` into access mode, VLAN 30");
    let status = switch.get_port_status(&ports(["p0"])).await.expect("the database answers");
    assert_eq!(status[0].mode, PortMode::Access { vlan: vlan(30) }, "contract 5");
}
