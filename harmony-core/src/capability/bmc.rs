//! Baseboard management controllers: power and the next boot.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{DeviceError, DeviceResult, FailureKind};
use crate::host::{BmcId, Firmware};

/// Power of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerState {
    /// On.
    On,
    /// Off.
    Off,
    /// Anything else, in the device's own words.
    Unrecognised(String),
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("on"),
            Self::Off => f.write_str("off"),
            Self::Unrecognised(text) => write!(f, "unrecognised: {text}"),
        }
    }
}

/// What to do with the power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerAction {
    /// Switch on; nothing if it is on.
    On,
    /// Switch off at once; nothing if it is off.
    Off,
    /// Restart at once; switch on if it is off.
    Restart,
}

/// Where to boot from next time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootDevice {
    /// The network.
    Network,
    /// The disk.
    Disk,
}

/// BMCs of a site.
///
/// Contract:
/// 1. Reads change nothing.
/// 2. `set_next_boot` holds for one boot. With `Firmware::Uefi` it asks for a UEFI boot.
/// 3. `power` returns when the BMC has accepted the request and `power_state` agrees, where the
///    BMC can tell; `Restart` of a machine that is off switches it on.
/// 4. After an error of kind `Unreachable` the request may have taken effect.
#[async_trait]
pub trait Bmc: Send + Sync {
    /// The BMCs there are.
    fn bmcs(&self) -> Vec<BmcId>;
    /// The UUID of the system behind it, as the BMC tells it; its byte order is not to be relied on.
    async fn system_uuid(&self, bmc: &BmcId) -> DeviceResult<Option<Uuid>>;
    /// Power state.
    async fn power_state(&self, bmc: &BmcId) -> DeviceResult<PowerState>;
    /// Switches power.
    async fn power(&self, bmc: &BmcId, action: PowerAction) -> DeviceResult<()>;
    /// Sets the device for the next boot only.
    async fn set_next_boot(&self, bmc: &BmcId, device: BootDevice, firmware: Option<Firmware>) -> DeviceResult<()>;
    /// The commands that `set_next_boot` and then `power` would send, for the plan.
    fn power_commands(
        &self,
        bmc: &BmcId,
        action: PowerAction,
        device: BootDevice,
        firmware: Option<Firmware>,
    ) -> Vec<String>;
}

/// The BMCs of a site behind one [`Bmc`].
#[derive(Clone, Default)]
pub struct BmcSet(BTreeMap<BmcId, Arc<dyn Bmc>>);

impl BmcSet {
    /// Adds a BMC.
    pub fn insert(&mut self, id: BmcId, bmc: Arc<dyn Bmc>) {
        self.0.insert(id, bmc);
    }

    fn get(&self, id: &BmcId) -> DeviceResult<&Arc<dyn Bmc>> {
        self.0.get(id).ok_or_else(|| {
            DeviceError::new(FailureKind::Invalid, format!("no BMC `{id}` in this site"))
                .hint("add it to the site file")
        })
    }
}

#[async_trait]
impl Bmc for BmcSet {
    fn bmcs(&self) -> Vec<BmcId> {
        self.0.keys().cloned().collect()
    }

    async fn system_uuid(&self, bmc: &BmcId) -> DeviceResult<Option<Uuid>> {
        self.get(bmc)?.system_uuid(bmc).await
    }

    async fn power_state(&self, bmc: &BmcId) -> DeviceResult<PowerState> {
        self.get(bmc)?.power_state(bmc).await
    }

    async fn power(&self, bmc: &BmcId, action: PowerAction) -> DeviceResult<()> {
        self.get(bmc)?.power(bmc, action).await
    }

    async fn set_next_boot(&self, bmc: &BmcId, device: BootDevice, firmware: Option<Firmware>) -> DeviceResult<()> {
        self.get(bmc)?.set_next_boot(bmc, device, firmware).await
    }

    fn power_commands(
        &self,
        bmc: &BmcId,
        action: PowerAction,
        device: BootDevice,
        firmware: Option<Firmware>,
    ) -> Vec<String> {
        self.0.get(bmc).map(|b| b.power_commands(bmc, action, device, firmware)).unwrap_or_default()
    }
}
