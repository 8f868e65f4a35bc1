//! The agent announces itself.

use harmony_core::boot::BootEventKind as Kind;
use harmony_core::report::v1::{ANNOUNCE_SCHEMA, Announcement};
use harmony_core::secret::Secret;
use reqwest::{Body, Response, StatusCode};

use crate::world::{World, client, loopback, mac, query};

fn announcement(machine: u8) -> Announcement {
    Announcement {
        schema: ANNOUNCE_SCHEMA.into(),
        uuid: Some(format!("00000000-0000-4000-8000-0000000000{machine:02x}")),
        serial: Some(format!("SN-{machine}")),
        boot_id: None,
        macs: vec![mac(2 * machine).to_string()],
        listen: ([10, 9, 8, 7], 8088).into(),
    }
}

async fn post(world: &World, from: u8, body: impl Into<Body>) -> Response {
    client(from).post(world.url("/announce")).body(body).send().await.expect("an answer")
}

fn json(announcement: &Announcement) -> String {
    serde_json::to_string(announcement).expect("serialises")
}

#[tokio::test]
async fn it_is_acknowledged_once_it_is_stored() {
    let world = World::new().await;
    world.get(5, &format!("/ipxe/chain?{}", query(1))).await;
    assert_eq!(post(&world, 6, json(&announcement(1))).await.status(), StatusCode::NO_CONTENT);
    let hosts = world.store.hosts().await.expect("reads");
    assert_eq!((hosts.len(), hosts[0].address), (1, Some(loopback(6))));
    let unread = world.store.unread_announcements().await.expect("reads");
    // Where it was heard from, whatever it says.
    assert_eq!(unread, [(hosts[0].id.clone(), (loopback(6), 8088).into())]);
    assert_eq!(world.kinds().await.last(), Some(&Kind::Announced { port: 8088 }));
}

#[tokio::test]
async fn a_contradiction_is_told_and_kept() {
    let world = World::new().await;
    world.machine(1).await;
    let mut liar = announcement(2);
    liar.macs = vec![mac(2).to_string()];
    let response = post(&world, 6, json(&liar)).await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
    let reason = response.text().await.expect("a reason");
    assert!(reason.contains(&mac(2).to_string()), "{reason}");
    assert_eq!(world.store.hosts().await.expect("reads").len(), 1);
    assert!(matches!(&world.kinds().await[..], [Kind::Refused { path, .. }] if path == "/announce"));
}

#[tokio::test]
async fn nonsense_is_refused_with_its_reason() {
    let world = World::new().await;
    let nobody = Announcement { uuid: None, serial: None, macs: vec![], ..announcement(1) };
    let report = json(&Announcement { schema: "harmony-inventory/v1".into(), ..announcement(1) });
    for (body, reason) in [
        (String::new(), "the document is empty"),
        ("nonsense".into(), "no JSON object"),
        ("[]".into(), "no JSON object"),
        (report, "is not understood"),
        (json(&nobody), "nothing identifies the machine"),
    ] {
        let response = post(&world, 6, body.clone()).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
        let text = response.text().await.expect("a reason");
        assert!(text.contains(reason), "{text}");
    }
    assert!(world.store.hosts().await.expect("reads").is_empty());
}

#[tokio::test]
async fn a_gigabyte_is_refused_without_being_read() {
    let world = World::new().await;
    let announced = world
        .raw("POST /announce HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\nConnection: close\r\n\r\n{\"schema\":\"")
        .await;
    assert!(announced.starts_with("HTTP/1.1 413"), "{announced}");
    // Without an announced length, it is stopped at the limit.
    let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
    let chunked = format!(
        "POST /announce HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunk}{chunk}"
    );
    let stopped = world.raw(&chunked).await;
    assert!(stopped.starts_with("HTTP/1.1 413"), "{stopped}");
    let reason = "an announcement has at most 16384 bytes".to_owned();
    assert_eq!(world.kinds().await, vec![Kind::Refused { path: "/announce".into(), reason }; 2]);
}

#[tokio::test]
async fn with_a_token_it_is_needed() {
    let world = World::with(|config| config.agent_token = Some(Secret::new("s3cret"))).await.expect("starts");
    assert!(world.get(1, "/ipxe/default.ipxe").await.1.contains(" harmony.token=s3cret "));
    assert_eq!(post(&world, 6, json(&announcement(1))).await.status(), StatusCode::FORBIDDEN);
    for (token, status) in [("s3cre7", StatusCode::FORBIDDEN), ("s3cret", StatusCode::NO_CONTENT)] {
        let request = client(6).post(world.url("/announce")).bearer_auth(token).body(json(&announcement(1)));
        assert_eq!(request.send().await.expect("an answer").status(), status, "{token}");
    }
    assert!(!format!("{:?}", world.kinds().await).contains("s3cre"));
}
