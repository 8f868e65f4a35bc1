//! One body for the BMCs of all vendors.

use std::time::Duration;

use harmony_core::capability::{Bmc, BootDevice, PowerAction, PowerState};
use harmony_core::host::Firmware;
use harmony_drivers::bmc::redfish::NetworkBoot;
use harmony_sim::BmcPersonality;

use crate::rack::Rack;

const UEFI: Option<Firmware> = Some(Firmware::Uefi);

async fn identity_power_and_boot(rack: &Rack, reset: &str) {
    let (bmc, id) = (rack.bmc(), rack.id());

    // Who it is. More visits than there are sessions: each is closed again.
    for _ in 0..10 {
        assert_eq!(bmc.power_state(&id).await.expect("read"), PowerState::Off);
    }
    // In one byte order or the other.
    let (told, uuid) = (bmc.system_uuid(&id).await.expect("read").expect("told"), rack.machine().uuid);
    assert!(told == uuid || told.to_bytes_le() == uuid.into_bytes(), "{told}");
    let mut macs = rack.machine().macs;
    macs.sort_unstable();
    assert_eq!(bmc.nic_macs().await.expect("read"), macs);

    // What is so already is not sent.
    bmc.power(&id, PowerAction::Off).await.expect("is off");
    assert_eq!(rack.sent(), Vec::<String>::new());
    bmc.set_next_boot(&id, BootDevice::Network, UEFI).await.expect("set");
    let set = rack.sent();
    bmc.set_next_boot(&id, BootDevice::Network, UEFI).await.expect("is set");
    assert_eq!(rack.sent(), set);
    assert!(set.last().is_some_and(|sent| sent.starts_with("PATCH ") && sent.contains("\"Pxe\"")), "{set:?}");

    // Power, and a machine that is off and is to be restarted.
    bmc.power(&id, PowerAction::On).await.expect("comes on");
    assert!(rack.machine().powered);
    bmc.power(&id, PowerAction::On).await.expect("is on");
    bmc.power(&id, PowerAction::Restart).await.expect("restarts");
    bmc.power(&id, PowerAction::Off).await.expect("goes off");
    assert_eq!(bmc.power_state(&id).await.expect("read"), PowerState::Off);
    bmc.power(&id, PowerAction::Restart).await.expect("is switched on");
    assert!(rack.machine().powered);
    assert_eq!(rack.machine().restarts, 3);
    let resets: Vec<String> =
        rack.got().iter().filter_map(|got| Some(got.split_once("ResetType\":\"")?.1.replace("\"}", ""))).collect();
    assert_eq!(resets, ["On", reset, "ForceOff", "On"]);
    assert!(rack.world.violations().is_empty());
}

#[tokio::test]
async fn idrac() {
    let rack = Rack::new(BmcPersonality::Idrac).await;
    identity_power_and_boot(&rack, "ForceRestart").await;
    // It has no boot mode for one boot; and is busy after a change, which the driver waits for.
    let error = rack.bmc().set_next_boot(&rack.id(), BootDevice::Disk, Some(Firmware::Bios)).await.expect_err("UEFI");
    assert_eq!(
        error.hint_text(),
        Some("set the boot mode of the machine behind BMC `bmc-1` to Legacy in its BIOS settings")
    );
    let (sent, got) = (rack.sent().len(), rack.got().len());
    assert!(sent >= got, "each attempt is counted: {sent} sent, {got} taken");
}

#[tokio::test]
async fn ilo() {
    let rack = Rack::with_post(BmcPersonality::Ilo, Duration::from_secs(20)).await;
    identity_power_and_boot(&rack, "ForceRestart").await;
    // It starts: a boot device is refused until its self-test is over, and the driver asks until then.
    let (sent, got) = (rack.sent().len(), rack.got().len());
    rack.bmc().set_next_boot(&rack.id(), BootDevice::Disk, UEFI).await.expect("in the end");
    assert!(rack.sent().len() >= sent + 2, "{:?}", rack.sent());
    assert_eq!(rack.got().len(), got + 1);
}

#[tokio::test]
async fn supermicro() {
    let rack = Rack::new(BmcPersonality::Supermicro).await;
    identity_power_and_boot(&rack, "ForceRestart").await;
    let sent = rack.sent();
    // Always with `Enabled`, or it would stay set; never with a mode, which it does not know.
    let patches: Vec<&String> = sent.iter().filter(|sent| sent.starts_with("PATCH")).collect();
    assert!(
        !patches.is_empty() && patches.iter().all(|sent| sent.contains("\"Once\"") && !sent.contains("Mode")),
        "{sent:?}"
    );
}

#[tokio::test]
async fn generic() {
    // Its resets are tasks, its lists have pages, and changes need an entity tag.
    identity_power_and_boot(&Rack::new(BmcPersonality::Generic).await, "PowerCycle").await;
}

#[tokio::test]
async fn uefi_http_boot() {
    let rack = Rack::new(BmcPersonality::Generic).await;
    let uri = "http://10.10.0.1:8080/os/ipxe.efi";
    let http = |uri: Option<&str>| {
        let uri = uri.map(str::to_owned);
        rack.bmc_with(|spec| (spec.network_boot, spec.http_boot_uri) = (NetworkBoot::Http, uri))
    };
    http(Some(uri)).set_next_boot(&rack.id(), BootDevice::Network, UEFI).await.expect("set");
    let sent = rack.sent();
    assert!(sent.len() == 1 && sent[0].contains("\"UefiHttp\"") && sent[0].contains(uri), "{sent:?}");
    let error =
        http(None).set_next_boot(&rack.id(), BootDevice::Network, Some(Firmware::Bios)).await.expect_err("BIOS");
    assert_eq!(error.hint_text(), Some("set `network_boot = \"pxe\"` for BMC `bmc-1`"));
}

#[tokio::test]
async fn the_plan_says_what_would_be_sent() {
    let rack = Rack::new(BmcPersonality::Generic).await;
    let commands = |firmware| {
        rack.bmc_with(|spec| (spec.address, spec.port) = ("10.10.1.12".into(), 443)).power_commands(
            &rack.id(),
            PowerAction::Restart,
            BootDevice::Network,
            firmware,
        )
    };
    assert_eq!(
        commands(UEFI),
        [
            "PATCH https://10.10.1.12/redfish/v1/Systems/* \
             {\"Boot\":{\"BootSourceOverrideEnabled\":\"Once\",\"BootSourceOverrideMode\":\"UEFI\",\"BootSourceOverrideTarget\":\"Pxe\"}}",
            "POST https://10.10.1.12/redfish/v1/Systems/*/Actions/ComputerSystem.Reset {\"ResetType\":\"ForceRestart\"}  # On, if it is off",
        ]
    );
    assert!(!commands(None)[0].contains("Mode"));
    assert!(rack.got().is_empty());
}
