//! The run as its records tell it: Scores, their steps, what each waits for.
//!
//! A pure fold: the same records give the same [`Run`]. Steps that were never announced (a reader that
//! came late) appear under their key. What is on the screen of it is decided in [`super::tree`].

use std::collections::BTreeSet;

use harmony_core::event::{Event, Outcome, Record};
use harmony_core::host::HostId;
use harmony_core::score::plan::{Deferred, StepSummary};
use jiff::Timestamp;

use crate::units::seconds_between;

/// Lines of evidence that are kept of one step.
const MAX_EVIDENCE: usize = 64;

/// A run, or none yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    pub(crate) site: String,
    pub(crate) program: String,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Ended>,
    pub(crate) scores: Vec<ScoreRun>,
}

/// The end of a run.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) took_ms: u64,
    pub(crate) at: Timestamp,
}

/// A Score's turn.
#[derive(Debug, Clone)]
pub(crate) struct ScoreRun {
    pub(crate) name: String,
    pub(crate) phase: ScorePhase,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) steps: Vec<StepRun>,
    pub(crate) stages: Vec<Stage>,
}

/// A stage that cannot be planned yet.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) deferred: Deferred,
    /// When it was first told of.
    pub(crate) since: Timestamp,
}

/// How far a Score is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ScorePhase {
    Queued,
    Observing,
    Working,
    Ended(Outcome),
}

/// A step of a Score.
#[derive(Debug, Clone)]
pub(crate) struct StepRun {
    pub(crate) key: String,
    pub(crate) target: String,
    pub(crate) sentence: String,
    pub(crate) phase: StepPhase,
    /// 0 before the first.
    pub(crate) attempt: u32,
    /// Start of the first attempt.
    pub(crate) started: Option<Timestamp>,
    /// What it took in the end, in seconds.
    pub(crate) took_s: Option<u64>,
    /// What was last seen, oldest first.
    pub(crate) evidence: Vec<String>,
    /// The last failed attempt, until the step is done.
    pub(crate) failure: Option<Failure>,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StepPhase {
    Pending,
    Running,
    Waiting { waits_for: String, until: Timestamp },
    Retrying,
    Failed,
    Stopped,
    Done,
    Recovered,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) attempt: u32,
    pub(crate) error: String,
    pub(crate) hint: Option<String>,
}

/// Numbers for the header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StepCounts {
    pub(crate) all: usize,
    pub(crate) done: usize,
    pub(crate) active: usize,
    pub(crate) failed: usize,
}

impl Run {
    /// Whether there is work under way that a user could stop.
    pub(crate) fn is_under_way(&self) -> bool {
        self.started.is_some() && self.ended.is_none()
    }

    /// How long it has run, or ran, in seconds.
    pub(crate) fn elapsed(&self, now: Timestamp) -> Option<u64> {
        match (&self.ended, self.started) {
            (Some(ended), _) => Some(ended.took_ms / 1000),
            (None, started) => started.map(|started| seconds_between(started, now)),
        }
    }

    /// The time as far as the run is concerned: it stands still after the end.
    pub(crate) fn clock(&self, now: Timestamp) -> Timestamp {
        self.ended.as_ref().map_or(now, |ended| ended.at)
    }

    pub(crate) fn counts(&self) -> StepCounts {
        let mut counts = StepCounts::default();
        for step in self.scores.iter().flat_map(|score| &score.steps) {
            counts.all += 1;
            counts.done += usize::from(step.is_done());
            counts.active += usize::from(step.is_active());
            counts.failed += usize::from(step.phase == StepPhase::Failed);
        }
        counts
    }

    /// Steps that touch a host: their key starts with its id, or their target names it.
    pub(crate) fn steps_of<'a>(&'a self, host: &'a HostId) -> impl DoubleEndedIterator<Item = &'a StepRun> {
        let steps = self.scores.iter().flat_map(|score| &score.steps);
        steps.filter(move |step| {
            step.key.split('/').next() == Some(host.as_str()) || step.target.contains(host.as_str())
        })
    }

