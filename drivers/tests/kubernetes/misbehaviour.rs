//! Credentials that are not good, and services that are no API, or no good one.

use axum::body::Body;
use harmony_core::capability::Cluster;
use harmony_core::error::{DeviceError, FailureKind, chain};
use harmony_drivers::WriteLog;
use harmony_sim::cluster::Server;
use serde_json::json;

use super::service::{Service, list, object, text};
use super::site::{Authority, Files, Site, TOKEN, User, driver, kubeconfig, name, spec};

async fn nodes(authority: &Authority, user: &User, service: &Service) -> Result<usize, DeviceError> {
    let files = Files::new(authority, user);
    let driver = driver(&files.kubeconfig(), None, spec(service.address), &WriteLog::default());
    driver.nodes(&name()).await.map(|nodes| nodes.len())
}

#[tokio::test]
async fn credentials_that_are_not_good_are_named_and_never_shown() {
    let site = Site::new();
    site.bootstrap();
    let api = site.serve(Server::Bootstrap).await;
    let stranger = Authority::new("another");
    let expired = User::Certificate(site.authority.client("system:admin", "system:masters", 2001));
    let unknown = User::Certificate(stranger.client("system:admin", "system:masters", 2060));
    let reader = User::Certificate(site.authority.client("somebody", "system:authenticated", 2060));
    for (user, hint) in [
        (expired, "has expired at 2001-01-01T00:00:00Z"),
        (unknown, "another generation"),
        (reader, "has to be an administrator"),
        (User::Token("sha256~wrong-token"), "another generation"),
    ] {
        site.files.set_kubeconfig(&kubeconfig(&site.authority, &user));
        let driver = site.driver(api);
        let error = driver.nodes(&name()).await.expect_err(hint);
        assert_eq!(error.kind(), FailureKind::Rejected, "{hint}");
        assert!(error.hint_text().is_some_and(|text| text.contains(hint)), "{:?}", error.hint_text());
        let told = format!("{} {error:?} {:?} {driver:?}", chain(&error), error.evidence_lines());
        assert!(!told.contains("wrong-token") && !told.contains("PRIVATE KEY"), "{told}");
        assert!(driver.api_is_ready(&name()).await.is_ok(), "health is for everybody: {hint}");
    }
}

#[tokio::test]
async fn another_clusters_api_is_not_asked() {
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    let service = Service::start(&other, |_, _| object(200, &list(&[]))).await;
    let error = nodes(&own, &User::Token(TOKEN), &service).await.expect_err("another authority");
    assert_eq!(error.kind(), FailureKind::Rejected);
    assert!(error.hint_text().is_some_and(|hint| hint.contains("was made with")), "{error:?}");
}

#[tokio::test]
async fn kubeconfigs_that_are_none_or_too_trusting_are_refused() {
    let site = Site::new();
    let driver = site.driver(site.serve(Server::Bootstrap).await);
    let good = kubeconfig(&site.authority, &User::Token(TOKEN));
    for bad in [
        String::new(),
        "clusters: {secret-of-mine".to_owned(),
        "x".repeat(2 << 20),
        good.replace("https://", "http://"),
        good.replace("\"certificate-authority-data\"", "\"insecure-skip-tls-verify\":true,\"other\""),
        good.replace("\"certificate-authority-data\"", "\"other\""),
        good.replace(&format!("\"token\":\"{TOKEN}\""), "\"exec\":{\"command\":\"/bin/touch\",\"args\":[\"/tmp/x\"]}"),
        good.replace(
            &format!("\"token\":\"{TOKEN}\""),
            "\"client-certificate-data\":\"AAAA\",\"client-key-data\":\"AAAA\"",
        ),
    ] {
        site.files.set_kubeconfig(&bad);
        let error = driver.nodes(&name()).await.expect_err("refused");
        assert_eq!(error.kind(), FailureKind::Invalid, "{}", chain(&error));
        assert!(chain(&error).contains("no kubeconfig that can be used"), "{}", chain(&error));
        assert!(!format!("{error:?}").contains("secret-of-mine"));
    }
    std::fs::remove_file(site.files.kubeconfig()).expect("removed");
    let error = driver.nodes(&name()).await.expect_err("no file");
    assert_eq!(error.kind(), FailureKind::Invalid);
}

#[tokio::test]
async fn nonsense_is_invalid_too_much_is_cut_off_and_silence_is_unreachable() {
    let authority = Authority::new("ca");
    let user = User::Token(TOKEN);
    let endless = json!({"metadata": {"continue": "again"}, "items": []}).to_string();
    type Answer = Box<dyn Fn() -> Option<(u16, Body)> + Send + Sync>;
    let cases: [(&str, FailureKind, Answer); 12] = [
        ("no JSON", FailureKind::Invalid, Box::new(|| text(200, "<html>welcome</html>"))),
        ("no text", FailureKind::Invalid, Box::new(|| text(200, vec![0xff, 0xfe]))),
        ("no list", FailureKind::Invalid, Box::new(|| object(200, &json!({"items": "all of them"})))),
        ("no nodes", FailureKind::Invalid, Box::new(|| object(200, &list(&[json!({"metadata": 7})])))),
        ("too much", FailureKind::Invalid, Box::new(|| text(200, "x".repeat(9 << 20)))),
        ("no end", FailureKind::Invalid, Box::new(move || text(200, endless.clone()))),
        ("cut", FailureKind::Unreachable, Box::new(|| None)),
        ("overloaded", FailureKind::Transient, Box::new(|| text(429, "slow down"))),
        ("a proxy's error", FailureKind::Transient, Box::new(|| text(503, "<html>no server is up</html>"))),
        ("a kind that is not there yet", FailureKind::Transient, Box::new(|| text(404, "404 page not found"))),
        ("a redirection", FailureKind::Invalid, Box::new(|| text(302, ""))),
        ("a refusal", FailureKind::Rejected, Box::new(|| text(400, "no"))),
    ];
    for (case, kind, answer) in cases {
        let service = Service::start(&authority, move |_, _| answer()).await;
        let error = nodes(&authority, &user, &service).await.expect_err(case);
        assert_eq!(error.kind(), kind, "{case}: {}", chain(&error));
        assert!(chain(&error).contains("nodes"), "{case}: {}", chain(&error));
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_waited_for_within_its_time() {
    let authority = Authority::new("ca");
    let never = || Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let service = Service::start(&authority, move |_, _| Some((200, never()))).await;
    let files = Files::new(&authority, &User::Token(TOKEN));
    let mut spec = spec(service.address);
    spec.answer_timeout_s = 1;
    let driver = driver(&files.kubeconfig(), None, spec, &WriteLog::default());
    let error = driver.nodes(&name()).await.expect_err("no end");
    assert_eq!(error.kind(), FailureKind::Unreachable, "{}", chain(&error));
    let error = driver.api_is_ready(&name()).await.expect_err("no end");
    assert_eq!(error.kind(), FailureKind::Unreachable, "{}", chain(&error));
}

#[tokio::test]
async fn a_page_that_says_all_is_well_is_no_ready_api() {
    let authority = Authority::new("ca");
    let service = Service::start(&authority, |_, _| text(200, "<html>ok</html>")).await;
    let files = Files::new(&authority, &User::Token(TOKEN));
    let driver = driver(&files.kubeconfig(), None, spec(service.address), &WriteLog::default());
    let error = driver.api_is_ready(&name()).await.expect_err("no API");
    assert_eq!(error.kind(), FailureKind::Invalid);
}
