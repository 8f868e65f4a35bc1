//! A GET over TLS of a machine of a cluster, as Ignition carries it out on a first boot: in process, or over a real
//! connection from the machine's own address while the world is on the wire. Names are the world's DNS server's to resolve
//! in both: loopback has none.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use bytes::Bytes;
use tokio::time::timeout;

use super::Life;
use crate::boot_server::connect;
use crate::services::{HttpsGet, NoReply};
use crate::wire::https_client;

/// How long an answer may take on the wire, in real time: what takes time there is the network, not the world.
const WIRE_PATIENCE: Duration = Duration::from_secs(10);
/// What Ignition says that it understands. Source: Ignition `internal/resource/http.go`.
const ACCEPT: &str = "application/vnd.coreos.ignition+json;version=3.5.0, */*;q=0.1";

impl Life {
    /// Asks a machine of the cluster. What does not pass takes as long to fail as with the real client.
    pub(super) async fn https(&self, patience: Duration, get: &HttpsGet<'_>) -> Result<(StatusCode, Bytes), String> {
        let now = self.world.now();
        let is_reachable = self.world.with(|state| state.is_reachable(self.id, now));
        let outcome = match is_reachable {
            false => Err(NoReply::Silence),
            true if self.world.is_on_the_wire() => return self.https_on_the_wire(get).await,
            true => self.world.with(|state| state.https(get, now)),
        };
        if matches!(outcome, Err(NoReply::Silence)) {
            self.world.sleep(patience).await;
        }
        outcome.map_err(|why| why.to_string())
    }

    async fn https_on_the_wire(&self, get: &HttpsGet<'_>) -> Result<(StatusCode, Bytes), String> {
        let said = |why: NoReply| why.to_string();
        let uri: Uri = get.url.parse().map_err(|_| said(NoReply::Url))?;
        let (host, port) = (uri.host().ok_or_else(|| said(NoReply::Url))?, uri.port_u16().unwrap_or(443));
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let (address, is_old) = self.world.with(|state| {
            let address = state.address_of(host, get.dns);
            (address, state.faults.expires_certificates())
        });
        let address = address.map_err(said)?;
        // Simulated machines are on loopback, whatever a name means.
        if !address.is_loopback() {
            return Err(said(NoReply::Silence));
        }
        if is_old {
            return Err(said(NoReply::Certificate("certificate has expired or is not yet valid")));
        }
        let tls = https_client::connector(&get.authorities.concat(), None).ok_or("tls: no authority to believe")?;
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(ACCEPT))]);
        let answer = async {
            let stream = connect(get.from, SocketAddr::new(address, port)).await.map_err(|why| why.to_string())?;
            https_client::get(stream, &tls, (host, port), path, headers).await
        };
        timeout(WIRE_PATIENCE, answer).await.unwrap_or_else(|_| Err(said(NoReply::Silence)))
    }
}
