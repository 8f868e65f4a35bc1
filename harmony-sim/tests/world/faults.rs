//! What goes wrong when it is told to, and only then.

use std::time::Duration;

use harmony_core::boot::Stage;
use harmony_core::capability::{
    Bmc, BootDevice, DhcpServer, HostControl, HostDiscovery, HostTarget, LoginStage, PortMode, PowerAction,
    Reservation, Switch,
};
use harmony_core::error::FailureKind;
use harmony_core::net::VlanId;
use harmony_core::report;
use harmony_sim::{AgentReply, Fault, WorldSpec, WriteFault};

use crate::harness::{BOOT, Site, rack};

const OTHER: u16 = 20;

#[tokio::test(start_paused = true)]
async fn writes_fail_before_or_after_their_effect_or_never_return() {
    for (how, takes_effect, returns) in [
        (WriteFault::FailBefore, false, true),
        (WriteFault::FailAfter, true, true),
        (WriteFault::HangBefore, false, false),
        (WriteFault::HangAfter, true, false),
    ] {
        let site = Site::new(rack(1));
        let port = site.machine("node-1").ports[..1].to_vec();
        let vlan = VlanId::try_from(OTHER).expect("a VLAN");
        let fault = site.world.inject(Fault::Write { device: "switch/tor".to_owned(), nth: 1, how });
        let call =
            tokio::time::timeout(Duration::from_secs(60), site.topology.set_ports_access_mode(&port, vlan)).await;
        match call {
            Ok(result) => {
                assert!(returns, "{how}");
                assert_eq!(result.expect_err("a fault").kind(), FailureKind::Unreachable);
            }
            Err(_) => assert!(!returns, "{how}"),
        }
        let took_effect = site.world.port_mode(&port[0]) == Some(PortMode::Access { vlan });
        assert_eq!((took_effect, fault.fired()), (takes_effect, 1), "{how}");
        site.topology.set_ports_access_mode(&port, vlan).await.expect("the second one passes");
        assert_eq!(site.world.writes().len(), 2, "both are counted");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_answers_500_nonsense_too_much_or_nothing() {
    let site = Site::new(rack(1));
    assert!(site.agent("node-1").await);
    let address = site.machine("node-1").address.expect("leased");
    for (reply, kind) in [
        (AgentReply::Error500, Some(FailureKind::Transient)),
        (AgentReply::Gigabyte, Some(FailureKind::Invalid)),
        (AgentReply::Silence, Some(FailureKind::Unreachable)),
        (AgentReply::Nonsense, None),
    ] {
        let fault = site.world.inject(Fault::Agent { machine: "node-1".to_owned(), reply });
        let answer = site.topology.fetch_report(address).await;
        assert_eq!(answer.as_ref().err().map(|error| error.kind()), kind, "{reply:?}");
        assert!(answer.is_err() || report::parse(&answer.expect("a body").body).is_err());
        assert_eq!(fault.fired(), 1);
    }
    let body = site.topology.fetch_report(address).await.expect("the faults are over").body;
    assert!(report::parse(&body).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_bmc_may_forget_the_boot_device() {
    let mut spec = rack(1);
    spec.hosts[0].disks[0].bootable = true;
    let site = Site::new(spec);
    let fault = site.world.inject(Fault::BmcIgnoresBootDevice { machine: "node-1".to_owned() });
    let bmc = site.machine("node-1").bmc.expect("has one");
    site.topology.set_next_boot(&bmc, BootDevice::Network, None).await.expect("it says so");
    site.topology.power(&bmc, PowerAction::Restart).await.expect("accepted");
    assert!(!site.agent("node-1").await);
    assert_eq!(fault.fired(), 1);
    drop(fault);
    site.netboot("node-1").await;
    assert!(site.agent("node-1").await);
}

#[tokio::test(start_paused = true)]
async fn a_switch_may_refuse_lacp() {
    let site = Site::new(rack(1));
    let fault = site.world.inject(Fault::SwitchRefusesLacp { switch: "tor".to_owned() });
    let lag = site.lag("node-1");
    let before = site.world.port_mode(&lag.ports[0]);
    let error = site.topology.set_ports_lacp_mode(&lag).await.expect_err("refused");
    assert_eq!((error.kind(), fault.fired()), (FailureKind::Rejected, 1));
    assert_eq!(site.world.port_mode(&lag.ports[0]), before);
}

#[tokio::test(start_paused = true)]
async fn an_installer_may_give_up_and_try_again_with_a_new_token() {
    let site = Site::new(rack(1));
    let host = site.discover("node-1").await;
    let order = site.order(&host, 1, |_| {}).await;
    let fault = site.world.inject(Fault::InstallFails { machine: "node-1".to_owned(), reason: "digest".to_owned() });
    site.netboot("node-1").await;
    assert!(site.world.until(BOOT, |_| fault.fired() == 1).await);
    drop(fault);
    let token = harmony_core::boot::BootToken(harmony_core::secret::Secret::new("second"));
    site.store.reissue_order(&order.id, &token, order.expires_at).await.expect("open");
    assert!(site.world.until(BOOT, |world| world.machine("node-1").is_some_and(|m| m.installs == 1)).await);
    assert_eq!(site.world.disk_writes().len(), 1);
    site.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_reply_may_come_late() {
    let site = Site::new(rack(1));
    let port = site.machine("node-1").ports[..1].to_vec();
    let vlan = VlanId::try_from(OTHER).expect("a VLAN");
    let fault = site.world.inject(Fault::Write { device: "switch/".to_owned(), nth: 1, how: WriteFault::Late });
    let before = site.world.now();
    let (result, took_effect) = tokio::join!(site.topology.set_ports_access_mode(&port, vlan), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        site.world.port_mode(&port[0]) == Some(PortMode::Access { vlan })
    });
    assert!(result.is_ok() && took_effect && fault.fired() == 1);
    assert!(site.world.now() - before > Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_be_cut_after_the_first_of_two_ports() {
    let site = Site::new(rack(1));
    let fault = site.world.inject(Fault::CutMidCommand { switch: "tor".to_owned() });
    let lag = site.lag("node-1");
    let error = site.topology.set_ports_lacp_mode(&lag).await.expect_err("cut");
    assert_eq!((error.kind(), fault.fired()), (FailureKind::Unreachable, 1));
    let kinds = || lag.ports.iter().map(|at| site.world.port_mode(at).map(|mode| mode.kind())).collect::<Vec<_>>();
    use harmony_core::boot::PortKind::{Access, Lacp};
    assert_eq!(kinds(), [Some(Lacp), Some(Access)]);
    site.topology.set_ports_lacp_mode(&lag).await.expect("once only");
    assert_eq!(kinds(), [Some(Lacp), Some(Lacp)]);
}

#[tokio::test(start_paused = true)]
async fn a_device_may_refuse_logins() {
    let site = Site::new(rack(1));
    let host = site.discover("node-1").await;
    let bmc = "bmc-1".parse().expect("valid");
    let target = HostTarget { host: host.id.clone(), address: host.address.expect("leased"), stage: LoginStage::Live };
    for device in ["switch/", "bmc/", "host/"] {
        let before = site.world.writes().len();
        let fault = site.world.inject(Fault::LoginRefused { device: device.to_owned(), times: 1 });
        let attempt = async || match device {
            "switch/" => site.topology.get_port_status(&[]).await.err(),
            "bmc/" => site.topology.power(&bmc, PowerAction::On).await.err(),
            _ => site.topology.run(&target, "true", Duration::from_secs(5)).await.err(),
        };
        assert_eq!(attempt().await.map(|error| error.kind()), Some(FailureKind::Rejected), "{device}");
        assert_eq!((fault.fired(), site.world.writes().len()), (1, before), "nothing was told");
        assert!(attempt().await.is_none(), "{device}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_switch_may_reject_one_command_of_five() {
    let site = Site::new(rack(1));
    let fault = site.world.inject(Fault::SwitchRejects { switch: "tor".to_owned(), first: 3, every: 5 });
    let ports = site.machine("node-1").ports;
    let mut kinds = Vec::new();
    for vlan in 11..=14 {
        let result = site.topology.set_ports_access_mode(&ports, vlan.try_into().expect("a VLAN")).await;
        kinds.push(result.err().map(|error| error.kind()));
    }
    assert_eq!(kinds, [None, None, Some(FailureKind::Rejected), None]);
    assert_eq!(fault.fired(), 1);
    assert_eq!(site.world.port_mode(&ports[0]).map(|mode| mode.to_string()).as_deref(), Some("access VLAN 14"));
}

#[tokio::test(start_paused = true)]
async fn a_machine_may_hang_until_it_or_somebody_restarts_it() {
    let site = Site::new(rack(1));
    let fault = site.world.inject(Fault::HostHangs { machine: "node-1".to_owned(), stage: Stage::Ipxe, nth: 1 });
    assert!(!site.agent("node-1").await, "{}", site.world.log());
    assert_eq!((fault.fired(), site.machine("node-1").stage), (1, Stage::Ipxe));
    site.netboot("node-1").await;
    assert!(site.agent("node-1").await, "once only");
    drop(fault);
    let _again = site.world.inject(Fault::HostHangs { machine: "node-1".to_owned(), stage: Stage::Ipxe, nth: 1 });
    site.netboot("node-1").await;
    assert!(!site.agent("node-1").await);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(site.agent("node-1").await, "its watchdog has restarted it:\n{}", site.world.log());
}

#[tokio::test(start_paused = true)]
async fn a_machine_may_boot_from_its_last_nic() {
    let site = Site::new(rack(1));
    let fault = site.world.inject(Fault::BootsFromWrongNic { machine: "node-1".to_owned() });
    let host = site.discover("node-1").await;
    assert_eq!(host.boot_nic().map(|nic| nic.name.as_str()), Some("eth1"));
    assert_eq!(fault.fired(), 1);
}

#[tokio::test(start_paused = true)]
async fn cables_may_be_swapped_and_put_back() {
    let site = Site::new(rack(2));
    let ports = || ["node-1", "node-2"].map(|name| site.machine(name).ports);
    let before = ports();
    let nics = [("node-1".to_owned(), 0), ("node-2".to_owned(), 0)];
    let fault = site.world.inject(Fault::SwappedCables { nics });
    assert_eq!(fault.fired(), 1);
    assert_eq!(ports()[0], [before[1][0].clone(), before[0][1].clone()]);
    for name in ["node-1", "node-2"] {
        site.discover(name).await;
    }
    tokio::time::sleep(Duration::from_secs(31)).await;
    let table = site.topology.mac_table().await.expect("reads");
    let learnt = table.iter().find(|entry| entry.mac == site.machine("node-1").macs[0]).expect("learnt");
    assert_eq!(learnt.port, before[1][0], "the switch sees it where it is");
    let reply = site.topology.fetch_report(site.machine("node-1").address.expect("leased")).await.expect("answers");
    let told = report::parse(&reply.body).expect("a report");
    assert_eq!(told.nics[0].lldp[0].port_id, before[1][0].port.as_str(), "and so does it");
    drop(fault);
    assert_eq!(ports(), before);
}

#[tokio::test(start_paused = true)]
async fn the_pool_may_be_empty_for_all_but_reserved_machines() {
    let site = Site::new(rack(2));
    let fault = site.world.inject(Fault::DhcpExhausted);
    let macs = site.machine("node-2").macs;
    let reservation = Reservation { hostname: "two".parse().expect("valid"), address: [10, 10, 0, 12].into(), macs };
    site.topology.set_reservation(&reservation).await.expect("free");
    assert!(site.agent("node-2").await && !site.agent("node-1").await, "{}", site.world.log());
    assert!(fault.fired() > 1);
    let log = site.topology.recent_log(site.machine("node-1").macs[0], 1).await.expect("reads");
    assert!(log[0].contains("no address available"), "{log:?}");
    drop(fault);
    assert!(site.agent("node-1").await, "its firmware goes on trying");
}

#[tokio::test(start_paused = true)]
async fn a_disk_may_vanish_before_it_is_written() {
    let site = Site::new(rack(1));
    let host = site.discover("node-1").await;
    site.order(&host, 1, |_| {}).await;
    let fault = site.world.inject(Fault::DiskVanished { machine: "node-1".to_owned(), disk: "vda".to_owned() });
    site.netboot("node-1").await;
    assert!(site.world.until(BOOT, |world| world.log().contains("is not a disk of this machine")).await);
    assert_eq!((fault.fired(), site.world.disk_writes().len()), (1, 0));
    drop(fault);
    assert!(site.world.until(BOOT, |world| world.machine("node-1").is_some_and(|m| m.installs == 1)).await, "back");
}

#[tokio::test(start_paused = true)]
async fn an_agent_may_pretend_to_be_another_machine() {
    let site = Site::new(rack(2));
    for name in ["node-1", "node-2"] {
        assert!(site.agent(name).await);
    }
    tokio::time::sleep(Duration::from_secs(31)).await;
    let other = site.machine("node-2");
    for reply in [AgentReply::OtherSerial, AgentReply::OtherMac, AgentReply::OtherPort] {
        let fault = site.world.inject(Fault::Agent { machine: "node-1".to_owned(), reply });
        let body = site.topology.fetch_report(site.machine("node-1").address.expect("leased")).await.expect("answers");
        let told = report::parse(&body.body).expect("a report like any other");
        let lies = [
            told.system.serial == Some(other.serial.clone()),
            told.nics[0].permanent_mac == Some(other.macs[0].to_string()),
            told.nics[0].lldp[0].port_id == other.ports[0].port.as_str(),
        ];
        let at =
            [AgentReply::OtherSerial, AgentReply::OtherMac, AgentReply::OtherPort].iter().position(|r| *r == reply);
        assert_eq!(lies.iter().position(|lie| *lie), at, "{reply:?} {lies:?}");
        assert_eq!((lies.iter().filter(|lie| **lie).count(), fault.fired()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_may_jump_and_comes_back() {
    let site = Site::new(rack(1));
    let clock = site.world.clock();
    let (before, time) = (clock.now(), site.world.now());
    let fault = site.world.inject(Fault::ClockJump { by: jiff::SignedDuration::from_mins(-90) });
    assert_eq!((clock.now() - before).get_seconds() + (clock.now() - before).get_minutes() * 60, -90 * 60);
    assert_eq!((site.world.now(), fault.fired()), (time, 1), "time passes as before");
    let real = harmony_core::clock::SystemClock;
    let off = harmony_core::clock::Clock::now(&real).duration_since(site.world.machine_clock().now());
    assert!((89..=91).contains(&off.as_mins()), "the machine's own clock as well: {off}");
    drop(fault);
    assert_eq!(clock.now(), before);
}

#[tokio::test(start_paused = true)]
async fn the_controller_is_to_be_killed_at_a_write() {
    let site = Site::new(rack(1));
    let fault = site.world.inject(Fault::ControllerKilled { nth: 2 });
    let ports = site.machine("node-1").ports;
    let controller = async {
        for vlan in 11.. {
            site.topology.set_ports_access_mode(&ports, VlanId::try_from(vlan).expect("a VLAN")).await.expect("ok");
        }
    };
    tokio::select! {
        biased;
        () = site.world.controller_killed() => {}
        () = controller => panic!("it never ends by itself"),
    }
    assert_eq!((fault.fired(), site.world.writes().len()), (1, 2));
    assert_eq!(
        site.world.port_mode(&ports[0]).map(|mode| mode.to_string()).as_deref(),
        Some("access VLAN 12"),
        "it took effect"
    );
    drop(fault);
    let again = tokio::time::timeout(Duration::from_secs(1), site.world.controller_killed()).await;
    assert!(again.is_err(), "the next one lives");
}

#[tokio::test(start_paused = true)]
async fn a_world_without_log_behaves_the_same() {
    let site = Site::new(WorldSpec { log: false, ..rack(1) });
    site.install("node-1", 1).await;
    assert_eq!(site.world.log(), "");
    assert_eq!(site.world.disk_writes().len(), 1);
    site.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_name_and_a_seed_are_enough_for_a_fault() {
    let site = Site::new(rack(1));
    let fault = site.world.inject_by_name("exhausted-dhcp".parse().expect("a name"), 7).expect("has a victim");
    assert!(!site.agent("node-1").await && fault.fired() > 0);
    assert!(site.world.inject_by_name("swapped-cables".parse().expect("a name"), 7).is_none(), "one machine only");
    assert!(site.world.log().contains("fault: exhausted-dhcp begins"));
}
