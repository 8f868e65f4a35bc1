//! The files that are served, each once: contents by their digest, and links to them at the paths where they are
//! asked for.
//!
//! Owns `.blobs/` in the folder of the boot server: `sha256/HEX` whole files, `partial/HEX` what is being fetched. A
//! served path is a hard link, because the boot server follows symbolic links inside its folder, and others (Caddy, a
//! copy by rsync) may not. Does not know where files come from ([`super::download`]).

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use harmony_core::capability::AssetInfo;
use sha2::{Digest, Sha256};

/// Files that are looked through in a folder.
const MAX_FILES: usize = 100_000;
const BLOBS: &str = ".blobs";

/// Why a file cannot be kept or shown.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A path that leads elsewhere, or that a boot server does not serve.
    #[error(
        "`{0}` is no path below `/os/`: letters, digits and `.-_+` between slashes, no part beginning with a dot but `.treeinfo`"
    )]
    Path(String),
    /// A digest that is none.
    #[error("`{0}` is no SHA-256: 64 hexadecimal digits")]
    Digest(String),
    /// A file or folder.
    #[error("failed to {act} {}", .path.display())]
    File {
        /// What was tried.
        act: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process fetches the same file.
    #[error("another process is fetching {}", .0.display())]
    Busy(PathBuf),
    /// The folder holds more than is sensible.
    #[error("{} holds more than {MAX_FILES} files", .0.display())]
    TooMany(PathBuf),
}

pub(super) fn failed<'a>(act: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::File { act, path: path.to_owned(), source }
}

/// A digest, checked: 64 hexadecimal digits, lower case.
pub(super) fn digest(text: &str) -> Result<String, StoreError> {
    let text = text.trim().to_ascii_lowercase();
    let is_right = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_right {
        Ok(text)
    } else {
        Err(StoreError::Digest(text.chars().take(80).flat_map(char::escape_default).collect()))
    }
}

/// A path below `/os/`, checked; a slash at its beginning is dropped.
pub(super) fn relative(path: &str) -> Result<PathBuf, StoreError> {
    let wrong = || StoreError::Path(path.chars().take(120).flat_map(char::escape_default).collect());
    let plain = path.strip_prefix('/').unwrap_or(path);
    let is_part = |part: &str| {
        let is_plain = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte));
        is_plain && (1..=255).contains(&part.len()) && (!part.starts_with('.') || part == ".treeinfo")
    };
    if plain.len() <= 1024 && plain.split('/').all(is_part) { Ok(PathBuf::from(plain)) } else { Err(wrong()) }
}

/// A file as it was when it was hashed.
type Mark = (u64, u64, u64, i64, i64);

