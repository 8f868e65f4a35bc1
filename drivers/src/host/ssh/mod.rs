//! A running host over SSH: one command per connection, and a restart.
//!
//! Owns Harmony's own key and its file of known hosts; neither the user's `~/.ssh` nor an agent is
//! touched. Does not know what a command is for; only restarts are noted in the [`WriteLog`], since
//! whether another command changes anything is known to its caller alone.
//!
//! Read next: `known_hosts` for what is trusted, `session` for the connection.

pub(crate) mod key;
pub(crate) mod known_hosts;
pub(crate) mod session;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{CommandOutput, HostControl, HostTarget, LoginStage};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::host::HostId;
use russh::keys::PrivateKey;
use serde::{Deserialize, Serialize};

use crate::WriteLog;
use crate::transport::PinFileError;
pub use key::SshKeyError;
pub(crate) use known_hosts::KnownHosts;
pub use session::SessionError;
use session::{Login, Session};

/// Name of this driver in the [`WriteLog`].
pub const DRIVER: &str = "ssh";
/// Time in which a restarting host must have answered or gone silent.
const REBOOT_TIMEOUT: Duration = Duration::from_secs(20);
/// busybox has no `systemctl`; a system with one may have no `reboot`. Nothing there is worth a clean end.
/// A second later and in the background: `reboot -f` ends the machine before it closes the connection,
/// and then only its silence would tell.
const REBOOT_LIVE: &str = "(sleep 1; reboot -f || systemctl reboot) >/dev/null 2>&1 &";
/// `-n`: there is nobody to type a password.
const REBOOT_INSTALLED: &str = "if [ \"$(id -u)\" = 0 ]; then systemctl reboot; else sudo -n systemctl reboot; fi";

/// `[ssh]` of the site file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SshSpec {
    /// User of the live environment, `root`.
    #[serde(default = "root")]
    pub user_live: String,
    /// User of installed systems; `core` on CoreOS.
    #[serde(default = "core")]
    pub user_installed: String,
    /// Harmony's private key; made if it is not there.
    pub key_file: PathBuf,
    /// TCP port, 22.
    #[serde(default = "port")]
    pub port: u16,
}

pub(crate) fn known_hosts_in(state_dir: &Path) -> PathBuf {
    state_dir.join("known_hosts")
}

fn root() -> String {
    "root".to_owned()
}

fn core() -> String {
    "core".to_owned()
}

fn port() -> u16 {
    22
}

/// Hosts of a site over SSH.
#[derive(Debug)]
pub struct Ssh {
    spec: SshSpec,
    key: Arc<PrivateKey>,
    known: KnownHosts,
    writes: WriteLog,
}

impl Ssh {
    /// Reads or makes the key. `state_dir` keeps the file `known_hosts`.
    ///
    /// # Errors
    /// If the key can be neither read nor made.
    pub fn new(spec: SshSpec, state_dir: &Path, writes: WriteLog) -> Result<Self, SshKeyError> {
        let key = Arc::new(key::load_or_make(&spec.key_file)?);
        Ok(Self { spec, key, known: KnownHosts::new(known_hosts_in(state_dir)), writes })
    }

    /// Drops the host keys that were seen of a host, for one that was installed anew by somebody else;
    /// the next one that it shows is pinned. `state_dir` as for [`Self::new`]. Returns how many there were.
    ///
    /// # Errors
    /// If the file `known_hosts` cannot be read or written; it is then as it was.
    pub fn forget_host_keys(state_dir: &Path, host: &HostId) -> Result<usize, PinFileError> {
        KnownHosts::new(known_hosts_in(state_dir)).forget(host)
    }

