//! The private folders in which clusters are made: one per generation, complete or not there.
//!
//! Owns `STATE/clusters/NAME/N/`: modes, the lock, temporary names, the record `artefacts.json` that is written last.
//! Does not know what the program writes there.
//!
//! A generation grows under a name of its own, `.making-…`, and gets its number by a rename. The names differ from
//! run to run: a program whose run was killed may go on writing, and must not write into the next one's folder.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use harmony_core::capability::Artefacts;
use harmony_core::cluster::ClusterName;
use harmony_core::error::{DeviceError, FailureKind};

/// The record of a generation.
const RECORD: &str = "artefacts.json";
/// How unfinished generations begin.
const MAKING: &str = ".making-";
/// The program's own log, and where it is kept of a generation that was not finished.
const LOG: &str = ".openshift_install.log";
const FAILED_LOG: &str = "failed.log";
/// Copies of what the program consumes.
const KEPT: &str = "kept";
/// The largest file that is read, in bytes; `bootstrap.ign` has some hundred thousand.
const MAX_FILE_BYTES: u64 = 32 << 20;
/// Time for another Harmony to finish its generation.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Why a folder is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or folder.
    #[error("failed to {act} {}", .path.display())]
    File {
        /// What was tried.
        act: &'static str,
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The record is none.
    #[error("{} is damaged", .path.display())]
    Record {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A file is larger than sensible.
    #[error("{} is larger than {MAX_FILE_BYTES} bytes", .0.display())]
    TooLarge(PathBuf),
    /// Another process is at it.
    #[error("another Harmony has been making artefacts in {} for {} s", .0.display(), LOCK_TIMEOUT.as_secs())]
    Busy(PathBuf),
}

fn failed<'a>(act: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> FolderError + 'a {
    move |source| FolderError::File { act, path: path.to_owned(), source }
}

/// The folder of all clusters.
#[derive(Debug)]
pub(super) struct Clusters {
    pub(super) root: PathBuf,
}

impl Clusters {
    /// The folder of a generation.
    pub(super) fn generation(&self, cluster: &ClusterName, generation: u32) -> PathBuf {
        self.root.join(cluster.as_str()).join(generation.to_string())
    }

    /// Where copies are of what the program consumed for a generation.
    pub(super) fn kept(&self, cluster: &ClusterName, generation: u32) -> PathBuf {
        self.generation(cluster, generation).join(KEPT)
    }

    /// The program's log in the folder of a generation.
    pub(super) fn log(&self, cluster: &ClusterName, generation: u32) -> PathBuf {
        self.generation(cluster, generation).join(LOG)
    }

    /// The record of the latest generation.
    pub(super) fn latest(&self, cluster: &ClusterName) -> Result<Option<Artefacts>, FolderError> {
        for number in numbers(&self.root.join(cluster.as_str()))?.into_iter().rev() {
            let path = self.generation(cluster, number).join(RECORD);
            match read(&path) {
                Ok(text) => {
                    let record = serde_json::from_slice(&text);
                    return record.map(Some).map_err(|source| FolderError::Record { path, source });
                }
                // A folder that somebody else made.
                Err(FolderError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Begins the next generation, alone.
    pub(super) async fn begin(&self, cluster: &ClusterName) -> Result<Making, FolderError> {
        let parent = self.root.join(cluster.as_str());
        make_folder(&parent)?;
        let lock = lock(&parent).await?;
        for entry in entries(&parent)? {
            if entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with(MAKING)) {
                std::fs::remove_dir_all(&entry).map_err(failed("remove", &entry))?;
            }
        }
        let number = numbers(&parent)?.last().map_or(1, |last| last.saturating_add(1));
        let now = jiff::Timestamp::now().as_nanosecond();
        let folder = parent.join(format!("{MAKING}{}-{now}", std::process::id()));
        make_folder(&folder)?;
        Ok(Making { _lock: lock, number, target: self.generation(cluster, number), folder, is_finished: false })
    }
}

/// A generation that is being made; it is gone when this is dropped unfinished.
#[derive(Debug)]
pub(super) struct Making {
    _lock: File,
    /// The number that it will have.
    pub(super) number: u32,
    /// Where it is made.
    pub(super) folder: PathBuf,
    target: PathBuf,
    is_finished: bool,
}

impl Making {
    /// Writes a file for the owner's eyes; its folder must be there.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), FolderError> {
        write_private(&self.folder.join(name), text.as_bytes())
    }

    /// Copies a file, or the files of a folder, to where the program consumes nothing.
    pub(super) fn keep(&self, name: &str) -> Result<(), FolderError> {
        let (from, to) = (self.folder.join(name), self.folder.join(KEPT).join(name));
        if from.is_dir() {
            make_folder(&to)?;
            for file in entries(&from)?.into_iter().filter(|path| path.is_file()) {
                if let Some(name) = file.file_name() {
                    write_private(&to.join(name), &read(&file)?)?;
                }
            }
            return Ok(());
        }
        make_folder(&self.folder.join(KEPT))?;
        write_private(&to, &read(&from)?)
    }

    /// The files of a folder of it, in the order of their names.
    pub(super) fn files(&self, folder: &str) -> Result<Vec<PathBuf>, FolderError> {
        entries(&self.folder.join(folder))
    }

    /// Keeps the program's log where it stays when this is gone; its path there.
    pub(super) fn keep_log(&self) -> PathBuf {
        let kept = self.target.with_file_name(FAILED_LOG);
        // A program that was refused before it wrote any leaves none; the error has its words.
        if let Ok(text) = read(&self.folder.join(LOG)) {
            let _ = write_private(&kept, &text);
        }
        kept
    }

    /// Takes from others whatever rights the program has given them.
    pub(super) fn close_to_others(&self) -> Result<(), FolderError> {
        close(&self.folder)
    }

    /// Writes the record and gives it its number: from now on it is there.
    pub(super) fn finish(mut self, record: &Artefacts) -> Result<(), FolderError> {
        let path = self.folder.join(RECORD);
        let text =
            serde_json::to_vec_pretty(record).map_err(|source| FolderError::Record { path: path.clone(), source })?;
        self.close_to_others()?;
        write_private(&path, &text)?;
        sync(&self.folder)?;
        std::fs::rename(&self.folder, &self.target).map_err(failed("rename to", &self.target))?;
        self.is_finished = true;
        self.target.parent().map_or(Ok(()), sync)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if !self.is_finished {
            // What is left is removed by the next one.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FolderError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed("read", path))?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(FolderError::TooLarge(path.to_owned())) } else { Ok(bytes) }
}

/// Writes a file anew, for the owner's eyes only.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(failed("write", path))
}

fn make_folder(path: &Path) -> Result<(), FolderError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("make", path))?;
    // One that was there already, or came out otherwise by the umask.
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)).map_err(failed("close", path))
}

