//! Announcing ourselves to the boot server until it acknowledges: one small HTTP POST, tried again.
//!
//! Own client of one request, since the smallest crate for it would be a third of the agent. HTTP only:
//! what is posted is no secret, and the token, when there is one, comes from the very command line that
//! names the URL.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use harmony_core::report::v1::{ANNOUNCE_SCHEMA, Announcement, Report};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

use crate::cmdline::Token;
use crate::log::say;

/// How long one attempt may take, name lookup included.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Bytes read of the answer: the status line is at its start.
const MAX_ANSWER: u64 = 4096;

/// `http://HOST[:PORT][/PATH]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// As it goes into `Host`.
    authority: String,
    host: String,
    port: u16,
    path: String,
}

/// Not a URL that we can post to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no URL to announce to (expected http://HOST[:PORT]/PATH)")]
pub struct UrlError(String);

/// Why an announcement is not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// By this HTTP status.
    #[error("the server answers {0}")]
    Refused(u16),
    /// There is no connection, or no HTTP on it.
    #[error("{0}")]
    Io(io::Error),
    /// The server takes its time.
    #[error("no answer in {} s", ATTEMPT.as_secs())]
    TimedOut,
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let refuse = || UrlError(text.chars().filter(|c| !c.is_control()).take(200).collect());
        // Nothing that could end a line of the request.
        let rest = text.strip_prefix("http://").filter(|rest| rest.bytes().all(|byte| byte.is_ascii_graphic()));
        let rest = rest.ok_or_else(refuse)?.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => v6.split_once(']').map(|(host, port)| (host, port.strip_prefix(':').unwrap_or(port))),
            None => Some(authority.split_once(':').unwrap_or((authority, ""))),
        }
        .ok_or_else(refuse)?;
        if host.is_empty() || authority.contains('@') {
            return Err(refuse());
        }
        Ok(Self {
            authority: authority.to_owned(),
            host: host.to_owned(),
            port: if port.is_empty() { 80 } else { port.parse().map_err(|_| refuse())? },
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

/// How long to wait between attempts: doubled each time.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// After the first attempt.
    pub first: Duration,
    /// At most.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(250), most: Duration::from_secs(15) }
    }
}

/// What an announcement says, from a report. `listen` is where we answer.
#[must_use]
pub fn announcement(report: &Report, listen: SocketAddr) -> Announcement {
    let macs = report.nics.iter().filter_map(|nic| nic.permanent_mac.as_ref().or(nic.mac.as_ref()));
    Announcement {
        schema: ANNOUNCE_SCHEMA.to_owned(),
        uuid: report.system.uuid.clone(),
        serial: report.system.serial.clone(),
        boot_id: report.boot.boot_id.clone(),
        macs: macs.cloned().collect(),
        listen,
    }
}

/// Posts to `url` until an answer of 2xx. `report` is asked before each attempt, since NICs come and go.
///
/// `listen` is our own socket. If its address is a definite one, the announcement comes from there, since its
/// reader goes by where it comes from; else it is replaced by the one that leads to the server.
pub async fn announce(
    url: &Url,
    token: Option<&Token>,
    listen: SocketAddr,
    backoff: Backoff,
    mut report: impl FnMut() -> Report,
) {
    let mut wait = backoff.first;
    while let Err(why) = announce_once(url, token, listen, &mut report).await {
        say(format_args!("announcing to {url}: {why}; again in {} ms", wait.as_millis()));
        sleep(wait).await;
        wait = (wait * 2).min(backoff.most);
    }
}

/// One attempt of [`announce`].
///
/// # Errors
/// Why it is not acknowledged.
pub async fn announce_once(
    url: &Url,
    token: Option<&Token>,
    listen: SocketAddr,
    report: &mut impl FnMut() -> Report,
) -> Result<(), AnnounceError> {
    match timeout(ATTEMPT, attempt(url, token, listen, report)).await {
        Ok(Ok(200..=299)) => Ok(()),
        Ok(Ok(status)) => Err(AnnounceError::Refused(status)),
        Ok(Err(error)) => Err(AnnounceError::Io(error)),
        Err(_) => Err(AnnounceError::TimedOut),
    }
}

