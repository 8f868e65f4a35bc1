//! The runner is killed at every entry of its journal, right before and right after the entry is
//! durable; the next run ends in the same state, and writes nothing that was not needed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use harmony_core::event::{Event, Outcome, Record};
use harmony_sim::{WorldSpec, Write};
use harmony_tests::{At, Case, End, Site, alone, cases, for_each};

/// What an undisturbed run comes to.
struct Undisturbed {
    end: BTreeSet<String>,
    writes: Vec<Write>,
    restarts: Vec<(String, u32)>,
    entries: u64,
}

pub(crate) fn at_every_entry(case: &Case) {
    at_every_nth_entry(case, 1);
}

/// The same at the first entry, and from there at every `stride`th.
fn at_every_nth_entry(case: &Case, stride: u64) {
    let whole = alone(async {
        let site = case.site().await;
        let before = site.world.writes().len();
        assert_eq!(site.apply().await, Outcome::Converged);
        Undisturbed {
            end: site.end_state().await,
            writes: site.world.writes().split_off(before),
            restarts: site.restarts(),
            entries: site.journal().await.len() as u64,
        }
    });
    let points: Vec<At> = At::every(whole.entries).filter(|at| (at.entry - 1).is_multiple_of(stride)).collect();
    let kills = points.len();
    for_each(points, async |at| killed(case, &whole, at).await);
    println!("{kills} kills: before and after each of {} entries, by steps of {stride}", whole.entries);
}

async fn killed(case: &Case, whole: &Undisturbed, at: At) {
    let context = format!("killed {at} of {}", whole.entries);
    let site = case.site().await;
    let before = site.world.writes().len();
    assert_eq!(site.apply_killed(at).await, End::Killed, "{context}: was not killed");
    let (journal, done) = (site.journal().await, site.world.writes().split_off(before));
    let outcome = site.apply().await;
    let log = || site.world.log();
    assert_eq!(outcome, Outcome::Converged, "{context}\n{}", log());
    site.assert_unbroken(&context);
    assert_eq!(site.end_state().await, whole.end, "{context}\n{}", log());
    assert_eq!(site.restarts(), whole.restarts, "{context}: restarted again\n{}", log());
    let all = site.world.writes().split_off(before);
    let in_hand = in_hand(&case.spec, &journal);
    let unneeded = unneeded(&whole.writes, &done, &all, in_hand.values().min().copied());
    assert!(unneeded.is_empty(), "{context}: not needed: {unneeded:?}; in hand: {in_hand:?}\n{}", log());
}

/// The steps that had begun and not ended, and when they had.
fn in_hand(spec: &WorldSpec, journal: &[Record]) -> BTreeMap<String, Duration> {
    let mut open = BTreeMap::new();
    for record in journal {
        match &record.event {
            Event::StepStarted { step, .. } => {
                let at = record.at.duration_since(spec.epoch);
                open.insert(step.clone(), Duration::try_from(at).unwrap_or_default());
            }
            Event::StepFinished { step, .. } | Event::StepFailed { step, .. } | Event::StepStopped { step, .. } => {
                open.remove(step);
            }
            _ => {}
        }
    }
    open
}

/// Writes beyond those of an undisturbed run, except one repetition of each that a step in hand had
/// made: what came of it was not known.
fn unneeded(whole: &[Write], done: &[Write], all: &[Write], in_hand_since: Option<Duration>) -> Vec<String> {
    let text = |write: &Write| format!("{} {}: {}", write.driver, write.device, write.command);
    let mut count: BTreeMap<String, i32> = BTreeMap::new();
    all.iter().for_each(|write| *count.entry(text(write)).or_default() += 1);
    whole.iter().for_each(|write| *count.entry(text(write)).or_default() -= 1);
    let may_repeat: BTreeSet<String> =
        done.iter().filter(|write| in_hand_since.is_some_and(|since| write.at >= since)).map(text).collect();
    let unneeded = count.into_iter().filter(|(write, extra)| *extra > i32::from(may_repeat.contains(write)));
    unneeded.map(|(write, extra)| format!("{write} ({extra} times more)")).collect()
}

#[test]
fn seven_hosts_killed_at_every_journal_entry() {
    let spec = Site::mixed(11, 7);
    at_every_entry(&Case { spec, at_first: |_| (), ..cases::whole() });
}

/// Two of three masters whose ports change at once, or that restart at once, cost etcd its quorum: the world says so.
#[test]
fn three_masters_killed_at_every_25th_journal_entry() {
    let spec = cases::in_a_hurry(WorldSpec::okd_rack(42, 3, 1));
    at_every_nth_entry(&Case { spec, scores: cases::okd, ..cases::okd_cluster() }, 25);
}

#[test]
fn killed_four_times_in_a_row() {
    alone(async {
        let site = Site::rack(12, 2);
        for entry in [20, 15, 10, 25] {
            let at = At { entry, moment: harmony_sim::Append::After };
            assert_eq!(site.apply_killed(at).await, End::Killed);
        }
        assert_eq!(site.apply().await, Outcome::Converged, "{}", site.world.log());
        site.assert_finished("killed four times").await;
    });
}
