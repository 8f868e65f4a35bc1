//! What goes wrong is said with its evidence, leaves a compatible state, and does not keep a later run
//! from going on.

use std::time::Duration;

use harmony_core::boot::{Order, OrderState};
use harmony_core::capability::PortMode;
use harmony_core::event::{Event, Outcome};
use harmony_core::host::{Assignment, Host, Lifecycle, Role};
use harmony_scores::{HostProvisioningScore, InventoryScore};
use harmony_sim::{AgentReply, Append, Fault, Injected, WorldSpec};
use harmony_tests::{At, End, Scores, Site, alone, cases, for_each};

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

/// A rack whose machine never gets installed, after so many runs that tried it.
async fn tried(runs: usize) -> (Site, Injected) {
    let site = Site::rack(28, 1);
    let fault = site.world.inject(Fault::InstallFails { machine: "node-1".into(), reason: "digest mismatch".into() });
    for _ in 0..runs {
        failed(site.apply().await);
    }
    (site, fault)
}

/// The order of the machine that never gets installed, and its host.
async fn given_up(site: &Site) -> (Order, Host) {
    let orders = site.store.orders().await.expect("orders");
    let role = |order: &&Order| order.role.as_str() == "node-1";
    let order = orders.iter().rfind(role).expect("an order").clone();
    let host = site.store.host(&order.id.host).await.expect("read").expect("there");
    (order, host)
}

#[tokio::test(start_paused = true)]
async fn the_third_failed_attempt_closes_the_order_and_its_role_orders_the_host_anew() {
    let (site, fault) = tried(2).await;
    let begun = site.world.now();
    let error = failed(site.apply().await);
    assert!(site.world.now() - begun < Duration::from_secs(600), "the run did not wait for a person");
    let (order, host) = given_up(&site).await;
    assert_eq!((order.state, order.attempt, host.lifecycle), (OrderState::Failed, 3, Lifecycle::Failed));
    let again = format!("harmony host assign {} node-1", host.id);
    assert!(error.contains("digest mismatch") && error.contains(&again), "{error}");

    let writes = site.world.writes().len();
    let error = failed(site.apply().await);
    assert!(error.contains("needs a person to look at") && error.contains(&again), "{error}");
    assert_eq!(site.world.writes().len(), writes, "a run after it touches no device");

    drop(fault);
    let assignment = host.assignment.expect("a role");
    site.store.assign(&host.id, &assignment, site.world.clock().now()).await.expect("resumed");
    assert_eq!(site.apply().await, Outcome::Converged, "{}", site.world.log());
    site.assert_unbroken("ordered anew");
    let (anew, host) = given_up(&site).await;
    assert_eq!((anew.id.number, anew.attempt, anew.address), (2, 1, order.address));
    assert_eq!(host.lifecycle, Lifecycle::Provisioned);
}

#[test]
fn killed_at_every_entry_of_the_run_that_gives_up_ends_in_the_same_state() {
    let (entries, end) = alone(async {
        let (site, _fault) = tried(2).await;
        failed(site.apply().await);
        (site.journal().await.len() as u64, site.end_state().await)
    });
    for_each(At::every(entries), async |at| {
        let (site, _fault) = tried(2).await;
        assert_eq!(site.apply_killed(at).await, End::Killed, "killed {at} of {entries}");
        failed(site.apply().await);
        assert_eq!(site.end_state().await, end, "killed {at} of {entries}\n{}", site.world.log());
        site.assert_unbroken(&format!("killed {at} of {entries}"));
    });
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
