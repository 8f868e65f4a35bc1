//! The key that Harmony logs in with: read, or made when there is none.
//!
//! Ed25519, because RSA private keys leak through timing in the library below (RUSTSEC-2023-0071).

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

/// A private key file is smaller than this, in bytes.
const MAX_KEY_BYTES: u64 = 64 << 10;
/// Last word of the public key, by which people recognise it on a host.
const COMMENT: &str = "harmony";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum SshKeyError {
    /// The file cannot be read.
    #[error("failed to read the SSH key {}", .path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is none, and none can be written.
    #[error("failed to make the SSH key {}", .path.display())]
    Make {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no private key.
    #[error("{} holds no SSH private key", .path.display())]
    NoKey {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: russh::keys::ssh_key::Error,
    },
    /// The key is locked by a passphrase, and there is nobody to ask.
    #[error("the SSH key {} is locked by a passphrase; name one that is not", .path.display())]
    Locked {
        /// Its path.
        path: PathBuf,
    },
    /// Other users can read the key.
    #[error("the SSH key {} can be read by other users; run: chmod 600 {}", .path.display(), .path.display())]
    Exposed {
        /// Its path.
        path: PathBuf,
    },
}

/// Reads the key, or makes one for the owner's eyes only.
pub(crate) fn load_or_make(path: &Path) -> Result<PrivateKey, SshKeyError> {
    match load(path) {
        Err(SshKeyError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
            make(path)?;
            load(path)
        }
        loaded => loaded,
    }
}

fn load(path: &Path) -> Result<PrivateKey, SshKeyError> {
    let failed = |source| SshKeyError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
        return Err(SshKeyError::Exposed { path: path.to_owned() });
    }
    let mut text = String::new();
    file.take(MAX_KEY_BYTES).read_to_string(&mut text).map_err(failed)?;
    let key = PrivateKey::from_openssh(&text).map_err(|source| SshKeyError::NoKey { path: path.to_owned(), source })?;
    if key.is_encrypted() { Err(SshKeyError::Locked { path: path.to_owned() }) } else { Ok(key) }
}

/// Two Harmony processes may do this at once; the file that is there first wins.
fn make(path: &Path) -> Result<(), SshKeyError> {
    let failed = |source| SshKeyError::Make { path: path.to_owned(), source };
    let wrong = |source| SshKeyError::NoKey { path: path.to_owned(), source };
    let mut key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).map_err(wrong)?;
    key.set_comment(COMMENT);
    let text = key.to_openssh(LineEnding::LF).map_err(wrong)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh).map_err(failed)?;
    let written =
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| std::fs::hard_link(&fresh, path));
    let removed = std::fs::remove_file(&fresh);
    match written {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(error)),
        _ => removed.map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("ssh/id_ed25519");
        let first = load_or_make(&path).expect("made");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let again = load_or_make(&path).expect("read");
        assert_eq!(first.public_key(), again.public_key());
        assert!(first.public_key().to_openssh().expect("text").ends_with(" harmony"));
        assert_eq!(std::fs::read_dir(folder.path().join("ssh")).expect("read").count(), 1, "nothing is left behind");
    }

    #[test]
    fn keys_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("key");
        let refused = |text: &str, mode| {
            std::fs::write(&path, text).expect("written");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("set");
            load_or_make(&path).expect_err("refused").to_string().replace(&path.display().to_string(), "KEY")
        };
        assert_eq!(refused("no key", 0o600), "KEY holds no SSH private key");
        assert_eq!(refused("no key", 0o644), "the SSH key KEY can be read by other users; run: chmod 600 KEY");
        // ssh-keygen -t ed25519 -N test
        assert_eq!(
            refused(include_str!("testdata/locked"), 0o600),
            "the SSH key KEY is locked by a passphrase; name one that is not"
        );
        let under_a_file = path.join("key");
        assert!(matches!(load_or_make(&under_a_file), Err(SshKeyError::Read { .. })));
    }
}
