//! HAProxy's runtime socket: one command, one answer, one connection.
//!
//! Source: HAProxy 2.6 management guide, section 9.3 ("Unix Socket commands").

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Time that an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer; a server has about 300.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// Why the runtime socket gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Nobody listens there, or it broke off.
    #[error("HAProxy does not answer on its runtime socket {}", .path.display())]
    Silent {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No answer in time.
    #[error("HAProxy gave no answer on its runtime socket {} in {} s", .path.display(), TIMEOUT.as_secs())]
    TimedOut {
        /// The socket.
        path: PathBuf,
    },
    /// More than is sensible.
    #[error("HAProxy's answer to `{command}` is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLong {
        /// What was asked.
        command: String,
    },
    /// An answer that cannot be understood.
    #[error("HAProxy's answer to `{command}` cannot be understood: {reason}")]
    Garbled {
        /// What was asked.
        command: String,
        /// Why.
        reason: &'static str,
    },
    /// It says why not.
    #[error("HAProxy answers `{command}` with: {answer}")]
    Refused {
        /// What was asked.
        command: String,
        /// Its words, cut, control characters escaped.
        answer: String,
    },
}

/// Asks; what comes back, trimmed of the empty line at its end.
pub(super) async fn ask(path: &Path, command: &str) -> Result<String, SocketError> {
    let silent = |source| SocketError::Silent { path: path.to_owned(), source };
    let talk = async {
        let mut stream = UnixStream::connect(path).await.map_err(silent)?;
        stream.write_all(format!("{command}\n").as_bytes()).await.map_err(silent)?;
        let mut bytes = Vec::new();
        stream.take(MAX_ANSWER_BYTES + 1).read_to_end(&mut bytes).await.map_err(silent)?;
        if bytes.len() as u64 > MAX_ANSWER_BYTES {
            return Err(SocketError::TooLong { command: command.to_owned() });
        }
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    };
    let timed_out = |_| SocketError::TimedOut { path: path.to_owned() };
    tokio::time::timeout(TIMEOUT, talk).await.map_err(timed_out)?
}

/// Gives an order, to which HAProxy says something only if it refuses.
pub(super) async fn order(path: &Path, command: &str) -> Result<(), SocketError> {
    let answer = ask(path, command).await?;
    if answer.is_empty() {
        return Ok(());
    }
    let answer = answer.trim().chars().take(200).flat_map(char::escape_default).collect();
    Err(SocketError::Refused { command: command.to_owned(), answer })
}
