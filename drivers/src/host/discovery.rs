//! Finding inventory agents on the provisioning network, and fetching what they say.
//!
//! Owns the bounds: how many addresses are tried, how much of an answer is read and for how long.
//! Whoever answers is a stranger, so the body is handed on as it came; `harmony_core::report` reads it.
//!
//! Read next: [`super::scan`] for how a whole network is tried at once.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{AgentReply, HostDiscovery};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::report::MAX_REPORT_BYTES;
use harmony_core::secret::Secret;
use ipnet::Ipv4Net;
use reqwest::{Client, StatusCode, redirect};

use super::scan;
use crate::transport::tls;

/// Shortest prefix that is scanned: 65,536 addresses.
const MIN_PREFIX: u8 = 16;
/// Time for one report, from the first packet to the last byte.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an answer is not handed on.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it answered with more than {MAX_REPORT_BYTES} bytes")]
    TooLarge,
    #[error("no whole answer within {} s", FETCH_TIMEOUT.as_secs())]
    TimedOut,
    #[error("no answer")]
    Connect(#[source] reqwest::Error),
    #[error("the answer is no HTTP")]
    Http(#[source] reqwest::Error),
}

impl FetchError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Status(status) if status.is_server_error() => FailureKind::Transient,
            Self::Status(_) => FailureKind::Rejected,
            Self::TooLarge | Self::Http(_) => FailureKind::Invalid,
            Self::TimedOut | Self::Connect(_) => FailureKind::Unreachable,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                "it was started for another Harmony, with another token: boot it again"
            }
            Self::Status(_) | Self::TooLarge | Self::Http(_) => "is it Harmony's inventory agent that listens there?",
            Self::TimedOut | Self::Connect(_) => "is the host still up, and in its live environment?",
        }
    }
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else if error.is_connect() {
            Self::Connect(error)
        } else {
            Self::Http(error)
        }
    }
}

/// The inventory agents of one network.
#[derive(Debug)]
pub struct NetworkDiscovery {
    network: Ipv4Net,
    port: u16,
    token: Option<Secret>,
    client: Client,
}

impl NetworkDiscovery {
    /// Agents that listen on TCP `port` (`harmony_core::report::AGENT_PORT`) in `network`; `token` is
    /// shown to each of them.
    ///
    /// # Errors
    /// If the network has more than 65,536 addresses.
    pub fn new(network: Ipv4Net, port: u16, token: Option<Secret>) -> DeviceResult<Self> {
        let operation = || format!("failed to prepare the search of {network}");
        if network.prefix_len() < MIN_PREFIX {
            return Err(DeviceError::new(FailureKind::Invalid, operation())
                .because(format!("more than 65,536 addresses: its prefix is shorter than /{MIN_PREFIX}"))
                .hint("narrow the provisioning network in the site file"));
        }
        // An agent sends nobody elsewhere, and a proxy cannot see the provisioning network.
        let tls =
            tls::trusting_nobody().map_err(|error| DeviceError::new(FailureKind::Bug, operation()).because(error))?;
        let client = Client::builder().tls_backend_preconfigured(tls).no_proxy().redirect(redirect::Policy::none());
        let client = client.timeout(FETCH_TIMEOUT).http1_only().build();
        let client = client.map_err(|error| DeviceError::new(FailureKind::Bug, operation()).because(error))?;
        Ok(Self { network, port, token, client })
    }

