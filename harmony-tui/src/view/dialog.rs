//! What lies over the screen: help, the assign dialog, questions.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::list::window;
use super::{mark, put};
use crate::assign::{AssignDialog, Stage, disk_refusal};
use crate::look::{Look, Tone};
use crate::state::{Dialog, State};
use crate::text::{clean, fit, wrap};
use crate::units;
use harmony_core::host::{Disk, Host};

/// Columns of a dialog, its frame included.
const COLUMNS: u16 = 58;

const HELP: [&str; 14] = [
    "1 2 3 4  ← →     Run, Hosts, Ports, Log",
    "↑ ↓  PgUp PgDn   move; Home, End: first, last",
    "Enter            fold a Score; open details",
    "Tab              between list and details",
    "/                search this screen; Esc: show all",
    "a                give the host a role",
    "d  f  (Run)      hide done steps; follow the work",
    "f  (Log)         follow the latest line",
    "Esc              back: message, details, search",
    "Ctrl-L           draw the screen again",
    "q                end the run, with a question first",
    "Ctrl-C           end the run; again: leave",
    "NICS 2/2 !       links up; witnesses dispute a port",
    "Times are UTC. Ending finishes or reverts steps.",
];

/// Draws the open dialog, if there is one.
pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let look = state.look;
    let text = |lines: &[&str]| lines.iter().map(|line| Line::from((*line).to_owned())).collect::<Vec<_>>();
    let (title, lines) = match &state.ui.dialog {
        None => return,
        Some(Dialog::Help) => ("Keys (any key closes this)".to_owned(), text(&HELP)),
        Some(Dialog::Stop) => {
            let active = state.run.counts().active;
            let steps = match active {
                0 => "No step is in hand.".to_owned(),
                _ => format!("{} in hand: finished or reverted first.", units::count(active, "step")),
            };
            let lines =
                ["End the run?", "", &steps, "The next run goes on from there.", "", "y or Enter: end it   Esc: go on"];
            ("End the run".to_owned(), text(&lines))
        }
        Some(Dialog::Quit) => {
            let lines = [
                "The run is still ending: steps are being",
                "finished or reverted.",
                "",
                "Leave now? The journal keeps what was begun;",
                "the next run looks at it first.",
                "",
                "y: leave now   Esc: wait",
            ];
            ("Leave without waiting".to_owned(), text(&lines))
        }
        Some(Dialog::Assign(dialog)) => assign(state, dialog),
    };
    frame(look, area, buffer, &title, &lines);
}

/// A box in the middle of the area.
fn frame(look: Look, area: Rect, buffer: &mut Buffer, title: &str, lines: &[Line<'static>]) {
    let width = COLUMNS.min(area.width);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 2;
    let inner = usize::from(width.saturating_sub(4));
    let strong = look.style(Tone::Strong);
    let title = crate::text::cut(&clean(title), inner.saturating_sub(2));
    let fill = inner.saturating_sub(crate::text::width(&title) + 1);
    let edge = |left: &str, middle: String, right: &str| Line::styled(format!("{left}{middle}{right}"), strong);
    let mut all = vec![edge("┌─", format!(" {title} {}", "─".repeat(fill)), "┐")];
    for line in lines.iter().take(usize::from(height).saturating_sub(2)) {
        let gap = inner.saturating_sub(line.width());
        let mut spans = vec![Span::styled("│ ", strong)];
        spans.extend(line.spans.iter().map(|span| span.clone().patch_style(line.style)));
        spans.push(Span::raw(" ".repeat(gap)));
        spans.push(Span::styled(" │", strong));
        all.push(Line::from(spans));
    }
    all.push(edge("└", "─".repeat(inner + 2), "┘"));
    let area = Rect { x, y, width, height };
    for row in area.rows() {
        buffer.set_line(row.x, row.y, &Line::raw(" ".repeat(usize::from(width))), width);
    }
    buffer.set_style(area, ratatui::style::Style::reset());
    put(buffer, area, &all);
}

fn inner() -> usize {
    usize::from(COLUMNS) - 4
}

fn assign(state: &State, dialog: &AssignDialog) -> (String, Vec<Line<'static>>) {
    let look = state.look;
    let Some(host) = state.rack.host(&dialog.host) else {
        return ("Assign".to_owned(), vec![Line::from("This host is gone. Esc: close")]);
    };
    let mut lines = match &dialog.stage {
        Stage::Role { input, pick } => role(state, input.parts(), *pick),
        Stage::Disk { role, pick } => disks(look, role.as_str(), host, *pick),
        Stage::Consent { role, serial, input } => consent(look, role.as_str(), host, serial, input.parts()),
    };
    lines.push(Line::default());
    if let Some(error) = &dialog.error {
        let parts = wrap(&clean(error), inner());
        lines.extend(parts.into_iter().map(|part| Line::styled(part, look.style(Tone::Bad))));
    }
    let keys = match &dialog.stage {
        Stage::Role { .. } => "Enter: take it   ↑↓ Tab: suggestions   Esc: cancel",
        Stage::Disk { .. } => "Enter: this disk   ↑↓: choose   Esc: cancel",
        Stage::Consent { .. } => "Enter: erase and assign   Esc: cancel",
    };
    lines.push(Line::styled(keys, look.style(Tone::Dim)));
    (format!("Role for {}", host.label()), lines)
}

fn field(look: Look, label: &str, (before, after): (&str, &str)) -> Line<'static> {
    Line::from(vec![
        Span::raw(format!("{label} ")),
        Span::styled(format!("{}█{}", clean(before), clean(after)), look.style(Tone::Strong)),
    ])
}

