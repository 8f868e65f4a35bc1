//! The table of switch ports, and who is behind one.

use harmony_core::capability::LinkState;
use ratatui::text::Line;

use super::sheet::{Sheet, wrapped};
use super::table::{self, Cell, Column};
use crate::look::Tone;
use crate::state::State;
use crate::state::rack::{Behind, PortReading, is_negotiated, lacp_word};
use crate::units;

const fn column(title: &'static str, rank: u8, may_be_cut: bool) -> Column {
    Column { title, rank, may_be_cut }
}

/// In the order of the screen; the highest rank gives way first.
const COLUMNS: [Column; 6] = [
    column("PORT", 0, true),
    column("LINK", 1, false),
    column("SPEED", 5, false),
    column("MODE", 2, true),
    column("LACP", 3, false),
    column("BEHIND IT", 4, true),
];

/// The table, the selected port in sight.
pub(super) fn table(state: &State, columns: usize, height: usize) -> Vec<Line<'static>> {
    let (ports, selected) = state.ports();
    if height == 0 {
        return Vec::new();
    }
    if ports.is_empty() {
        let text = match state.wanted() {
            "" => "No switch port has been read.",
            _ => "No port holds what is searched for.",
        };
        return wrapped(state.look, columns, 2, text, Tone::Dim);
    }
    let behind = state.rack.behind();
    let of = |reading: &PortReading| behind.get(&reading.status.port).map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<_> = ports.iter().map(|reading| cells(reading, of(reading))).collect();
    table::lines(state.look, &COLUMNS, &rows, selected, columns, height)
}

fn link(link: &LinkState) -> Cell {
    match link {
        LinkState::Up => ("up".to_owned(), Tone::Good),
        LinkState::Down => ("down".to_owned(), Tone::Attention),
        LinkState::Unrecognised(text) => (text.clone(), Tone::Attention),
    }
}

fn cells(reading: &PortReading, behind: &[Behind<'_>]) -> Vec<Cell> {
    let status = &reading.status;
    let lacp = match &status.lacp {
        None => ("–".to_owned(), Tone::Dim),
        Some(lacp) if is_negotiated(lacp) => (lacp_word(lacp).to_owned(), Tone::Good),
        Some(lacp) => (lacp_word(lacp).to_owned(), Tone::Attention),
    };
    vec![
        (status.port.to_string(), Tone::Strong),
        link(&status.link),
        (status.speed_mbps.map_or_else(|| "–".to_owned(), units::speed), Tone::Plain),
        (status.mode.to_string(), Tone::Plain),
        lacp,
        occupants(behind),
    ]
}

fn occupants(behind: &[Behind<'_>]) -> Cell {
    let disputed = behind.iter().any(|of| of.disputed) || behind.len() > 1;
    let names: Vec<_> = behind.iter().map(|of| format!("{} {}", of.host.name, of.nic.name)).collect();
    match (&*names, disputed) {
        ([], _) => ("–".to_owned(), Tone::Dim),
        (_, false) => (names.join(", "), Tone::Plain),
        (_, true) => (format!("disputed: {}", names.join(", ")), Tone::Attention),
    }
}

/// Everything that is known of the selected port.
pub(super) fn details(state: &State, columns: usize) -> (String, Vec<Line<'static>>) {
    let (ports, selected) = state.ports();
    let Some(reading) = ports.get(selected) else { return (String::new(), Vec::new()) };
    let status = &reading.status;
    let mut sheet = Sheet::new(state.look, columns);
    let (word, tone) = link(&status.link);
    let speed = status.speed_mbps.map(|mbps| format!(", {}", units::speed(mbps))).unwrap_or_default();
    sheet.field("link", &format!("{word}{speed}"), tone);
    sheet.field("mode", &status.mode.to_string(), Tone::Plain);
    if let Some(lacp) = &status.lacp {
        let tone = if is_negotiated(lacp) { Tone::Good } else { Tone::Attention };
        let flag = |name: &str, set: bool| if set { name.to_owned() } else { format!("not {name}") };
        let flags = [
            flag("synchronised", lacp.synchronised),
            flag("collecting", lacp.collecting),
            flag("distributing", lacp.distributing),
        ];
        sheet.field("LACP", &format!("{}: {}", lacp_word(lacp), flags.join(", ")), tone);
        let name = |mac: Option<harmony_core::net::MacAddress>| mac.map_or("none".to_owned(), |mac| mac.to_string());
        sheet.field("systems", &format!("own {}, partner {}", name(lacp.system), name(lacp.partner)), Tone::Plain);
    }
    sheet.field(
        "changed",
        &format!("{}, {} ago", units::clock(reading.at), units::ago(reading.at, state.now)),
        Tone::Dim,
    );
    let behind = state.rack.behind().remove(&status.port).unwrap_or_default();
    if behind.is_empty() {
        sheet.field("behind it", "no host that is known", Tone::Dim);
    }
    for of in behind {
        let nic = format!("{}, {} {}", of.host.label(), of.nic.name, of.nic.mac);
        let tone = if of.disputed { Tone::Attention } else { Tone::Plain };
        sheet.field("behind it", &nic, tone);
        for (witness, port) in of.nic.port.iter() {
            sheet.text(12, &format!("{witness} says {port}"), if of.disputed { Tone::Attention } else { Tone::Dim });
        }
    }
    (status.port.to_string(), sheet.finish())
}
