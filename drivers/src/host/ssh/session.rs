//! One SSH connection by russh: connect, check the host key, log in, run one command.
//!
//! The only module that knows russh's client, whose interface changes with most releases. Does not
//! know which key is right ([`super::known_hosts`]) nor what a command means.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use harmony_core::capability::CommandOutput;
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{ChannelMsg, Disconnect, client};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Time for TCP, key exchange and login, each.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);
/// A host that is silent for three of these is gone: one that restarts closes no connection.
const KEEPALIVE: Duration = Duration::from_secs(2);
/// Limits of the capability, in bytes.
const MAX_STDOUT_BYTES: usize = 1 << 20;
const MAX_STDERR_BYTES: usize = 64 << 10;

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
}

/// Compares the host key with the pinned one, and keeps what it saw.
struct Watch {
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

/// Whom to log in as, and with what.
pub(super) struct Login<'a> {
    pub(super) address: SocketAddr,
    pub(super) user: &'a str,
    pub(super) key: &'a Arc<PrivateKey>,
    pub(super) pinned: Option<PublicKey>,
}

/// A session that is logged in.
pub(super) struct Session {
    handle: client::Handle<Watch>,
    /// The host key that it showed.
    pub(super) host_key: PublicKey,
}

fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(russh::keys::HashAlg::Sha256).to_string()
}

async fn bounded<T>(what: &'static str, future: impl Future<Output = T>) -> Result<T, SessionError> {
    timeout(LOGIN_TIMEOUT, future).await.map_err(|_| SessionError::TimedOut { what, after: LOGIN_TIMEOUT })
}

impl Session {
    /// Connects and logs in. `lifetime` is a bound after which the connection ends by itself, should
    /// it be silent.
    pub(super) async fn open(login: Login<'_>, lifetime: Duration) -> Result<Self, SessionError> {
        let Login { address, user, key, pinned } = login;
        let failed = |source| SessionError::Connect { address, source };
        let stream = timeout(LOGIN_TIMEOUT, TcpStream::connect(address))
            .await
            .map_err(|_| failed(std::io::ErrorKind::TimedOut.into()))?;
        let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream)).map_err(failed)?;
        let config = client::Config {
            keepalive_interval: Some(KEEPALIVE),
            keepalive_max: 2,
            inactivity_timeout: Some(lifetime + LOGIN_TIMEOUT),
            ..client::Config::default()
        };
        let seen = Arc::new(Mutex::new(None));
        let watch = Watch { pinned: pinned.clone(), seen: Arc::clone(&seen) };
        let connected =
            bounded("the SSH key exchange", client::connect_stream(Arc::new(config), stream, watch)).await?;
        let host_key = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut handle = match (connected, &host_key, pinned) {
            (Err(russh::Error::UnknownKey), Some(found), Some(pinned)) => {
                return Err(SessionError::HostKey { found: fingerprint(found), pinned: fingerprint(&pinned) });
            }
            (connected, ..) => connected.map_err(SessionError::Protocol)?,
        };
        let host_key = host_key.ok_or(SessionError::Protocol(russh::Error::UnknownKey))?;
        let hash = bounded("the SSH login", handle.best_supported_rsa_hash()).await?.map_err(SessionError::Protocol)?;
        let ours = PrivateKeyWithHashAlg::new(Arc::clone(key), hash.flatten());
        let login = bounded("the SSH login", handle.authenticate_publickey(user, ours))
            .await?
            .map_err(SessionError::Protocol)?;
        if !login.success() {
            return Err(SessionError::Login { user: user.to_owned(), key: fingerprint(key.public_key()) });
        }
        Ok(Self { handle, host_key })
    }

    /// Runs a command, until it ends, the connection does, or the time is up. The status is absent if
    /// the connection ended first, or a signal ended the command.
    pub(super) async fn run(&self, command: &str, time: Duration) -> Result<CommandOutput, SessionError> {
        let work = async {
            let mut channel = self.handle.channel_open_session().await.map_err(SessionError::Protocol)?;
            channel.exec(true, command).await.map_err(SessionError::Protocol)?;
            let (mut status, mut stdout, mut stderr) = (None, Vec::new(), Vec::new());
            while let Some(message) = channel.wait().await {
                match message {
                    ChannelMsg::Data { data } => append(&mut stdout, &data, MAX_STDOUT_BYTES),
                    ChannelMsg::ExtendedData { data, .. } => append(&mut stderr, &data, MAX_STDERR_BYTES),
                    ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
                    ChannelMsg::Failure => return Err(SessionError::Refused),
                    _ => {}
                }
            }
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            Ok(CommandOutput { status, stdout: text(stdout), stderr: text(stderr) })
        };
        timeout(time, work).await.map_err(|_| SessionError::TimedOut { what: "the command", after: time })?
    }

    /// Ends the session politely, if the host still listens.
    pub(super) async fn close(self) {
        let _ = timeout(KEEPALIVE, self.handle.disconnect(Disconnect::ByApplication, "", "en")).await;
    }
}

fn append(buffer: &mut Vec<u8>, data: &[u8], limit: usize) {
    buffer.extend_from_slice(&data[..data.len().min(limit - buffer.len().min(limit))]);
}
