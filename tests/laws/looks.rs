//! How often the engine looks at the world, what it tells of a plan that shrinks, and what it tells when
//! it cannot look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::Topology;
use harmony_core::clock::RuntimeClock;
use harmony_core::engine::Engine;
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::event::{Event, Outcome};
use harmony_core::host::{HostId, SystemIdentity};
use harmony_core::net::MacAddress;
use harmony_core::score::{AnyScore, Bound, Context, Plan, Score, ScoreError, Step, StepContext};
use harmony_core::store::{SharedStore, Sighting};
use harmony_inventory::Inventory;
use harmony_sim::StillStore;
use jiff::Timestamp;

struct Nowhere;

#[async_trait]
impl Topology for Nowhere {
    fn name(&self) -> &str {
        "nowhere"
    }

    async fn prepare(&self) -> DeviceResult<()> {
        Ok(())
    }
}

/// Wants numbers to be counted, each of which takes ten milliseconds longer than the one before.
#[derive(Default)]
struct Counting {
    steps: usize,
    facts: usize,
    /// Looks that fail before the first one that does not.
    blind: AtomicU32,
    looks: Arc<AtomicU32>,
    done: Mutex<BTreeSet<usize>>,
    forgets: Option<HostId>,
}

#[async_trait]
impl Score<Nowhere> for Counting {
    type Observed = BTreeSet<usize>;
    type Action = usize;

    fn name(&self) -> String {
        "Counting".to_owned()
    }

    async fn observe(&self, _: &Context<'_, Nowhere>) -> Result<BTreeSet<usize>, ScoreError> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        if self.blind.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(DeviceError::new(FailureKind::Unreachable, "failed to read tor").hint("plug it in").into());
        }
        Ok(self.done.lock().expect("no panic").clone())
    }

    fn plan(&self, done: &BTreeSet<usize>) -> Result<Plan<usize>, ScoreError> {
        let step = |number: usize| Step {
            key: format!("count/{number}"),
            target: "number".to_owned(),
            sentence: format!("count {number}"),
            changes: Vec::new(),
            expects: BTreeMap::new(),
            after: Vec::new(),
            bound: Bound::new(1, 600),
            budgets: Vec::new(),
            effects: Vec::new(),
            one_shot: false,
            action: number,
        };
        let steps = (0..self.steps).filter(|number| !done.contains(number)).map(step).collect();
        Ok(Plan { steps, ..Plan::default() })
    }

    fn facts(&self, _: &BTreeSet<usize>) -> BTreeMap<String, String> {
        (0..self.facts).map(|number| (format!("fact {number}"), String::new())).collect()
    }

    async fn apply(&self, scx: &StepContext<'_, Nowhere>, number: &usize) -> Result<(), ScoreError> {
        tokio::time::sleep(Duration::from_millis(10) * u32::try_from(*number).expect("small")).await;
        if let Some(host) = &self.forgets {
            tokio::time::sleep(Duration::from_secs(1)).await;
            scx.cx.store.forget(host).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.done.lock().expect("no panic").insert(*number);
        Ok(())
    }
}

async fn run(store: &SharedStore, score: Counting) -> (Outcome, Vec<Event>) {
    let engine = Engine::new(store.clone(), Arc::new(RuntimeClock::starting_at(Timestamp::UNIX_EPOCH)));
    let scores: [Box<dyn AnyScore<Nowhere>>; 1] = [Box::new(score)];
    let outcome = engine.apply("test", &Nowhere, &scores, None).await.expect("a journal");
    let run = store.runs().await.expect("runs").pop().expect("a run").id;
    (outcome, store.journal(run).await.expect("a journal").into_iter().map(|record| record.event).collect())
}

fn store() -> SharedStore {
    StillStore::open(Inventory::open("sqlite::memory:")).expect("a store")
}

#[tokio::test(start_paused = true)]
async fn the_more_a_look_brings_the_rarer_it_is() {
    for (facts, looks) in [(0, 150..=250), (4000, 2..=5)] {
        let score = Counting { steps: 200, facts, ..Counting::default() };
        let counted = score.looks.clone();
        let (outcome, events) = run(&store(), score).await;
        assert_eq!(outcome, Outcome::Converged);
        let counted = counted.load(Ordering::Relaxed);
        assert!(looks.contains(&counted), "{counted} looks with {facts} facts");
        let plans = events.iter().filter(|event| matches!(event, Event::Planned { .. })).count();
        assert_eq!(plans, 1, "a plan from which only steps that were done are gone is no news");
    }
}

#[tokio::test(start_paused = true)]
async fn looks_that_fail_are_told_and_given_up_after_five() {
    for (blind, told, through) in [(2, 2, true), (5, 5, true), (6, 5, false)] {
        let (outcome, events) = run(&store(), Counting { steps: 1, blind: blind.into(), ..Counting::default() }).await;
        let failures: Vec<u32> = events
            .iter()
            .filter_map(|event| match event {
                Event::ObservationFailed { score, attempt, error, hint } => {
                    assert_eq!((score.as_str(), hint.as_deref()), ("Counting", Some("plug it in")));
                    assert!(error.contains("failed to read tor"), "{error}");
                    Some(*attempt)
                }
                _ => None,
            })
            .collect();
        assert_eq!(failures, (1..=told).collect::<Vec<_>>());
        assert_eq!(outcome == Outcome::Converged, through, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_forgotten_while_a_run_goes_on_is_told_of() {
    let store = store();
    let mut hosts = Vec::new();
    for last in [1, 2] {
        let identity = SystemIdentity::new(None, None, [MacAddress::new([0x52, 0x54, 0, 0, 0, last])]);
        let sighting = Sighting { identity, address: None, agent_port: None, at: Timestamp::UNIX_EPOCH };
        hosts.push(store.record_sighting(&sighting).await.expect("registered"));
    }
    store.forget(&hosts[0]).await.expect("forgotten");
    let (outcome, events) =
        run(&store, Counting { steps: 1, forgets: Some(hosts[1].clone()), ..Counting::default() }).await;
    assert_eq!(outcome, Outcome::Converged);
    let forgotten: Vec<&HostId> = events
        .iter()
        .filter_map(|event| match event {
            Event::HostForgotten { host } => Some(host),
            _ => None,
        })
        .collect();
    assert_eq!(forgotten, [&hosts[1]], "the other was forgotten before");
}
