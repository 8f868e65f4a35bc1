//! Runs that end early: killed at every journal entry, or stopped by request. Run again, they reach the
//! same end state, and no machine is restarted or installed a second time.

use harmony_core::event::{Event, Outcome};
use harmony_core::host::Lifecycle;
use harmony_sim::MachineView;
use harmony_tests::Site;

fn restarts(machines: &[MachineView]) -> Vec<(String, u32)> {
    machines.iter().map(|machine| (machine.name.clone(), machine.restarts)).collect()
}

#[tokio::test(start_paused = true)]
async fn killed_at_every_journal_entry() {
    let whole = Site::rack(11, 3);
    assert_eq!(whole.apply().await, Outcome::Converged);
    let (end, entries) = (whole.end_state().await, whole.journal().await.len());
    let undisturbed = restarts(&whole.world.machines());
    let mut through = 0;
    for entry in 1..entries {
        let site = Site::rack(11, 3);
        let context = format!("killed at entry {entry} of {entries}");
        if site.apply_until(entry).await.is_some() {
            // The last entries follow each other without a pause in which a run could be dropped.
            through += 1;
            continue;
        }
        let done: Vec<String> = site
            .hosts()
            .await
            .iter()
            .filter(|h| h.lifecycle == Lifecycle::Provisioned)
            .filter_map(|h| h.identity.serial.clone())
            .collect();
        let before = site.world.machines();
        assert_eq!(site.apply().await, Outcome::Converged, "{context}\n{}", site.world.log());
        site.assert_finished(&context).await;
        assert_eq!(site.end_state().await, end, "{context}");
        assert_eq!(restarts(&site.world.machines()), undisturbed, "{context}: restarted again\n{}", site.world.log());
        for (was, is) in before.iter().zip(site.world.machines()) {
            assert!(!done.contains(&was.serial) || was.restarts == is.restarts, "{context}: {} was through", was.name);
        }
    }
    let kills = entries - 1 - through;
    println!("{kills} kills in {entries} entries");
    assert!(through <= 10, "{through} runs were not killed");
    assert!(entries > 60, "only {entries} entries");
}

#[tokio::test(start_paused = true)]
async fn killed_twice_in_a_row() {
    let site = Site::rack(12, 2);
    for entry in [20, 15, 10, 25] {
        if let Some(outcome) = site.apply_until(entry).await {
            assert_eq!(outcome, Outcome::Converged);
        }
    }
    assert_eq!(site.apply().await, Outcome::Converged, "{}", site.world.log());
    site.assert_finished("killed four times").await;
}

#[tokio::test(start_paused = true)]
async fn stopped_at_every_tenth_entry_leaves_a_compatible_state() {
    for entry in (5..150).step_by(10) {
        let site = Site::rack(13, 2);
        let engine = site.engine();
        let mut events = engine.bus.subscribe();
        let stop = engine.stop.clone();
        let watch = async {
            for _ in 0..entry {
                if events.recv().await.is_err() {
                    return;
                }
            }
            stop.cancel();
            std::future::pending::<()>().await;
        };
        let outcome = tokio::select! {
            () = watch => unreachable!("the run ends first"),
            outcome = engine.apply("test", &site.topology, &site.scores, None) => outcome.expect("a journal"),
        };
        assert!(matches!(outcome, Outcome::Stopped | Outcome::Converged), "entry {entry}: {outcome:?}");
        assert!(site.world.violations().is_empty(), "entry {entry}: {:?}", site.world.violations());
        assert_eq!(site.apply().await, Outcome::Converged, "entry {entry}: {}", site.world.log());
        site.assert_finished(&format!("stopped at entry {entry}")).await;
    }
}

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
}
