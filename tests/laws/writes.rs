//! Each write to a device is lost on its way, its reply is lost, or it is never answered.

use harmony_core::event::Outcome;
use harmony_sim::{Fault, WriteFault};
use harmony_tests::{Case, alone, for_each};

pub(crate) fn each_struck(case: &Case) {
    let (end, restarts, writes) = alone(async {
        let site = case.site().await;
        let before = site.world.writes().len();
        assert_eq!(site.apply().await, Outcome::Converged);
        (site.end_state().await, site.restarts(), site.world.writes().split_off(before))
    });
    let ways = [WriteFault::FailBefore, WriteFault::FailAfter, WriteFault::HangBefore, WriteFault::HangAfter];
    let points = writes.iter().enumerate().flat_map(|(index, write)| ways.map(|how| (index, write, how)));
    for_each(points, async |(index, write, how)| {
        let context = format!("write {} of {}, {write}: {how}", index + 1, writes.len());
        let site = case.site().await;
        let nth = u32::try_from(index + 1).expect("few writes");
        let fault = site.world.inject(Fault::Write { device: String::new(), nth, how });
        let mut outcome = site.apply().await;
        assert_eq!(fault.fired(), 1, "{context}: did not strike\n{}", site.world.log());
        drop(fault);
        // A switch that does not answer to a flip is put back, and the run fails and says so.
        // Anything else is tried again at once.
        if write.command.contains("lacp") && matches!(outcome, Outcome::Failed { .. }) {
            outcome = site.apply().await;
        }
        assert_eq!(outcome, Outcome::Converged, "{context}\n{}", site.world.log());
        site.assert_unbroken(&context);
        assert_eq!(site.end_state().await, end, "{context}\n{}", site.world.log());
        assert_eq!(site.restarts(), restarts, "{context}: restarted again\n{}", site.world.log());
    });
    println!("{} writes, each struck in {} ways", writes.len(), ways.len());
}
