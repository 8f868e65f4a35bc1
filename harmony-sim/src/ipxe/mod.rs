//! iPXE's scripts, interpreted: what a machine would do with a script that it is served.
//!
//! A pure state machine. [`Ipxe::autoboot`] begins with the URL that DHCP gave, and every call gives the
//! next [`Action`] that has to be carried out: a fetch, a sleep, a boot; its outcome goes back in by
//! [`Ipxe::resume`]. Deliberately absent: sockets, time, what a booted kernel does.
//!
//! It fails where iPXE fails and with its words: a command that does not exist, an option that a command
//! does not take, a label that is nowhere, a file that is no kernel. What iPXE has and this does not
//! (menus, DNS, SAN by network, HTTPS, signatures) is an error that says so, never a silent success.
//!
//! Source: iPXE `src/core/exec.c` (commands, `||`, `&&`, comments), `src/image/script.c` (lines, labels),
//! `src/core/image.c` (replacement), `src/core/settings.c` (`${…}`), `src/hci/commands/*.c`; <https://ipxe.org/cmd>.
//! Read next: `script` for lines and labels, `settings` for `${…}`, `command` for what each command does.

mod command;
mod image;
mod script;
mod settings;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use harmony_core::net::MacAddress;
use uuid::Uuid;

use command::{Flow, Pending};
pub use image::{Image, Loaded};
use image::{Images, Kind};
use script::Script;
pub use settings::Lease;
use settings::Settings;

/// Scripts that may run inside each other; iPXE's stack is about as deep.
const MAX_DEPTH: usize = 16;
/// Commands without anything being waited for: a script that runs more of them never ends.
const MAX_COMMANDS: u32 = 100_000;
/// Largest script, in bytes.
const MAX_SCRIPT_BYTES: usize = 1 << 20;

/// The firmware that iPXE runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// A PC BIOS.
    Pcbios,
    /// UEFI.
    Efi,
}

/// What iPXE finds in a machine.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its firmware.
    pub platform: Platform,
    /// SMBIOS UUID.
    pub uuid: Uuid,
    /// SMBIOS serial number.
    pub serial: String,
    /// SMBIOS manufacturer.
    pub manufacturer: String,
    /// SMBIOS product name.
    pub product: String,
    /// MACs of the NICs: `net0`, `net1`, ….
    pub nics: Vec<MacAddress>,
}

/// What is to be done before the script can go on.
#[derive(Debug, Clone)]
pub enum Action {
    /// Fetch a file, and say [`Answer::Fetched`].
    Fetch {
        /// An absolute URL.
        url: String,
        /// When to give up; absent: when the protocol does.
        timeout: Option<Duration>,
    },
    /// Ask for an address on the first of these NICs that gets one, and say [`Answer::Leased`].
    Dhcp(Vec<usize>),
    /// Open these NICs, and say [`Answer::Done`].
    Open(Vec<usize>),
    /// Close these NICs, and say [`Answer::Done`].
    Close(Vec<usize>),
    /// Wait, and say [`Answer::Done`].
    Sleep(Duration),
    /// Start the system on a disk by its BIOS drive number; come back with [`Answer::Failed`] only.
    SanBoot(u32),
    /// Start a kernel. It does not come back.
    Boot(Loaded),
    /// Wait for a person at the keyboard.
    WaitForKey,
    /// Restart the machine.
    Restart,
    /// Switch it off.
    PowerOff,
    /// iPXE is through: the firmware goes on with its boot order.
    End(End),
}

/// What came of an [`Action`].
#[derive(Debug, Clone)]
pub enum Answer {
    /// It is done.
    Done,
    /// It cannot be done, in iPXE's words.
    Failed(String),
    /// The file, or why there is none.
    Fetched(Result<Bytes, FetchError>),
    /// The lease, or nothing.
    Leased(Option<Lease>),
}

/// How iPXE ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By `exit`, or because the script came to its end (status 0).
    Exit(u32),
    /// A command failed and nothing caught it.
    Failed(ScriptError),
}

/// A command that failed. Arguments are left out: they may hold a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{script} line {line}: `{command}`: {reason}")]
pub struct ScriptError {
    /// The script's name: the last part of its URL.
    pub script: String,
    /// Counted from 1.
    pub line: usize,
    /// The command's name.
    pub command: String,
    /// In iPXE's words.
    pub reason: String,
}

/// Why a file could not be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchError {
    /// The server refused, with this HTTP status, or TFTP's "not found" as 404.
    Status(u16),
    /// Nothing came in time.
    TimedOut,
    /// Nobody listens there.
    Refused,
    /// The host's name is unknown.
    UnknownHost,
    /// The URL's scheme is none that is simulated.
    Scheme,
    /// It is larger than the machine's memory.
    TooLarge,
}

