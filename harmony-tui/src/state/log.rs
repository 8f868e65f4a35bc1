//! The latest lines of the run, for the log screen.
//!
//! Entries are counted from the first on, so that a place in the log stays the same while older ones are
//! dropped.

use std::collections::VecDeque;

use harmony_core::event::Record;
use jiff::Timestamp;

use crate::action::Notice;
use crate::lines::{Entry, Level, Lines};
use crate::text;

/// Entries that are kept: some hours of a large run.
const MAX_ENTRIES: usize = 5_000;

/// What was told so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    lines: Lines,
    entries: VecDeque<Entry>,
    dropped: usize,
}

impl Log {
    /// Takes the next record.
    pub(crate) fn on_record(&mut self, record: &Record) {
        if let Some(entry) = self.lines.entry(record) {
            self.push(entry);
        }
    }

    /// Takes a notice, as of now.
    pub(crate) fn on_notice(&mut self, notice: &Notice, at: Timestamp) {
        let level = if notice.is_refusal { Level::Bad } else { Level::Info };
        let text = text::clean(&notice.text).into_owned();
        self.push(Entry { at, level, text, more: Vec::new() });
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() == MAX_ENTRIES {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.entries.push_back(entry);
    }

    /// Entries that hold these words, each with its number.
    pub(crate) fn matching<'a>(&'a self, wanted: &'a str) -> Vec<(usize, &'a Entry)> {
        let numbered = (self.dropped..).zip(&self.entries);
        let holds =
            |entry: &Entry| text::holds(&entry.text, wanted) || entry.more.iter().any(|line| text::holds(line, wanted));
        numbered.filter(|(_, entry)| holds(entry)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_while_old_entries_go() {
        let mut log = Log::default();
        for number in 0..MAX_ENTRIES + 3 {
            log.on_notice(&Notice::info(format!("n{number}")), Timestamp::UNIX_EPOCH);
        }
        let all = log.matching("");
        assert_eq!((all.len(), all[0].0, &*all[0].1.text), (MAX_ENTRIES, 3, "n3"));
        assert_eq!(log.matching("N5002").iter().map(|(at, _)| *at).collect::<Vec<_>>(), [5002]);
    }
}
