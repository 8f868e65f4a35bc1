//! One line of text that a user types: a role, a serial, a search.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::text;

/// More than any role, serial or sensible search.
const MAX_CHARS: usize = 128;

/// A line with a cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LineInput {
    text: String,
    /// In bytes, always at a character's start.
    cursor: usize,
}

impl LineInput {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn set(&mut self, text: &str) {
        self.text = text.to_owned();
        self.cursor = text.len();
    }

    /// The text before and after the cursor.
    pub(crate) fn parts(&self) -> (&str, &str) {
        self.text.split_at(self.cursor)
    }

    /// Takes a key; `false` where it is none of editing.
    pub(crate) fn on_key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('u') if control => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            KeyCode::Char('w') if control => {
                let kept = self.text[..self.cursor].trim_end().rfind(' ').map_or(0, |at| at + 1);
                self.text.drain(kept..self.cursor);
                self.cursor = kept;
            }
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.text.len(),
            KeyCode::Char(typed) if !control && !key.modifiers.contains(KeyModifiers::ALT) => {
                let mut bytes = [0; 4];
                let typed = text::clean(typed.encode_utf8(&mut bytes));
                if self.text.chars().count() < MAX_CHARS {
                    self.text.insert_str(self.cursor, &typed);
                    self.cursor += typed.len();
                }
            }
            KeyCode::Backspace => {
                if let Some(before) = self.text[..self.cursor].chars().next_back() {
                    self.cursor -= before.len_utf8();
                    self.text.remove(self.cursor);
                }
            }
            KeyCode::Delete if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            KeyCode::Left => self.cursor -= self.text[..self.cursor].chars().next_back().map_or(0, char::len_utf8),
            KeyCode::Right => self.cursor += self.text[self.cursor..].chars().next().map_or(0, char::len_utf8),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn typed(keys: &[KeyEvent]) -> LineInput {
        let mut line = LineInput::default();
        for key in keys {
            line.on_key(*key);
        }
        line
    }

    #[test]
    fn edits_at_the_cursor() {
        let key = |code| KeyEvent::new(code, KeyModifiers::NONE);
        let mut line = LineInput::default();
        line.set("mäster");
        for code in
            [KeyCode::Home, KeyCode::Right, KeyCode::Delete, KeyCode::Char('a'), KeyCode::End, KeyCode::Backspace]
        {
            assert!(line.on_key(key(code)));
        }
        assert_eq!(line.parts(), ("maste", ""));
        assert!(line.on_key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL)));
        assert_eq!(line.text(), "");
        assert!(!line.on_key(key(KeyCode::Enter)));
    }

    proptest! {
        #[test]
        fn any_keys_leave_a_valid_line(keys in prop::collection::vec((0usize..9, any::<char>(), any::<bool>()), 0..300)) {
            let keys: Vec<_> = keys.into_iter().map(|(kind, typed, control)| {
                let code = [KeyCode::Left, KeyCode::Right, KeyCode::Home, KeyCode::End, KeyCode::Backspace, KeyCode::Delete]
                    .get(kind).copied().unwrap_or(KeyCode::Char(typed));
                KeyEvent::new(code, if control { KeyModifiers::CONTROL } else { KeyModifiers::NONE })
            }).collect();
            let line = typed(&keys);
            prop_assert!(line.text().chars().count() <= MAX_CHARS);
            prop_assert!(!line.text().chars().any(char::is_control));
        }
    }
}
