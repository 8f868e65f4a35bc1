//! A boot server in a process of its own: found, adopted, started, ended.
//!
//! Which one is the site's own is known from the folder of the site's state:
//!
//! - `boot-server.json` is written by the server once it listens: its instance, process and settings.
//!   It is believed only if `GET /healthz` answers with that very instance, so neither a number that
//!   is another process by now nor another site's server can be taken for it.
//! - `boot-server.users` is locked, shared, by each run that uses the server. A run that ends in order
//!   stops it if it gets the lock for itself: then nobody else is left. A killed run stops nothing.
//!
//! A server that a person started (`harmony serve`) is used and never stopped. Everything here
//! blocks, for at most some seconds; callers that must not, run it on a thread for that.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Time for one request to `/healthz`, per operation: the server is on this machine.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time that a server has to listen after it was started, and others to let go of it.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Time between its first answer and its record, at most.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time that it has to end after being asked; answers under way have three seconds of it.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a condition is looked at again.
const POLL: Duration = Duration::from_millis(20);
/// Bytes of its log that an error shows.
const LOG_TAIL: usize = 600;

/// What a boot server writes down of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// As `/healthz` tells it.
    pub(super) instance: Uuid,
    pub(super) pid: u32,
    /// Fingerprint of the settings that it serves by.
    pub(super) settings: String,
    /// Whether a run started it, which then may end it.
    pub(super) apart: bool,
}

/// Where the processes of one site meet.
#[derive(Debug, Clone)]
pub(super) struct Place {
    state: PathBuf,
    /// Where the site's server is reached.
    address: SocketAddr,
}

/// Who answers at the server's address.
#[derive(Debug)]
enum Answer {
    Nobody,
    /// The server of this state folder.
    Ours(Record),
    /// Something else.
    Stranger,
}

impl Place {
    pub(super) fn new(state: &Path, address: SocketAddr) -> Self {
        Self { state: state.to_owned(), address }
    }

    fn record(&self) -> PathBuf {
        self.state.join("boot-server.json")
    }

    fn log(&self) -> PathBuf {
        self.state.join("boot-server.log")
    }

    /// For the server itself, once it listens.
    pub(super) fn write(&self, record: &Record) -> DeviceResult<()> {
        let path = self.record();
        let fresh = path.with_extension("new");
        let written = serde_json::to_vec(record).map_err(std::io::Error::from).and_then(|text| {
            std::fs::create_dir_all(&self.state)?;
            let mut file = private().create(true).truncate(true).open(&fresh)?;
            file.write_all(&text)?;
            std::fs::rename(&fresh, &path)
        });
        written.map_err(|source| self.failed(FailureKind::Rejected, format!("cannot write {}", path.display()), source))
    }

    fn read(&self) -> Option<Record> {
        // A record that cannot be read is nobody's: whoever answers is a stranger then.
        serde_json::from_slice(&std::fs::read(self.record()).ok()?).ok()
    }

    fn who_answers(&self) -> DeviceResult<Answer> {
        let Ok(stream) = TcpStream::connect_timeout(&self.address, PROBE_TIMEOUT) else { return Ok(Answer::Nobody) };
        let instance = instance_of(stream, self.address).map_err(|source| {
            let what = format!("what listens at {} does not answer GET /healthz", self.address);
            self.failed(FailureKind::Conflict, what, source)
                .hint(format!("look who listens there: ss -ltnp 'sport = :{}'", self.address.port()))
        })?;
        Ok(match self.read() {
            Some(record) if Some(record.instance) == instance => Answer::Ours(record),
            _ => Answer::Stranger,
        })
    }

    /// A lock on the use of the server; not held yet.
    fn users(&self) -> DeviceResult<File> {
        let path = self.state.join("boot-server.users");
        let opened = std::fs::create_dir_all(&self.state).and_then(|()| private().create(true).open(&path));
        opened.map_err(|source| self.failed(FailureKind::Rejected, format!("cannot open {}", path.display()), source))
    }

    /// Ends a server that nobody uses any more, to make room. `false` if a run uses it, or a person started it.
    pub(super) fn stop_unused(&self) -> DeviceResult<bool> {
        let Answer::Ours(record) = self.who_answers()? else { return Ok(false) };
        if !record.apart || self.users()?.try_lock().is_err() {
            return Ok(false);
        }
        self.end(&record, None).map(|()| true)
    }

    /// Starts a server; its output goes to the log.
    fn launch(&self, mut command: Command) -> DeviceResult<Child> {
        let path = self.log();
        let started = private().create(true).truncate(true).open(&path).and_then(|log| {
            let log = (log.try_clone()?, log);
            command.stdin(Stdio::null()).stdout(log.0).stderr(log.1).spawn()
        });
        started.map_err(|source| {
            self.conflict("its process cannot be started".to_owned(), "is there memory and disk space?").because(source)
        })
    }

    /// Asks a server to end, and waits until it has.
    fn end(&self, record: &Record, mut child: Option<&mut Child>) -> DeviceResult<()> {
        let pid = i32::try_from(record.pid).map_or(None, |pid| (pid > 1).then(|| Pid::from_raw(pid)));
        let Some(pid) = pid else { return Ok(()) };
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            // Gone already: as wanted.
            let _ = kill(pid, signal);
            let gone = || match child.as_deref_mut() {
                // Our own child stays as a zombie until it is waited for.
                Some(child) => !matches!(child.try_wait(), Ok(None)),
                None => {
                    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.is_empty())
                        || kill(pid, None).is_err()
                }
            };
            if wait_until(END_TIMEOUT, gone) {
                return Ok(());
            }
        }
        Err(DeviceError::new(FailureKind::Conflict, format!("failed to stop the boot server, process {pid}"))
            .hint(format!("look at it: ps -fp {pid}")))
    }

    fn failed(
        &self,
        kind: FailureKind,
        what: String,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> DeviceError {
        DeviceError::new(kind, format!("failed to find the boot server of this site: {what}")).because(source)
    }

    fn conflict(&self, what: String, hint: impl Into<String>) -> DeviceError {
        DeviceError::new(FailureKind::Conflict, format!("failed to start the boot server on {}: {what}", self.address))
            .hint(hint)
    }
}

