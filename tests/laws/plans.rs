//! Plans: deterministic, without effect, refused when the world has moved, empty afterwards.

use harmony_core::capability::PortMode;
use harmony_core::engine::SavedPlan;
use harmony_core::event::Outcome;
use harmony_tests::Site;

#[tokio::test(start_paused = true)]
async fn unknown_machines_become_installed_bonded_nodes() {
    let site = Site::rack(1, 3);
    assert_eq!(site.apply().await, Outcome::Converged, "{}", site.world.log());
    site.assert_finished("first run").await;
    let end = site.end_state().await;
    assert_eq!(end.iter().filter(|line| line.contains("LACP in lag-node-")).count(), 3, "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_apply_writes_nothing() {
    let site = Site::rack(2, 3);
    assert_eq!(site.apply().await, Outcome::Converged);
    let before = site.world.writes();
    assert_eq!(site.apply().await, Outcome::Converged);
    assert_eq!(site.world.writes()[before.len()..], [], "the second apply wrote");
    assert!(site.plan().await.expect("plans").iter().all(|plan| plan.plan.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_plan_writes_nothing_and_is_the_same_every_time() {
    let site = Site::rack(3, 3);
    let text = |plans| SavedPlan::new("sim", plans).render();
    let (first, second) = (text(site.plan().await.expect("plans")), text(site.plan().await.expect("plans")));
    assert_eq!(first, second);
    assert_eq!(site.world.writes(), []);
    assert!(first.contains("switch on the machine behind BMC bmc-1"), "{first}");
    assert!(site.store.runs().await.expect("runs").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_is_refused_when_a_port_was_changed_by_hand() {
    let site = Site::rack(4, 2);
    let saved = SavedPlan::new("sim", site.plan().await.expect("plans"));
    let saved = SavedPlan::parse(&saved.to_text()).expect("reads what it wrote");
    let lacp = PortMode::Lacp { lag: "by-hand".parse().expect("valid"), vlan: None, fallback: false };
    assert!(site.world.set_port_by_hand(&"tor/node-2-p1".parse().expect("valid"), lacp));
    let refused = site.engine().apply("test", &site.topology, &site.scores, Some(&saved)).await.expect_err("moved");
    assert!(refused.to_string().contains("port tor/node-2-p1 was access VLAN 10, is LACP in by-hand"), "{refused}");
    assert_eq!(site.world.writes(), []);
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_does_its_steps_and_no_other() {
    let site = Site::rack(5, 2);
    let saved = SavedPlan::new("sim", site.plan().await.expect("plans"));
    let outcome = site.engine().apply("test", &site.topology, &site.scores, Some(&saved)).await.expect("applies");
    let Outcome::PlanDone { waits_for } = &outcome else { panic!("{outcome:?}") };
    assert!(waits_for.iter().any(|text| text.contains("2 more hosts to report")), "{waits_for:?}");
    let devices: Vec<String> = site.world.writes().iter().map(|write| write.driver.to_string()).collect();
    assert!(devices.iter().all(|driver| driver == "bmc"), "only the machines were switched on: {devices:?}");
}

#[tokio::test(start_paused = true)]
async fn an_edited_plan_file_is_refused() {
    let site = Site::rack(6, 1);
    let text = SavedPlan::new("sim", site.plan().await.expect("plans")).to_text();
    let edited = text.replacen("bmc-1", "bmc-2", 1);
    assert_ne!(text, edited);
    assert!(SavedPlan::parse(&edited).expect_err("edited").to_string().contains("was edited"));
}

#[tokio::test(start_paused = true)]
async fn ports_in_lacp_mode_are_put_right_before_anything_boots() {
    let site = Site::rack(7, 2);
    for port in ["tor/node-1-p0", "tor/node-2-p0", "tor/node-2-p1"] {
        let lacp = PortMode::Lacp { lag: "old".parse().expect("valid"), vlan: None, fallback: false };
        assert!(site.world.set_port_by_hand(&port.parse().expect("valid"), lacp));
    }
    assert_eq!(site.apply().await, Outcome::Converged, "{}", site.world.log());
    site.assert_finished("after repair").await;
}
