//! Runs, journals, one-shot marks.

use std::time::Duration;

use harmony_core::event::{Event, Outcome, Record};
use harmony_core::host::{PortWitnesses, WitnessKind};
use harmony_core::store::{OneShot, RunId, Store, StoreError};
use harmony_inventory::Inventory;

use crate::fixtures::*;

pub(crate) fn record(seq: u64) -> Record {
    let event = Event::StepStarted { score: "s".into(), step: format!("reboot/{seq}"), attempt: 1 };
    Record { seq, at: at(0), event }
}

crate::on_memory_and_file! {
    async fn a_run_is_begun_and_ended(store) {
        let one = store.begin_run("virtual_rack", at(1)).await.expect("begun");
        let two = store.begin_run("virtual_rack", at(2)).await.expect("begun");
        store.end_run(one, "converged", at(3)).await.expect("ended");
        let runs = store.runs().await.expect("read");
        assert_eq!(runs.iter().map(|run| run.id).collect::<Vec<_>>(), [one, two]);
        assert_eq!((runs[0].started_at, runs[0].ended_at, runs[0].outcome.as_deref()), (at(1), Some(at(3)), Some("converged")));
        assert_eq!((runs[1].program.as_str(), runs[1].ended_at, runs[1].outcome.as_deref()), ("virtual_rack", None, None));
        assert!(matches!(store.end_run(RunId(99), "failed", at(4)).await, Err(StoreError::NotFound(_))));
    }

    async fn a_journal_comes_back_record_by_record(store) {
        let run = store.begin_run("p", at(1)).await.expect("begun");
        let id = acquired(&store, 1).await;
        let mut heard = PortWitnesses::default();
        heard.hear(WitnessKind::MacTable, "tor/Gi1/0/1".parse().expect("valid"));
        store.set_port_witnesses(&id, mac(1, 0), &heard).await.expect("recorded");
        let host = store.host(&id).await.expect("read").expect("there");
        let mut records: Vec<_> = (1..=3).map(record).collect();
        records[0].event = Event::RunStarted { site: "lab".into(), program: "p".into(), scores: vec!["s".into()] };
        records[1].event = Event::HostChanged { host: Box::new(host) };
        records[2].event = Event::RunFinished { outcome: Outcome::Failed { error: "e".into(), hint: None }, took_ms: u64::MAX, writes: Default::default() };
        for record in &records {
            store.append(run, record).await.expect("appended");
        }
        assert_eq!(store.journal(run).await.expect("read"), records);
        let other = store.begin_run("p", at(2)).await.expect("begun");
        assert_eq!(store.journal(other).await.expect("read"), []);
        assert_names(&conflict(store.append(run, &record(3)).await), &["run 1", "record 3"]);
        assert!(matches!(store.append(RunId(99), &record(1)).await, Err(StoreError::NotFound(_))));
    }

    async fn many_marks_are_read_at_once(store) {
        let key = |number: usize| format!("hc-0000000/boot-{number}.1");
        for number in 0..3 {
            store.mark_one_shot(&key(number), number == 2, at(7)).await.expect("marked");
        }
        let asked = [key(0), key(2), key(5)];
        let read = store.one_shots(&asked).await.expect("read");
        assert_eq!(read, [(key(0), OneShot::Begun(at(7))), (key(2), OneShot::Done(at(7)))].into());
        assert!(store.one_shots(&[]).await.expect("read").is_empty());
    }

    async fn a_one_shot_act_is_never_begun_or_done(store) {
        let key = "order hc-0000000/1: reboot";
        assert_eq!(store.one_shot(key).await.expect("read"), OneShot::Never);
        store.mark_one_shot(key, false, at(1)).await.expect("marked");
        assert_eq!(store.one_shot(key).await.expect("read"), OneShot::Begun(at(1)));
        store.mark_one_shot(key, true, at(2)).await.expect("marked");
        assert_eq!(store.one_shot(key).await.expect("read"), OneShot::Done(at(2)));
        store.mark_one_shot(key, false, at(3)).await.expect("marked");
        assert_eq!(store.one_shot(key).await.expect("read"), OneShot::Begun(at(3)));
        store.mark_one_shot("known by its end alone", true, at(4)).await.expect("marked");
        assert_eq!(store.one_shot("known by its end alone").await.expect("read"), OneShot::Done(at(4)));
    }
}

/// Tokio takes the wait for SQLite's thread for idleness: without care, a paused clock jumps to
/// the nearest deadline during each operation.
#[tokio::test(start_paused = true)]
async fn a_paused_clock_stands_still_while_the_store_works() {
    let store = Inventory::open("sqlite::memory:").await.expect("opens");
    let begun = tokio::time::Instant::now();
    let work = async {
        let run = store.begin_run("p", at(0)).await.expect("begun");
        for seq in 1..=50 {
            store.append(run, &record(seq)).await.expect("appended");
        }
        store.journal(run).await.expect("read").len()
    };
    assert_eq!(tokio::time::timeout(Duration::from_millis(1), work).await, Ok(50));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}
