//! Laws of the undisturbed run.

use harmony_core::engine::SavedPlan;
use harmony_core::event::Outcome;
use harmony_tests::{Case, Site, alone};

/// The plan of a site as text for people.
async fn text(site: &Site) -> String {
    SavedPlan::new("sim", site.plan().await.expect("plans")).render()
}

pub(crate) fn deterministic(case: &Case) {
    let planned = || {
        alone(async {
            let site = case.site().await;
            let (runs, writes) = (site.store.runs().await.expect("runs"), site.world.writes());
            let texts = [text(&site).await, text(&site).await, text(&site).await];
            assert_eq!(site.world.writes(), writes, "a plan wrote to a device");
            assert_eq!(site.store.runs().await.expect("runs"), runs, "a plan began a run");
            assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
            texts[0].clone()
        })
    };
    assert_eq!(planned(), planned(), "two worlds alike");
}

pub(crate) fn idempotent(case: &Case) {
    alone(async {
        let site = case.site().await;
        let before = site.world.writes();
        assert!(site.plan().await.expect("plans").iter().any(|plan| !plan.plan.is_empty()), "nothing to do");
        assert_eq!(site.apply().await, Outcome::Converged, "{}", site.world.log());
        let (writes, end) = (site.world.writes(), site.end_state().await);
        assert!(writes.len() > before.len(), "nothing was done");
        for plan in site.plan().await.expect("plans") {
            assert!(plan.plan.is_empty(), "{}: {:?}", plan.score, plan.plan);
        }
        assert_eq!(site.apply().await, Outcome::Converged);
        assert_eq!(site.world.writes()[writes.len()..], [], "the second apply wrote");
        assert_eq!(site.end_state().await, end);
        site.assert_unbroken("two runs");
    });
}