fn sync(folder: &Path) -> Result<(), FolderError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write", folder))
}

/// Takes the rights of others from a folder and all that is in it.
pub(super) fn close(folder: &Path) -> Result<(), FolderError> {
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).map_err(failed("close", path))
    };
    set(folder, 0o700)?;
    for path in entries(folder)? {
        let kind = std::fs::symlink_metadata(&path).map_err(failed("read", &path))?.file_type();
        if kind.is_dir() {
            close(&path)?;
        } else if kind.is_file() {
            set(&path, 0o600)?;
        }
    }
    Ok(())
}

/// What a folder holds, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let list = std::fs::read_dir(folder).and_then(|list| list.map(|entry| entry.map(|entry| entry.path())).collect());
    let mut paths: Vec<PathBuf> = list.map_err(failed("list", folder))?;
    paths.sort();
    Ok(paths)
}

/// The generations that are there, in their order; none if the folder is not.
fn numbers(folder: &Path) -> Result<Vec<u32>, FolderError> {
    let paths = match entries(folder) {
        Err(FolderError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        paths => paths?,
    };
    let names = paths.iter().filter_map(|path| path.file_name()?.to_str());
    let mut numbers: Vec<u32> = names.filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

async fn lock(folder: &Path) -> Result<File, FolderError> {
    let path = folder.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(failed("open", &path))?;
    let deadline = tokio::time::Instant::now() + LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
            Err(std::fs::TryLockError::WouldBlock) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(POLL).await;
            }
            Err(std::fs::TryLockError::WouldBlock) => return Err(FolderError::Busy(folder.to_owned())),
        }
    }
}

