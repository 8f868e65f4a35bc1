//! What a switch, or the way to it, does wrong.

use std::time::Duration;

use harmony_core::capability::Switch;
use harmony_core::error::{FailureKind, chain};
use harmony_sim::wire::Personality;
use harmony_sim::{Fault, Speed, WorldSpec, WriteFault};

use crate::rack::{Rack, lag, ports, spec, vlan};

#[tokio::test]
async fn a_command_rejected_in_the_middle_leaves_nothing_half_done() {
    for archive in [true, false] {
        let rack = Rack::with(Personality { archive, ..Personality::default() }).await;
        let switch = rack.switch();
        let fault = rack.world.inject(Fault::SwitchRefusesLacp { switch: "tor".to_owned() });
        let error = switch.set_ports_lacp_mode(&lag("a", ["Gi1/0/1", "Gi1/0/2"])).await.expect_err("refused");
        assert_eq!((error.kind(), fault.fired()), (FailureKind::Rejected, 1));
        assert!(
            chain(&error).contains("`tor` answers `channel-group 1 mode active` with: Command rejected"),
            "{error:?}"
        );
        assert_eq!(error.evidence_lines(), ["everything was put back as it was"]);
        assert_eq!(rack.modes(["Gi1/0/1", "Gi1/0/2"]), ["access VLAN 10", "access VLAN 10"]);
        drop(fault);
        switch.set_ports_lacp_mode(&lag("a", ["Gi1/0/1", "Gi1/0/2"])).await.expect("bundled, in the same session");
    }
}

#[tokio::test]
async fn each_command_rejected_in_turn_leaves_nothing_half_done() {
    for archive in [true, false] {
        let rack = Rack::with(Personality { archive, ..Personality::default() }).await;
        let switch = rack.switch();
        let both = ports(["Gi1/0/1", "Gi1/0/2"]);
        let before = rack.modes(["Gi1/0/1", "Gi1/0/2", "Gi1/0/3"]);
        let mut rejected = 0;
        for first in 1.. {
            let fault = rack.world.inject(Fault::SwitchRejects { switch: "tor".to_owned(), first, every: u32::MAX });
            let result = switch.set_ports_lacp_mode(&lag("a", ["Gi1/0/1", "Gi1/0/2"])).await;
            let fired = fault.fired();
            drop(fault);
            match result {
                Ok(()) if fired == 0 => break,
                // `lacp rate fast` is the one command that a release may not know.
                Ok(()) => switch.set_ports_access_mode(&both, vlan(10)).await.expect("access"),
                Err(error) => {
                    rejected += 1;
                    assert_eq!(error.kind(), FailureKind::Rejected, "{}", chain(&error));
                    assert_eq!(error.evidence_lines(), ["everything was put back as it was"], "command {first}");
                }
            }
            assert_eq!(rack.modes(["Gi1/0/1", "Gi1/0/2", "Gi1/0/3"]), before, "command {first}");
        }
        assert!(rejected >= 6, "{rejected} of its commands change something");
    }
}

/// 5.
#[tokio::test]
async fn a_connection_cut_in_the_middle_is_unreachable_and_the_way_back_is_open() {
    for archive in [true, false] {
        let rack = Rack::with(Personality { archive, ..Personality::default() }).await;
        let switch = rack.switch();
        let fault = rack.world.inject(Fault::CutMidCommand { switch: "tor".to_owned() });
        let both = ports(["Gi1/0/1", "Gi1/0/2"]);
        let error = switch.set_ports_lacp_mode(&lag("a", ["Gi1/0/1", "Gi1/0/2"])).await.expect_err("cut");
        assert_eq!((error.kind(), fault.fired()), (FailureKind::Unreachable, 1), "{}", chain(&error));
        assert_eq!(rack.modes(["Gi1/0/1", "Gi1/0/2"]), ["LACP in a VLAN 10", "access VLAN 10"], "half done");
        switch.set_ports_access_mode(&both, vlan(10)).await.expect("access");
        assert_eq!(rack.modes(["Gi1/0/1", "Gi1/0/2"]), ["access VLAN 10", "access VLAN 10"]);
        let log = rack.world.log();
        assert!(!log.contains("nobody confirmed"), "it was not waited for");
    }
}

