//! Answer files and progress: once, by token, from the right place, in time.

use harmony_boot::PrivateFolder;
use harmony_core::boot::{BootEventKind as Kind, BootToken, OrderState};
use harmony_core::capability::{BootEntry, BootTarget, RoleConfig};
use harmony_core::clock::Clock;
use harmony_core::secret::Secret;
use jiff::SignedDuration;
use reqwest::{Method, StatusCode};

use crate::world::{RESERVED, TOKEN, World, mac, path_in, query};

async fn refusals(world: &World) -> Vec<(String, String)> {
    let kinds = world.kinds().await.into_iter();
    kinds
        .filter_map(|kind| if let Kind::Refused { path, reason } = kind { Some((path, reason)) } else { None })
        .collect()
}

#[tokio::test]
async fn an_answer_file_is_served_once() {
    let world = World::new().await;
    let order = world.order().await;
    let (_, script) = world.get(5, &format!("/ipxe/chain?{}", query(1))).await;
    let answer = path_in(&script, "/answer/");
    let response = world.send(5, Method::GET, &answer).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/vnd.coreos.ignition+json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(response.text().await.expect("a body").contains("3.2.0"));
    assert_eq!(world.state(&order.id).await, OrderState::Answered);
    for from in [5, RESERVED] {
        let (status, text) = world.get(from, &answer).await;
        assert_eq!(status, StatusCode::GONE);
        assert!(text.contains(&format!("the token of order {} is used up; the order is answered", order.id)), "{text}");
    }
    let seen = format!("{:?}", world.store.latest_boot_events(1000).await.expect("reads"));
    assert!(!seen.contains(TOKEN) && seen.contains("Answer"), "{seen}");
}

/// Orders machine 1 with an answer file that is merged onto this private one.
async fn ordered_with_base(world: &World, name: &str, sha256: &str) -> String {
    let order = world.order().await;
    let mut entry = world.store.boot_entry(&order.id.host).await.expect("reads").expect("there");
    let BootTarget::Install { base, .. } = &mut entry.target else { panic!("an installation") };
    let (name, sha256) = (name.to_owned(), sha256.to_owned());
    *base = Some(RoleConfig { name, sha256, ignition_version: "3.2.0".to_owned() });
    world.store.set_boot_entry(&entry).await.expect("stores");
    format!("/answer/{}/1/{TOKEN}", order.id.host)
}

const ROLE: &str = r#"{"ignition":{"config":{"merge":[{"source":"https://api-int.x:22623/config/master"}]},"version":"3.2.0"},"storage":{"files":[{"path":"/s3cret"}]}}"#;

async fn with_private_files() -> World {
    let private = std::sync::OnceLock::new();
    let world = World::with(|config| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("ocp4/1")).expect("makes");
        std::fs::write(folder.path().join("ocp4/1/master.ign"), ROLE).expect("writes");
        std::fs::write(folder.path().join("outside.ign"), ROLE).expect("writes");
        config.private = Some(std::sync::Arc::new(PrivateFolder(folder.path().join("ocp4"))));
        let _ = private.set(folder.keep());
    });
    world.await.expect("starts")
}

