//! Tables whose least important columns give way when the terminal is narrow.

use ratatui::text::{Line, Span};

use super::list::window;
use super::mark;
use crate::look::{Look, Tone};
use crate::text::{clean, fit, width};

/// A column.
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Columns with a higher rank give way first.
    pub(super) rank: u8,
    /// Columns of text that is worth showing even when it is cut.
    pub(super) may_be_cut: bool,
}

/// What is in a row and column.
pub(super) type Cell = (String, Tone);

/// Narrower than this, a cut text tells nothing.
const LEAST_CUT: usize = 10;

/// Titles and the rows around the selected one, in at most `height` lines of `columns` columns.
pub(super) fn lines(
    look: Look,
    spec: &[Column],
    rows: &[Vec<Cell>],
    selected: usize,
    columns: usize,
    height: usize,
) -> Vec<Line<'static>> {
    let widths = widths(spec, rows, columns.saturating_sub(2));
    let titles = spec.iter().map(|column| (column.title.to_owned(), Tone::Dim)).collect::<Vec<_>>();
    let line = |cells: &[Cell], marker: &'static str| {
        let mut spans = vec![Span::raw(marker)];
        for ((text, tone), columns) in cells.iter().zip(&widths).filter(|(_, columns)| **columns > 0) {
            spans.push(Span::styled(fit(&clean(text), *columns), look.style(*tone)));
            spans.push(Span::raw(" "));
        }
        Line::from(spans)
    };
    let mut lines = vec![line(&titles, "  ")];
    lines.extend(window(rows.len(), selected, height.saturating_sub(1), |at| {
        let marker = if at == selected { "› " } else { "  " };
        vec![mark(line(&rows[at], marker), at == selected)]
    }));
    lines
}

/// Columns that each column gets; 0 where it gives way. The blank after the last one may fall off the edge.
fn widths(spec: &[Column], rows: &[Vec<Cell>], columns: usize) -> Vec<usize> {
    let natural = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|(text, _)| width(&clean(text)));
        cells.max().unwrap_or(0).max(width(spec[at].title))
    };
    let mut by_rank: Vec<_> = (0..spec.len()).collect();
    by_rank.sort_by_key(|at| spec[*at].rank);
    let mut widths = vec![0; spec.len()];
    let mut left = columns;
    for at in by_rank {
        let wanted = natural(at);
        let given = if wanted <= left {
            wanted
        } else if spec[at].may_be_cut && left >= LEAST_CUT {
            left
        } else {
            // Less important ones must not take the place of a more important one.
            break;
        };
        widths[at] = given;
        left = left.saturating_sub(given + 1);
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(columns: usize) -> Vec<String> {
        let spec = [("NAME", 0, true), ("MODEL", 2, true), ("ROLE", 1, false)];
        let spec = spec.map(|(title, rank, may_be_cut)| Column { title, rank, may_be_cut });
        let row = |texts: [&str; 3]| texts.map(|text| (text.to_owned(), Tone::Plain)).to_vec();
        let rows = [row(["brisk-otter", "PowerEdge R650xs", "master-0"]), row(["owl", "\u{1b}[31mX", ""])];
        let look = Look { colour: false, unicode: true };
        lines(look, &spec, &rows, 1, columns, 9).iter().map(|line| line.to_string().trim_end().to_owned()).collect()
    }

    #[test]
    fn narrow_tables_lose_what_matters_least() {
        let wide =
            ["  NAME        MODEL            ROLE", "  brisk-otter PowerEdge R650xs master-0", "› owl         X"];
        assert_eq!(shown(41), wide);
        let cut = ["  NAME        MODEL      ROLE", "  brisk-otter PowerEdge… master-0", "› owl         X"];
        assert_eq!(shown(33), cut);
        assert_eq!(shown(31), ["  NAME        ROLE", "  brisk-otter master-0", "› owl"]);
        assert_eq!(shown(12), ["  NAME", "  brisk-ott…", "› owl"]);
    }
}