/// The error of a folder or file of ours.
pub(super) fn of_folder(operation: String, error: FolderError) -> DeviceError {
    let (kind, hint) = match &error {
        FolderError::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            (FailureKind::Rejected, "may Harmony write its state folder, `site.state` of the site file?")
        }
        FolderError::File { .. } => (FailureKind::Transient, "is the disk of the state folder full or gone?"),
        FolderError::Record { .. } => (
            FailureKind::Invalid,
            "restore the file from a backup; without it, artefacts are made anew, which makes another cluster",
        ),
        FolderError::TooLarge(_) => (FailureKind::Invalid, "what has written this file?"),
        FolderError::Busy(_) => (FailureKind::Transient, "let it finish, or end it"),
    };
    DeviceError::new(kind, operation).because(error).hint(hint)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use harmony_core::capability::InstallerVersion;
    use jiff::Timestamp;

    use super::*;

    fn record(generation: u32) -> Artefacts {
        Artefacts {
            input: "ab".into(),
            generation,
            made_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH,
            installer: InstallerVersion { version: "4.19".into(), release_image: None, sha256: "cd".into() },
            roles: BTreeMap::new(),
        }
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_generation_is_there_when_it_is_finished_and_not_before() {
        let state = tempfile::tempdir().expect("folder");
        let clusters = Clusters { root: state.path().join("clusters") };
        let name: ClusterName = "ocp4".parse().expect("valid");
        assert!(clusters.latest(&name).expect("reads").is_none());
        assert!(!clusters.root.exists(), "a read makes nothing");

        let making = clusters.begin(&name).await.expect("begins");
        std::fs::write(making.folder.join("loose"), "x").expect("writes");
        std::fs::set_permissions(making.folder.join("loose"), PermissionsExt::from_mode(0o644)).expect("set");
        making.write("install-config.yaml", "secret").expect("writes");
        making.keep("install-config.yaml").expect("kept");
        assert!(clusters.latest(&name).expect("reads").is_none());
        making.finish(&record(1)).expect("finishes");
        assert_eq!(clusters.latest(&name).expect("reads"), Some(record(1)));
        let folder = clusters.generation(&name, 1);
        for (file, expected) in [("", 0o700), ("loose", 0o600), ("kept", 0o700), ("kept/install-config.yaml", 0o600)] {
            assert_eq!(mode(&folder.join(file)), expected, "{file}");
        }

        // As a killed run leaves it: nothing of it counts, and the next one clears it away.
        let mut killed = clusters.begin(&name).await.expect("begins");
        assert_eq!(killed.number, 2);
        killed.is_finished = true;
        let left = killed.folder.clone();
        drop(killed);
        assert!(left.exists());
        assert_eq!(clusters.latest(&name).expect("reads"), Some(record(1)));
        let next = clusters.begin(&name).await.expect("begins");
        assert!(!left.exists());
        assert_eq!(next.number, 2);
        let folder = next.folder.clone();
        drop(next);
        assert!(!folder.exists(), "given up");
    }

    #[tokio::test]
    async fn generations_are_counted_as_numbers_and_a_damaged_record_is_said() {
        let state = tempfile::tempdir().expect("folder");
        let clusters = Clusters { root: state.path().join("clusters") };
        let name: ClusterName = "ocp4".parse().expect("valid");
        for number in 1..=10 {
            let making = clusters.begin(&name).await.expect("begins");
            assert_eq!(making.number, number);
            making.finish(&record(number)).expect("finishes");
        }
        std::fs::create_dir(clusters.generation(&name, 11)).expect("made by somebody else");
        assert_eq!(clusters.latest(&name).expect("reads").map(|found| found.generation), Some(10));
        std::fs::write(clusters.generation(&name, 11).join(RECORD), "{").expect("writes");
        let error = clusters.latest(&name).expect_err("damaged").to_string();
        assert!(error.ends_with("clusters/ocp4/11/artefacts.json is damaged"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time() {
        let state = tempfile::tempdir().expect("folder");
        let clusters = Clusters { root: state.path().join("clusters") };
        let name: ClusterName = "ocp4".parse().expect("valid");
        let first = clusters.begin(&name).await.expect("begins");
        let error = clusters.begin(&name).await.expect_err("busy").to_string();
        assert!(error.starts_with("another Harmony has been making artefacts in "), "{error}");
        drop(first);
        clusters.begin(&name).await.expect("free again");
    }
}
