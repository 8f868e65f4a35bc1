//! What a Score is given to work with: the site, the store, the clock, and a way to tell what it waits for.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ScoreError;
use crate::capability::PortStatus;
use crate::clock::SharedClock;
use crate::engine::Journal;
use crate::event::Event;
use crate::store::SharedStore;

/// For observing.
pub struct Context<'a, T> {
    /// The site.
    pub topology: &'a T,
    /// The inventory.
    pub store: &'a SharedStore,
    /// Timestamps.
    pub clock: &'a SharedClock,
    /// Whether a person watches who can be asked to decide (a TUI is open).
    pub attended: bool,
    /// Cancelled when a person wants to stop.
    pub stop: &'a CancellationToken,
    /// The run's journal; a plan has none.
    pub(crate) journal: Option<&'a Journal>,
}

impl<T> Context<'_, T> {
    /// Tells whoever watches of ports that were read.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub async fn saw_ports(&self, ports: &[PortStatus]) -> Result<(), ScoreError> {
        match self.journal {
            Some(journal) => Ok(journal.saw_ports(ports).await?),
            None => Ok(()),
        }
    }
}

/// For carrying out one step.
pub struct StepContext<'a, T> {
    /// As for observing.
    pub cx: &'a Context<'a, T>,
    pub(crate) journal: &'a Journal,
    pub(crate) score: &'a str,
    pub(crate) step: &'a str,
    pub(crate) deadline: Instant,
    pub(crate) waiting: Mutex<Option<Waiting>>,
}

/// What a step said last that it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) waits_for: String,
    pub(crate) evidence: Vec<String>,
}

impl<T> StepContext<'_, T> {
    /// Time left for this attempt.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Tells what the step waits for, with what was last seen of it. If the step's time runs out,
    /// this is its error. Repeating it without change tells nothing.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub async fn waiting(&self, waits_for: impl Into<String> + Send, evidence: Vec<String>) -> Result<(), ScoreError> {
        let now = Waiting { waits_for: waits_for.into(), evidence };
        {
            let mut last = self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if last.as_ref() == Some(&now) {
                return Ok(());
            }
            *last = Some(now.clone());
        }
        let event = Event::StepWaiting {
            score: self.score.to_owned(),
            step: self.step.to_owned(),
            waits_for: now.waits_for,
            evidence: now.evidence,
            seconds_left: self.remaining().as_secs(),
        };
        Ok(self.journal.tell(event).await?)
    }

    /// Sleeps between two looks at the world.
    ///
    /// # Errors
    /// [`ScoreError::Stopped`] as soon as a person wants to stop.
    pub async fn pause(&self, interval: Duration) -> Result<(), ScoreError> {
        tokio::select! {
            // In order, so that a simulated run can be repeated exactly.
            biased;
            () = self.cx.stop.cancelled() => Err(ScoreError::Stopped),
            () = tokio::time::sleep(interval) => Ok(()),
        }
    }

    /// Whether a person wants to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.cx.stop.is_cancelled()
    }
}
