//! How far an installation has come, as a pure fold over the evidence.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::evidence::{BootEvent, BootEventKind};
use super::order::OrderId;

/// How far an ordered installation has come. Later is greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing was seen since the order.
    #[default]
    Waiting,
    /// The firmware or iPXE talks to the boot server.
    NetworkBoot,
    /// The order's script was served.
    Script,
    /// Kernel or initramfs are being fetched.
    Kernel,
    /// The installer runs.
    Installer,
    /// The disk is written.
    Written,
    /// The answer file was fetched.
    Answered,
    /// The installer is through.
    Installed,
    /// The host asked for its script again, and was sent to its disk.
    DiskBoot,
}

/// A fold of the evidence of one order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstallProgress {
    /// The furthest phase.
    pub phase: Phase,
    /// Whether the answer file was fetched: from then on the token is used up.
    pub answered: bool,
    /// Whether the installer said that it is through.
    pub done: bool,
    /// The reason that the installer gave for failing.
    pub failed: Option<String>,
    /// The latest things seen, oldest first, at most eight.
    pub latest: Vec<BootEvent>,
}

impl InstallProgress {
    /// Takes the next piece of evidence. Events of other orders are passed over.
    #[must_use]
    pub fn on(mut self, order: &OrderId, event: &BootEvent) -> Self {
        if event.order.as_ref().is_some_and(|of| of != order) {
            return self;
        }
        let phase = match &event.kind {
            BootEventKind::Tftp { .. } | BootEventKind::Chain => Phase::NetworkBoot,
            BootEventKind::InstallScript => Phase::Script,
            BootEventKind::Asset { .. } => {
                if self.phase >= Phase::Script {
                    Phase::Kernel
                } else {
                    Phase::NetworkBoot
                }
            }
            BootEventKind::InstallStarted => Phase::Installer,
            BootEventKind::ImageWritten => Phase::Written,
            BootEventKind::Answer => Phase::Answered,
            BootEventKind::InstallDone => Phase::Installed,
            BootEventKind::DiskScript if self.answered => Phase::DiskBoot,
            _ => Phase::Waiting,
        };
        self.phase = self.phase.max(phase);
        match &event.kind {
            BootEventKind::Answer => self.answered = true,
            BootEventKind::InstallDone => {
                self.done = true;
                self.failed = None;
            }
            BootEventKind::InstallFailed { reason } => self.failed = Some(reason.clone()),
            BootEventKind::InstallScript => self.failed = None,
            _ => {}
        }
        if self.latest.len() == 8 {
            self.latest.remove(0);
        }
        self.latest.push(event.clone());
        self
    }

    /// Folds all evidence of an order, oldest first.
    #[must_use]
    pub fn of<'a>(order: &OrderId, events: impl IntoIterator<Item = &'a BootEvent>) -> Self {
        events.into_iter().fold(Self::default(), |progress, event| progress.on(order, event))
    }

    /// Whether the system is on the disk: the installer said so, or it took its answer file and
    /// came back to be sent to its disk (an installer that tells nothing).
    #[must_use]
    pub fn is_installed(&self) -> bool {
        self.failed.is_none() && (self.done || (self.answered && self.phase >= Phase::DiskBoot))
    }

    /// The evidence, one line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.latest.iter().map(ToString::to_string).collect()
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Waiting => "nothing seen yet",
            Self::NetworkBoot => "booting from the network",
            Self::Script => "install script fetched",
            Self::Kernel => "fetching kernel and initramfs",
            Self::Installer => "installer running",
            Self::Written => "image written",
            Self::Answered => "answer file fetched",
            Self::Installed => "installed, rebooting",
            Self::DiskBoot => "starting from disk",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HostId;

    fn event(kind: BootEventKind) -> BootEvent {
        BootEvent { at: jiff::Timestamp::UNIX_EPOCH, host: None, mac: None, address: None, order: None, kind }
    }

    fn order() -> OrderId {
        OrderId { host: HostId::derive("x", 0), number: 1 }
    }

    fn fold(kinds: &[BootEventKind]) -> InstallProgress {
        let events: Vec<_> = kinds.iter().cloned().map(event).collect();
        InstallProgress::of(&order(), &events)
    }

    #[test]
    fn an_installer_that_tells_its_progress() {
        use BootEventKind as K;
        let progress = fold(&[K::Chain, K::InstallScript, K::InstallStarted, K::ImageWritten, K::Answer]);
        assert_eq!((progress.phase, progress.is_installed()), (Phase::Answered, false));
        let progress = progress.on(&order(), &event(K::InstallDone));
        assert!(progress.is_installed());
    }

    #[test]
    fn an_installer_that_tells_nothing_is_through_when_it_comes_back() {
        use BootEventKind as K;
        assert!(!fold(&[K::InstallScript, K::Answer]).is_installed());
        assert!(!fold(&[K::InstallScript, K::DiskScript]).is_installed());
        assert!(fold(&[K::InstallScript, K::Answer, K::Chain, K::DiskScript]).is_installed());
    }

    #[test]
    fn a_failure_stays_until_the_next_attempt() {
        use BootEventKind as K;
        let failed = fold(&[K::InstallScript, K::InstallFailed { reason: "digest".into() }, K::Chain]);
        assert_eq!(failed.failed.as_deref(), Some("digest"));
        assert_eq!(failed.on(&order(), &event(K::InstallScript)).failed, None);
    }

    #[test]
    fn evidence_of_another_order_does_not_count() {
        let mut other = event(BootEventKind::InstallDone);
        other.order = Some(OrderId { number: 2, ..order() });
        assert!(!InstallProgress::default().on(&order(), &other).is_installed());
    }
}
