//! Command lines for people, over SSH: logged in with a password, one command at a time.
//!
//! Owns what is the same for all Cisco-like devices: prompts, echo, pagers, limits. Does not know any
//! command but `enable`, nor what an answer means.
//!
//! Read next: `shell` for how the end of an answer is known.

mod error;
mod profile;
mod prompt;
mod screen;
mod shell;

use std::net::SocketAddr;

use harmony_core::secret::Secret;
use russh::client::{Handle, KeyboardInteractiveAuthResponse, Msg};
use russh::keys::PublicKey;
use russh::{ChannelOpenFailure, ChannelStream, MethodKind};
use tokio::net::lookup_host;

pub use error::CliError;
pub(crate) use error::quoted;
pub use profile::SshProfile;
pub(crate) use prompt::Mode;
pub(crate) use shell::Shell;

use crate::transport::ssh::{SessionError, Watch, bounded, connect};

/// Whom to log in as, and where.
pub(crate) struct Login<'a> {
    /// IP address or host name.
    pub(crate) address: &'a str,
    /// TCP port.
    pub(crate) port: u16,
    pub(crate) user: &'a str,
    pub(crate) password: &'a Secret,
    pub(crate) profile: SshProfile,
    pub(crate) pinned: Option<PublicKey>,
}

/// A command line over SSH. The connection ends when this is dropped.
pub(crate) struct SshShell {
    pub(crate) shell: Shell<ChannelStream<Msg>>,
    /// The host key that it showed.
    pub(crate) host_key: PublicKey,
    _connection: Handle<Watch>,
}

/// Connects, logs in, and waits for the first prompt.
pub(crate) async fn open(login: Login<'_>) -> Result<SshShell, CliError> {
    let address = resolve(login.address, login.port).await?;
    let (mut handle, host_key) = connect(address, login.profile.config(), login.pinned.clone()).await?;
    if !bounded("the SSH login", authenticate(&mut handle, &login)).await?.map_err(SessionError::Protocol)? {
        return Err(CliError::Login { user: login.user.to_owned() });
    }
    let channel = match bounded("the SSH session", handle.channel_open_session()).await? {
        Err(russh::Error::ChannelOpenFailure(
            reason @ (ChannelOpenFailure::ResourceShortage | ChannelOpenFailure::AdministrativelyProhibited),
        )) => return Err(CliError::NoLine { said: format!("{reason:?}") }),
        channel => channel.map_err(SessionError::Protocol)?,
    };
    // Wide enough that no command of ours is broken over lines, before the width is set for good.
    channel.request_pty(false, "vt100", 511, 0, 0, 0, &[]).await.map_err(SessionError::Protocol)?;
    channel.request_shell(false).await.map_err(SessionError::Protocol)?;
    let shell = Shell::open(channel.into_stream()).await?;
    Ok(SshShell { shell, host_key, _connection: handle })
}

async fn resolve(name: &str, port: u16) -> Result<SocketAddr, CliError> {
    let failed = |source| CliError::Resolve { name: name.to_owned(), source };
    let mut addresses = lookup_host((name, port)).await.map_err(failed)?;
    addresses.next().ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
}

/// By `password`, or by `keyboard-interactive` where the device has only that.
async fn authenticate(handle: &mut Handle<Watch>, login: &Login<'_>) -> Result<bool, russh::Error> {
    let password = login.password.expose();
    let remaining = match handle.authenticate_password(login.user, password).await? {
        russh::client::AuthResult::Success => return Ok(true),
        russh::client::AuthResult::Failure { remaining_methods, .. } => remaining_methods,
    };
    if !remaining.contains(&MethodKind::KeyboardInteractive) || remaining.contains(&MethodKind::Password) {
        return Ok(false);
    }
    let mut step = handle.authenticate_keyboard_interactive_start(login.user, None).await?;
    // One question for the password; a device may go on with an empty round.
    for _ in 0..2 {
        step = match step {
            KeyboardInteractiveAuthResponse::Success => return Ok(true),
            KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                let answers = prompts.iter().map(|_| password.to_owned()).collect();
                handle.authenticate_keyboard_interactive_respond(answers).await?
            }
        };
    }
    Ok(matches!(step, KeyboardInteractiveAuthResponse::Success))
}