    /// Takes the next record.
    pub(crate) fn on_record(&mut self, record: &Record) {
        let at = record.at;
        match &record.event {
            Event::RunStarted { site, program, scores } => {
                *self = Self { site: site.clone(), program: program.clone(), started: Some(at), ..Self::default() };
                self.scores = scores.iter().map(|name| ScoreRun::new(name)).collect();
            }
            Event::ScoreStarted { score } => {
                let score = self.score(score);
                score.phase = ScorePhase::Observing;
                score.started = score.started.or(Some(at));
                score.ended = None;
            }
            Event::Planned { score, steps, deferred } => self.score(score).plan(steps, deferred, at),
            Event::ObservationFailed { score, attempt, error, hint } => {
                self.score(score).cannot_look(*attempt, error, hint.as_ref(), at);
            }
            Event::StepStarted { score, step, attempt } => {
                let step = self.step(score, step);
                if step.is_done() || step.phase == StepPhase::Pending {
                    (step.started, step.took_s, step.failure) = (Some(at), None, None);
                    step.evidence.clear();
                }
                (step.phase, step.attempt) = (StepPhase::Running, *attempt);
            }
            Event::StepWaiting { score, step, waits_for, evidence, seconds_left } => {
                let until = i64::try_from(*seconds_left).ok();
                let until = until.and_then(|s| at.checked_add(jiff::SignedDuration::from_secs(s)).ok());
                let step = self.step(score, step);
                step.started = step.started.or(Some(at));
                step.phase =
                    StepPhase::Waiting { waits_for: waits_for.clone(), until: until.unwrap_or(Timestamp::MAX) };
                step.keep(evidence);
            }
            Event::StepFinished { score, step, took_ms } => {
                let step = self.step(score, step);
                if step.phase != StepPhase::Recovered {
                    step.phase = StepPhase::Done;
                }
                (step.took_s, step.failure) = (Some(took_ms / 1000), None);
            }
            Event::StepRecovered { score, step, evidence } => {
                let step = self.step(score, step);
                (step.phase, step.failure) = (StepPhase::Recovered, None);
                step.keep(std::slice::from_ref(evidence));
            }
            Event::StepFailed { score, step, attempt, error, evidence, hint, retries } => {
                let step = self.step(score, step);
                step.phase = if *retries { StepPhase::Retrying } else { StepPhase::Failed };
                step.attempt = *attempt;
                step.failure = Some(Failure { attempt: *attempt, error: error.clone(), hint: hint.clone() });
                step.took_s = step.started.filter(|_| !retries).map(|started| seconds_between(started, at));
                step.keep(evidence);
            }
            Event::StepStopped { score, step } => {
                let step = self.step(score, step);
                step.phase = StepPhase::Stopped;
                step.took_s = step.started.map(|started| seconds_between(started, at));
            }
            Event::ScoreFinished { score, outcome } => {
                let score = self.score(score);
                (score.phase, score.ended) = (ScorePhase::Ended(outcome.clone()), Some(at));
                if *outcome == Outcome::Converged {
                    score.stages.clear();
                }
            }
            Event::RunFinished { outcome, took_ms, .. } => {
                self.ended = Some(Ended { outcome: outcome.clone(), took_ms: *took_ms, at });
            }
            Event::HostChanged { .. } | Event::HostForgotten { .. } | Event::PortsRead { .. } => {}
        }
    }

    fn score(&mut self, name: &str) -> &mut ScoreRun {
        let at = self.scores.iter().position(|score| score.name == name).unwrap_or_else(|| {
            self.scores.push(ScoreRun::new(name));
            self.scores.len() - 1
        });
        &mut self.scores[at]
    }

    fn step(&mut self, score: &str, key: &str) -> &mut StepRun {
        let steps = &mut self.score(score).steps;
        let at = steps.iter().position(|step| step.key == key).unwrap_or_else(|| {
            steps.push(StepRun::new(key, "", key));
            steps.len() - 1
        });
        &mut steps[at]
    }
}

