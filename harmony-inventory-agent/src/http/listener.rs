//! A listener that strangers cannot exhaust: few connections at a time, each for a short while.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// Connections at a time; more wait to be accepted. Each may hold some 400 kB of request while it is read.
const MAX_CONNECTIONS: usize = 8;

/// How long one may last, from being accepted to the last byte.
const MAX_LIFETIME: Duration = Duration::from_secs(10);

pub(super) struct BoundedListener {
    listener: TcpListener,
    free: Arc<Semaphore>,
}

impl BoundedListener {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, free: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let permit = self.free.clone().acquire_owned().await.ok();
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        (BoundedStream { stream, deadline: Box::pin(sleep(MAX_LIFETIME)), _permit: permit }, peer)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

pub(super) struct BoundedStream {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl BoundedStream {
    /// The stream, unless its time is up.
    fn within_time(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(Pin::new(&mut self.stream)),
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.within_time(cx)?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.within_time(cx)?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.within_time(cx)?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::time::Instant;

    use super::*;

    /// Time is the runtime's own here: it moves on when nothing else can.
    #[tokio::test(start_paused = true)]
    async fn idle_connections_make_room_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("address");
        let mut listener = BoundedListener::new(listener);
        let mut idle = Vec::new();
        for _ in 0..=MAX_CONNECTIONS {
            idle.push(TcpStream::connect(address).await.expect("connects"));
        }
        let start = Instant::now();
        for _ in 0..MAX_CONNECTIONS {
            let (mut stream, _) = listener.accept().await;
            tokio::spawn(async move {
                let error = stream.read_u8().await.expect_err("nothing is sent");
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            });
        }
        assert_eq!(start.elapsed(), Duration::ZERO, "all of these are taken at once");
        listener.accept().await;
        assert!(start.elapsed() >= MAX_LIFETIME, "the last waits for the first to end");
    }
}
