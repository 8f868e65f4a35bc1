//! Certificates as they were first seen: `NAME sha256:HEX`, a line each.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::Fingerprint;

/// Largest file that is read, in bytes: some 80,000 devices.
const MAX_BYTES: u64 = 8 << 20;

/// Why a pin cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The file cannot be read.
    #[error("failed to read {}", .path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("failed to write {}", .path.display())]
    Write {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line that is no pin.
    #[error("{} line {line} holds no certificate's fingerprint", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
}

/// The file of pins. Other processes may keep pins in it at the same time.
#[derive(Debug, Clone)]
pub struct CertificatePins {
    path: PathBuf,
}

impl CertificatePins {
    /// The file at this path, which need not be there yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The certificate that was first seen under this name, which has no blanks.
    ///
    /// # Errors
    /// A file that cannot be read, or whose line for this name is damaged.
    pub fn get(&self, name: &str) -> Result<Option<Fingerprint>, PinError> {
        Self::find(&self.read()?, name).map_err(|line| PinError::Line { path: self.path.clone(), line })
    }

    /// Keeps the first certificate of this name. Where there is one already, that one stays, and is
    /// what comes back.
    ///
    /// # Errors
    /// A file that cannot be read or written, or is damaged. Nothing has changed then.
    pub fn keep(&self, name: &str, shown: Fingerprint) -> Result<Fingerprint, PinError> {
        let failed = |source| PinError::Write { path: self.path.clone(), source };
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let lock = std::fs::File::create(self.path.with_extension("lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let text = self.read()?;
        let found = Self::find(&text, name).map_err(|line| PinError::Line { path: self.path.clone(), line })?;
        if let Some(pinned) = found {
            return Ok(pinned);
        }
        let fresh = self.path.with_extension("new");
        let text = format!("{text}{name} sha256:{shown}\n");
        std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, &self.path)).map_err(failed)?;
        Ok(shown)
    }

    fn read(&self) -> Result<String, PinError> {
        let mut text = String::new();
        match std::fs::File::open(&self.path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text)) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(PinError::Read { path: self.path.clone(), source })
            }
            _ => Ok(text),
        }
    }

    /// The pin in a text, or the number of the line that should hold it.
    fn find(text: &str, name: &str) -> Result<Option<Fingerprint>, usize> {
        let pins = text.lines().enumerate().filter_map(|(index, line)| Some((index, line.split_once(' ')?)));
        let Some((index, (_, pin))) = pins.into_iter().find(|(_, (of, _))| *of == name) else { return Ok(None) };
        let hex = pin.strip_prefix("sha256:").unwrap_or_default();
        hex.parse().map(Some).map_err(|_| index + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_stays() {
        let folder = tempfile::tempdir().expect("folder");
        let pins = CertificatePins::new(folder.path().join("tls/certificates"));
        let (a, b) = (Fingerprint::of(b"a"), Fingerprint::of(b"b"));
        assert_eq!(pins.get("bmc/x").expect("no file"), None);
        assert_eq!(pins.keep("bmc/x", a).expect("kept"), a);
        assert_eq!(pins.keep("bmc/y", b).expect("kept"), b);
        assert_eq!(pins.keep("bmc/x", b).expect("read"), a, "somebody else was faster");
        assert_eq!((pins.get("bmc/x").expect("read"), pins.get("bmc/y").expect("read")), (Some(a), Some(b)));
        assert_eq!(pins.get("bmc").expect("read"), None);
        std::fs::write(pins.path(), "bmc/y sha256:00\n# x\nbmc/x nonsense\n").expect("written");
        let error = pins.keep("bmc/x", a).expect_err("damaged").to_string();
        assert_eq!(error, format!("{} line 3 holds no certificate's fingerprint", pins.path().display()));
    }
}
