//! What can be read. Shapes as recorded of the vendors' devices, with what a driver needs to be true.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use harmony_core::capability::BootDevice;
use harmony_core::host::Firmware;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::{Service, access, json as answer, tasks};

/// Answers a read.
pub(super) fn get(service: &Service, path: &str, query: Option<&str>) -> Result<Response, Refusal> {
    if let Some(monitor) = tasks::monitor(service, path) {
        return monitor;
    }
    let missing = || Refusal::new(StatusCode::NOT_FOUND, "Base.1.4.ResourceMissingAtURI", path);
    let resource = read(service, path, query).ok_or_else(missing)?;
    let mut response = answer(StatusCode::OK, &resource);
    if let Some(etag) = service.personality.etag(&resource).and_then(|etag| HeaderValue::from_str(&etag).ok()) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}

fn read(service: &Service, path: &str, query: Option<&str>) -> Option<Value> {
    let system = service.system();
    let now = service.world.now();
    Some(match path {
        "/redfish" => json!({"v1": "/redfish/v1/"}),
        "/redfish/v1" => root(service),
        "/redfish/v1/SessionService" => json!({
            "@odata.id": path, "@odata.type": "#SessionService.v1_0_0.SessionService", "Id": "SessionService",
            "Name": "Session Service", "ServiceEnabled": true, "SessionTimeout": access::SESSION_TIMEOUT.as_secs(),
            "Sessions": {"@odata.id": access::SESSIONS},
        }),
        access::SESSIONS => {
            let ids = service.own(|own| own.sessions.ids(now));
            collection(path, "Session", &ids.iter().map(u32::to_string).collect::<Vec<_>>())
        }
        "/redfish/v1/Systems" => collection(path, "ComputerSystem", &[service.personality.system_id().to_owned()]),
        "/redfish/v1/TaskService" => {
            json!({"@odata.id": path, "@odata.type": "#TaskService.v1_1_2.TaskService", "Id": "TaskService", "ServiceEnabled": true})
        }
        path if path == system => computer_system(service, now),
        _ => return below_system(service, path.strip_prefix(&system)?.strip_prefix('/')?, query),
    })
}

fn root(service: &Service) -> Value {
    let mut root = json!({
        "@odata.id": "/redfish/v1/", "@odata.type": "#ServiceRoot.v1_1_0.ServiceRoot",
        "Id": "RootService", "Name": "Root Service",
        "Systems": {"@odata.id": "/redfish/v1/Systems"},
        "Tasks": {"@odata.id": "/redfish/v1/TaskService"},
        "SessionService": {"@odata.id": "/redfish/v1/SessionService"},
        "Links": {"Sessions": {"@odata.id": access::SESSIONS}},
    });
    if let (Some(root), Value::Object(own)) = (root.as_object_mut(), service.personality.root()) {
        root.extend(own);
    }
    root
}

fn collection(path: &str, kind: &str, ids: &[String]) -> Value {
    let members: Vec<Value> = ids.iter().map(|id| json!({"@odata.id": format!("{path}/{id}")})).collect();
    json!({
        "@odata.id": path, "@odata.type": format!("#{kind}Collection.{kind}Collection"), "Name": format!("{kind} Collection"),
        "Members@odata.count": members.len(), "Members": members,
    })
}

fn below_system(service: &Service, rest: &str, query: Option<&str>) -> Option<Value> {
    let path = format!("{}/{rest}", service.system());
    let macs = service.world.with(|state| state.machines[service.machine].macs());
    match rest {
        "ResetActionInfo" if service.personality.tells_resets_elsewhere() => Some(json!({
            "@odata.id": path, "@odata.type": "#ActionInfo.v1_1_0.ActionInfo", "Id": "ResetActionInfo",
            "Parameters": [{"Name": "ResetType", "Required": true, "DataType": "String",
                "AllowableValues": service.personality.resets()}],
        })),
        "EthernetInterfaces" => {
            let all: Vec<String> = (1..=macs.len()).map(|number| number.to_string()).collect();
            if !service.personality.pages() {
                return Some(collection(&path, "EthernetInterface", &all));
            }
            // One a page.
            let skip: usize = query.and_then(|query| query.strip_prefix("$skip=")?.parse().ok()).unwrap_or(0);
            let mut page = collection(&path, "EthernetInterface", all.get(skip..skip + 1).unwrap_or_default());
            page["Members@odata.count"] = json!(all.len());
            if skip + 1 < all.len() {
                page["Members@odata.nextLink"] = json!(format!("{path}?$skip={}", skip + 1));
            }
            Some(page)
        }
        _ => {
            let number: usize = rest.strip_prefix("EthernetInterfaces/")?.parse().ok()?;
            let mac = macs.get(number.checked_sub(1)?)?;
            Some(json!({
                "@odata.id": path, "@odata.type": "#EthernetInterface.v1_0_0.EthernetInterface",
                "Id": number.to_string(), "Name": format!("OnBoard LAN {number}"),
                "MACAddress": mac.to_string(), "PermanentMACAddress": mac.to_string(),
            }))
        }
    }
}

