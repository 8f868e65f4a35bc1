//! Names of hosts, BMCs and roles.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::net::{Hostname, NameError, serde_as_text};

/// Crockford's base 32: no I, L, O, U, so that an id can be read aloud.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ADJECTIVES: [&str; 32] = [
    "able", "bold", "brisk", "calm", "clear", "cool", "deft", "eager", "fair", "fast", "firm", "fond", "glad", "gold",
    "grand", "keen", "kind", "lively", "loyal", "lucid", "merry", "neat", "noble", "plain", "proud", "quick", "quiet",
    "sharp", "snug", "stout", "swift", "warm",
];
const ANIMALS: [&str; 32] = [
    "badger", "bear", "bison", "crane", "crow", "deer", "dove", "eagle", "elk", "falcon", "finch", "fox", "gull",
    "hare", "hawk", "heron", "ibex", "kite", "lark", "lynx", "marten", "mole", "moose", "otter", "owl", "raven",
    "robin", "seal", "stork", "swan", "wolf", "wren",
];

/// The host's id, `hc-` and seven characters. Source: Hardcap, "friendly id".
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(String);

impl HostId {
    /// The id made of whatever first identified the host; `attempt` distinguishes collisions.
    #[must_use]
    pub fn derive(identity: &str, attempt: u32) -> Self {
        let digest = Sha256::digest(format!("{identity}#{attempt}"));
        let text = digest.iter().take(7).map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        Self(format!("hc-{}", text.collect::<String>()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid =
            text.strip_prefix("hc-").is_some_and(|rest| rest.len() == 7 && rest.bytes().all(|b| ALPHABET.contains(&b)));
        if valid { Ok(Self(text.to_owned())) } else { Err(NameError::new("host id", text, "expected hc-XXXXXXX")) }
    }
}

/// A generated name, `brisk-otter`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FriendlyName(String);

impl FriendlyName {
    /// The name made of the id; from the second attempt on with a number, for the 1,025th host.
    #[must_use]
    pub fn derive(id: &HostId, attempt: u32) -> Self {
        let digest = Sha256::digest(id.as_str());
        let pick = |words: &[&'static str; 32], byte: u8| words[usize::from(byte % 32)];
        let name = format!("{}-{}", pick(&ADJECTIVES, digest[0]), pick(&ANIMALS, digest[1]));
        Self(if attempt == 0 { name } else { format!("{name}-{}", attempt + 1) })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FriendlyName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<Hostname>()?;
        Ok(Self(text.to_owned()))
    }
}

/// A BMC, as the site file names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BmcId(String);

impl BmcId {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BmcId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<Hostname>().map_err(|e| NameError { kind: "BMC name", ..e })?;
        Ok(Self(text.to_owned()))
    }
}

/// A role in what is being built, `master-0`. It becomes the host name, so it is one label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(String);

impl Role {
    /// The role.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Role {
    /// The host name that it becomes.
    #[must_use]
    pub fn hostname(&self) -> Hostname {
        Hostname::of_checked(&self.0)
    }
}

impl FromStr for Role {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<Hostname>().map_err(|e| NameError { kind: "role", ..e })?;
        if text.contains('.') {
            return Err(NameError::new("role", text, "it is one label, without `.`"));
        }
        Ok(Self(text.to_owned()))
    }
}

macro_rules! text {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        serde_as_text!($type);
    )*};
}
text!(HostId, FriendlyName, BmcId, Role);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_derived_and_can_be_read_back() {
        let id = HostId::derive("uuid-1", 0);
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        assert_eq!(HostId::derive("uuid-1", 0), id);
        assert_ne!(HostId::derive("uuid-1", 1), id);
        let name = FriendlyName::derive(&id, 0);
        assert_eq!(FriendlyName::derive(&id, 1).as_str(), format!("{name}-2"));
    }

    #[test]
    fn a_role_is_one_label() {
        assert!("master-0".parse::<Role>().is_ok());
        assert!("master.0".parse::<Role>().is_err());
        assert!("a b".parse::<Role>().is_err());
    }
}
