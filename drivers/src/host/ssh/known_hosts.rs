//! Host keys as they were first seen: `HOST STAGE ALGORITHM KEY`, or `switch NAME ALGORITHM KEY`, a
//! line each.
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
pub(crate) struct KnownHosts {
    path: PathBuf,
}

fn name(host: &HostId, stage: &LoginStage) -> String {
    match stage {
        LoginStage::Live => format!("{host} live"),
        LoginStage::Installed { order } => format!("{host} installed-{order}"),
    }
}

impl KnownHosts {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
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
        self.seen_of(&name(host, stage))
    }

    /// The key that was seen of what has this name: two words.
    pub(crate) fn seen_of(&self, name: &str) -> Result<Option<PublicKey>, KnownHostsError> {
        let prefix = format!("{name} ");
        let text = self.read()?;
        let Some((index, line)) = text.lines().enumerate().find(|(_, line)| line.starts_with(&prefix)) else {
            return Ok(None);
        };
        let wrong = |_| KnownHostsError::Line { path: self.path.clone(), line: index + 1 };
        PublicKey::from_openssh(&line[prefix.len()..]).map(Some).map_err(wrong)
    }

    /// Keeps a key. One that is there for the same system is replaced.
    pub(super) fn keep(&self, host: &HostId, stage: &LoginStage, key: &PublicKey) -> Result<(), KnownHostsError> {
        self.keep_of(&name(host, stage), key)
    }

    /// Keeps the key of what has this name: two words.
    pub(crate) fn keep_of(&self, name: &str, key: &PublicKey) -> Result<(), KnownHostsError> {
        let failed = |source| KnownHostsError::Write { path: self.path.clone(), source };
        let key = PublicKey::new(key.key_data().clone(), "")
            .to_openssh()
            .map_err(|error| failed(std::io::Error::other(error)))?;
        let wanted = format!("{name} {}", key.trim_end());
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let _lock = self.lock()?;
        let text = self.read()?;
        if text.lines().any(|line| line == wanted) {
            return Ok(());
        }
        let prefix = format!("{name} ");
        let others = text.lines().filter(|line| !line.starts_with(&prefix));
        self.write(others.chain([wanted.as_str()]))
    }

    /// Drops all keys of a host; how many there were.
    pub(super) fn forget(&self, host: &HostId) -> Result<usize, KnownHostsError> {
        if !self.path.exists() {
            return Ok(0);
        }
        let _lock = self.lock()?;
        let text = self.read()?;
        let prefix = format!("{host} ");
        let forgotten = text.lines().filter(|line| line.starts_with(&prefix)).count();
        if forgotten > 0 {
            self.write(text.lines().filter(|line| !line.starts_with(&prefix)))?;
        }
        Ok(forgotten)
    }

    /// Held while the file is changed: other processes keep pins here too.
    fn lock(&self) -> Result<std::fs::File, KnownHostsError> {
        let failed = |source| KnownHostsError::Write { path: self.path.clone(), source };
        let lock = std::fs::File::create(self.path.with_extension("lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(lock)
    }

    fn write<'a>(&self, lines: impl Iterator<Item = &'a str>) -> Result<(), KnownHostsError> {
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        let fresh = self.path.with_extension("new");
        let written = std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, &self.path));
        written.map_err(|source| KnownHostsError::Write { path: self.path.clone(), source })
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
    fn the_keys_of_one_host_can_be_forgotten() {
        let folder = tempfile::tempdir().expect("folder");
        let known = KnownHosts::new(folder.path().join("known_hosts"));
        let (a, b) = (HostId::derive("a", 0), HostId::derive("b", 0));
        assert_eq!(known.forget(&a).expect("no file"), 0);
        let stage = LoginStage::Installed { order: 1 };
        for (host, stage) in [(&a, &stage), (&a, &LoginStage::Live), (&b, &stage)] {
            known.keep(host, stage, &key()).expect("kept");
        }
        assert_eq!((known.forget(&a).expect("written"), known.forget(&a).expect("read")), (2, 0));
        assert_eq!(known.seen(&a, &stage).expect("read"), None);
        assert!(known.seen(&b, &stage).expect("read").is_some(), "the other host's stays");
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
