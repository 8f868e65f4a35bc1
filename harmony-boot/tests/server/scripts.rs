//! Which script a machine gets, and what is known of it afterwards.

use harmony_boot::{AgentBinary, BootError, BootServer, Files, StorePxe};
use harmony_core::boot::{BootEventKind as Kind, OrderState};
use harmony_core::capability::{BootEntry, BootTarget, PxeServer};
use harmony_core::net::MacAddress;
use harmony_templates::LiveEnvironment;
use reqwest::{Method, StatusCode};

use crate::world::{RESERVED, TOKEN, World, config, loopback, mac, path_in, query};

#[tokio::test]
async fn an_unknown_machine_is_registered_before_any_kernel() {
    let world = World::new().await;
    let response = world.send(7, Method::GET, &format!("/ipxe/chain?{}", query(1))).await;
    assert_eq!(
        (response.status(), &response.headers()["cache-control"]),
        (StatusCode::OK, &"no-store".parse().expect("a value"))
    );
    let script = response.text().await.expect("a script");
    let base = world.server.base_url();
    assert!(
        script.starts_with("#!ipxe\n") && script.contains(&format!("{base}/os/live/vmlinuz initrd=main")),
        "{script}"
    );
    assert!(script.contains(&format!("harmony.announce={base}/announce console=ttyS0")), "{script}");
    let hosts = world.store.hosts().await.expect("reads");
    assert_eq!(hosts.len(), 1);
    assert_eq!((hosts[0].address, hosts[0].macs().len()), (Some(loopback(7)), 2));
    let events = world.store.boot_events(&hosts[0].id, None).await.expect("reads");
    let told: Vec<_> = events.iter().map(|event| (event.mac, event.address, event.kind.clone())).collect();
    let from = Some(loopback(7));
    assert_eq!(told, [(Some(mac(2)), from, Kind::Chain), (Some(mac(2)), from, Kind::InventoryScript)]);
}

#[tokio::test]
async fn the_boot_chain_asks_this_server() {
    let world = World::new().await;
    let (status, script) = world.get(1, "/boot.ipxe").await;
    assert_eq!(status, StatusCode::OK);
    assert!(script.contains(&format!("{}/ipxe/chain?${{query}}", world.server.base_url())), "{script}");
    let (status, health) = world.get(1, "/healthz").await;
    assert_eq!((status, health), (StatusCode::OK, format!("ok {}\n", world.server.instance())));
}

