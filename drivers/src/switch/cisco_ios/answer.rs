//! Whether an answer is a refusal. IOS has no status of a command: what it prints is all there is.

use crate::transport::cli::quoted;

/// Notes that begin like refusals and are none. The first warns of loops, of which there are none
/// behind a port of a host.
const NOTES: &[&str] = &["%Warning:", "% Warning:", "%Portfast has been configured", "%Portfast will be configured"];
/// Refusals that begin otherwise.
const REFUSALS: &[&str] = &["Command rejected", "ERROR:", "Error:"];

/// The refusal in what a command printed, as the device says it.
pub(super) fn refusal(lines: &[String]) -> Option<String> {
    let is_refusal = |line: &&str| {
        let begins = |with: &&str| line.starts_with(with);
        REFUSALS.iter().any(begins) || (line.starts_with('%') && !NOTES.iter().any(begins) && !is_message(line))
    };
    lines.iter().map(|line| line.trim()).find(is_refusal).map(quoted)
}

/// A message of the log, `%LINK-3-UPDOWN: …`, which may come between any two lines.
/// Source: Cisco IOS System Message Guide, "Format of system messages".
fn is_message(line: &str) -> bool {
    let Some((head, _)) = line[1..].split_once(':') else { return false };
    let mut parts = head.rsplitn(3, '-');
    let (mnemonic, severity, facility) = (parts.next(), parts.next(), parts.next());
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
    };
    severity.is_some_and(|digit| matches!(digit.as_bytes(), [b'0'..=b'7']))
        && mnemonic.is_some_and(is_word)
        && facility.is_some_and(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_notes_and_messages() {
        for (text, is_refused) in [
            ("                ^\n% Invalid input detected at '^' marker.\n", true),
            ("% Ambiguous command:  \"s\"", true),
            ("% Incomplete command.", true),
            ("% Access VLAN does not exist. Creating vlan 10", true),
            ("%Error: no archive", true),
            ("Command rejected: Gi1/0/1 not a switching port.", true),
            ("%Please turn config archive on", true),
            ("%Warning: portfast should only be enabled on ports connected to a single\n host. Connecting hubs", false),
            ("%Portfast has been configured on GigabitEthernet1/0/1 but will only\n have effect", false),
            ("%LINK-3-UPDOWN: Interface GigabitEthernet1/0/1, changed state to up", false),
            ("%EC-SW1_SP-5-BUNDLE: Gi1/0/1 joined port-channel Po1", false),
            ("Creating a port-channel interface Port-channel 1", false),
            ("", false),
        ] {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            assert_eq!(refusal(&lines).is_some(), is_refused, "{text}");
        }
    }
}
