//! Everything that can be told of a run: one closed enum that feeds TUI, lines, JSON and journal (P6).
//!
//! A journal is a list of [`Record`]s; replayed through the TUI it shows the run again. Events
//! carry copies of what they tell of, so that no reader needs the database.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::capability::PortStatus;
use crate::host::{Host, HostId};
use crate::score::plan::{Deferred, StepSummary};

/// An event with its place in the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counts from 1 within the run, without gaps.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// How a Score or a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// Everything is as desired.
    Converged,
    /// Stopped by request; everything is in a compatible state and can be continued.
    Stopped,
    /// The plan that was to be carried out is done; more waits for what it could not know.
    PlanDone {
        /// What the rest waits for.
        waits_for: Vec<String>,
    },
    /// It failed.
    Failed {
        /// The error and its causes.
        error: String,
        /// The next step for a person.
        hint: Option<String>,
    },
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// A run began.
    RunStarted {
        /// The site.
        site: String,
        /// The user's program.
        program: String,
        /// Its Scores, in order.
        scores: Vec<String>,
    },
    /// A Score's turn came.
    ScoreStarted {
        /// Its name.
        score: String,
    },
    /// A Score looked at the world and planned. Told when the plan differs from the last one that was
    /// told, less the steps that were done since.
    Planned {
        /// Its name.
        score: String,
        /// What is to be done now.
        steps: Vec<StepSummary>,
        /// What is waited for.
        deferred: Vec<Deferred>,
    },
    /// A Score could not look at the world just now: a device did not answer. It tries again a few
    /// times before it fails.
    ObservationFailed {
        /// Its name.
        score: String,
        /// Counts the looks that failed in a row, from 1.
        attempt: u32,
        /// The error and its causes.
        error: String,
        /// The next step for a person.
        hint: Option<String>,
    },
    /// A step is about to be carried out. Journalled before anything is done.
    StepStarted {
        /// Its Score.
        score: String,
        /// Its key.
        step: String,
        /// Counts from 1.
        attempt: u32,
    },
    /// A step waits for something.
    StepWaiting {
        /// Its Score.
        score: String,
        /// Its key.
        step: String,
        /// What it waits for.
        waits_for: String,
        /// What was last seen of it, oldest first.
        evidence: Vec<String>,
        /// Seconds until its time is up.
        seconds_left: u64,
    },
    /// A step is done.
    StepFinished {
        /// Its Score.
        score: String,
        /// Its key.
        step: String,
        /// How long it took, in milliseconds.
        took_ms: u64,
    },
    /// A one-shot step was begun by an earlier run, and turned out to have happened.
    StepRecovered {
        /// Its Score.
        score: String,
        /// Its key.
        step: String,
        /// How that is known.
        evidence: String,
    },
    /// An attempt failed.
    StepFailed {
        /// Its Score.
        score: String,
        /// Its key.
        step: String,
        /// Counts from 1.
        attempt: u32,
        /// The error and its causes.
        error: String,
        /// What was last seen of the thing that failed.
        evidence: Vec<String>,
        /// The next step for a person.
        hint: Option<String>,
        /// Whether it will be tried again.
        retries: bool,
    },
    /// A step was stopped by request, in a compatible state.
    StepStopped {
        /// Its Score.
        score: String,
        /// Its key.
        step: String,
    },
    /// A Score's turn ended.
    ScoreFinished {
        /// Its name.
        score: String,
        /// How.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// A host is new or changed.
    HostChanged {
        /// As it is now.
        host: Box<Host>,
    },
    /// A host was removed from the inventory.
    HostForgotten {
        /// Which.
        host: HostId,
    },
    /// Switch ports were read.
    PortsRead {
        /// As they are now.
        ports: Vec<PortStatus>,
    },
    /// The run ended.
    RunFinished {
        /// How.
        #[serde(flatten)]
        outcome: Outcome,
        /// How long it took, in milliseconds.
        took_ms: u64,
        /// How many changes were sent to devices, by driver; drivers that sent none are absent.
        writes: BTreeMap<String, usize>,
    },
}

/// Where events go; every reader gets each event, a slow one loses the oldest.
#[derive(Debug, Clone)]
pub struct EventBus(broadcast::Sender<Record>);

impl Default for EventBus {
    fn default() -> Self {
        Self(broadcast::channel(16 * 1024).0)
    }
}

impl EventBus {
    /// A new reader; it gets what is sent from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Record> {
        self.0.subscribe()
    }

    /// Sends to all readers; without readers nothing happens.
    pub fn send(&self, record: Record) {
        let _ = self.0.send(record);
    }
}
