//! The folder that everything is written to: nobody else's to read, and never over what is there.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::Failed;

/// A folder of our own.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder, or takes an empty one.
    pub(crate) fn new(path: &Path) -> Result<Self, Failed> {
        let failed = |act: &'static str| {
            move |error: io::Error| {
                Failed::new(format!("failed to {act} the folder {}: {error}", path.display()))
                    .hint("name a folder that you may make")
            }
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed("make"))?;
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let mut entries = std::fs::read_dir(path).map_err(failed("read"))?;
                if entries.next().is_some() {
                    return Err(Failed::new(format!(
                        "{} is not empty, and nothing there is overwritten",
                        path.display()
                    ))
                    .hint("name a new folder, or remove what is in this one"));
                }
            }
            made => made.map_err(failed("make"))?,
        }
        let folder = Self(std::path::absolute(path).map_err(failed("find"))?);
        // One that was there already, or came out otherwise by the umask.
        close(&folder.0).map_err(failed("close"))?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file that is not there yet, for the owner's eyes.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<(), Failed> {
        let path = self.0.join(name);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        opened.and_then(|mut file| file.write_all(text.as_ref())).map_err(|error| {
            Failed::new(format!("failed to write {}: {error}", path.display())).hint("is the disk full?")
        })
    }

    /// Closes all that is in it to others, and tells what that is, in the order of the names.
    pub(crate) fn finish(&self) -> Result<Vec<PathBuf>, Failed> {
        let mut files = Vec::new();
        walk(&self.0, &mut files)
            .map_err(|error| Failed::new(format!("failed to close {} to others: {error}", self.0.display())))?;
        files.sort();
        Ok(files)
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    close(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let kind = std::fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            walk(&path, files)?;
        } else {
            if kind.is_file() {
                std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            }
            files.push(path);
        }
    }
    Ok(())
}

fn close(folder: &Path) -> io::Result<()> {
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))
}
