//! What goes wrong when it is told to, and only then.

use std::time::Duration;

use harmony_core::capability::{Bmc, BootDevice, HostDiscovery, PortMode, PowerAction, Switch};
use harmony_core::error::FailureKind;
use harmony_core::net::VlanId;
use harmony_core::report;
use harmony_sim::{AgentReply, Fault, WriteFault};

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
