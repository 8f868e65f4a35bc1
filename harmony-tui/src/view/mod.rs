//! [`State`] to cells. Pure: the same state and area give the same screen.
//!
//! This file owns the frame: where header, list, details and footer are. What is in them is in [`run`],
//! [`hosts`], [`ports`], [`log`] and [`dialog`], built of [`table`], [`sheet`] and [`list`].

mod dialog;
mod hosts;
mod list;
mod log;
mod ports;
mod run;
mod sheet;
mod table;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::look::{Look, Tone};
use crate::state::tree::Row;
use crate::state::{Dialog, State, Tab};
use crate::text::{clean, cut, width};
use crate::units::{count, duration};
use harmony_core::event::Outcome;

/// Fewer columns or rows than this cannot hold what matters.
const MIN_SIZE: (u16, u16) = (60, 15);

/// Rows that a message may take.
const NOTE_LINES: usize = 3;

/// Where things are. Details have a rule of one row above them.
struct Areas {
    body: Rect,
    list: Rect,
    details: Option<Rect>,
    note: Rect,
}

/// Draws the state.
pub fn view(state: &State, frame: &mut Frame<'_>) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    if area.width < MIN_SIZE.0 || area.height < MIN_SIZE.1 {
        too_small(state, area, buffer);
    } else {
        screen(state, area, buffer);
    }
    state.look.finish(buffer);
}

fn screen(state: &State, area: Rect, buffer: &mut Buffer) {
    let areas = areas(state, area);
    put(buffer, Rect { height: 3, ..area }, &header(state, usize::from(area.width)));
    let columns = usize::from(areas.list.width);
    let rows = usize::from(areas.list.height);
    let lines = match state.ui.tab {
        Tab::Run => run::tree(state, columns, rows),
        Tab::Hosts => hosts::table(state, columns, rows),
        Tab::Ports => ports::table(state, columns, rows),
        Tab::Log => log::entries(state, columns, rows),
    };
    put(buffer, areas.list, &lines);
    if let Some(area) = areas.details {
        details(state, area, buffer);
    }
    put(buffer, areas.note, &note(state, columns));
    put(buffer, Rect { y: area.bottom() - 1, height: 1, ..area }, &[footer(state, columns)]);
    dialog::draw(state, areas.body, buffer);
}

