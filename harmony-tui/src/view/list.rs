//! Which part of a long list is on the screen.

use ratatui::text::Line;

/// The lines around the selected entry, at most `rows`, the entry in the middle where that is possible.
/// Only entries near it are made: `lines_of` gets their numbers.
pub(super) fn window(
    count: usize,
    selected: usize,
    rows: usize,
    mut lines_of: impl FnMut(usize) -> Vec<Line<'static>>,
) -> Vec<Line<'static>> {
    if count == 0 || rows == 0 {
        return Vec::new();
    }
    let selected = selected.min(count - 1);
    let own = lines_of(selected);
    let size = own.len();
    let mut above = Vec::new();
    let mut at = selected;
    while at > 0 && above.iter().map(Vec::len).sum::<usize>() < rows {
        at -= 1;
        above.push(lines_of(at));
    }
    let mut lines: Vec<_> = above.into_iter().rev().flatten().collect();
    let start = lines.len();
    lines.extend(own);
    let mut at = selected + 1;
    while at < count && lines.len() < start + size + rows {
        lines.extend(lines_of(at));
        at += 1;
    }
    let centred = start.saturating_sub(rows.saturating_sub(size) / 2);
    let first = centred.min(lines.len().saturating_sub(rows));
    lines.drain(..first);
    lines.truncate(rows);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(count: usize, selected: usize, rows: usize) -> String {
        let lines = window(count, selected, rows, |at| vec![Line::from(at.to_string()); 1 + at % 2]);
        lines.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_selected_entry_is_seen_whole() {
        assert_eq!(shown(10, 0, 4), "0 1 1 2");
        assert_eq!(shown(10, 5, 4), "4 5 5 6");
        assert_eq!(shown(10, 9, 4), "7 8 9 9");
        assert_eq!(shown(3, 2, 9), "0 1 1 2");
        assert_eq!(shown(10, 99, 1), "9");
        assert_eq!(shown(0, 0, 5), "");
        assert_eq!(shown(5, 1, 0), "");
    }
}
