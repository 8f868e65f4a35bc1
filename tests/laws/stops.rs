//! A person stops the run (Ctrl-C): nothing is left half way.

use std::time::Duration;

use harmony_core::event::{Event, Outcome};
use harmony_tests::{Case, End, alone, for_each};

/// Long enough for a machine that was left to itself to start, and to show what does not work.
const A_WHILE: Duration = Duration::from_secs(600);

pub(crate) fn at_every_entry(case: &Case) {
    let (entries, end) = alone(async {
        let site = case.site().await;
        assert_eq!(site.apply().await, Outcome::Converged);
        (site.journal().await.len() as u64, site.end_state().await)
    });
    for_each(1..=entries, async |entry| {
        let context = format!("stopped at entry {entry} of {entries}");
        let site = case.site().await;
        let ended = site.apply_stopped(entry).await;
        let is_over = matches!(ended, End::Ended(Outcome::Stopped | Outcome::Converged));
        assert!(is_over, "{context}: {ended:?}\n{}", site.world.log());
        let journal = site.journal().await;
        for record in &journal {
            let Event::StepStarted { step, .. } = &record.event else { continue };
            let ends = journal.iter().any(|later| match &later.event {
                Event::StepFinished { step: ended, .. }
                | Event::StepFailed { step: ended, .. }
                | Event::StepStopped { step: ended, .. } => later.seq > record.seq && ended == step,
                _ => false,
            });
            assert!(ends, "{context}: {step} was left half way");
        }
        // Every LAG is whole or not there; a machine that goes on by itself meets no blocked port.
        site.world.until(A_WHILE, |_| false).await;
        site.assert_unbroken(&context);
        assert_eq!(site.apply().await, Outcome::Converged, "{context}\n{}", site.world.log());
        site.assert_unbroken(&context);
        assert_eq!(site.end_state().await, end, "{context}\n{}", site.world.log());
    });
    println!("stopped at each of {entries} entries");
}
