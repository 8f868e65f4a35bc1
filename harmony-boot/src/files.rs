//! Files that are served, from a folder or from memory: nothing outside can be named, whatever a path
//! says or a link does.
//!
//! A folder has two guards: odd paths are refused before the disk is touched, and the kernel resolves the rest
//! beneath the folder, so that no link that is swapped in between leads out.
//! Source: openat2(2), `RESOLVE_BENEATH` (Linux 5.6).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;
use tokio::io::{AsyncRead, AsyncSeek};

use crate::{BootError, Files};

/// Longest path that is looked up, in bytes.
const MAX_PATH_BYTES: usize = 1024;

/// What is served.
#[derive(Debug, Clone)]
pub(crate) enum Root {
    /// A folder, open.
    Folder(Arc<OwnedFd>),
    /// Files by path.
    Memory(Arc<BTreeMap<String, Bytes>>),
}

/// The contents of a file.
pub(crate) trait Contents: AsyncRead + AsyncSeek + Send + Unpin {}

impl<T: AsyncRead + AsyncSeek + Send + Unpin> Contents for T {}

/// A regular file in it, open.
pub(crate) struct Served {
    pub(crate) contents: Box<dyn Contents>,
    /// Its size when it was opened.
    pub(crate) size_bytes: u64,
    /// Changes when the file does: for `ETag`.
    pub(crate) version: String,
}

/// Why a path is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileRefusal {
    /// The path is no path in a folder.
    #[error("the path {0}")]
    Odd(&'static str),
    /// No regular file of this name.
    #[error("there is no such file")]
    NotFound,
    /// It is there, but cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(io::Error),
}

impl Root {
    /// Opens a folder; it stays the same one if another takes its name.
    pub(crate) fn open(files: &Files) -> Result<Self, BootError> {
        let path = match files {
            Files::Folder(path) => path,
            Files::Memory(files) => return Ok(Self::Memory(Arc::new(files.clone()))),
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match open(path, flags, Mode::empty()) {
            Ok(folder) => Ok(Self::Folder(Arc::new(folder))),
            Err(errno) => Err(BootError::Folder { folder: path.clone(), source: errno.into() }),
        }
    }

    /// Opens the file of this path.
    pub(crate) async fn file(&self, path: &str) -> Result<Served, FileRefusal> {
        let checked = check(path)?;
        match self {
            // In place: what blocks is done by other threads, which a simulated world cannot wait for.
            Self::Memory(files) => {
                let contents = files.get(path).cloned().ok_or(FileRefusal::NotFound)?;
                let size_bytes = contents.len() as u64;
                Ok(Served {
                    contents: Box::new(Cursor::new(contents)),
                    size_bytes,
                    version: format!("memory-{size_bytes:x}"),
                })
            }
            Self::Folder(folder) => {
                let folder = Arc::clone(folder);
                let opening = tokio::task::spawn_blocking(move || beneath(&folder, &checked));
                opening.await.map_err(|error| FileRefusal::Unreadable(io::Error::other(error)))?
            }
        }
    }
}

fn check(path: &str) -> Result<PathBuf, FileRefusal> {
    if path.is_empty() {
        return Err(FileRefusal::NotFound);
    }
    if path.len() > MAX_PATH_BYTES {
        return Err(FileRefusal::Odd("is too long"));
    }
    if path.chars().any(char::is_control) {
        return Err(FileRefusal::Odd("has a control character"));
    }
    if path.starts_with('/') {
        return Err(FileRefusal::Odd("is absolute"));
    }
    // Backslashes are separators to some firmware, and never in a name that we serve.
    if path.contains('\\') {
        return Err(FileRefusal::Odd("has a backslash"));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(FileRefusal::Odd("leads out of the folder"));
    }
    Ok(path.into())
}

fn beneath(folder: &OwnedFd, path: &Path) -> Result<Served, FileRefusal> {
    // Non-blocking, so that a FIFO in the folder does not stop us.
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let file = match openat2(folder, path, how) {
        Ok(file) => File::from(file),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ENXIO | Errno::ENAMETOOLONG) => return Err(FileRefusal::NotFound),
        Err(Errno::EXDEV | Errno::ELOOP) => {
            return Err(FileRefusal::Odd("leads out of the folder over a symbolic link"));
        }
        Err(errno) => return Err(FileRefusal::Unreadable(errno.into())),
    };
    let metadata = file.metadata().map_err(FileRefusal::Unreadable)?;
    if !metadata.is_file() {
        return Err(FileRefusal::NotFound);
    }
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let version = format!("{:x}-{:x}", modified.unwrap_or_default().as_nanos(), metadata.len());
    Ok(Served { contents: Box::new(tokio::fs::File::from_std(file)), size_bytes: metadata.len(), version })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    async fn refusal(folder: &Root, path: &str) -> String {
        folder.file(path).await.err().expect(path).to_string()
    }

