//! The files of a daemon of ours: one Harmony at a time, and a configuration file whose earlier text is kept
//! until the daemon uses the new one.
//!
//! A run may be killed between the moment when a file is replaced and the moment when the daemon has read
//! it. The next run must see that, or it would take the file's word for what the daemon does. So the
//! earlier text stands beside the file, under a name of its own, until the daemon is known to have read
//! the new one: as long as it is there, it is what the daemon is known to do.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::daemon::DaemonError;

/// Time that another Harmony has to finish its change.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);
/// Bytes of a configuration file that are read.
const MAX_BYTES: u64 = 16 << 20;

/// Makes the folder, and keeps other Harmony processes out while the lock lives.
pub(crate) async fn lock(folder: &Path) -> Result<File, DaemonError> {
    std::fs::create_dir_all(folder).map_err(DaemonError::file(folder))?;
    let path = folder.join("lock");
    let file = File::create(&path).map_err(DaemonError::file(&path))?;
    let deadline = tokio::time::Instant::now() + LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::Error(error)) => return Err(DaemonError::file(&path)(error)),
            Err(std::fs::TryLockError::WouldBlock) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(POLL).await;
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(DaemonError::Busy { folder: folder.to_owned(), waited: LOCK_TIMEOUT });
            }
        }
    }
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), DaemonError> {
    std::fs::write(path, text).map_err(DaemonError::file(path))
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), DaemonError> {
    std::fs::rename(from, to).map_err(DaemonError::file(to))
}

pub(crate) fn remove(path: &Path) -> Result<(), DaemonError> {
    std::fs::remove_file(path).map_err(DaemonError::file(path))
}

/// A configuration file, and what its daemon is known to have read.
#[derive(Debug)]
pub(crate) struct ConfirmedFile {
    path: PathBuf,
    fresh: PathBuf,
    before: PathBuf,
}

impl ConfirmedFile {
    /// The two other files are beside it, since a rename does not leave a file system. Their names begin with
    /// a dot and end in no ending that a daemon looks for, so that a folder read as a whole leaves them out.
    pub(crate) fn new(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = |end: &str| path.with_file_name(format!(".{name}.{end}"));
        Self { path: path.to_owned(), fresh: beside("new"), before: beside("before") }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's text; a file that is not there is empty.
    pub(crate) fn text(&self) -> Result<String, DaemonError> {
        read(&self.path).map(Option::unwrap_or_default)
    }

    /// The text that the daemon is known to have read.
    pub(crate) fn confirmed(&self) -> Result<String, DaemonError> {
        match read(&self.before)? {
            Some(before) => Ok(before),
            None => self.text(),
        }
    }

    /// Whether it is not known that the daemon has read the file.
    pub(crate) fn is_pending(&self) -> bool {
        self.before.exists()
    }

    /// Writes a text aside, for the daemon's program to judge; where it is.
    pub(crate) fn propose(&self, text: &str) -> Result<&Path, DaemonError> {
        write(&self.fresh, text)?;
        Ok(&self.fresh)
    }

    /// Drops what was proposed.
    pub(crate) fn withdraw(&self) {
        // One that stays is overwritten by the next.
        let _ = std::fs::remove_file(&self.fresh);
    }

    /// Makes the proposed text the file's, and keeps the earlier one.
    pub(crate) fn adopt(&self) -> Result<(), DaemonError> {
        if !self.is_pending() {
            let aside = self.before.with_extension("aside");
            write(&aside, &self.text()?)?;
            rename(&aside, &self.before)?;
        }
        rename(&self.fresh, &self.path)
    }

    /// Makes the file what the daemon is known to have read last; still to be confirmed.
    pub(crate) fn put_back(&self) -> Result<(), DaemonError> {
        self.propose(&self.confirmed()?)?;
        rename(&self.fresh, &self.path)
    }

    /// Notes that the daemon has read the file.
    pub(crate) fn confirm(&self) -> Result<(), DaemonError> {
        if self.is_pending() { remove(&self.before) } else { Ok(()) }
    }
}

fn read(path: &Path) -> Result<Option<String>, DaemonError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(DaemonError::file(path))?,
    };
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(DaemonError::file(path))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_is_known_until_it_is_confirmed() {
        let folder = tempfile::tempdir().expect("folder");
        let file = ConfirmedFile::new(&folder.path().join("x.cfg"));
        let state = || (file.text().expect("read"), file.confirmed().expect("read"), file.is_pending());
        let as_text = |(text, confirmed, pending): (&str, &str, bool)| (text.to_owned(), confirmed.to_owned(), pending);
        assert_eq!(state(), as_text(("", "", false)));
        for (text, before) in [("one", ""), ("two", "one")] {
            file.propose(text).expect("written");
            assert_eq!(state(), as_text((before, before, false)));
            file.adopt().expect("renamed");
            assert_eq!(state(), as_text((text, before, true)));
            file.confirm().expect("removed");
            assert_eq!(state(), as_text((text, text, false)));
        }
        // Two changes, neither confirmed: what holds is what was before both.
        for text in ["three", "four"] {
            file.propose(text).expect("written");
            file.adopt().expect("renamed");
            assert_eq!(state(), as_text((text, "two", true)));
        }
        file.put_back().expect("put back");
        assert_eq!(state(), as_text(("two", "two", true)));
        file.confirm().expect("removed");
        let names: Vec<_> = std::fs::read_dir(folder.path()).expect("read").filter_map(Result::ok).collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }

    #[tokio::test]
    async fn one_at_a_time() {
        let folder = tempfile::tempdir().expect("folder");
        let held = lock(folder.path()).await.expect("free");
        let waiting = tokio::spawn({
            let folder = folder.path().to_owned();
            async move { lock(&folder).await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(held);
        waiting.await.expect("joined").expect("free again");
    }
}