fn role(state: &State, input: (&str, &str), pick: Option<usize>) -> Vec<Line<'static>> {
    let roles = state.open_roles();
    let mut lines = vec![field(state.look, "Role:", input)];
    if roles.is_empty() {
        lines.push(Line::styled("No role is waited for; any name will do.", state.look.style(Tone::Dim)));
        return lines;
    }
    lines.push(Line::styled("Waited for:", state.look.style(Tone::Dim)));
    lines.extend(window(roles.len(), pick.unwrap_or(0), 6, |at| {
        let chosen = pick == Some(at);
        let marker = if chosen { "› " } else { "  " };
        vec![mark(Line::from(format!("{marker}{}", fit(roles[at].as_str(), 24))), chosen)]
    }));
    lines
}

fn disk_line(disk: &Disk) -> String {
    let serial = disk.serial.as_deref().unwrap_or("no serial");
    let model = disk.model.as_deref().unwrap_or_default();
    format!("{}  {}  {}  {}", clean(&disk.name), units::disk(disk.size_bytes), clean(serial), clean(model))
}

fn disks(look: Look, role: &str, host: &Host, pick: usize) -> Vec<Line<'static>> {
    let mut lines = vec![Line::from(format!("Install {role} on which disk?"))];
    lines.extend(window(host.disks.len(), pick, 9, |at| {
        let Some(disk) = host.disks.get(at) else { return Vec::new() };
        let (marker, chosen) = if at == pick { ("› ", true) } else { ("  ", false) };
        let (note, tone) = match disk_refusal(host, disk) {
            Some(reason) => (reason.to_owned(), Tone::Dim),
            None if disk.signatures.is_empty() => ("holds nothing".to_owned(), Tone::Good),
            None => (format!("holds {}", disk.signatures.join(", ")), Tone::Attention),
        };
        let line = Line::from(fit(&format!("{marker}{}", disk_line(disk)), inner()));
        vec![mark(line, chosen), Line::styled(fit(&format!("    {}", clean(&note)), inner()), look.style(tone))]
    }));
    lines
}

fn consent(look: Look, role: &str, host: &Host, serial: &str, input: (&str, &str)) -> Vec<Line<'static>> {
    let mut texts = vec![format!("Installing {role} erases this disk:")];
    if let Some(disk) = host.disk(serial) {
        texts.push(disk_line(disk));
        texts.push(format!("It holds {}.", disk.signatures.join(", ")));
    }
    let mut lines: Vec<_> = texts.iter().flat_map(|text| wrap(&clean(text), inner())).map(Line::from).collect();
    lines.iter_mut().for_each(|line| line.style = look.style(Tone::Attention));
    lines.truncate(8);
    lines.push(Line::default());
    lines.push(Line::from("To agree that all of it is lost, type its serial:"));
    lines.push(field(look, "Serial:", input));
    lines
}
