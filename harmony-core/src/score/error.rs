//! What can go wrong in a Score.

use crate::error::{DeviceError, FailureKind};
use crate::store::StoreError;

/// A failed observation, plan or step.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// A device, host or network did not do as asked.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The inventory did not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A text could not be made or read.
    #[error("failed to {what}")]
    Document {
        /// What was tried, with its objects.
        what: String,
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Stopped by request, in a compatible state.
    #[error("stopped by request")]
    Stopped,
}

impl ScoreError {
    /// What it means for a retry.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Device(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Document { .. } => FailureKind::Invalid,
            Self::Stopped => FailureKind::Rejected,
        }
    }

    /// The next step for a person.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Device(error) => error.hint_text(),
            Self::Store(_) | Self::Document { .. } | Self::Stopped => None,
        }
    }

    /// What was last seen of the thing that failed.
    #[must_use]
    pub fn evidence(&self) -> &[String] {
        match self {
            Self::Device(error) => error.evidence_lines(),
            Self::Store(_) | Self::Document { .. } | Self::Stopped => &[],
        }
    }
}
