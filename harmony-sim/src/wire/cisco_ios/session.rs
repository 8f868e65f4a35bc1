//! What a user sees: prompts, modes, answers, and what IOS says when it does not understand.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use harmony_core::error::DeviceResult;
use tokio::io::{AsyncRead, AsyncWrite};

use super::config::{Config, Outcome, Refused};
use super::device::Device;
use super::grammar::{self, Command, Misread, Verb};
use super::input::Terminal;
use super::interface::Interface;
use super::show;

/// A prompt of the configuration mode has no more of the name than this.
const MAX_NAME: usize = 20;
/// How often `enable` asks.
const TRIES: usize = 3;

/// Where a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    User,
    Privileged,
    Config,
    Interface(Interface),
}

/// One session.
pub(super) struct Session<S> {
    device: Arc<Device>,
    terminal: Terminal<S>,
    mode: Mode,
    /// Ports that it has changed since it entered configuration mode.
    touched: BTreeSet<Interface>,
}

/// What becomes of the session after a command.
enum Next {
    Goes,
    Ends,
    /// The connection is cut, and no answer comes.
    Cut,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Left,
    Cut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    pub(super) fn new(device: Arc<Device>, stream: S) -> Self {
        let mode = if device.personality.privileged { Mode::Privileged } else { Mode::User };
        Self { terminal: Terminal::new(stream, Arc::clone(&device)), device, mode, touched: BTreeSet::new() }
    }

    /// Talks until the user leaves, or the connection is to be cut.
    pub(super) async fn run(mut self) -> io::Result<End> {
        let banner = format!("\r\n{}", self.device.personality.banner.replace('\n', "\r\n"));
        self.terminal.write(&banner).await?;
        loop {
            let prompt = self.prompt();
            self.terminal.write(&prompt).await?;
            let Some(line) = self.terminal.read_line(true).await? else { return Ok(End::Left) };
            match self.line(line.trim_end()).await? {
                Next::Goes => {}
                Next::Ends => return Ok(End::Left),
                Next::Cut => return Ok(End::Cut),
            }
        }
    }

    fn prompt(&self) -> String {
        let name = self.device.name();
        let cut = name.get(..MAX_NAME).unwrap_or(name);
        match &self.mode {
            Mode::User => format!("{name}>"),
            Mode::Privileged => format!("{name}#"),
            Mode::Config => format!("{cut}(config)#"),
            Mode::Interface(_) => format!("{cut}(config-if)#"),
        }
    }

    async fn line(&mut self, line: &str) -> io::Result<Next> {
        if line.trim().is_empty() || line.trim_start().starts_with('!') {
            return Ok(Next::Goes);
        }
        let read = match &self.mode {
            Mode::User => grammar::parse(grammar::USER, line),
            Mode::Privileged => grammar::parse(grammar::PRIVILEGED, line),
            Mode::Config => grammar::parse(grammar::CONFIG, line),
            // What is not known below an interface may be known above it.
            Mode::Interface(_) => match grammar::parse(grammar::INTERFACE, line) {
                Err(Misread::Invalid(_)) => grammar::parse(grammar::CONFIG, line),
                read => read,
            },
        };
        match read {
            Ok(command) => self.command(&command, line).await,
            Err(misread) => {
                let said = match misread {
                    Misread::Invalid(column) => self.invalid(column),
                    Misread::Ambiguous => format!("% Ambiguous command:  \"{line}\""),
                    Misread::Incomplete => "% Incomplete command.\n".to_owned(),
                };
                self.terminal.print(&said).await?;
                Ok(Next::Goes)
            }
        }
    }

    fn invalid(&self, column: usize) -> String {
        let blanks = self.prompt().len() + column;
        format!("{}^\n% Invalid input detected at '^' marker.\n", " ".repeat(blanks))
    }

    async fn command(&mut self, command: &Command, line: &str) -> io::Result<Next> {
        match command.verb {
            Verb::Exit => return Ok(self.leave()),
            Verb::End => self.mode = Mode::Privileged,
            Verb::Disable => self.mode = Mode::User,
            Verb::Enable => self.enable().await?,
            Verb::TerminalLength => self.terminal.set_length(command.arguments[0].parse().unwrap_or(0)),
            Verb::TerminalWidth => {}
            Verb::Configure | Verb::ConfigureRevert | Verb::Confirm | Verb::RevertNow | Verb::Save => {
                let said = self.manage(command).await;
                self.terminal.print(&said).await?;
            }
            Verb::Do => {
                let said = match grammar::parse(grammar::PRIVILEGED, &command.arguments[0]) {
                    Ok(shown) => show::run(&self.device, &shown),
                    Err(_) => None,
                };
                self.terminal.print(&said.unwrap_or_else(|| self.invalid(3))).await?;
            }
            Verb::Interface | Verb::NoInterface | Verb::DefaultInterface => return self.interface(command, line).await,
            _ => match self.mode.clone() {
                Mode::Interface(at) => return self.configure(&at, command, line).await,
                _ => {
                    self.device.world.ask().await;
                    let said = show::run(&self.device, command).unwrap_or_else(|| self.invalid(line.len()));
                    self.terminal.print(&said).await?;
                }
            },
        }
        Ok(Next::Goes)
    }

