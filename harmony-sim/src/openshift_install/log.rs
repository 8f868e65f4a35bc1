//! What the program says: logrus on standard error, and a file of it in its folder.
//!
//! Source: recorded output; without a terminal `level=info msg=…` with quotes around what begins with or has `"` and
//! is fatal, on one `INFO …`.

use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// How urgent a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warning,
    Error,
    Fatal,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

/// Where messages go.
#[derive(Debug, Clone)]
pub(super) struct Log {
    dir: PathBuf,
    is_terminal: bool,
    has_file: bool,
}

impl Log {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), is_terminal: std::io::stderr().is_terminal(), has_file: false }
    }

    /// The same, with the hidden log file of its folder.
    pub(super) fn to_file(&self) -> Self {
        Self { has_file: true, ..self.clone() }
    }

    pub(super) fn info(&self, message: &str) {
        self.say(Level::Info, message);
    }

    pub(super) fn warning(&self, message: &str) {
        self.say(Level::Warning, message);
    }

    pub(super) fn error(&self, message: &str) {
        self.say(Level::Error, message);
    }

    pub(super) fn say(&self, level: Level, message: &str) {
        for line in message.lines() {
            eprintln!("{}", if self.is_terminal { terminal(level, line) } else { plain(level, line) });
            if self.has_file {
                self.keep(level, line);
            }
        }
    }

    /// A line of the Kubernetes client, which writes past the log.
    pub(super) fn noise(&self, message: &str) {
        let now = Timestamp::now().strftime("%m%d %H:%M:%S.%6f");
        eprintln!(
            "W{now} {:7} reflector.go:569] k8s.io/client-go/tools/watch/informerwatcher.go:146: {message}",
            std::process::id()
        );
    }

    fn keep(&self, level: Level, line: &str) {
        let file = OpenOptions::new().append(true).create(true).open(self.dir.join(".openshift_install.log"));
        if let Ok(mut file) = file {
            // As the real program: without its log it goes on.
            let _ = writeln!(file, "time=\"{:.0}\" level={} msg={line:?}", Timestamp::now(), level.word());
        }
    }
}

fn plain(level: Level, line: &str) -> String {
    if level == Level::Fatal && line.contains('"') {
        format!("level=fatal msg={line:?}")
    } else {
        format!("level={} msg={line}", level.word())
    }
}

fn terminal(level: Level, line: &str) -> String {
    format!("{} {line}", level.word().to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_line() {
        assert_eq!(plain(Level::Info, "API v1.32.1 up"), "level=info msg=API v1.32.1 up");
        assert_eq!(plain(Level::Fatal, "unknown \"x\""), "level=fatal msg=\"unknown \\\"x\\\"\"");
        assert_eq!(terminal(Level::Warning, "x"), "WARNING x");
    }
}
