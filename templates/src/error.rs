//! Why something was not rendered.

/// A rendering that was refused. Nothing is rendered in part.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// A value cannot go where it was meant to go.
    #[error("`{field}` is refused: `{value}` {reason}")]
    Value {
        /// The field, as the caller or the kernel argument is called.
        field: String,
        /// What it held, control characters escaped, cut to 64 characters.
        value: String,
        /// Why, as the rest of a sentence: "has a blank".
        reason: String,
    },
    /// Linux would cut the kernel command line.
    #[error(
        "the kernel command line has {length} bytes, more than the {limit} that Linux keeps; use fewer or shorter extra arguments"
    )]
    CommandLineTooLong {
        /// Its length in bytes, with the longest secrets in their places.
        length: usize,
        /// What Linux keeps, in bytes.
        limit: usize,
    },
    /// The template itself broke a rule, which is a bug.
    #[error("failed to render {template}")]
    Render {
        /// The template's file.
        template: &'static str,
        /// Cause.
        #[source]
        source: askama::Error,
    },
    /// The bond cannot be expressed as NetworkManager keyfiles.
    #[error("failed to make NetworkManager keyfiles for {bond}")]
    Keyfiles {
        /// The bond's interface name.
        bond: String,
        /// Cause.
        #[source]
        source: nmstate::NmstateError,
    },
    /// The Ignition file cannot be written as JSON, which is a bug.
    #[error("failed to write the Ignition file of {hostname}")]
    Ignition {
        /// Whose file.
        hostname: String,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
    /// Ignition configs cannot be merged. They are secret: nothing of them is shown.
    #[error("{what} cannot be merged: {reason}")]
    Merge {
        /// Which of them.
        what: &'static str,
        /// What is wrong with it, as a sentence.
        reason: String,
    },
}

impl TemplateError {
    /// A refused value; keeps what may be shown of it.
    pub(crate) fn value(field: impl Into<String>, value: &str, reason: impl Into<String>) -> Self {
        let shown = value.chars().take(64).flat_map(char::escape_default).collect();
        Self::Value { field: field.into(), value: shown, reason: reason.into() }
    }

    /// Brings back what a filter refused.
    pub(crate) fn rendering(template: &'static str) -> impl FnOnce(askama::Error) -> Self {
        move |error| match error {
            askama::Error::Custom(cause) => match cause.downcast::<Self>() {
                Ok(refusal) => *refusal,
                Err(cause) => Self::Render { template, source: askama::Error::Custom(cause) },
            },
            source => Self::Render { template, source },
        }
    }
}
