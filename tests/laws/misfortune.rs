//! What goes wrong is said with its evidence, leaves a compatible state, and does not keep a later run
//! from going on.

use harmony_core::capability::PortMode;
use harmony_core::event::Outcome;
use harmony_core::host::{Assignment, Lifecycle};
use harmony_sim::{AgentReply, Fault, WriteFault};
use harmony_tests::Site;

fn failed(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed { error, hint } => format!("{error}\nhint: {}", hint.unwrap_or_default()),
        other => panic!("should have failed: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_bond_that_never_negotiates_goes_back_to_access() {
    let site = Site::rack(21, 2);
    let fault = site.world.inject(Fault::NeverNegotiates { machine: "node-2".into() });
    let error = failed(site.apply().await);
    assert!(error.contains("node-2") && error.contains("back in access mode") && error.contains("LACP"), "{error}");
    for port in ["tor/node-2-p0", "tor/node-2-p1"] {
        let mode = site.world.port_mode(&port.parse().expect("valid"));
        assert!(matches!(mode, Some(PortMode::Access { .. })), "{port}: {mode:?}");
    }
    assert!(site.world.violations().is_empty(), "{:?}", site.world.violations());
    drop(fault);
    assert_eq!(site.apply().await, Outcome::Converged, "{}", site.world.log());
    site.assert_finished("after the fault").await;
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_refuses_lacp_leaves_the_ports_in_access_mode() {
    let site = Site::rack(22, 1);
    let fault = site.world.inject(Fault::SwitchRefusesLacp { switch: "tor".into() });
    let error = failed(site.apply().await);
    assert!(fault.fired() > 0);
    assert!(error.contains("the switch did not take the change"), "{error}");
    let mode = site.world.port_mode(&"tor/node-1-p0".parse().expect("valid"));
    assert!(matches!(mode, Some(PortMode::Access { .. })), "{mode:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_of_any_write_ends_in_the_same_state() {
    let whole = Site::rack(23, 2);
    assert_eq!(whole.apply().await, Outcome::Converged);
    let (end, writes) = (whole.end_state().await, whole.world.writes().len());
    for nth in 1..=u32::try_from(writes).expect("few writes") {
        for how in [WriteFault::FailBefore, WriteFault::FailAfter] {
            let site = Site::rack(23, 2);
            let fault = site.world.inject(Fault::Write { device: String::new(), nth, how });
            let context = format!("write {nth} of {writes}: {how:?}");
            let mut outcome = site.apply().await;
            assert!(fault.fired() == 1, "{context}: did not strike");
            if matches!(outcome, Outcome::Failed { .. }) {
                // A flip whose reply was lost is reverted and said; running again goes on.
                outcome = site.apply().await;
            }
            assert_eq!(outcome, Outcome::Converged, "{context}\n{}", site.world.log());
            site.assert_finished(&context).await;
            assert_eq!(site.end_state().await, end, "{context}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_installation_that_fails_is_tried_again_by_the_next_run() {
    let site = Site::rack(24, 1);
    let fault = site.world.inject(Fault::InstallFails { machine: "node-1".into(), reason: "digest mismatch".into() });
    let error = failed(site.apply().await);
    assert!(error.contains("node-1") && error.contains("digest mismatch"), "{error}");
    drop(fault);
    assert_eq!(site.apply().await, Outcome::Converged, "{}", site.world.log());
    assert!(site.world.violations().is_empty(), "{:?}", site.world.violations());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_answers_badly_is_named_and_changes_nothing() {
    for reply in [AgentReply::Error500, AgentReply::Nonsense, AgentReply::Gigabyte, AgentReply::Silence] {
        let site = Site::rack(25, 1);
        let fault = site.world.inject(Fault::Agent { machine: "node-1".into(), reply });
        let error = failed(site.apply().await);
        assert!(fault.fired() > 0);
        assert!(error.contains("10.10."), "{reply:?}: {error}");
        assert!(site.hosts().await.iter().all(|host| host.lifecycle == Lifecycle::Registered), "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_with_contents_is_not_erased_without_consent() {
    let mut spec = harmony_sim::WorldSpec::rack(26, 1);
    spec.hosts[0].disks[0].signatures = vec!["ext4".into()];
    let site = Site::of(spec);
    let error = failed(site.apply().await);
    assert!(error.contains("consent to erase disk DISK-00001-A") && error.contains("ext4"), "{error}");
    assert!(error.contains("--erase DISK-00001-A"), "{error}");
    assert_eq!(site.world.disk_writes(), []);
    let host = site.hosts().await.remove(0);
    let serial = Some("DISK-00001-A".to_owned());
    let assignment = Assignment { role: "node-1".parse().expect("valid"), disk: serial.clone(), erase: serial };
    site.store.assign(&host.id, &assignment, site.world.clock().now()).await.expect("assigns");
    assert_eq!(site.apply().await, Outcome::Converged, "{}", site.world.log());
    site.assert_finished("with consent").await;
}
