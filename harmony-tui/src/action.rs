//! What a user asks the runner for, and what the runner answers beside records.

use harmony_core::host::{HostId, Role};

/// What a user wants done. The runner does it; what comes of it arrives as records, or as a [`Notice`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserAction {
    /// Give a free host a role.
    Assign {
        /// The host.
        host: HostId,
        /// The role.
        role: Role,
        /// Serial of the disk to install on.
        disk: Option<String>,
        /// Serial of the disk whose present contents the user agreed to lose, by typing it.
        erase: Option<String>,
    },
    /// End the run: steps in hand are finished or reverted, no new ones begin.
    Stop,
    /// The screen is closed. Comes after the run ended, or when the user will not wait for that.
    Quit,
}

/// A message that is no record: a refused action, an event that the screen missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whether something did not work.
    pub is_refusal: bool,
    /// One sentence.
    pub text: String,
}

impl Notice {
    /// Something worth knowing.
    #[must_use]
    pub fn info(text: impl Into<String>) -> Self {
        Self { is_refusal: false, text: text.into() }
    }

    /// Something that was not done, and why.
    #[must_use]
    pub fn refused(text: impl Into<String>) -> Self {
        Self { is_refusal: true, text: text.into() }
    }
}