#[tokio::test]
async fn a_controller_that_is_gone_leaves_the_switch_as_it_was() {
    let rack = Rack::new().await;
    let fault = rack.world.inject(Fault::CutMidCommand { switch: "tor".to_owned() });
    let gone = rack.switch();
    gone.set_ports_lacp_mode(&lag("a", ["Gi1/0/1", "Gi1/0/2"])).await.expect_err("cut");
    drop((gone, fault));
    // Another process: what it reads must be what lasts.
    let status = rack.switch().get_port_status(&ports(["Gi1/0/1"])).await.expect("read");
    assert_eq!(status[0].mode.to_string(), "access VLAN 10");
    assert!(rack.world.log().contains("nobody confirmed the change"), "{}", rack.world.log());
    assert_eq!(rack.modes(["Gi1/0/1", "Gi1/0/2"]), ["access VLAN 10", "access VLAN 10"]);
}

#[tokio::test]
async fn a_reply_that_is_lost_is_unreachable() {
    for how in [WriteFault::FailBefore, WriteFault::FailAfter] {
        let rack = Rack::new().await;
        let switch = rack.switch();
        for nth in [1, 4] {
            let fault = rack.world.inject(Fault::Write { device: "switch/tor".to_owned(), nth, how });
            let error = switch.set_ports_lacp_mode(&lag("a", ["Gi1/0/1", "Gi1/0/2"])).await.expect_err("lost");
            assert_eq!((error.kind(), fault.fired()), (FailureKind::Unreachable, 1), "{}", chain(&error));
        }
        switch.set_ports_lacp_mode(&lag("a", ["Gi1/0/1", "Gi1/0/2"])).await.expect("bundled at last");
        assert_eq!(rack.modes(["Gi1/0/1", "Gi1/0/2"]), ["LACP in a VLAN 10", "LACP in a VLAN 10"]);
    }
}

#[tokio::test]
async fn slow_and_paged_answers_are_the_same_answers() {
    let plain = Rack::new().await;
    let expected = plain.switch().get_port_status(&[]).await.expect("read");
    let banner = "Authorised people only #\ntor#\ntor>\n".to_owned();
    let slow = Personality { trickle: Some((25, Duration::from_millis(1))), banner, ..Personality::default() };
    for personality in [slow, Personality { always_pages: true, ..Personality::default() }] {
        let rack = Rack::with(personality).await;
        // Else the revert timer, which runs in world time, would be over before the answers are.
        rack.world.pace().set_speed(Speed::ONE);
        let switch = rack.switch();
        assert_eq!(switch.get_port_status(&[]).await.expect("read"), expected);
        switch.set_ports_lacp_mode(&lag("a", ["Gi1/0/1", "Gi1/0/2"])).await.expect("bundled");
        assert_eq!(rack.modes(["Gi1/0/1"]), ["LACP in a VLAN 10"]);
    }
}

#[tokio::test]
async fn a_large_stack_is_read_whole() {
    let mut large = WorldSpec::rack(7, 200);
    for (at, nic) in large.hosts.iter_mut().flat_map(|host| &mut host.nics).enumerate() {
        nic.port = Some(format!("tor/Gi{}/0/{}", at / 48 + 1, at % 48 + 1));
    }
    let names: Vec<String> =
        large.hosts.iter().flat_map(|host| &host.nics).filter_map(|nic| nic.port.clone()).collect();
    let edge = spec().switches[0].ports[0].clone();
    let port =
        |name: &String| harmony_sim::PortSpec { name: name.trim_start_matches("tor/").to_owned(), ..edge.clone() };
    large.switches[0].ports = names.iter().map(port).collect();
    large.timing.device = Duration::from_millis(1);
    let rack = Rack::of(large, Personality::default()).await;
    let switch = rack.switch_with(|spec| {
        spec.host_ports = names.iter().map(|name| name.trim_start_matches("tor/").parse().expect("valid")).collect();
    });
    let all = switch.get_port_status(&[]).await.expect("read");
    assert_eq!(all.len(), 400);
    assert!(all.iter().all(|status| status.mode.to_string() == "access VLAN 10"));
}
