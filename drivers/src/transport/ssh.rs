//! An SSH connection up to the login: TCP, key exchange, and the host key compared with the pinned one.
//!
//! Does not know which key is right, who logs in and what is said then: that is with
//! [`crate::host::ssh`] and [`super::cli`].

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client;
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Time for TCP, key exchange and login, each.
pub(crate) const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no session, or no answer in it.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Nobody answers.
    #[error("no TCP connection to {address}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What answers is silent.
    #[error("{what} took longer than {} s", .after.as_secs_f32())]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// The time it had.
        after: Duration,
    },
    /// The host key is another one than pinned.
    #[error("the host key is {found}, pinned is {pinned}")]
    HostKey {
        /// Fingerprint of the key that it showed.
        found: String,
        /// Fingerprint of the key that is pinned.
        pinned: String,
    },
    /// The host does not let us in.
    #[error("user `{user}` may not log in with key {key}")]
    Login {
        /// The user.
        user: String,
        /// Fingerprint of our key.
        key: String,
    },
    /// The connection ended, or is no SSH connection that we understand.
    #[error("the SSH connection failed")]
    Protocol(#[source] russh::Error),
    /// The host refuses to run commands.
    #[error("the host refuses to run the command")]
    Refused,
    /// The host offers no SFTP.
    #[error("the host offers no file transfer by SFTP")]
    NoFileTransfer,
}

/// Compares the host key with the pinned one, and keeps what it saw.
pub(crate) struct Watch {
    pinned: Option<PublicKey>,
    seen: Arc<Mutex<Option<PublicKey>>>,
}

impl client::Handler for Watch {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let key = key.public_key();
        let is_right = self.pinned.as_ref().is_none_or(|pinned| pinned.key_data() == key.key_data());
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(is_right)
    }
}

/// A key as people compare it.
pub(crate) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(russh::keys::HashAlg::Sha256).to_string()
}

/// Waits for a part of the login.
pub(crate) async fn bounded<T>(what: &'static str, future: impl Future<Output = T>) -> Result<T, SessionError> {
    timeout(LOGIN_TIMEOUT, future).await.map_err(|_| SessionError::TimedOut { what, after: LOGIN_TIMEOUT })
}

/// Connects, and refuses another host key than the pinned one. Returns the key that it showed.
pub(crate) async fn connect(
    address: SocketAddr,
    config: client::Config,
    pinned: Option<PublicKey>,
) -> Result<(client::Handle<Watch>, PublicKey), SessionError> {
    let failed = |source| SessionError::Connect { address, source };
    let stream = timeout(LOGIN_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| failed(std::io::ErrorKind::TimedOut.into()))?;
    let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream)).map_err(failed)?;
    let seen = Arc::new(Mutex::new(None));
    let watch = Watch { pinned: pinned.clone(), seen: Arc::clone(&seen) };
    let connected = bounded("the SSH key exchange", client::connect_stream(Arc::new(config), stream, watch)).await?;
    let host_key = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (connected, host_key, pinned) {
        (Err(russh::Error::UnknownKey), Some(found), Some(pinned)) => {
            Err(SessionError::HostKey { found: fingerprint(&found), pinned: fingerprint(&pinned) })
        }
        (connected, host_key, _) => {
            let handle = connected.map_err(SessionError::Protocol)?;
            let host_key = host_key.ok_or(SessionError::Protocol(russh::Error::UnknownKey))?;
            Ok((handle, host_key))
        }
    }
}
