//! The dialog that gives a host a role: role, then disk where there is a choice, then consent by the
//! serial where the disk holds something.
//!
//! Only the dialog's own state; what it knows of hosts it is given with each key, so that a host that
//! changes meanwhile is judged as it is. The runner judges again.

use harmony_core::host::{Disk, Host, HostId, Role};
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use crate::action::UserAction;
use crate::input::LineInput;
use crate::state::rack::{Rack, is_free};

/// An open dialog.
#[derive(Debug, Clone)]
pub(crate) struct AssignDialog {
    pub(crate) host: HostId,
    pub(crate) stage: Stage,
    /// Why the last key did nothing.
    pub(crate) error: Option<String>,
}

/// Where the user is in it.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// Which role; `pick` is a suggestion.
    Role { input: LineInput, pick: Option<usize> },
    /// Which disk, of several; `pick` counts the host's disks.
    Disk { role: Role, pick: usize },
    /// Whether its contents may be lost.
    Consent { role: Role, serial: String, input: LineInput },
}

/// What follows from a key.
pub(crate) enum Verdict {
    Open,
    Closed,
    Done(UserAction),
}

/// Why a host cannot be given a role, or `None`.
pub(crate) fn refusal(host: &Host) -> Option<String> {
    let name = &host.name;
    match &host.assignment {
        Some(given) => Some(format!("{name} already has role {}", given.role)),
        None if is_free(host) => None,
        None => Some(format!("{name} is {}: only a discovered host can be given a role", host.lifecycle)),
    }
}

/// Why nothing can be installed on this disk, or `None`.
pub(crate) fn disk_refusal(host: &Host, disk: &Disk) -> Option<&'static str> {
    match disk {
        Disk { serial: None, .. } => Some("no serial, so it cannot be named in an order"),
        Disk { size_bytes: 0, .. } => Some("no medium"),
        Disk { serial, .. } if host.disks.iter().filter(|other| other.serial == *serial).count() > 1 => {
            Some("another disk of the host has the same serial")
        }
        _ => None,
    }
}

impl AssignDialog {
    pub(crate) fn new(host: HostId, suggestions: &[Role]) -> Self {
        let stage = Stage::Role { input: LineInput::default(), pick: (!suggestions.is_empty()).then_some(0) };
        Self { host, stage, error: None }
    }

    /// Takes a key. `suggestions` are the roles that are still free.
    pub(crate) fn on_key(&mut self, key: KeyEvent, rack: &Rack, suggestions: &[Role]) -> Verdict {
        self.error = None;
        if key.code == KeyCode::Esc {
            return Verdict::Closed;
        }
        let Some(host) = rack.host(&self.host) else { return Verdict::Closed };
        if let Some(reason) = refusal(host) {
            self.error = Some(reason);
            return Verdict::Open;
        }
        let step = match &mut self.stage {
            Stage::Role { input, pick } => on_role_key(key, input, pick, host, rack, suggestions),
            Stage::Disk { role, pick } => on_disk_key(key, role, pick, host),
            Stage::Consent { role, serial, input } => on_consent_key(key, role, serial, input, host),
        };
        match step {
            Ok(Step::Stay) => Verdict::Open,
            Ok(Step::To(stage)) => {
                self.stage = stage;
                Verdict::Open
            }
            Ok(Step::Assign(choice)) => {
                let Choice { role, disk, erase } = choice;
                Verdict::Done(UserAction::Assign { host: self.host.clone(), role, disk: Some(disk), erase })
            }
            Err(reason) => {
                self.error = Some(reason);
                Verdict::Open
            }
        }
    }
}

enum Step {
    Stay,
    To(Stage),
    Assign(Choice),
}

struct Choice {
    role: Role,
    disk: String,
    erase: Option<String>,
}

fn on_role_key(
    key: KeyEvent,
    input: &mut LineInput,
    pick: &mut Option<usize>,
    host: &Host,
    rack: &Rack,
    suggestions: &[Role],
) -> Result<Step, String> {
    let last = suggestions.len().checked_sub(1);
    match (key.code, last) {
        (KeyCode::Up, Some(last)) => *pick = Some(pick.map_or(last, |at| at.saturating_sub(1))),
        (KeyCode::Down, Some(last)) => *pick = Some(pick.map_or(0, |at| (at + 1).min(last))),
        (KeyCode::Tab, Some(_)) => {
            let typed = input.text();
            let picked = pick.and_then(|at| suggestions.get(at));
            let begun = || suggestions.iter().find(|role| role.as_str().starts_with(typed));
            if let Some(role) = picked.or_else(begun) {
                input.set(role.as_str());
                *pick = None;
            }
        }
        (KeyCode::Enter, _) => {
            let picked = pick.and_then(|at| suggestions.get(at)).cloned();
            let role = match picked {
                Some(role) => role,
                None => input.text().trim().parse().map_err(|e: harmony_core::net::NameError| e.to_string())?,
            };
            if let Some(holder) = rack.holder(&role) {
                return Err(format!("role {role} already belongs to {}", holder.name));
            }
            return after_role(role, host);
        }
        _ => {
            if input.on_key(key) {
                *pick = None;
            }
        }
    }
    Ok(Step::Stay)
}

/// A single disk is no choice, and one that cannot be ordered is said at once.
fn after_role(role: Role, host: &Host) -> Result<Step, String> {
    let usable = host.disks.iter().position(|disk| disk_refusal(host, disk).is_none());
    match (&*host.disks, usable) {
        ([], _) => Err(format!("{} has no disks: nothing to install on", host.name)),
        ([disk], _) => after_disk(role, host, disk),
        (_, None) => Err(format!("no disk of {} can be used: none has a serial of its own and a medium", host.name)),
        (_, Some(pick)) => Ok(Step::To(Stage::Disk { role, pick })),
    }
}

fn on_disk_key(key: KeyEvent, role: &Role, pick: &mut usize, host: &Host) -> Result<Step, String> {
    let last = host.disks.len().saturating_sub(1);
    match key.code {
        KeyCode::Up | KeyCode::Char('k') => *pick = pick.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => *pick = (*pick + 1).min(last),
        KeyCode::Enter => {
            let disk = host.disks.get(*pick).ok_or("that disk is gone")?;
            return after_disk(role.clone(), host, disk);
        }
        _ => {}
    }
    Ok(Step::Stay)
}

/// An empty disk needs no consent.
fn after_disk(role: Role, host: &Host, disk: &Disk) -> Result<Step, String> {
    if let Some(reason) = disk_refusal(host, disk) {
        return Err(format!("disk {} cannot be used: {reason}", disk.name));
    }
    let Some(serial) = disk.serial.clone() else { return Ok(Step::Stay) };
    Ok(if disk.signatures.is_empty() {
        Step::Assign(Choice { role, disk: serial, erase: None })
    } else {
        Step::To(Stage::Consent { role, serial, input: LineInput::default() })
    })
}

fn on_consent_key(
    key: KeyEvent,
    role: &Role,
    serial: &str,
    input: &mut LineInput,
    host: &Host,
) -> Result<Step, String> {
    if key.code != KeyCode::Enter {
        input.on_key(key);
        return Ok(Step::Stay);
    }
    if host.disk(serial).is_none() {
        return Err(format!("disk {serial} is no longer in {}", host.name));
    }
    if input.text().trim() != crate::text::clean(serial).trim() {
        return Err(format!("type the serial {serial} to agree, Esc to keep what is on the disk"));
    }
    let erase = Some(serial.to_owned());
    Ok(Step::Assign(Choice { role: role.clone(), disk: serial.to_owned(), erase }))
}
