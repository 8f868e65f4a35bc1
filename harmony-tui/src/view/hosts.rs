//! The table of hosts, and all that is known of one.

use harmony_core::host::{Disk, Firmware, Host, Lifecycle, Nic, PortWitness};
use harmony_core::net::PortRef;
use ratatui::text::Line;

use super::run::current;
use super::sheet::{Sheet, wrapped};
use super::table::{self, Cell, Column};
use crate::look::Tone;
use crate::state::State;
use crate::state::rack::{is_disputed, is_free, lacp_word};
use crate::state::run::StepPhase;
use crate::units;

const fn column(title: &'static str, rank: u8) -> Column {
    Column { title, rank, may_be_cut: false }
}

/// In the order of the screen; the highest rank gives way first.
const COLUMNS: [Column; 11] = [
    Column { title: "NAME", rank: 0, may_be_cut: true },
    column("ID", 9),
    column("STATE", 1),
    column("ROLE", 2),
    Column { title: "MODEL", rank: 10, may_be_cut: true },
    column("CPU", 8),
    column("MEMORY", 7),
    column("DISKS", 6),
    column("NICS", 3),
    column("ADDRESS", 4),
    column("SEEN", 5),
];

/// The table, the selected host in sight.
pub(super) fn table(state: &State, columns: usize, height: usize) -> Vec<Line<'static>> {
    let (hosts, selected) = state.hosts();
    if height == 0 {
        return Vec::new();
    }
    if hosts.is_empty() {
        let text = if state.wanted().is_empty() {
            "No host has been seen. A machine appears here as soon as it asks for its boot script."
        } else {
            "No host holds what is searched for."
        };
        return wrapped(state.look, columns, 2, text, Tone::Dim);
    }
    let rows: Vec<_> = hosts.iter().map(|host| cells(state, host)).collect();
    table::lines(state.look, &COLUMNS, &rows, selected, columns, height)
}

fn state_tone(host: &Host) -> Tone {
    match host.lifecycle {
        _ if is_free(host) => Tone::Attention,
        Lifecycle::Provisioned => Tone::Good,
        Lifecycle::Acquired => Tone::Busy,
        Lifecycle::Failed => Tone::Bad,
        _ => Tone::Plain,
    }
}

fn role(host: &Host) -> String {
    match &host.assignment {
        Some(given) => given.role.to_string(),
        None => "unassigned".to_owned(),
    }
}

fn cells(state: &State, host: &Host) -> Vec<Cell> {
    let tone = state_tone(host);
    let plain = |text: Option<String>| (text.unwrap_or_else(|| "–".to_owned()), Tone::Plain);
    let disks = host.disks.iter().map(|disk| disk.size_bytes).fold(0, u64::saturating_add);
    let disks = match host.disks.len() {
        0 => None,
        1 => Some(units::disk(disks)),
        number => Some(format!("{number}: {}", units::disk(disks))),
    };
    vec![
        (host.name.to_string(), Tone::Strong),
        (host.id.to_string(), Tone::Plain),
        (host.lifecycle.to_string(), tone),
        (role(host), if is_free(host) { Tone::Attention } else { Tone::Plain }),
        plain(host.model.clone()),
        plain(host.cpus.map(|cpus| cpus.to_string())),
        plain(host.memory_bytes.map(units::memory)),
        plain(disks),
        nics(state, host),
        plain(host.address.map(|address| address.to_string())),
        plain(host.last_seen.map(|at| units::ago(at, state.now))),
    ]
}

/// Links that are up, of all; and what a person should know of them.
fn nics(state: &State, host: &Host) -> Cell {
    let up = host.nics.iter().filter(|nic| nic.carrier == Some(true)).count();
    let text = format!("{up}/{}", host.nics.len());
    if host.nics.iter().any(is_disputed) {
        (format!("{text} !"), Tone::Attention)
    } else if state.rack.is_bonded(host) {
        (format!("{text} bond"), Tone::Good)
    } else {
        (text, Tone::Plain)
    }
}

/// Everything that is known of the selected host.
pub(super) fn details(state: &State, columns: usize) -> (String, Vec<Line<'static>>) {
    let (hosts, selected) = state.hosts();
    let Some(host) = hosts.get(selected) else { return (String::new(), Vec::new()) };
    let mut sheet = Sheet::new(state.look, columns);
    facts(state, &mut sheet, host);
    steps(state, &mut sheet, host);
    sheet.heading("NICs");
    host.nics.iter().for_each(|nic| nic_lines(state, &mut sheet, nic));
    sheet.heading("Disks");
    host.disks.iter().for_each(|disk| disk_lines(&mut sheet, disk));
    (host.label(), sheet.finish())
}

