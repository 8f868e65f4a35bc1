//! Baseboard management controllers: power and the next boot, with what each vendor's does its own way.
//!
//! The vendors' habits are predicates of [`BmcPersonality`]; a front that speaks a BMC's protocol shows them
//! as that BMC does. The capability, here, does what a good driver does about them: it waits, and states
//! everything that it wants each time. Source: OpenStack `sushy` `resources/system/system.py`, `ironic`
//! `drivers/modules/redfish/{management,power}.py`; IPMI 2.0 section 28.12.

use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{Bmc, BootDevice, PowerAction, PowerState};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::host::{BmcId, Firmware};
use uuid::Uuid;

use crate::machine::{Cause, NextBoot};
use crate::spec::BmcPersonality;
use crate::topology::SimTopology;
use crate::world::{Shared, State};

/// What a driver waits before it asks a busy BMC again …
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// … and how often it does.
const PATIENCE: u32 = 30;

impl BmcPersonality {
    /// Tells the system's UUID with its first three groups in the other byte order than SMBIOS.
    pub(crate) fn swaps_uuid(self) -> bool {
        self == Self::Supermicro
    }

    /// Refuses a boot device while the machine tests itself: `UnableToModifyDuringSystemPOST`.
    pub(crate) fn refuses_boot_during_post(self) -> bool {
        self == Self::Ilo
    }

    /// How long it refuses everything after a boot device was set: `SYS518`, a job is running.
    pub(crate) fn job_time(self) -> Duration {
        Duration::from_secs(if self == Self::Idrac { 4 } else { 0 })
    }

    /// How long after switching off it refuses to switch on: 409, `ActionParameterValueConflict`.
    pub(crate) fn off_time(self) -> Duration {
        Duration::from_secs(if self == Self::Idrac { 5 } else { 0 })
    }

    /// Whether it can restart a machine that is off. Those that cannot want to be asked to switch it on.
    pub(crate) fn restarts_when_off(self) -> bool {
        matches!(self, Self::Generic | Self::Supermicro)
    }

    /// Whether a boot device that is set without saying for how long stays set for ever.
    pub(crate) fn boot_device_sticks_unless_told(self) -> bool {
        self == Self::Supermicro
    }

    /// How long a boot device stays set while the machine is not restarted.
    pub(crate) fn boot_device_lasts(self) -> Option<Duration> {
        (self == Self::Supermicro).then_some(Duration::from_secs(60))
    }
}

/// Why a BMC refuses a request for the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Busy {
    /// The machine tests itself.
    Post,
    /// A job of its own is running.
    Job,
    /// The machine was switched off just now.
    JustOff,
}

impl Busy {
    /// In words.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Post => "the system is in POST",
            Self::Job => "a job is running",
            Self::JustOff => "the system was switched off just now",
        }
    }
}

impl State {
    /// The machine behind a BMC.
    pub(crate) fn behind(&self, bmc: &BmcId) -> DeviceResult<usize> {
        let found = self.index.bmcs.get(bmc).copied();
        found.ok_or_else(|| DeviceError::new(FailureKind::Invalid, format!("no BMC `{bmc}` in this site")))
    }

    /// The UUID of a machine, as its BMC tells it.
    pub(crate) fn bmc_uuid(&self, id: usize) -> Uuid {
        let machine = &self.machines[id];
        if !machine.bmc_personality.swaps_uuid() {
            return machine.uuid;
        }
        Uuid::from_bytes_le(machine.uuid.into_bytes())
    }

    /// Why a machine's BMC would refuse a boot device now.
    pub(crate) fn refuses_boot_device(&self, id: usize, now: Duration) -> Option<Busy> {
        let machine = &self.machines[id];
        let is_in_post = machine.is_on() && machine.in_post;
        let post = (is_in_post && machine.bmc_personality.refuses_boot_during_post()).then_some(Busy::Post);
        post.or((now < machine.bmc_busy_until).then_some(Busy::Job))
    }

    /// Why a machine's BMC would refuse this change of power now.
    pub(crate) fn refuses_power(&self, id: usize, action: PowerAction, now: Duration) -> Option<Busy> {
        let machine = &self.machines[id];
        let ready_at = machine.switched_off_at.map(|at| at + machine.bmc_personality.off_time());
        let is_early = !machine.is_on() && action != PowerAction::Off && ready_at.is_some_and(|at| now < at);
        let job = (now < machine.bmc_busy_until).then_some(Busy::Job);
        job.or(is_early.then_some(Busy::JustOff))
    }

