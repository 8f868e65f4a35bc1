//! Host names.

use std::fmt;
use std::str::FromStr;

use super::serde_as_text;

/// A host name: one or more labels. Source: RFC 1123 section 2.1, RFC 1035 section 2.3.4.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hostname(String);

/// A text that is no name of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {kind}: {reason}")]
pub struct NameError {
    /// What was expected.
    pub kind: &'static str,
    /// The refused text, cut to 64 characters, control characters escaped.
    pub text: String,
    /// Why.
    pub reason: &'static str,
}

impl NameError {
    pub(crate) fn new(kind: &'static str, text: &str, reason: &'static str) -> Self {
        Self { kind, text: text.chars().take(64).flat_map(char::escape_default).collect(), reason }
    }
}

impl Hostname {
    /// Of a text that another type has checked to be a host name.
    pub(crate) fn of_checked(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first label.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.split('.').next().unwrap_or(&self.0)
    }
}

impl FromStr for Hostname {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| Err(NameError::new("host name", text, reason));
        if text.is_empty() || text.len() > 253 {
            return refuse("1 to 253 characters are allowed");
        }
        for label in text.split('.') {
            if label.is_empty() || label.len() > 63 {
                return refuse("each label has 1 to 63 characters");
            }
            if !label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
                return refuse("only a-z, 0-9, `-` and `.` are allowed");
            }
            if label.starts_with('-') || label.ends_with('-') {
                return refuse("a label neither starts nor ends with `-`");
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Hostname);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names_and_refuses_injections() {
        for text in ["node-1", "master-0.ocp4.example.com", "1a"] {
            assert!(text.parse::<Hostname>().is_ok(), "{text}");
        }
        for text in ["", "-a", "a-", "a..b", "a\nb", "${ip}", "a b", "Node", "ä", &"x".repeat(64)] {
            assert!(text.parse::<Hostname>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_error_shows_control_characters_escaped() {
        let error = "a\nreboot".parse::<Hostname>().expect_err("newline");
        assert_eq!(error.to_string(), "`a\\nreboot` is no host name: only a-z, 0-9, `-` and `.` are allowed");
    }
}
