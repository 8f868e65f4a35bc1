//! Requests of a machine to the boot server, while its frames pass: what does not pass, or is not answered, takes
//! as long to fail as with real clients.
//!
//! What was asked and answered is in the world's log, without queries and without what is secret in a path.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, Uri, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};

use super::Life;
use crate::boot_server::{NoAnswer, hex};

/// Largest body that is kept, in bytes.
const MAX_BODY_BYTES: usize = 64 << 20;
/// How long a body may stand still because frames do not pass, in world time.
const STALLED: Duration = Duration::from_secs(60);
/// How often a client looks whether they pass again.
const LOOK: Duration = Duration::from_secs(1);

/// Who asks, and how patient it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    /// As the log calls it.
    pub(super) name: &'static str,
    pub(super) address: IpAddr,
    /// The NIC that firmware and iPXE use; absent: whatever the running system is connected by.
    pub(super) nic: Option<usize>,
    /// When a request without answer is given up.
    pub(super) patience: Duration,
}

/// What the client at the other end of a URL said.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// `Retry-After`, in seconds.
    pub(super) retry_after: Option<u64>,
}

impl Answer {
    /// The body of an answer that is one.
    pub(super) fn ok(self) -> Result<Bytes, StatusCode> {
        if self.status.is_success() { Ok(self.body) } else { Err(self.status) }
    }
}

impl Life {
    /// Fetches a URL. Its body takes this long to arrive, and is in memory.
    pub(super) async fn get(&mut self, client: Client, url: &str, takes: Duration) -> Result<Answer, NoAnswer> {
        self.get_with(client, url, &[], takes).await
    }