impl fmt::Display for FetchError {
    /// iPXE's words. Source: iPXE `src/net/tcp/httpcore.c`, `src/core/errno.c`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status(401 | 403) => "Permission denied",
            Self::Status(404) => "No such file or directory",
            Self::Status(_) => "Input/output error",
            Self::TimedOut => "Connection timed out",
            Self::Refused => "Connection reset",
            Self::UnknownHost => "No DNS name",
            Self::Scheme => "Operation not supported",
            Self::TooLarge => "Not enough space",
        })?;
        match self {
            Self::Status(status) => write!(f, " (HTTP {status})"),
            _ => Ok(()),
        }
    }
}

/// A running iPXE.
pub struct Ipxe {
    facts: Facts,
    settings: Settings,
    images: Images,
    /// Scripts that run, the innermost last.
    frames: Vec<Frame>,
    /// The command that waits for an answer.
    pending: Option<Pending>,
    stop: Stop,
    console: Vec<String>,
    /// Commands since something was waited for.
    commands: u32,
}

/// What of a running script is not to be carried out any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Nothing,
    /// The rest of the line.
    Line,
    /// The rest of the script.
    Script,
}

/// How a command ended. `exit` ends like a command that fails.
type Status = Result<(), Failure>;

#[derive(Debug, Clone)]
enum Failure {
    Exit(u32),
    Error(ScriptError),
}

/// A script that runs.
struct Frame {
    script: Arc<Script>,
    /// The image that it is, if it goes when it ends.
    autofree: Option<String>,
    /// Index of the line that is carried out.
    line: usize,
    /// The line's words, and how many of them are through.
    words: Vec<String>,
    at: usize,
    /// What runs in its place once it has stopped.
    replacement: Option<Image>,
}

impl Ipxe {
    /// iPXE on a machine, with one NIC open.
    #[must_use]
    pub fn new(facts: Facts, nic: usize) -> Self {
        Self {
            settings: Settings::new(facts.clone(), nic),
            facts,
            images: Images::default(),
            frames: Vec::new(),
            pending: None,
            stop: Stop::Nothing,
            console: Vec::new(),
            commands: 0,
        }
    }

    /// An address was got; scripts see it as `${netX/ip}`.
    pub fn configure(&mut self, lease: Lease) {
        self.settings.lease(lease);
    }

    /// Begins with the file that DHCP names, as iPXE does by itself. Source: iPXE `src/usr/autoboot.c`.
    pub fn autoboot(&mut self, url: &str) -> Action {
        let words = ["chain", "--autofree", url].map(str::to_owned).to_vec();
        self.frames = vec![Frame {
            script: Arc::new(Script::of_one_line("autoboot", "chain")),
            autofree: None,
            line: 0,
            words,
            at: 0,
            replacement: None,
        }];
        self.go_on(None)
    }

    /// Begins with a script at hand.
    ///
    /// # Errors
    /// If it does not begin with `#!ipxe`.
    pub fn run(&mut self, url: &str, text: &str) -> Result<Action, ScriptError> {
        let image = Image::new(url, Bytes::copy_from_slice(text.as_bytes()), self.facts.platform);
        let name = image.name.clone();
        let fail = |reason: String| ScriptError { script: name, line: 1, command: String::new(), reason };
        match self.execute(image) {
            Ok(Some(action)) => Ok(action),
            Ok(None) => Ok(self.go_on(None)),
            Err(reason) => Err(fail(reason)),
        }
    }

    /// What `echo` has printed since this was asked for last.
    pub fn console(&mut self) -> Vec<String> {
        std::mem::take(&mut self.console)
    }

    /// Goes on with what came of the last action. An answer that nothing waits for is passed over.
    pub fn resume(&mut self, answer: Answer) -> Action {
        self.commands = 0;
        let Some(pending) = self.pending.take() else { return self.go_on(None) };
        let flow = self.finish(pending, answer);
        match self.follow(flow) {
            After::Action(action) => action,
            After::Ended(status) => self.go_on(Some(status)),
            After::Same => self.go_on(None),
        }
    }

    /// Carries out commands until one has to wait. `ended` is what came of the one that is through.
    fn go_on(&mut self, mut ended: Option<Status>) -> Action {
        loop {
            let next = match ended.take() {
                Some(status) => self.after(status),
                None => match self.next_command() {
                    Some(words) => {
                        self.commands += 1;
                        if self.commands > MAX_COMMANDS {
                            return self.give_up();
                        }
                        let argv: Option<Vec<String>> = words.iter().map(|word| self.settings.expand(word)).collect();
                        let flow = match argv {
                            Some(argv) => self.command(&argv),
                            None => Flow::Ended(Err("Not enough space".to_owned())),
                        };
                        self.follow(flow)
                    }
                    None => self.leave(Ok(())),
                },
            };
            match next {
                After::Same => {}
                After::Ended(status) => ended = Some(status),
                After::Action(action) => return action,
            }
        }
    }

    /// Ends a script that would keep a real machine busy for ever.
    fn give_up(&mut self) -> Action {
        let reason = "it goes round and round and waits for nothing".to_owned();
        let error = self.failure(reason);
        self.frames.clear();
        Action::End(End::Failed(error))
    }