impl ScoreRun {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            phase: ScorePhase::Queued,
            started: None,
            ended: None,
            steps: Vec::new(),
            stages: Vec::new(),
        }
    }

    /// What was begun stays to be seen, what was only intended gives way to the new plan. Plans are made
    /// while steps run, and name these again; one that is named after it was done is to be done again.
    fn plan(&mut self, steps: &[StepSummary], deferred: &[Deferred], at: Timestamp) {
        self.phase = ScorePhase::Working;
        let before = std::mem::take(&mut self.stages);
        let since = |key: &str| before.iter().find(|stage| stage.deferred.key == key).map_or(at, |stage| stage.since);
        self.stages = deferred.iter().map(|of| Stage { deferred: of.clone(), since: since(&of.key) }).collect();
        let planned: BTreeSet<&str> = steps.iter().map(|step| &*step.key).collect();
        let is_over =
            |step: &StepRun| step.phase == StepPhase::Pending || step.is_done() && planned.contains(&*step.key);
        self.steps.retain(|step| !is_over(step));
        let kept: BTreeSet<String> = self.steps.iter().map(|step| step.key.clone()).collect();
        let new = steps.iter().filter(|step| !kept.contains(&step.key));
        self.steps.extend(new.map(|step| StepRun::new(&step.key, &step.target, &step.sentence)));
    }

    /// Shown as one more thing that is waited for; the plan after the next look takes its place.
    fn cannot_look(&mut self, attempt: u32, error: &str, hint: Option<&String>, at: Timestamp) {
        const KEY: &str = "observation";
        let before = self.stages.iter().position(|stage| stage.deferred.key == KEY);
        let since = before.map_or(at, |of| self.stages.remove(of).since);
        let waits_for = format!("the site to be readable (attempt {attempt} failed: {error})");
        let deferred = Deferred { key: KEY.to_owned(), waits_for, hint: hint.cloned(), limit_s: None };
        self.stages.push(Stage { deferred, since });
    }

    /// How long its turn has lasted, or lasted, in seconds.
    pub(crate) fn elapsed(&self, now: Timestamp) -> Option<u64> {
        self.started.map(|started| seconds_between(started, self.ended.unwrap_or(now)))
    }
}

impl StepRun {
    fn new(key: &str, target: &str, sentence: &str) -> Self {
        Self {
            key: key.to_owned(),
            target: target.to_owned(),
            sentence: sentence.to_owned(),
            phase: StepPhase::Pending,
            attempt: 0,
            started: None,
            took_s: None,
            evidence: Vec::new(),
            failure: None,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.phase, StepPhase::Done | StepPhase::Recovered)
    }

    pub(crate) fn is_active(&self) -> bool {
        matches!(self.phase, StepPhase::Running | StepPhase::Waiting { .. } | StepPhase::Retrying)
    }

    /// How long it has taken, or took, in seconds.
    pub(crate) fn elapsed(&self, now: Timestamp) -> Option<u64> {
        self.took_s.or_else(|| self.started.filter(|_| self.is_active()).map(|at| seconds_between(at, now)))
    }

