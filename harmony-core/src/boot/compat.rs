//! The compatible-state invariant (P9): for each host, what runs on it × the mode of its switch
//! ports is modelled here, and no plan may pass through a combination that cannot work.
//!
//! The facts, measured on Open vSwitch with real firmware: a firmware's own PXE stack does not
//! answer LACP, so a port in a bond without fallback never forwards its DHCP; iPXE answers LACP by
//! itself; the kernel that iPXE starts does not until it bonds; a Linux 802.3ad bond works over
//! access ports, on one link. Hence: boot on access ports, bond the host, then the switch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::host::HostId;
use crate::net::PortRef;

/// What a switch port does with a host that does not speak LACP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortKind {
    /// Untagged member of one VLAN.
    Access,
    /// Member of a LAG that forwards nothing until LACP is negotiated.
    Lacp,
    /// Member of a LAG whose port works alone while no LACP partner is heard.
    LacpFallback,
    /// A mode that Harmony does not know; nothing is compatible with it.
    Unknown,
}

/// What runs on the host, as far as the network is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Powered off, or nothing is known to depend on its network.
    Idle,
    /// The firmware's own network boot.
    Firmware,
    /// iPXE.
    Ipxe,
    /// A system with plain NICs: live environment, installer, first boot without bond arguments.
    Plain,
    /// A system whose NICs are in an 802.3ad bond.
    Bonded,
}

/// A change of a host's situation that a step of a plan makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "effect")]
pub enum Effect {
    /// The ports get this mode.
    Ports {
        /// Whose ports they are.
        host: HostId,
        /// The ports.
        ports: Vec<PortRef>,
        /// Their new mode.
        mode: PortKind,
    },
    /// The host passes through firmware and iPXE into a plain system.
    NetworkBoot {
        /// The host.
        host: HostId,
    },
    /// The host starts from its disk.
    DiskBoot {
        /// The host.
        host: HostId,
        /// Whether the installed system bonds its NICs.
        bonded: bool,
    },
}

impl Effect {
    /// The host concerned.
    #[must_use]
    pub fn host(&self) -> &HostId {
        match self {
            Self::Ports { host, .. } | Self::NetworkBoot { host } | Self::DiskBoot { host, .. } => host,
        }
    }
}

/// Whether a host at this stage can work behind a port of this kind.
#[must_use]
pub fn compatible(stage: Stage, port: PortKind) -> bool {
    match (stage, port) {
        (Stage::Idle, _) | (_, PortKind::Access | PortKind::LacpFallback) => true,
        (Stage::Bonded | Stage::Ipxe, PortKind::Lacp) => true,
        (Stage::Firmware | Stage::Plain, PortKind::Lacp) | (_, PortKind::Unknown) => false,
    }
}

/// A combination that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Incompatible {
    /// A step would lead into it.
    #[error("{step}: host {host} would be in {stage} while port {port} is {mode}, which blocks its network")]
    State {
        /// The step that leads there.
        step: String,
        /// The host.
        host: HostId,
        /// What would run on it.
        stage: Stage,
        /// The port.
        port: PortRef,
        /// Its mode.
        mode: PortKind,
    },
    /// Two steps on one host may run in either order, so no order is safe to rely on.
    #[error("steps {first} and {second} both change host {host} and are not ordered")]
    Unordered {
        /// The host.
        host: HostId,
        /// One step.
        first: String,
        /// The other.
        second: String,
    },
}

/// One host's stage and the modes of its ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Situation {
    /// What runs on it.
    pub stage: Stage,
    /// The modes of the ports that its NICs are plugged into.
    pub ports: BTreeMap<PortRef, PortKind>,
}

