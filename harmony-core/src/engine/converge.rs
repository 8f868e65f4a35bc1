//! The loop of one Score.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::attempt::{Ended, carry_out};
use super::budget::Taken;
use super::{Engine, EngineError, Journal, assess, hint_of};
use crate::capability::Topology;
use crate::error::chain;
use crate::event::{Event, Outcome};
use crate::score::{AnyScore, Context, Deferred, Plan, Step, StepSummary};

/// How often a step may be planned again, unchanged, after it was done: then it does not do what it should.
const MAX_REPEATS: u32 = 3;
/// How many observations in a row may fail in a passing way: a device that does not answer just now.
const MAX_BLIND: u32 = 5;
/// How often a step may find that the world has moved since it was planned.
const MAX_MOVES: u32 = 5;
/// Time from one look at the world to the next, for each fact that it brought. A look at a thousand hosts
/// brings five thousand facts and takes a tenth of a second, while a step ends every few milliseconds: with
/// this, looking takes a small and constant share of the time, however many hosts there are.
const PACE: Duration = Duration::from_micros(500);

/// What the loop remembers between two looks at the world.
#[derive(Default)]
struct Memory {
    taken: Taken,
    running: BTreeSet<String>,
    /// Steps that failed for good, with error and hint.
    failed: BTreeMap<String, (String, Option<String>)>,
    /// What they failed on: it is left alone for the rest of the run, until somebody has looked at it.
    given_up: BTreeSet<String>,
    done: BTreeMap<String, (Value, u32)>,
    moved: BTreeMap<String, u32>,
    /// What was told of the plan, without what was done since.
    told: Option<(BTreeMap<String, StepSummary>, Vec<Deferred>)>,
    waiting_since: BTreeMap<String, Instant>,
}

/// Observes, plans and does until nothing is left. With `only`, does those steps and no other.
///
/// Planning and doing are two futures that are always polled together: a step may hold what the
/// planner waits for (a session of a device, the journal), and would never let go of it otherwise.
pub(super) async fn converge<T: Topology>(
    engine: &Engine,
    cx: &Context<'_, T>,
    journal: &Journal,
    score: &dyn AnyScore<T>,
    only: Option<BTreeMap<String, Value>>,
) -> Result<Outcome, EngineError> {
    let (start, to_start) = mpsc::unbounded_channel();
    let (tell_end, ends) = mpsc::unbounded_channel();
    let doing = carry_out_all(cx, journal, score, to_start, tell_end);
    let next_look = Instant::now();
    let planner = Planner { engine, cx, journal, score, only, start, ends, next_look, memory: Memory::default() };
    tokio::select! {
        biased;
        outcome = planner.run() => outcome,
        never = doing => match never {},
    }
}

/// Carries out the steps that are sent, all at once, and tells of each end. Never ends by itself.
async fn carry_out_all<T: Topology>(
    cx: &Context<'_, T>,
    journal: &Journal,
    score: &dyn AnyScore<T>,
    mut to_start: mpsc::UnboundedReceiver<Step<Value>>,
    tell_end: mpsc::UnboundedSender<End>,
) -> Infallible {
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            // In order, so that a simulated run can be repeated exactly.
            biased;
            Some(step) = to_start.recv() => running.push(async move {
                let ended = carry_out(cx, journal, score, &step).await;
                (step, ended)
            }),
            Some(end) = running.next(), if !running.is_empty() => {
                let _ = tell_end.send(end);
            }
            else => std::future::pending().await,
        }
    }
}

/// A step that ended, and how.
type End = (Step<Value>, Result<Ended, EngineError>);

struct Planner<'a, 'c, T: Topology> {
    engine: &'a Engine,
    cx: &'a Context<'c, T>,
    journal: &'a Journal,
    score: &'a dyn AnyScore<T>,
    only: Option<BTreeMap<String, Value>>,
    start: mpsc::UnboundedSender<Step<Value>>,
    ends: mpsc::UnboundedReceiver<End>,
    /// When the world may be looked at again.
    next_look: Instant,
    memory: Memory,
}

impl<T: Topology> Planner<'_, '_, T> {
    async fn run(mut self) -> Result<Outcome, EngineError> {
        let mut blind = 0;
        loop {
            if self.cx.stop.is_cancelled() {
                self.drain().await?;
                return Ok(Outcome::Stopped);
            }
            let waiting = match assess(self.cx, self.score).await {
                Ok(assessment) => {
                    blind = 0;
                    let facts = u32::try_from(assessment.facts.len()).unwrap_or(u32::MAX);
                    self.next_look = Instant::now() + PACE * facts;
                    // What ended while the world was looked at may have been seen half done.
                    let ended = self.take_ends()?;
                    match self.on_plan(assessment.plan, &ended).await? {
                        Next::Wait { polling } => polling,
                        Next::LookAgain => {
                            self.rest().await?;
                            continue;
                        }
                        Next::Over(outcome) => return Ok(outcome),
                    }
                }
                Err(error) if is_passing(&error) && blind < MAX_BLIND => {
                    blind += 1;
                    let (error, hint) = (chain(&error), hint_of(&error));
                    let score = self.score.name();
                    self.journal.tell(Event::ObservationFailed { score, attempt: blind, error, hint }).await?;
                    // The next plan is told even if it is the same: the world is seen again.
                    self.memory.told = None;
                    true
                }
                Err(error) => {
                    // Steps in hand are brought to a safe end before the run fails.
                    self.cx.stop.cancel();
                    self.drain().await?;
                    return Err(error);
                }
            };
            self.wait(waiting).await?;
        }
    }

