//! What is ordered: which disks, by the names that they carry themselves, and whether boot entries go too.
//!
//! Kernel names such as `sda` are no names here: they change from boot to boot.

use std::fmt;
use std::str::FromStr;

/// What stands before a WWN in `--disk`.
const WWN: &str = "wwn:";

/// An order to wipe disks. Nothing that it does not name is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The disks, in the order in which they are wiped.
    pub disks: Vec<DiskName>,
    /// Whether boot entries of the firmware that start from these disks are removed.
    pub boot_entries: bool,
}

/// By what a disk is named. Compared to what the report says, letter for letter.
///
/// Written as `SERIAL`, or as `wwn:0x5000c500a1b2c3d4` (and `wwn:eui.…` and the like of NVMe).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskName {
    /// Its serial.
    Serial(String),
    /// Its World Wide Name, for a disk that has no serial.
    Wwn(String),
}

/// Names no disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is blank, or has a control character")]
pub struct DiskNameError;

impl FromStr for DiskName {
    type Err = DiskNameError;

    fn from_str(text: &str) -> Result<Self, DiskNameError> {
        let (name, make): (_, fn(String) -> Self) = match text.strip_prefix(WWN) {
            Some(wwn) => (wwn, Self::Wwn),
            None => (text, Self::Serial),
        };
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            return Err(DiskNameError);
        }
        Ok(make(name.to_owned()))
    }
}

impl fmt::Display for DiskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial(serial) => f.write_str(serial),
            Self::Wwn(wwn) => write!(f, "{WWN}{wwn}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_serial_or_a_wwn() {
        let cases = [
            ("ZC1Q2ABD", Ok(DiskName::Serial("ZC1Q2ABD".into()))),
            ("QM00001 B", Ok(DiskName::Serial("QM00001 B".into()))),
            ("wwn:0x5000c500a1b2c3d4", Ok(DiskName::Wwn("0x5000c500a1b2c3d4".into()))),
            ("WWN:0x5000", Ok(DiskName::Serial("WWN:0x5000".into()))),
            ("", Err(DiskNameError)),
            ("  ", Err(DiskNameError)),
            ("wwn:", Err(DiskNameError)),
            ("A\nB", Err(DiskNameError)),
            ("\u{1b}[2J", Err(DiskNameError)),
        ];
        for (text, expected) in cases {
            let name = text.parse::<DiskName>();
            assert_eq!(name, expected, "{text:?}");
            if let Ok(name) = name {
                assert_eq!(name.to_string(), text);
            }
        }
    }
}
