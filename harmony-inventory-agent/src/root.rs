//! Reading small files of `/proc`, `/sys` and `/dev` below a root that may be a recorded tree.
//!
//! Everything here is bounded and returns either what is there or a [`Reason`] in words; no caller ever
//! sees a default. Knows nothing of what the files mean.

use std::cmp::Ordering;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::fcntl::OFlag;

/// Bytes read of a text file: the kernel gives at most a page per attribute.
const MAX_TEXT: u64 = 4096;

/// Characters kept of a text.
const MAX_CHARS: usize = 256;

/// Entries read of one directory.
const MAX_ENTRIES: usize = 16_384;

/// Where the machine's files are.
#[derive(Debug, Clone)]
pub struct Root {
    path: PathBuf,
    live: bool,
}

/// Why something could not be read, in words for the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// From a sentence.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What the kernel said of a file, whose path is relative to the root.
    pub(crate) fn io(path: &str, error: &io::Error) -> Self {
        // Without `(os error 2)`, which says nothing more.
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        Self(format!("/{path}: {text}"))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Root {
    /// The running machine.
    #[must_use]
    pub fn live() -> Self {
        Self { path: "/".into(), live: true }
    }

    /// A tree recorded from some machine: no kernel is asked anything.
    #[must_use]
    pub fn recorded(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), live: false }
    }

    /// Whether the kernel that answers is the machine's own.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// `path` is relative to the root, without a leading slash; so are all below.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// Opens for reading only. Never waits: a FIFO in a recorded tree reads as empty, an optical drive
    /// does not close its tray.
    pub(crate) fn open(&self, path: &str) -> Result<File, Reason> {
        OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
            .open(self.path(path))
            .map_err(|error| Reason::io(path, &error))
    }

    /// The first `limit` bytes.
    pub(crate) fn bytes(&self, path: &str, limit: u64) -> Result<Vec<u8>, Reason> {
        let mut bytes = Vec::new();
        self.open(path)?.take(limit).read_to_end(&mut bytes).map_err(|error| Reason::io(path, &error))?;
        Ok(bytes)
    }

    /// Its text without surrounding blanks; empty is a reason too.
    pub(crate) fn text(&self, path: &str) -> Result<String, Reason> {
        let text = clean(&self.bytes(path, MAX_TEXT)?);
        if text.is_empty() { Err(Reason(format!("/{path}: is empty"))) } else { Ok(text) }
    }

    pub(crate) fn number<T: FromStr>(&self, path: &str) -> Result<T, Reason> {
        let text = self.text(path)?;
        text.parse().map_err(|_| Reason(format!("/{path}: `{text}` is out of range")))
    }

    /// `0` or `1`.
    pub(crate) fn flag(&self, path: &str) -> Result<bool, Reason> {
        match &*self.text(path)? {
            "0" => Ok(false),
            "1" => Ok(true),
            text => Err(Reason(format!("/{path}: `{text}` is neither 0 nor 1"))),
        }
    }

    /// The last component of what a symbolic link points to.
    pub(crate) fn link_name(&self, path: &str) -> Result<String, Reason> {
        let target = fs::read_link(self.path(path)).map_err(|error| Reason::io(path, &error))?;
        match target.file_name() {
            Some(name) => Ok(clean(name.as_encoded_bytes())),
            None => Err(Reason(format!("/{path}: points nowhere"))),
        }
    }

    /// The path with every link followed.
    pub(crate) fn resolved(&self, path: &str) -> Result<PathBuf, Reason> {
        fs::canonicalize(self.path(path)).map_err(|error| Reason::io(path, &error))
    }

    /// Names in a directory, sorted as people count: `sda`, `sdb`, `sdaa`; `eth2`, `eth10`.
    pub(crate) fn names(&self, path: &str) -> Result<Vec<String>, Reason> {
        let entries = fs::read_dir(self.path(path)).map_err(|error| Reason::io(path, &error))?;
        let mut names: Vec<String> = entries
            .take(MAX_ENTRIES)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| !name.chars().any(char::is_control))
            .collect();
        names.sort_by(|a, b| by_name(a, b));
        Ok(names)
    }
}

/// Text of a device or file as it may be shown: UTF-8, one line, bounded.
pub(crate) fn clean(bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(bytes);
    let shown = text.trim().chars().take(MAX_CHARS);
    shown.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The order of names in a report: as people count.
#[must_use]
pub fn by_name(a: &str, b: &str) -> Ordering {
    natural(a).cmp(&natural(b)).then_with(|| a.cmp(b))
}

/// Text and number of a name's end. Shorter texts come first, as the kernel hands them out.
fn natural(name: &str) -> (usize, &str, u64) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.len(), stem, name[stem.len()..].parse().unwrap_or(u64::MAX))
}

/// The last component of a path, for names of drivers and the like.
pub(crate) fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_one_clean_bounded_line() {
        assert_eq!(clean(b"  PM9A3 \n"), "PM9A3");
        assert_eq!(clean(b"abc\0\xff\xff"), "abc");
        assert_eq!(clean(b"a\x1b[2Jb\nc\xff"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}");
        assert_eq!(clean("x".repeat(999).as_bytes()).len(), MAX_CHARS);
    }

    #[test]
    fn names_are_sorted_as_they_were_handed_out() {
        let folder = tempfile::tempdir().expect("folder");
        for name in ["eth10", "eth2", "sdaa", "sdb", "nvme10n1", "nvme9n1"] {
            fs::write(folder.path().join(name), "").expect("file");
        }
        let names = Root::recorded(folder.path()).names("").expect("names");
        assert_eq!(names, ["eth2", "eth10", "sdb", "sdaa", "nvme9n1", "nvme10n1"]);
    }

    #[test]
    fn reasons_name_the_file_and_what_is_wrong() {
        let folder = tempfile::tempdir().expect("folder");
        let root = Root::recorded(folder.path());
        fs::write(folder.path().join("speed"), "-1\n").expect("file");
        fs::write(folder.path().join("blank"), " \n").expect("file");
        let reason = |result: Result<u32, Reason>| result.expect_err("a reason").to_string();
        assert_eq!(reason(root.number("speed")), "/speed: `-1` is out of range");
        assert_eq!(reason(root.number("blank")), "/blank: is empty");
        assert_eq!(reason(root.number("none/there")), "/none/there: No such file or directory");
        assert_eq!(reason(root.number("")), "/: Is a directory");
    }

    #[test]
    fn a_fifo_does_not_hold_us() {
        let folder = tempfile::tempdir().expect("folder");
        nix::unistd::mkfifo(&folder.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("fifo");
        assert!(Root::recorded(folder.path()).text("pipe").is_err());
    }
}
