//! Which reset does what is asked: pure.

use harmony_core::capability::{PowerAction, PowerState};

use super::resource::shown;

/// Longest power state that is shown, in characters.
const MAX_STATE_CHARS: usize = 60;

/// Reads `PowerState`.
pub(super) fn state(text: Option<&str>) -> PowerState {
    match text {
        Some("On") => PowerState::On,
        Some("Off") => PowerState::Off,
        Some(other) => PowerState::Unrecognised(shown(other, MAX_STATE_CHARS)),
        None => PowerState::Unrecognised("not told".to_owned()),
    }
}

/// Whether the power is on its way: `PoweringOn`, `PoweringOff`. Source: DSP8010 `Resource.PowerState`.
pub(super) fn is_changing(state: &PowerState) -> bool {
    matches!(state, PowerState::Unrecognised(text) if text == "PoweringOn" || text == "PoweringOff")
}

/// A reset to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reset {
    /// `ResetType`.
    pub(super) kind: &'static str,
    /// The state that it leads to.
    pub(super) leads_to: PowerState,
}

impl Reset {
    /// Whether the power state shows that it was done; a restart it does not show.
    pub(super) fn is_absolute(&self) -> bool {
        matches!(self.kind, "On" | "ForceOn" | "ForceOff")
    }
}

/// The BMC has no reset that does what is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the BMC offers no reset of type {wanted}, only {offered}")]
pub(super) struct NotOffered {
    wanted: String,
    offered: String,
}

/// The reset that does this to a machine in that state; none where there is nothing to do. Without
/// `allowed` the BMC does not say what it can, and the standard's own type is tried.
///
/// What is off is switched on: `ForceRestart` of a machine that is off fails on many.
/// Source: DSP8010 `Resource.ResetType`; openstack/ironic `drivers/modules/redfish/power.py`.
pub(super) fn choose(
    action: PowerAction,
    state: &PowerState,
    allowed: Option<&[String]>,
) -> Result<Option<Reset>, NotOffered> {
    let (kinds, leads_to): (&[&'static str], _) = match (action, state) {
        (PowerAction::On, PowerState::On) | (PowerAction::Off, PowerState::Off) => return Ok(None),
        (PowerAction::On, _) | (PowerAction::Restart, PowerState::Off) => {
            (&["On", "ForceOn", "PushPowerButton"], PowerState::On)
        }
        (PowerAction::Off, _) => (&["ForceOff"], PowerState::Off),
        (PowerAction::Restart, _) => (&["ForceRestart", "PowerCycle"], PowerState::On),
    };
    let allows = |kind: &&&'static str| allowed.is_none_or(|allowed| allowed.iter().any(|one| one == **kind));
    match kinds.iter().find(allows) {
        Some(kind) => Ok(Some(Reset { kind, leads_to })),
        None => {
            Err(NotOffered { wanted: kinds.join(" or "), offered: shown(&allowed.unwrap_or_default().join(", "), 300) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reset_that_fits() {
        let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        let usual = words("On ForceOff GracefulShutdown ForceRestart Nmi PushPowerButton");
        let changing = state(Some("PoweringOn"));
        for (action, now, allowed, kind) in [
            (PowerAction::On, PowerState::Off, Some(&usual), Some("On")),
            (PowerAction::On, PowerState::On, Some(&usual), None),
            (PowerAction::Off, PowerState::Off, Some(&usual), None),
            (PowerAction::Off, PowerState::On, Some(&usual), Some("ForceOff")),
            (PowerAction::Off, changing.clone(), Some(&usual), Some("ForceOff")),
            (PowerAction::Restart, PowerState::On, Some(&usual), Some("ForceRestart")),
            (PowerAction::Restart, PowerState::Off, Some(&usual), Some("On")),
            (PowerAction::Restart, PowerState::On, None, Some("ForceRestart")),
            (PowerAction::Restart, PowerState::On, Some(&words("On PowerCycle")), Some("PowerCycle")),
            (PowerAction::On, PowerState::Off, Some(&words("ForceOn")), Some("ForceOn")),
            (PowerAction::On, PowerState::Off, Some(&words("PushPowerButton")), Some("PushPowerButton")),
        ] {
            let chosen = choose(action, &now, allowed.map(Vec::as_slice)).expect("offered");
            assert_eq!(chosen.map(|reset| reset.kind), kind, "{action:?} of {now} among {allowed:?}");
        }
        // As recorded of an iDRAC.
        let few = words("On GracefulRestart ForceRestart PowerCycle");
        let error = choose(PowerAction::Off, &PowerState::On, Some(&few)).expect_err("no ForceOff").to_string();
        assert_eq!(
            error,
            "the BMC offers no reset of type ForceOff, only On, GracefulRestart, ForceRestart, PowerCycle"
        );
        assert!(is_changing(&changing) && !is_changing(&state(None)));
    }
}