async fn attempt(
    url: &Url,
    token: Option<&Token>,
    mut listen: SocketAddr,
    report: &mut impl FnMut() -> Report,
) -> io::Result<u16> {
    let mut stream = connect(url, listen.ip()).await?;
    if listen.ip().is_unspecified() {
        listen.set_ip(stream.local_addr()?.ip().to_canonical());
    }
    let body = serde_json::to_string(&announcement(&report(), listen))?;
    let authorization = match token {
        Some(token) => format!("Authorization: Bearer {}\r\n", token.expose()),
        None => String::new(),
    };
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\n{authorization}Content-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        url.path,
        url.authority,
        body.len(),
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    status(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP"))
}

/// Connects to the first of the server's addresses that answers.
async fn connect(url: &Url, from: IpAddr) -> io::Result<TcpStream> {
    let server = (&*url.host, url.port);
    if from.is_unspecified() {
        return TcpStream::connect(server).await;
    }
    let mut failed = io::ErrorKind::AddrNotAvailable.into();
    for address in lookup_host(server).await?.filter(|address| address.is_ipv4() == from.is_ipv4()) {
        let socket = if from.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind((from, 0).into())?;
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// `HTTP/1.1 204 No Content`. Source: RFC 9112 clause 4.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r' || *byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let version = words.next()?;
    let status = words.next()?;
    (version.starts_with("HTTP/1.") && status.len() == 3).then(|| status.parse().ok())?
}

#[cfg(test)]
mod tests {
    use harmony_core::report::parse_announcement;
    use proptest::prelude::*;
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn reads_urls() {
        let url =
            |text: &str| text.parse::<Url>().map(|url| (url.host.clone(), url.port, url.path.clone(), url.to_string()));
        let expect =
            |host: &str, port, path: &str, all: &str| Ok((host.to_owned(), port, path.to_owned(), all.to_owned()));
        assert_eq!(
            url("http://10.0.0.1:8080/a?b=c#d"),
            expect("10.0.0.1", 8080, "/a?b=c", "http://10.0.0.1:8080/a?b=c")
        );
        assert_eq!(url("http://boot"), expect("boot", 80, "/", "http://boot/"));
        assert_eq!(url("http://[fd00::1]:81?x"), expect("fd00::1", 81, "/?x", "http://[fd00::1]:81/?x"));
        assert_eq!(url("http://[fd00::1]"), expect("fd00::1", 80, "/", "http://[fd00::1]/"));
        for bad in [
            "https://x/",
            "http://",
            "http://:80/",
            "http://a b/",
            "http://x:99999/",
            "http://u@x/",
            "http://x/\r\nY: z",
            "http://[::1/",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reads_the_status_line() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 503\n"), Some(503));
        for bad in [&b""[..], b"HTTP/2 200 ok", b"HTTP/1.1", b"HTTP/1.1 20\r\n", b"220 smtp ready\r\n", b"\xff\xff"] {
            assert_eq!(status(bad), None, "{bad:?}");
        }
    }

    /// Takes one connection, reads the request to the end of its body, gives this answer.
    async fn answer(server: &TcpListener, answer: &str) -> String {
        let (mut stream, _) = server.accept().await.expect("a connection");
        let mut request = String::new();
        while !request.ends_with('}') {
            let mut bytes = [0; 1024];
            let length = stream.read(&mut bytes).await.expect("reads");
            assert!(length > 0, "ended early: {request}");
            request.push_str(std::str::from_utf8(&bytes[..length]).expect("text"));
        }
        stream.write_all(answer.as_bytes()).await.expect("writes");
        request
    }

    #[tokio::test]
    async fn goes_on_until_it_is_acknowledged() {
        let server = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url: Url = format!("http://{}/announce", server.local_addr().expect("address")).parse().expect("a URL");
        let backoff = Backoff { first: Duration::from_millis(1), most: Duration::from_millis(2) };
        let mut report = Report::default();
        report.system.serial = Some("SN-7".into());
        let token = Token::from("s3cret");
        let client = announce(&url, Some(&token), ([0, 0, 0, 0], 8088).into(), backoff, || report.clone());
        let peer = async {
            for refusal in ["HTTP/1.1 503 Busy\r\n\r\n", "", "nonsense", "HTTP/1.1 301 Moved\r\nLocation: /x\r\n\r\n"] {
                answer(&server, refusal).await;
            }
            answer(&server, "HTTP/1.1 202 Accepted\r\n\r\n").await
        };
        let ((), request) = tokio::join!(client, peer);
        let (head, body) = request.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("POST /announce HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nAuthorization: Bearer s3cret\r\n"), "{head}");
        let announcement = parse_announcement(body.as_bytes()).expect("an announcement");
        assert_eq!(announcement.serial.as_deref(), Some("SN-7"));
        assert_eq!(announcement.listen, ([127, 0, 0, 1], 8088).into(), "the address that leads to the server");
    }

    #[tokio::test]
    async fn comes_from_where_it_listens() {
        let server = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url: Url = format!("http://{}/", server.local_addr().expect("address")).parse().expect("a URL");
        let ours = IpAddr::from([127, 0, 0, 9]);
        let client = announce(&url, None, (ours, 8088).into(), Backoff::default(), Report::default);
        let peer = async {
            let (mut stream, from) = server.accept().await.expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                assert!(stream.read_buf(&mut request).await.expect("reads") > 0, "ended early");
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("writes");
            from.ip()
        };
        assert_eq!(tokio::join!(client, peer).1, ours);
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,40}", answer: Vec<u8>) {
            let _ = (text.parse::<Url>(), format!("http://{text}").parse::<Url>(), status(&answer));
        }
    }
}
