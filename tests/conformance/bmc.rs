//! The contract of [`Bmc`].

use harmony_core::capability::{Bmc, BootDevice, PowerAction, PowerState};
use harmony_core::host::{BmcId, Firmware};
use tokio::time::timeout;

use crate::CUTS;

/// A BMC whose machine is off at first.
pub(crate) trait Rig {
    /// The driver.
    fn bmc(&self) -> impl Bmc;
    /// Its name.
    fn id(&self) -> BmcId;
    /// How many changes were sent to it.
    fn writes(&self) -> usize;
}

pub(crate) async fn point_1_reads_change_nothing(rig: &impl Rig) {
    let (bmc, id) = (rig.bmc(), rig.id());
    let uuid = bmc.system_uuid(&id).await.expect("read");
    for _ in 0..2 {
        assert_eq!(bmc.power_state(&id).await.expect("read"), PowerState::Off);
        assert_eq!(bmc.system_uuid(&id).await.expect("read"), uuid);
    }
    assert!(!bmc.power_commands(&id, PowerAction::On, BootDevice::Network, None).is_empty());
    assert_eq!(rig.writes(), 0);
}

pub(crate) async fn point_2_uefi_is_asked_for(rig: &impl Rig) {
    let (bmc, id) = (rig.bmc(), rig.id());
    let commands = |firmware| bmc.power_commands(&id, PowerAction::Restart, BootDevice::Network, Some(firmware));
    assert_ne!(commands(Firmware::Uefi), commands(Firmware::Bios));
    for device in [BootDevice::Network, BootDevice::Disk, BootDevice::Network] {
        bmc.set_next_boot(&id, device, Some(Firmware::Uefi)).await.expect("set");
    }
    assert!(rig.writes() > 0);
    assert_eq!(bmc.power_state(&id).await.expect("read"), PowerState::Off, "it is set, not booted");
}

pub(crate) async fn point_3_power_is_as_asked(rig: &impl Rig) {
    let (bmc, id) = (rig.bmc(), rig.id());
    for (action, state) in [
        (PowerAction::Off, PowerState::Off),
        (PowerAction::On, PowerState::On),
        (PowerAction::On, PowerState::On),
        (PowerAction::Restart, PowerState::On),
        (PowerAction::Off, PowerState::Off),
        (PowerAction::Off, PowerState::Off),
    ] {
        bmc.power(&id, action).await.expect("accepted");
        assert_eq!(bmc.power_state(&id).await.expect("read"), state, "after {action:?}");
    }
}

pub(crate) async fn point_3_a_restart_switches_on(rig: &impl Rig) {
    let (bmc, id) = (rig.bmc(), rig.id());
    bmc.power(&id, PowerAction::Restart).await.expect("accepted");
    assert_eq!(bmc.power_state(&id).await.expect("read"), PowerState::On);
}

pub(crate) async fn point_4_what_was_cut_off_can_be_repeated(rig: &impl Rig) {
    let (bmc, id) = (rig.bmc(), rig.id());
    for cut in CUTS {
        let _ = timeout(cut, bmc.set_next_boot(&id, BootDevice::Network, Some(Firmware::Uefi))).await;
        bmc.set_next_boot(&id, BootDevice::Network, Some(Firmware::Uefi)).await.expect("set");
        let _ = timeout(cut, bmc.power(&id, PowerAction::On)).await;
        bmc.power(&id, PowerAction::On).await.expect("accepted");
        assert_eq!(bmc.power_state(&id).await.expect("read"), PowerState::On, "cut off after {cut:?}");
        bmc.power(&id, PowerAction::Off).await.expect("accepted");
        assert_eq!(bmc.power_state(&id).await.expect("read"), PowerState::Off);
    }
}
