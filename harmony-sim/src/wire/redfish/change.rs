//! What can be changed: the boot override, and power. Each change is recorded as a write, and the faults
//! of writes strike here: a lost answer is a connection that ends.

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use harmony_core::capability::PowerAction;
use serde_json::{Map, Value};

use super::refusal::Refusal;
use super::{Service, resources, tasks};
use crate::bmc::Busy;

const TARGET: &str = "BootSourceOverrideTarget";
const ENABLED: &str = "BootSourceOverrideEnabled";
const MODE: &str = "BootSourceOverrideMode";
const HTTP_URI: &str = "HttpBootUri";

fn bad(id: &'static str, text: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, id, text)
}

/// A refusal for the moment, in the words of the vendor whose BMC refuses so.
fn busy(why: Busy) -> Refusal {
    match why {
        Busy::Post => bad("iLO.2.26.UnableToModifyDuringSystemPOST", why.as_str()),
        Busy::Job => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "IDRAC.2.8.SYS518", why.as_str()),
        Busy::JustOff => Refusal::new(StatusCode::CONFLICT, "IDRAC.2.8.ActionParameterValueConflict", why.as_str()),
    }
}

/// Refuses a change of what somebody else has changed since it was read. Source: RFC 9110 section 13.1.1.
fn check_etag(service: &Service, if_match: Option<&HeaderValue>) -> Result<(), Refusal> {
    let opaque = |etag: &str| etag.trim_start_matches("W/").to_owned();
    match (resources::system_etag(service), if_match.and_then(|value| value.to_str().ok())) {
        (Some(now), Some(read)) if read != "*" && opaque(read) != opaque(&now) => {
            Err(Refusal::new(StatusCode::PRECONDITION_FAILED, "Base.1.4.PreconditionFailed", "The ETag did not match."))
        }
        (Some(_), None) if service.personality.wants_etag() => {
            Err(Refusal::new(StatusCode::PRECONDITION_REQUIRED, "Base.1.4.PreconditionRequired", "If-Match is needed."))
        }
        _ => Ok(()),
    }
}

/// What a PATCH of `Boot` asks for.
struct Asked {
    target: Option<&'static str>,
    enabled: Option<String>,
    mode: Option<String>,
    http_uri: Option<Option<String>>,
}

fn read(service: &Service, boot: &Map<String, Value>) -> Result<Asked, Refusal> {
    let mut asked = Asked { target: None, enabled: None, mode: None, http_uri: None };
    let personality = service.personality;
    for (key, value) in boot {
        let text = value.as_str();
        let not_listed = || bad("Base.1.4.PropertyValueNotInList", format!("{value} is no value for {key}."));
        match key.as_str() {
            TARGET => {
                let found = personality.targets().iter().find(|target| Some(**target) == text);
                asked.target = Some(found.copied().ok_or_else(not_listed)?);
            }
            ENABLED => {
                let known = text.filter(|text| ["Disabled", "Once", "Continuous"].contains(text));
                asked.enabled = Some(known.ok_or_else(not_listed)?.to_owned());
            }
            MODE if personality.has_boot_mode() => {
                let known = text.filter(|text| ["Legacy", "UEFI"].contains(text));
                asked.mode = Some(known.ok_or_else(not_listed)?.to_owned());
            }
            HTTP_URI if personality.targets().contains(&"UefiHttp") => {
                asked.http_uri =
                    Some(if value.is_null() { None } else { Some(text.ok_or_else(not_listed)?.to_owned()) });
            }
            key => return Err(bad("Base.1.4.PropertyUnknown", key)),
        }
    }
    let now = service.world.now();
    if personality.refuses_unchanged_enabled() && asked.enabled.as_deref() == Some(resources::enabled(service, now)) {
        return Err(bad("Base.1.4.PropertyValueConflict", format!("{ENABLED} is that already.")));
    }
    Ok(asked)
}