/// A server that this process uses.
#[derive(Debug)]
pub(super) struct Apart {
    place: Place,
    users: File,
    child: Option<Child>,
}

impl Apart {
    /// Adopts the site's server if it serves by these settings, else starts one by this command.
    pub(super) fn join(place: Place, settings: &str, command: Command) -> DeviceResult<Self> {
        let users = place.users()?;
        let mut apart = Self { place, users, child: None };
        apart.hold()?;
        let mut command = Some(command);
        // One that has just begun to listen has not written itself down yet.
        let mut deadline = Instant::now() + WRITE_TIMEOUT;
        loop {
            let answer = match apart.place.who_answers() {
                // One of ours that ends when it has just begun to listen cuts off who asks it. Its log says why.
                Err(_) if apart.child.is_some() && Instant::now() < deadline => Answer::Nobody,
                answer => answer?,
            };
            match answer {
                Answer::Ours(record) if record.settings == settings => return Ok(apart),
                Answer::Ours(record) => apart.replace(&record)?,
                Answer::Stranger if Instant::now() < deadline => {}
                Answer::Stranger => {
                    return Err(apart.place.conflict(
                        "something else answers there".to_owned(),
                        "is it another site's boot server, or one with another state folder? [boot] and [site] in the site file name both",
                    ));
                }
                Answer::Nobody => match (&mut apart.child, command.take()) {
                    (_, Some(command)) => {
                        apart.child = Some(apart.place.launch(command)?);
                        deadline = Instant::now() + START_TIMEOUT;
                    }
                    (Some(child), None) => {
                        let ended = !matches!(child.try_wait(), Ok(None));
                        if ended || Instant::now() >= deadline {
                            // Its reason is in its log; another run's may have been first.
                            if let Ok(Answer::Ours(_)) = apart.place.who_answers() {
                                continue;
                            }
                            return Err(apart
                                .place
                                .conflict(
                                    if ended { "it ended at once".to_owned() } else { "it does not listen".to_owned() },
                                    format!("its log is {}", apart.place.log().display()),
                                )
                                .because(log_tail(&apart.place.log())));
                        }
                    }
                    (None, None) => {
                        return Err(apart.place.conflict("it came and went".to_owned(), "try again"));
                    }
                },
            }
            std::thread::sleep(POLL);
        }
    }

    /// Whether it still answers.
    pub(super) fn answers(&self) -> bool {
        matches!(self.place.who_answers(), Ok(Answer::Ours(_)))
    }

    /// Marks the server as used, unless somebody is stopping it just now.
    fn hold(&self) -> DeviceResult<()> {
        let held = wait_until(START_TIMEOUT, || !matches!(self.users.try_lock_shared(), Err(TryLockError::WouldBlock)));
        if held { Ok(()) } else { Err(self.place.conflict("another run is stopping it".to_owned(), "try again")) }
    }

    /// Ends a server with other settings, if this is the only run that uses it.
    fn replace(&mut self, record: &Record) -> DeviceResult<()> {
        let pid = record.pid;
        if !record.apart {
            return Err(self.place.conflict(
                format!("process {pid} serves this site by other settings than the site file has now"),
                "stop that `harmony serve` and start it again",
            ));
        }
        let _ = self.users.unlock();
        if self.users.try_lock().is_err() {
            return Err(self.place.conflict(
                format!("another run uses it (process {pid}) with other settings than the site file has now"),
                "let that run end first",
            ));
        }
        self.place.end(record, None)?;
        let _ = self.users.unlock();
        self.hold()
    }
}

impl Drop for Apart {
    /// Who uses it last, ends it.
    fn drop(&mut self) {
        let _ = self.users.unlock();
        if self.users.try_lock().is_err() {
            return;
        }
        if let Ok(Answer::Ours(record)) = self.place.who_answers()
            && record.apart
        {
            let own = self.child.as_mut().filter(|child| child.id() == record.pid);
            // There is nobody left to tell; the next run adopts what is still there.
            let _ = self.place.end(&record, own);
        } else if let Some(child) = &mut self.child {
            // It never came to listen.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Files for the owner alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// What `/healthz` says after `ok `; nothing if that is no boot server of ours.
fn instance_of(mut stream: TcpStream, address: SocketAddr) -> std::io::Result<Option<Uuid>> {
    stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
    stream.set_write_timeout(Some(PROBE_TIMEOUT))?;
    // In one piece: not every server reads on after the first.
    stream.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    // What is no text is no boot server.
    match stream.take(4096).read_to_string(&mut answer) {
        Err(error) if error.kind() != ErrorKind::InvalidData => Err(error),
        _ => Ok(answer.lines().last().and_then(|line| line.strip_prefix("ok ")?.trim().parse().ok())),
    }
}

fn wait_until(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !is_so() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}

/// The end of a log, in one line.
fn log_tail(path: &Path) -> String {
    let text = std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(6).collect();
    let tail: String = lines.into_iter().rev().collect::<Vec<_>>().join("; ").chars().rev().take(LOG_TAIL).collect();
    tail.chars().rev().collect()
}
