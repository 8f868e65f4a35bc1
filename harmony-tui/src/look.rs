//! Colours, symbols and what is done for terminals that have neither.
//!
//! Colour only repeats what words already say. Everything is drawn with Unicode symbols and mapped to
//! ASCII afterwards, cell by cell; the same pass makes sure that no cell holds a control character.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The 16 colours of the terminal's own scheme may be used.
    pub colour: bool,
    /// Symbols outside ASCII may be used.
    pub unicode: bool,
}

/// What a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    /// Of less weight: what is over, labels.
    Dim,
    /// Headings, names.
    Strong,
    Good,
    Busy,
    /// A person should look.
    Attention,
    Bad,
}

impl Look {
    /// As the environment says. Sources: no-color.org; POSIX.1-2017 section 8.2 for the locale.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from(|name| std::env::var(name).ok())
    }

    fn from(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        Self {
            colour: set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb"),
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    pub(crate) fn style(self, tone: Tone) -> Style {
        let (colour, modifier) = match tone {
            Tone::Plain => return Style::new(),
            Tone::Dim => (None, Modifier::DIM),
            Tone::Strong => (None, Modifier::BOLD),
            Tone::Good => (Some(Color::Green), Modifier::empty()),
            Tone::Busy => (Some(Color::Cyan), Modifier::empty()),
            Tone::Attention => (Some(Color::Yellow), Modifier::BOLD),
            Tone::Bad => (Some(Color::Red), Modifier::BOLD),
        };
        let style = Style::new().add_modifier(modifier);
        colour.filter(|_| self.colour).map_or(style, |colour| style.fg(colour))
    }

    /// The selected row.
    pub(crate) fn selected() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The last pass over what was drawn.
    pub(crate) fn finish(self, buffer: &mut Buffer) {
        for cell in &mut buffer.content {
            let symbol = cell.symbol();
            if symbol.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                continue;
            }
            if symbol.chars().any(char::is_control) {
                cell.set_symbol("?");
            } else if !self.unicode {
                let plain = ascii(symbol);
                cell.set_symbol(plain);
            }
        }
    }
}

/// The nearest ASCII character.
fn ascii(symbol: &str) -> &'static str {
    match symbol {
        "─" => "-",
        "│" => "|",
        "┌" | "┐" | "└" | "┘" | "✓" => "+",
        "✗" => "x",
        "●" => "*",
        "◌" => "o",
        "·" | "…" => ".",
        "↻" => "r",
        "■" => "#",
        "◇" => "?",
        "▸" | "›" => ">",
        "▾" => "v",
        "×" => "x",
        "↑" => "^",
        "↓" => "v",
        "←" => "<",
        "→" => ">",
        "–" => "-",
        "█" => "_",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides() {
        let look = |set: &[(&str, &str)]| {
            let look = Look::from(|name| set.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned()));
            (look.colour, look.unicode)
        };
        assert_eq!(look(&[]), (true, false));
        assert_eq!(look(&[("LANG", "en_GB.UTF-8"), ("NO_COLOR", "")]), (true, true));
        assert_eq!(look(&[("LANG", "C.utf8"), ("NO_COLOR", "0")]), (false, true));
        assert_eq!(look(&[("LANG", "C.UTF-8"), ("LC_ALL", "POSIX"), ("TERM", "dumb")]), (false, false));
    }
}
