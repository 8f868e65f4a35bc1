//! Scores without their types, for the engine.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use super::{Context, Plan, Recovery, Score, ScoreError, StepContext};
use crate::capability::Topology;
use crate::host::Role;

/// What a Score saw and what it plans.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// The facts that the plan rests on.
    pub facts: BTreeMap<String, String>,
    /// The plan.
    pub plan: Plan<Value>,
}

/// A [`Score`] whose action is JSON. Implemented for every Score; not meant to be implemented by hand.
#[async_trait]
pub trait AnyScore<T: Topology>: Send + Sync {
    /// As [`Score::name`].
    fn name(&self) -> String;
    /// [`Score::observe`], then [`Score::plan`] and [`Score::facts`].
    async fn assess(&self, cx: &Context<'_, T>) -> Result<Assessment, ScoreError>;
    /// As [`Score::apply`].
    async fn apply(&self, cx: &StepContext<'_, T>, action: &Value) -> Result<(), ScoreError>;
    /// As [`Score::recover`].
    async fn recover(&self, cx: &StepContext<'_, T>, action: &Value, since: Timestamp) -> Result<Recovery, ScoreError>;
    /// As [`Score::current_facts`].
    async fn current_facts(
        &self,
        cx: &Context<'_, T>,
        names: &[String],
    ) -> Result<BTreeMap<String, String>, ScoreError>;
    /// As [`Score::roles`].
    fn roles(&self) -> Vec<Role>;
    /// As [`Score::poll_interval`].
    fn poll_interval(&self) -> Duration;
}

fn read<A: serde::de::DeserializeOwned>(score: &str, action: &Value) -> Result<A, ScoreError> {
    serde_json::from_value(action.clone()).map_err(|source| ScoreError::Document {
        what: format!("read a step's action of {score}"),
        source: source.into(),
    })
}

#[async_trait]
impl<T: Topology, S: Score<T>> AnyScore<T> for S {
    fn name(&self) -> String {
        Score::name(self)
    }

    async fn assess(&self, cx: &Context<'_, T>) -> Result<Assessment, ScoreError> {
        let observed = self.observe(cx).await?;
        let plan = self.plan(&observed)?;
        let write = |action| {
            serde_json::to_value(&action).map_err(|source| ScoreError::Document {
                what: format!("write a step's action of {}", Score::name(self)),
                source: source.into(),
            })
        };
        let steps = plan.steps.into_iter().map(|mut step| {
            step.changes.extend(self.describe(cx.topology, &step.action));
            step.try_map(write)
        });
        let steps = steps.collect::<Result<_, _>>()?;
        let plan = Plan { steps, deferred: plan.deferred, situations: plan.situations };
        Ok(Assessment { facts: self.facts(&observed), plan })
    }

    async fn apply(&self, cx: &StepContext<'_, T>, action: &Value) -> Result<(), ScoreError> {
        Score::apply(self, cx, &read(&Score::name(self), action)?).await
    }

    async fn recover(&self, cx: &StepContext<'_, T>, action: &Value, since: Timestamp) -> Result<Recovery, ScoreError> {
        Score::recover(self, cx, &read(&Score::name(self), action)?, since).await
    }

    async fn current_facts(
        &self,
        cx: &Context<'_, T>,
        names: &[String],
    ) -> Result<BTreeMap<String, String>, ScoreError> {
        Score::current_facts(self, cx, names).await
    }

    fn roles(&self) -> Vec<Role> {
        Score::roles(self)
    }

    fn poll_interval(&self) -> Duration {
        Score::poll_interval(self)
    }
}
