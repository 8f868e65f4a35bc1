//! What IOS prints, read: one file for each command, pure, and passing over lines that are not
//! understood, since the formats grow with every release.

pub(super) mod description;
pub(super) mod etherchannel;
pub(super) mod interfaces_status;
pub(super) mod lacp;
pub(super) mod lldp;
pub(super) mod mac_table;
pub(super) mod running;
pub(super) mod switchport;
pub(super) mod version;

#[cfg(test)]
mod vectors;

/// More entries than this are not read from one answer.
const MAX_ENTRIES: usize = 100_000;

/// Lines as a command returns them.
#[cfg(test)]
fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim_end().to_owned()).collect()
}