/// Writes lines from the top of the area; what does not fit is cut.
fn put(buffer: &mut Buffer, area: Rect, lines: &[Line<'_>]) {
    for (y, line) in (area.top()..area.bottom()).zip(lines) {
        buffer.set_line(area.x, y, line, area.width);
    }
}

fn areas(state: &State, area: Rect) -> Areas {
    let notes = u16::try_from(note(state, usize::from(area.width)).len()).unwrap_or(1);
    let body = Rect { y: area.y + 3, height: area.height.saturating_sub(4 + notes), ..area };
    let note = Rect { y: body.bottom(), height: notes, ..area };
    let wanted = match state.ui.tab {
        _ if !has_details(state) => return Areas { body, list: body, details: None, note },
        Tab::Hosts | Tab::Ports if state.ui.details_open => 1,
        Tab::Hosts => state.hosts().0.len().saturating_add(1).min(usize::from(body.height) * 9 / 20),
        Tab::Ports => state.ports().0.len().saturating_add(1).min(usize::from(body.height) * 13 / 20),
        Tab::Run | Tab::Log => usize::from(body.height) / 2,
    };
    // At least the column titles and three rows, unless the details were opened wide.
    let least = if state.ui.details_open && state.ui.tab != Tab::Run { 0 } else { 4 };
    let height = u16::try_from(wanted).unwrap_or(u16::MAX).clamp(least, body.height);
    let list = Rect { height: if least == 0 { 0 } else { height }, ..body };
    let details = Rect { y: list.bottom(), height: body.height - list.height, ..body };
    Areas { body, list, details: Some(details), note }
}

/// Whether the screen has details at the moment.
pub(crate) fn has_details(state: &State) -> bool {
    match state.ui.tab {
        Tab::Run => state.ui.details_open,
        Tab::Hosts => !state.hosts().0.is_empty(),
        Tab::Ports => !state.ports().0.is_empty(),
        Tab::Log => false,
    }
}

fn area_of(state: &State) -> Rect {
    let (columns, rows) = state.ui.size;
    Rect::new(0, 0, columns.max(MIN_SIZE.0), rows.max(MIN_SIZE.1))
}

/// Rows to move by for a page.
pub(crate) fn page(state: &State) -> isize {
    let areas = areas(state, area_of(state));
    let area = if state.ui.on_details { areas.details.unwrap_or(areas.list) } else { areas.list };
    isize::try_from(area.height).unwrap_or(10).saturating_sub(2).max(1)
}

/// Rows of the details that do not fit.
pub(crate) fn details_overflow(state: &State) -> usize {
    let Some(area) = areas(state, area_of(state)).details else { return 0 };
    let (_, lines) = sheet_of(state, usize::from(area.width));
    lines.len().saturating_sub(usize::from(area.height.saturating_sub(1)))
}

/// Title and content of the details.
fn sheet_of(state: &State, columns: usize) -> (String, Vec<Line<'static>>) {
    match state.ui.tab {
        Tab::Run => run::details(state, columns),
        Tab::Hosts => hosts::details(state, columns),
        Tab::Ports => ports::details(state, columns),
        Tab::Log => (String::new(), Vec::new()),
    }
}

fn details(state: &State, area: Rect, buffer: &mut Buffer) {
    let columns = usize::from(area.width);
    let rows = usize::from(area.height.saturating_sub(1));
    let (title, lines) = sheet_of(state, columns);
    let top = state.ui.details_top.min(lines.len().saturating_sub(rows));
    let place = if lines.len() > rows {
        format!(" rows {}–{} of {} ", top + 1, (top + rows).min(lines.len()), lines.len())
    } else {
        String::new()
    };
    let marker = if state.ui.on_details { "›" } else { " " };
    let title = format!("{marker}{} ", cut(&clean(&title), columns.saturating_sub(width(&place) + 8)));
    let fill = columns.saturating_sub(width(&title) + width(&place) + 2);
    let tone = if state.ui.on_details { Tone::Strong } else { Tone::Plain };
    let rule = state.look.style(Tone::Dim);
    let line = Line::from(vec![
        Span::styled("─", rule),
        Span::styled(title, state.look.style(tone)),
        Span::styled("─".repeat(fill), rule),
        Span::styled(place, state.look.style(Tone::Dim)),
        Span::styled("─", rule),
    ]);
    put(buffer, Rect { height: 1, ..area }, &[line]);
    let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    put(buffer, below, &lines[top..]);
}

/// Word and tone for the whole run.
fn run_state(state: &State) -> (&'static str, Tone) {
    match state.run.ended.as_ref().map(|ended| &ended.outcome) {
        None if state.run.started.is_none() => ("no run", Tone::Dim),
        None if state.stopping => ("stopping", Tone::Attention),
        None => ("running", Tone::Busy),
        Some(Outcome::Converged) => ("converged", Tone::Good),
        Some(Outcome::Stopped) => ("stopped", Tone::Attention),
        Some(Outcome::PlanDone { .. }) => ("plan done", Tone::Good),
        Some(Outcome::Failed { .. }) => ("FAILED", Tone::Bad),
    }
}

fn header(state: &State, columns: usize) -> [Line<'static>; 3] {
    let look = state.look;
    let (word, tone) = run_state(state);
    let counts = state.run.counts();
    let free = state.rack.free();
    let mut right = vec![(format!("{}/{} steps", counts.done, counts.all), Tone::Plain)];
    right.extend((counts.failed > 0).then(|| (format!("{} failed", counts.failed), Tone::Bad)));
    right.push((count(state.rack.host_count(), "host"), Tone::Plain));
    right.extend((free > 0).then(|| (format!("{free} free"), Tone::Attention)));
    let taken: usize = right.iter().map(|(text, _)| width(text) + 2).sum();
    let elapsed = state.run.elapsed(state.now).map(duration).unwrap_or_default();
    let run = &state.run;
    let name = match (&*run.program, &*run.site) {
        ("", "") => "harmony".to_owned(),
        (program, site) => format!("{} at {}", clean(program), clean(site)),
    };
    let name = cut(&name, columns.saturating_sub(taken + width(word) + width(&elapsed) + 5));
    let left = vec![
        Span::styled(format!(" {name}  "), look.style(Tone::Strong)),
        Span::styled(word, look.style(tone)),
        Span::raw(format!(" {elapsed}")),
    ];
    let right = right.into_iter().map(|(text, tone)| Span::styled(format!("{text}  "), look.style(tone)));
    let banner = state.banner.as_ref().map(|text| Span::styled(format!("{}  ", clean(text)), look.style(Tone::Busy)));
    [
        spread(left, right.collect(), columns),
        spread(tabs(state), banner.into_iter().collect(), columns),
        Line::styled("─".repeat(columns), look.style(Tone::Dim)),
    ]
}

fn tabs(state: &State) -> Vec<Span<'static>> {
    let free = state.rack.free();
    let hosts = if free > 0 { format!("2 Hosts ({free} free)") } else { "2 Hosts".to_owned() };
    let names = ["1 Run".to_owned(), hosts, "3 Ports".to_owned(), "4 Log".to_owned()];
    let tab = |(tab, name): (Tab, String)| {
        if tab == state.ui.tab {
            Span::styled(format!(" [{name}] "), state.look.style(Tone::Strong))
        } else {
            Span::styled(format!("  {name}  "), state.look.style(Tone::Dim))
        }
    };
    Tab::ALL.into_iter().zip(names).map(tab).collect()
}