impl Situation {
    /// Does one effect, and refuses if any state on its way is incompatible.
    ///
    /// # Errors
    /// [`Incompatible::State`] names step, host, stage, port and mode.
    pub fn pass(&mut self, step: &str, effect: &Effect) -> Result<(), Incompatible> {
        let stages: &[Stage] = match effect {
            Effect::Ports { host, ports, mode } => {
                self.ports.extend(ports.iter().map(|port| (port.clone(), *mode)));
                // Only what changes is judged: a bad state that was there before is what a plan may repair.
                return self.check(step, host, |port| ports.contains(port));
            }
            Effect::NetworkBoot { .. } => &[Stage::Firmware, Stage::Ipxe, Stage::Plain],
            Effect::DiskBoot { bonded: true, .. } => &[Stage::Bonded],
            Effect::DiskBoot { bonded: false, .. } => &[Stage::Plain],
        };
        for stage in stages {
            self.stage = *stage;
            self.check(step, effect.host(), |_| true)?;
        }
        Ok(())
    }

    fn check(&self, step: &str, host: &HostId, judged: impl Fn(&PortRef) -> bool) -> Result<(), Incompatible> {
        match self.ports.iter().find(|(port, mode)| judged(port) && !compatible(self.stage, **mode)) {
            None => Ok(()),
            Some((port, mode)) => Err(Incompatible::State {
                step: step.to_owned(),
                host: host.clone(),
                stage: self.stage,
                port: port.clone(),
                mode: *mode,
            }),
        }
    }
}

/// A step as the invariant sees it.
pub struct Move<'a> {
    /// Its key.
    pub step: &'a str,
    /// Keys of steps that must end before it starts.
    pub after: &'a [String],
    /// What it changes, in order.
    pub effects: &'a [Effect],
}

/// Checks every order of steps that the dependencies allow.
///
/// The steps that touch one host must form a chain: then there is one order, and it is walked.
/// `moves` must be in an order that respects `after`.
///
/// # Errors
/// The first incompatible state, or two steps on one host without an order.
pub fn check(moves: &[Move<'_>], start: &BTreeMap<HostId, Situation>) -> Result<(), Incompatible> {
    let mut ancestors: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut world = start.clone();
    let mut last: BTreeMap<&HostId, &str> = BTreeMap::new();
    for step in moves {
        let mut before = BTreeSet::new();
        for key in step.after {
            before.insert(key.as_str());
            before.extend(ancestors.get(key.as_str()).into_iter().flatten());
        }
        for effect in step.effects {
            let host = effect.host();
            if let Some(previous) =
                last.get(host).filter(|previous| **previous != step.step && !before.contains(*previous))
            {
                return Err(Incompatible::Unordered {
                    host: host.clone(),
                    first: (*previous).to_owned(),
                    second: step.step.to_owned(),
                });
            }
            last.insert(host, step.step);
            let idle = || Situation { stage: Stage::Idle, ports: BTreeMap::new() };
            world.entry(host.clone()).or_insert_with(idle).pass(step.step, effect)?;
        }
        ancestors.insert(step.step, before);
    }
    Ok(())
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Idle => "no network use",
            Self::Firmware => "firmware network boot",
            Self::Ipxe => "iPXE",
            Self::Plain => "a system without bond",
            Self::Bonded => "a bonded system",
        })
    }
}