#[tokio::test]
async fn a_contradiction_is_evidence_and_shows_on_the_console() {
    let world = World::new().await;
    world.machine(1).await;
    world.machine(2).await;
    let mixed = format!("{}&mac={}", query(2).split("&serial").next().expect("a part"), mac(2).hyphenated());
    let (status, script) = world.get(1, &format!("/ipxe/chain?{mixed}&serial=SN-9")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(script.contains("\necho Harmony: ") && script.contains("/os/live/vmlinuz"), "{script}");
    let kinds = world.kinds().await;
    assert!(
        matches!(&kinds[..], [Kind::Refused { path, .. }, Kind::InventoryScript] if path == "/ipxe/chain"),
        "{kinds:?}"
    );
    assert_eq!(world.store.hosts().await.expect("reads").len(), 2);
}

#[tokio::test]
async fn an_installation_from_order_to_disk_and_never_again() {
    let world = World::new().await;
    let order = world.order().await;
    // From any of its NICs, by the chain and by the file of its MAC.
    for path in [
        format!("/ipxe/chain?{}", query(1)),
        format!("/ipxe/{}.ipxe", mac(3).hyphenated()),
        format!("/ipxe/{}.ipxe", mac(2)),
    ] {
        let (status, script) = world.get(5, &path).await;
        assert_eq!(status, StatusCode::OK);
        assert!(script.contains(TOKEN) && !script.contains('@'), "{script}");
    }
    let (_, script) = world.get(5, &format!("/ipxe/chain?{}", query(1))).await;
    let progress = path_in(&script, "/progress/");
    assert_eq!(world.get(5, &format!("{progress}install-started")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(world.get(5, &path_in(&script, "/answer/")).await.0, StatusCode::OK);
    for (event, state) in [("image-written", OrderState::Answered), ("install-done", OrderState::Installed)] {
        assert_eq!(world.get(5, &format!("{progress}{event}")).await.0, StatusCode::NO_CONTENT, "{event}");
        assert_eq!(world.state(&order.id).await, state);
    }
    // However often it comes back, and from whichever NIC: its disk.
    for machine in [query(1), query(1), format!("mac={}", mac(3).hyphenated())] {
        let (status, script) = world.get(RESERVED, &format!("/ipxe/chain?{machine}")).await;
        assert_eq!(status, StatusCode::OK);
        assert!(script.contains("sanboot") && !script.contains(TOKEN), "{script}");
    }
    let events = world.store.boot_events(&order.id.host, None).await.expect("reads");
    assert!(events.iter().all(|event| event.order.as_ref() == Some(&order.id)), "{events:?}");
    let progress = harmony_core::boot::InstallProgress::of(&order.id, &events);
    assert!(progress.is_installed() && progress.phase == harmony_core::boot::Phase::DiskBoot, "{progress:?}");
}

#[tokio::test]
async fn an_expired_or_failed_order_installs_nothing() {
    let world = World::new().await;
    let order = world.order().await;
    world.clock.advance(601);
    assert!(world.get(5, &format!("/ipxe/chain?{}", query(1))).await.1.contains("sanboot"));
    world.store.advance_order(&order.id, OrderState::Issued, OrderState::Failed, Some("x")).await.expect("fails");
    assert!(world.get(5, &format!("/ipxe/{}.ipxe", mac(2))).await.1.contains("sanboot"));
    assert!(!world.kinds().await.contains(&Kind::InstallScript));
}

#[tokio::test]
async fn entries_are_set_through_the_capability() {
    let world = World::new().await;
    let host = world.machine(1).await;
    let pxe = StorePxe::new(world.store.clone());
    let mut entry = BootEntry { host: host.clone(), macs: vec![mac(2), mac(3)], target: BootTarget::Disk };
    for (target, part) in [(BootTarget::Disk, "sanboot"), (BootTarget::Inventory, "/os/live/initramfs")] {
        entry.target = target;
        pxe.set_boot_entry(&entry).await.expect("sets");
        assert_eq!(pxe.boot_entries().await.expect("reads"), [entry.clone()]);
        assert!(world.get(1, &format!("/ipxe/chain?{}", query(1))).await.1.contains(part), "{part}");
    }
    pxe.remove_boot_entry(&host).await.expect("removes");
    assert!(world.get(1, &format!("/ipxe/{}.ipxe", mac(2))).await.1.contains("/os/live/initramfs"));
    entry.host = "hc-0000000".parse().expect("an id");
    assert_eq!(
        pxe.set_boot_entry(&entry).await.expect_err("no host").to_string(),
        "failed to set the boot entry of hc-0000000"
    );
}

#[tokio::test]
async fn what_identifies_nothing_is_refused() {
    let world = World::new().await;
    for query in ["", "?uuid=&serial=", "?mac=zz"] {
        let (status, text) = world.get(1, &format!("/ipxe/chain{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(text.contains("nothing identifies the machine"), "{text}");
    }
    for file in
        ["52-54-00-00-00-99.ipxe", "nonsense.ipxe", "52-54-00-00-00-02", "%00.ipxe", "..%2f..%2fetc%2fpasswd.ipxe"]
    {
        assert_eq!(world.get(1, &format!("/ipxe/{file}")).await.0, StatusCode::NOT_FOUND, "{file}");
    }
    assert!(world.kinds().await.iter().all(|kind| matches!(kind, Kind::Refused { .. })));
    assert!(world.get(1, "/ipxe/default.ipxe").await.1.contains("/os/live/vmlinuz"));
    assert!(world.store.hosts().await.expect("reads").is_empty());
}

#[tokio::test]
async fn head_has_no_effect() {
    let world = World::new().await;
    let order = world.order().await;
    world.get(5, &format!("/ipxe/chain?{}", query(1))).await;
    let before = world.kinds().await.len();
    let answer = format!("/answer/{}/1/{TOKEN}", order.id.host);
    for path in [format!("/ipxe/chain?{}", query(1)), format!("/ipxe/{}.ipxe", mac(2)), answer] {
        assert_eq!(world.send(5, Method::HEAD, &path).await.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    assert_eq!((world.kinds().await.len(), world.state(&order.id).await), (before, OrderState::Issued));
}

#[tokio::test]
async fn a_server_that_cannot_serve_does_not_start() {
    let busy = World::new().await;
    let http = busy.server.http_addr();
    let error = World::with(|config| config.http = http).await.map(|_| ()).expect_err("in use");
    assert!(matches!(error, BootError::Listen { protocol: "HTTP", .. }), "{error}");
    let error = World::with(|config| config.agent = AgentBinary::File("/nonexistent/agent".into()))
        .await
        .map(|_| ())
        .expect_err("no agent");
    assert_eq!(error.to_string(), "failed to read the inventory agent `/nonexistent/agent`; is it built?");
    let error = World::with(|config| config.assets = Files::Folder("/nonexistent".into()))
        .await
        .map(|_| ())
        .expect_err("no folder");
    assert!(matches!(error, BootError::Folder { .. }), "{error}");
    let error = World::with(|config| config.http = ([0, 0, 0, 0], 0).into()).await.map(|_| ()).expect_err("no URL");
    assert!(matches!(error, BootError::NoBaseUrl(_)), "{error}");
    let error = World::with(|config| config.live_args = vec!["a b".into()]).await.map(|_| ()).expect_err("a blank");
    assert!(harmony_core::error::chain(&error).ends_with("`extra arguments` is refused: `a b` has a blank"), "{error}");
    let open = |config: &mut harmony_boot::BootConfig| {
        config.live = LiveEnvironment::Anaconda { tree: "centos-stream-9".into() };
        config.authorized_keys = "# none\n".into();
    };
    let error = World::with(open).await.map(|_| ()).expect_err("no key");
    assert!(harmony_core::error::chain(&error).contains("let anybody log in as root"), "{error}");
}

#[tokio::test]
async fn a_restart_loses_nothing_and_shutdown_frees_the_address() {
    let world = World::new().await;
    let order = world.order().await;
    world.get(5, &format!("/ipxe/chain?{}", query(1))).await;
    let address = world.server.http_addr();
    world.server.shutdown().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens");
    let mut config = config(&world.folder);
    config.http = address;
    std::fs::write(world.folder.path().join("os/kernel"), "k").expect("writes");
    let server = BootServer::start(config, world.store.clone(), world.clock.clone()).await.expect("starts again");
    let world = World { server, ..world };
    world.get(5, "/os/kernel").await;
    let events = world.store.boot_events(&order.id.host, None).await.expect("reads");
    let asset = events.iter().find(|event| matches!(event.kind, Kind::Asset { .. })).expect("of this host");
    assert_eq!(asset.order.as_ref(), Some(&order.id));
    assert_eq!(world.get(5, &format!("/answer/{}/1/{TOKEN}", order.id.host)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn every_mac_notation_finds_the_host() {
    let world = World::new().await;
    world.machine(1).await;
    let known: MacAddress = mac(2);
    for name in [
        known.hyphenated(),
        known.hyphenated().to_uppercase(),
        known.to_string(),
        known.to_string().replace(':', "%3A"),
    ] {
        assert_eq!(world.get(1, &format!("/ipxe/{name}.ipxe")).await.0, StatusCode::OK, "{name}");
    }
}