/// Spans at the left and at the right edge.
fn spread(left: Vec<Span<'static>>, right: Vec<Span<'static>>, columns: usize) -> Line<'static> {
    let taken: usize = left.iter().chain(&right).map(Span::width).sum();
    let gap = Span::raw(" ".repeat(columns.saturating_sub(taken)));
    Line::from_iter(left.into_iter().chain([gap]).chain(right))
}

/// The rows above the footer: a message, or what the list leaves out.
fn note(state: &State, columns: usize) -> Vec<Line<'static>> {
    let (text, tone) = match &state.ui.notice {
        Some((notice, _)) => (notice.text.clone(), if notice.is_refusal { Tone::Bad } else { Tone::Good }),
        None if state.ui.searching || state.wanted().is_empty() => return vec![Line::default()],
        None => (format!("showing only what holds `{}` (Esc shows all)", state.wanted()), Tone::Attention),
    };
    let mut lines = sheet::wrapped(state.look, columns, 1, &text, tone);
    lines.truncate(NOTE_LINES);
    lines
}

/// The keys of what has the focus.
fn footer(state: &State, columns: usize) -> Line<'static> {
    if state.ui.searching {
        let (before, after) = state.search().parts();
        let text = format!(" search: {before}█{after}   Enter keep  Esc all");
        return Line::styled(text, state.look.style(Tone::Strong));
    }
    let keys = match (state.ui.tab, state.ui.on_details) {
        (_, true) => "↑↓ scroll  Tab list  Esc back",
        (Tab::Run, _) if on_score(state) => "↑↓ move  Enter fold  d done steps  f follow  / search",
        (Tab::Run, _) => "↑↓ move  Enter details  d done steps  f follow  / search",
        (Tab::Hosts, _) => "↑↓ move  a assign  Enter details  Tab scroll  / search",
        (Tab::Ports, _) => "↑↓ move  Enter details  Tab scroll  / search",
        (Tab::Log, _) => "↑↓ scroll  f follow  / search",
    };
    let leave = if state.read_only || !state.run.is_under_way() { "q quit" } else { "q stop" };
    let dim = state.look.style(Tone::Dim);
    let right = Span::styled(format!("? help  {leave} "), dim);
    let keys = cut(&format!(" {keys}"), columns.saturating_sub(right.width() + 1));
    spread(vec![Span::styled(keys, dim)], vec![right], columns)
}

fn on_score(state: &State) -> bool {
    let rows = state.ui.tree.rows(&state.run, state.wanted());
    let at = state.ui.tree.selected(&state.run, &rows);
    matches!(rows.get(at), Some(Row::Score { .. }))
}

/// Says what is needed, and what a user needs most even then.
fn too_small(state: &State, area: Rect, buffer: &mut Buffer) {
    let (word, tone) = run_state(state);
    let (columns, rows) = MIN_SIZE;
    let question = match &state.ui.dialog {
        Some(Dialog::Stop) => "stop the run? y/n",
        Some(Dialog::Quit) => "leave the run? y/n",
        _ => "",
    };
    let lines = [
        Line::from(format!("{}×{} is too small:", area.width, area.height)),
        Line::from(format!("make it {columns}×{rows}.")),
        Line::styled(word, state.look.style(tone)),
        Line::from(question),
    ];
    put(buffer, area, &lines);
}

/// The style of a row that is selected.
fn mark(line: Line<'static>, selected: bool) -> Line<'static> {
    if selected { line.patch_style(Look::selected()) } else { line }
}
