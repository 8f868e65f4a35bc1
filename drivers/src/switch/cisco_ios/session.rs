//! The one session of a switch: opened when it is needed, kept, opened again when it was cut.
//!
//! Owns the login, `enable`, and the settings of the terminal. Does not know what is asked in it.

use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use russh::Error as SshError;

use super::answer::refusal;
use super::show::version;
use super::spec::MAX_PASSWORD_BYTES;
use super::{CiscoIos, Refusal};
use crate::transport::PinFileError;
use crate::transport::cli::{self, CliError, Login, Mode, SshProfile, SshShell};
use crate::transport::ssh::SessionError;

/// A session that is logged in and may change things.
pub(super) struct Line {
    ssh: SshShell,
    /// Whether the switch can take back changes that nobody confirms.
    pub(super) can_revert: bool,
}

impl Line {
    /// Whether it can be used again.
    pub(super) fn is_open(&self) -> bool {
        self.ssh.shell.is_open()
    }

    /// Whether it is where changes are typed.
    pub(super) fn is_configuring(&self) -> bool {
        self.ssh.shell.mode() == &Mode::Config
    }

    /// Sends a command. `Ok(Err(_))` is the switch's refusal.
    pub(super) async fn send(&mut self, command: &str) -> Result<Result<Vec<String>, Refusal>, CliError> {
        let lines = self.ssh.shell.run(command).await?;
        Ok(match refusal(&lines) {
            Some(said) => Err(Refusal { switch: self.ssh.shell.host().to_owned(), command: command.to_owned(), said }),
            None => Ok(lines),
        })
    }
}

impl CiscoIos {
    /// The session that is there, if it still lives, or a new one.
    pub(super) async fn line(&self, kept: Option<Line>, operation: &str) -> DeviceResult<Line> {
        if let Some(mut line) = kept
            && line.ssh.shell.is_alive().await
        {
            return Ok(line);
        }
        self.open(operation).await
    }

    async fn open(&self, operation: &str) -> DeviceResult<Line> {
        let unread = |error: crate::bmc::PasswordError| {
            DeviceError::new(FailureKind::Invalid, operation)
                .hint(format!("it holds a password of switch `{}` in its first line", self.id))
                .because(error)
        };
        let password = self.spec.password.read(MAX_PASSWORD_BYTES).map_err(unread)?;
        let enable = self.spec.enable_password.as_ref().map(|source| source.read(MAX_PASSWORD_BYTES));
        let enable = enable.transpose().map_err(unread)?;
        let unkept = |error: PinFileError| {
            let hint = format!("correct or remove {}", self.known_hosts.path().display());
            DeviceError::new(FailureKind::Invalid, operation).because(error).hint(hint)
        };
        let pin = format!("switch {}", self.id);
        let login = Login {
            address: &self.spec.address,
            port: self.spec.port,
            user: &self.spec.user,
            password: &password,
            profile: self.spec.ssh_profile,
            pinned: self.known_hosts.seen_of(&pin).map_err(unkept)?,
        };
        let mut ssh = cli::open(login).await.map_err(|error| self.failed(operation, error))?;
        self.known_hosts.keep_of(&pin, &ssh.host_key).map_err(unkept)?;
        ssh.shell.enable(enable.as_ref()).await.map_err(|error| self.failed(operation, error))?;
        let mut line = Line { ssh, can_revert: false };
        for command in ["terminal length 0", "terminal width 0"] {
            self.ask(&mut line, command, operation).await?;
        }
        if version::parse(&self.ask(&mut line, "show version", operation).await?).is_none() {
            return Err(DeviceError::new(FailureKind::Invalid, operation)
                .because("it runs neither Cisco IOS nor IOS-XE")
                .hint(format!("is `driver` of switch `{}` right in the site file?", self.id)));
        }
        let archive = line.send("show archive").await.map_err(|error| self.failed(operation, error))?;
        line.can_revert = archive.is_ok_and(|lines| lines.iter().any(|line| line.contains("archive configurations")));
        Ok(line)
    }

    /// Asks something that a switch of this kind knows.
    pub(super) async fn ask(&self, line: &mut Line, command: &str, operation: &str) -> DeviceResult<Vec<String>> {
        let answer = line.send(command).await.map_err(|error| self.failed(operation, error))?;
        answer.map_err(|refusal| self.refused(operation, refusal))
    }

    /// A command that the switch refused.
    pub(super) fn refused(&self, operation: &str, refusal: Refusal) -> DeviceError {
        let hint = if refusal.said.contains("Access VLAN does not exist") {
            format!("make the VLAN on switch `{}` and on its uplinks first", self.id)
        } else if refusal.command.starts_with("interface Po") {
            format!("which numbers may port-channels have on switch `{}` (`port_channels` in the site file)?", self.id)
        } else {
            format!("may `{}` do that on switch `{}`, and does its release know it?", self.spec.user, self.id)
        };
        DeviceError::new(FailureKind::Rejected, operation).because(refusal).hint(hint)
    }

    /// What a session without an answer means.
    pub(super) fn failed(&self, operation: &str, error: CliError) -> DeviceError {
        let (id, address, port) = (&self.id, &self.spec.address, self.spec.port);
        let lines = format!("who is on switch `{id}`? `show users` tells, `clear line vty N` ends a session");
        let (kind, hint) = match &error {
            CliError::Resolve { .. } => {
                (FailureKind::Invalid, format!("is `address` of switch `{id}` right in the site file?"))
            }
            CliError::Ssh(SessionError::Connect { .. } | SessionError::TimedOut { .. }) => {
                (FailureKind::Unreachable, format!("does switch `{id}` answer SSH at {address}, port {port}?"))
            }
            CliError::Ssh(SessionError::HostKey { .. }) => (
                FailureKind::Rejected,
                format!(
                    "another device answers at {address}: if switch `{id}` was replaced, remove the line `switch {id}` from {}",
                    self.known_hosts.path().display()
                ),
            ),
            CliError::Ssh(SessionError::Protocol(SshError::NoCommonAlgo { .. }))
                if self.spec.ssh_profile == SshProfile::Modern =>
            {
                (
                    FailureKind::Rejected,
                    format!("old software? `ssh_profile = \"legacy\"` of switch `{id}` allows what it has"),
                )
            }
            CliError::Ssh(_) => {
                (FailureKind::Unreachable, format!("a switch closes connections when all lines are in use: {lines}"))
            }
            CliError::Login { user } => (
                FailureKind::Rejected,
                format!("is the password of `{user}` on switch `{id}` that in {}?", self.spec.password),
            ),
            CliError::NoLine { .. } => (FailureKind::Transient, lines),
            CliError::Cut | CliError::Silent { .. } | CliError::NoPrompt { .. } => {
                (FailureKind::Unreachable, format!("does switch `{id}` still answer at {address}, port {port}?"))
            }
            CliError::TooMuch => (FailureKind::Invalid, format!("is {address} switch `{id}`, and Cisco IOS?")),
            CliError::Question { .. } => {
                (FailureKind::Rejected, format!("answer it once by hand on switch `{id}`, then run again"))
            }
            CliError::Enable => (
                FailureKind::Rejected,
                match &self.spec.enable_password {
                    Some(source) => format!("is the enable password of switch `{id}` that in {source}?"),
                    None => format!(
                        "give `{}` privilege level 15 on switch `{id}`, or name `enable_password_file` in the site file",
                        self.spec.user
                    ),
                },
            ),
        };
        DeviceError::new(kind, operation).because(error).hint(hint)
    }
}
