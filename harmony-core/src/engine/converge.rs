//! The loop of one Score.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::Value;
use tokio::time::Instant;

use super::attempt::{Ended, carry_out};
use super::budget::Taken;
use super::{Engine, EngineError, Journal, assess};
use crate::capability::Topology;
use crate::event::{Event, Outcome};
use crate::score::{AnyScore, Context, Deferred, Plan, Step, StepSummary};

/// How often a step may be planned again, unchanged, after it was done: then it does not do what it should.
const MAX_REPEATS: u32 = 3;
/// How often a step may find that the world has moved since it was planned.
const MAX_MOVES: u32 = 5;

/// What the loop remembers between two looks at the world.
#[derive(Default)]
struct Memory {
    taken: Taken,
    running: BTreeSet<String>,
    /// Steps that failed for good, with error and hint.
    failed: BTreeMap<String, (String, Option<String>)>,
    done: BTreeMap<String, (Value, u32)>,
    moved: BTreeMap<String, u32>,
    told: Option<(Vec<StepSummary>, Vec<Deferred>)>,
    waiting_since: BTreeMap<String, Instant>,
}

/// Observes, plans and does until nothing is left. With `only`, does those steps and no other.
pub(super) async fn converge<T: Topology>(
    engine: &Engine,
    cx: &Context<'_, T>,
    journal: &Journal,
    score: &dyn AnyScore<T>,
    only: Option<BTreeMap<String, Value>>,
) -> Result<Outcome, EngineError> {
    let mut memory = Memory::default();
    let mut running = FuturesUnordered::new();
    loop {
        let stopping = cx.stop.is_cancelled();
        if stopping && running.is_empty() {
            return Ok(Outcome::Stopped);
        }
        let mut waiting = false;
        if !stopping {
            let plan = assess(cx, score).await?.plan;
            memory.tell(journal, score, &plan).await?;
            if let Some(outcome) = memory.verdict(&plan, only.as_ref()) {
                if running.is_empty() {
                    return Ok(outcome);
                }
            } else {
                for step in memory.ready(engine, plan.steps, only.as_ref()) {
                    running.push(async move {
                        let ended = carry_out(cx, journal, score, &step).await;
                        (step, ended)
                    });
                }
            }
            waiting = !plan.deferred.is_empty() || !memory.moved.is_empty();
        }
        if running.is_empty() && !waiting {
            // Something is planned, nothing can start and nothing runs: its requirement failed.
            return Ok(memory.failure());
        }
        let poll = if waiting { score.poll_interval() } else { Duration::MAX };
        tokio::select! {
            // In order, so that a simulated run can be repeated exactly.
            biased;
            Some((step, ended)) = running.next(), if !running.is_empty() => {
                memory.end(step, ended?);
                // Steps that end together are planned for together.
                while let Some(Some((step, ended))) = futures::FutureExt::now_or_never(running.next()) {
                    memory.end(step, ended?);
                }
            }
            () = cx.stop.cancelled(), if !stopping => {}
            () = tokio::time::sleep(poll), if waiting => {}
        }
    }
}

impl Memory {
    /// Tells of a plan that differs from the last one told.
    async fn tell<T: Topology>(
        &mut self,
        journal: &Journal,
        score: &dyn AnyScore<T>,
        plan: &Plan<Value>,
    ) -> Result<(), EngineError> {
        let now = (plan.steps.iter().map(Step::summary).collect::<Vec<_>>(), plan.deferred.clone());
        if self.told.as_ref() != Some(&now) {
            journal.tell(Event::Planned { score: score.name(), steps: now.0.clone(), deferred: now.1.clone() }).await?;
            self.told = Some(now);
        }
        Ok(())
    }

