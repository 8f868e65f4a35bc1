//! Baseboard management controllers: one per machine that has one, each reliable unless a fault says
//! otherwise.

use async_trait::async_trait;
use harmony_core::capability::{Bmc, BootDevice, PowerAction, PowerState};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::host::{BmcId, Firmware};
use uuid::Uuid;

use crate::machine::Cause;
use crate::topology::SimTopology;
use crate::world::State;

impl State {
    /// The machine behind a BMC.
    fn behind(&self, bmc: &BmcId) -> DeviceResult<usize> {
        let found = self.machines.iter().position(|machine| machine.bmc.as_ref() == Some(bmc));
        found.ok_or_else(|| DeviceError::new(FailureKind::Invalid, format!("no BMC `{bmc}` in this site")))
    }
}

fn boot_command(device: BootDevice, firmware: Option<Firmware>) -> String {
    let device = match device {
        BootDevice::Network => "pxe",
        BootDevice::Disk => "disk",
    };
    let efi = if firmware == Some(Firmware::Uefi) { " options=efiboot" } else { "" };
    format!("chassis bootdev {device}{efi}")
}

fn power_command(action: PowerAction) -> String {
    let word = match action {
        PowerAction::On => "on",
        PowerAction::Off => "off",
        PowerAction::Restart => "reset",
    };
    format!("chassis power {word}")
}

#[async_trait]
impl Bmc for SimTopology {
    fn bmcs(&self) -> Vec<BmcId> {
        let mut bmcs: Vec<BmcId> =
            self.world().with(|state| state.machines.iter().filter_map(|m| m.bmc.clone()).collect());
        bmcs.sort();
        bmcs
    }

    async fn system_uuid(&self, bmc: &BmcId) -> DeviceResult<Option<Uuid>> {
        self.world().ask().await;
        self.world().with(|state| Ok(Some(state.machines[state.behind(bmc)?].uuid)))
    }

    async fn power_state(&self, bmc: &BmcId) -> DeviceResult<PowerState> {
        self.world().ask().await;
        self.world().with(|state| {
            let is_on = state.machines[state.behind(bmc)?].is_on();
            Ok(if is_on { PowerState::On } else { PowerState::Off })
        })
    }

    async fn power(&self, bmc: &BmcId, action: PowerAction) -> DeviceResult<()> {
        let effect = async {
            let id = self.world().with(|state| state.behind(bmc))?;
            self.world().check_power(id, action, "power by BMC").await;
            let now = self.world().now();
            self.world().with(|state| state.switch_power(id, action, Cause::Harmony, now));
            Ok(())
        };
        self.world().write("bmc", bmc.as_str(), power_command(action), effect).await
    }

    async fn set_next_boot(&self, bmc: &BmcId, device: BootDevice, firmware: Option<Firmware>) -> DeviceResult<()> {
        let effect = async {
            self.world().with(|state| {
                let id = state.behind(bmc)?;
                state.machines[id].next_boot = Some(device);
                Ok(())
            })
        };
        self.world().write("bmc", bmc.as_str(), boot_command(device, firmware), effect).await
    }

    fn power_commands(
        &self,
        _: &BmcId,
        action: PowerAction,
        device: BootDevice,
        firmware: Option<Firmware>,
    ) -> Vec<String> {
        vec![boot_command(device, firmware), power_command(action)]
    }
}
