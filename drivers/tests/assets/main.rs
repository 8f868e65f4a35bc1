//! Boot assets against a server on loopback that cuts transfers off, lies and changes its mind.

mod server;

use std::path::Path;
use std::sync::Mutex;

use harmony_core::capability::{BootAssets, RemoteFile};
use harmony_core::error::{FailureKind, chain};
use harmony_drivers::assets::AssetFolder;
use server::{Answer, Server};
use sha2::{Digest, Sha256};

const PATH: &str = "scos/9.0.1-0/scos-9.0.1-0-live-rootfs.x86_64.img";

/// A file of some length, and its digest.
fn file() -> (Vec<u8>, String) {
    let bytes: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
    let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    (bytes, digest)
}

fn remote(server: &Server, sha256: &str) -> RemoteFile {
    RemoteFile { location: server.url("/live-rootfs.img"), sha256: sha256.to_owned() }
}

fn served(folder: &Path) -> Option<Vec<u8>> {
    std::fs::read(folder.join(PATH)).ok()
}

fn no_progress(_: u64, _: Option<u64>) {}

#[tokio::test]
async fn a_transfer_that_is_cut_off_goes_on_where_it_was() {
    let (bytes, sha256) = file();
    let folder = tempfile::tempdir().expect("folder");
    let assets = AssetFolder::new(folder.path());
    let server =
        Server::of(bytes.clone(), vec![Answer::CutAfter(300_000), Answer::CutAfter(200_000), Answer::Honest]).await;
    let told = Mutex::new(Vec::new());
    let progress = |done, total| told.lock().expect("no panic").push((done, total));
    let info = assets.fetch_asset(&remote(&server, &sha256), PATH, &progress).await.expect("fetched");
    assert_eq!((info.sha256, info.size_bytes), (sha256.clone(), bytes.len() as u64));
    assert_eq!(served(folder.path()), Some(bytes.clone()));
    let asked = server.asked();
    assert_eq!(asked[0], "whole");
    assert!(asked[1].starts_with("bytes=") && asked[1].ends_with("- if \"v1\""), "{asked:?}");
    assert_eq!(asked.len(), 3, "{asked:?}");
    let told = told.into_inner().expect("no panic");
    assert_eq!(told.last(), Some(&(bytes.len() as u64, Some(bytes.len() as u64))));
    assert!(told.is_sorted_by_key(|(done, _)| *done), "it never begins again");

    // A right file is not fetched again, under whatever path.
    assets.fetch_asset(&remote(&server, &sha256), PATH, &no_progress).await.expect("there");
    assets.fetch_asset(&remote(&server, &sha256), "other/name", &no_progress).await.expect("there");
    assert_eq!(server.asked().len(), 3);
    assert_eq!(assets.list().expect("lists").len(), 2);
}

#[tokio::test]
async fn a_run_that_ends_in_the_middle_is_gone_on_with_by_the_next() {
    let (bytes, sha256) = file();
    let folder = tempfile::tempdir().expect("folder");
    // Cut off without a byte more, again and again: this run gives up.
    let cuts = vec![
        Answer::CutAfter(300_000),
        Answer::CutAfter(0),
        Answer::CutAfter(0),
        Answer::CutAfter(0),
        Answer::CutAfter(0),
    ];
    let server = Server::of(bytes.clone(), cuts).await;
    let error = AssetFolder::new(folder.path()).fetch_asset(&remote(&server, &sha256), PATH, &no_progress).await;
    let error = error.expect_err("cut off");
    assert_eq!(error.kind(), FailureKind::Unreachable, "{}", chain(&error));
    assert_eq!(error.hint_text(), Some("run it again: it goes on where it was cut off"));
    assert_eq!(served(folder.path()), None, "what is not whole is not shown");

    let server = Server::of(bytes.clone(), vec![Answer::Honest]).await;
    AssetFolder::new(folder.path()).fetch_asset(&remote(&server, &sha256), PATH, &no_progress).await.expect("fetched");
    assert!(server.asked()[0].starts_with("bytes="), "{:?}", server.asked());
    assert_eq!(served(folder.path()), Some(bytes));
}

