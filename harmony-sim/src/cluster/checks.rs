//! Rules that hold in every cluster whatever Harmony does.
//!
//! 1. No request is approved by anybody but the bootstrap that no host with an order made.
//! 2. Etcd keeps its quorum.

use std::fmt;
use std::time::Duration;

use super::ClusterState;

/// A rule, as numbered above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClusterRule {
    /// 1.
    ForeignApproved,
    /// 2.
    QuorumLost,
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterViolation {
    /// When, in the world's time.
    pub at: Duration,
    /// Which.
    pub rule: ClusterRule,
    /// How, with its objects.
    pub text: String,
}

impl fmt::Display for ClusterViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:.1} s: {}", self.rule, self.at.as_secs_f64(), self.text)
    }
}

impl ClusterState {
    /// The rules that were broken so far, oldest first.
    #[must_use]
    pub fn violations(&self) -> &[ClusterViolation] {
        &self.violations
    }

    pub(super) fn violate(&mut self, rule: ClusterRule, text: String) {
        if !self.violations.iter().any(|known| known.rule == rule && known.text == text) {
            self.note(format!("VIOLATION {rule:?}: {text}"));
            self.violations.push(ClusterViolation { at: self.clock.now(), rule, text });
        }
    }
}
