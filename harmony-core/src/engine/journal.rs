//! Numbers a run's events, makes them durable, then sends them to whoever watches.

use tokio::sync::Mutex;

use crate::clock::SharedClock;
use crate::event::{Event, EventBus, Outcome, Record};
use crate::store::{RunId, SharedStore, StoreResult};

/// The journal of one run. What it has told is in the store before anybody acts on it.
pub struct Journal {
    store: SharedStore,
    clock: SharedClock,
    bus: EventBus,
    run: RunId,
    seq: Mutex<u64>,
}

impl Journal {
    /// Begins a run.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn begin(store: &SharedStore, clock: &SharedClock, bus: &EventBus, program: &str) -> StoreResult<Self> {
        let run = store.begin_run(program, clock.now()).await?;
        Ok(Self { store: store.clone(), clock: clock.clone(), bus: bus.clone(), run, seq: Mutex::new(0) })
    }

    /// The run's number.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Journals an event, then sends it.
    ///
    /// # Errors
    /// If the store cannot be written; then nothing was sent.
    pub async fn tell(&self, event: Event) -> StoreResult<()> {
        let mut seq = self.seq.lock().await;
        let record = Record { seq: *seq + 1, at: self.clock.now(), event };
        self.store.append(self.run, &record).await?;
        *seq = record.seq;
        self.bus.send(record);
        Ok(())
    }

    /// Ends the run.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn end(&self, outcome: &Outcome) -> StoreResult<()> {
        let word = match outcome {
            Outcome::Converged => "converged",
            Outcome::Stopped => "stopped",
            Outcome::PlanDone { .. } => "plan done",
            Outcome::Failed { .. } => "failed",
        };
        self.store.end_run(self.run, word, self.clock.now()).await
    }
}
