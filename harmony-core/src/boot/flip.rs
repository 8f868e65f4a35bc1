//! The LACP flip with its dead man's switch (P10), as a pure machine.
//!
//! The host is bonded already. The switch ports are put in LACP mode, then both ends are read
//! until they agree; if they do not by the deadline, or the readings stop, the ports go back to
//! access, where the bonded host keeps one working link.

use std::time::Duration;

use super::bonding::BondReading;
use crate::capability::{PortMode, PortStatus};

/// Where a flip is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flip {
    /// Nothing was done.
    Ready,
    /// The ports are in LACP mode, or may be: the command was sent.
    Watching {
        /// What is still missing, as last read.
        missing: Vec<String>,
    },
    /// The ports are being put back.
    Reverting {
        /// Why.
        why: String,
    },
    /// Over.
    Over(FlipOutcome),
}

/// How a flip ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlipOutcome {
    /// Both ends agree.
    Bundled,
    /// The ports are in access mode again.
    Reverted {
        /// Why.
        why: String,
    },
    /// The ports could not be put back.
    Stuck {
        /// Why the flip was given up, and why the way back failed.
        why: String,
    },
}

/// What happened.
#[derive(Debug, Clone)]
pub enum FlipInput {
    /// Begin.
    Start,
    /// The switch answered to the LACP command; an error may mean that it took effect.
    Switched(Result<(), String>),
    /// Both ends were read, or could not be.
    Read(Result<(BondReading, Vec<PortStatus>), String>),
    /// A person wants to stop.
    Cancel,
    /// The switch answered to the way back.
    Restored(Result<(), String>),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlipAct {
    /// Put the ports in LACP mode.
    SetLacp,
    /// Read both ends.
    Read,
    /// Put the ports in access mode.
    SetAccess,
    /// Nothing.
    Stop,
}

impl Flip {
    /// Takes what happened, `elapsed` after the start of a flip that has `deadline` to succeed.
    #[must_use]
    pub fn on(self, input: FlipInput, elapsed: Duration, deadline: Duration) -> (Self, FlipAct) {
        match (self, input) {
            (Self::Ready, FlipInput::Start) => {
                (Self::Watching { missing: vec!["no reading yet".into()] }, FlipAct::SetLacp)
            }
            (Self::Ready, _) => (
                Self::Over(FlipOutcome::Reverted { why: "stopped before the switch was changed".into() }),
                FlipAct::Stop,
            ),
            (Self::Watching { missing }, FlipInput::Switched(Ok(()))) => (Self::Watching { missing }, FlipAct::Read),
            (Self::Watching { .. }, FlipInput::Switched(Err(why))) => {
                Self::back(format!("the switch did not take the change: {why}"))
            }
            (Self::Watching { .. }, FlipInput::Read(Ok((host, switch)))) => {
                let missing = disagreement(&host, &switch);
                if missing.is_empty() {
                    (Self::Over(FlipOutcome::Bundled), FlipAct::Stop)
                } else if elapsed >= deadline {
                    Self::back(format!("not bundled after {} s: {}", deadline.as_secs(), missing.join("; ")))
                } else {
                    (Self::Watching { missing }, FlipAct::Read)
                }
            }
            (Self::Watching { missing }, FlipInput::Read(Err(why))) => {
                if elapsed >= deadline {
                    Self::back(format!("not bundled after {} s: {why}", deadline.as_secs()))
                } else {
                    let missing = if missing.contains(&why) { missing } else { vec![why] };
                    (Self::Watching { missing }, FlipAct::Read)
                }
            }
            (Self::Watching { .. }, FlipInput::Cancel) => Self::back("stopped by request".into()),
            (Self::Reverting { why }, FlipInput::Restored(Ok(()))) => {
                (Self::Over(FlipOutcome::Reverted { why }), FlipAct::Stop)
            }
            (Self::Reverting { why }, FlipInput::Restored(Err(error))) => {
                let why = format!("{why}; and the ports could not be put back: {error}");
                (Self::Over(FlipOutcome::Stuck { why }), FlipAct::Stop)
            }
            // A late reading or a second wish to stop changes nothing on the way back.
            (state @ Self::Reverting { .. }, _) => (state, FlipAct::SetAccess),
            (state @ Self::Watching { .. }, _) => (state, FlipAct::Read),
            (state @ Self::Over(_), _) => (state, FlipAct::Stop),
        }
    }