    /// What comes of a command: an action to wait for, its status, or a script that begins.
    fn follow(&mut self, flow: Flow) -> After {
        match flow {
            Flow::Wait(action, pending) => {
                self.pending = Some(pending);
                After::Action(action)
            }
            Flow::Exit(0) | Flow::Ended(Ok(())) => After::Ended(Ok(())),
            Flow::Exit(status) => After::Ended(Err(Failure::Exit(status))),
            Flow::Ended(Err(reason)) => After::Ended(Err(Failure::Error(self.failure(reason)))),
            Flow::Execute(image) => match self.execute(image) {
                Ok(Some(action)) => After::Action(action),
                Ok(None) => After::Same,
                Err(reason) => After::Ended(Err(Failure::Error(self.failure(format!("Could not boot: {reason}"))))),
            },
        }
    }

    /// Runs an image: a kernel is an action, a script a frame.
    fn execute(&mut self, image: Image) -> Result<Option<Action>, String> {
        match image.kind {
            Kind::Kernel => Ok(Some(Action::Boot(self.images.loaded(image)))),
            Kind::Script if self.frames.len() >= MAX_DEPTH => Err("Not enough space".to_owned()),
            Kind::Script if image.data.len() > MAX_SCRIPT_BYTES => Err("Not enough space".to_owned()),
            Kind::Script => {
                let script = Script::parse(&image.name, &image.url, &String::from_utf8_lossy(&image.data));
                let words = script.words(0);
                let autofree = image.autofree.then(|| image.name.clone());
                let frame = Frame { script: Arc::new(script), autofree, line: 0, words, at: 0, replacement: None };
                self.frames.push(frame);
                Ok(None)
            }
            Kind::Other => Err("Exec format error".to_owned()),
        }
    }

    /// Where a command failed.
    fn failure(&self, reason: String) -> ScriptError {
        let (script, line, command) = match self.frames.last() {
            Some(frame) => {
                let command = frame.words[..frame.at].iter().rev().skip_while(|word| is_joint(word));
                let command = command.take_while(|word| !is_joint(word)).last().cloned();
                (frame.script.name.clone(), frame.script.number(frame.line), command.unwrap_or_default())
            }
            None => (String::new(), 0, String::new()),
        };
        ScriptError { script, line, command, reason }
    }
}

/// What follows a command.
enum After {
    /// The innermost script goes on.
    Same,
    /// A script ended, and with it the command that had started it.
    Ended(Status),
    Action(Action),
}

/// Whether a word joins two commands. Source: iPXE `src/core/exec.c`, `command_terminator`.
fn is_joint(word: &str) -> bool {
    matches!(word, "||" | "&&" | ";")
}

impl Ipxe {
    /// The next command's words, not expanded yet. None if the innermost script is through.
    fn next_command(&mut self) -> Option<Vec<String>> {
        let frame = self.frames.last_mut()?;
        while frame.at >= frame.words.len() {
            frame.line += 1;
            if frame.line >= frame.script.lines() {
                return None;
            }
            (frame.words, frame.at) = (frame.script.words(frame.line), 0);
        }
        let rest = &frame.words[frame.at..];
        let length = rest.iter().position(|word| is_joint(word)).unwrap_or(rest.len());
        let command = rest[..length].to_vec();
        // The joint stays: it decides once the command has ended.
        frame.at += length;
        Some(command)
    }

    /// Goes on after a command of the innermost script has ended.
    fn after(&mut self, status: Status) -> After {
        match std::mem::replace(&mut self.stop, Stop::Nothing) {
            Stop::Script => return self.leave(status),
            // `goto` has put the script elsewhere.
            Stop::Line => return After::Same,
            Stop::Nothing => {}
        }
        let Some(frame) = self.frames.last_mut() else { return self.leave(status) };
        // Commands that the joints pass over do not change the status.
        while let Some(joint) = frame.words.get(frame.at) {
            frame.at += 1;
            let goes_on = match joint.as_str() {
                "||" => status.is_err(),
                "&&" => status.is_ok(),
                _ => true,
            };
            if goes_on {
                return After::Same;
            }
            let rest = &frame.words[frame.at..];
            frame.at += rest.iter().position(|word| is_joint(word)).unwrap_or(rest.len());
        }
        // A line that fails ends its script.
        if status.is_err() { self.leave(status) } else { After::Same }
    }

    /// Ends the innermost script.
    fn leave(&mut self, status: Status) -> After {
        let Some(frame) = self.frames.pop() else {
            return After::Action(Action::End(match status {
                Ok(()) => End::Exit(0),
                Err(Failure::Exit(status)) => End::Exit(status),
                Err(Failure::Error(error)) => End::Failed(error),
            }));
        };
        if let Some(name) = frame.autofree {
            self.images.free(&name);
        }
        let Some(image) = frame.replacement else {
            // The outermost one was started by nobody.
            return if self.frames.is_empty() { self.leave(status) } else { After::Ended(status) };
        };
        match self.execute(image) {
            Ok(Some(action)) => After::Action(action),
            Ok(None) => After::Same,
            Err(reason) => After::Ended(Err(Failure::Error(self.failure(reason)))),
        }
    }
}

#[cfg(test)]
mod tests;
