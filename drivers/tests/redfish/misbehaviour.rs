//! Services that fail, lie, or never end.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use harmony_core::capability::{Bmc, BootDevice, PowerAction, PowerState};
use harmony_core::error::{DeviceError, FailureKind, chain};
use harmony_drivers::bmc::redfish::{CertificateSource, Patience};
use harmony_sim::wire::https::Cut;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::rack::PATIENCE;
use crate::service::{Asked, PASSWORD, Service, id, refusal, small};

const SYSTEM: &str = "/redfish/v1/Systems/1";
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

fn is(asked: &Asked<'_>, method: &Method, path: &str) -> bool {
    asked.method == method && asked.path == path
}

fn cut() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(Cut);
    response
}

/// The failure of reading the power state of a service that answers this about its system.
async fn failure(answer: impl Fn() -> Response + Send + 'static) -> DeviceError {
    let service = Service::with(small(), move |asked, _| is(asked, &Method::GET, SYSTEM).then(&answer)).await;
    let error = service.bmc().power_state(&id()).await.expect_err("it fails");
    assert_eq!(service.count(&format!("DELETE {SESSIONS}/1")), 1, "logged out: {:?}", service.asked());
    error
}

#[tokio::test]
async fn reads_are_repeated_and_give_up() {
    let service = Service::with(small(), |asked, _| {
        let fails = asked.before < 2 && is(asked, &Method::GET, SYSTEM);
        fails.then(|| if asked.before == 0 { StatusCode::INTERNAL_SERVER_ERROR.into_response() } else { cut() })
    })
    .await;
    assert_eq!(service.bmc().power_state(&id()).await.expect("in the end"), PowerState::On);
    let error = failure(|| StatusCode::INTERNAL_SERVER_ERROR.into_response()).await;
    assert_eq!(error.kind(), FailureKind::Transient);
    assert!(chain(&error).ends_with(&format!("GET {SYSTEM} was answered with 500 Internal Server Error")));
    assert_eq!(failure(cut).await.kind(), FailureKind::Unreachable);
}

