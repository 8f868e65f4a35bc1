//! What can go wrong on a command line.

use std::time::Duration;

use crate::transport::ssh::SessionError;

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The name of the device is not known here.
    #[error("no address for `{name}`")]
    Resolve {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No connection.
    #[error(transparent)]
    Ssh(#[from] SessionError),
    /// The device does not let us in.
    #[error("user `{user}` may not log in with this password")]
    Login {
        /// The user.
        user: String,
    },
    /// The device has no line free for another session.
    #[error("the device takes no further session: {said}")]
    NoLine {
        /// What it said.
        said: String,
    },
    /// The connection ended.
    #[error("the connection was cut")]
    Cut,
    /// The device said nothing for too long.
    #[error("no prompt came within {} s; last seen: {last:?}", .after.as_secs())]
    Silent {
        /// The time it had.
        after: Duration,
        /// The last line of it.
        last: String,
    },
    /// The echo of what we typed came, but not between prompts.
    #[error("this is no command line that is understood; last seen: {last:?}")]
    NoPrompt {
        /// The last line of it.
        last: String,
    },
    /// The device printed more than any command of ours makes it print.
    #[error("the answer is longer than is read")]
    TooMuch,
    /// The device asks something that we do not expect.
    #[error("the device asks: {question}")]
    Question {
        /// Its question.
        question: String,
    },
    /// The device does not let us into its privileged mode.
    #[error("the device refuses `enable` with this password")]
    Enable,
}

/// A device's words, fit for a message.
pub(crate) fn quoted(text: &str) -> String {
    text.trim().chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
