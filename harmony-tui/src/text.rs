//! Text on its way to a terminal: made harmless, measured in columns, cut, wrapped.
//!
//! Hosts, switches and BMCs say what they like. Nothing of it may move the cursor, change colours,
//! reverse the direction of reading or take up columns that were not counted. So only characters with a
//! width of their own are left: combining marks and joiners go too, as terminals disagree about them.
//!
//! Knows nothing of events. Numbers and times as text are in [`crate::units`].

use std::borrow::Cow;
use std::cmp::Ordering;

use ratatui::text::Span;

/// Longer texts are cut: no line of evidence is worth more.
const MAX_CHARS: usize = 2000;

/// The text without control characters, escape sequences and characters that take no column.
/// Line breaks and tabs become blanks.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_CHARS && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len().min(MAX_CHARS));
    let mut rest = text.chars();
    for _ in 0..MAX_CHARS {
        let Some(next) = rest.next() else { return Cow::Owned(clean) };
        match next {
            '\n' | '\r' | '\t' => clean.push(' '),
            '\u{1b}' => {
                if rest.next() == Some('[') {
                    skip_csi(&mut rest);
                }
            }
            '\u{9b}' => skip_csi(&mut rest),
            _ if next.is_control() || width(next.encode_utf8(&mut [0; 4])) == 0 => {}
            _ => clean.push(next),
        }
    }
    clean.push('…');
    Cow::Owned(clean)
}

/// Skips parameters, intermediates and the final byte of a control sequence. Source: ECMA-48 section 5.4.
fn skip_csi(rest: &mut std::str::Chars<'_>) {
    let mut ahead = rest.clone();
    while let Some(next) = ahead.next() {
        if !(' '..='~').contains(&next) {
            return;
        }
        *rest = ahead.clone();
        if ('@'..='~').contains(&next) {
            return;
        }
    }
}

/// Columns that the text takes.
pub(crate) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// The text, cut to this many columns; what is cut off is told by `…`.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    let (head, _) = split(text, columns - 1);
    format!("{head}…")
}

/// The text, cut or filled with blanks to exactly this many columns.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let mut fitted = cut(text, columns);
    fitted.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(&fitted))));
    fitted
}

/// As many characters as fit into this many columns, and the rest.
fn split(text: &str, columns: usize) -> (&str, &str) {
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += width(&text[at..at + character.len_utf8()]);
        if used > columns {
            return text.split_at(at);
        }
    }
    (text, "")
}

/// Lines of at most this many columns, broken at blanks where that is possible.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![String::new()];
    for mut word in text.split(' ').filter(|word| !word.is_empty()) {
        let used = lines.last().map_or(0, |line| width(line));
        let gap = usize::from(used > 0);
        if used + gap + width(word) > columns && used > 0 {
            lines.push(String::new());
        }
        while width(word) > columns {
            // A character wider than the line still has to go somewhere.
            let first = word.chars().next().map_or(0, char::len_utf8);
            let at = split(word, columns).0.len().max(first);
            lines.insert(lines.len() - 1, word[..at].to_owned());
            word = &word[at..];
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    if lines.len() > 1 && lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Order in which people count: `worker-2` before `worker-10`.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let order = match (number(left), number(right)) {
            (Some((x, after_x)), Some((y, after_y))) => {
                (left, right) = (after_x, after_y);
                x.len().cmp(&y.len()).then_with(|| x.cmp(y))
            }
            _ => match (left.chars().next(), right.chars().next()) {
                (Some(x), Some(y)) => {
                    (left, right) = (&left[x.len_utf8()..], &right[y.len_utf8()..]);
                    x.cmp(&y)
                }
                // Texts that differ in leading zeros alone still have an order.
                (None, None) => return a.cmp(b),
                (x, _) => return if x.is_none() { Ordering::Less } else { Ordering::Greater },
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// A leading number without its leading zeros, and what follows it.
fn number(text: &str) -> Option<(&str, &str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    (digits > 0).then(|| (text[..digits].trim_start_matches('0'), &text[digits..]))
}

/// Whether the text holds the words that were searched for, whatever their case.
pub(crate) fn holds(text: &str, wanted: &str) -> bool {
    wanted.is_empty() || text.to_lowercase().contains(&wanted.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        for (said, shown) in [
            ("plain", "plain"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[2J\u{1b}[1;1Hwiped", "wiped"),
            ("\u{9b}5mblink", "blink"),
            ("\u{1b}]0;title\u{7}", "0;title"),
            ("\u{1b}[", ""),
            ("a\nb\tc\r", "a b c "),
            ("\u{202e}txt.exe", "txt.exe"),
            ("e\u{301}\u{200d}\u{feff}", "e"),
            ("日本 ü", "日本 ü"),
        ] {
            assert_eq!(clean(said), shown, "{said:?}");
        }
        assert_eq!(clean(&"x".repeat(1_000_000)).chars().count(), MAX_CHARS + 1);
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日… ");
        assert_eq!(fit("ab", 4), "ab  ");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn wraps_at_blanks_and_breaks_what_is_too_long() {
        assert_eq!(wrap("set ports of tor-1 to access", 12), ["set ports of", "tor-1 to", "access"]);
        assert_eq!(wrap("x 0123456789ab y", 5), ["x", "01234", "56789", "ab y"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("日本", 1), ["日", "本"].map(String::from));
    }

    #[test]
    fn counts_as_people_do() {
        let mut roles = ["worker-10", "master-1", "worker-9", "worker-009", "worker", "Eth1/2", "Eth1/10"];
        roles.sort_by(|a, b| natural(a, b));
        assert_eq!(roles, ["Eth1/2", "Eth1/10", "master-1", "worker", "worker-009", "worker-9", "worker-10"]);
    }

    proptest! {
        #[test]
        fn clean_text_is_clean_and_fits(text in any::<String>(), columns in 0usize..40) {
            let clean = clean(&text);
            prop_assert!(!clean.chars().any(char::is_control));
            prop_assert_eq!(width(&fit(&clean, columns)), columns);
            for line in wrap(&clean, columns.max(2)) {
                prop_assert!(width(&line) <= columns.max(2), "{:?}", line);
            }
        }

        #[test]
        fn natural_is_an_order(a in "[a-c0-2]{0,5}", b in "[a-c0-2]{0,5}", c in "[a-c0-2]{0,5}") {
            prop_assert_eq!(natural(&a, &b), natural(&b, &a).reverse());
            if natural(&a, &b).is_lt() && natural(&b, &c).is_lt() {
                prop_assert!(natural(&a, &c).is_lt());
            }
        }
    }
}
