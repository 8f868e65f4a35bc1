//! A file of pins: what devices have shown of themselves, `NAME PIN`, a line each. Other processes keep pins
//! in it at the same time.
//!
//! Does not know what is pinned. Read next: `host::ssh::known_hosts` and `tls::pins`, whose files these are.

use std::fs::File;
use std::io::{Error, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// Largest file that is read, in bytes: some 40,000 pins.
const MAX_BYTES: u64 = 8 << 20;

/// Why a pin cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum PinFileError {
    /// The file cannot be read.
    #[error("failed to read {}", .path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
    /// The file cannot be written.
    #[error("failed to write {}", .path.display())]
    Write {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
    /// A line that is no pin.
    #[error("{} line {line} holds no {wanted}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What it should hold.
        wanted: &'static str,
    },
}

/// The file, which need not be there yet.
#[derive(Debug, Clone)]
pub(crate) struct PinFile {
    path: PathBuf,
}

impl PinFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All pins; none where there is no file.
    pub(crate) fn read(&self) -> Result<String, PinFileError> {
        let mut text = String::new();
        match File::open(&self.path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text)) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(PinFileError::Read { path: self.path.clone(), source })
            }
            _ => Ok(text),
        }
    }

    /// The first pin of a name among these, as `parse` understands it.
    pub(crate) fn find<T>(
        &self,
        pins: &str,
        name: &str,
        wanted: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, PinFileError> {
        let pins =
            pins.lines().zip(1..).map(|(text, line)| (text.strip_prefix(name).and_then(|t| t.strip_prefix(' ')), line));
        let Some((pin, line)) = pins.into_iter().find_map(|(pin, line)| Some((pin?, line))) else { return Ok(None) };
        parse(pin).map(Some).ok_or_else(|| PinFileError::Line { path: self.path.clone(), line, wanted })
    }

    /// Replaces all pins by what `change` makes of them, as one: nobody else changes them meanwhile, and who
    /// reads them sees all or nothing of it.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&str) -> Result<(String, T), PinFileError>,
    ) -> Result<T, PinFileError> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| self.unwritten(source))?;
        }
        let lock = File::create(self.path.with_extension("lock")).map_err(|source| self.unwritten(source))?;
        lock.lock().map_err(|source| self.unwritten(source))?;
        let before = self.read()?;
        let (after, told) = change(&before)?;
        if after != before {
            let fresh = self.path.with_extension("new");
            let written = std::fs::write(&fresh, after).and_then(|()| std::fs::rename(&fresh, &self.path));
            written.map_err(|source| self.unwritten(source))?;
        }
        Ok(told)
    }

    pub(crate) fn unwritten(&self, source: Error) -> PinFileError {
        PinFileError::Write { path: self.path.clone(), source }
    }
}
