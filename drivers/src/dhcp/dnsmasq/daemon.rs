//! The dnsmasq process that belongs to one configuration file: found, started, ended.
//!
//! It is recognised by its command line in `/proc`, which names our configuration file, never by a
//! number in a file: that number may be another process by now, and a second dnsmasq would share the
//! port silently. dnsmasq detaches itself, so it outlives whoever started it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::DaemonError;
use crate::transport::process::Program;

/// Time that it has to end after being asked; after that it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a condition is looked at again.
const POLL: Duration = Duration::from_millis(20);

/// The dnsmasq of one configuration file.
#[derive(Debug)]
pub(super) struct Daemon {
    program: Program,
    config: PathBuf,
}

impl Daemon {
    pub(super) fn new(program: Program, config: PathBuf) -> Self {
        Self { program, config }
    }

    fn option(config: &Path) -> String {
        format!("--conf-file={}", config.display())
    }

    /// The command that starts it, for people.
    pub(super) fn command(&self) -> String {
        format!("{} {}", self.program, Self::option(&self.config))
    }

    /// Processes that run with our configuration file; one, unless something went wrong.
    pub(super) fn find(&self) -> std::io::Result<Vec<Pid>> {
        let option = Self::option(&self.config);
        let is_ours = |cmdline: &[u8]| {
            let mut words = cmdline.split(|b| *b == 0);
            let program = words.next().and_then(|path| path.rsplit(|b| *b == b'/').next()).unwrap_or_default();
            program.starts_with(b"dnsmasq") && words.any(|word| word == option.as_bytes())
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            let entry = entry?;
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A process that ended meanwhile, or a zombie, has nothing to read.
            if std::fs::read(entry.path().join("cmdline")).is_ok_and(|cmdline| is_ours(&cmdline)) {
                found.push(Pid::from_raw(pid));
            }
        }
        Ok(found)
    }

    /// Lets dnsmasq judge a configuration file.
    pub(super) async fn test(&self, config: &Path) -> Result<(), DaemonError> {
        let run = self.program.run(["--test".to_owned(), Self::option(config)]).output().await;
        run.map(drop).map_err(DaemonError::Refused)
    }

    /// Starts it; it serves when this returns.
    pub(super) async fn start(&self) -> Result<(), DaemonError> {
        let run = self.program.run([Self::option(&self.config)]).output().await;
        run.map(drop).map_err(DaemonError::Start)
    }

    /// Ends it, if it runs.
    pub(super) async fn stop(&self) -> Result<(), DaemonError> {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let running = self.find().map_err(DaemonError::Find)?;
            if running.is_empty() {
                return Ok(());
            }
            for pid in running {
                match kill(pid, signal) {
                    // It ended by itself between being found and being asked.
                    Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
                    Err(errno) => return Err(DaemonError::Stop(errno.into())),
                }
            }
            let deadline = tokio::time::Instant::now() + END_TIMEOUT;
            while !self.find().map_err(DaemonError::Find)?.is_empty() && tokio::time::Instant::now() < deadline {
                tokio::time::sleep(POLL).await;
            }
        }
        if self.find().map_err(DaemonError::Find)?.is_empty() { Ok(()) } else { Err(DaemonError::StillRuns) }
    }

    /// Makes it open its log anew; tells whether it runs. (SIGHUP would make it read everything again,
    /// and has been seen to end it.)
    pub(super) fn reopen_log(&self) -> Result<bool, DaemonError> {
        let running = self.find().map_err(DaemonError::Find)?;
        for pid in &running {
            kill(*pid, Signal::SIGUSR2).map_err(|errno| DaemonError::Stop(errno.into()))?;
        }
        Ok(!running.is_empty())
    }
}
