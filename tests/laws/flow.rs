//! The main job on a rack, and plans that are saved and applied.

use harmony_core::capability::PortMode;
use harmony_core::engine::SavedPlan;
use harmony_core::event::Outcome;
use harmony_core::host::Assignment;
use harmony_sim::{DiskSpec, WorldSpec};
use harmony_tests::Site;

#[tokio::test(start_paused = true)]
async fn unknown_machines_become_installed_bonded_nodes() {
    let site = Site::rack(1, 3);
    assert_eq!(site.apply().await, Outcome::Converged, "{}", site.world.log());
    site.assert_finished("first run").await;
    let end = site.end_state().await;
    assert_eq!(end.iter().filter(|line| line.contains("LACP in lag-node-")).count(), 6, "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_does_its_steps_and_no_other() {
    let site = Site::rack(5, 2);
    let saved = SavedPlan::new("sim", site.plan().await.expect("plans"));
    let outcome = site.apply_saved(&saved).await.expect("applies");
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

#[tokio::test(start_paused = true)]
async fn the_disk_that_was_chosen_is_written_and_no_other() {
    let mut spec = WorldSpec::rack(8, 1);
    spec.hosts[0].disks.push(DiskSpec::blank("vdb", "DISK-00001-B"));
    let site = Site::of(spec);
    let Outcome::Failed { error, .. } = site.apply().await else { panic!("somebody has to choose") };
    assert!(error.contains("a choice among the disks"), "{error}");
    let host = site.hosts().await.remove(0);
    let assignment =
        Assignment { role: "node-1".parse().expect("valid"), disk: Some("DISK-00001-B".into()), erase: None };
    site.store.assign(&host.id, &assignment, site.world.clock().now()).await.expect("assigns");
    assert_eq!(site.apply().await, Outcome::Converged, "{}", site.world.log());
    site.assert_finished("the second disk").await;
    let written: Vec<String> = site.world.disk_writes().into_iter().map(|write| write.serial).collect();
    assert_eq!(written, ["DISK-00001-B"]);
}