    /// Sets the boot device of a machine, or none.
    pub(crate) fn set_next_boot(&mut self, id: usize, device: Option<BootDevice>, sticks: bool, now: Duration) {
        let machine = &mut self.machines[id];
        machine.next_boot = device.map(|device| NextBoot { device, sticks, since: now });
        machine.bmc_busy_until = now + machine.bmc_personality.job_time();
    }

    /// The boot device that a machine's BMC says is set.
    pub(crate) fn next_boot(&self, id: usize, now: Duration) -> Option<NextBoot> {
        let machine = &self.machines[id];
        let lasts = machine.bmc_personality.boot_device_lasts();
        machine.next_boot.filter(|next| next.sticks || lasts.is_none_or(|lasts| now < next.since + lasts))
    }

    /// A machine's firmware asks what to start from; it is told once.
    pub(crate) fn take_next_boot(&mut self, id: usize, now: Duration) -> Option<BootDevice> {
        let next = self.next_boot(id, now);
        let name = &self.machines[id].name;
        let is_ignored = next.is_some() && self.faults.ignores_boot_device(name);
        let is_kept = next.is_some_and(|next| next.sticks || self.faults.keeps_boot_device(name));
        self.machines[id].next_boot = next.filter(|_| is_kept);
        next.filter(|_| !is_ignored).map(|next| next.device)
    }
}

impl Shared {
    /// Changes a machine's power as its BMC is told to; the rules are watched.
    pub(crate) async fn bmc_power(&self, id: usize, action: PowerAction) {
        self.check_power(id, action, "power by BMC").await;
        let now = self.now();
        self.with(|state| state.switch_power(id, action, Cause::Harmony, now));
    }

    /// Waits while a BMC refuses, as a driver does.
    async fn until_ready(
        &self,
        bmc: &BmcId,
        refuses: impl Fn(&State, usize, Duration) -> Option<Busy>,
    ) -> DeviceResult<usize> {
        self.log_in("bmc", bmc.as_str())?;
        let id = self.with(|state| state.behind(bmc))?;
        for _ in 0..PATIENCE {
            let now = self.now();
            let Some(busy) = self.with(|state| refuses(state, id, now)) else { return Ok(id) };
            self.note(&format!("bmc {bmc}: refuses for now: {}", busy.as_str()));
            self.sleep(ASK_AGAIN).await;
        }
        Err(DeviceError::new(FailureKind::Transient, format!("BMC {bmc} stays busy")))
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
        self.world().with(|state| state.index.bmcs.keys().cloned().collect())
    }

    async fn system_uuid(&self, bmc: &BmcId) -> DeviceResult<Option<Uuid>> {
        self.world().ask().await;
        self.world().log_in("bmc", bmc.as_str())?;
        self.world().with(|state| Ok(Some(state.bmc_uuid(state.behind(bmc)?))))
    }

    async fn power_state(&self, bmc: &BmcId) -> DeviceResult<PowerState> {
        self.world().ask().await;
        self.world().log_in("bmc", bmc.as_str())?;
        self.world().with(|state| {
            let is_on = state.machines[state.behind(bmc)?].is_on();
            Ok(if is_on { PowerState::On } else { PowerState::Off })
        })
    }

    async fn power(&self, bmc: &BmcId, action: PowerAction) -> DeviceResult<()> {
        let id = self.world().until_ready(bmc, |state, id, now| state.refuses_power(id, action, now)).await?;
        let effect = async {
            self.world().bmc_power(id, action).await;
            Ok(())
        };
        self.world().write("bmc", bmc.as_str(), power_command(action), effect).await
    }

    async fn set_next_boot(&self, bmc: &BmcId, device: BootDevice, firmware: Option<Firmware>) -> DeviceResult<()> {
        let id = self.world().until_ready(bmc, State::refuses_boot_device).await?;
        let effect = async {
            let now = self.world().now();
            self.world().with(|state| state.set_next_boot(id, Some(device), false, now));
            Ok(())
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