    fn leave(&mut self) -> Next {
        match self.mode {
            Mode::User | Mode::Privileged => return Next::Ends,
            Mode::Config => self.mode = Mode::Privileged,
            Mode::Interface(_) => self.mode = Mode::Config,
        }
        Next::Goes
    }

    async fn enable(&mut self) -> io::Result<()> {
        if self.mode == Mode::Privileged {
            return Ok(());
        }
        for _ in 0..TRIES {
            self.terminal.write("Password: ").await?;
            let Some(typed) = self.terminal.read_line(false).await? else { return Ok(()) };
            if typed == self.device.credentials.enable.expose() {
                self.mode = Mode::Privileged;
                return Ok(());
            }
        }
        self.terminal.print("% Bad secrets\n").await
    }

    /// Commands on the configuration as a whole.
    async fn manage(&mut self, command: &Command) -> String {
        self.device.world.ask().await;
        const ENTER: &str = "Enter configuration commands, one per line.  End with CNTL/Z.";
        let entered = match command.verb {
            Verb::Configure => Ok(ENTER.to_owned()),
            Verb::ConfigureRevert => match command.arguments[0].parse() {
                Ok(minutes @ 1..=120) => self.device.begin_revert(minutes).map(|said| format!("{said}\n\n{ENTER}")),
                _ => Err("% Invalid input detected at '^' marker.".to_owned()),
            },
            Verb::Confirm => return self.device.confirm().err().unwrap_or_default(),
            Verb::RevertNow => return self.device.revert_now().unwrap_or_else(|refused| refused),
            _ => return "Building configuration...\n[OK]".to_owned(),
        };
        match entered {
            Ok(said) => {
                (self.mode, self.touched) = (Mode::Config, BTreeSet::new());
                said
            }
            Err(refused) => refused,
        }
    }

    /// `interface`, `no interface`, `default interface`.
    async fn interface(&mut self, command: &Command, line: &str) -> io::Result<Next> {
        let interface = Interface::parse(&command.arguments[0]);
        let known = interface.filter(|it| self.device.look(|config, _| config.may_enter(it)));
        let Some(interface) = known else {
            let column = line.rfind(' ').map_or(0, |at| at + 1);
            let said = self.invalid(column);
            self.terminal.print(&said).await?;
            return Ok(Next::Goes);
        };
        let (verb, at) = (command.verb, interface.clone());
        let edit = move |config: &mut Config| match verb {
            Verb::NoInterface => config.remove(&at).map(|()| Outcome::Silent),
            Verb::DefaultInterface => {
                config.reset(&at);
                Ok(Outcome::Note(format!("Interface {} set to default configuration", at.full())))
            }
            _ => {
                config.enter(&at);
                Ok(Outcome::Silent)
            }
        };
        let done = self.device.change(line.trim().to_owned(), edit).await;
        let next = self.tell(done).await?;
        if matches!(next, Next::Goes) {
            self.mode = if verb == Verb::Interface { Mode::Interface(interface) } else { Mode::Config };
        }
        Ok(next)
    }

    /// A line below `interface …`.
    async fn configure(&mut self, at: &Interface, command: &Command, line: &str) -> io::Result<Next> {
        if command.verb == Verb::LacpRate && !self.device.personality.lacp_rate {
            let said = self.invalid(0);
            self.terminal.print(&said).await?;
            return Ok(Next::Goes);
        }
        let switch = &self.device.switch;
        if command.verb == Verb::ChannelGroup && self.device.world.with(|state| state.faults.refuses_lacp(switch)) {
            self.terminal.print("Command rejected: this platform has no port-channels left").await?;
            return Ok(Next::Goes);
        }
        self.touched.insert(at.clone());
        let ports = self.touched.iter().filter(|port| port.port_channel_number().is_none()).count();
        // The second of several ports: what was typed for the first is in force.
        if ports > 1 && self.device.world.with(|state| state.faults.cuts_command(switch)) {
            return Ok(Next::Cut);
        }
        let edit = |config: &mut Config| config.line(at, command);
        let done = self.device.change(format!("{at}: {}", line.trim()), edit).await;
        self.tell(done).await
    }

    async fn tell(&mut self, done: DeviceResult<Result<Outcome, Refused>>) -> io::Result<Next> {
        match done {
            Ok(Ok(Outcome::Silent)) => {}
            Ok(Ok(Outcome::Note(said)) | Err(said)) => self.terminal.print(&said).await?,
            Err(_) => return Ok(Next::Cut),
        }
        Ok(Next::Goes)
    }
}