    async fn fetch(&self, address: SocketAddr) -> Result<Vec<u8>, FetchError> {
        let mut request = self.client.get(format!("http://{address}/"));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        let mut response = request.send().await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_REPORT_BYTES {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

#[async_trait]
impl HostDiscovery for NetworkDiscovery {
    async fn scan(&self) -> DeviceResult<Vec<IpAddr>> {
        let found =
            scan::open_addresses(self.network.hosts().map(IpAddr::V4), self.port, scan::Limits::default()).await;
        let found = found.map_err(|error| {
            DeviceError::new(FailureKind::Transient, format!("failed to search {} for agents", self.network))
                .because(error)
        })?;
        let mut addresses: Vec<IpAddr> = found.open.iter().map(SocketAddr::ip).collect();
        addresses.sort_unstable();
        Ok(addresses)
    }

    async fn fetch_report(&self, address: IpAddr) -> DeviceResult<AgentReply> {
        let address = SocketAddr::new(address, self.port);
        let body = self.fetch(address).await.map_err(|error| {
            let failed =
                DeviceError::new(error.kind(), format!("failed to fetch the report of the agent at {address}"));
            failed.hint(error.hint()).because(error)
        })?;
        Ok(AgentReply { address, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harmony_core::error::chain;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Serves one connection on loopback; yields what was asked.
    async fn with_agent<F: Future<Output = ()> + Send>(
        answer: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> (NetworkDiscovery, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind((HERE, 0)).await.expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        let token = Some(Secret::new("t0ken"));
        let discovery = NetworkDiscovery::new("127.0.0.1/32".parse().expect("valid"), port, token).expect("small");
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.expect("a request");
            answer(stream).await;
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        (discovery, asked)
    }

    async fn says(mut stream: TcpStream, text: &str) {
        let _ = stream.write_all(text.as_bytes()).await;
    }

    #[tokio::test]
    async fn a_report_is_handed_on_as_it_came() {
        let (discovery, asked) = with_agent(|s| says(s, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{\0}")).await;
        let reply = discovery.fetch_report(HERE).await.expect("answered");
        assert_eq!((reply.address.ip(), reply.body.as_slice()), (HERE, b"{\0}".as_slice()));
        let asked = asked.await.expect("served").to_ascii_lowercase();
        assert!(asked.starts_with("get / http/1.1\r\n") && asked.contains("authorization: bearer t0ken"), "{asked}");
        assert!(!format!("{discovery:?}").contains("t0ken"));
    }

    #[tokio::test]
    async fn answers_that_are_none() {
        for (answer, kind, why, hint) in [
            (
                "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n",
                FailureKind::Transient,
                "it answered 500 Internal Server Error",
                "agent that listens there",
            ),
            (
                "HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n",
                FailureKind::Rejected,
                "it answered 401 Unauthorized",
                "another token",
            ),
            (
                "HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n",
                FailureKind::Rejected,
                "it answered 302 Found",
                "agent",
            ),
            ("SSH-2.0-OpenSSH_9.2\r\n", FailureKind::Invalid, "the answer is no HTTP", "agent"),
            ("", FailureKind::Invalid, "the answer is no HTTP", "agent"),
        ] {
            let (discovery, asked) = with_agent(move |s| says(s, answer)).await;
            let error = discovery.fetch_report(HERE).await.expect_err(why);
            assert_eq!(error.kind(), kind, "{why}: {}", chain(&error));
            assert!(error.to_string().starts_with("failed to fetch the report of the agent at 127.0.0.1:"));
            assert!(chain(&error).contains(why) && error.hint_text().expect("a hint").contains(hint), "{error:?}");
            asked.await.expect("served");
        }
    }

    #[tokio::test]
    async fn a_gigabyte_is_cut_off_at_a_mebibyte() {
        let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = sent.clone();
        let (discovery, asked) = with_agent(|mut stream| async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
            while stream.write_all(&[b' '; 64 << 10]).await.is_ok() {
                count.fetch_add(64 << 10, std::sync::atomic::Ordering::Relaxed);
            }
        })
        .await;
        let error = discovery.fetch_report(HERE).await.expect_err("too large");
        assert_eq!(
            (error.kind(), chain(&error).ends_with("it answered with more than 1048576 bytes")),
            (FailureKind::Invalid, true)
        );
        drop(discovery);
        asked.await.expect("the connection was closed");
        let sent = sent.load(std::sync::atomic::Ordering::Relaxed);
        assert!(sent < 64 << 20, "{sent} bytes left the agent");
    }

    #[tokio::test]
    async fn silence_and_absence_are_unreachable() {
        let (discovery, asked) = with_agent(|mut stream| async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nslow").await;
            let _ = stream.read(&mut [0; 1]).await;
        })
        .await;
        let error = discovery.fetch_report(HERE).await.expect_err("silent");
        assert_eq!(
            (error.kind(), chain(&error).ends_with("no whole answer within 5 s")),
            (FailureKind::Unreachable, true),
            "{error:?}"
        );
        asked.await.expect("the connection was closed");
        let error = discovery.fetch_report(HERE).await.expect_err("nobody listens any more");
        assert_eq!(error.kind(), FailureKind::Unreachable, "{error:?}");
    }

    #[tokio::test]
    async fn a_scan_finds_who_listens() {
        let listener = TcpListener::bind(("127.77.0.9", 0)).await.expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        let discovery = NetworkDiscovery::new("127.77.0.0/28".parse().expect("valid"), port, None).expect("small");
        assert_eq!(discovery.scan().await.expect("scanned"), [IpAddr::from([127, 77, 0, 9])]);
        let error = NetworkDiscovery::new("10.0.0.0/15".parse().expect("valid"), 1, None).expect_err("too large");
        assert_eq!(
            chain(&error),
            "failed to prepare the search of 10.0.0.0/15: more than 65,536 addresses: its prefix is shorter than /16"
        );
    }
}
