//! A plan: the steps that lead from what is to what is wanted, in a form that can be read, signed,
//! saved and compared.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::boot::{Effect, Situation};
use crate::host::HostId;

/// Steps and what must be waited for before more can be planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan<A> {
    /// In an order that respects their dependencies.
    pub steps: Vec<Step<A>>,
    /// What cannot be planned yet.
    pub deferred: Vec<Deferred>,
    /// Stage and port modes of every host that the steps touch, as observed (for the invariant).
    pub situations: BTreeMap<HostId, Situation>,
}

impl<A> Default for Plan<A> {
    fn default() -> Self {
        Self { steps: Vec::new(), deferred: Vec::new(), situations: BTreeMap::new() }
    }
}

impl<A> Plan<A> {
    /// Whether everything is as desired.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.deferred.is_empty()
    }
}

/// One change of the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step<A> {
    /// Names it within its Score, the same in every plan that needs it: `hc-7KQ2M9X/flip`.
    pub key: String,
    /// What is changed: `host brisk-otter (hc-7KQ2M9X)`, `switch tor-1`.
    pub target: String,
    /// What is done, as a sentence for people.
    pub sentence: String,
    /// The exact changes.
    pub changes: Vec<Change>,
    /// What must still be true when it starts: facts of the observation, by their names.
    pub expects: BTreeMap<String, String>,
    /// Keys of steps of the same plan that must be done first.
    pub after: Vec<String>,
    /// How long and how often it may be tried.
    pub bound: Bound,
    /// Budgets that it takes one place of while it runs: `switch/tor-1`.
    pub budgets: Vec<String>,
    /// What it does to host and ports, in order (for the invariant).
    pub effects: Vec<Effect>,
    /// Doing it twice is not the same as doing it once; the journal guards it.
    pub one_shot: bool,
    /// What the Score carries out.
    pub action: A,
}

/// How long and how often a step may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Attempts, at least 1. Only retryable failures are tried again.
    pub attempts: u32,
    /// For one attempt, in seconds.
    pub deadline_s: u64,
}

impl Bound {
    /// `attempts` tries of `deadline_s` seconds each.
    #[must_use]
    pub const fn new(attempts: u32, deadline_s: u64) -> Self {
        Self { attempts, deadline_s }
    }

    /// For one attempt.
    #[must_use]
    pub fn deadline(self) -> Duration {
        Duration::from_secs(self.deadline_s)
    }
}

/// One exact change, as a plan shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum Change {
    /// A command that is sent to a device.
    Command {
        /// The device.
        device: String,
        /// The command.
        text: String,
    },
    /// A file or served document.
    File {
        /// Its path or URL path.
        path: String,
        /// Its text now.
        before: Option<String>,
        /// Its text afterwards.
        after: Option<String>,
    },
    /// A record of the inventory.
    Record {
        /// Which.
        name: String,
        /// What of it changes.
        text: String,
    },
    /// A disk that is erased.
    Erase {
        /// The host.
        host: String,
        /// The disk's serial.
        serial: String,
        /// Model, size and what is on it now.
        contents: String,
    },
    /// Nothing is changed: the step waits for something to happen.
    Wait {
        /// For what.
        text: String,
    },
}

/// A stage that cannot be planned yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deferred {
    /// Names it within its Score.
    pub key: String,
    /// What it waits for: "2 more hosts to report (1 of 3 known)".
    pub waits_for: String,
    /// What a person can do about it, or look at.
    pub hint: Option<String>,
    /// How long to wait for it in all, in seconds; without, for ever. With 0 a run does what else it can, and ends.
    pub limit_s: Option<u64>,
}

/// What events tell of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSummary {
    /// Its key.
    pub key: String,
    /// What is changed.
    pub target: String,
    /// What is done.
    pub sentence: String,
}

impl<A> Step<A> {
    /// What events tell of it.
    #[must_use]
    pub fn summary(&self) -> StepSummary {
        StepSummary { key: self.key.clone(), target: self.target.clone(), sentence: self.sentence.clone() }
    }

    /// The same step with another action type.
    ///
    /// # Errors
    /// If the action cannot be converted.
    pub fn try_map<B, E>(self, convert: impl FnOnce(A) -> Result<B, E>) -> Result<Step<B>, E> {
        Ok(Step {
            action: convert(self.action)?,
            key: self.key,
            target: self.target,
            sentence: self.sentence,
            changes: self.changes,
            expects: self.expects,
            after: self.after,
            bound: self.bound,
            budgets: self.budgets,
            effects: self.effects,
            one_shot: self.one_shot,
        })
    }
}
