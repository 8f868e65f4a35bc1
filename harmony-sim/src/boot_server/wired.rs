//! A boot server that listens on loopback: each request over a connection of its own, from a socket that is
//! bound to the machine's address, since that is how the server knows who asks.
//!
//! What takes time here is the network, not the world: its limits are in real time.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use bytes::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::in_process::target;
use super::{BootFiles, BootServer, NoAnswer, TftpFailure, tftp};

/// How long the beginning of an answer may take, in real time.
const PATIENCE: Duration = Duration::from_secs(30);

/// A boot server on loopback.
pub(super) struct Wired {
    files: BootFiles,
    tftp: Option<SocketAddr>,
}

impl Wired {
    pub(super) fn new(http: SocketAddr, tftp: Option<SocketAddr>) -> Self {
        Self { files: BootFiles::of(http), tftp }
    }
}

#[async_trait]
impl BootServer for Wired {
    fn files(&self) -> &BootFiles {
        &self.files
    }

    async fn http(&self, from: IpAddr, mut request: Request<Body>) -> Result<Response<Body>, NoAnswer> {
        let (address, path) = target(request.uri())?;
        // Simulated machines are on loopback, whatever a script says.
        if !address.ip().is_loopback() {
            return Err(NoAnswer::Silence);
        }
        let host = HeaderValue::from_str(&address.to_string()).map_err(|_| NoAnswer::Scheme)?;
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        *request.uri_mut() = path.into();
        timeout(PATIENCE, exchange(from, address, request)).await.unwrap_or(Err(NoAnswer::Silence))
    }

    async fn tftp(&self, from: IpAddr, path: &str) -> Result<Bytes, TftpFailure> {
        match self.tftp {
            Some(server) if server.ip().is_loopback() => tftp::get(from, server, path).await,
            _ => Err(TftpFailure::Silence),
        }
    }
}

/// A connection from a machine's own address.
pub(crate) async fn connect(from: IpAddr, to: SocketAddr) -> Result<TcpStream, NoAnswer> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|_| NoAnswer::Silence)?;
    // Many requests come from one address, each from a port that its last use may not have let go.
    socket.set_reuseaddr(true).map_err(|_| NoAnswer::Silence)?;
    socket.bind(SocketAddr::new(from, 0)).map_err(|_| NoAnswer::Silence)?;
    socket.connect(to).await.map_err(|_| NoAnswer::Refused)
}

async fn exchange(from: IpAddr, to: SocketAddr, request: Request<Body>) -> Result<Response<Body>, NoAnswer> {
    let stream = connect(from, to).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| NoAnswer::Refused)?;
    // Ends with the answer's body, or when it is dropped: the request closes the connection.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|_| NoAnswer::Refused)?;
    Ok(response.map(Body::new))
}
