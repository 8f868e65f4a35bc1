//! The program itself: found, its digest and version known and as the site file wants them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use harmony_core::capability::InstallerVersion;
use harmony_core::error::{DeviceError, FailureKind};
use sha2::{Digest, Sha256};

/// Why a program is not used.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not there.
    #[error("the program `{}` is not there", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("failed to read {}", .path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is another one.
    #[error("the SHA-256 of {} is {found}, wanted is {wanted}", .path.display())]
    Digest {
        /// Its path.
        path: PathBuf,
        /// What it has.
        found: String,
        /// What the site file says.
        wanted: String,
    },
    /// It is of another version.
    #[error("{} is version {found}, wanted is {wanted}", .path.display())]
    Version {
        /// Its path.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What the site file says.
        wanted: String,
    },
    /// It does not say which version it is.
    #[error("{} does not tell its version", .0.display())]
    NoVersion(PathBuf),
}

/// A file as it was when it was hashed: any change of it changes one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    path: PathBuf,
    place: (u64, u64),
    size_bytes: u64,
    changed: (i64, i64),
    modified: (i64, i64),
}

impl Mark {
    fn of(path: &Path, file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            path: path.to_owned(),
            place: (metadata.dev(), metadata.ino()),
            size_bytes: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// What was found out about programs: hashing half a gigabyte takes a second, so it is done once per file.
#[derive(Debug, Default)]
pub(super) struct Known {
    digest: Mutex<Option<(Mark, String)>>,
    version: Mutex<Option<(Mark, InstallerVersion)>>,
}

impl Known {
    /// The digest of a program, in lower-case hex.
    pub(super) async fn digest(&self, path: &Path) -> Result<(Mark, String), ProgramError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => ProgramError::Missing(path.to_owned()),
            _ => ProgramError::Read { path: path.to_owned(), source },
        };
        let file = File::open(path).map_err(failed)?;
        let mark = Mark::of(path, &file).map_err(failed)?;
        let known = self.digest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((known, digest)) = known
            && known == mark
        {
            return Ok((mark, digest));
        }
        let hashed = tokio::task::spawn_blocking(move || sha256(file)).await;
        let digest = hashed.map_err(io::Error::other).and_then(|digest| digest).map_err(failed)?;
        *self.digest.lock().unwrap_or_else(PoisonError::into_inner) = Some((mark.clone(), digest.clone()));
        Ok((mark, digest))
    }

    /// The version that was kept for a file as it is.
    pub(super) fn version(&self, mark: &Mark) -> Option<InstallerVersion> {
        let known = self.version.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.filter(|(known, _)| known == mark).map(|(_, version)| version)
    }

    /// Keeps it.
    pub(super) fn keep_version(&self, mark: Mark, version: InstallerVersion) {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some((mark, version));
    }
}

fn sha256(mut file: impl Read) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&digest.finalize())),
            read => digest.update(&buffer[..read]),
        }
    }
}

/// Bytes as lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads what `version` prints: `openshift-install 4.19.0…`, and the line `release image …`.
pub(super) fn version(text: &str, sha256: String) -> Option<InstallerVersion> {
    let is_word = |word: &&str| (1..=128).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_graphic());
    let first = text.lines().find_map(|line| line.trim().strip_prefix("openshift-install "))?;
    let version = first.trim().split(' ').next().filter(is_word)?;
    let image = text.lines().find_map(|line| line.trim().strip_prefix("release image "));
    let release_image = image
        .map(str::trim)
        .filter(|image| (1..=512).contains(&image.len()) && image.bytes().all(|byte| byte.is_ascii_graphic()));
    Some(InstallerVersion { version: version.to_owned(), release_image: release_image.map(str::to_owned), sha256 })
}

/// The error of a program that is not used.
pub(super) fn refused(operation: &str, error: ProgramError) -> DeviceError {
    let replace = |key: &str| {
        format!("put the program of the release in its place, or correct `installer.{key}` in the site file")
    };
    let (kind, hint) = match &error {
        ProgramError::Missing(_) => (FailureKind::Rejected, super::INSTALL_HINT.to_owned()),
        ProgramError::Read { .. } => (FailureKind::Rejected, "may Harmony read it?".to_owned()),
        ProgramError::Digest { .. } => (FailureKind::Conflict, replace("sha256")),
        ProgramError::Version { .. } => (FailureKind::Conflict, replace("version")),
        ProgramError::NoVersion(_) => (FailureKind::Invalid, "is it an openshift-install?".to_owned()),
    };
    DeviceError::new(kind, operation).because(error).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let text = "openshift-install 4.20.0-0.okd-scos-peer\nbuilt from commit 7ad0e3\nrelease image quay.io/okd/scos-release:4.19\nrelease architecture unknown\n";
        let read = version(text, "ab".into()).expect("valid");
        assert_eq!(
            (read.version.as_str(), read.release_image.as_deref()),
            ("4.20.0-0.okd-scos-peer", Some("quay.io/okd/scos-release:4.19"))
        );
        assert_eq!(
            version("openshift-install unreleased-master-1\n", String::new()).expect("valid").release_image,
            None
        );
        for text in ["", "4.19", "openshift-install \u{7}", "openshift-install  "] {
            assert_eq!(version(text, String::new()), None, "{text}");
        }
    }

    #[tokio::test]
    async fn a_changed_program_is_hashed_anew() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("program");
        std::fs::write(&path, "abc").expect("writes");
        let known = Known::default();
        let (mark, digest) = known.digest(&path).await.expect("reads");
        // FIPS 180-4, the example of one block.
        assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        std::fs::write(folder.path().join("new"), "abd").expect("writes");
        std::fs::rename(folder.path().join("new"), &path).expect("renames");
        let (other, changed) = known.digest(&path).await.expect("reads");
        assert_ne!((&mark, &digest), (&other, &changed));
        assert!(matches!(known.digest(&folder.path().join("none")).await, Err(ProgramError::Missing(_))));
    }
}