    /// Our public key, in OpenSSH's format, for `authorized_keys`.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.key.public_key().to_openssh().unwrap_or_default().trim_end().to_owned()
    }

    fn user(&self, stage: &LoginStage) -> &str {
        match stage {
            LoginStage::Live => &self.spec.user_live,
            LoginStage::Installed { .. } => &self.spec.user_installed,
        }
    }

    async fn open(&self, target: &HostTarget, operation: &str, lifetime: Duration) -> DeviceResult<Session> {
        let HostTarget { host, address, stage } = target;
        let unkept = |error: PinFileError| {
            let hint = format!("correct or remove {}", self.known.path().display());
            DeviceError::new(FailureKind::Invalid, operation).because(error).hint(hint)
        };
        let pinned = match stage {
            LoginStage::Live => None,
            LoginStage::Installed { .. } => self.known.seen(host, stage).map_err(unkept)?,
        };
        let login = Login {
            address: SocketAddr::new(*address, self.spec.port),
            user: self.user(stage),
            key: &self.key,
            pinned,
        };
        let session = Session::open(login, lifetime).await.map_err(|error| self.failed(target, operation, error))?;
        // Only now: whoever does not know our public key is not the host that we prepared.
        self.known.keep(host, stage, &session.host_key).map_err(unkept)?;
        Ok(session)
    }

    fn failed(&self, target: &HostTarget, operation: &str, error: SessionError) -> DeviceError {
        let HostTarget { host, address, stage } = target;
        let (kind, hint) = match &error {
            SessionError::Connect { .. } | SessionError::TimedOut { .. } => {
                (FailureKind::Unreachable, format!("does host {host} answer at {address}, port {}?", self.spec.port))
            }
            SessionError::Protocol(_) => (
                FailureKind::Unreachable,
                format!("is it an SSH server that answers at {address}, port {}?", self.spec.port),
            ),
            SessionError::HostKey { .. } => (
                FailureKind::Rejected,
                format!(
                    "another system answers at {address}: if host {host} was installed anew without Harmony, `harmony host forget-key {host}` drops its pin from {}",
                    self.known.path().display()
                ),
            ),
            SessionError::Login { user, .. } => (
                FailureKind::Rejected,
                format!(
                    "put the public key of {} into `authorized_keys` of `{user}` on host {host}",
                    self.spec.key_file.display()
                ),
            ),
            SessionError::Refused | SessionError::NoFileTransfer => {
                (FailureKind::Rejected, format!("may `{}` run commands on host {host}?", self.user(stage)))
            }
        };
        DeviceError::new(kind, operation).because(error).hint(hint)
    }
}

#[async_trait]
impl HostControl for Ssh {
    async fn run(&self, target: &HostTarget, command: &str, timeout: Duration) -> DeviceResult<CommandOutput> {
        // The first word alone: the rest may be long, or secret.
        let word: String = command.split_whitespace().next().unwrap_or_default().chars().take(40).collect();
        let operation = format!("failed to run `{word}` on host {} at {}", target.host, target.address);
        let session = self.open(target, &operation, timeout).await?;
        let output = session.run(command, timeout).await.map_err(|error| self.failed(target, &operation, error));
        session.close().await;
        output
    }

    async fn reboot(&self, target: &HostTarget) -> DeviceResult<()> {
        let operation = format!("failed to restart host {} at {}", target.host, target.address);
        let command = match target.stage {
            LoginStage::Live => REBOOT_LIVE,
            LoginStage::Installed { .. } => REBOOT_INSTALLED,
        };
        let session = self.open(target, &operation, REBOOT_TIMEOUT).await?;
        self.writes.record(DRIVER, target.host.as_str(), command);
        match session.run(command, REBOOT_TIMEOUT).await {
            // No status: the command was sent and the connection ended, as it should.
            Ok(CommandOutput { status: None | Some(0), .. }) => Ok(()),
            Ok(CommandOutput { status: Some(status), stderr, .. }) => {
                let said: String = stderr.trim().chars().take(200).flat_map(char::escape_default).collect();
                Err(DeviceError::new(FailureKind::Rejected, operation)
                    .because(format!("`{command}` ended with {status}: {said}"))
                    .hint(format!(
                        "may `{}` restart host {} without a password?",
                        self.user(&target.stage),
                        target.host
                    )))
            }
            Err(error) => Err(self.failed(target, &operation, error)),
        }
    }
}