#[tokio::test]
async fn another_version_than_the_one_begun_is_fetched_from_its_beginning() {
    let (bytes, sha256) = file();
    let folder = tempfile::tempdir().expect("folder");
    let assets = AssetFolder::new(folder.path());
    let other = vec![7; 500_000];
    let server = Server::of(
        other,
        vec![Answer::CutAfter(300_000), Answer::CutAfter(0), Answer::CutAfter(0), Answer::CutAfter(0)],
    )
    .await;
    assets.fetch_asset(&remote(&server, &sha256), PATH, &no_progress).await.expect_err("cut off");
    // This server knows no versions: it goes on with what has another beginning.
    let server = Server::of(bytes.clone(), vec![Answer::IgnoreVersion, Answer::Honest]).await;
    assets.fetch_asset(&remote(&server, &sha256), PATH, &no_progress).await.expect("fetched");
    assert_eq!(server.asked().len(), 2, "{:?}", server.asked());
    assert_eq!(served(folder.path()), Some(bytes));
}

#[tokio::test]
async fn a_wrong_digest_is_said_and_nothing_is_left() {
    let (bytes, _) = file();
    let folder = tempfile::tempdir().expect("folder");
    let assets = AssetFolder::new(folder.path());
    let server = Server::of(bytes, vec![Answer::Honest]).await;
    let error = assets.fetch_asset(&remote(&server, &"ab".repeat(32)), PATH, &no_progress).await.expect_err("wrong");
    assert_eq!(error.kind(), FailureKind::Invalid);
    assert!(chain(&error).contains("wanted is abab") && chain(&error).ends_with("it was removed"), "{}", chain(&error));
    assert_eq!(served(folder.path()), None);
    let left = std::fs::read_dir(folder.path().join(".blobs/partial")).expect("there").count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let folder = tempfile::tempdir().expect("folder");
    let assets = AssetFolder::new(folder.path());
    let fetch = async |location: &str, path: &str| {
        let from = RemoteFile { location: location.to_owned(), sha256: "ab".repeat(32) };
        assets.fetch_asset(&from, path, &no_progress).await.expect_err(location)
    };
    let server = Server::of(Vec::new(), vec![Answer::Status(404), Answer::Status(503)]).await;
    let error = fetch(&server.url("/x"), PATH).await;
    assert_eq!(
        (error.kind(), chain(&error).ends_with("answers 404 Not Found")),
        (FailureKind::Rejected, true),
        "{}",
        chain(&error)
    );
    assert_eq!(fetch(&server.url("/x"), PATH).await.kind(), FailureKind::Transient);
    assert_eq!(fetch(&server.url("/x"), "../x").await.kind(), FailureKind::Invalid);
    assert_eq!(fetch("ftp://h/x", PATH).await.kind(), FailureKind::Invalid);
    let error = fetch("/nowhere/at/all", PATH).await;
    assert!(chain(&error).contains("failed to read /nowhere/at/all"), "{}", chain(&error));
    let closed = format!("http://127.0.0.1:{}/x", server::free_port().await);
    assert_eq!(fetch(&closed, PATH).await.kind(), FailureKind::Unreachable);
}

#[tokio::test]
async fn a_mirror_may_be_a_folder_and_what_rots_is_found() {
    let (bytes, sha256) = file();
    let folder = tempfile::tempdir().expect("folder");
    let mirror = folder.path().join("mirror.img");
    std::fs::write(&mirror, &bytes).expect("writes");
    let root = folder.path().join("assets");
    let assets = AssetFolder::new(&root);
    let from = RemoteFile { location: format!("file://{}", mirror.display()), sha256: sha256.to_uppercase() };
    assets.fetch_asset(&from, PATH, &no_progress).await.expect("copied");
    std::fs::write(root.join("own.img"), "put here by somebody").expect("writes");
    let told = Mutex::new(0);
    let verified = assets.verify(&|_| *told.lock().expect("no panic") += 1).expect("reads");
    assert!(verified.iter().all(harmony_drivers::assets::Verified::is_right));
    assert_eq!((verified.len(), told.into_inner().expect("no panic")), (2, 2));

    use std::os::unix::fs::PermissionsExt;
    let target = root.join(PATH);
    std::fs::set_permissions(&target, PermissionsExt::from_mode(0o644)).expect("root or owner");
    std::fs::write(&target, "rot").expect("writes");
    let verified = assets.verify(&|_| ()).expect("reads");
    let wrong: Vec<_> = verified.iter().filter(|file| !file.is_right()).collect();
    assert_eq!((wrong.len(), wrong[0].expected.as_deref()), (1, Some(sha256.as_str())));
}