/// `PATCH` of the system.
pub(super) async fn patch(
    service: &Service,
    body: &Value,
    if_match: Option<&HeaderValue>,
) -> Result<Response, Refusal> {
    let boot = match body.as_object().map(|body| (body.len(), body.get("Boot").and_then(Value::as_object))) {
        Some((1, Some(boot))) if !boot.is_empty() => boot,
        _ => return Err(bad("Base.1.4.PropertyNotWritable", "Only Boot can be changed.")),
    };
    let now = service.world.now();
    if let Some(why) = service.world.with(|state| state.refuses_boot_device(service.machine, now)) {
        return Err(busy(why));
    }
    check_etag(service, if_match)?;
    let asked = read(service, boot)?;
    let mode_differs = asked.mode.as_deref().is_some_and(|mode| mode != resources::mode(service));
    if mode_differs && !service.personality.boot_mode_is_a_job() {
        // Machines of this world have one firmware each.
        return Err(bad(
            "Base.1.4.PropertyValueNotInList",
            format!("{MODE} can only be {}.", resources::mode(service)),
        ));
    }
    let effect = async {
        let now = service.world.now();
        if let Some(uri) = asked.http_uri {
            service.own(|own| own.http_uri = uri);
        }
        let before = service.world.with(|state| state.next_boot(service.machine, now));
        let enabled = asked.enabled.as_deref().unwrap_or(match before {
            _ if asked.target.is_some() && service.personality.boot_device_sticks_unless_told() => "Continuous",
            None => "Disabled",
            Some(next) if next.sticks => "Continuous",
            Some(_) => "Once",
        });
        if let Some(target) = asked.target {
            service.own(|own| own.target = Some(target));
        }
        let device = match asked.target {
            Some(target) => resources::device(target),
            None => before.map(|next| next.device),
        };
        let device = device.filter(|_| enabled != "Disabled");
        service.world.with(|state| state.set_next_boot(service.machine, device, enabled == "Continuous", now));
        Ok(())
    };
    let command = format!("PATCH {} {body}", service.system());
    let written = service.world.write("bmc", service.bmc.as_str(), command, effect).await;
    written.map_err(|_| Refusal::Cut)?;
    if mode_differs {
        return Ok(tasks::start(service, true));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `ComputerSystem.Reset`.
pub(super) async fn reset(service: &Service, body: &Value) -> Result<Response, Refusal> {
    let kind = body.get("ResetType").and_then(Value::as_str).unwrap_or_default();
    let personality = service.personality;
    if !personality.resets().contains(&kind) {
        return Err(bad("Base.1.4.ActionParameterNotSupported", format!("ResetType {kind}")));
    }
    let now = service.world.now();
    let is_on = service.world.with(|state| state.machines[service.machine].is_on());
    let action = match (kind, is_on) {
        ("On" | "ForceOn", _) | ("PushPowerButton", false) => PowerAction::On,
        ("ForceOff" | "GracefulShutdown", _) | ("PushPowerButton", true) => PowerAction::Off,
        ("ForceRestart" | "GracefulRestart" | "PowerCycle", _) => PowerAction::Restart,
        // An interrupt that no system of this world notices.
        _ => return Ok(StatusCode::NO_CONTENT.into_response()),
    };
    if let Some(why) = service.world.with(|state| state.refuses_power(service.machine, action, now)) {
        return Err(busy(why));
    }
    if !personality.restarts_when_off() && !is_on && action != PowerAction::On {
        let id = "iLO.2.26.InvalidOperationForSystemState";
        return Err(bad(id, "The operation was not successful due to the current power state."));
    }
    let effect = async {
        service.world.bmc_power(service.machine, action).await;
        Ok(())
    };
    let command = format!("POST {}/Actions/ComputerSystem.Reset {body}", service.system());
    let written = service.world.write("bmc", service.bmc.as_str(), command, effect).await;
    written.map_err(|_| Refusal::Cut)?;
    if personality.resets_by_task() {
        return Ok(tasks::start(service, false));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
