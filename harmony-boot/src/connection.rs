//! TCP connections: how many, from whom, and how long each may dawdle.
//!
//! `axum::serve` has no limit of any kind, so hyper is driven here. A client that sends its
//! header slowly, that reads nothing, or that opens connections without end, is cut off.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::http::Client;

/// Connections at once, of all clients; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;
/// Connections at once of one address; further ones are closed.
const MAX_OF_ONE: usize = 32;
/// How long clients may dawdle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For a request's header, and between requests.
    header: Duration,
    /// Without taking anything of what is sent.
    stall: Duration,
    /// After the server was told to stop.
    grace: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { header: Duration::from_secs(15), stall: Duration::from_secs(60), grace: Duration::from_secs(3) }
    }
}

/// Largest header, in bytes.
const MAX_HEADER_BYTES: usize = 16 << 10;

/// Answers connections until told to stop; then those under way may end.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken, patience: Patience) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let clients = Clients::default();
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(place) = clients.enter(peer) {
                    let connection = one(stream, router.clone(), place, stop.clone(), patience);
                    connections.spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
            }
            // Out of file descriptors, or a client that has gone: the next may do better, but not at once.
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    // What has not ended is aborted as the set is dropped.
    let _ = timeout(patience.grace, all).await;
}

async fn one(stream: TcpStream, router: Router, place: Place, stop: CancellationToken, patience: Patience) {
    // Small answers go out at once; where that cannot be set, they only come later.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router.layer(Extension(Client(place.address))));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.header)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(Unstalled { stream, patience: patience.stall, stalled: None }), service);
    tokio::pin!(connection);
    // A connection's failure is its client's affair: it went away, or spoke no HTTP.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// How many connections each address has.
#[derive(Debug, Clone, Default)]
struct Clients(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection's place among those of its address; given back when dropped.
struct Place {
    address: IpAddr,
    clients: Clients,
}

impl Clients {
    fn enter(&self, peer: SocketAddr) -> Option<Place> {
        let address = peer.ip().to_canonical();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_insert(0);
        if *count == MAX_OF_ONE {
            return None;
        }
        *count += 1;
        Some(Place { address, clients: self.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// A stream that fails when nothing could be written for that long.
struct Unstalled {
    stream: TcpStream,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Unstalled {
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Unstalled {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Unstalled {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server of little patience, which answers `/` with one byte, and `/endless` with bytes without end.
    async fn server() -> (SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("an address");
        let piece = || Ok::<_, io::Error>(vec![b'x'; 1 << 16]);
        let endless = move || futures::stream::repeat_with(piece);
        let router = Router::new()
            .route("/", get(async || "x"))
            .route("/endless", get(async move || axum::body::Body::from_stream(endless())));
        let stop = CancellationToken::new();
        let soon = Duration::from_millis(50);
        tokio::spawn(serve(listener, router, stop.clone(), Patience { header: soon, stall: soon, grace: soon }));
        (address, stop)
    }

    /// What the server sends until it closes.
    async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
        let mut answer = Vec::new();
        let end = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        // A reset is an end, too.
        let _ = end.expect("it is closed");
        answer
    }

    /// Takes what the server sends, until it closes.
    async fn drained(stream: &mut TcpStream) {
        let mut piece = vec![0; 1 << 16];
        let end = async { while !matches!(stream.read(&mut piece).await, Ok(0) | Err(_)) {} };
        timeout(Duration::from_secs(20), end).await.expect("it is closed");
    }

    #[tokio::test]
    async fn slow_headers_and_idle_connections_are_cut_off() {
        let (address, _stop) = server().await;
        for (request, answer) in [("", ""), ("GET / HT", ""), ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK")]
        {
            let mut stream = TcpStream::connect(address).await.expect("connects");
            stream.write_all(request.as_bytes()).await.expect("sends");
            let got = String::from_utf8(until_closed(&mut stream).await).expect("text");
            assert_eq!(got.lines().next().unwrap_or_default(), answer, "{request}");
        }
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_cut_off() {
        let (address, _stop) = server().await;
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sends");
        // Closing shows as the far end's reset, without anything having been read.
        let closed = async {
            while stream.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), closed).await.expect("it is cut off");
    }

    #[tokio::test]
    async fn large_headers_are_refused() {
        let (address, _stop) = server().await;
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n", "x".repeat(2 * MAX_HEADER_BYTES));
        // It may close before all is sent.
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = until_closed(&mut stream).await;
        assert!(answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    }

    #[tokio::test]
    async fn stopping_ends_what_is_under_way() {
        let (address, stop) = server().await;
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sends");
        stream.read_exact(&mut [0; 100]).await.expect("the beginning");
        stop.cancel();
        let closed = async { while TcpStream::connect(address).await.is_ok() {} };
        timeout(Duration::from_secs(20), closed).await.expect("nobody listens");
        drained(&mut stream).await;
    }

    #[test]
    fn one_address_has_so_many_places_and_gets_them_back() {
        let clients = Clients::default();
        let peer = "[::ffff:10.0.0.1]:9".parse().expect("an address");
        let mut places: Vec<_> = (0..MAX_OF_ONE).map(|_| clients.enter(peer).expect("a place")).collect();
        assert!(clients.enter("10.0.0.1:1".parse().expect("an address")).is_none(), "the same, spelled otherwise");
        assert!(clients.enter("10.0.0.2:1".parse().expect("an address")).is_some());
        places.pop();
        drop(clients.enter(peer).expect("a place again"));
        drop(places);
        assert!(clients.0.lock().expect("not poisoned").is_empty());
    }
}
