//! What a terminal would show: bytes of a device to lines of text.
//!
//! Owns carriage returns, backspaces and escape sequences, with which devices erase a pager's prompt
//! or redraw a long line; and the limits on what one command may print. Does not know prompts.
//! Source: ECMA-48 5th edition clause 5.4 (control sequences).

/// One command may print this many bytes, …
const MAX_BYTES: usize = 4 << 20;
/// … this many lines, …
const MAX_LINES: usize = 60_000;
/// … and this many characters in a line.
const MAX_LINE_CHARS: usize = 8192;

/// A device printed more than any command of ours makes it print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMuch;

/// Where in an escape sequence the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Introduced,
    Sequence,
}

/// Lines that are complete, and the one that is not.
#[derive(Debug)]
pub(super) struct Screen {
    lines: Vec<String>,
    current: Vec<char>,
    column: usize,
    escape: Escape,
    bytes: usize,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { lines: Vec::new(), current: Vec::new(), column: 0, escape: Escape::None, bytes: 0 }
    }

    /// The line that has no end yet: a prompt, or half a line of an answer.
    pub(super) fn current(&self) -> String {
        self.current.iter().collect::<String>().trim_end().to_owned()
    }

    /// Complete lines, without blanks at their ends.
    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Forgets the complete lines; the current one stays.
    pub(super) fn forget_lines(&mut self) {
        self.lines.clear();
        self.bytes = 0;
    }

    /// Forgets the line that has no end: a pager's prompt that was answered.
    pub(super) fn forget_current(&mut self) {
        self.current.clear();
        self.column = 0;
    }

    /// Takes in what a device sent.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), TooMuch> {
        self.bytes += bytes.len();
        if self.bytes > MAX_BYTES {
            return Err(TooMuch);
        }
        // One byte, one character: what is above ASCII is text for people, in an unknown encoding.
        for byte in bytes {
            self.put(*byte)?;
        }
        Ok(())
    }

    fn put(&mut self, byte: u8) -> Result<(), TooMuch> {
        match (self.escape, byte) {
            (Escape::Introduced, b'[') => self.escape = Escape::Sequence,
            (Escape::Introduced, _) | (Escape::Sequence, 0x40..=0x7e) => self.escape = Escape::None,
            (Escape::Sequence, _) => {}
            (Escape::None, 0x1b) => self.escape = Escape::Introduced,
            (Escape::None, b'\n') => {
                if self.lines.len() >= MAX_LINES {
                    return Err(TooMuch);
                }
                self.lines.push(self.current());
                self.forget_current();
            }
            (Escape::None, b'\r') => self.column = 0,
            (Escape::None, 0x08) => self.column = self.column.saturating_sub(1),
            (Escape::None, b'\t') => self.print(' ')?,
            (Escape::None, byte) if byte >= 0x20 && byte != 0x7f => self.print(char::from(byte))?,
            (Escape::None, _) => {}
        }
        Ok(())
    }

    fn print(&mut self, character: char) -> Result<(), TooMuch> {
        if self.column >= MAX_LINE_CHARS {
            return Err(TooMuch);
        }
        match self.current.get_mut(self.column) {
            Some(place) => *place = character,
            None => self.current.push(character),
        }
        self.column += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(bytes: &[u8]) -> (Vec<String>, String) {
        let mut screen = Screen::new();
        screen.take(bytes).expect("within limits");
        (screen.lines().to_vec(), screen.current())
    }

    #[test]
    fn a_pager_erases_its_prompt() {
        let more = b"one\r\n --More-- \x08\x08\x08\x08\x08\x08\x08\x08\x08        \x08\x08\x08\x08\x08\x08\x08\x08\x08two\r\ntor#";
        assert_eq!(shown(more), (vec!["one".to_owned(), "two".to_owned()], "tor#".to_owned()));
        assert_eq!(shown(b" --More-- \r          \rtwo\r\n").0, ["two"]);
    }

    #[test]
    fn colours_and_bells_are_not_text() {
        assert_eq!(shown(b"\x1b[1;31mred\x1b[0m\x07\r\n\x1b[2K\x1b=tor# ").0, ["red"]);
        assert_eq!(shown(b"\x1b[1;31mred\x1b[0m\x07\r\n\x1b[2K\x1b=tor# ").1, "tor#");
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut screen = Screen::new();
        assert_eq!((0..MAX_LINES + 1).try_for_each(|_| screen.take(b"x\n")), Err(TooMuch));
        let mut screen = Screen::new();
        assert_eq!(screen.take(&[b'x'; MAX_LINE_CHARS + 1]), Err(TooMuch));
        let mut screen = Screen::new();
        assert_eq!((0..=MAX_BYTES / 1024).try_for_each(|_| screen.take(&[0; 1024])), Err(TooMuch));
        screen.forget_lines();
        assert_eq!(screen.take(b"x"), Ok(()));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(0u8..=255, 0..200)) {
            let mut screen = Screen::new();
            let _ = screen.take(&bytes);
            let _ = screen.current();
        }
    }
}
