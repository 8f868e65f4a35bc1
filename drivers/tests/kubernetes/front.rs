//! The simulated API itself, where it does more than the driver asks for: watches, versions, and what is refused.

use std::net::SocketAddr;

use harmony_core::cluster::NodeKind;
use harmony_drivers::transport::tls::{Trust, Verifier};
use harmony_sim::cluster::{ClusterState, Server};
use reqwest::header::ACCEPT;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use super::site::{Authority, Site, TOKEN, fqdn};

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

fn client() -> Client {
    let tls = Verifier::new(Trust::FirstSight).and_then(|verifier| verifier.client_config()).expect("TLS");
    Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("a client")
}

async fn ask(at: SocketAddr, method: Method, path: &str, body: Option<&Value>) -> Response {
    let request = client().request(method, format!("https://{at}{path}")).bearer_auth(TOKEN);
    let request = if let Some(body) = body { request.json(body) } else { request };
    request.send().await.expect("an answer")
}

async fn get(at: SocketAddr, path: &str) -> Value {
    ask(at, Method::GET, path, None).await.json().await.expect("JSON")
}

/// The next line of a watch.
async fn line(watch: &mut Response, read: &mut String) -> Value {
    loop {
        if let Some((line, rest)) = read.split_once('\n') {
            let value = serde_json::from_str(line).expect("a line of JSON");
            *read = rest.to_owned();
            return value;
        }
        let more = watch.chunk().await.expect("goes on").expect("no end");
        read.push_str(&String::from_utf8_lossy(&more));
    }
}

#[tokio::test]
async fn a_watch_tells_what_has_changed_since_the_list() {
    let site = Site::new();
    site.control_plane();
    let at = site.serve(Server::Master(fqdn("master-0"))).await;
    let listed = get(at, REQUESTS).await;
    let version = listed["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
    let path = format!("{REQUESTS}?watch=true&allowWatchBookmarks=true&resourceVersion={version}");
    let (mut watch, mut read) = (ask(at, Method::GET, &path, None).await, String::new());
    site.joins("worker-0", NodeKind::Worker, 20);
    site.until_pending(1);
    let added = line(&mut watch, &mut read).await;
    assert_eq!(added["type"], "ADDED");
    let name = added["object"]["metadata"]["name"].as_str().expect("a name").to_owned();
    site.cluster.ask(|state, now| state.deny(now, &name)).expect("is there");
    let modified = line(&mut watch, &mut read).await;
    assert_eq!((&modified["type"], &modified["object"]["metadata"]["name"]), (&json!("MODIFIED"), &json!(name)));
    assert_ne!(modified["object"]["metadata"]["resourceVersion"], added["object"]["metadata"]["resourceVersion"]);
    // One name of many, and all that there is first.
    let path = format!("{REQUESTS}?watch=1&fieldSelector=metadata.name%3D{name}");
    let (mut watch, mut read) = (ask(at, Method::GET, &path, None).await, String::new());
    assert_eq!(line(&mut watch, &mut read).await["object"]["metadata"]["name"], json!(name));
    // The machine goes, and its watches with it.
    site.cluster.ask(|state, now| state.node_stopped(now, &fqdn("master-0")));
    assert!(matches!(watch.chunk().await, Ok(None)));
}

#[tokio::test]
async fn an_approval_of_an_older_version_is_a_conflict() {
    let site = Site::new();
    site.control_plane();
    site.joins("worker-0", NodeKind::Worker, 20);
    site.until_pending(1);
    let at = site.serve(Server::Master(fqdn("master-0"))).await;
    let items = get(at, REQUESTS).await["items"].as_array().expect("items").clone();
    let mut request = items.into_iter().find(|request| request["status"] == json!({})).expect("one is pending");
    let name = request["metadata"]["name"].as_str().expect("a name").to_owned();
    request["status"]["conditions"] = json!([{"type": "Approved", "status": "True"}]);
    let path = format!("{REQUESTS}/{name}/approval");
    let mut older = request.clone();
    older["metadata"]["resourceVersion"] = json!("1");
    let refused = ask(at, Method::PUT, &path, Some(&older)).await;
    assert_eq!(refused.status(), 409);
    assert_eq!(refused.json::<Value>().await.expect("a status")["reason"], "Conflict");
    assert_eq!(ask(at, Method::PUT, &path, Some(&request)).await.status(), 200);
    assert_eq!(ask(at, Method::PUT, &path, Some(&request)).await.status(), 409, "it has changed by that");
    assert_eq!(ask(at, Method::DELETE, &format!("{REQUESTS}/{name}"), Some(&json!({}))).await.status(), 405);
    assert_eq!(ask(at, Method::GET, &format!("{REQUESTS}/csr-0"), None).await.status(), 404);
    assert_eq!(ask(at, Method::GET, "/api/v1/secrets", None).await.status(), 404);
}

#[tokio::test]
async fn who_is_nobody_may_read_health_and_version_alone() {
    let site = Site::new();
    site.bootstrap();
    let at = site.serve(Server::Bootstrap).await;
    let status = async |path: &str| {
        client().get(format!("https://{at}{path}")).send().await.expect("an answer").status().as_u16()
    };
    assert_eq!([status("/readyz").await, status("/version").await], [200, 200]);
    assert_eq!(status("/api/v1/nodes").await, 403);
    let unknown = client().get(format!("https://{at}/api/v1/nodes")).bearer_auth("sha256~another");
    assert_eq!(unknown.send().await.expect("an answer").status(), 401);
}

#[tokio::test]
async fn the_machine_config_server_as_ignition_and_load_balancers_use_it() {
    let (site, root) = (Site::new(), Authority::new("root-ca"));
    site.control_plane();
    site.until(ClusterState::install_is_complete);
    let server = Server::Master(fqdn("master-0"));
    let at = site.serve_config(server, root.server("api-int.ocp4.example.com")).await;
    let url = |path: &str| format!("https://{at}{path}");
    let ignition = "application/vnd.coreos.ignition+json;version=3.4.0, */*;q=0.1";
    let answer = client().get(url("/config/worker")).header(ACCEPT, ignition).send().await.expect("an answer");
    let config: Value = answer.json().await.expect("an Ignition");
    assert_eq!(config["ignition"]["version"], "3.4.0");
    let old: Value = client().get(url("/config/worker")).send().await.expect("an answer").json().await.expect("one");
    assert_eq!(old["ignition"]["version"], "2.2.0");
    for (method, path, status) in [
        (Method::HEAD, "/config/worker", 200),
        (Method::GET, "/healthz", 200),
        (Method::GET, "/config/infra", 404),
        (Method::GET, "/", 404),
        (Method::POST, "/config/worker", 405),
    ] {
        let answer = client().request(method.clone(), url(path)).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{method} {path}");
    }
}
