//! The world is changed by hand between the plan and the act.

use harmony_core::capability::PortMode;
use harmony_core::engine::SavedPlan;
use harmony_core::event::{Event, Outcome};
use harmony_tests::{Case, End, Hand, alone};

pub(crate) fn saved_plan_is_refused(case: &Case) {
    alone(async {
        let site = case.site().await;
        let saved = SavedPlan::new("sim", site.plan().await.expect("plans"));
        let saved = SavedPlan::parse(&saved.to_text()).expect("reads what it wrote");
        (case.by_hand)(&site.world);
        let (writes, runs) = (site.world.writes(), site.store.runs().await.expect("runs"));
        let refused = site.apply_saved(&saved).await.expect_err("the world has moved").to_string();
        assert!(refused.contains(case.refusal), "{refused}");
        assert_eq!(site.world.writes(), writes, "it wrote all the same");
        assert_eq!(site.store.runs().await.expect("runs"), runs, "it began a run");
    });
}

/// Each step that expects a port to be as it was: the port is changed after the plan. The step must
/// not start before the world was looked at again; then it is put right.
pub(crate) fn is_seen_before_each_step(case: &Case) {
    let mut drifts = 0;
    let end = alone(async {
        let site = case.site().await;
        assert_eq!(site.apply().await, Outcome::Converged);
        site.end_state().await
    });
    for nth in 1.. {
        let drifted = alone(async {
            let site = case.site().await;
            let by_hand = PortMode::Access { vlan: 99.try_into().expect("a VLAN") };
            let hand = Hand::drifting(nth, by_hand);
            let ended = site.apply_with(&hand).await;
            let (port, overwritten) = hand.drifted()?;
            let context = format!("{port} changed at start {nth}");
            assert!(!overwritten, "{context}: overwritten unseen\n{}", site.world.log());
            let told = site.journal().await.into_iter().any(|record| match record.event {
                Event::StepFailed { error, retries: true, .. } => error.contains(&format!("port {port} was ")),
                _ => false,
            });
            assert!(told, "{context}: not told\n{}", site.world.log());
            assert_eq!(ended, End::Ended(Outcome::Converged), "{context}: {}", site.world.log());
            assert_eq!(site.end_state().await, end, "{context}");
            site.assert_unbroken(&context);
            Some(())
        });
        if drifted.is_none() {
            break;
        }
        drifts += 1;
    }
    println!("{drifts} steps found that a port was changed by hand");
    // Who only finds out what there is changes nothing that somebody else could have changed.
    let only_finds = ["InventoryScore", "OkdSetup01Inventory"].contains(&case.score);
    assert!(drifts > 0 || only_finds, "no step expects anything of the world");
}