fn facts(state: &State, sheet: &mut Sheet, host: &Host) {
    let seen = host.last_seen.map(|at| format!(", seen {} ago", units::ago(at, state.now))).unwrap_or_default();
    let address = host.address.map(|address| format!(" at {address}")).unwrap_or_default();
    sheet.field("state", &format!("{}, {}{seen}{address}", host.lifecycle, role(host)), state_tone(host));
    if let Some(given) = &host.assignment {
        let disk = given.disk.as_deref().map_or("the only eligible disk".to_owned(), |serial| format!("disk {serial}"));
        let erase = given.erase.as_deref().map(|serial| format!("; may erase {serial}")).unwrap_or_default();
        sheet.field("install on", &format!("{disk}{erase}"), Tone::Plain);
    }
    let firmware = host.firmware.map(|firmware| match firmware {
        Firmware::Bios => "BIOS".to_owned(),
        Firmware::Uefi => "UEFI".to_owned(),
    });
    let cpus = host.cpus.map(|cpus| units::count(cpus as usize, "CPU"));
    let parts = [host.model.clone(), firmware, cpus, host.memory_bytes.map(units::memory)];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if !parts.is_empty() {
        sheet.field("hardware", &parts.join(", "), Tone::Plain);
    }
    let identity = &host.identity;
    let serial = identity.serial.as_ref().map(|serial| format!("serial {serial}"));
    let known: Vec<_> = serial.into_iter().chain(identity.uuid.map(|uuid| format!("UUID {uuid}"))).collect();
    if !known.is_empty() {
        sheet.field("identity", &known.join(", "), Tone::Plain);
    }
    sheet.field("BMC", host.bmc.as_ref().map_or("not recognised", |bmc| bmc.as_str()), Tone::Plain);
}

/// What it is at now; without that, what failed or was done last.
fn steps(state: &State, sheet: &mut Sheet, host: &Host) {
    let of = || state.run.steps_of(&host.id);
    let now: Vec<_> = of().filter(|step| step.is_active() || step.phase == StepPhase::Failed).collect();
    if !now.is_empty() {
        sheet.heading("Now");
        now.iter().for_each(|step| current(state, sheet, step));
    } else if let Some(last) = of().rfind(|step| step.is_done()) {
        sheet.field("last step", &last.sentence, Tone::Plain);
        last.evidence.last().iter().for_each(|line| sheet.field("evidence", line, Tone::Dim));
    }
}

fn nic_lines(state: &State, sheet: &mut Sheet, nic: &Nic) {
    let speed = match (nic.carrier, nic.speed_mbps) {
        (Some(false), _) => "no link".to_owned(),
        (_, Some(mbps)) => units::speed(mbps),
        (Some(true), None) => "link".to_owned(),
        (None, None) => "unknown".to_owned(),
    };
    let booted = if nic.booted { "booted" } else { "" };
    let (port, tone) = match nic.port.verdict() {
        PortWitness::Unknown => ("switch port unknown".to_owned(), Tone::Dim),
        PortWitness::Agreed(port) => (port.to_string(), Tone::Plain),
        PortWitness::Disputed(_) => ("port DISPUTED".to_owned(), Tone::Attention),
    };
    sheet.cells(&[
        (nic.name.clone(), 10, Tone::Strong),
        (nic.mac.to_string(), 17, Tone::Plain),
        (speed, 8, Tone::Plain),
        (booted.to_owned(), 6, Tone::Plain),
        (port, 28, tone),
    ]);
    match nic.port.agreed() {
        Some(port) => port_line(state, sheet, nic, &port),
        None => {
            for (witness, port) in nic.port.iter() {
                sheet.text(5, &format!("{witness} says {port}"), Tone::Attention);
            }
        }
    }
}

/// Who says that it is this port, and how the port is.
fn port_line(state: &State, sheet: &mut Sheet, nic: &Nic, port: &PortRef) {
    let mut parts = Vec::new();
    if let Some(reading) = state.rack.port(port) {
        parts.push(reading.status.mode.to_string());
        parts.extend(reading.status.lacp.as_ref().map(|lacp| lacp_word(lacp).to_owned()));
    }
    let witnesses: Vec<_> = nic.port.iter().map(|(witness, _)| witness.to_string()).collect();
    parts.push(format!("by {}", witnesses.join(" and ")));
    sheet.text(5, &parts.join(", "), Tone::Dim);
}

fn disk_lines(sheet: &mut Sheet, disk: &Disk) {
    sheet.cells(&[
        (disk.name.clone(), 10, Tone::Strong),
        (units::disk(disk.size_bytes), 8, Tone::Plain),
        (disk.serial.clone().unwrap_or_else(|| "no serial".to_owned()), 24, Tone::Plain),
        (disk.model.clone().unwrap_or_default(), 28, Tone::Plain),
    ]);
    if disk.signatures.is_empty() {
        sheet.text(5, "holds nothing", Tone::Dim);
    } else {
        sheet.text(5, &format!("holds {}", disk.signatures.join(", ")), Tone::Attention);
    }
    disk.by_id.iter().for_each(|path| sheet.text(5, path, Tone::Dim));
}
