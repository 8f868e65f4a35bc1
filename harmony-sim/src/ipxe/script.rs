//! A script's lines, labels and words.
//!
//! Words are split at blanks before anything is expanded, so that a value never makes two words.
//! Source: iPXE `src/image/script.c` (`process_script`), `src/core/exec.c` (`split_command`).

/// A script.
#[derive(Debug)]
pub(super) struct Script {
    /// The last part of its URL.
    pub(super) name: String,
    /// Where it came from: what relative URLs are relative to.
    pub(super) url: String,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    /// Counted from 1; of its first part, if a backslash continues it.
    number: usize,
    label: Option<String>,
    words: Vec<String>,
}

impl Script {
    /// Reads a script. Every text is one: what is wrong shows when it is carried out.
    pub(super) fn parse(name: &str, url: &str, text: &str) -> Self {
        let mut lines = Vec::new();
        let mut begun: Option<(usize, String)> = None;
        for (at, part) in text.split('\n').enumerate() {
            let (number, mut line) = begun.take().unwrap_or((at + 1, String::new()));
            line.push_str(part.strip_suffix('\r').unwrap_or(part));
            if let Some(continued) = line.strip_suffix('\\') {
                begun = Some((number, continued.to_owned()));
            } else {
                lines.push(Line::parse(number, &line));
            }
        }
        if let Some((number, line)) = begun {
            lines.push(Line::parse(number, &line));
        }
        Self { name: name.to_owned(), url: url.to_owned(), lines }
    }

    /// What iPXE does by itself, as if it were a script.
    pub(super) fn of_one_line(name: &str, line: &str) -> Self {
        Self { name: name.to_owned(), url: String::new(), lines: vec![Line::parse(1, line)] }
    }

    pub(super) fn lines(&self) -> usize {
        self.lines.len()
    }

    /// The words of a line, without its label and what a `#` begins.
    pub(super) fn words(&self, line: usize) -> Vec<String> {
        self.lines.get(line).map(|line| line.words.clone()).unwrap_or_default()
    }

    /// A line's number, counted from 1.
    pub(super) fn number(&self, line: usize) -> usize {
        self.lines.get(line).map_or(0, |line| line.number)
    }

    /// Index of the first line with this label.
    pub(super) fn label(&self, label: &str) -> Option<usize> {
        self.lines.iter().position(|line| line.label.as_deref() == Some(label))
    }
}

impl Line {
    fn parse(number: usize, line: &str) -> Self {
        let line = line.trim_start();
        let (label, command) = match line.strip_prefix(':') {
            Some(rest) => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (Some(rest[..end].to_owned()), &rest[end..])
            }
            None => (None, line),
        };
        let words = command.split_whitespace().take_while(|word| !word.starts_with('#'));
        Self { number, label, words: words.map(str::to_owned).collect() }
    }
}

/// The absolute form of a URL in a script that came from `base`. Source: RFC 3986 section 5.2, without dot segments.
pub(super) fn resolve(base: &str, url: &str) -> String {
    if url.contains("://") {
        return url.to_owned();
    }
    let start = base.find("://").map_or(0, |at| at + 3);
    let path = base[start..].find('/').map_or(base.len(), |at| start + at);
    if url.starts_with('/') {
        return format!("{}{url}", &base[..path]);
    }
    let whole = base.split(['?', '#']).next().unwrap_or(base);
    let folder = whole.rfind('/').filter(|at| *at >= path).map_or(whole.len(), |at| at);
    format!("{}/{url}", &whole[..folder])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_labels_words_and_numbers() {
        let text = "#!ipxe\n\n  :again  echo a \\\n  b # c\r\nset x ${a b}\n:end";
        let script = Script::parse("x", "", text);
        assert_eq!(script.words(0), Vec::<String>::new(), "the first line is a comment");
        assert_eq!(script.words(2), ["echo", "a", "b"]);
        assert_eq!((script.label("again"), script.number(2)), (Some(2), 3));
        assert_eq!(script.words(3), ["set", "x", "${a", "b}"]);
        assert_eq!((script.label("end"), script.number(4), script.label("nowhere")), (Some(4), 6, None));
    }

    #[test]
    fn urls_are_relative_to_the_script() {
        let base = "http://10.0.0.1:8080/ipxe/chain?uuid=a/b";
        assert_eq!(resolve(base, "tftp://x/y"), "tftp://x/y");
        assert_eq!(resolve(base, "/boot.ipxe"), "http://10.0.0.1:8080/boot.ipxe");
        assert_eq!(resolve(base, "x.ipxe"), "http://10.0.0.1:8080/ipxe/x.ipxe");
        assert_eq!(resolve("http://10.0.0.1", "x"), "http://10.0.0.1/x");
    }
}
