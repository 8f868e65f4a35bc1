//! The driver against recorded resources of real BMCs, in the folder that `HARMONY_VECTORS` names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use harmony_core::capability::{Bmc, BootDevice, PowerAction, PowerState};
use harmony_core::error::{FailureKind, chain};
use harmony_core::host::Firmware;
use harmony_core::net::MacAddress;
use serde_json::Value;

use crate::service::{Service, by_path, id};

/// The resources of one vendor; nothing, with a word about it, where they are not there.
fn recorded(vendor: &str) -> Option<BTreeMap<String, Value>> {
    let folder = std::env::var_os("HARMONY_VECTORS").map(|folder| PathBuf::from(folder).join("redfish").join(vendor));
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        println!("skipped: HARMONY_VECTORS names no folder with redfish/{vendor}");
        return None;
    };
    let mut files = Vec::new();
    collect(&folder, &mut files);
    files.sort();
    let read = |path: &PathBuf| serde_json::from_slice(&std::fs::read(path).ok()?).ok();
    let resources = by_path(files.iter().filter_map(read));
    assert!(!resources.is_empty(), "{}", folder.display());
    Some(resources)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("readable").filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
}

#[tokio::test]
async fn idrac() {
    let Some(resources) = recorded("idrac") else { return };
    let service = Service::of(resources).await;
    let bmc = service.bmc();
    assert_eq!(bmc.power_state(&id()).await.expect("read"), PowerState::On);
    assert_eq!(bmc.system_uuid(&id()).await.expect("read"), None, "it tells none");
    assert!(!service.asked().iter().any(|asked| asked.contains("Session")), "its root names no session service");
    bmc.set_next_boot(&id(), BootDevice::Network, Some(Firmware::Uefi)).await.expect("set");
    assert_eq!(
        service.sent(),
        [
            "PATCH /redfish/v1/Systems/System.Embedded.1 {\"Boot\":{\"BootSourceOverrideEnabled\":\"Once\",\"BootSourceOverrideTarget\":\"Pxe\"}}"
        ]
    );
    let error = bmc.power(&id(), PowerAction::Off).await.expect_err("it offers no ForceOff");
    assert!(chain(&error).ends_with("no reset of type ForceOff, only On, GracefulRestart, ForceRestart, PowerCycle"));
    bmc.power(&id(), PowerAction::Restart).await.expect("restarts");
}

#[tokio::test]
async fn supermicro_x10() {
    let Some(resources) = recorded("supermicro_x10") else { return };
    let nics = resources.iter().filter(|(path, _)| path.starts_with("/redfish/v1/Systems/1/EthernetInterfaces/"));
    let mut macs: Vec<MacAddress> =
        nics.map(|(_, nic)| nic["MACAddress"].as_str().expect("a MAC").parse().expect("a MAC")).collect();
    macs.sort_unstable();
    assert_eq!(macs.len(), 4);
    let service = Service::of(resources).await;
    let bmc = service.bmc();
    assert_eq!(bmc.nic_macs().await.expect("read"), macs);
    let uuid = bmc.system_uuid(&id()).await.expect("read").expect("told");
    assert_eq!(uuid.to_string(), "00000000-0000-0000-0000-ac1f6b18a45a");
    bmc.set_next_boot(&id(), BootDevice::Disk, Some(Firmware::Uefi)).await.expect("set");
    bmc.set_next_boot(&id(), BootDevice::Network, Some(Firmware::Uefi)).await.expect("set");
    bmc.power(&id(), PowerAction::Off).await.expect("goes off");
    bmc.power(&id(), PowerAction::Restart).await.expect("comes on");
    let system = "/redfish/v1/Systems/1";
    assert_eq!(
        service.sent(),
        [
            format!(
                "PATCH {system} {{\"Boot\":{{\"BootSourceOverrideEnabled\":\"Once\",\"BootSourceOverrideTarget\":\"UefiHdd\"}}}}"
            ),
            format!(
                "PATCH {system} {{\"Boot\":{{\"BootSourceOverrideEnabled\":\"Once\",\"BootSourceOverrideTarget\":\"Pxe\"}}}}"
            ),
            format!("POST {system}/Actions/ComputerSystem.Reset {{\"ResetType\":\"ForceOff\"}}"),
            format!("POST {system}/Actions/ComputerSystem.Reset {{\"ResetType\":\"On\"}}"),
        ]
    );
    let sessions = "/redfish/v1/SessionService/Sessions";
    assert_eq!(service.count(&format!("POST {sessions}")), service.count(&format!("DELETE {sessions}/1")));
}

#[tokio::test]
async fn a_bladed_chassis() {
    let Some(resources) = recorded("dmtf_bladed") else { return };
    let service = Service::of(resources).await;
    let error = service.bmc().power_state(&id()).await.expect_err("four systems");
    assert_eq!(error.kind(), FailureKind::Invalid);
    assert!(chain(&error).ends_with("it manages the systems 529QB9450R6, 529QB9451R6, 529QB9452R6, 529QB9453R6"));
    assert!(error.hint_text().expect("a hint").contains("set `system` of BMC `node-a`"));
    let blade = |system: &str| service.bmc_with(|spec| spec.system = Some(system.to_owned()));
    let error = blade("Blade9").power_state(&id()).await.expect_err("no such");
    assert!(chain(&error).contains("no system `Blade9`, only 529QB9450R6,"), "{}", chain(&error));
    blade("529QB9452R6").power(&id(), PowerAction::Off).await.expect("goes off");
    assert_eq!(blade("529QB9452R6").power_state(&id()).await.expect("read"), PowerState::Off);
    assert_eq!(blade("529QB9451R6").power_state(&id()).await.expect("read"), PowerState::On);
}

#[tokio::test]
async fn sushy() {
    let Some(resources) = recorded("sushy") else { return };
    let service = Service::of(resources).await;
    let bmc = service.bmc();
    assert_eq!(bmc.nic_macs().await.expect("read"), ["12:44:6a:3b:04:11".parse().expect("a MAC")]);
    let uuid = bmc.system_uuid(&id()).await.expect("read").expect("told");
    assert_eq!(uuid.to_string(), "38947555-7742-3448-3784-823347823834");
    bmc.set_next_boot(&id(), BootDevice::Network, Some(Firmware::Uefi)).await.expect("it is set already");
    assert!(service.sent().is_empty());
    bmc.set_next_boot(&id(), BootDevice::Disk, Some(Firmware::Uefi)).await.expect("set");
    assert_eq!(
        service.sent(),
        ["PATCH /redfish/v1/Systems/437XR1138R2 {\"Boot\":{\"BootSourceOverrideTarget\":\"Hdd\"}}"],
        "what is set already is not sent"
    );
}