    /// The same with headers.
    pub(super) async fn get_with(
        &mut self,
        client: Client,
        url: &str,
        headers: &[(String, String)],
        takes: Duration,
    ) -> Result<Answer, NoAnswer> {
        let mut request = Request::builder().method(Method::GET).uri(uri(url)?);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::empty()).map_err(|_| NoAnswer::Scheme)?;
        let response = self.send(client, request).await?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        if status.is_success() {
            self.arrive(client, takes).await?;
        }
        let mut body = BytesMut::new();
        let mut frames = response.into_body();
        while let Some(frame) = frames.frame().await {
            let data = frame.map_err(|_| NoAnswer::Silence)?.into_data().unwrap_or_default();
            if body.len() + data.len() > MAX_BODY_BYTES {
                return Err(NoAnswer::TooLong);
            }
            body.extend_from_slice(&data);
        }
        self.give_way(takes).await;
        Ok(Answer { status, body: body.freeze(), retry_after })
    }

    /// Fetches a URL whose body is not kept: its status, and the SHA-256 of the body in hex.
    pub(super) async fn digest(
        &mut self,
        client: Client,
        url: &str,
        takes: Duration,
    ) -> Result<(StatusCode, String), NoAnswer> {
        let request = Request::builder().uri(uri(url)?).body(Body::empty()).map_err(|_| NoAnswer::Scheme)?;
        let response = self.send(client, request).await?;
        let status = response.status();
        if status.is_success() {
            self.arrive(client, takes).await?;
        }
        let (mut digest, mut frames) = (Sha256::new(), response.into_body());
        while let Some(frame) = frames.frame().await {
            digest.update(frame.map_err(|_| NoAnswer::Silence)?.into_data().unwrap_or_default());
        }
        self.give_way(takes).await;
        Ok((status, hex(&digest.finalize())))
    }

    /// Asks for the headers of a URL.
    pub(super) async fn head(&mut self, client: Client, url: &str) -> Result<StatusCode, NoAnswer> {
        let request = Request::builder().method(Method::HEAD).uri(uri(url)?).body(Body::empty());
        let response = self.send(client, request.map_err(|_| NoAnswer::Scheme)?).await?;
        Ok(response.status())
    }

    /// Posts to a URL.
    pub(super) async fn post(
        &mut self,
        client: Client,
        url: &str,
        token: Option<&str>,
        body: Vec<u8>,
    ) -> Result<StatusCode, NoAnswer> {
        let mut request = Request::builder().method(Method::POST).uri(uri(url)?);
        request = request.header(header::CONTENT_LENGTH, body.len());
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = self.send(client, request.body(Body::from(body)).map_err(|_| NoAnswer::Scheme)?).await?;
        Ok(response.status())
    }

    /// Reads a file over TFTP, as firmware does.
    pub(super) async fn tftp(&mut self, client: Client, path: &str) -> Option<Bytes> {
        let boot = self.world.boot().filter(|_| self.is_online(client));
        let Some(boot) = boot else {
            self.world.sleep(client.patience).await;
            return None;
        };
        let read = boot.tftp(client.address, path).await;
        let outcome = read.as_ref().map_or_else(ToString::to_string, |file| format!("{} bytes", file.len()));
        self.note(&format!("{}: TFTP {path}: {outcome}", client.name));
        read.ok()
    }

    /// Whether a client's frames pass now.
    fn is_online(&self, client: Client) -> bool {
        let now = self.world.now();
        self.world.with(|state| match client.nic {
            Some(nic) => state.passes(self.id, nic, now),
            None => state.is_reachable(self.id, now),
        })
    }

    async fn send(&mut self, client: Client, request: Request<Body>) -> Result<Response<Body>, NoAnswer> {
        let (method, shown) = (request.method().clone(), shown(request.uri()));
        if let Some(key) = key(request.uri()) {
            self.world.with(|state| state.know_secret(key));
        }
        let boot = self.world.boot();
        let answer = match boot {
            _ if !self.is_online(client) => Err(NoAnswer::Silence),
            None => Err(NoAnswer::Refused),
            Some(boot) => boot.http(client.address, request).await,
        };
        if answer.as_ref().is_err_and(|why| *why == NoAnswer::Silence) {
            self.world.sleep(client.patience).await;
        }
        let outcome = match &answer {
            Ok(response) => response.status().as_u16().to_string(),
            Err(why) => why.to_string(),
        };
        self.note(&format!("{}: {method} {shown}: {outcome}", client.name));
        answer
    }

    /// Lets the server tell that a file was handed over, which it does in a task of its own, before the machine
    /// goes on with it.
    async fn give_way(&self, takes: Duration) {
        if !takes.is_zero() {
            tokio::task::yield_now().await;
        }
    }

    /// Lets a body arrive: frames that stop passing make it stand still, and in the end fail.
    async fn arrive(&mut self, client: Client, takes: Duration) -> Result<(), NoAnswer> {
        if takes.is_zero() {
            return Ok(());
        }
        self.wait(takes).await;
        let since = self.world.now();
        while !self.is_online(client) {
            if self.world.now() >= since + STALLED {
                return Err(NoAnswer::Silence);
            }
            self.world.sleep(LOOK).await;
        }
        Ok(())
    }
}

fn uri(url: &str) -> Result<Uri, NoAnswer> {
    url.parse().map_err(|_| NoAnswer::Scheme)
}

fn retry_after(response: &Response<Body>) -> Option<u64> {
    response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

/// What is secret in a path: the token of an order, or the key of its progress.
fn key(uri: &Uri) -> Option<&str> {
    let mut parts = uri.path().split('/').skip(1);
    // The word, host and number; the key; the event.
    matches!(parts.next(), Some("answer" | "progress")).then(|| parts.nth(2)).flatten()
}

/// A URI as the log may have it: no query, and nothing that is secret.
fn shown(uri: &Uri) -> String {
    let shown = |part: &str| if Some(part) == key(uri) { "…".to_owned() } else { part.to_owned() };
    uri.path().split('/').map(shown).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_not_shown() {
        let shown = |url: &str| shown(&url.parse().expect("a URI"));
        assert_eq!(shown("http://10.0.0.1:8080/answer/hc-1/1/TOKEN"), "/answer/hc-1/1/…");
        assert_eq!(shown("http://10.0.0.1:8080/progress/hc-1/1/KEY/install-done"), "/progress/hc-1/1/…/install-done");
        assert_eq!(shown("http://10.0.0.1:8080/ipxe/chain?uuid=1&serial=2"), "/ipxe/chain");
    }
}
