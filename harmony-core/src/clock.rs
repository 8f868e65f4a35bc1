//! Time as the engine sees it: a timestamp source that a simulated world can replace.
//!
//! Waiting goes through `tokio::time`, which a simulation pauses and advances; only the
//! timestamps that are stored and shown come from here.

use std::sync::Arc;

use jiff::Timestamp;

/// Where timestamps come from.
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that follows `tokio::time`, so that it stands still and jumps with a paused runtime.
#[derive(Debug, Clone, Copy)]
pub struct RuntimeClock {
    start: tokio::time::Instant,
    epoch: Timestamp,
}

impl RuntimeClock {
    /// A clock that reads `epoch` now. Must be called inside a Tokio runtime.
    #[must_use]
    pub fn starting_at(epoch: Timestamp) -> Self {
        Self { start: tokio::time::Instant::now(), epoch }
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        self.epoch.checked_add(self.start.elapsed()).unwrap_or(Timestamp::MAX)
    }
}

/// A shared clock.
pub type SharedClock = Arc<dyn Clock>;
