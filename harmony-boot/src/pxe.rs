//! The capability `PxeServer` for a boot server that reads the same store: writing the store is all.

use async_trait::async_trait;
use harmony_core::capability::{BootEntry, PxeServer};
use harmony_core::error::{DeviceError, DeviceResult};
use harmony_core::host::HostId;
use harmony_core::store::{SharedStore, StoreError};

/// A boot server's entries, in the store that it serves from. The server need not run, nor be in
/// this process.
#[derive(Clone)]
pub struct StorePxe(SharedStore);

impl StorePxe {
    /// The boot server that serves from this store.
    #[must_use]
    pub fn new(store: SharedStore) -> Self {
        Self(store)
    }
}

fn failed(operation: String) -> impl FnOnce(StoreError) -> DeviceError {
    move |error| DeviceError::new(error.kind(), operation).because(error)
}

#[async_trait]
impl PxeServer for StorePxe {
    async fn boot_entries(&self) -> DeviceResult<Vec<BootEntry>> {
        self.0.boot_entries().await.map_err(failed("failed to read the boot entries".into()))
    }

    async fn set_boot_entry(&self, entry: &BootEntry) -> DeviceResult<()> {
        let wanted = self.0.set_boot_entry(entry).await;
        wanted.map_err(failed(format!("failed to set the boot entry of {}", entry.host)))
    }

    async fn remove_boot_entry(&self, host: &HostId) -> DeviceResult<()> {
        self.0.remove_boot_entry(host).await.map_err(failed(format!("failed to remove the boot entry of {host}")))
    }
}
