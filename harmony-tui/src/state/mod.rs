//! All that the screen shows: what the records told, and where the user is in it.
//!
//! [`State`] changes in four ways only: a record, a key, a notice, the passing of time. It does no I/O
//! and reads no clock, so the same sequence gives the same screens, live or replayed.
//!
//! Read next: [`run`] and [`rack`] for the two halves of what is known, [`keys`] for what keys do.

mod keys;
mod log;
pub(crate) mod rack;
pub(crate) mod run;
pub(crate) mod tree;

use harmony_core::event::{Event, Record};
use harmony_core::host::{Host, HostId, Role};
use harmony_core::net::PortRef;
use jiff::Timestamp;

use crate::action::{Notice, UserAction};
use crate::assign::AssignDialog;
use crate::input::LineInput;
use crate::look::Look;
use crate::text;
use crate::units;
use log::Log;
use rack::{PortReading, Rack};
use run::Run;
use tree::TreeUi;

/// Seconds for which an information stays on the screen.
const INFO_S: u64 = 30;

/// Everything that [`crate::view`] draws.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) run: Run,
    pub(crate) rack: Rack,
    pub(crate) log: Log,
    pub(crate) now: Timestamp,
    pub(crate) look: Look,
    pub(crate) ui: Ui,
    /// A graceful end was asked for.
    pub(crate) stopping: bool,
    /// A replay: nothing can be changed.
    pub(crate) read_only: bool,
    /// What the source of the records says of itself.
    pub(crate) banner: Option<String>,
    suggested: Vec<Role>,
}

/// One of the four screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Run,
    Hosts,
    Ports,
    Log,
}

impl Tab {
    pub(crate) const ALL: [Self; 4] = [Self::Run, Self::Hosts, Self::Ports, Self::Log];
}

/// Where the user is.
#[derive(Debug, Clone)]
pub(crate) struct Ui {
    pub(crate) tab: Tab,
    pub(crate) dialog: Option<Dialog>,
    /// With the time when it came.
    pub(crate) notice: Option<(Notice, Timestamp)>,
    /// One search per screen, in the order of [`Tab::ALL`].
    pub(crate) searches: [LineInput; 4],
    /// Whether keys go into the search.
    pub(crate) searching: bool,
    /// Whether keys scroll the details instead of moving in the list.
    pub(crate) on_details: bool,
    /// Whether the details take the whole screen (Hosts, Ports) or are shown at all (Run).
    pub(crate) details_open: bool,
    pub(crate) details_top: usize,
    pub(crate) tree: TreeUi,
    pub(crate) host: Option<HostId>,
    pub(crate) port: Option<PortRef>,
    /// Number of the last log entry to be shown; without it, the latest.
    pub(crate) log_end: Option<usize>,
    /// Columns and rows of the terminal.
    pub(crate) size: (u16, u16),
}

/// What lies over the screen.
#[derive(Debug, Clone)]
pub(crate) enum Dialog {
    Help,
    Assign(AssignDialog),
    /// End the run?
    Stop,
    /// Leave although it still runs?
    Quit,
}

impl State {
    /// Nothing known yet.
    #[must_use]
    pub fn new(look: Look) -> Self {
        Self {
            run: Run::default(),
            rack: Rack::default(),
            log: Log::default(),
            now: Timestamp::UNIX_EPOCH,
            look,
            ui: Ui {
                tab: Tab::Run,
                dialog: None,
                notice: None,
                searches: Default::default(),
                searching: false,
                on_details: false,
                details_open: false,
                details_top: 0,
                tree: TreeUi::default(),
                host: None,
                port: None,
                log_end: None,
                size: (80, 24),
            },
            stopping: false,
            read_only: false,
            banner: None,
            suggested: Vec::new(),
        }
    }

    /// Shows only: keys cannot assign or stop anything, and leave at once.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Roles that the assign dialog offers, as long as no host has them. A Score that waits for hosts adds
    /// those it names: by a stage `roles` that waits for "hosts for the roles NAME, NAME".
    pub fn suggest_roles(&mut self, roles: Vec<Role>) {
        self.suggested = roles;
    }

    /// Takes the next record.
    pub fn on_record(&mut self, record: &Record) {
        if matches!(record.event, Event::RunStarted { .. }) {
            self.stopping = false;
            self.ui.tree = TreeUi { hide_done: self.ui.tree.hide_done, ..TreeUi::default() };
        }
        let question = matches!(self.ui.dialog, Some(Dialog::Stop | Dialog::Quit));
        if question && matches!(record.event, Event::RunFinished { .. }) {
            self.ui.dialog = None;
        }
        self.run.on_record(record);
        self.rack.on_record(record);
        self.log.on_record(record);
        self.on_time(record.at);
    }

