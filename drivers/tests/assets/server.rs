//! A web server of one file, that answers as it is told to.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How one request is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// As asked.
    Honest,
    /// As asked, but the connection ends after this many bytes of the body.
    CutAfter(usize),
    /// The part that is asked for, whatever version it is of.
    IgnoreVersion,
    /// Nothing but a status.
    Status(u16),
}

pub(crate) struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    serving: tokio::task::JoinHandle<()>,
}

/// A port on which nobody listens.
pub(crate) async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    listener.local_addr().expect("bound").port()
}

impl Server {
    pub(crate) async fn of(file: Vec<u8>, answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            for answer in answers {
                let Ok((stream, _)) = listener.accept().await else { return };
                serve(stream, &file, answer, &log).await;
            }
        });
        Self { port, asked, serving }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What each request asked for: `whole`, or its range and version.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut stream: TcpStream, file: &[u8], answer: Answer, log: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let header =
        |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
    let (range, version) = (header("range:"), header("if-range:"));
    let shown = range.as_ref().map(|range| format!("{range} if {}", version.as_deref().unwrap_or("any")));
    log.lock().expect("no panic").push(shown.unwrap_or_else(|| "whole".to_owned()));
    let is_same = version.is_none_or(|version| version == "\"v1\"") || matches!(answer, Answer::IgnoreVersion);
    let start =
        range.filter(|_| is_same).and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let body = &file[start.unwrap_or(0usize).min(file.len())..];
    let (status, more) = match (answer, start) {
        (Answer::Status(status), _) => (format!("{status} x"), String::new()),
        (_, Some(start)) => {
            ("206 x".to_owned(), format!("content-range: bytes {start}-{}/{}\r\n", file.len() - 1, file.len()))
        }
        (_, None) => ("200 x".to_owned(), String::new()),
    };
    let body = if matches!(answer, Answer::Status(_)) { &[] } else { body };
    let tag = if matches!(answer, Answer::IgnoreVersion) { "" } else { "etag: \"v1\"\r\n" };
    let head = format!("HTTP/1.1 {status}\r\n{tag}{more}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let sent = if let Answer::CutAfter(bytes) = answer { &body[..bytes.min(body.len())] } else { body };
    // A client that has gone has seen enough.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(sent).await;
    let _ = stream.shutdown().await;
}
