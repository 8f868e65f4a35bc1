//! One SSH connection to a host: log in with a key, run one command, or transfer files.
//!
//! The connection itself is [`crate::transport::ssh`]'s. Does not know which key is right
//! ([`super::known_hosts`]) nor what a command means.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use harmony_core::capability::CommandOutput;
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{ChannelMsg, Disconnect, client};
use russh_sftp::client::SftpSession;
use tokio::time::timeout;

pub use crate::transport::ssh::SessionError;
use crate::transport::ssh::{LOGIN_TIMEOUT, Watch, bounded, connect, fingerprint};

/// A host that is silent for three of these is gone: one that restarts closes no connection.
const KEEPALIVE: Duration = Duration::from_secs(2);
/// Limits of the capability, in bytes.
const MAX_STDOUT_BYTES: usize = 1 << 20;
const MAX_STDERR_BYTES: usize = 64 << 10;

/// Whom to log in as, and with what.
pub(crate) struct Login<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) user: &'a str,
    pub(crate) key: &'a Arc<PrivateKey>,
    pub(crate) pinned: Option<PublicKey>,
}

/// A session that is logged in.
pub(crate) struct Session {
    handle: client::Handle<Watch>,
    /// The host key that it showed.
    pub(crate) host_key: PublicKey,
}

impl Session {
    /// Connects and logs in. `lifetime` is a bound after which the connection ends by itself, should
    /// it be silent.
    pub(crate) async fn open(login: Login<'_>, lifetime: Duration) -> Result<Self, SessionError> {
        let Login { address, user, key, pinned } = login;
        let config = client::Config {
            keepalive_interval: Some(KEEPALIVE),
            keepalive_max: 2,
            inactivity_timeout: Some(lifetime + LOGIN_TIMEOUT),
            ..client::Config::default()
        };
        let (mut handle, host_key) = connect(address, config, pinned).await?;
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
    pub(crate) async fn run(&self, command: &str, time: Duration) -> Result<CommandOutput, SessionError> {
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

    /// Opens the file transfer of it, SFTP.
    pub(crate) async fn sftp(&self) -> Result<SftpSession, SessionError> {
        let open = async {
            let channel = self.handle.channel_open_session().await.map_err(SessionError::Protocol)?;
            channel.request_subsystem(true, "sftp").await.map_err(SessionError::Protocol)?;
            SftpSession::new(channel.into_stream()).await.map_err(|_| SessionError::NoFileTransfer)
        };
        bounded("the start of SFTP", open).await?
    }

    /// Ends the session politely, if the host still listens.
    pub(crate) async fn close(self) {
        let _ = timeout(KEEPALIVE, self.handle.disconnect(Disconnect::ByApplication, "", "en")).await;
    }
}

fn append(buffer: &mut Vec<u8>, data: &[u8], limit: usize) {
    buffer.extend_from_slice(&data[..data.len().min(limit - buffer.len().min(limit))]);
}
