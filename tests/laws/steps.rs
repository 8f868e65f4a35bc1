//! Each step is carried out twice, fails before or after it was carried out, never ends, or is the
//! last thing that its run does.

use harmony_core::event::Outcome;
use harmony_tests::{Case, End, Hand, Meddling, alone, for_each};

pub(crate) fn each_meddled_with(case: &Case) {
    let (steps, end, restarts) = alone(async {
        let site = case.site().await;
        let hand = Hand::idle();
        let ended = site.apply_with(&hand).await;
        assert_eq!(ended, End::Ended(Outcome::Converged));
        (hand.steps(), site.end_state().await, site.restarts())
    });
    assert!(steps > 0, "no step was carried out");
    let points = (1..=steps).flat_map(|nth| Meddling::ALL.map(|how| (nth, how)));
    for_each(points, async |(nth, how)| {
        let context = format!("step {nth} of {steps}: {how:?}");
        let site = case.site().await;
        let hand = Hand::meddling(nth, how);
        let ended = site.apply_with(&hand).await;
        assert!(hand.steps() >= nth, "{context}: there was no such step");
        let is_kill = matches!(how, Meddling::KillBefore | Meddling::KillAfter);
        assert_eq!(ended == End::Killed, is_kill, "{context}");
        if ended != End::Ended(Outcome::Converged) {
            assert!(matches!(ended, End::Killed | End::Ended(Outcome::Failed { .. })), "{context}: {ended:?}");
            let outcome = site.apply().await;
            assert_eq!(outcome, Outcome::Converged, "{context}, after {ended:?}\n{}", site.world.log());
        }
        site.assert_unbroken(&context);
        assert_eq!(site.end_state().await, end, "{context}\n{}", site.world.log());
        // A boot that is done twice on purpose is two.
        if how != Meddling::Repeat {
            assert_eq!(site.restarts(), restarts, "{context}: restarted again\n{}", site.world.log());
        }
    });
    println!("{steps} steps, each meddled with in {} ways", Meddling::ALL.len());
}
