//! Running one program to its end: bounded in time and output, alone in its process group.
//!
//! Owns how a program ends and what is said when it does not end well. Does not know what any
//! program means by its output. A program that runs out of time is killed; what it had done by then
//! is not known. Read next: `watched` for a program that is listened to while it runs.

mod watched;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use harmony_core::error::FailureKind;
use harmony_core::secret::Secret;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

pub use watched::Ended;

/// Standard output above this many bytes is an error.
const MAX_STDOUT_BYTES: usize = 8 << 20;
/// Standard error above this many bytes is an error: no program we run is that chatty.
const MAX_STDERR_BYTES: usize = 1 << 20;
/// Lines of standard error that go into an error.
const STDERR_TAIL_LINES: usize = 6;
/// Characters of each of those lines.
const STDERR_LINE_CHARS: usize = 300;

/// A program, and the Debian package that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    package: &'static str,
}

impl Program {
    /// `path` is a path, or a name that is looked up in `PATH`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, package: &'static str) -> Self {
        Self { path: path.into(), package }
    }

    /// Prepares a run with these arguments.
    #[must_use]
    pub fn run<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        Run {
            program: self.clone(),
            args: args.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            timeout: Duration::from_secs(10),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name alone: a path would push what matters out of sight.
        f.write_str(&self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy())
    }
}

/// One run of a program, not started yet.
#[derive(Debug)]
pub struct Run {
    program: Program,
    args: Vec<OsString>,
    environment: Vec<(String, Secret)>,
    timeout: Duration,
}

/// What a program that succeeded printed.
#[derive(Debug)]
pub struct Output {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error; programs that succeed may warn here.
    pub stderr: String,
}

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program is not installed.
    #[error("the program `{program}` is not installed")]
    Missing {
        /// The program.
        program: String,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The program could not be started.
    #[error("failed to start `{program}`")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Its output could not be read.
    #[error("failed to read what `{program}` prints")]
    Read {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It ran out of time and was killed, or its own alarm ended it.
    #[error("`{program}` had no result after {} s", .after.as_secs())]
    TimedOut {
        /// The program.
        program: String,
        /// The time it had.
        after: Duration,
    },
    /// It printed more than is sensible, and was killed.
    #[error("`{program}` printed more than {limit} bytes")]
    TooMuchOutput {
        /// The program.
        program: String,
        /// What is allowed, in bytes.
        limit: usize,
    },
    /// It ended with an error of its own.
    #[error("`{program}` ended with {status}{}{stderr}", if .stderr.is_empty() { "" } else { ": " })]
    Failed {
        /// The program.
        program: String,
        /// Its exit status or signal.
        status: String,
        /// The end of its standard error, in one line.
        stderr: String,
    },
}

impl ProcessError {
    /// What it means for a retry.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Missing { .. } | Self::Failed { .. } => FailureKind::Rejected,
            Self::Start { .. } | Self::Read { .. } => FailureKind::Transient,
            Self::TimedOut { .. } => FailureKind::Unreachable,
            Self::TooMuchOutput { .. } => FailureKind::Invalid,
        }
    }

    /// The next step for a person, where it follows from the way the run ended.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { package, .. } => Some(format!("install it: apt-get install {package}")),
            Self::Start { .. } | Self::Read { .. } | Self::TimedOut { .. } => None,
            Self::TooMuchOutput { .. } | Self::Failed { .. } => None,
        }
    }

    /// What the program said on standard error before it failed.
    #[must_use]
    pub fn stderr(&self) -> &str {
        if let Self::Failed { stderr, .. } = self { stderr } else { "" }
    }
}