    fn back(why: String) -> (Self, FlipAct) {
        (Self::Reverting { why }, FlipAct::SetAccess)
    }
}

/// What keeps the two ends from being one bundle; empty means that they are.
///
/// Required of each link: up; the host's member synchronised, collecting and distributing in one
/// aggregator, with the switch as partner; the switch's port the same, with the host as partner.
/// Source: IEEE 802.1AX-2014 section 6.4.
#[must_use]
pub fn disagreement(host: &BondReading, switch: &[PortStatus]) -> Vec<String> {
    let mut missing = Vec::new();
    if !host.is_lacp {
        missing.push("the host has no 802.3ad bond".to_owned());
    }
    if host.members.len() != switch.len() {
        missing.push(format!("the host bonds {} NICs, the switch {} ports", host.members.len(), switch.len()));
    }
    for member in &host.members {
        if !member.is_negotiated() {
            missing.push(format!("{} has not negotiated LACP", member.name));
        }
    }
    if host.members.windows(2).any(|pair| pair[0].aggregator != pair[1].aggregator) {
        missing.push("the host's NICs are in different aggregators".to_owned());
    }
    for status in switch {
        let port = &status.port;
        match (&status.mode, &status.lacp) {
            (PortMode::Lacp { .. }, Some(lacp)) => {
                if !(lacp.synchronised && lacp.collecting && lacp.distributing) {
                    missing.push(format!("{port} is not collecting and distributing"));
                }
                if lacp.partner.is_none_or(|mac| !mac.is_unicast()) {
                    missing.push(format!("{port} hears no LACP partner"));
                } else if host.system.is_some() && lacp.partner != host.system {
                    missing.push(format!("{port} hears another LACP partner than this host"));
                }
                if let Some(system) = lacp.system
                    && host.members.iter().any(|m| m.partner.is_some_and(|p| p.is_unicast() && p != system))
                {
                    missing.push(format!("the host hears another LACP partner than {port}"));
                }
            }
            (PortMode::Lacp { .. }, None) => missing.push(format!("{port} tells no LACP state")),
            (mode, _) => missing.push(format!("{port} is {mode}")),
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::{LacpPortState, LinkState};
    use crate::net::MacAddress;
    use proptest::prelude::*;

    const DEADLINE: Duration = Duration::from_secs(30);

    fn host() -> BondReading {
        BondReading::parse(include_str!("testdata/bond0-negotiated.txt"))
    }

    fn switch() -> Vec<PortStatus> {
        let lacp = LacpPortState {
            system: "a6:b4:6e:e6:5b:47".parse().ok(),
            partner: "52:54:00:00:00:01".parse().ok(),
            synchronised: true,
            collecting: true,
            distributing: true,
        };
        let mode = PortMode::Lacp { lag: "lag1".parse().expect("valid"), vlan: None, fallback: false };
        ["tor/p0", "tor/p1"]
            .map(|port| PortStatus {
                port: port.parse().expect("valid"),
                link: LinkState::Up,
                speed_mbps: Some(1000),
                mode: mode.clone(),
                lacp: Some(lacp.clone()),
            })
            .to_vec()
    }

    #[test]
    fn agreement_ends_the_flip() {
        let (flip, act) = Flip::Ready.on(FlipInput::Start, Duration::ZERO, DEADLINE);
        assert_eq!(act, FlipAct::SetLacp);
        let (flip, act) = flip.on(FlipInput::Switched(Ok(())), Duration::ZERO, DEADLINE);
        assert_eq!(act, FlipAct::Read);
        let (flip, act) = flip.on(FlipInput::Read(Err("no answer".into())), Duration::from_secs(3), DEADLINE);
        assert_eq!(act, FlipAct::Read);
        let (flip, act) = flip.on(FlipInput::Read(Ok((host(), switch()))), Duration::from_secs(4), DEADLINE);
        assert_eq!((flip, act), (Flip::Over(FlipOutcome::Bundled), FlipAct::Stop));
    }

    #[test]
    fn the_dead_mans_switch_reverts() {
        let watching = Flip::Watching { missing: vec![] };
        let (flip, act) = watching.on(FlipInput::Read(Err("no answer".into())), DEADLINE, DEADLINE);
        assert_eq!(act, FlipAct::SetAccess);
        let (flip, _) = flip.on(FlipInput::Restored(Ok(())), DEADLINE, DEADLINE);
        let Flip::Over(FlipOutcome::Reverted { why }) = flip else { panic!("{flip:?}") };
        assert_eq!(why, "not bundled after 30 s: no answer");
    }

    #[test]
    fn a_lost_reply_to_the_change_is_undone() {
        let watching = Flip::Watching { missing: vec![] };
        let (_, act) = watching.on(FlipInput::Switched(Err("timeout".into())), Duration::ZERO, DEADLINE);
        assert_eq!(act, FlipAct::SetAccess, "the command may have taken effect");
    }

    #[test]
    fn each_kind_of_disagreement_is_named() {
        assert_eq!(disagreement(&host(), &switch()), Vec::<String>::new());
        let mut one_port = switch();
        one_port.pop();
        let mut blocked = switch();
        blocked[1].lacp.as_mut().expect("set").distributing = false;
        let mut foreign = switch();
        foreign[0].lacp.as_mut().expect("set").partner = Some(MacAddress::new([2, 0, 0, 0, 0, 9]));
        let mut crossed = switch();
        crossed[0].lacp.as_mut().expect("set").system = Some(MacAddress::new([2, 0, 0, 0, 0, 8]));
        for (readings, text) in [
            (one_port, "the host bonds 2 NICs, the switch 1 ports"),
            (blocked, "tor/p1 is not collecting and distributing"),
            (foreign, "tor/p0 hears another LACP partner than this host"),
            (crossed, "the host hears another LACP partner than tor/p0"),
        ] {
            assert_eq!(disagreement(&host(), &readings), [text]);
        }
    }

    proptest! {
        /// Whatever happens in whatever order, a flip that touched the switch ends bundled, or
        /// with its ports put back, and never stays open past the deadline.
        #[test]
        fn always_ends_compatible(inputs in proptest::collection::vec((0..6u8, 0..10u64), 1..40)) {
            let (mut flip, mut act) = Flip::Ready.on(FlipInput::Start, Duration::ZERO, DEADLINE);
            let (mut elapsed, mut lacp) = (Duration::ZERO, true);
            for (choice, seconds) in inputs {
                elapsed += Duration::from_secs(seconds);
                let input = match (&act, choice) {
                    (FlipAct::SetLacp, 0) => FlipInput::Switched(Err("lost".into())),
                    (FlipAct::SetLacp, _) => FlipInput::Switched(Ok(())),
                    (FlipAct::SetAccess, _) => { lacp = false; FlipInput::Restored(Ok(())) }
                    (FlipAct::Read, 0) => FlipInput::Cancel,
                    (FlipAct::Read, 1) => FlipInput::Read(Ok((host(), switch()))),
                    (FlipAct::Read, _) => FlipInput::Read(Err("silence".into())),
                    (FlipAct::Stop, _) => break,
                };
                (flip, act) = flip.on(input, elapsed, DEADLINE);
                let is_open = matches!(flip, Flip::Watching { .. });
                prop_assert!(!is_open || elapsed <= DEADLINE + Duration::from_secs(10));
            }
            match flip {
                Flip::Over(FlipOutcome::Bundled) => prop_assert!(lacp),
                Flip::Over(FlipOutcome::Reverted { .. }) => prop_assert!(!lacp),
                Flip::Over(FlipOutcome::Stuck { .. }) => prop_assert!(false),
                Flip::Ready | Flip::Watching { .. } | Flip::Reverting { .. } => {}
            }
        }
    }
}
