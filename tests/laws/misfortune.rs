//! What goes wrong is said with its evidence, leaves a compatible state, and does not keep a later run
//! from going on.

use harmony_core::capability::PortMode;
use harmony_core::event::{Event, Outcome};
use harmony_core::host::{Assignment, Lifecycle, Role};
use harmony_scores::{HostProvisioningScore, InventoryScore};
use harmony_sim::{AgentReply, Append, Fault, WorldSpec};
use harmony_tests::{At, End, Scores, Site, cases};

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

/// One of two machines is wanted; the other lends it a switch port.
fn one_of_two(spec: &WorldSpec) -> Scores {
    let mut scores = cases::ready_to_boot(spec);
    scores.push(Box::new(InventoryScore::of(1)));
    let role = "node-1".parse::<Role>().expect("a role");
    scores.push(Box::new(HostProvisioningScore::new([role]).assign_unattended()));
    scores
}

#[tokio::test(start_paused = true)]
async fn a_bundle_of_one_link_is_no_bundle() {
    let site = || {
        let mut spec = Site::mixed(27, 2);
        spec.hosts[1].bmc = None;
        Site::wanting(spec, one_of_two)
    };
    let undisturbed = site();
    assert_eq!(undisturbed.apply().await, Outcome::Converged, "{}", undisturbed.world.log());
    let is_flip = |event: &Event| matches!(event, Event::StepStarted { step, .. } if step.ends_with("/flip"));
    let flip = undisturbed.journal().await.into_iter().find(|record| is_flip(&record.event)).expect("a flip");
    let site = site();
    assert_eq!(site.apply_killed(At { entry: flip.seq, moment: Append::After }).await, End::Killed);
    let cables = site.world.inject(Fault::SwappedCables { nics: [("node-1".into(), 1), ("node-2".into(), 1)] });
    let error = failed(site.apply().await);
    assert!(error.contains("not bundled after 60 s") && error.contains("back in access mode"), "{error}");
    drop(cables);
    assert_eq!(site.apply().await, Outcome::Converged, "{}", site.world.log());
    assert!(site.world.machine("node-1").expect("there").bundled, "{}", site.world.log());
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
async fn an_installation_that_fails_is_tried_again_by_the_next_run() {
    let site = Site::rack(24, 2);
    let fault = site.world.inject(Fault::InstallFails { machine: "node-1".into(), reason: "digest mismatch".into() });
    let error = failed(site.apply().await);
    assert!(error.contains("node-1") && error.contains("digest mismatch"), "{error}");
    assert_eq!(fault.fired(), 1, "one attempt for each run: the order allows three in all");
    let bonded = site.world.machine("node-2").expect("there").bundled;
    assert!(bonded, "the other host is not kept waiting\n{}", site.world.log());
    drop(fault);
    assert_eq!(site.apply().await, Outcome::Converged, "{}", site.world.log());
    site.assert_unbroken("a second attempt");
    let mut attempts: Vec<u32> = site.store.orders().await.expect("orders").iter().map(|o| o.attempt).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 2]);
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