    fn keep(&mut self, evidence: &[String]) {
        let from = evidence.len().saturating_sub(MAX_EVIDENCE);
        self.evidence = evidence[from..].to_vec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(events: Vec<Event>) -> Run {
        let mut run = Run::default();
        for (at, event) in (0..).zip(events) {
            let at_s = Timestamp::from_second(at).expect("valid");
            run.on_record(&Record { seq: at.unsigned_abs() + 1, at: at_s, event });
        }
        run
    }

    fn planned(keys: &[&str]) -> Event {
        let steps = keys.iter().map(|key| StepSummary {
            key: (*key).into(),
            target: String::new(),
            sentence: format!("do {key}"),
        });
        Event::Planned { score: "S".into(), steps: steps.collect(), deferred: Vec::new() }
    }

    fn started(step: &str, attempt: u32) -> Event {
        Event::StepStarted { score: "S".into(), step: step.into(), attempt }
    }

    fn finished(step: &str) -> Event {
        Event::StepFinished { score: "S".into(), step: step.into(), took_ms: 1_500 }
    }

    fn failed(step: &str, retries: bool) -> Event {
        let (score, step) = ("S".into(), step.into());
        Event::StepFailed { score, step, attempt: 1, error: "no".into(), evidence: vec![], hint: None, retries }
    }

    fn phases(run: &Run) -> Vec<(&str, &StepPhase)> {
        run.scores[0].steps.iter().map(|step| (&*step.key, &step.phase)).collect()
    }

    #[test]
    fn a_new_plan_keeps_what_was_done_and_drops_what_was_only_intended() {
        let run = fold(vec![planned(&["a", "b", "c"]), started("a", 1), finished("a"), planned(&["c", "d"])]);
        let pending = &StepPhase::Pending;
        assert_eq!(phases(&run), [("a", &StepPhase::Done), ("c", pending), ("d", pending)]);
        let again = fold(vec![planned(&["a"]), started("a", 1), finished("a"), planned(&["a"])]);
        assert_eq!(phases(&again), [("a", pending)]);
        assert_eq!(again.scores[0].steps[0].took_s, None);
    }

    #[test]
    fn a_plan_made_while_steps_run_does_not_take_them_back() {
        let run = fold(vec![
            planned(&["a", "b", "c"]),
            started("a", 1),
            started("b", 1),
            failed("b", false),
            planned(&["b", "d", "a"]),
        ]);
        let expected = [("a", &StepPhase::Running), ("b", &StepPhase::Failed), ("d", &StepPhase::Pending)];
        assert_eq!(phases(&run), expected);
        assert_eq!(run.scores[0].steps[0].started.map(Timestamp::as_second), Some(1));
    }

    #[test]
    fn a_retry_remembers_why_until_it_is_done() {
        let run = fold(vec![planned(&["a"]), started("a", 1), failed("a", true), started("a", 2)]);
        let step = &run.scores[0].steps[0];
        assert_eq!((&step.phase, step.attempt), (&StepPhase::Running, 2));
        assert_eq!(step.failure.as_ref().map(|failure| &*failure.error), Some("no"));
        assert_eq!(step.started.map(Timestamp::as_second), Some(1), "the clock runs from the first attempt");
        let run = fold(vec![planned(&["a"]), started("a", 1), failed("a", true), started("a", 2), finished("a")]);
        assert_eq!(run.scores[0].steps[0].failure, None);
    }

    #[test]
    fn a_reader_that_came_late_sees_what_there_is() {
        let run = fold(vec![finished("x"), failed("y", false)]);
        assert_eq!(phases(&run), [("x", &StepPhase::Done), ("y", &StepPhase::Failed)]);
        assert_eq!(run.counts(), StepCounts { all: 2, done: 1, active: 0, failed: 1 });
    }

    #[test]
    fn a_look_that_fails_is_shown_until_the_next_plan() {
        let blind = |attempt| Event::ObservationFailed {
            score: "S".into(),
            attempt,
            error: "tor-1 does not answer".into(),
            hint: None,
        };
        let run = fold(vec![planned(&["a"]), blind(1), blind(2)]);
        let [stage] = &run.scores[0].stages[..] else { panic!("{:?}", run.scores[0].stages) };
        assert!(stage.deferred.waits_for.contains("attempt 2 failed: tor-1 does not answer"), "{stage:?}");
        assert_eq!(stage.since.as_second(), 1, "since the first");
        assert_eq!(phases(&run), [("a", &StepPhase::Pending)]);
        assert!(fold(vec![blind(1), planned(&["a"])]).scores[0].stages.is_empty());
    }

    #[test]
    fn an_endless_wait_does_not_overflow() {
        let wait = Event::StepWaiting {
            score: "S".into(),
            step: "a".into(),
            waits_for: "x".into(),
            evidence: vec![String::new(); 1000],
            seconds_left: u64::MAX,
        };
        let run = fold(vec![wait]);
        assert_eq!(run.scores[0].steps[0].evidence.len(), MAX_EVIDENCE);
    }
}