impl Run {
    /// The most time it may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets an environment variable that nobody may read in a process list or log.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, value: Secret) -> Self {
        self.environment.push((name.into(), value));
        self
    }

    /// Starts it. It ends with its `Child`.
    fn spawn(&self) -> Result<Child, ProcessError> {
        let mut command = Command::new(&self.program.path);
        command.args(&self.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs(self.environment.iter().map(|(name, value)| (name, value.expose())));
        // Parsers read English; a Ctrl-C at our terminal is for us to handle, not for the program.
        command.env("LC_ALL", "C").process_group(0).kill_on_drop(true);
        command.spawn().map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => {
                ProcessError::Missing { program: shown(&self.program.path), package: self.program.package }
            }
            _ => ProcessError::Start { program: self.program.to_string(), source },
        })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// [`ProcessError`]; after `TimedOut` and `TooMuchOutput` the program was killed half way.
    pub async fn output(self) -> Result<Output, ProcessError> {
        let program = self.program.to_string();
        let mut child = self.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let work = async {
            let (stdout, stderr) =
                tokio::try_join!(read(stdout, MAX_STDOUT_BYTES, &program), read(stderr, MAX_STDERR_BYTES, &program))?;
            let status =
                child.wait().await.map_err(|source| ProcessError::Read { program: program.clone(), source })?;
            Ok((status, stdout, stderr))
        };
        let timed_out = || ProcessError::TimedOut { program: program.clone(), after: self.timeout };
        let (status, stdout, stderr) = tokio::time::timeout(self.timeout, work).await.map_err(|_| timed_out())??;
        if status.success() {
            return Ok(Output { stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() });
        }
        // `ovs-vsctl --timeout` and its like end themselves this way.
        if std::os::unix::process::ExitStatusExt::signal(&status) == Some(nix::sys::signal::Signal::SIGALRM as i32) {
            return Err(timed_out());
        }
        Err(ProcessError::Failed { status: status.to_string(), stderr: tail(&stderr), program })
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, limit: usize, program: &str) -> Result<Vec<u8>, ProcessError> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        let mut bounded = pipe.take(limit as u64 + 1);
        let read = bounded.read_to_end(&mut bytes).await;
        read.map_err(|source| ProcessError::Read { program: program.to_owned(), source })?;
    }
    if bytes.len() > limit {
        return Err(ProcessError::TooMuchOutput { program: program.to_owned(), limit });
    }
    Ok(bytes)
}

/// The last lines that say something, in one line, control characters escaped.
fn tail(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let mut lines: Vec<String> = text
        .lines()
        .rev()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .take(STDERR_TAIL_LINES)
        .map(|line| {
            let cut = line.chars().take(STDERR_LINE_CHARS);
            cut.map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
        })
        .collect();
    lines.reverse();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Run {
        Program::new("sh", "dash").run(["-c", script])
    }

    #[tokio::test]
    async fn output_comes_back() {
        let output = sh("printf out; printf warned >&2").output().await.expect("runs");
        assert_eq!((output.stdout.as_slice(), output.stderr.as_str()), (b"out".as_slice(), "warned"));
    }

    #[tokio::test]
    async fn a_missing_program_names_its_package() {
        let error = Program::new("/nonexistent/ipmitool", "ipmitool").run(["x"]).output().await.expect_err("missing");
        assert_eq!(error.to_string(), "the program `/nonexistent/ipmitool` is not installed");
        assert_eq!(error.hint().as_deref(), Some("install it: apt-get install ipmitool"));
        assert_eq!(error.kind(), FailureKind::Rejected);
    }

    #[tokio::test]
    async fn failure_tells_the_end_of_stderr() {
        let error = sh("echo first >&2; echo; printf 'a\\033[2Jb\\n' >&2; exit 3").output().await.expect_err("fails");
        assert_eq!(error.to_string(), "`sh` ended with exit status: 3: first; a\\u{1b}[2Jb");
        assert_eq!(error.kind(), FailureKind::Rejected);
    }

    #[tokio::test]
    async fn a_hanging_program_is_killed() {
        let folder = tempfile::tempdir().expect("folder");
        let pid = folder.path().join("pid");
        let script = format!("echo $$ > {}; exec sleep 600", pid.display());
        let error = sh(&script).timeout(Duration::from_millis(300)).output().await.expect_err("hangs");
        assert_eq!(error.kind(), FailureKind::Unreachable);
        let pid = std::fs::read_to_string(pid).expect("it ran");
        let gone =
            || !std::fs::read_to_string(format!("/proc/{}/cmdline", pid.trim())).is_ok_and(|c| c.contains("sleep"));
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while !gone() {
            assert!(std::time::Instant::now() < deadline, "process {pid} still runs");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn its_own_alarm_is_a_timeout() {
        let error = sh("kill -ALRM $$").output().await.expect_err("alarm");
        assert_eq!(error.kind(), FailureKind::Unreachable, "{error}");
    }

    #[tokio::test]
    async fn endless_output_is_refused() {
        let error = sh("yes").timeout(Duration::from_secs(60)).output().await.expect_err("endless");
        assert_eq!(error.to_string(), format!("`sh` printed more than {MAX_STDOUT_BYTES} bytes"));
    }

    #[tokio::test]
    async fn a_secret_reaches_the_program_and_no_log() {
        let run = sh("test ${#PASS} = 7").secret("PASS", Secret::new("hunter2"));
        assert!(!format!("{run:?}").contains("hunter2"));
        run.output().await.expect("the variable is set");
    }
}
