//! The count of what was written to devices.
//!
//! Owns only the list; each driver adds to it just before a change is sent, whether or not the
//! change succeeds. Reads are never in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// One change that was sent to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The driver, `openvswitch`.
    pub driver: &'static str,
    /// The device, as the site file names it.
    pub device: String,
    /// What was sent, without secrets.
    pub command: String,
}

/// All changes sent to devices through the drivers that share this log. Clones share the list.
#[derive(Debug, Clone, Default)]
pub struct WriteLog(Arc<Mutex<Vec<Write>>>);

impl WriteLog {
    /// Notes a change that is about to be sent. `command` must not carry secrets.
    pub fn record(&self, driver: &'static str, device: impl Into<String>, command: impl Into<String>) {
        let write = Write { driver, device: device.into(), command: command.into() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(write);
    }

    /// Everything that was sent, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Write> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many changes each driver sent; drivers that sent none are absent.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for write in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            *counts.entry(write.driver).or_default() += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_list_and_counts_are_per_driver() {
        let log = WriteLog::default();
        let other = log.clone();
        log.record("ipmi", "node-a", "chassis power on");
        other.record("ipmi", "node-b", "chassis power on");
        other.record("dnsmasq", "ctl0", "write hosts/node-a");
        assert_eq!(log.counts(), BTreeMap::from([("dnsmasq", 1), ("ipmi", 2)]));
        assert_eq!(log.entries()[1].device, "node-b");
    }
}
