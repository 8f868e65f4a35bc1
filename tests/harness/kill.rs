//! Ending a run as `SIGKILL` would: at one exact point, and nothing of it goes on.
//!
//! The run is unwound from within, so that not even the rest of the poll it is in is carried out.
//! Dropping it from outside would let whatever is ready beside that point go on first.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, resume_unwind};

use futures::FutureExt as _;
use harmony_sim::Append;

/// A point of a run: one of its journal entries, right before or right after that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Counts the run's entries from 1.
    pub entry: u64,
    /// Before or after.
    pub moment: Append,
}

impl At {
    /// Every point of a run of so many entries.
    pub fn every(entries: u64) -> impl Iterator<Item = Self> {
        (1..=entries).flat_map(|entry| [Append::Before, Append::After].map(|moment| Self { entry, moment }))
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = match self.moment {
            Append::Before => "before",
            Append::After => "after",
        };
        write!(f, "{moment} entry {}", self.entry)
    }
}

/// What a killed run is unwound with. The panic hook is not told of it.
#[derive(Debug)]
pub struct Killed;

impl Killed {
    /// Ends the run that this is called in.
    pub fn now() -> ! {
        resume_unwind(Box::new(Self))
    }

    /// What came of a run, or that it was killed. A panic of its own goes on.
    pub async fn or<T>(run: impl Future<Output = T>) -> Result<T, Self> {
        AssertUnwindSafe(run)
            .catch_unwind()
            .await
            .map_err(|payload: Box<dyn Any + Send>| if payload.is::<Self>() { Self } else { resume_unwind(payload) })
    }
}
