//! Drives Scores: observe → plan → do what is ready → observe again, until nothing is left to do.
//!
//! The loop is level-triggered. After every step that ends, and at an interval while something is
//! waited for, the world is observed and planned anew, and whatever is ready and has room in the
//! budgets is started. A run that was killed therefore needs no special path to go on (P4), a
//! host that a person assigns while others install starts at once, and "the plan is empty" is the
//! verification.
//!
//! Owns no I/O: devices behind the Scores' Topology, storage behind [`Store`](crate::store::Store).
//! Read next: [`saved`] for signed plans, `attempt` for how one step is carried out.

mod attempt;
mod budget;
mod converge;
mod journal;
pub mod saved;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use budget::Budgets;
pub use journal::Journal;
pub use saved::{SavedPlan, SavedPlanError, ScorePlan};

use crate::boot::{Incompatible, compat};
use crate::capability::Topology;
use crate::clock::SharedClock;
use crate::error::{DeviceError, chain};
use crate::event::{Event, EventBus, Outcome};
use crate::score::{AnyScore, Assessment, Context, ScoreError};
use crate::store::{SharedStore, StoreError};

/// Why a run or a plan could not be made at all.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A Score could not observe or plan.
    #[error("failed to plan {score}")]
    Plan {
        /// The Score.
        score: String,
        /// Cause.
        #[source]
        source: ScoreError,
    },
    /// A plan passes through a state in which a host has no network (P9).
    #[error("refused the plan of {score}")]
    Incompatible {
        /// The Score.
        score: String,
        /// Where.
        #[source]
        source: Box<Incompatible>,
    },
    /// The site's own services could not be started.
    #[error("failed to prepare the site")]
    Prepare(#[source] DeviceError),
    /// The journal could not be written.
    #[error("failed to keep the journal")]
    Journal(#[from] StoreError),
    /// The saved plan cannot be applied.
    #[error(transparent)]
    Saved(#[from] SavedPlanError),
}

/// Plans and applies.
pub struct Engine {
    /// Inventory and journal.
    pub store: SharedStore,
    /// Timestamps.
    pub clock: SharedClock,
    /// Where events go.
    pub bus: EventBus,
    /// How much may happen at once.
    pub budgets: Budgets,
    /// Cancel it to stop in a compatible state.
    pub stop: CancellationToken,
    /// Whether a person watches who can be asked to decide.
    pub attended: bool,
}

impl Engine {
    /// An engine with default budgets.
    #[must_use]
    pub fn new(store: SharedStore, clock: SharedClock) -> Self {
        Self {
            store,
            clock,
            bus: EventBus::default(),
            budgets: Budgets::default(),
            stop: CancellationToken::new(),
            attended: false,
        }
    }

    fn context<'a, T>(&'a self, topology: &'a T, journal: Option<&'a Journal>) -> Context<'a, T> {
        Context { topology, store: &self.store, clock: &self.clock, attended: self.attended, stop: &self.stop, journal }
    }

    /// Plans every Score against the world as it is. Writes to nothing (P1).
    ///
    /// # Errors
    /// If a Score cannot observe or plan, or its plan breaks the compatible-state invariant.
    pub async fn plan<T: Topology>(
        &self,
        topology: &T,
        scores: &[Box<dyn AnyScore<T>>],
    ) -> Result<Vec<ScorePlan>, EngineError> {
        let cx = self.context(topology, None);
        let mut plans = Vec::new();
        for score in scores {
            let name = score.name();
            let Assessment { facts, plan } = assess(&cx, score.as_ref()).await?;
            plans.push(ScorePlan { score: name, facts, plan });
        }
        Ok(plans)
    }

    /// Makes it so. With a saved plan, carries out the steps of that plan and no other (P2).
    ///
    /// # Errors
    /// If the run cannot begin or its journal cannot be kept. A Score that fails is an
    /// [`Outcome::Failed`], not an error.
    pub async fn apply<T: Topology>(
        &self,
        program: &str,
        topology: &T,
        scores: &[Box<dyn AnyScore<T>>],
        saved: Option<&SavedPlan>,
    ) -> Result<Outcome, EngineError> {
        if let Some(saved) = saved {
            saved.check(topology.name(), &self.plan(topology, scores).await?)?;
        }
        let started = tokio::time::Instant::now();
        let journal = Journal::begin(&self.store, &self.clock, &self.bus, program).await?;
        let names = scores.iter().map(|score| score.name()).collect();
        journal
            .tell(Event::RunStarted { site: topology.name().to_owned(), program: program.to_owned(), scores: names })
            .await?;
        let outcome = match topology.prepare().await {
            Ok(()) => {
                let over = CancellationToken::new();
                let mut hosts = std::pin::pin!(journal.watch_hosts(&over));
                let outcome = tokio::select! {
                    // In order, so that a simulated run can be repeated exactly.
                    biased;
                    outcome = self.run_scores(&journal, topology, scores, saved) => outcome?,
                    Err(error) = &mut hosts => return Err(error.into()),
                };
                // What the last step changed is told, too, and no entry is cut off half way.
                over.cancel();
                hosts.await?;
                outcome
            }
            Err(error) => Outcome::Failed {
                hint: error.hint_text().map(str::to_owned),
                error: chain(&EngineError::Prepare(error)),
            },
        };
        let took_ms = millis(started.elapsed());
        journal
            .tell(Event::RunFinished { outcome: outcome.clone(), took_ms, writes: topology.device_writes() })
            .await?;
        journal.end(&outcome).await?;
        Ok(outcome)
    }

    async fn run_scores<T: Topology>(
        &self,
        journal: &Journal,
        topology: &T,
        scores: &[Box<dyn AnyScore<T>>],
        saved: Option<&SavedPlan>,
    ) -> Result<Outcome, EngineError> {
        let cx = self.context(topology, Some(journal));
        let mut waits_for = Vec::new();
        for score in scores {
            let name = score.name();
            journal.tell(Event::ScoreStarted { score: name.clone() }).await?;
            let only = saved.map(|plan| plan.steps_of(&name));
            let outcome = match converge::converge(self, &cx, journal, score.as_ref(), only).await {
                Ok(outcome) => outcome,
                Err(EngineError::Journal(error)) => return Err(EngineError::Journal(error)),
                Err(error) => Outcome::Failed { hint: hint_of(&error), error: chain(&error) },
            };
            journal.tell(Event::ScoreFinished { score: name, outcome: outcome.clone() }).await?;
            match outcome {
                Outcome::Converged => {}
                Outcome::PlanDone { waits_for: more } => waits_for.extend(more),
                Outcome::Stopped | Outcome::Failed { .. } => return Ok(outcome),
            }
        }
        Ok(if saved.is_some() && !waits_for.is_empty() { Outcome::PlanDone { waits_for } } else { Outcome::Converged })
    }
}

/// Observes, plans, and checks the plan against the compatible-state invariant.
async fn assess<T: Topology>(cx: &Context<'_, T>, score: &dyn AnyScore<T>) -> Result<Assessment, EngineError> {
    let failed = |source| EngineError::Plan { score: score.name(), source };
    let assessment = score.assess(cx).await.map_err(failed)?;
    let moves: Vec<_> = assessment
        .plan
        .steps
        .iter()
        .map(|step| compat::Move { step: &step.key, after: &step.after, effects: &step.effects })
        .collect();
    compat::check(&moves, &assessment.plan.situations)
        .map_err(|source| EngineError::Incompatible { score: score.name(), source: Box::new(source) })?;
    Ok(assessment)
}

fn hint_of(error: &EngineError) -> Option<String> {
    match error {
        EngineError::Plan { source, .. } => source.hint().map(str::to_owned),
        EngineError::Prepare(source) => source.hint_text().map(str::to_owned),
        EngineError::Incompatible { .. } | EngineError::Journal(_) | EngineError::Saved(_) => None,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