    /// Takes a message. It is shown until the next one, or until Esc; a mere information also until it is
    /// half a minute old.
    pub fn notify(&mut self, notice: Notice) {
        self.log.on_notice(&notice, self.now);
        self.ui.notice = Some((notice, self.now));
    }

    /// No more records will come.
    pub fn on_end(&mut self) {
        if self.run.is_under_way() && !self.read_only {
            self.notify(Notice::refused("no more events arrive: what is shown is the last that was heard of the run"));
        }
    }

    /// An action reached nobody.
    pub fn on_undelivered(&mut self, action: &UserAction, reason: &str) {
        if *action == UserAction::Stop {
            self.stopping = false;
        }
        self.notify(Notice::refused(format!("not done: {reason}")));
    }

    /// It is at least this late. Time does not run backwards.
    pub fn on_time(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        let is_stale = |(notice, at): &mut (Notice, Timestamp)| {
            !notice.is_refusal && units::seconds_between(*at, self.now) > INFO_S
        };
        self.ui.notice.take_if(is_stale);
    }

    /// The terminal has this many columns and rows.
    pub fn on_resize(&mut self, columns: u16, rows: u16) {
        self.ui.size = (columns, rows);
    }

    /// What the source of the records says of itself, for the header: "replay 4×, paused".
    pub fn set_banner(&mut self, banner: Option<String>) {
        self.banner = banner;
    }

    /// Whether keys go to the screen itself, and not to a search or dialog.
    #[must_use]
    pub fn hears_commands(&self) -> bool {
        !self.ui.searching && self.ui.dialog.is_none()
    }

    /// Roles to offer: wanted, and nobody's yet.
    pub(crate) fn open_roles(&self) -> Vec<Role> {
        let stages = self.run.scores.iter().flat_map(|score| &score.stages);
        let named = stages.filter(|stage| stage.deferred.key == "roles");
        let named = named.filter_map(|stage| stage.deferred.waits_for.rsplit_once(" the roles "));
        let waited_for = named.flat_map(|(_, names)| names.split(", ")).filter_map(|name| name.parse().ok());
        let mut roles: Vec<Role> = self.suggested.iter().cloned().chain(waited_for).collect();
        roles.retain(|role| self.rack.holder(role).is_none());
        roles.sort_by(|a, b| text::natural(a.as_str(), b.as_str()));
        roles.dedup();
        roles
    }

    /// What is searched for on the present screen.
    pub(crate) fn wanted(&self) -> &str {
        self.search().text()
    }

    pub(crate) fn search(&self) -> &LineInput {
        &self.ui.searches[self.ui.tab as usize]
    }

    /// Hosts as listed, and which of them is selected.
    pub(crate) fn hosts(&self) -> (Vec<&Host>, usize) {
        let wanted = self.ui.searches[Tab::Hosts as usize].text();
        let hosts: Vec<_> = self.rack.hosts().iter().filter(|host| is_found(host, wanted)).collect();
        let at = self.ui.host.as_ref().and_then(|id| hosts.iter().position(|host| host.id == *id));
        (hosts, at.unwrap_or(0))
    }

    /// Ports as listed, and which of them is selected.
    pub(crate) fn ports(&self) -> (Vec<&PortReading>, usize) {
        let wanted = self.ui.searches[Tab::Ports as usize].text();
        let behind = if wanted.is_empty() { Default::default() } else { self.rack.behind() };
        let holds = |reading: &PortReading| {
            let port = &reading.status.port;
            let hosts = behind.get(port).into_iter().flatten();
            wanted.is_empty()
                || text::holds(&port.to_string(), wanted)
                || text::holds(&reading.status.mode.to_string(), wanted)
                || hosts.into_iter().any(|of| is_found(of.host, wanted))
        };
        let ports: Vec<_> = self.rack.ports().iter().filter(|reading| holds(reading)).collect();
        let at = self.ui.port.as_ref().and_then(|id| ports.iter().position(|of| of.status.port == *id));
        (ports, at.unwrap_or(0))
    }
}

/// Whether anything that a host is called or recognised by holds these words.
fn is_found(host: &Host, wanted: &str) -> bool {
    let holds = |text: &str| text::holds(text, wanted);
    let texts = [&host.model, &host.identity.serial].into_iter().flatten();
    wanted.is_empty()
        || holds(host.name.as_str())
        || holds(host.id.as_str())
        || holds(host.lifecycle.as_str())
        || host.assignment.as_ref().map_or(holds("unassigned"), |given| holds(given.role.as_str()))
        || texts.into_iter().any(|text| holds(text))
        || host.address.is_some_and(|address| holds(&address.to_string()))
        || host.macs().iter().any(|mac| holds(&mac.to_string()))
        || host.nics.iter().any(|nic| holds(&nic.mac.to_string()))
        || host.disks.iter().filter_map(|disk| disk.serial.as_deref()).any(holds)
}
