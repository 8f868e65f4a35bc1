//! A daemon that Harmony starts and owns: the processes that belong to one configuration file, found,
//! started, signalled, ended.
//!
//! They are recognised by their command line in `/proc`, which names our file, never by a number in a
//! file: that number may be another process by now, and a second daemon would share the port silently.
//! The daemon detaches itself, so it outlives whoever started it. Does not know what any daemon does
//! with its file ([`super::confirmed`] keeps the file).

use std::path::{Path, PathBuf};
use std::time::Duration;

use harmony_core::error::FailureKind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::process::{ProcessError, Program};

/// Time that it has to end after being asked; after that it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a condition is looked at again.
const POLL: Duration = Duration::from_millis(20);

/// Why a daemon is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Running processes cannot be listed.
    #[error("failed to list processes")]
    Find(#[source] std::io::Error),
    /// It does not take the configuration.
    #[error("{name} refuses the configuration")]
    Refused {
        /// The daemon.
        name: &'static str,
        /// What it says.
        #[source]
        source: ProcessError,
    },
    /// It did not start.
    #[error("{name} did not start")]
    Start {
        /// The daemon.
        name: &'static str,
        /// What it says.
        #[source]
        source: ProcessError,
    },
    /// It could not be signalled.
    #[error("{name} could not be signalled")]
    Signal {
        /// The daemon.
        name: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It does not end.
    #[error("{0} still runs after SIGKILL")]
    StillRuns(&'static str),
    /// One of its files.
    #[error("failed to use {}", .path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process holds the folder.
    #[error("another Harmony has been changing {} for {} s", .folder.display(), .waited.as_secs())]
    Busy {
        /// The folder.
        folder: PathBuf,
        /// How long was waited for it.
        waited: Duration,
    },
}

impl DaemonError {
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// What it means for a retry.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Start { source, .. } | Self::Refused { source, .. } => source.kind(),
            Self::Busy { .. } => FailureKind::Transient,
            Self::Find(_) | Self::Signal { .. } | Self::StillRuns(_) | Self::File { .. } => FailureKind::Rejected,
        }
    }

    /// The next step for a person, where one is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Start { source, .. } | Self::Refused { source, .. } => source.hint(),
            Self::Busy { .. } => Some("wait for the other run to end".to_owned()),
            Self::File { path, .. } => {
                Some(format!("look at the folder {}", path.parent().unwrap_or(Path::new("/")).display()))
            }
            Self::Find(_) | Self::Signal { .. } | Self::StillRuns(_) => None,
        }
    }

    /// What the daemon's program said before it failed.
    #[must_use]
    pub fn stderr(&self) -> &str {
        match self {
            Self::Start { source, .. } | Self::Refused { source, .. } => source.stderr(),
            _ => "",
        }
    }
}

/// The daemon of one configuration file.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: &'static str,
    program: Program,
    args: Vec<String>,
    mark: String,
}

impl Daemon {
    /// `name` is how its program's file name begins; `args` start it; `mark` is the one of them that no
    /// other daemon has.
    pub(crate) fn new(name: &'static str, program: Program, args: Vec<String>, mark: impl Into<String>) -> Self {
        Self { name, program, args, mark: mark.into() }
    }

    /// The command that starts it, for people.
    pub(crate) fn command(&self) -> String {
        format!("{} {}", self.program, self.args.join(" "))
    }

    /// Its processes, but for those that another of them started.
    pub(crate) fn find(&self) -> Result<Vec<Pid>, DaemonError> {
        let all = self.find_all()?;
        Ok(all.iter().copied().filter(|pid| parent(*pid).is_none_or(|parent| !all.contains(&parent))).collect())
    }

    /// Whether it runs.
    pub(crate) fn is_running(&self) -> Result<bool, DaemonError> {
        Ok(!self.find_all()?.is_empty())
    }

    fn find_all(&self) -> Result<Vec<Pid>, DaemonError> {
        let is_ours = |cmdline: &[u8]| {
            let mut words = cmdline.split(|b| *b == 0);
            let program = words.next().and_then(|path| path.rsplit(|b| *b == b'/').next()).unwrap_or_default();
            program.starts_with(self.name.as_bytes()) && words.any(|word| word == self.mark.as_bytes())
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").map_err(DaemonError::Find)? {
            let entry = entry.map_err(DaemonError::Find)?;
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A process that ended meanwhile, or a zombie, has nothing to read.
            if std::fs::read(entry.path().join("cmdline")).is_ok_and(|cmdline| is_ours(&cmdline)) {
                found.push(Pid::from_raw(pid));
            }
        }
        Ok(found)
    }

    /// Lets the program judge a configuration, as these arguments say.
    pub(crate) async fn test(&self, args: Vec<String>) -> Result<(), DaemonError> {
        let refused = |source| DaemonError::Refused { name: self.name, source };
        self.program.run(args).output().await.map(drop).map_err(refused)
    }

    /// Starts it; it serves when this returns.
    pub(crate) async fn start(&self) -> Result<(), DaemonError> {
        let failed = |source| DaemonError::Start { name: self.name, source };
        self.program.run(self.args.clone()).output().await.map(drop).map_err(failed)
    }

    /// Sends a signal to it, not to what it started; tells whether it runs.
    pub(crate) fn signal(&self, signal: Signal) -> Result<bool, DaemonError> {
        let running = self.find()?;
        running.iter().try_for_each(|pid| self.send(*pid, signal))?;
        Ok(!running.is_empty())
    }

    /// Ends it, if it runs.
    pub(crate) async fn stop(&self) -> Result<(), DaemonError> {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let running = self.find_all()?;
            if running.is_empty() {
                return Ok(());
            }
            running.iter().try_for_each(|pid| self.send(*pid, signal))?;
            let deadline = tokio::time::Instant::now() + END_TIMEOUT;
            while self.is_running()? && tokio::time::Instant::now() < deadline {
                tokio::time::sleep(POLL).await;
            }
        }
        if self.is_running()? { Err(DaemonError::StillRuns(self.name)) } else { Ok(()) }
    }

    fn send(&self, pid: Pid, signal: Signal) -> Result<(), DaemonError> {
        match kill(pid, signal) {
            // It ended by itself between being found and being asked.
            Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
            Err(errno) => Err(DaemonError::Signal { name: self.name, source: errno.into() }),
        }
    }
}

/// Who started a process. Source: proc_pid_stat(5), field 4.
fn parent(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it, in parentheses, may hold anything.
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok().map(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_of_a_process_is_known() {
        assert_eq!(parent(nix::unistd::getpid()), Some(nix::unistd::getppid()));
        assert_eq!(parent(Pid::from_raw(i32::MAX)), None);
    }
}