fn computer_system(service: &Service, now: Duration) -> Value {
    let path = service.system();
    let (uuid, serial, is_on) = service.world.with(|state| {
        let machine = &state.machines[service.machine];
        (state.bmc_uuid(service.machine), machine.serial.clone(), machine.is_on())
    });
    let (manufacturer, model) = service.personality.maker();
    let mut reset = json!({"target": format!("{path}/Actions/ComputerSystem.Reset")});
    if service.personality.tells_resets_elsewhere() {
        reset["@Redfish.ActionInfo"] = json!(format!("{path}/ResetActionInfo"));
    } else {
        reset["ResetType@Redfish.AllowableValues"] = json!(service.personality.resets());
    }
    json!({
        "@odata.id": path, "@odata.type": "#ComputerSystem.v1_10_0.ComputerSystem",
        "Id": service.personality.system_id(), "Name": "System", "SystemType": "Physical",
        "Manufacturer": manufacturer, "Model": model, "SerialNumber": serial,
        "UUID": uuid.to_string().to_uppercase(),
        "PowerState": if is_on { "On" } else { "Off" },
        "Status": {"State": "Enabled", "Health": "OK"},
        "Boot": boot(service, now),
        "EthernetInterfaces": {"@odata.id": format!("{path}/EthernetInterfaces")},
        "Actions": {"#ComputerSystem.Reset": reset},
    })
}

/// `BootSourceOverrideEnabled` as it is now.
pub(super) fn enabled(service: &Service, now: Duration) -> &'static str {
    match service.world.with(|state| state.next_boot(service.machine, now)) {
        None => "Disabled",
        Some(next) if next.sticks => "Continuous",
        Some(_) => "Once",
    }
}

/// The machine's boot mode, as Redfish calls it.
pub(super) fn mode(service: &Service) -> &'static str {
    match service.world.with(|state| state.machines[service.machine].firmware) {
        Firmware::Uefi => "UEFI",
        Firmware::Bios => "Legacy",
    }
}

/// What a target starts from: nothing for those that mean nothing in this world.
pub(super) fn device(target: &str) -> Option<BootDevice> {
    match target {
        "Pxe" | "UefiHttp" => Some(BootDevice::Network),
        "Hdd" | "UefiHdd" => Some(BootDevice::Disk),
        _ => None,
    }
}

fn boot(service: &Service, now: Duration) -> Value {
    let next = service.world.with(|state| state.next_boot(service.machine, now));
    let (words, uri) = service.own(|own| (own.target, own.http_uri.clone()));
    let target = match next.map(|next| next.device) {
        None => "None",
        // In the words in which it was asked for, unless it was set another way.
        Some(set) => words.filter(|words| device(words) == Some(set)).unwrap_or(match set {
            BootDevice::Network => "Pxe",
            BootDevice::Disk => "Hdd",
        }),
    };
    let mut boot = Map::new();
    let mut put = |key: &str, value: Value| boot.insert(key.to_owned(), value);
    put("BootSourceOverrideEnabled", json!(enabled(service, now)));
    put("BootSourceOverrideTarget", json!(target));
    put("BootSourceOverrideTarget@Redfish.AllowableValues", json!(service.personality.targets()));
    if service.personality.has_boot_mode() {
        put("BootSourceOverrideMode", json!(mode(service)));
        put("BootSourceOverrideMode@Redfish.AllowableValues", json!(["Legacy", "UEFI"]));
    }
    if service.personality.targets().contains(&"UefiHttp") {
        put("HttpBootUri", json!(uri));
    }
    Value::Object(boot)
}

/// The system's entity tag as it is now.
pub(super) fn system_etag(service: &Service) -> Option<String> {
    service.personality.etag(&computer_system(service, service.world.now()))
}
