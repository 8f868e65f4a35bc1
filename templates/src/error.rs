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
    /// A configuration of the installer cannot be merged. It is secret: the reason shows none of it.
    #[error("the installer's configuration cannot be merged with the host's: {reason}")]
    Base {
        /// Why, with the place where there is one.
        reason: String,
    },
    /// A document cannot be written as YAML, which is a bug.
    #[error("failed to write {document} as YAML")]
    Yaml {
        /// Which.
        document: String,
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
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