fn sha256(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn an_answer_file_is_merged_onto_its_roles_private_one() {
    let world = with_private_files().await;
    let path = ordered_with_base(&world, "1/master.ign", &sha256(ROLE)).await;
    let (status, text) = world.get(RESERVED, &path).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    assert!(text.contains("/config/master") && text.contains("/s3cret"), "{text}");
    // It is in no document and in no evidence.
    let seen = format!("{:?}", world.store.latest_boot_events(1000).await.expect("reads"));
    assert!(!seen.contains("s3cret"), "{seen}");
}

#[tokio::test]
async fn a_private_file_that_is_missing_or_another_is_asked_for_again_and_costs_no_token() {
    let world = with_private_files().await;
    for (name, digest, said) in [
        ("1/worker.ign", sha256(ROLE), "failed to read 1/worker.ign"),
        ("1/master.ign", sha256("another"), "is not the file that order"),
        ("../outside.ign", sha256(ROLE), "failed to read ../outside.ign"),
        ("/etc/hostname", sha256(ROLE), "failed to read /etc/hostname"),
    ] {
        let path = if name == "1/worker.ign" {
            ordered_with_base(&world, name, &digest).await
        } else {
            let host = world.machine(1).await;
            let mut entry = world.store.boot_entry(&host).await.expect("reads").expect("there");
            let BootTarget::Install { base, .. } = &mut entry.target else { panic!("an installation") };
            *base = Some(RoleConfig { name: name.to_owned(), sha256: digest, ignition_version: "3.2.0".to_owned() });
            world.store.set_boot_entry(&entry).await.expect("stores");
            format!("/answer/{host}/1/{TOKEN}")
        };
        let (status, text) = world.get(RESERVED, &path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{name}");
        assert!(text.contains(said) && !text.contains("s3cret"), "{text}");
    }
    let host = world.machine(1).await;
    let order = world.store.latest_order(&host).await.expect("reads").expect("an order");
    assert_eq!(order.state, OrderState::Issued, "the token is still good");
}

#[tokio::test]
async fn of_many_at_once_one_gets_it() {
    let world = World::new().await;
    let order = world.order().await;
    let path = format!("/answer/{}/1/{TOKEN}", order.id.host);
    let answers = (0..16).map(|_| world.get(RESERVED, &path));
    let mut statuses: Vec<_> =
        futures::future::join_all(answers).await.into_iter().map(|(status, _)| status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (200, &[410; 15][..]));
}

#[tokio::test]
async fn a_wrong_token_is_told_nothing() {
    let world = World::new().await;
    let order = world.order().await;
    for token in ["wrong", &TOKEN[1..], &format!("{TOKEN}0"), "@BOOT-TOKEN@", "%00"] {
        let (status, text) = world.get(RESERVED, &format!("/answer/{}/1/{token}", order.id.host)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{token}");
        assert_eq!(text, format!("this is not the token of order {}\n", order.id));
    }
    assert_eq!(world.state(&order.id).await, OrderState::Issued);
    let (path, reason) = refusals(&world).await.remove(0);
    assert_eq!(
        (path, reason),
        (format!("/answer/{}/1/…", order.id.host), format!("this is not the token of order {}", order.id))
    );
    let of_host = world.store.boot_events(&order.id.host, None).await.expect("reads");
    assert_eq!(of_host.len(), 5, "it is evidence of the order's host");
}

#[tokio::test]
async fn the_token_is_bound_to_where_the_script_was_fetched() {
    let world = World::new().await;
    let order = world.order().await;
    let path = format!("/answer/{}/1/{TOKEN}", order.id.host);
    assert_eq!(world.get(6, &path).await.0, StatusCode::FORBIDDEN);
    world.get(6, &format!("/ipxe/chain?{}", query(1))).await;
    world.get(5, &format!("/ipxe/chain?{}", query(1))).await;
    let (status, text) = world.get(6, &path).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "the latest counts");
    assert!(text.contains("this is 127.0.0.6"), "{text}");
    assert_eq!(world.state(&order.id).await, OrderState::Issued);
    assert_eq!(world.get(5, &path).await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_expired_token_is_gone() {
    let world = World::new().await;
    let order = world.order().await;
    world.clock.advance(600);
    world.clock.advance(1);
    let path = format!("/answer/{}/1/{TOKEN}", order.id.host);
    let (status, text) = world.get(RESERVED, &path).await;
    assert_eq!(status, StatusCode::GONE);
    assert!(text.contains("expired at 2026-01-01T00:10:00Z; order again"), "{text}");
    // A new attempt has a new token, and the old one is wrong.
    let expires_at = world.clock.now() + SignedDuration::from_secs(60);
    world.store.reissue_order(&order.id, &BootToken(Secret::new("newtoken")), expires_at).await.expect("reissues");
    assert_eq!(world.get(RESERVED, &path).await.0, StatusCode::FORBIDDEN);
    assert_eq!(world.get(RESERVED, &path.replace(TOKEN, "newtoken")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn not_yet_is_503_and_never_is_404() {
    let world = World::new().await;
    let order = world.order_without_entry().await;
    let host = &order.id.host;
    let response = world.send(RESERVED, Method::GET, &format!("/answer/{host}/1/{TOKEN}")).await;
    assert_eq!(
        (response.status(), &response.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"3".parse().expect("a value"))
    );
    assert_eq!(world.state(&order.id).await, OrderState::Issued);
    assert_eq!(world.get(RESERVED, &format!("/answer/{host}/2/{TOKEN}")).await.0, StatusCode::SERVICE_UNAVAILABLE);
    for path in
        ["/answer/hc-0000000/1/x", "/answer/nonsense/1/x", "/answer/hc-0000000/x/x", "/answer/hc-0000000", "/answer"]
    {
        assert_eq!(world.get(RESERVED, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    // Entry and documents that are not there yet: the token stays good.
    let target =
        BootTarget::Install { order: order.id.clone(), script: "none".into(), answer: "none".into(), base: None };
    let entry = BootEntry { host: host.clone(), macs: vec![mac(2), mac(3)], target };
    world.store.set_boot_entry(&entry).await.expect("sets");
    assert_eq!(world.get(RESERVED, &format!("/answer/{host}/1/{TOKEN}")).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.get(RESERVED, &format!("/ipxe/chain?{}", query(1))).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.state(&order.id).await, OrderState::Issued);
}

#[tokio::test]
async fn progress_is_bound_like_the_answer_and_needs_its_own_key() {
    let world = World::new().await;
    let order = world.order().await;
    let (_, script) = world.get(5, &format!("/ipxe/chain?{}", query(1))).await;
    let progress = path_in(&script, "/progress/");
    assert!(!progress.contains(TOKEN), "a process list may show it");
    let with_token = format!("/progress/{}/1/{TOKEN}/install-done", order.id.host);
    assert_eq!(world.get(5, &with_token).await.0, StatusCode::FORBIDDEN);
    assert_eq!(world.get(6, &format!("{progress}install-done")).await.0, StatusCode::FORBIDDEN);
    for event in ["", "complete", "install-done%20", "a/b"] {
        assert_eq!(world.get(5, &format!("{progress}{event}")).await.0, StatusCode::NOT_FOUND, "{event}");
    }
    let before = world.kinds().await;
    assert!(!before.iter().any(|kind| matches!(kind, Kind::InstallDone)), "{before:?}");
    let seen = format!("{before:?}");
    assert!(!seen.contains(TOKEN) && !seen.contains(progress.split('/').nth(4).expect("a key")), "{seen}");
}

#[tokio::test]
async fn an_installer_that_is_done_is_heard_once_and_moves_the_order_only_after_its_answer_file() {
    let world = World::new().await;
    let order = world.order().await;
    let (_, script) = world.get(5, &format!("/ipxe/chain?{}", query(1))).await;
    let progress = path_in(&script, "/progress/");
    assert_eq!(world.get(5, &format!("{progress}install-done")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(world.state(&order.id).await, OrderState::Issued, "evidence alone");
    assert_eq!(world.get(5, &path_in(&script, "/answer/")).await.0, StatusCode::OK);
    for _ in 0..3 {
        let response = world.send(5, Method::POST, &format!("{progress}install-done")).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(world.state(&order.id).await, OrderState::Installed);
    }
    assert_eq!(world.kinds().await.iter().filter(|kind| **kind == Kind::InstallDone).count(), 2);
    let (status, text) = world.get(5, &format!("{progress}install-failed?reason=late")).await;
    assert_eq!((status, text), (StatusCode::GONE, format!("order {} is installed\n", order.id)));
}

#[tokio::test]
async fn a_failed_installer_says_why() {
    let world = World::new().await;
    let order = world.order().await;
    let (_, script) = world.get(5, &format!("/ipxe/chain?{}", query(1))).await;
    let failed = format!("{}install-failed?reason=wrong%20disk%0a", path_in(&script, "/progress/"));
    assert_eq!(world.send(5, Method::POST, &failed).await.status(), StatusCode::NO_CONTENT);
    assert!(world.kinds().await.contains(&Kind::InstallFailed { reason: "wrong disk ".into() }));
    assert_eq!(world.state(&order.id).await, OrderState::Issued, "whether to try again is not the installer's to say");
}

#[tokio::test]
async fn a_flood_of_refusals_is_not_kept() {
    let world = World::new().await;
    for _ in 0..100 {
        world.get(9, "/nothing").await;
    }
    assert_eq!(world.kinds().await.len(), 30);
    world.clock.advance(61);
    world.get(9, "/nothing").await;
    assert_eq!(world.kinds().await.len(), 31);
}
