//! The life of a host as a pure machine. Source: Hardcap, "The workflow".

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a host is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    /// Known by name or by its first boot request; nothing is known of its hardware.
    Registered,
    /// Its hardware was reported; it is free.
    Discovered,
    /// It has a role; an order may be under way.
    Acquired,
    /// Installed, and in use.
    Provisioned,
    /// Given back; its disks still hold the old data.
    Released,
    /// Its disks were wiped.
    Wiped,
    /// An installation failed; the assignment stays, and it can be resumed.
    Failed,
}

/// What can happen to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LifecycleEvent {
    /// A hardware report arrived.
    Reported,
    /// A person or rule gave it a role.
    Acquire,
    /// The installation was verified.
    Provisioned,
    /// The installation failed for good.
    Fail,
    /// The failed installation is tried again.
    Resume,
    /// The role was taken away before any order was given: nothing was written to its disks.
    Withdraw,
    /// The role was taken away.
    Release,
    /// Its disks were wiped by order.
    Wiped,
}

/// An event that a host in this state cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a host that is {from} cannot become so by `{event}`")]
pub struct LifecycleRefusal {
    /// The present state.
    pub from: Lifecycle,
    /// The refused event.
    pub event: LifecycleEvent,
}

impl Lifecycle {
    /// The next state.
    ///
    /// # Errors
    /// If the event cannot happen in this state; the state stays.
    pub fn on(self, event: LifecycleEvent) -> Result<Self, LifecycleRefusal> {
        use Lifecycle as L;
        use LifecycleEvent as E;
        Ok(match (self, event) {
            (L::Registered | L::Wiped | L::Discovered, E::Reported) => L::Discovered,
            // A report changes the facts of a host in use, not its state.
            (state, E::Reported) => state,
            (L::Discovered, E::Acquire) => L::Acquired,
            (L::Acquired, E::Withdraw) => L::Discovered,
            (L::Acquired, E::Provisioned) => L::Provisioned,
            (L::Acquired, E::Fail) => L::Failed,
            (L::Failed, E::Resume) => L::Acquired,
            (L::Acquired | L::Provisioned | L::Failed, E::Release) => L::Released,
            (L::Released, E::Wiped) => L::Wiped,
            (from, event) => return Err(LifecycleRefusal { from, event }),
        })
    }

    /// Whether a person may give it a role.
    #[must_use]
    pub fn is_free(self) -> bool {
        self == Self::Discovered
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Discovered => "discovered",
            Self::Acquired => "acquired",
            Self::Provisioned => "provisioned",
            Self::Released => "released",
            Self::Wiped => "wiped",
            Self::Failed => "failed",
        }
    }

    /// All states, in the order of a life.
    pub const ALL: [Self; 7] = [
        Self::Registered,
        Self::Discovered,
        Self::Acquired,
        Self::Provisioned,
        Self::Released,
        Self::Wiped,
        Self::Failed,
    ];
}

impl std::str::FromStr for Lifecycle {
    type Err = crate::net::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || crate::net::NameError::new("lifecycle state", text, "expected one of registered … failed");
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(unknown)
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for LifecycleEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Reported => "reported",
            Self::Acquire => "acquire",
            Self::Provisioned => "provisioned",
            Self::Fail => "fail",
            Self::Resume => "resume",
            Self::Withdraw => "withdraw",
            Self::Release => "release",
            Self::Wiped => "wiped",
        };
        f.pad(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_life() {
        use LifecycleEvent as E;
        let mut state = Lifecycle::Registered;
        for (event, next) in [
            (E::Reported, Lifecycle::Discovered),
            (E::Acquire, Lifecycle::Acquired),
            (E::Withdraw, Lifecycle::Discovered),
            (E::Acquire, Lifecycle::Acquired),
            (E::Fail, Lifecycle::Failed),
            (E::Resume, Lifecycle::Acquired),
            (E::Provisioned, Lifecycle::Provisioned),
            (E::Reported, Lifecycle::Provisioned),
            (E::Release, Lifecycle::Released),
            (E::Wiped, Lifecycle::Wiped),
            (E::Reported, Lifecycle::Discovered),
        ] {
            state = state.on(event).expect("allowed");
            assert_eq!(state, next);
        }
    }

    #[test]
    fn a_host_in_use_is_not_acquired_again() {
        for state in [Lifecycle::Acquired, Lifecycle::Provisioned, Lifecycle::Released, Lifecycle::Registered] {
            assert!(state.on(LifecycleEvent::Acquire).is_err(), "{state}");
        }
        for state in Lifecycle::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }
}