    /// Starts what is ready.
    async fn on_plan(&mut self, plan: Plan<Value>, ended: &[Step<Value>]) -> Result<Next, EngineError> {
        self.memory.tell(self.journal, self.score, &plan).await?;
        let verdict = self.memory.verdict(&plan, self.only.as_ref());
        let polling = !plan.deferred.is_empty() || !self.memory.moved.is_empty();
        if !matches!(verdict, Some(Outcome::Converged | Outcome::PlanDone { .. })) {
            for step in self.memory.ready(self.engine, plan.steps, self.only.as_ref(), ended) {
                let _ = self.start.send(step);
            }
        }
        Ok(match verdict {
            _ if !self.memory.running.is_empty() => Next::Wait { polling },
            _ if !ended.is_empty() => Next::LookAgain,
            Some(outcome) => Next::Over(outcome),
            None if polling => Next::Wait { polling },
            // Something is planned, nothing can start and nothing runs: its requirement failed.
            None => Next::Over(self.memory.failure()),
        })
    }

    /// Waits until a step ends, a person wants to stop, or it is time to look again.
    async fn wait(&mut self, polling: bool) -> Result<(), EngineError> {
        tokio::select! {
            biased;
            Some((step, ended)) = self.ends.recv() => {
                self.memory.end(&step, ended?);
            }
            () = self.cx.stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(self.score.poll_interval()), if polling => {}
        }
        self.rest().await
    }

    /// Waits until the world may be looked at again. Steps that end meanwhile are planned for together.
    async fn rest(&mut self) -> Result<(), EngineError> {
        loop {
            tokio::select! {
                biased;
                Some((step, ended)) = self.ends.recv() => self.memory.end(&step, ended?),
                () = self.cx.stop.cancelled() => return Ok(()),
                () = tokio::time::sleep_until(self.next_look) => return Ok(()),
            }
        }
    }

    /// The steps that have ended since the last look.
    fn take_ends(&mut self) -> Result<Vec<Step<Value>>, EngineError> {
        let mut steps = Vec::new();
        while let Ok((step, ended)) = self.ends.try_recv() {
            self.memory.end(&step, ended?);
            steps.push(step);
        }
        Ok(steps)
    }

    /// Waits for every step that runs.
    async fn drain(&mut self) -> Result<(), EngineError> {
        while !self.memory.running.is_empty() {
            let Some((step, ended)) = self.ends.recv().await else { break };
            self.memory.end(&step, ended?);
        }
        Ok(())
    }
}

/// What the loop does next.
enum Next {
    /// Wait for a step's end, and for time if something is polled.
    Wait { polling: bool },
    /// Observe again at once.
    LookAgain,
    /// End.
    Over(Outcome),
}

/// Whether a failed observation may succeed the next time.
fn is_passing(error: &EngineError) -> bool {
    matches!(error, EngineError::Plan { source, .. } if source.kind().is_retryable())
}

impl Memory {
    /// Tells of a plan that differs from the last one told.
    async fn tell<T: Topology>(
        &mut self,
        journal: &Journal,
        score: &dyn AnyScore<T>,
        plan: &Plan<Value>,
    ) -> Result<(), EngineError> {
        let steps: Vec<_> = plan.steps.iter().map(Step::summary).collect();
        let is_told = self.told.as_ref().is_some_and(|(told, deferred)| {
            *deferred == plan.deferred
                && told.len() == steps.len()
                && steps.iter().all(|step| told.get(&step.key) == Some(step))
        });
        if !is_told {
            let told = steps.iter().map(|step| (step.key.clone(), step.clone())).collect();
            self.told = Some((told, plan.deferred.clone()));
            let deferred = plan.deferred.clone();
            journal.tell(Event::Planned { score: score.name(), steps, deferred }).await?;
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
                errors.push(match limit {
                    0 => format!("needs {}", deferred.waits_for),
                    limit => format!("waited {limit} s for {}", deferred.waits_for),
                });
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
        ended: &[Step<Value>],
    ) -> Vec<Step<Value>> {
        let planned: BTreeSet<String> = steps.iter().map(|step| step.key.clone()).collect();
        // What had a device to itself may have been seen half done, and so may its own steps.
        let had_alone = |name: &&String| engine.budgets.places(name) == 1;
        let stale: BTreeSet<&String> =
            ended.iter().flat_map(|step| step.budgets.iter().filter(had_alone).chain([&step.key])).collect();
        let mut ready = Vec::new();
        for step in steps {
            let is_signed = only.is_none_or(|only| only.get(&step.key) == Some(&step.action));
            let is_free = !self.running.contains(&step.key) && !self.failed.contains_key(&step.key);
            let is_free = is_free && !self.given_up.contains(&step.target);
            let is_unblocked = !step.after.iter().any(|key| planned.contains(key) || self.running.contains(key));
            let is_stale = stale.contains(&step.key) || step.budgets.iter().any(|name| stale.contains(name));
            if is_stale || !(is_signed && is_free && is_unblocked) {
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

    fn end(&mut self, step: &Step<Value>, ended: Ended) {
        self.running.remove(&step.key);
        self.taken.give_back(&step.budgets);
        match ended {
            Ended::Done => {
                self.moved.remove(&step.key);
                if let Some((told, _)) = &mut self.told {
                    told.remove(&step.key);
                }
                let times = match self.done.get(&step.key) {
                    Some((action, times)) if *action == step.action => times + 1,
                    _ => 1,
                };
                self.done.insert(step.key.clone(), (step.action.clone(), times));
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
                self.failed.insert(step.key.clone(), (error, hint));
                self.given_up.insert(step.target.clone());
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
