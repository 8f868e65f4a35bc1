//! Certificates as they were first seen: `NAME sha256:HEX`, a line each.

use std::path::{Path, PathBuf};

use super::Fingerprint;
use crate::transport::PinFileError;
use crate::transport::pin_file::PinFile;

/// The file of pins. Other processes may keep pins in it at the same time.
#[derive(Debug, Clone)]
pub struct CertificatePins(PinFile);

impl CertificatePins {
    /// The file at this path, which need not be there yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(PinFile::new(path))
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The certificate that was first seen under this name, which has no blanks.
    ///
    /// # Errors
    /// A file that cannot be read, or whose line for this name is damaged.
    pub fn get(&self, name: &str) -> Result<Option<Fingerprint>, PinFileError> {
        self.find(&self.0.read()?, name)
    }

    /// Keeps the first certificate of this name. Where there is one already, that one stays, and is
    /// what comes back.
    ///
    /// # Errors
    /// A file that cannot be read or written, or is damaged. Nothing has changed then.
    pub fn keep(&self, name: &str, shown: Fingerprint) -> Result<Fingerprint, PinFileError> {
        self.0.change(|pins| match self.find(pins, name)? {
            Some(pinned) => Ok((pins.to_owned(), pinned)),
            None => Ok((format!("{pins}{name} sha256:{shown}\n"), shown)),
        })
    }

    fn find(&self, pins: &str, name: &str) -> Result<Option<Fingerprint>, PinFileError> {
        self.0.find(pins, name, "certificate's fingerprint", |pin| pin.strip_prefix("sha256:")?.parse().ok())
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