    /// Whether the Score is through, or waited too long for something.
    fn verdict(&mut self, plan: &Plan<Value>, only: Option<&BTreeMap<String, Value>>) -> Option<Outcome> {
        let left = |step: &&Step<Value>| only.is_none_or(|only| only.contains_key(&step.key));
        if let Some(only) = only
            && plan.steps.iter().filter(left).count() == 0
        {
            let more = plan.deferred.iter().map(|d| d.waits_for.clone());
            let new = plan.steps.iter().filter(|step| !only.contains_key(&step.key)).map(|step| step.sentence.clone());
            let waits_for: Vec<_> = new.chain(more).collect();
            return Some(if waits_for.is_empty() { Outcome::Converged } else { Outcome::PlanDone { waits_for } });
        }
        if plan.is_empty() {
            return Some(if self.failed.is_empty() { Outcome::Converged } else { self.failure() });
        }
        let keys: BTreeSet<_> = plan.deferred.iter().map(|d| d.key.as_str()).collect();
        self.waiting_since.retain(|key, _| keys.contains(key.as_str()));
        for deferred in &plan.deferred {
            let since = *self.waiting_since.entry(deferred.key.clone()).or_insert_with(Instant::now);
            if let Some(limit) = deferred.limit_s.filter(|limit| since.elapsed() >= Duration::from_secs(*limit)) {
                let mut errors = self.errors();
                errors.push(format!("waited {limit} s for {}", deferred.waits_for));
                let hint = self.failed.values().find_map(|(_, hint)| hint.clone()).or_else(|| deferred.hint.clone());
                return Some(Outcome::Failed { error: errors.join("\n"), hint });
            }
        }
        None
    }

    /// Steps that can start now. Marks them as running.
    fn ready(
        &mut self,
        engine: &Engine,
        steps: Vec<Step<Value>>,
        only: Option<&BTreeMap<String, Value>>,
    ) -> Vec<Step<Value>> {
        let planned: BTreeSet<String> = steps.iter().map(|step| step.key.clone()).collect();
        let mut ready = Vec::new();
        for step in steps {
            let is_signed = only.is_none_or(|only| only.get(&step.key) == Some(&step.action));
            let is_free = !self.running.contains(&step.key) && !self.failed.contains_key(&step.key);
            let is_unblocked = !step.after.iter().any(|key| planned.contains(key) || self.running.contains(key));
            if !(is_signed && is_free && is_unblocked) {
                continue;
            }
            if let Some((action, times)) = self.done.get(&step.key)
                && *action == step.action
                && *times >= MAX_REPEATS
            {
                let error = format!("{}: done {times} times, and still needed", step.sentence);
                self.failed.insert(step.key, (error, None));
                continue;
            }
            if self.taken.take(&engine.budgets, &step.budgets) {
                self.running.insert(step.key.clone());
                ready.push(step);
            }
        }
        ready
    }

    fn end(&mut self, step: Step<Value>, ended: Ended) {
        self.running.remove(&step.key);
        self.taken.give_back(&step.budgets);
        match ended {
            Ended::Done => {
                self.moved.remove(&step.key);
                let times = match self.done.get(&step.key) {
                    Some((action, times)) if *action == step.action => times + 1,
                    _ => 1,
                };
                self.done.insert(step.key, (step.action, times));
            }
            Ended::Moved(what) => {
                let times = self.moved.entry(step.key.clone()).or_default();
                *times += 1;
                if *times >= MAX_MOVES {
                    let error = format!("{}: the world keeps moving: {what}", step.sentence);
                    self.failed.insert(step.key.clone(), (error, None));
                    self.moved.remove(&step.key);
                }
            }
            Ended::Stopped => {}
            Ended::Failed { error, hint } => {
                self.failed.insert(step.key, (error, hint));
            }
        }
    }

    fn errors(&self) -> Vec<String> {
        let mut errors: Vec<String> = self.failed.values().map(|(error, _)| error.clone()).collect();
        errors.dedup();
        errors
    }

    fn failure(&self) -> Outcome {
        let errors = self.errors();
        let error = if errors.is_empty() { "steps wait for each other".to_owned() } else { errors.join("\n") };
        Outcome::Failed { error, hint: self.failed.values().find_map(|(_, hint)| hint.clone()) }
    }
}
