//! Names in the DNS.

use std::fmt;
use std::str::FromStr;

use super::name::{Hostname, NameError};
use super::serde_as_text;

/// A name that has records: a host name, or a wildcard below one, `*.apps.ocp4.example.com`.
/// Source: RFC 1034 section 4.3.3, RFC 4592 section 2.1.1.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(String);

impl DnsName {
    /// The name, without a dot at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for every name below another.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// What a wildcard stands below, or the name itself.
    #[must_use]
    pub fn base(&self) -> &str {
        self.0.strip_prefix("*.").unwrap_or(&self.0)
    }
}

impl FromStr for DnsName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.strip_suffix('.').unwrap_or(text);
        name.strip_prefix("*.").unwrap_or(name).parse::<Hostname>()?;
        Ok(Self(name.to_owned()))
    }
}

impl From<Hostname> for DnsName {
    fn from(name: Hostname) -> Self {
        Self(name.as_str().to_owned())
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(DnsName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_the_first_label_or_nothing() {
        let apps: DnsName = "*.apps.ocp4.example.com.".parse().expect("a wildcard");
        assert_eq!(
            (apps.as_str(), apps.base(), apps.is_wildcard()),
            ("*.apps.ocp4.example.com", "apps.ocp4.example.com", true)
        );
        for text in ["*", "*.", "a.*.b", "*a.b", "a\nb.c", "address=/x/"] {
            assert!(text.parse::<DnsName>().is_err(), "{text}");
        }
    }
}
