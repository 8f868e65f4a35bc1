//! Why something did not work, what that means for a retry, and what to do.

use std::path::PathBuf;
use std::time::Duration;

use harmony_core::capability::ServerAdmin;
use harmony_core::error::{DeviceError, FailureKind};

use super::Haproxy;
use super::check::ServiceError;
use super::socket::SocketError;
use super::text::TextError;
use crate::transport::daemon::DaemonError;
use crate::transport::process::ProcessError;

/// Why HAProxy is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum HaproxyError {
    /// Its process or its files.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// Harmony's file holds what Harmony did not write.
    #[error("{} was changed by hand", .path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Where.
        #[source]
        source: TextError,
    },
    /// What is asked cannot be.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// `haproxy -c` refuses it.
    #[error("HAProxy refuses the configuration")]
    Refused(#[source] ProcessError),
    /// The command that reloads it.
    #[error("the command `{command}` failed")]
    Reload {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: ProcessError,
    },
    /// The runtime socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The running process does not have what the file says.
    #[error("the running HAProxy has not taken {} after {} s: {seen}", .path.display(), .waited.as_secs())]
    NotTaken {
        /// The file.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
        /// What is missing.
        seen: String,
    },
    /// There is no such server, or not of ours.
    #[error("Harmony made no such server")]
    UnknownServer,
    /// An order without effect.
    #[error("`{command}` had no effect: it is {now:?}")]
    Unchanged {
        /// The order.
        command: String,
        /// What the server is.
        now: ServerAdmin,
    },
}

impl HaproxyError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Daemon(cause) => cause.kind(),
            Self::Text { .. } | Self::UnknownServer => FailureKind::Invalid,
            Self::Service(ServiceError::Value { .. }) => FailureKind::Invalid,
            Self::Service(_) => FailureKind::Conflict,
            // Its own words on a text are final; that it could not be run is not.
            Self::Refused(ProcessError::Failed { .. }) => FailureKind::Invalid,
            Self::Refused(cause) | Self::Reload { source: cause, .. } => cause.kind(),
            Self::Socket(SocketError::Silent { .. } | SocketError::TimedOut { .. }) => FailureKind::Unreachable,
            Self::Socket(SocketError::TooLong { .. } | SocketError::Garbled { .. }) => FailureKind::Invalid,
            Self::Socket(SocketError::Refused { .. }) | Self::Unchanged { .. } => FailureKind::Rejected,
            Self::NotTaken { .. } => FailureKind::Rejected,
        }
    }
}

impl Haproxy {
    fn hint(&self, error: &HaproxyError) -> Option<String> {
        let (config, socket) = (self.places.config.display(), self.places.socket.display());
        match error {
            HaproxyError::Daemon(cause) => cause.hint(),
            HaproxyError::Text { path, .. } => {
                Some(format!("undo that change, or move {} away: it is written anew", path.display()))
            }
            HaproxyError::Service(ServiceError::Foreign(_)) => {
                Some("give the service another name, or remove that section from HAProxy's other files".to_owned())
            }
            HaproxyError::Service(ServiceError::Listen { address, .. }) => Some(format!(
                "see who listens there: ss -ltnp 'sport = :{}'; and whose address it is: ip addr",
                address.port()
            )),
            HaproxyError::Service(_) => Some("correct the service".to_owned()),
            HaproxyError::Refused(cause) => {
                cause.hint().or_else(|| Some("nothing was changed; correct what it names".to_owned()))
            }
            HaproxyError::Reload { source, .. } => {
                source.hint().or_else(|| Some("the earlier file was put back; try the command by hand".to_owned()))
            }
            HaproxyError::Socket(SocketError::Silent { .. } | SocketError::TimedOut { .. }) => Some(format!(
                "see whether HAProxy runs, and has `stats socket {socket} level admin` in its `global` section"
            )),
            HaproxyError::Socket(SocketError::Refused { .. }) => {
                Some(format!("HAProxy's `global` section needs `stats socket {socket} level admin`"))
            }
            HaproxyError::Socket(_) | HaproxyError::Unchanged { .. } => None,
            HaproxyError::NotTaken { .. } if self.daemon.is_none() => Some(format!(
                "the earlier file was put back; see that HAProxy is started with `-f {config}` besides its own files, \
                 and what it logged at the reload"
            )),
            HaproxyError::NotTaken { .. } => Some("the earlier file was put back".to_owned()),
            HaproxyError::UnknownServer => Some("make the service first, with that server".to_owned()),
        }
    }

    /// An error of an operation on this HAProxy; `what` ends before its name.
    pub(super) fn failed(&self, what: &str, error: HaproxyError) -> DeviceError {
        let (kind, hint) = (error.kind(), self.hint(&error));
        let failed = DeviceError::new(kind, format!("{what} HAProxy `{}`", self.device())).because(error);
        if let Some(hint) = hint { failed.hint(hint) } else { failed }
    }
}