fn mark(metadata: &std::fs::Metadata) -> Mark {
    // Not the time of the last change of the inode: a link more or less is such a change.
    (metadata.dev(), metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// The folder of the boot server.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) root: PathBuf,
    hashed: Mutex<HashMap<Mark, String>>,
}

impl Store {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), hashed: Mutex::default() }
    }

    fn blob(&self, sha256: &str) -> PathBuf {
        self.root.join(BLOBS).join("sha256").join(sha256)
    }

    /// Where a whole file is.
    pub(super) fn whole(&self, sha256: &str) -> PathBuf {
        self.blob(sha256)
    }

    /// Where a file grows until it is whole.
    pub(super) fn partial(&self, sha256: &str) -> PathBuf {
        self.root.join(BLOBS).join("partial").join(sha256)
    }

    /// Opens it, alone; what was fetched before is in it.
    pub(super) fn open_partial(&self, sha256: &str) -> Result<File, StoreError> {
        let path = self.partial(sha256);
        make_parent(&path)?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::Busy(path)),
            Err(std::fs::TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
        }
    }

    /// Makes a whole file one of the store. Its digest has been checked.
    pub(super) fn adopt(&self, partial: &Path, sha256: &str) -> Result<(), StoreError> {
        let blob = self.blob(sha256);
        make_parent(&blob)?;
        // Whoever changes a served file changes all of its links: nobody shall by accident.
        std::fs::set_permissions(partial, PermissionsExt::from_mode(0o444)).map_err(failed("close", partial))?;
        File::open(partial).and_then(|file| file.sync_all()).map_err(failed("write", partial))?;
        std::fs::rename(partial, &blob).map_err(failed("rename to", &blob))
    }

    /// Whether the store has this file.
    pub(super) fn has(&self, sha256: &str) -> bool {
        self.blob(sha256).is_file()
    }

    /// Shows a file of the store at a path, in place of what is there.
    pub(super) fn link(&self, sha256: &str, path: &Path) -> Result<(), StoreError> {
        let (blob, target) = (self.blob(sha256), self.root.join(path));
        if let (Ok(ours), Ok(theirs)) = (std::fs::metadata(&blob), std::fs::symlink_metadata(&target))
            && (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())
        {
            return Ok(());
        }
        make_parent(&target)?;
        // A link cannot replace a file; a rename can. It is in the store's folder, where nobody looks for it.
        let fresh = self.root.join(BLOBS).join(format!("link-{}-{sha256}", std::process::id()));
        let _ = std::fs::remove_file(&fresh);
        std::fs::hard_link(&blob, &fresh).map_err(failed("link", &blob))?;
        std::fs::rename(&fresh, &target).map_err(failed("rename to", &target))
    }

    /// What is at a path.
    pub(super) fn info(&self, path: &Path) -> Result<Option<AssetInfo>, StoreError> {
        let target = self.root.join(path);
        let metadata = match std::fs::metadata(&target) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return Ok(None),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(failed("read", &target)(error)),
        };
        let mark = mark(&metadata);
        let known = self.hashed.lock().unwrap_or_else(PoisonError::into_inner).get(&mark).cloned();
        let sha256 = match known.or_else(|| self.name_of(&metadata)) {
            Some(sha256) => sha256,
            // A file that somebody has put here.
            None => sha256_of(&target)?,
        };
        self.hashed.lock().unwrap_or_else(PoisonError::into_inner).insert(mark, sha256.clone());
        Ok(Some(AssetInfo { sha256, size_bytes: metadata.len() }))
    }

    /// The digest of a file of the store: its name there.
    fn name_of(&self, metadata: &std::fs::Metadata) -> Option<String> {
        let blobs = std::fs::read_dir(self.root.join(BLOBS).join("sha256")).ok()?;
        let found = blobs.filter_map(Result::ok).find(|entry| {
            entry.metadata().is_ok_and(|found| (found.dev(), found.ino()) == (metadata.dev(), metadata.ino()))
        });
        digest(found?.file_name().to_str()?).ok()
    }

    /// The paths of all files, without the store's own.
    pub(super) fn paths(&self) -> Result<Vec<PathBuf>, StoreError> {
        let (mut paths, mut folders) = (Vec::new(), vec![PathBuf::new()]);
        while let Some(folder) = folders.pop() {
            let full = self.root.join(&folder);
            let entries = match std::fs::read_dir(&full) {
                Err(error) if folder.as_os_str().is_empty() && error.kind() == io::ErrorKind::NotFound => break,
                entries => entries.map_err(failed("list", &full))?,
            };
            for entry in entries {
                let entry = entry.map_err(failed("list", &full))?;
                let (name, path) = (entry.file_name(), folder.join(entry.file_name()));
                // Links to folders are not followed: they may lead round in circles.
                let kind = entry.file_type().map_err(failed("read", &path))?;
                if kind.is_dir() && name != BLOBS {
                    folders.push(path);
                } else if !kind.is_dir() && self.root.join(&path).is_file() {
                    paths.push(path);
                }
                if paths.len() + folders.len() > MAX_FILES {
                    return Err(StoreError::TooMany(self.root.clone()));
                }
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// Hashes a file anew; what its digest should be, where the store knows, and what it is.
    pub(super) fn rehash(&self, path: &Path) -> Result<(Option<String>, String), StoreError> {
        let target = self.root.join(path);
        let metadata = std::fs::metadata(&target).map_err(failed("read", &target))?;
        Ok((self.name_of(&metadata), sha256_of(&target)?))
    }
}

fn make_parent(path: &Path) -> Result<(), StoreError> {
    path.parent().map_or(Ok(()), |folder| std::fs::create_dir_all(folder).map_err(failed("make", folder)))
}

/// The digest of a file, lower-case hex.
pub(super) fn sha256_of(path: &Path) -> Result<String, StoreError> {
    let mut file = File::open(path).map_err(failed("read", path))?;
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).map_err(failed("read", path))? {
            0 => return Ok(hex(digest)),
            read => digest.update(&buffer[..read]),
        }
    }
}

/// A digest in lower-case hex.
pub(super) fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_folder() {
        for path in ["scos/9.0/scos-live-kernel.x86_64", "/a/b", "centos-stream-9/.treeinfo"] {
            assert!(relative(path).is_ok(), "{path}");
        }
        for path in ["", "/", "a//b", "../a", "a/../b", ".blobs/sha256/x", "a/.hidden", "a b", "a\n", "//a", "ä"] {
            assert!(relative(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_file_is_there_once_and_shown_at_many_paths() {
        let folder = tempfile::tempdir().expect("folder");
        let store = Store::new(folder.path());
        assert!(store.paths().expect("lists").is_empty());
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        drop(store.open_partial(sha256).expect("opens"));
        std::fs::write(store.partial(sha256), "abc").expect("writes");
        store.adopt(&store.partial(sha256), sha256).expect("adopts");
        for path in ["a/x", "b/y", "a/x"] {
            store.link(sha256, Path::new(path)).expect("links");
        }
        std::fs::write(folder.path().join("own"), "abd").expect("writes");
        assert_eq!(store.paths().expect("lists"), ["a/x", "b/y", "own"].map(PathBuf::from));
        let info = store.info(Path::new("b/y")).expect("reads").expect("there");
        assert_eq!((info.sha256.as_str(), info.size_bytes), (sha256, 3));
        assert_ne!(store.info(Path::new("own")).expect("reads").expect("there").sha256, sha256);
        assert_eq!(store.info(Path::new("a")).expect("reads"), None);
        assert_eq!(std::fs::metadata(folder.path().join("a/x")).expect("there").nlink(), 3);
        store.link(sha256, Path::new("own")).expect("replaces what somebody put there");
        assert_eq!(std::fs::read(folder.path().join("own")).expect("reads"), b"abc");
    }

    #[test]
    fn one_fetches_at_a_time() {
        let folder = tempfile::tempdir().expect("folder");
        let store = Store::new(folder.path());
        let first = store.open_partial("ab").expect("opens");
        assert!(matches!(store.open_partial("ab"), Err(StoreError::Busy(_))));
        drop(first);
        store.open_partial("ab").expect("free again");
    }
}
