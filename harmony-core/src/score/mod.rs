//! Scores: what a user wants, typed, planned without touching anything, carried out step by step.
//!
//! A [`Score`] names the capabilities that it needs by its bound on the Topology, so that it
//! compiles only against a site that has them (P5). The engine works on [`AnyScore`], which every
//! Score is.
//!
//! The rule that makes a Score resumable (P4): whatever a step does must be visible to the next
//! `observe`, on a device or in the store. Then a run that was killed and one that goes on are the
//! same thing: observe, plan, do what is ready.

mod any;
mod context;
mod error;
pub mod plan;
mod render;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use any::{AnyScore, Assessment};
pub use context::{Context, StepContext};
pub use error::ScoreError;
pub use plan::{Bound, Change, Deferred, Plan, Step, StepSummary};
pub use render::render;

use crate::capability::Topology;
use crate::host::Role;

/// Whether a one-shot act, begun by a run that was killed, has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery {
    /// It has; the text says how that is known.
    Happened(String),
    /// It has not, or doing it again is harmless.
    Repeat,
}

/// What a user wants of a site.
#[async_trait]
pub trait Score<T: Topology>: Send + Sync {
    /// What was read of the world.
    type Observed: Send + Sync;
    /// What a step carries out. It holds no secret: plans are printed and saved.
    type Action: Serialize + DeserializeOwned + Clone + Debug + Send + Sync;

    /// Names it in plans, events and on the command line (`--only`).
    fn name(&self) -> String;

    /// Reads what the plan needs to know. Changes nothing.
    async fn observe(&self, cx: &Context<'_, T>) -> Result<Self::Observed, ScoreError>;

    /// Compares with what is wanted. Pure and deterministic.
    ///
    /// # Errors
    /// If what is wanted contradicts itself or the world, so that a person must decide.
    fn plan(&self, observed: &Self::Observed) -> Result<Plan<Self::Action>, ScoreError>;

    /// The exact commands and files of a step, as the site's drivers would send and write them, to
    /// be shown in the plan after the changes that `plan` itself names. Asks drivers, not devices.
    fn describe(&self, _topology: &T, _action: &Self::Action) -> Vec<Change> {
        Vec::new()
    }

    /// The facts of an observation that the plan rests on, by name. A saved plan is refused when
    /// one of them has changed.
    fn facts(&self, observed: &Self::Observed) -> BTreeMap<String, String>;

    /// Carries out one step.
    async fn apply(&self, cx: &StepContext<'_, T>, action: &Self::Action) -> Result<(), ScoreError>;

    /// Finds out whether a one-shot step that was begun at `since` has happened.
    async fn recover(
        &self,
        _cx: &StepContext<'_, T>,
        _action: &Self::Action,
        _since: Timestamp,
    ) -> Result<Recovery, ScoreError> {
        Ok(Recovery::Repeat)
    }

    /// Reads facts again, right before a write that expects them.
    async fn current_facts(
        &self,
        cx: &Context<'_, T>,
        names: &[String],
    ) -> Result<BTreeMap<String, String>, ScoreError> {
        let mut facts = self.facts(&self.observe(cx).await?);
        facts.retain(|name, _| names.contains(name));
        Ok(facts)
    }

    /// The roles that it wants hosts to have, for whoever assigns them.
    fn roles(&self) -> Vec<Role> {
        Vec::new()
    }

    /// How often the world is looked at while something is waited for.
    fn poll_interval(&self) -> Duration {
        Duration::from_secs(2)
    }
}
