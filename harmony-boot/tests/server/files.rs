//! Static files, and what the inventory environment fetches.

use std::os::unix::fs::symlink;

use harmony_core::boot::BootEventKind as Kind;
use harmony_templates::LiveEnvironment;
use reqwest::{Method, StatusCode, header};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{World, client, query};

fn put(world: &World, name: &str, contents: impl AsRef<[u8]>) {
    let path = world.folder.path().join("os").join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
    std::fs::write(path, contents).expect("writes");
}

fn asset(path: &str, complete: bool) -> Kind {
    Kind::Asset { path: path.into(), complete }
}

#[tokio::test]
async fn files_are_served_whole_and_the_last_byte_is_evidence_of_the_host() {
    let world = World::new().await;
    let contents: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
    put(&world, "scos-4.19/a kernel+x86_64", &contents);
    world.get(5, &format!("/ipxe/chain?{}", query(1))).await;
    let response = world.send(5, Method::GET, "/os/scos-4.19/a%20kernel+x86_64").await;
    assert_eq!(response.headers()["content-length"], "3000000");
    assert_eq!(response.headers()["accept-ranges"], "bytes");
    assert_eq!(response.bytes().await.expect("a body"), contents);
    world.until(&asset("scos-4.19/a kernel+x86_64", true)).await;
    let host = &world.store.hosts().await.expect("reads")[0].id;
    let kinds: Vec<_> =
        world.store.boot_events(host, None).await.expect("reads").into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds[2..], [asset("scos-4.19/a kernel+x86_64", false), asset("scos-4.19/a kernel+x86_64", true)]);
}

#[tokio::test]
async fn parts_and_headers() {
    let world = World::new().await;
    put(&world, "f", "0123456789");
    put(&world, "empty", "");
    let send = async |method: Method, headers: &[(header::HeaderName, &str)]| {
        let request = headers
            .iter()
            .fold(client(1).request(method, world.url("/os/f")), |request, (name, value)| request.header(name, *value));
        request.send().await.expect("an answer")
    };
    let part = send(Method::GET, &[(header::RANGE, "bytes=2-4")]).await;
    assert_eq!(
        (part.status(), &part.headers()["content-range"]),
        (StatusCode::PARTIAL_CONTENT, &"bytes 2-4/10".parse().expect("a value"))
    );
    assert_eq!(part.headers()["content-length"], "3");
    assert_eq!(part.text().await.expect("a body"), "234");
    let beyond = send(Method::GET, &[(header::RANGE, "bytes=10-")]).await;
    assert_eq!(
        (beyond.status(), &beyond.headers()["content-range"]),
        (StatusCode::RANGE_NOT_SATISFIABLE, &"bytes */10".parse().expect("a value"))
    );
    let head = send(Method::HEAD, &[]).await;
    let etag = head.headers()["etag"].to_str().expect("text").to_owned();
    assert_eq!((head.status(), &head.headers()["content-length"]), (StatusCode::OK, &"10".parse().expect("a value")));
    assert_eq!(send(Method::GET, &[(header::IF_NONE_MATCH, &etag)]).await.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(
        send(Method::GET, &[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, &etag)]).await.status(),
        StatusCode::PARTIAL_CONTENT
    );
    assert_eq!(
        send(Method::GET, &[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, "\"old\"")]).await.status(),
        StatusCode::OK
    );
    assert_eq!(world.get(1, "/os/empty").await, (StatusCode::OK, String::new()));
    assert_eq!(send(Method::POST, &[]).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    // The range from the start, and the two that were whole: HEAD and a part in the middle begin nothing.
    world.until(&asset("empty", true)).await;
    assert_eq!(world.kinds().await.iter().filter(|kind| **kind == asset("f", false)).count(), 2);
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_out() {
    let world = World::new().await;
    put(&world, "sub/f", "inside");
    std::fs::write(world.folder.path().join("secret"), "SECRET").expect("writes");
    symlink("../../secret", world.folder.path().join("os/sub/link")).expect("links");
    symlink("/etc/passwd", world.folder.path().join("os/passwd")).expect("links");
    let bad_request = [
        "/os/../secret",
        "/os/sub/../../secret",
        "/os/%2e%2e/secret",
        "/os/%2E%2e%2fsecret",
        "/os/..%2fsecret",
        "/os/sub/link",
        "/os/passwd",
        "/os//etc/passwd",
        "/os/%2fetc/passwd",
        "/os/sub\\..\\..\\secret",
        "/os/f%00",
        "/os/%ff",
    ];
    let not_found = [
        "/os/%252e%252e/secret",
        "/os/",
        "/os",
        "/os/sub",
        "/os/sub/",
        "/os/.",
        "/../secret",
        "/os/none",
        "//os/sub/f",
        "/OS/sub/f",
    ];
    for (paths, status) in [(&bad_request[..], "400"), (&not_found[..], "404")] {
        for path in paths {
            let answer = world.raw(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
            assert!(!answer.contains("SECRET") && !answer.contains("root:"), "{path}: {answer}");
        }
    }
    let refused = world.kinds().await.iter().filter(|kind| matches!(kind, Kind::Refused { .. })).count();
    assert_eq!(refused, bad_request.len() + not_found.len(), "each is evidence");
    assert_eq!(world.get(1, "/os/sub/f").await.1, "inside");
}

#[tokio::test]
async fn a_file_that_is_not_read_to_its_end_is_not_complete() {
    let world = World::new().await;
    put(&world, "image", vec![0u8; 64 << 20]);
    let mut stream = tokio::net::TcpStream::connect(world.server.http_addr()).await.expect("connects");
    stream.write_all(b"GET /os/image HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("asks");
    stream.read_exact(&mut [0; 100_000]).await.expect("the beginning");
    drop(stream);
    put(&world, "other", "x");
    world.get(1, "/os/other").await;
    world.until(&asset("other", true)).await;
    // The connection was on the same runtime: it has noticed by now, or has 64 MB to send to nobody.
    world.server.shutdown().await;
    let events = world.store.latest_boot_events(100).await.expect("reads");
    assert!(events.iter().all(|event| event.kind != asset("image", true)), "{events:?}");
}

#[tokio::test]
async fn the_agent_comes_with_its_digest() {
    let world = World::new().await;
    let binary = world.send(5, Method::GET, "/agent/harmony-inventory-agent").await.bytes().await.expect("a body");
    assert_eq!(&binary[..], b"\x7fELF agent");
    let digest: String = Sha256::digest(&binary).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        world.get(5, "/agent/harmony-inventory-agent.sha256").await.1,
        format!("{digest}  harmony-inventory-agent\n")
    );
    assert!(world.get(5, "/agent/authorized_keys").await.1.contains(crate::world::KEY));
    let (status, kickstart) = world.get(5, "/ks/inventory.ks").await;
    assert_eq!(status, StatusCode::OK);
    assert!(kickstart.contains(&format!("digest='{digest}'")) && kickstart.contains("sshpw"), "{kickstart}");
    assert_eq!(world.kinds().await, [Kind::AgentBinary, Kind::Kickstart]);
}

#[tokio::test]
async fn anaconda_gets_its_own_default_script() {
    let world = World::with(|config| config.live = LiveEnvironment::Anaconda { tree: "centos-stream-9".into() })
        .await
        .expect("starts");
    let (_, script) = world.get(1, &format!("/ipxe/chain?{}", query(1))).await;
    let base = world.server.base_url();
    assert!(
        script.contains(&format!("inst.stage2={base}/os/centos-stream-9 inst.ks={base}/ks/inventory.ks")),
        "{script}"
    );
}
