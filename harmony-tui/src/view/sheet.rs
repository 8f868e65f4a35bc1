//! A page of facts: headings, labelled lines, wrapped text. Cleans what it is given.

use ratatui::text::{Line, Span};

use crate::look::{Look, Tone};
use crate::text::{clean, fit, wrap};

/// Columns of labels.
const LABEL: usize = 10;

/// A page that grows line by line.
pub(super) struct Sheet {
    look: Look,
    columns: usize,
    lines: Vec<Line<'static>>,
}

impl Sheet {
    pub(super) fn new(look: Look, columns: usize) -> Self {
        Self { look, columns, lines: Vec::new() }
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.lines.push(Line::styled(format!(" {}", clean(text)), self.look.style(Tone::Strong)));
    }

    /// A label and its text, which may take several lines.
    pub(super) fn field(&mut self, label: &str, text: &str, tone: Tone) {
        let room = self.columns.saturating_sub(LABEL + 3);
        for (at, part) in wrap(&clean(text), room).into_iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            let label = Span::styled(format!(" {} ", fit(label, LABEL)), self.look.style(Tone::Dim));
            self.lines.push(Line::from(vec![label, Span::styled(part, self.look.style(tone))]));
        }
    }

    /// Text under a heading, which may take several lines.
    pub(super) fn text(&mut self, indent: usize, text: &str, tone: Tone) {
        self.lines.extend(wrapped(self.look, self.columns, indent, text, tone));
    }

    /// Cells of fixed widths.
    pub(super) fn cells(&mut self, cells: &[(String, usize, Tone)]) {
        let mut spans = vec![Span::raw("   ")];
        for (text, columns, tone) in cells {
            spans.push(Span::styled(fit(&clean(text), *columns), self.look.style(*tone)));
            spans.push(Span::raw(" "));
        }
        self.lines.push(Line::from(spans));
    }

    pub(super) fn finish(self) -> Vec<Line<'static>> {
        self.lines
    }
}

/// A text as lines, indented, of at most so many columns.
pub(super) fn wrapped(look: Look, columns: usize, indent: usize, text: &str, tone: Tone) -> Vec<Line<'static>> {
    let style = look.style(tone);
    let parts = wrap(&clean(text), columns.saturating_sub(indent + 1));
    parts.into_iter().map(|part| Line::styled(format!("{}{part}", " ".repeat(indent)), style)).collect()
}
