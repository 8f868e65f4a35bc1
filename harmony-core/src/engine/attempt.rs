//! One step: precondition, journalled intent, the act within its bound, retry, result.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{EngineError, Journal, millis};
use crate::capability::Topology;
use crate::error::{DeviceError, FailureKind, chain};
use crate::event::Event;
use crate::score::{AnyScore, Context, Recovery, ScoreError, Step, StepContext};
use crate::store::OneShot;

/// How a step ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Done, or found to be done.
    Done,
    /// The world has moved since it was planned; it must be planned anew.
    Moved(String),
    /// Stopped by request.
    Stopped,
    /// Failed for good.
    Failed { error: String, hint: Option<String> },
}

/// First pause before another attempt; doubles each time.
const BACKOFF: Duration = Duration::from_secs(1);

/// Carries out one step.
///
/// # Errors
/// Only if the journal cannot be kept; then the step's outcome is not known and the run must end.
pub(super) async fn carry_out<T: Topology>(
    cx: &Context<'_, T>,
    journal: &Journal,
    score: &dyn AnyScore<T>,
    step: &Step<Value>,
) -> Result<Ended, EngineError> {
    let name = score.name();
    let started = Instant::now();
    let mut attempt = 0;
    loop {
        attempt += 1;
        let scx = StepContext {
            cx,
            journal,
            score: &name,
            step: &step.key,
            deadline: Instant::now() + step.bound.deadline(),
            waiting: std::sync::Mutex::new(None),
        };
        journal.tell(Event::StepStarted { score: name.clone(), step: step.key.clone(), attempt }).await?;
        let error = match once(&scx, score, step).await {
            Ok(None) => {
                let took_ms = millis(started.elapsed());
                journal.tell(Event::StepFinished { score: name, step: step.key.clone(), took_ms }).await?;
                return Ok(Ended::Done);
            }
            Ok(Some(moved)) => {
                journal.tell(failed(&name, step, attempt, moved.clone(), &[], None, true)).await?;
                return Ok(Ended::Moved(moved));
            }
            Err(ScoreError::Stopped) => {
                journal.tell(Event::StepStopped { score: name, step: step.key.clone() }).await?;
                return Ok(Ended::Stopped);
            }
            Err(error) => error,
        };
        let retries = error.kind().is_retryable() && attempt < step.bound.attempts && !scx.is_stopped();
        let (text, hint) = (chain(&error), error.hint().map(str::to_owned));
        journal.tell(failed(&name, step, attempt, text.clone(), error.evidence(), hint.clone(), retries)).await?;
        if !retries {
            return Ok(Ended::Failed { error: text, hint });
        }
        let pause = BACKOFF * 2u32.saturating_pow(attempt - 1).min(30);
        if scx.pause(pause).await.is_err() {
            journal.tell(Event::StepStopped { score: name, step: step.key.clone() }).await?;
            return Ok(Ended::Stopped);
        }
    }
}

fn failed(
    score: &str,
    step: &Step<Value>,
    attempt: u32,
    error: String,
    evidence: &[String],
    hint: Option<String>,
    retries: bool,
) -> Event {
    let (score, step) = (score.to_owned(), step.key.clone());
    Event::StepFailed { score, step, attempt, error, evidence: evidence.to_vec(), hint, retries }
}

/// One attempt. `Some` tells what has moved since the plan.
async fn once<T: Topology>(
    scx: &StepContext<'_, T>,
    score: &dyn AnyScore<T>,
    step: &Step<Value>,
) -> Result<Option<String>, ScoreError> {
    if let Some(moved) = what_moved(scx, score, step).await? {
        return Ok(Some(moved));
    }
    if step.one_shot {
        let store = scx.cx.store;
        if let OneShot::Begun(since) = store.one_shot(&step.key).await?
            && let Recovery::Happened(evidence) = bounded(scx, step, score.recover(scx, &step.action, since)).await?
        {
            let (score, key) = (scx.score.to_owned(), step.key.clone());
            scx.journal.tell(Event::StepRecovered { score, step: key, evidence }).await?;
            store.mark_one_shot(&step.key, true, scx.cx.clock.now()).await?;
            return Ok(None);
        }
        store.mark_one_shot(&step.key, false, scx.cx.clock.now()).await?;
    }
    bounded(scx, step, score.apply(scx, &step.action)).await?;
    if step.one_shot {
        scx.cx.store.mark_one_shot(&step.key, true, scx.cx.clock.now()).await?;
    }
    Ok(None)
}

/// Reads the facts that the step expects again, and names those that differ.
async fn what_moved<T: Topology>(
    scx: &StepContext<'_, T>,
    score: &dyn AnyScore<T>,
    step: &Step<Value>,
) -> Result<Option<String>, ScoreError> {
    if step.expects.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = step.expects.keys().cloned().collect();
    let now = score.current_facts(scx.cx, &names).await?;
    let moved: Vec<String> = step
        .expects
        .iter()
        .filter(|(name, value)| now.get(*name) != Some(value))
        .map(|(name, was)| format!("{name} was {was}, is {}", now.get(name).map_or("gone", String::as_str)))
        .collect();
    Ok(if moved.is_empty() { None } else { Some(moved.join("; ")) })
}

/// Bounds an act by the step's deadline. When time is up, what the step waited for is the error.
async fn bounded<T, R>(
    scx: &StepContext<'_, T>,
    step: &Step<Value>,
    act: impl Future<Output = Result<R, ScoreError>>,
) -> Result<R, ScoreError> {
    match tokio::time::timeout_at(scx.deadline, act).await {
        Ok(result) => result,
        Err(_) => {
            let waiting = scx.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
            let waited = waiting.as_ref().map_or_else(String::new, |w| format!(" waiting for {}", w.waits_for));
            let what = format!("{}: no end after {} s{waited}", step.sentence, step.bound.deadline_s);
            let evidence = waiting.map(|w| w.evidence).unwrap_or_default();
            let error =
                evidence.into_iter().fold(DeviceError::new(FailureKind::Unreachable, what), DeviceError::evidence);
            Err(error.into())
        }
    }
}