#[tokio::test]
async fn answers_that_cannot_be_used() {
    let endless = || {
        let spaces = [b' '; 64 << 10];
        Body::from_stream(futures::stream::repeat_with(move || Ok::<_, std::io::Error>(spaces.to_vec())))
            .into_response()
    };
    let elsewhere = || (StatusCode::FOUND, [(header::LOCATION, "https://192.0.2.1/")]).into_response();
    let denied = || refusal(StatusCode::FORBIDDEN, "Base.1.4.InsufficientPrivilege", "Not you.");
    for (error, kind, said, hint) in [
        (failure(endless).await, FailureKind::Invalid, "has more than 1048576 bytes", None),
        (
            failure(|| "<html>".into_response()).await,
            FailureKind::Invalid,
            "is no JSON",
            Some("is Redfish enabled on BMC `node-a`?"),
        ),
        (failure(|| "[]".into_response()).await, FailureKind::Invalid, "not of the shape", Some("Redfish")),
        (failure(elsewhere).await, FailureKind::Rejected, "302 Found", None),
        (
            failure(denied).await,
            FailureKind::Rejected,
            "403 Forbidden (InsufficientPrivilege: Not you.)",
            Some("needs the role Operator"),
        ),
    ] {
        assert_eq!(error.kind(), kind, "{}", chain(&error));
        assert!(chain(&error).contains(said), "{}", chain(&error));
        assert_eq!(
            error.hint_text().is_some_and(|text| hint.is_some_and(|hint| text.contains(hint))),
            hint.is_some(),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn pages_without_end_and_links_elsewhere() {
    let service = Service::with(small(), |asked, _| {
        let page = json!({"Members": [{"@odata.id": SYSTEM}], "Members@odata.nextLink": "/redfish/v1/Systems"});
        is(asked, &Method::GET, "/redfish/v1/Systems").then(|| axum::Json(page).into_response())
    })
    .await;
    let error = service.bmc().power_state(&id()).await.expect_err("endless");
    assert!(chain(&error).ends_with("/redfish/v1/Systems has more than 256 members"), "{}", chain(&error));
    let mut resources = small();
    resources.insert("/redfish/v1/Systems".into(), json!({"Members": [{"@odata.id": "//192.0.2.1/redfish"}]}));
    let error = Service::of(resources).await.bmc().power_state(&id()).await.expect_err("elsewhere");
    assert!(chain(&error).ends_with("it manages no system"), "{}", chain(&error));
}

#[tokio::test]
async fn passwords_that_must_be_changed() {
    let message = json!({"@Message.ExtendedInfo": [{"MessageId": "Base.1.5.PasswordChangeRequired"}]});
    let headers = [(header::LOCATION, "https://bmc.example/redfish/v1/SessionService/Sessions/7")];
    let service = Service::with(small(), move |asked, _| {
        is(asked, &Method::POST, SESSIONS)
            .then(|| (StatusCode::CREATED, headers.clone(), axum::Json(message.clone())).into_response())
    })
    .await;
    let error = service.bmc().power_state(&id()).await.expect_err("to be changed");
    assert_eq!(error.kind(), FailureKind::Rejected);
    assert!(error.hint_text().expect("a hint").starts_with("log in to BMC `node-a` as `admin`, change the password"));
    assert_eq!(service.count(&format!("DELETE {SESSIONS}/7")), 1, "closed at its absolute location");
}

#[tokio::test]
async fn a_password_that_the_bmc_repeats_is_not_repeated_by_us() {
    let service = Service::with(small(), |asked, _| {
        let said = format!("The value {PASSWORD} for Password is wrong.");
        let unauthorized = || refusal(StatusCode::BAD_REQUEST, "iLO.2.26.UnauthorizedLoginAttempt", &said);
        is(asked, &Method::POST, SESSIONS).then(unauthorized)
    })
    .await;
    let error = service.bmc().power_state(&id()).await.expect_err("wrong");
    assert!(
        chain(&error).contains("The value … for Password") && !format!("{error:?}").contains(PASSWORD),
        "{error:?}"
    );
    assert!(error.hint_text().expect("a hint").contains("wrong user `admin` or password"), "iLO says it with 400");
}

#[tokio::test]
async fn without_a_session_service_each_request_has_the_password() {
    let service = Service::with(small(), |asked, _| {
        if asked.path == SESSIONS {
            return Some(StatusCode::NOT_FOUND.into_response());
        }
        // Basic YWRtaW46czNjcmV0LXB3 is admin:s3cret-pw.
        let is_known =
            asked.headers.get(header::AUTHORIZATION).is_some_and(|basic| basic == "Basic YWRtaW46czNjcmV0LXB3");
        (!is_known && asked.path != "/redfish/v1").then(|| StatusCode::UNAUTHORIZED.into_response())
    })
    .await;
    assert_eq!(service.bmc().power_state(&id()).await.expect("read"), PowerState::On);
    std::fs::write(service.folder().join("password"), "another").expect("written");
    let error = service.bmc().power_state(&id()).await.expect_err("wrong");
    assert!(error.hint_text().expect("a hint").contains("wrong user `admin` or password"));
}

#[tokio::test]
async fn a_session_that_expired_is_renewed_once() {
    let service = Service::with(small(), |asked, _| {
        (asked.before == 0 && is(asked, &Method::GET, SYSTEM)).then(|| StatusCode::UNAUTHORIZED.into_response())
    })
    .await;
    assert_eq!(service.bmc().power_state(&id()).await.expect("read"), PowerState::On);
    assert_eq!(service.count(&format!("POST {SESSIONS}")), 2);
    let error = failure(|| StatusCode::UNAUTHORIZED.into_response()).await;
    assert_eq!(error.kind(), FailureKind::Rejected);
}

#[tokio::test]
async fn an_override_that_is_ignored_is_an_error() {
    let service =
        Service::with(small(), |asked, _| is(asked, &Method::PATCH, SYSTEM).then(|| StatusCode::OK.into_response()))
            .await;
    let error = service.bmc().set_next_boot(&id(), BootDevice::Network, None).await.expect_err("ignored");
    assert_eq!(error.kind(), FailureKind::Rejected);
    assert!(chain(&error).ends_with("the BMC accepted the boot override, but shows target None, enabled Disabled"));
    assert_eq!(service.sent().len(), 1);
}

#[tokio::test]
async fn changes_in_between_are_read_again_once() {
    // A weak tag, of which one BMC wants the strong form and another the text as it was.
    for (wanted, patches) in [("\"a\"", 1), ("W/\"a\"", 2), ("never", 2)] {
        let service = Service::with(small(), move |asked, resources| {
            if is(asked, &Method::GET, SYSTEM) {
                let mut response = axum::Json(resources[SYSTEM].clone()).into_response();
                response.headers_mut().insert(header::ETAG, HeaderValue::from_static("W/\"a\""));
                return Some(response);
            }
            let differs = asked.headers.get(header::IF_MATCH).is_none_or(|tag| tag != wanted);
            (asked.method == Method::PATCH && differs).then(|| StatusCode::PRECONDITION_FAILED.into_response())
        })
        .await;
        let result = service.bmc().set_next_boot(&id(), BootDevice::Network, None).await;
        assert_eq!(service.sent().len(), patches, "{wanted}");
        match result {
            Ok(()) => assert_ne!(wanted, "never"),
            Err(error) => assert_eq!((wanted, error.kind()), ("never", FailureKind::Conflict)),
        }
    }
}

#[tokio::test]
async fn a_busy_bmc_is_asked_again_and_tasks_are_followed() {
    let monitor = "/redfish/v1/TaskService/TaskMonitors/1";
    for (end, is_fine) in [("Completed", true), ("Exception", false)] {
        let service = Service::with(small(), move |asked, resources| {
            let running = || axum::Json(json!({"TaskState": "Running"}));
            if asked.method == Method::POST && asked.path.contains("/Actions/") {
                if asked.before == 0 {
                    return Some((StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "0")]).into_response());
                }
                return Some((StatusCode::ACCEPTED, [(header::LOCATION, monitor)], running()).into_response());
            }
            if asked.path == monitor {
                if asked.before < 2 {
                    return Some((StatusCode::ACCEPTED, running()).into_response());
                }
                resources.get_mut(SYSTEM).expect("there")["PowerState"] = json!("Off");
                let messages = json!([{"MessageId": "X.1.0.Broken", "Message": "It broke."}]);
                return Some(axum::Json(json!({"TaskState": end, "Messages": messages})).into_response());
            }
            None
        })
        .await;
        let result = service.bmc().power(&id(), PowerAction::Off).await;
        assert_eq!((result.is_ok(), service.count(&format!("GET {monitor}")), service.sent().len()), (is_fine, 3, 2));
        if let Err(error) = result {
            assert!(chain(&error).ends_with("ended as Exception (Broken: It broke.)"), "{}", chain(&error));
        }
    }
}

#[tokio::test]
async fn power_that_does_not_follow_is_told_with_what_it_is() {
    let service = Service::with(small(), |asked, _| {
        (asked.method == Method::POST && asked.path.contains("/Actions/"))
            .then(|| StatusCode::NO_CONTENT.into_response())
    })
    .await;
    let bmc = service.bmc().with_patience(Patience { follow: Duration::from_millis(200), ..PATIENCE });
    let error = bmc.power(&id(), PowerAction::Off).await.expect_err("stays on");
    assert_eq!(error.kind(), FailureKind::Transient);
    assert!(chain(&error).ends_with("the BMC took the command, but 0.2 s later the power is on"), "{}", chain(&error));
}

#[tokio::test]
async fn authorities_and_what_they_have_not_signed() {
    let (service, other) = (Service::of(small()).await, Service::of(small()).await);
    let file = service.folder().join("ca.pem");
    let bmc = || service.bmc_with(|spec| spec.certificate = CertificateSource::Authorities(file.clone()));
    std::fs::write(&file, service.certificate.pem()).expect("written");
    bmc().power_state(&id()).await.expect("signed by this one");
    assert!(!service.folder().join("certificates").exists(), "nothing to pin");
    std::fs::write(&file, other.certificate.pem()).expect("written");
    let error = bmc().power_state(&id()).await.expect_err("signed by another");
    assert_eq!(error.kind(), FailureKind::Rejected);
    assert!(error.hint_text().expect("a hint").starts_with("`ca_file` of BMC `node-a`"), "{error:?}");
    std::fs::write(&file, "no certificate").expect("written");
    let error = bmc().power_state(&id()).await.expect_err("no authority");
    assert!(chain(&error).contains("failed to read the certificates in "), "{}", chain(&error));
}

#[tokio::test]
async fn nobody_there_and_nobody_who_speaks_tls() {
    let service = Service::of(small()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let silent = listener.local_addr().expect("bound").port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let _ = stream.read(&mut [0; 64]).await;
        // Plain text, as from a port of another service.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    for port in [silent, silent] {
        // The second time nobody listens any more.
        let bmc = service.bmc_with(|spec| spec.port = port);
        let error = bmc.power_state(&id()).await.expect_err("no BMC");
        assert_eq!(error.kind(), FailureKind::Unreachable, "{}", chain(&error));
        let hint = format!("does BMC `node-a` answer at 127.0.0.1, TCP port {port}, with TLS 1.2 or later?");
        assert_eq!(error.hint_text(), Some(hint.as_str()));
    }
    server.await.expect("ended");
}
