//! Host keys as they were first seen: `HOST STAGE ALGORITHM KEY`, a line each.
//!
//! The key of an installed system is pinned: it was made on that disk, and another one there later
//! means another system or somebody in between. The live environment makes new keys at every boot,
//! so a pin would be wrong the next time; what is kept of it is the last key seen, for people to
//! compare, and what it says is trusted no further than any other unverified report.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use harmony_core::capability::LoginStage;
use harmony_core::host::HostId;
use russh::keys::PublicKey;

/// Largest file that is read, in bytes: some 40,000 hosts.
const MAX_BYTES: u64 = 8 << 20;

/// Why a pin cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum KnownHostsError {
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
    #[error("{} line {line} holds no host key", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
}

/// The file of pins.
#[derive(Debug)]
pub(super) struct KnownHosts {
    path: PathBuf,
}

fn name(host: &HostId, stage: &LoginStage) -> String {
    match stage {
        LoginStage::Live => format!("{host} live"),
        LoginStage::Installed { order } => format!("{host} installed-{order}"),
    }
}

impl KnownHosts {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> Result<String, KnownHostsError> {
        let mut text = String::new();
        match std::fs::File::open(&self.path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text)) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(KnownHostsError::Read { path: self.path.clone(), source })
            }
            _ => Ok(text),
        }
    }

    /// The key that was seen of this system.
    pub(super) fn seen(&self, host: &HostId, stage: &LoginStage) -> Result<Option<PublicKey>, KnownHostsError> {
        let prefix = format!("{} ", name(host, stage));
        let text = self.read()?;
        let Some((index, line)) = text.lines().enumerate().find(|(_, line)| line.starts_with(&prefix)) else {
            return Ok(None);
        };
        let wrong = |_| KnownHostsError::Line { path: self.path.clone(), line: index + 1 };
        PublicKey::from_openssh(&line[prefix.len()..]).map(Some).map_err(wrong)
    }

    /// Keeps a key. One that is there for the same system is replaced.
    pub(super) fn keep(&self, host: &HostId, stage: &LoginStage, key: &PublicKey) -> Result<(), KnownHostsError> {
        let failed = |source| KnownHostsError::Write { path: self.path.clone(), source };
        let key = PublicKey::new(key.key_data().clone(), "")
            .to_openssh()
            .map_err(|error| failed(std::io::Error::other(error)))?;
        let wanted = format!("{} {}", name(host, stage), key.trim_end());
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        // Other processes keep pins here too.
        let lock = std::fs::File::create(self.path.with_extension("lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let text = self.read()?;
        if text.lines().any(|line| line == wanted) {
            return Ok(());
        }
        let prefix = format!("{} ", name(host, stage));
        let others = text.lines().filter(|line| !line.starts_with(&prefix)).map(|line| format!("{line}\n"));
        let text: String = others.chain([format!("{wanted}\n")]).collect();
        let fresh = self.path.with_extension("new");
        std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, &self.path)).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use russh::keys::{Algorithm, PrivateKey};

    fn key() -> PublicKey {
        let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).expect("made");
        key.public_key().clone()
    }

    #[test]
    fn a_key_is_kept_by_host_and_stage() {
        let folder = tempfile::tempdir().expect("folder");
        let known = KnownHosts::new(folder.path().join("ssh/known_hosts"));
        let (a, b) = (HostId::derive("a", 0), HostId::derive("b", 0));
        let stages = [LoginStage::Live, LoginStage::Installed { order: 1 }, LoginStage::Installed { order: 12 }];
        assert_eq!(known.seen(&a, &stages[0]).expect("no file"), None);
        let keys: Vec<PublicKey> = stages.iter().map(|_| key()).collect();
        for (stage, key) in stages.iter().zip(&keys) {
            known.keep(&a, stage, key).expect("kept");
            known.keep(&a, stage, key).expect("again");
        }
        known.keep(&b, &stages[0], &keys[2]).expect("kept");
        for (stage, key) in stages.iter().zip(&keys) {
            assert_eq!(known.seen(&a, stage).expect("read").as_ref().map(PublicKey::key_data), Some(key.key_data()));
        }
        assert_eq!(known.seen(&b, &stages[1]).expect("read"), None);
        known.keep(&a, &stages[0], &keys[1]).expect("the next boot's key");
        assert_eq!(std::fs::read_to_string(known.path()).expect("read").lines().count(), 4);
    }

    #[test]
    fn a_damaged_line_is_named() {
        let folder = tempfile::tempdir().expect("folder");
        let known = KnownHosts::new(folder.path().join("known_hosts"));
        let host = HostId::derive("a", 0);
        std::fs::write(known.path(), format!("# pins\n{host} live ssh-ed25519 AAAA\n")).expect("written");
        let error = known.seen(&host, &LoginStage::Live).expect_err("damaged").to_string();
        assert_eq!(error, format!("{} line 2 holds no host key", known.path().display()));
    }
}
