//! Read-only TFTP, for firmware that must first load iPXE. Own code rather than `async-tftp`, which
//! neither bounds its sessions nor tells that a file arrived, and brings a second async runtime.
//!
//! Read next: [`packet`] for the wire, [`transfer`] for what happens when packets are lost.

mod packet;
mod transfer;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use harmony_core::boot::BootEventKind;
use tokio::io::AsyncReadExt;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::evidence::Evidence;
use crate::files::{FileRefusal, Root, Served};
use packet::{ErrorCode, Packet, ReadRequest};

/// Transfers at once, of all clients; further requests are passed over, and come again.
const MAX_SESSIONS: usize = 128;
/// Transfers at once to one address.
const MAX_OF_ONE: usize = 8;
/// When a packet is sent again, unless the client asks for another time.
const RETRANSMIT: Duration = Duration::from_secs(1);
/// How long one transfer may take.
const TRANSFER: Duration = Duration::from_secs(600);

/// Who is being sent a file.
type Sessions = Arc<Mutex<HashSet<SocketAddr>>>;

/// Answers requests until told to stop.
pub(crate) async fn serve(socket: UdpSocket, files: Files, stop: CancellationToken) {
    let sessions = Sessions::default();
    let mut transfers = JoinSet::new();
    let local = socket.local_addr().map(|local| local.ip());
    let mut datagram = [0; 1024];
    loop {
        while transfers.try_join_next().is_some() {}
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = socket.recv_from(&mut datagram) => received,
        };
        let (Ok((length, peer)), Ok(local)) = (received, &local) else {
            // An ICMP error of some client; the next packet is another's.
            sleep(Duration::from_millis(1)).await;
            continue;
        };
        match Packet::parse(&datagram[..length]) {
            Packet::Read(request) => {
                if let Some(place) = Place::take(&sessions, peer) {
                    let session = Session { place, local: *local, files: files.clone() };
                    transfers.spawn(session.run(request));
                }
            }
            Packet::Write => {
                let refusal = packet::error(ErrorCode::AccessViolation, "this server is read-only");
                // Whoever does not hear it asks again.
                let _ = socket.send_to(&refusal, peer).await;
            }
            Packet::Ack(_) | Packet::Error | Packet::Unknown => {}
        }
    }
}

/// A client's place among the sessions; given back when dropped.
struct Place {
    peer: SocketAddr,
    sessions: Sessions,
}

impl Place {
    /// None if there is no room, or the client repeats a request that is being answered.
    fn take(sessions: &Sessions, peer: SocketAddr) -> Option<Self> {
        let mut peers = sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = peers.iter().filter(|known| known.ip() == peer.ip()).count();
        let free = peers.len() < MAX_SESSIONS && of_one < MAX_OF_ONE && peers.insert(peer);
        free.then(|| Self { peer, sessions: Arc::clone(sessions) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.peer);
    }
}

struct Session {
    place: Place,
    local: IpAddr,
    files: Files,
}

/// What is served, and to whom it is told.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) root: Root,
    pub(crate) evidence: Arc<Evidence>,
}

impl Session {
    async fn run(self, request: ReadRequest) {
        let peer = self.place.peer;
        // A port of its own identifies the transfer. Source: RFC 1350 section 4.
        let Ok(socket) = UdpSocket::bind((self.local, 0)).await else { return };
        if socket.connect(peer).await.is_err() {
            return;
        }
        let client = peer.ip().to_canonical();
        match self.files.open(&request.path, request.octet).await {
            Ok(served) => {
                // What did not arrive leaves no evidence: ROMs begin and break off to learn a file's size.
                if let Ok(Ok(())) = timeout(TRANSFER, transfer::send(&socket, &request, served, RETRANSMIT)).await {
                    self.files.sent(client, request.path).await;
                }
            }
            Err((code, reason)) => {
                let _ = socket.send(&packet::error(code, &reason)).await;
                self.files.refused(client, &request.path, &reason).await;
            }
        }
    }
}

impl Files {
    /// The whole file, as a client gets it that loses no packet.
    pub(crate) async fn read(&self, client: IpAddr, path: &str) -> Result<Bytes, String> {
        match self.open(path, true).await {
            Ok(mut served) => {
                let mut bytes = Vec::new();
                served.contents.read_to_end(&mut bytes).await.map_err(|error| error.to_string())?;
                self.sent(client, path.to_owned()).await;
                Ok(bytes.into())
            }
            Err((_, reason)) => {
                self.refused(client, path, &reason).await;
                Err(reason)
            }
        }
    }

    async fn sent(&self, client: IpAddr, path: String) {
        // Evidence is no condition for what is no secret.
        let _ = self.evidence.saw(client, BootEventKind::Tftp { path }).await;
    }

    async fn refused(&self, client: IpAddr, path: &str, reason: &str) {
        self.evidence.refused(client, None, &format!("tftp:{path}"), reason).await;
    }

    async fn open(&self, path: &str, octet: bool) -> Result<Served, (ErrorCode, String)> {
        if !octet {
            return Err((ErrorCode::IllegalOperation, "only octet mode is served".to_owned()));
        }
        // To many ROMs, the root of a TFTP server is `/`.
        let path = path.trim_start_matches('/');
        self.root.file(path).await.map_err(|refusal| {
            let code = match &refusal {
                FileRefusal::NotFound => ErrorCode::NotFound,
                FileRefusal::Odd(_) => ErrorCode::AccessViolation,
                FileRefusal::Unreadable(_) => ErrorCode::Undefined,
            };
            (code, refusal.to_string())
        })
    }
}
