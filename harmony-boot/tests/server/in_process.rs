//! The server called in place, with everything in memory: the same answers, evidence and refusals.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use harmony_boot::{AgentBinary, BootError, Files, Service};
use harmony_core::boot::BootEventKind as Kind;
use harmony_core::clock::SystemClock;
use harmony_core::store::SharedStore;
use harmony_inventory::Inventory;

use crate::world::{config, loopback, query};

async fn service() -> (Service, SharedStore) {
    let files = |path: &str, text: &'static str| {
        Files::Memory(BTreeMap::from([(path.to_owned(), Bytes::from_static(text.as_bytes()))]))
    };
    let mut config = config(&tempfile::tempdir().expect("a folder"));
    config.http = "10.10.0.1:8080".parse().expect("an address");
    config.assets = files("live/vmlinuz", "a kernel");
    config.agent = AgentBinary::Memory(Bytes::from_static(b"an agent"));
    if let Some(tftp) = &mut config.tftp {
        tftp.root = files("ipxe.efi", "iPXE");
    }
    let store: SharedStore = Arc::new(Inventory::open("sqlite::memory:").await.expect("opens"));
    let service = Service::new(config, store.clone(), Arc::new(SystemClock)).await.expect("prepares");
    (service, store)
}

async fn get(service: &Service, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = service.http(loopback(9), request).await;
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn it_answers_refuses_and_remembers_as_over_sockets() {
    let (service, store) = service().await;
    assert_eq!(service.base_url(), "http://10.10.0.1:8080");
    assert_eq!(get(&service, "/os/live/vmlinuz").await, (StatusCode::OK, "a kernel".to_owned()));
    assert_eq!(get(&service, "/os/../secret").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(get(&service, "/agent/harmony-inventory-agent").await.1, "an agent");
    let (status, script) = get(&service, &format!("/ipxe/chain?{}", query(1))).await;
    assert!(status.is_success() && script.contains("http://10.10.0.1:8080/os/live/vmlinuz"), "{script}");
    assert_eq!(service.tftp(loopback(9), "/ipxe.efi").await, Ok(Bytes::from_static(b"iPXE")));
    assert_eq!(service.tftp(loopback(9), "../x").await, Err("the path leads out of the folder".to_owned()));

    let events = store.latest_boot_events(100).await.expect("reads");
    assert!(events.iter().all(|event| event.address == Some(loopback(9))));
    let kinds: Vec<_> = events.into_iter().map(|event| event.kind).collect();
    let refused = Kind::Refused { path: "tftp:../x".into(), reason: "the path leads out of the folder".into() };
    for kind in
        [Kind::AgentBinary, Kind::Chain, Kind::InventoryScript, Kind::Tftp { path: "/ipxe.efi".into() }, refused]
    {
        assert!(kinds.contains(&kind), "{kind:?} is not among {kinds:?}");
    }
}

#[tokio::test]
async fn scripts_must_be_able_to_name_it() {
    let mut config = config(&tempfile::tempdir().expect("a folder"));
    (config.http, config.assets) = ("0.0.0.0:8080".parse().expect("an address"), Files::Memory(BTreeMap::new()));
    config.agent = AgentBinary::Memory(Bytes::new());
    let store: SharedStore = Arc::new(Inventory::open("sqlite::memory:").await.expect("opens"));
    let error = Service::new(config, store, Arc::new(SystemClock)).await.err().expect("refused");
    assert!(matches!(error, BootError::NoBaseUrl(_)), "{error}");
}
