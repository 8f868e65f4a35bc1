//! Errors that cross the boundary between devices and the engine.
//!
//! A driver keeps its own error types; at the capability boundary they become a
//! [`DeviceError`], which names the operation and its objects, carries the cause, and tells by
//! its [`FailureKind`] whether trying again can help. Retry policy reads nothing else.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What an error means for whoever might try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The device answered that it cannot now; the same request may pass later.
    Transient,
    /// No answer: it is not known whether the request took effect.
    Unreachable,
    /// The device understood and refused.
    Rejected,
    /// The world is not as the plan assumed.
    Conflict,
    /// Input (a file, a reply, an argument) that cannot be understood.
    Invalid,
    /// Harmony broke a rule of its own.
    Bug,
}

impl FailureKind {
    /// Whether a further attempt with the same request can succeed.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Transient | Self::Unreachable)
    }
}

/// One failed operation on one device, host or store.
///
/// `Display` prints the operation alone; the cause is its `source()`, and the edge prints the
/// whole chain followed by the hint.
#[derive(Debug)]
pub struct DeviceError {
    kind: FailureKind,
    operation: String,
    hint: Option<String>,
    evidence: Vec<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl DeviceError {
    /// `operation` names the failed act and its objects: "failed to set VLAN 20 on `tor-1` port `Eth1/4`".
    #[must_use]
    pub fn new(kind: FailureKind, operation: impl Into<String>) -> Self {
        Self { kind, operation: operation.into(), hint: None, evidence: Vec::new(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the next step for a person.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a line of evidence: what was last seen of the thing that failed.
    #[must_use]
    pub fn evidence(mut self, line: impl Into<String>) -> Self {
        self.evidence.push(line.into());
        self
    }

    /// What it means for a retry.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The next step for a person, where one is known.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What was last seen of the thing that failed.
    #[must_use]
    pub fn evidence_lines(&self) -> &[String] {
        &self.evidence
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.operation)
    }
}

impl StdError for DeviceError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|s| s as &(dyn StdError + 'static))
    }
}

/// Result of an operation on a device.
pub type DeviceResult<T> = Result<T, DeviceError>;

/// The whole chain of an error in one line, outermost first, without repetition.
#[must_use]
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let line = cause.to_string();
        if !text.ends_with(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        next = cause.source();
    }
    text
}
