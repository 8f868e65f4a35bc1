//! How much a report may say: bounds on counts and lengths, and the form of MACs and UUIDs.
//!
//! Knows the field names of [`super::v1`] only where one has a bound or a form of its own; every other
//! list and text has the general bounds, so a new field cannot be forgotten.

use serde::Serialize;
use serde_json::Value;

use super::v1::{Announcement, Report};

/// NICs of one machine.
pub const MAX_NICS: usize = 256;
/// Disks of one machine.
pub const MAX_DISKS: usize = 1024;
/// Memory modules of one machine.
pub const MAX_DIMMS: usize = 1024;
/// CPU flags.
pub const MAX_CPU_FLAGS: usize = 2048;
/// PCI functions of one machine.
pub const MAX_PCI_DEVICES: usize = 8192;
/// Facts that could not be read.
pub const MAX_UNREAD: usize = 8192;
/// Entries of any other list: partitions of a disk, addresses of a NIC, neighbours heard on it.
pub const MAX_ENTRIES: usize = 256;
/// Bytes of any text.
pub const MAX_TEXT_BYTES: usize = 4096;

/// Something in a document is outside its bounds. Paths are JSON pointers (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// A list is too long.
    #[error("{path} has {found} entries, more than the {limit} allowed")]
    TooMany {
        /// Which list.
        path: String,
        /// Its entries.
        found: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A text is too long.
    #[error("{path} has {found} bytes, more than the {MAX_TEXT_BYTES} allowed")]
    TooLong {
        /// Which text.
        path: String,
        /// Its length, in bytes.
        found: usize,
    },
    /// A text would move the cursor of a terminal or end a line of a script.
    #[error("{path} has the control character U+{code:04X}")]
    ControlCharacter {
        /// Which text.
        path: String,
        /// The character's code point.
        code: u32,
    },
    /// Not `aa:bb:cc:dd:ee:ff`.
    #[error("{path} is no MAC address in lower case: `{text}`")]
    InvalidMac {
        /// Which text.
        path: String,
        /// What it says, cut to 40 characters.
        text: String,
    },
    /// Not `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
    #[error("{path} is no UUID in lower case: `{text}`")]
    InvalidUuid {
        /// Which text.
        path: String,
        /// What it says, cut to 40 characters.
        text: String,
    },
}

/// Checks every list and text of a report.
///
/// # Errors
/// The first one found outside its bounds.
pub fn check_report(report: &Report) -> Result<(), LimitError> {
    check(report)
}

/// Checks every list and text of an announcement.
///
/// # Errors
/// The first one found outside its bounds.
pub fn check_announcement(announcement: &Announcement) -> Result<(), LimitError> {
    check(announcement)
}

fn check(document: &impl Serialize) -> Result<(), LimitError> {
    // Plain structs of strings and numbers: there is no way for this to fail.
    let document = serde_json::to_value(document).unwrap_or_default();
    walk(&mut String::new(), "", &document)
}

/// `field` is the name of the nearest object field: entries of a list are judged by the list's name.
fn walk(path: &mut String, field: &str, value: &Value) -> Result<(), LimitError> {
    let here = path.len();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                path.push('/');
                path.push_str(name);
                walk(path, name, value)?;
                path.truncate(here);
            }
        }
        Value::Array(entries) => {
            let limit = max_entries(path);
            if entries.len() > limit {
                return Err(LimitError::TooMany { path: path.clone(), found: entries.len(), limit });
            }
            for (index, value) in entries.iter().enumerate() {
                path.push_str(&format!("/{index}"));
                walk(path, field, value)?;
                path.truncate(here);
            }
        }
        Value::String(text) => check_text(path, field, text)?,
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

fn max_entries(path: &str) -> usize {
    match path {
        "/nics" | "/macs" => MAX_NICS,
        "/disks" => MAX_DISKS,
        "/memory/dimms" | "/memory/empty_slots" => MAX_DIMMS,
        "/cpu/flags" => MAX_CPU_FLAGS,
        "/pci" => MAX_PCI_DEVICES,
        "/unread" => MAX_UNREAD,
        _ => MAX_ENTRIES,
    }
}

fn check_text(path: &str, field: &str, text: &str) -> Result<(), LimitError> {
    let path = || path.to_owned();
    let excerpt = || text.chars().take(40).collect();
    if text.len() > MAX_TEXT_BYTES {
        return Err(LimitError::TooLong { path: path(), found: text.len() });
    }
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return Err(LimitError::ControlCharacter { path: path(), code: control.into() });
    }
    match field {
        "mac" | "permanent_mac" | "macs" if !is_mac(text) => {
            Err(LimitError::InvalidMac { path: path(), text: excerpt() })
        }
        "uuid" if !is_uuid(text) => Err(LimitError::InvalidUuid { path: path(), text: excerpt() }),
        _ => Ok(()),
    }
}

fn is_mac(text: &str) -> bool {
    text.len() == 17
        && text.bytes().enumerate().all(|(at, byte)| if at % 3 == 2 { byte == b':' } else { is_lower_hex(byte) })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(
            |(at, byte)| {
                if matches!(at, 8 | 13 | 18 | 23) { byte == b'-' } else { is_lower_hex(byte) }
            },
        )
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
