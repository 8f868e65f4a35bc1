//! The journal tells the whole run.

use harmony_core::event::{Event, Outcome};
use harmony_tests::Site;

#[tokio::test(start_paused = true)]
async fn the_journal_tells_the_whole_run() {
    let site = Site::rack(14, 1);
    assert_eq!(site.apply().await, Outcome::Converged);
    let journal = site.journal().await;
    let numbers: Vec<u64> = journal.iter().map(|record| record.seq).collect();
    assert_eq!(numbers, (1..=journal.len() as u64).collect::<Vec<_>>(), "without gaps");
    assert!(matches!(journal.first().expect("first").event, Event::RunStarted { .. }));
    assert!(matches!(journal.last().expect("last").event, Event::RunFinished { .. }));
    for started in journal.iter().filter_map(|record| match &record.event {
        Event::StepStarted { step, .. } => Some(step),
        _ => None,
    }) {
        let ends =
            journal.iter().any(|record| matches!(&record.event, Event::StepFinished { step, .. } if step == started));
        assert!(ends, "{started} has no end");
    }
    // Nobody who reads along is left with an older state of a host.
    for host in site.hosts().await {
        let told = journal.iter().rev().find_map(|record| match &record.event {
            Event::HostChanged { host: told } if told.id == host.id => Some(told.as_ref()),
            _ => None,
        });
        assert_eq!(told, Some(&host), "as told last");
    }
}
