//! What happened, the latest at the bottom.

use std::collections::VecDeque;

use ratatui::text::{Line, Span};

use super::sheet::wrapped;
use crate::lines::{Entry, Level};
use crate::look::Tone;
use crate::state::State;
use crate::text::{clean, wrap};
use crate::units::clock;

/// Columns of the time and the blank after it.
const TIME: usize = 11;

/// The entries up to the one that the user scrolled to.
pub(super) fn entries(state: &State, columns: usize, rows: usize) -> Vec<Line<'static>> {
    let entries = state.log.matching(state.wanted());
    if entries.is_empty() {
        let text =
            if state.wanted().is_empty() { "Nothing has happened." } else { "No line holds what is searched for." };
        return wrapped(state.look, columns, 2, text, Tone::Dim);
    }
    let end = state.ui.log_end.map_or(entries.len(), |end| entries.partition_point(|(number, _)| *number <= end));
    let mut shown = VecDeque::new();
    for (_, entry) in entries[..end].iter().rev() {
        if shown.len() >= rows {
            break;
        }
        lines(state, entry, columns).into_iter().rev().for_each(|line| shown.push_front(line));
    }
    shown.drain(..shown.len().saturating_sub(rows));
    // Scrolled to the very beginning: the rows below are not left empty.
    for (_, entry) in &entries[end..] {
        if shown.len() >= rows {
            break;
        }
        shown.extend(lines(state, entry, columns));
    }
    shown.into()
}

fn lines(state: &State, entry: &Entry, columns: usize) -> Vec<Line<'static>> {
    let tone = match entry.level {
        Level::Info => Tone::Plain,
        Level::Good => Tone::Good,
        Level::Attention => Tone::Attention,
        Level::Bad => Tone::Bad,
    };
    let mut lines = Vec::new();
    for (at, part) in wrap(&clean(&entry.text), columns.saturating_sub(TIME + 1)).into_iter().enumerate() {
        let time = if at == 0 { format!(" {} ", clock(entry.at)) } else { " ".repeat(TIME) };
        let time = Span::styled(time, state.look.style(Tone::Dim));
        lines.push(Line::from(vec![time, Span::styled(part, state.look.style(tone))]));
    }
    for more in &entry.more {
        lines.extend(wrapped(state.look, columns, TIME + 2, more, Tone::Dim));
    }
    lines
}
