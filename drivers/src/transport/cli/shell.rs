//! One command after another at a prompt, over any stream of bytes.
//!
//! After each answer a comment that nobody can guess is typed: the device has truly come to its
//! prompt once that comment was echoed after it. A line of an answer that merely looks like a prompt
//! (a neighbour's name, a banner) is so never taken for the end, however it is cut into packets.
//! Source: Cisco IOS Configuration Fundamentals Command Reference: a line that begins with `!` is a
//! comment in every mode.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use harmony_core::secret::Secret;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::error::{CliError, quoted};
use super::prompt::{self, Mode};
use super::screen::{Screen, TooMuch};

/// Longest time without a word from the device. Writing a configuration to flash takes long.
const SILENCE: Duration = Duration::from_secs(30);
/// Longest time for one command, however much it says.
const COMMAND: Duration = Duration::from_secs(180);
/// Longest time for a prompt while nothing is asked of the device.
const ALIVE: Duration = Duration::from_secs(5);
/// Bytes read at once.
const CHUNK: usize = 16 << 10;

/// A command line that is logged in.
pub(crate) struct Shell<S> {
    stream: S,
    screen: Screen,
    /// As in its prompts.
    host: String,
    mode: Mode,
    chunk: Vec<u8>,
    is_open: bool,
}

/// What ended a wait.
#[derive(Debug, PartialEq, Eq)]
enum Tail {
    Prompt,
    Password,
}

impl From<TooMuch> for CliError {
    fn from(_: TooMuch) -> Self {
        Self::TooMuch
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Shell<S> {
    /// Waits for the first prompt, whatever banner comes before it.
    pub(crate) async fn open(stream: S) -> Result<Self, CliError> {
        let mut shell = Self {
            stream,
            screen: Screen::new(),
            host: String::new(),
            mode: Mode::User,
            chunk: vec![0; CHUNK],
            is_open: true,
        };
        let first = async {
            while prompt::parse(&shell.screen.current()).is_none() {
                shell.read().await?;
            }
            shell.settle().await.map(drop)
        };
        match timeout(COMMAND, first).await {
            Ok(Ok(())) => Ok(shell),
            // A device without a free line says so in place of a prompt.
            Ok(Err(CliError::Cut)) => Err(shell.screen_text().map_or(CliError::Cut, |said| CliError::NoLine { said })),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(shell.silent(COMMAND)),
        }
    }

    /// The device's name, as in its prompts.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// What the device takes now.
    pub(crate) fn mode(&self) -> &Mode {
        &self.mode
    }

    /// Whether the connection is as it should be: no command was left in the middle.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether the device still listens.
    pub(crate) async fn is_alive(&mut self) -> bool {
        self.is_open && matches!(timeout(ALIVE, self.settle()).await, Ok(Ok(_)))
    }

    /// Sends a command and returns what it printed, without its echo.
    ///
    /// After an error, or when this is dropped before its end, the shell is no longer open.
    pub(crate) async fn run(&mut self, command: &str) -> Result<Vec<String>, CliError> {
        self.is_open = false;
        let answer = match timeout(COMMAND, self.answer(command)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(self.silent(COMMAND)),
        };
        self.is_open = true;
        Ok(answer)
    }

    /// Gets into the privileged mode, where it is not already.
    pub(crate) async fn enable(&mut self, password: Option<&Secret>) -> Result<(), CliError> {
        if self.mode != Mode::User {
            return Ok(());
        }
        self.is_open = false;
        self.send("enable").await?;
        if self.tail().await? == Tail::Password {
            let password = password.ok_or(CliError::Enable)?;
            self.screen.forget_current();
            self.send(password.expose()).await?;
            if self.tail().await? == Tail::Password {
                return Err(CliError::Enable);
            }
        }
        self.settle().await?;
        self.is_open = true;
        if self.mode == Mode::Privileged { Ok(()) } else { Err(CliError::Enable) }
    }

    async fn answer(&mut self, command: &str) -> Result<Vec<String>, CliError> {
        self.screen.forget_lines();
        self.send(command).await?;
        if self.tail().await? == Tail::Password {
            return Err(CliError::Question { question: quoted(&self.screen.current()) });
        }
        let mut lines = self.settle().await?;
        if lines.first().is_some_and(|echo| echo.ends_with(command.trim_end())) {
            lines.remove(0);
        }
        Ok(lines)
    }

    /// Types a comment and waits for the prompt after it; the complete lines before it.
    async fn settle(&mut self) -> Result<Vec<String>, CliError> {
        let comment = format!("!{:016x}", RandomState::new().hash_one(0));
        self.send(&comment).await?;
        let found = loop {
            let echo = self.screen.lines().iter().position(|line| line.ends_with(&comment));
            if let Some(at) = echo
                && prompt::parse(&self.screen.current()).is_some()
            {
                break at;
            }
            self.read().await?;
        };
        let line = self.screen.lines()[found].clone();
        let before = line.strip_suffix(&comment).and_then(prompt::parse);
        if let (true, Some(prompt)) = (self.host.is_empty(), &before) {
            prompt.host.clone_into(&mut self.host);
        }
        let current = self.screen.current();
        match (before, prompt::of(&self.host, &current)) {
            (Some(_), Some(mode)) => self.mode = mode,
            _ => return Err(CliError::NoPrompt { last: quoted(&current) }),
        }
        let lines = self.screen.lines()[..found].to_vec();
        self.screen.forget_lines();
        Ok(lines)
    }

    /// Waits for a prompt, or a request for a password, that nothing has come after yet.
    async fn tail(&mut self) -> Result<Tail, CliError> {
        loop {
            let current = self.screen.current();
            // Until the echo has ended, the current line is the prompt before the command.
            if !self.screen.lines().is_empty() {
                if prompt::of(&self.host, &current).is_some() {
                    return Ok(Tail::Prompt);
                }
                if current.ends_with("assword:") {
                    return Ok(Tail::Password);
                }
                if current.ends_with("[confirm]") || current.ends_with("[yes/no]:") || current.ends_with("[no]:") {
                    return Err(CliError::Question { question: quoted(&current) });
                }
                if current.trim() == "--More--" {
                    self.screen.forget_current();
                    self.write(b" ").await?;
                }
            }
            self.read().await?;
        }
    }

    async fn send(&mut self, line: &str) -> Result<(), CliError> {
        self.write(format!("{line}\n").as_bytes()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        written.await.map_err(|_| CliError::Cut)
    }

    async fn read(&mut self) -> Result<(), CliError> {
        match timeout(SILENCE, self.stream.read(&mut self.chunk)).await {
            Ok(Ok(0) | Err(_)) => Err(CliError::Cut),
            Ok(Ok(length)) => Ok(self.screen.take(&self.chunk[..length])?),
            Err(_) => Err(self.silent(SILENCE)),
        }
    }

    fn silent(&self, after: Duration) -> CliError {
        CliError::Silent { after, last: quoted(&self.screen.current()) }
    }

    /// All that is on the screen, in one line.
    fn screen_text(&self) -> Option<String> {
        let current = self.screen.current();
        let lines =
            self.screen.lines().iter().chain([&current]).map(|line| line.trim()).filter(|line| !line.is_empty());
        let text = quoted(&lines.collect::<Vec<_>>().join(" "));
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
#[path = "shell_tests.rs"]
mod tests;
