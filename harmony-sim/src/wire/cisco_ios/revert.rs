//! The revert timer: a change that nobody confirms is taken back.
//!
//! Source: Cisco IOS Configuration Management Guide, "Configuration Rollback Confirmed Change".

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::config::Config;
use super::device::Device;

/// A change that waits to be confirmed. Its timer ends with it.
pub(super) struct Revert {
    minutes: u64,
    user: String,
    before: Config,
    timer: AbortHandle,
}

impl Drop for Revert {
    fn drop(&mut self) {
        self.timer.abort();
    }
}

impl Device {
    fn pending(&self) -> std::sync::MutexGuard<'_, Option<Revert>> {
        self.revert.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `configure terminal revert timer …`; what is printed.
    pub(super) fn begin_revert(self: &Arc<Self>, minutes: u64) -> Result<String, String> {
        if !self.personality.archive {
            return Err("%Please turn config archive on before using Rollback Confirmed Change".to_owned());
        }
        let before = self.look(|config, _| config.clone());
        let mut pending = self.pending();
        if pending.is_some() {
            return Err("%Rollback Confirmed Change is already pending".to_owned());
        }
        // The timer does not keep the device: a front that is gone reverts nothing.
        let device = Arc::downgrade(self);
        let world = Arc::clone(&self.world);
        let timer = tokio::spawn(async move {
            world.sleep(Duration::from_secs(60 * minutes)).await;
            if let Some(device) = device.upgrade() {
                device.world.note(&format!("switch {}: nobody confirmed the change", device.switch));
                drop(device.revert_now());
            }
        });
        let user = self.credentials.user.clone();
        *pending = Some(Revert { minutes, user, before, timer: timer.abort_handle() });
        Ok("Rollback Confirmed Change: Backing up current running config to flash:bk-1".to_owned())
    }

    /// `configure confirm`.
    pub(super) fn confirm(&self) -> Result<(), String> {
        self.pending().take().map(drop).ok_or_else(none_pending)
    }

    /// `configure revert now`, and what the timer does.
    pub(super) fn revert_now(&self) -> Result<String, String> {
        let revert = self.pending().take().ok_or_else(none_pending)?;
        self.restore(&revert.before);
        Ok("Rollback Confirmed Change: Rolling to: flash:bk-1\n\nTotal number of passes: 1\nRollback Done\n".to_owned())
    }

    /// `show archive config rollback timer`.
    pub(super) fn show_revert(&self) -> String {
        match &*self.pending() {
            None => none_pending(),
            Some(Revert { minutes, user, .. }) => format!(
                "Time configured(or reconfigured): {}\nTimer type: absolute timer\nTimer value: {minutes} min\nUser: {user}\n",
                self.world.timestamp()
            ),
        }
    }
}

fn none_pending() -> String {
    "%No Rollback Confirmed Change pending".to_owned()
}
