//! What is written down: the log, the writes to devices, the writes to disks.

use std::fmt;
use std::time::Duration;

use harmony_core::boot::OrderId;
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};

use super::{Shared, State};
use crate::faults::{LATE, WriteFault};

/// One write call on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// When the device got it, in virtual time since the beginning.
    pub at: Duration,
    /// What sort of device: `switch`, `bmc`, `dhcp`, `pxe`, `host`, `dns`, `load-balancer`, `installer`, `assets`,
    /// `cluster`.
    pub driver: &'static str,
    /// The device, as the site names it.
    pub device: String,
    /// What it was told.
    pub command: String,
    /// What a fault made of it, if one was injected.
    pub fault: Option<WriteFault>,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.driver, self.device, self.command)?;
        self.fault.map_or(Ok(()), |fault| write!(f, " [{fault}]"))
    }
}

/// One installation that wrote to a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskWrite {
    /// When, in virtual time since the beginning.
    pub at: Duration,
    /// The machine, by the name in its spec.
    pub machine: String,
    /// The disk's serial number; empty for one that tells none.
    pub serial: String,
    /// The order that the installer had, if any.
    pub order: Option<OrderId>,
}

impl State {
    /// Adds a line to the log.
    pub(crate) fn note(&mut self, now: Duration, line: &str) {
        if !self.keeps_log {
            return;
        }
        self.log.push(format!("{:>9}.{:03} {line}", now.as_secs(), now.subsec_millis()));
    }
}

impl Shared {
    /// Sends one write to a device: it takes time, is recorded when it gets there, and whatever
    /// fault waits for it happens. `effect` is what it does; it is not run if the write gets lost.
    pub(crate) async fn write<T>(
        &self,
        driver: &'static str,
        device: &str,
        command: String,
        effect: impl Future<Output = DeviceResult<T>> + Send,
    ) -> DeviceResult<T> {
        let half = self.timing.device / 2;
        self.sleep(half).await;
        let (now, target) = (self.now(), format!("{driver}/{device}"));
        let fault = self.with(|state| {
            let fault = state.faults.on_write(&target);
            let write = Write { at: now, driver, device: device.to_owned(), command: command.clone(), fault };
            state.note(now, &write.to_string());
            state.writes.push(write);
            fault
        });
        let silence = || {
            DeviceError::new(FailureKind::Unreachable, format!("failed to send `{command}` to {target}"))
                .because("the connection was lost before an answer came")
        };
        match fault {
            Some(WriteFault::FailBefore) => return Err(silence()),
            Some(WriteFault::HangBefore) => std::future::pending().await,
            Some(WriteFault::FailAfter | WriteFault::Late | WriteFault::HangAfter) | None => {}
        }
        let result = effect.await;
        match fault {
            Some(WriteFault::FailAfter) => return Err(silence()),
            Some(WriteFault::HangAfter) => std::future::pending().await,
            Some(WriteFault::Late) => self.sleep(LATE).await,
            Some(WriteFault::FailBefore | WriteFault::HangBefore) | None => {}
        }
        self.sleep(half).await;
        result
    }

    /// A front logs in to a device, which may refuse: before each conversation, not before each command.
    pub(crate) fn log_in(&self, driver: &str, device: &str) -> DeviceResult<()> {
        let (now, target) = (self.now(), format!("{driver}/{device}"));
        self.with(|state| {
            if !state.faults.refuses_login(&target) {
                return Ok(());
            }
            state.note(now, &format!("{driver} {device}: refuses a login"));
            let what = format!("failed to log in to {target}");
            Err(DeviceError::new(FailureKind::Rejected, what).because("authentication failed"))
        })
    }

    /// The time that a question to a device takes.
    pub(crate) async fn ask(&self) {
        self.sleep(self.timing.device).await;
    }
}
