//! What `ipmitool` prints: power state, GUID, and why it failed.
//!
//! Owns the texts of ipmitool 1.8.19 run with `-v`; without it, a wrong password and a BMC that is
//! not there print the same line. Unknown texts are kept, never taken for an answer.

use harmony_core::capability::PowerState;
use harmony_core::error::FailureKind;
use uuid::Uuid;

use crate::transport::process::ProcessError;

/// Characters kept of a text that is only shown.
const MAX_TEXT_CHARS: usize = 120;

/// Reads `chassis power status`.
pub(super) fn power(stdout: &str) -> PowerState {
    match stdout.trim() {
        "Chassis Power is on" => PowerState::On,
        "Chassis Power is off" => PowerState::Off,
        other => PowerState::Unrecognised(other.chars().take(MAX_TEXT_CHARS).flat_map(char::escape_default).collect()),
    }
}

/// Reads `mc guid`: the UUID as printed.
///
/// IPMI sends the bytes of a GUID in reverse (IPMI 2.0 section 20.8), SMBIOS has the first three
/// fields little-endian, and many BMCs send the SMBIOS bytes unchanged. ipmitool guesses which it was
/// by the version digit. So what is printed may differ from what the host says of itself, in the
/// order of the first three fields or of all bytes.
pub(super) fn guid(stdout: &str) -> Option<Uuid> {
    let value = |line: &str| Some(line.strip_prefix("System GUID")?.trim_start().strip_prefix(':')?.trim().to_owned());
    let uuid: Uuid = stdout.lines().find_map(value)?.parse().ok()?;
    Some(uuid).filter(|uuid| !uuid.is_nil() && !uuid.is_max())
}

/// Why ipmitool failed, in words of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The BMC proved to know another password.
    WrongPassword,
    /// The BMC does not know the user, or not with this privilege.
    WrongUser,
    /// The BMC does not do this cipher suite.
    CipherSuite,
    /// The BMC does not speak IPMI 2.0 over LAN.
    OldProtocol,
    /// The BMC has no session or time left for us.
    Busy,
    /// Nothing answers there.
    NoAnswer,
    /// The BMC does not have this command.
    NoSuchCommand,
    /// Anything else.
    Other,
}

impl Failure {
    /// Reads what ipmitool said on standard error.
    pub(super) fn of(error: &ProcessError) -> Self {
        let said = error.stderr();
        let has = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
        if error.kind() == FailureKind::Unreachable {
            Self::NoAnswer
        } else if said.is_empty() {
            Self::Other
        } else if has(&["RAKP 2 HMAC is invalid", "RAKP 4 message has invalid integrity check value"]) {
            Self::WrongPassword
        } else if has(&["unauthorized name", "unauthorized role", "insufficient privilege", "Insufficient privilege"]) {
            Self::WrongUser
        } else if has(&[
            "invalid authentication algorithm",
            "invalid integrity algorithm",
            "invalid confidentiality algorithm",
            "no matching cipher suite",
            "No supported cipher suite",
        ]) {
            Self::CipherSuite
        } else if has(&[
            "insufficient resources",
            "Node busy",
            "Out of space",
            "Command response could not be provided",
            ": Timeout",
        ]) {
            Self::Busy
        } else if has(&["does not support IPMI v2"]) {
            Self::OldProtocol
        } else if has(&["IPMI command failed: Invalid command"]) {
            Self::NoSuchCommand
        } else if has(&[
            "Get Auth Capabilities error",
            "Could not open socket",
            "Address lookup",
            "Unable to establish IPMI v2 / RMCP+ session",
        ]) {
            Self::NoAnswer
        } else {
            Self::Other
        }
    }

    /// What it means for a retry.
    pub(super) fn kind(self, error: &ProcessError) -> FailureKind {
        match self {
            Self::WrongPassword | Self::WrongUser | Self::CipherSuite | Self::OldProtocol | Self::NoSuchCommand => {
                FailureKind::Rejected
            }
            Self::Busy => FailureKind::Transient,
            Self::NoAnswer => FailureKind::Unreachable,
            Self::Other => error.kind(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_states() {
        assert_eq!(power("Chassis Power is on\n"), PowerState::On);
        assert_eq!(power("Chassis Power is off\n"), PowerState::Off);
        assert_eq!(power("Chassis Power is \u{1b}\n"), PowerState::Unrecognised("Chassis Power is \\u{1b}".into()));
    }

    #[test]
    fn guids() {
        let printed =
            "System GUID   : efcdab89-6745-23a1-efcd-ab89674523a1\nGUID Encoding : IPMI\nGUID Version  : DCE\n";
        assert_eq!(guid(printed).expect("a UUID").to_string(), "efcdab89-6745-23a1-efcd-ab89674523a1");
        for nothing in [
            "",
            "System GUID   : 00000000-0000-0000-0000-000000000000\n",
            "System GUID   : n/a\n",
            "GUID Encoding : IPMI",
        ] {
            assert_eq!(guid(nothing), None, "{nothing}");
        }
    }

    /// Texts as ipmitool 1.8.19 printed them.
    #[test]
    fn failures_as_recorded() {
        let of = |stderr: &str| {
            Failure::of(&ProcessError::Failed {
                program: "ipmitool".into(),
                status: "exit status: 1".into(),
                stderr: stderr.into(),
            })
        };
        let end = "Error: Unable to establish IPMI v2 / RMCP+ session";
        for (said, failure) in [
            ("> RAKP 2 HMAC is invalid", Failure::WrongPassword),
            ("RAKP 2 message indicates an error : unauthorized name", Failure::WrongUser),
            ("Error in open session response message : invalid authentication algorithm", Failure::CipherSuite),
            ("Error in open session response message : insufficient resources for session", Failure::Busy),
            (
                "Get Auth Capabilities error; Error issuing Get Channel Authentication Capabilities request",
                Failure::NoAnswer,
            ),
            ("Address lookup for nohost.invalid failed; Could not open socket!", Failure::NoAnswer),
            ("", Failure::NoAnswer),
        ] {
            assert_eq!(of(&format!("Loading IANA PEN Registry...; {said}; {end}")), failure, "{said}");
        }
        // From `eval_ccode` of its source.
        assert_eq!(of("IPMI command failed: Invalid command"), Failure::NoSuchCommand);
        // Each successful run says this too.
        assert_eq!(
            of("Invalid completion code received: Invalid command; Set Chassis Power Control to On failed"),
            Failure::Other
        );
    }
}
