//! Asking a DNS server over UDP: from a port that nobody can foresee, for an answer to this very question.
//!
//! Does not know what the answers are for. An answer that belongs to another question is dropped, and the right one
//! is waited for: who sends wrong ones can neither give an answer nor end the wait.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use harmony_core::error::FailureKind;
use harmony_core::net::DnsName;
use tokio::net::UdpSocket;

use super::message::{self, Found, Kind, MessageError, Question};

/// Time that one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a question is asked: a datagram may be lost.
const ATTEMPTS: usize = 3;
/// Names and addresses of one answer that are kept.
const MAX_FOUND: usize = 64;
/// The label that is asked for below a wildcard. Nobody has it.
const ANY_LABEL: &str = "harmony-looks-below-the-wildcard";

/// Why a server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It cannot be reached.
    #[error("failed to ask the DNS server {server} for `{name}`")]
    Reach {
        /// The server.
        server: SocketAddr,
        /// What was asked for.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No answer in time.
    #[error("the DNS server {server} gave no answer for `{name}` in {} times {} s", ATTEMPTS, ANSWER_TIMEOUT.as_secs())]
    TimedOut {
        /// The server.
        server: SocketAddr,
        /// What was asked for.
        name: String,
    },
    /// Its answer is none.
    #[error("the DNS server {server} gave no answer for `{name}` that can be used")]
    Unusable {
        /// The server.
        server: SocketAddr,
        /// What was asked for.
        name: String,
        /// Why.
        #[source]
        source: MessageError,
    },
}

impl AskError {
    /// What it means for a retry.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Reach { .. } | Self::TimedOut { .. } => FailureKind::Unreachable,
            Self::Unusable { source: MessageError::Failed(2), .. } => FailureKind::Transient,
            Self::Unusable { source: MessageError::Failed(_), .. } => FailureKind::Rejected,
            Self::Unusable { .. } => FailureKind::Invalid,
        }
    }
}

/// The addresses of a name, sorted.
pub(super) async fn resolve(server: SocketAddr, name: &DnsName) -> Result<Vec<IpAddr>, AskError> {
    let asked = if name.is_wildcard() { format!("{ANY_LABEL}.{}", name.base()) } else { name.to_string() };
    let mut addresses = Vec::new();
    for kind in [Kind::A, Kind::Aaaa] {
        let found = ask(server, &Question { name: asked.clone(), kind }).await?;
        addresses.extend(found.into_iter().filter_map(|found| match found {
            Found::Address(address) => Some(address),
            Found::Name(_) => None,
        }));
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(MAX_FOUND);
    Ok(addresses)
}

/// The names of an address, sorted. What is no name is left out: nobody could have meant it.
pub(super) async fn resolve_back(server: SocketAddr, address: IpAddr) -> Result<Vec<DnsName>, AskError> {
    let found = ask(server, &Question { name: message::reverse_name(address), kind: Kind::Ptr }).await?;
    let name = |found| match found {
        Found::Name(name) => name.to_ascii_lowercase().parse().ok(),
        Found::Address(_) => None,
    };
    let mut names: Vec<DnsName> = found.into_iter().filter_map(name).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(MAX_FOUND);
    Ok(names)
}

/// Whether it answers at all. Nobody has this name, and no server asks another for it. Source: RFC 6761 section 6.4.
pub(super) async fn is_answering(server: SocketAddr) -> Result<(), AskError> {
    ask(server, &Question { name: "harmony.invalid".to_owned(), kind: Kind::A }).await.map(drop)
}

async fn ask(server: SocketAddr, question: &Question) -> Result<Vec<Found>, AskError> {
    let name = || question.name.clone();
    let unreached = |source| AskError::Reach { server, name: name(), source };
    let mut last = AskError::TimedOut { server, name: name() };
    for _ in 0..ATTEMPTS {
        // A socket each time, so that a late answer to an earlier attempt does not come into it.
        let local = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind(SocketAddr::new(local, 0)).await.map_err(unreached)?;
        // Connected: the system drops what does not come from that server.
        socket.connect(server).await.map_err(unreached)?;
        let id = unforeseeable();
        socket.send(&message::query(id, question)).await.map_err(unreached)?;
        match tokio::time::timeout(ANSWER_TIMEOUT, right_answer(&socket, id, question)).await {
            Ok(Ok(Ok(found))) => return Ok(found),
            Ok(Ok(Err(source))) => return Err(AskError::Unusable { server, name: name(), source }),
            Ok(Err(source)) => return Err(unreached(source)),
            Err(_) => last = AskError::TimedOut { server, name: name() },
        }
    }
    Err(last)
}

/// Waits for the answer that belongs to the question.
async fn right_answer(
    socket: &UdpSocket,
    id: u16,
    question: &Question,
) -> std::io::Result<Result<Vec<Found>, MessageError>> {
    let mut buffer = vec![0; message::MAX_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match message::answer(id, question, &buffer[..length]) {
            Err(MessageError::Foreign) => {}
            answer => return Ok(answer),
        }
    }
}

/// A number that whoever cannot see our traffic does not know: keys of the standard library's hash tables come from the
/// system's random numbers.
fn unforeseeable() -> u16 {
    let number = RandomState::new().build_hasher().finish();
    (number ^ number >> 16 ^ number >> 32 ^ number >> 48) as u16
}