impl fmt::Display for PortKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Access => "in access mode",
            Self::Lacp => "in LACP mode",
            Self::LacpFallback => "in LACP mode with fallback",
            Self::Unknown => "in a mode that Harmony does not know",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn host() -> HostId {
        HostId::derive("x", 0)
    }

    fn ports() -> Vec<PortRef> {
        ["tor/p0", "tor/p1"].iter().map(|p| p.parse().expect("valid")).collect()
    }

    fn set(mode: PortKind) -> Effect {
        Effect::Ports { host: host(), ports: ports(), mode }
    }

    fn situation(stage: Stage, mode: PortKind) -> BTreeMap<HostId, Situation> {
        let ports = ports().into_iter().map(|p| (p, mode)).collect();
        BTreeMap::from([(host(), Situation { stage, ports })])
    }

    fn run(effects: &[Effect], start: &BTreeMap<HostId, Situation>) -> Result<(), Incompatible> {
        let keys: Vec<String> = (0..effects.len()).map(|i| format!("s{i}")).collect();
        let moves: Vec<Move<'_>> = (0..effects.len())
            .map(|i| Move { step: &keys[i], after: &keys[i.saturating_sub(1)..i], effects: &effects[i..=i] })
            .collect();
        check(&moves, start)
    }

    #[test]
    fn harmonys_order_passes() {
        let order = [
            set(PortKind::Access),
            Effect::NetworkBoot { host: host() },
            Effect::DiskBoot { host: host(), bonded: true },
            set(PortKind::Lacp),
        ];
        for stage in [Stage::Idle, Stage::Plain, Stage::Bonded] {
            run(&order, &situation(stage, PortKind::Access)).expect("compatible throughout");
        }
        run(&order, &situation(Stage::Bonded, PortKind::Lacp)).expect("a bonded host is reinstalled");
    }

    #[test]
    fn the_naive_orders_are_refused() {
        let boot = Effect::NetworkBoot { host: host() };
        let up = Effect::DiskBoot { host: host(), bonded: true };
        for (name, order) in [
            ("LACP first", vec![set(PortKind::Lacp), boot.clone(), up.clone()]),
            ("flip before the host's bond", vec![boot.clone(), set(PortKind::Lacp), up.clone()]),
            ("reinstall without going back", vec![boot.clone(), up.clone(), set(PortKind::Lacp), boot]),
            ("a host that does not bond", vec![Effect::DiskBoot { host: host(), bonded: false }, set(PortKind::Lacp)]),
        ] {
            let error = run(&order, &situation(Stage::Plain, PortKind::Access)).expect_err(name);
            assert!(error.to_string().contains("tor/p0"), "{name}: {error}");
        }
    }

    #[test]
    fn two_steps_on_one_host_need_an_order() {
        let effects = [[set(PortKind::Access)], [Effect::NetworkBoot { host: host() }]];
        let moves = [
            Move { step: "a", after: &[], effects: &effects[0] },
            Move { step: "b", after: &[], effects: &effects[1] },
        ];
        let error = check(&moves, &situation(Stage::Idle, PortKind::Access)).expect_err("unordered");
        assert!(matches!(error, Incompatible::Unordered { .. }));
    }

    #[test]
    fn an_order_through_another_step_counts() {
        let effects = [[set(PortKind::Access)], [Effect::NetworkBoot { host: host() }]];
        let (first, middle) = (["a".to_owned()], ["m".to_owned()]);
        let moves = [
            Move { step: "a", after: &[], effects: &effects[0] },
            Move { step: "m", after: &first, effects: &[] },
            Move { step: "b", after: &middle, effects: &effects[1] },
        ];
        check(&moves, &situation(Stage::Idle, PortKind::Lacp)).expect("a before m before b");
    }

    proptest! {
        /// Whatever passes the check never has a plain or firmware stage behind a closed LACP port.
        #[test]
        fn what_passes_is_safe(choice in proptest::collection::vec(0..5u8, 0..12)) {
            let effects: Vec<Effect> = choice.iter().map(|c| match c {
                0 => set(PortKind::Access),
                1 => set(PortKind::Lacp),
                2 => Effect::NetworkBoot { host: host() },
                3 => Effect::DiskBoot { host: host(), bonded: true },
                _ => Effect::DiskBoot { host: host(), bonded: false },
            }).collect();
            if run(&effects, &situation(Stage::Plain, PortKind::Access)).is_ok() {
                let (mut lacp, mut needs_access) = (false, true);
                for effect in &effects {
                    match effect {
                        Effect::Ports { mode, .. } => lacp = *mode == PortKind::Lacp,
                        Effect::NetworkBoot { .. } => { prop_assert!(!lacp); needs_access = true; }
                        Effect::DiskBoot { bonded, .. } => needs_access = !bonded,
                    }
                    prop_assert!(!(lacp && needs_access));
                }
            }
        }
    }
}
