//! How members tell each other what they know: each asks all that have an API, once a second, and tells what it knows itself.
//!
//! A member that has been silent for long is taken for switched off by those that it used to ask.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use harmony_core::cluster::NodeKind;
use harmony_core::secret::Secret;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

use super::Failure;
use super::history::{Entry, History};
use super::settings::Settings;
use crate::cluster::{Input, Kubelet};
use crate::services::API;
use crate::wire::https_client;

/// Where members ask each other, beside the API.
pub(super) const PATH: &str = "/harmony-sim/history";
/// Between two rounds.
const ROUND: Duration = Duration::from_secs(1);
/// How long a member may take to answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// After which a silent member is taken for switched off: its machine is emulated, and slow.
const SILENCE: Duration = Duration::from_secs(60);

/// What a member tells.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    by: String,
    entries: BTreeSet<Entry>,
}

/// Who is heard of.
#[derive(Default)]
pub(super) struct Heard(Mutex<BTreeMap<String, Instant>>);

impl Heard {
    fn hear(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), Instant::now());
    }

    /// Those that have been silent for too long; each is told of once.
    fn silent(&self) -> Vec<String> {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let silent: Vec<_> =
            heard.iter().filter(|(_, at)| at.elapsed() > SILENCE).map(|(name, _)| name.clone()).collect();
        heard.retain(|name, _| !silent.contains(name));
        silent
    }
}

/// What answers other members.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) history: Arc<History>,
    pub(super) heard: Arc<Heard>,
    pub(super) token: Secret,
}

/// Hears another member, and tells it what is known here.
pub(super) async fn answer(State(door): State<Door>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let shown = headers.get(header::AUTHORIZATION).and_then(|shown| shown.to_str().ok());
    if shown.and_then(|shown| shown.strip_prefix("Bearer ")).map(Secret::new) != Some(door.token) {
        return (StatusCode::UNAUTHORIZED, String::new());
    }
    let Ok(Told { by, entries }) = serde_json::from_slice(&body) else {
        return (StatusCode::BAD_REQUEST, String::new());
    };
    door.heard.hear(&by);
    let known = door.history.hear(entries).and_then(|()| Ok(serde_json::to_string(&door.history.entries())?));
    match known {
        Ok(known) => (StatusCode::OK, known),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Joins the cluster, and stays in touch with it. Ends with an error alone.
pub(super) async fn take_part(settings: &Settings, history: &History, heard: &Heard) -> Result<(), Failure> {
    let tls = https_client::connector(settings.authorities.as_bytes(), None).ok_or("the cluster has no authority")?;
    let name = Settings::own_name()?;
    let address = own_address(settings).await;
    history.is_of(&name, address);
    history.came(first(settings, history, &name, address))?;
    loop {
        for peer in peers(settings, history, address).await {
            let told = Told { by: name.clone(), entries: history.entries() };
            // One that does not answer is asked again in the next round.
            if let Ok(Ok(entries)) = timeout(PATIENCE, ask(settings, &tls, peer, &told)).await {
                history.hear(entries)?;
            }
        }
        if settings.kind != NodeKind::Worker {
            for silent in heard.silent() {
                let entries = history.entries();
                let is_bootstrap = |entry: &Entry| entry.by == silent && entry.input == Input::BootstrapStarted;
                let is_bootstrap = entries.iter().any(is_bootstrap);
                history.came(if is_bootstrap { Input::BootstrapStopped } else { Input::NodeStopped(silent) })?;
            }
        }
        // What has happened meanwhile is told, whether or not anybody asks.
        history.ask(|state, now| state.next_change(now));
        sleep(ROUND).await;
    }
}

/// What this member's start means.
fn first(settings: &Settings, history: &History, name: &str, address: IpAddr) -> Input {
    if settings.kind == NodeKind::Bootstrap {
        return Input::BootstrapStarted;
    }
    let ran = |entry: Entry| matches!(entry.input, Input::Kubelet(kubelet) if kubelet.fqdn == name);
    if history.entries().into_iter().any(ran) {
        return Input::NodeRestarted(name.to_owned());
    }
    let (fqdn, kind) = (name.to_owned(), settings.kind);
    Input::Kubelet(Kubelet { fqdn, kind, addresses: vec![address], has_order: true })
}

/// The address by which this machine reaches its cluster; waits until it has one.
async fn own_address(settings: &Settings) -> IpAddr {
    let mut said = String::new();
    loop {
        let found = async {
            let cluster = resolve(settings).await?;
            let socket = UdpSocket::bind("0.0.0.0:0").await?;
            socket.connect(cluster).await?;
            Ok::<_, std::io::Error>(socket.local_addr()?.ip())
        };
        match found.await {
            Ok(address) => return address,
            Err(error) if error.to_string() != said => {
                said = error.to_string();
                eprintln!("simulated-node: {}: {said}; tries again", settings.name("api-int"));
            }
            Err(_) => {}
        }
        sleep(ROUND).await;
    }
}

async fn resolve(settings: &Settings) -> std::io::Result<SocketAddr> {
    let mut found = lookup_host((settings.name("api-int"), API)).await?;
    found.next().ok_or_else(|| std::io::Error::other("the name has no address"))
}

/// Members that have an API; where none is known, whoever the cluster's name leads to.
async fn peers(settings: &Settings, history: &History, own: IpAddr) -> Vec<SocketAddr> {
    let has_api = |entry: Entry| match entry.input {
        Input::BootstrapStarted => Some(entry.address),
        Input::Kubelet(kubelet) if kubelet.kind == NodeKind::Master => Some(entry.address),
        _ => None,
    };
    let known: BTreeSet<IpAddr> = history.entries().into_iter().filter_map(has_api).filter(|at| *at != own).collect();
    if known.is_empty() && settings.kind != NodeKind::Bootstrap {
        return resolve(settings).await.into_iter().collect();
    }
    known.into_iter().map(|address| SocketAddr::new(address, API)).collect()
}

async fn ask(
    settings: &Settings,
    tls: &TlsConnector,
    peer: SocketAddr,
    told: &Told,
) -> Result<BTreeSet<Entry>, Failure> {
    let stream = TcpStream::connect(peer).await?;
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {}", settings.token))?);
    let host = settings.name("api-int");
    let body = Bytes::from(serde_json::to_vec(told)?);
    let (status, body) = https_client::post(stream, tls, (&host, API), PATH, headers, body).await?;
    if status.is_success() { Ok(serde_json::from_slice(&body)?) } else { Err(format!("{peer}: {status}").into()) }
}
