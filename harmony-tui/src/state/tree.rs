//! Which rows the tree of the run has, in what order, and which one deserves to be looked at.
//!
//! How a row is drawn is decided in `view`.

use std::collections::BTreeMap;

use harmony_core::event::Outcome;

use super::run::{Run, ScorePhase, ScoreRun, Stage, StepPhase, StepRun};
use crate::text;

/// Names a row, so that a selection outlives new plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Score(String),
    Step(String, String),
    Stage(String, String),
}

/// A row of the tree.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Row<'a> {
    Score { score: &'a ScoreRun, folded: bool },
    Step { score: &'a ScoreRun, step: &'a StepRun },
    Stage { score: &'a ScoreRun, stage: &'a Stage },
}

impl Row<'_> {
    pub(crate) fn node(&self) -> Node {
        match self {
            Self::Score { score, .. } => Node::Score(score.name.clone()),
            Self::Step { score, step } => Node::Step(score.name.clone(), step.key.clone()),
            Self::Stage { score, stage } => Node::Stage(score.name.clone(), stage.deferred.key.clone()),
        }
    }

    fn is(&self, node: &Node) -> bool {
        match (self, node) {
            (Self::Score { score, .. }, Node::Score(name)) => score.name == *name,
            (Self::Step { score, step }, Node::Step(name, key)) => score.name == *name && step.key == *key,
            (Self::Stage { score, stage }, Node::Stage(name, key)) => score.name == *name && stage.deferred.key == *key,
            _ => false,
        }
    }

    fn holds(&self, wanted: &str) -> bool {
        match self {
            Self::Score { score, .. } => text::holds(&score.name, wanted),
            Self::Step { step, .. } => {
                [&step.key, &step.target, &step.sentence].iter().any(|of| text::holds(of, wanted))
            }
            Self::Stage { stage, .. } => text::holds(&stage.deferred.waits_for, wanted),
        }
    }
}

/// What a user did to the tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct TreeUi {
    /// The selected row; without it, the tree follows the work.
    pub(crate) at: Option<Node>,
    /// Scores that were folded or unfolded by hand.
    pub(crate) folds: BTreeMap<String, bool>,
    pub(crate) hide_done: bool,
}

impl TreeUi {
    /// A Score is folded by hand, or by itself once everything is as desired.
    pub(crate) fn is_folded(&self, score: &ScoreRun) -> bool {
        let converged = || score.phase == ScorePhase::Ended(Outcome::Converged);
        self.folds.get(&score.name).copied().unwrap_or_else(converged)
    }

    /// The rows, from top to bottom. A search shows what it finds under its Score, folded or not.
    pub(crate) fn rows<'a>(&self, run: &'a Run, wanted: &str) -> Vec<Row<'a>> {
        let mut rows = Vec::new();
        for score in &run.scores {
            let folded = self.is_folded(score) && wanted.is_empty();
            let steps = score.steps.iter().filter(|step| !(self.hide_done && step.is_done()));
            let steps = steps.map(|step| Row::Step { score, step });
            let stages = score.stages.iter().map(|stage| Row::Stage { score, stage });
            let found: Vec<_> = steps.chain(stages).filter(|row| row.holds(wanted)).collect();
            let head = Row::Score { score, folded };
            if found.is_empty() && !head.holds(wanted) {
                continue;
            }
            rows.push(head);
            if !folded {
                rows.extend(found);
            }
        }
        rows
    }

    /// Which of these rows is selected.
    pub(crate) fn selected(&self, run: &Run, rows: &[Row<'_>]) -> usize {
        let chosen = self.at.as_ref().and_then(|node| rows.iter().position(|row| row.is(node)));
        chosen.unwrap_or_else(|| follow(run, rows))
    }
}

/// The row that tells most: what is at work, else what failed, else what is waited for, else what ended last.
fn follow(run: &Run, rows: &[Row<'_>]) -> usize {
    let step = |wanted: fn(&StepRun) -> bool| {
        rows.iter().position(|row| matches!(row, Row::Step { step, .. } if wanted(step)))
    };
    let failed = step(|step| step.phase == StepPhase::Failed);
    let active = step(StepRun::is_active);
    let stage = || rows.iter().position(|row| matches!(row, Row::Stage { .. }));
    let ended = || rows.iter().rposition(|row| matches!(row, Row::Score { score, .. } if score.started.is_some()));
    let telling = if run.ended.is_some() { failed.or(active) } else { active.or(failed) };
    telling.or_else(stage).or_else(ended).unwrap_or(0)
}
