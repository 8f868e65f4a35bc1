//! What the boot server answers, asked as hosts ask it: by the real one, without its sockets.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use harmony_boot::{BootConfig, Service, StorePxe};
use harmony_core::boot::BootToken;
use harmony_core::capability::PxeServer;
use harmony_core::clock::SystemClock;
use harmony_core::host::Assignment;
use harmony_core::net::MacAddress;
use harmony_core::secret::Secret;
use harmony_core::store::SharedStore;
use harmony_scores::okd::ServedHost;
use jiff::Timestamp;
use uuid::Uuid;

use crate::Failed;
use crate::folder::Folder;

/// More than any answer, in bytes: a bootstrap's Ignition has some hundred thousand.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// How long a token is good; it is used at once.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);
/// The argument that tells the installer where its Ignition is.
const IGNITION_URL: &str = "coreos.inst.ignition_url=";

/// Orders all hosts, as a run does.
pub(crate) async fn order(store: &SharedStore, hosts: &[ServedHost], now: Timestamp) -> Result<(), Failed> {
    let expires_at = now.checked_add(TOKEN_LIFETIME).map_err(Failed::from_error)?;
    for host in hosts {
        let order = host.order(now, expires_at);
        let assignment = Assignment { role: order.role.clone(), disk: None, erase: None };
        store.assign(&order.id.host, &assignment, now).await?;
        let token = [Uuid::new_v4(), Uuid::new_v4()].map(|random| random.simple().to_string()).concat();
        store.create_order(&order, &BootToken(Secret::new(token))).await?;
        for document in [&host.script, &host.answer] {
            store.put_document(document).await?;
        }
        StorePxe::new(store.clone()).set_boot_entry(&host.entry()).await?;
    }
    Ok(())
}

/// Fetches everything that all hosts are served, and writes it.
pub(crate) async fn fetch_all(
    config: BootConfig,
    store: SharedStore,
    hosts: &[ServedHost],
    folder: &Folder,
) -> Result<(), Failed> {
    let service = Service::new(config, store, Arc::new(SystemClock)).await.map_err(Failed::from_error)?;
    // An address of the pool: whoever has it is unknown.
    let unknown = IpAddr::from([10, 10, 0, 199]);
    for (path, file) in
        [("/boot.ipxe", "boot.ipxe"), ("/ipxe/default.ipxe", "default.ipxe"), ("/ks/inventory.ks", "inventory.ks")]
    {
        folder.write(file, fetch(&service, unknown, path).await?)?;
    }
    for host in hosts {
        let mut script = String::new();
        for mac in &host.macs {
            script = fetch(&service, host.address, &format!("/ipxe/{mac}.ipxe")).await?;
            folder.write(&file_name(*mac), &script)?;
        }
        // The token in it is used up by this, as by the host itself.
        let answer = fetch(&service, host.address, answer_path(&service, host, &script)?).await?;
        folder.write(&format!("{}.ign", host.hostname.short()), answer)?;
    }
    // From now on a host that boots from the network once more is sent to its disk.
    let Some((host, mac)) = hosts.iter().find_map(|host| Some((host, host.macs.first()?))) else { return Ok(()) };
    folder.write("installed.ipxe", fetch(&service, host.address, &format!("/ipxe/{mac}.ipxe")).await?)
}

/// iPXE's `${net0/mac:hexhyp}.ipxe`. With colons, `scp` and `rsync` would take the name for a host's.
fn file_name(mac: MacAddress) -> String {
    format!("{}.ipxe", mac.to_string().replace(':', "-"))
}

/// Where a host's script says that its Ignition is.
fn answer_path<'a>(service: &Service, host: &ServedHost, script: &'a str) -> Result<&'a str, Failed> {
    let url = script.split_whitespace().find_map(|word| word.strip_prefix(IGNITION_URL));
    url.and_then(|url| url.strip_prefix(service.base_url())).ok_or_else(|| {
        Failed::new(format!("the boot script of {} has no {IGNITION_URL} of {}", host.hostname, service.base_url()))
    })
}

/// What a client at this address gets.
async fn fetch(service: &Service, from: IpAddr, path: &str) -> Result<String, Failed> {
    let request = Request::get(path).body(Body::empty()).map_err(Failed::from_error)?;
    let response = service.http(from, request).await;
    let status = response.status();
    let bytes = to_bytes(response.into_body(), MAX_ANSWER_BYTES).await.map_err(Failed::from_error)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if status.is_success() {
        return Ok(text);
    }
    // The path of an answer holds its token.
    let shown = if path.starts_with("/answer/") { "/answer/…" } else { path };
    Err(Failed::new(format!("the boot server refuses {shown} to {from}: {status}: {}", text.trim())))
}
