//! What the machine config server of a simulated cluster tells a node: the pool's configuration, and in it this program in
//! the kubelet's place.
//!
//! A real master is given its servers' keys by operators that the bootstrap runs; here its configuration holds them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harmony_core::cluster::NodeKind;
use serde_json::json;

use crate::openshift_install::KUBELET_UNIT;

use super::settings::{SCRIPT, Settings, TOLD};

/// Units of the pool that have no sense without a release behind them.
const SENSELESS: [&str; 2] = ["kubelet.service", "machine-config-daemon-firstboot.service"];

/// The configuration of a pool, for a node that asks. None for a pool that there is not.
pub(super) fn config(settings: &Settings, pool: &str) -> Option<String> {
    let kind = match pool {
        "master" => NodeKind::Master,
        "worker" => NodeKind::Worker,
        _ => return None,
    };
    let mut config = settings.pools.get(pool)?.clone();
    let told = serde_json::to_string(&settings.for_node(kind)).ok()?;
    let file = |path: &str, mode: u32, text: &str| {
        let source = format!("data:;base64,{}", STANDARD.encode(text));
        json!({ "path": path, "mode": mode, "overwrite": true, "contents": { "source": source } })
    };
    let added = [file(TOLD, 0o600, &told), file(SCRIPT, 0o755, &settings.script)];
    config["storage"]["files"].as_array_mut()?.extend(added);
    let units = config["systemd"]["units"].as_array_mut()?;
    units.retain(|unit| !SENSELESS.iter().any(|name| unit["name"] == *name));
    units.push(json!({ "name": "kubelet.service", "enabled": true, "contents": KUBELET_UNIT }));
    Some(config.to_string())
}