    #[tokio::test]
    async fn memory_has_what_was_put_there_and_the_same_refusals() {
        let files = BTreeMap::from([("sub/file".to_owned(), Bytes::from_static(b"yes"))]);
        let root = Root::open(&Files::Memory(files)).expect("opens");
        let mut served = root.file("sub/file").await.expect("there");
        let mut text = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut served.contents, &mut text).await.expect("reads");
        assert_eq!((text.as_str(), served.size_bytes), ("yes", 3));
        assert_eq!(refusal(&root, "sub").await, "there is no such file");
        assert_eq!(refusal(&root, "../secret").await, "the path leads out of the folder");
        assert_eq!(refusal(&root, "/sub/file").await, "the path is absolute");
    }

    #[tokio::test]
    async fn what_is_outside_cannot_be_named() {
        let outer = tempfile::tempdir().expect("a folder");
        let root = outer.path().join("root");
        std::fs::create_dir_all(root.join("sub")).expect("makes");
        std::fs::write(outer.path().join("secret"), "no").expect("writes");
        std::fs::write(root.join("sub/file"), "yes").expect("writes");
        symlink("sub/file", root.join("inside")).expect("links");
        std::fs::create_dir_all(root.join(".blobs/sha256")).expect("makes");
        std::fs::hard_link(root.join("sub/file"), root.join(".blobs/sha256/ab")).expect("links");
        symlink("../secret", root.join("outside")).expect("links");
        symlink("/etc/passwd", root.join("absolute")).expect("links");
        symlink("..", root.join("up")).expect("links");
        symlink("loop", root.join("loop")).expect("links");
        nix::unistd::mkfifo(&root.join("fifo"), Mode::S_IRWXU).expect("makes");
        let folder = Root::open(&Files::Folder(root)).expect("opens");
        for path in ["sub/file", "inside", "./sub//file", ".blobs/sha256/ab"] {
            assert_eq!(folder.file(path).await.expect(path).size_bytes, 3, "{path}");
        }
        for path in ["../secret", "sub/../../secret", "..", "sub/.."] {
            assert_eq!(refusal(&folder, path).await, "the path leads out of the folder", "{path}");
        }
        for path in ["outside", "absolute", "up/secret", "loop"] {
            assert_eq!(refusal(&folder, path).await, "the path leads out of the folder over a symbolic link", "{path}");
        }
        for path in ["", ".", "sub", "sub/", "nothing", "sub/file/x", "fifo"] {
            assert_eq!(refusal(&folder, path).await, "there is no such file", "{path}");
        }
        assert_eq!(refusal(&folder, "/etc/passwd").await, "the path is absolute");
        assert_eq!(refusal(&folder, "sub\\file").await, "the path has a backslash");
        assert_eq!(refusal(&folder, "sub/file\0").await, "the path has a control character");
        assert_eq!(refusal(&folder, &"a/".repeat(600)).await, "the path is too long");
    }
}
