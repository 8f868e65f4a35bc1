//! What can go wrong with a terminal.

use std::error::Error as StdError;
use std::io;

/// Why the screen could not be shown, or no longer. The terminal has been restored.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// One screen is open already in this process.
    #[error("the terminal is already used by another screen of this process")]
    InUse,
    /// The terminal could not be switched to a screen of its own.
    #[error("failed to open the screen on the terminal")]
    Open(#[source] io::Error),
    /// The terminal took no output.
    #[error("failed to draw on the terminal")]
    Draw(#[source] Box<dyn StdError + Send + Sync>),
    /// The terminal gave no input.
    #[error("failed to read keys from the terminal")]
    Keys(#[source] io::Error),
    /// The thread that reads keys has ended.
    #[error("keys are no longer read from the terminal")]
    KeysEnded,
}
