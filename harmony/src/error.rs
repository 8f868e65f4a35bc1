//! What the command line says when something fails: the chain of causes, then a hint.

use std::error::Error as StdError;
use std::fmt;

use harmony_core::engine::EngineError;
use harmony_core::error::{DeviceError, chain};
use harmony_core::net::NameError;
use harmony_core::score::ScoreError;
use harmony_core::store::StoreError;
use harmony_topologies::lab::LabError;

/// A failed command, ready to be shown.
#[derive(Debug)]
pub struct CommandError {
    message: String,
    evidence: Vec<String>,
    hint: Option<String>,
}

impl CommandError {
    /// With a message that names the object.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), evidence: Vec::new(), hint: None }
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Of any error: its chain of causes, and the hint and evidence that one of them brings.
    #[must_use]
    pub fn from_error(error: impl StdError + 'static) -> Self {
        let mut shown = Self::new(chain(&error));
        let mut next: Option<&(dyn StdError + 'static)> = Some(&error);
        while let Some(cause) = next {
            let device = cause.downcast_ref::<DeviceError>().or_else(|| match cause.downcast_ref::<ScoreError>() {
                Some(ScoreError::Device(error)) => Some(error),
                _ => None,
            });
            if let Some(device) = device {
                shown.hint = device.hint_text().map(str::to_owned);
                shown.evidence = device.evidence_lines().to_vec();
            }
            if let Some(lab) = cause.downcast_ref::<LabError>() {
                shown.hint = lab.hint();
            }
            next = cause.source();
        }
        shown
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for line in &self.evidence {
            write!(f, "\n  {line}")?;
        }
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

impl StdError for CommandError {}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        Self::from_error(error)
    }
}

impl From<DeviceError> for CommandError {
    fn from(error: DeviceError) -> Self {
        Self::from_error(error)
    }
}

impl From<NameError> for CommandError {
    fn from(error: NameError) -> Self {
        Self::from_error(error)
    }
}

impl From<ScoreError> for CommandError {
    fn from(error: ScoreError) -> Self {
        Self::from_error(error)
    }
}

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> Self {
        Self::from_error(error)
    }
}

/// Prints an error to standard error.
pub fn report(error: &CommandError) {
    eprintln!("error: {error}");
}
