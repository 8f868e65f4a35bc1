//! Host keys as they were first seen: `HOST STAGE ALGORITHM KEY`, or `switch NAME ALGORITHM KEY`, a
//! line each.
//!
//! The key of an installed system is pinned: it was made on that disk, and another one there later
//! means another system or somebody in between. The live environment makes new keys at every boot,
//! so a pin would be wrong the next time; what is kept of it is the last key seen, for people to
//! compare, and what it says is trusted no further than any other unverified report.

use std::io::Error;
use std::path::{Path, PathBuf};

use harmony_core::capability::LoginStage;
use harmony_core::host::HostId;
use russh::keys::PublicKey;

use crate::transport::PinFileError;
use crate::transport::pin_file::PinFile;

/// The file of pins.
#[derive(Debug)]
pub(crate) struct KnownHosts(PinFile);

fn name(host: &HostId, stage: &LoginStage) -> String {
    match stage {
        LoginStage::Live => format!("{host} live"),
        LoginStage::Installed { order } => format!("{host} installed-{order}"),
    }
}

impl KnownHosts {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(PinFile::new(path))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The key that was seen of this system.
    pub(super) fn seen(&self, host: &HostId, stage: &LoginStage) -> Result<Option<PublicKey>, PinFileError> {
        self.seen_of(&name(host, stage))
    }

    /// The key that was seen of what has this name: two words.
    pub(crate) fn seen_of(&self, name: &str) -> Result<Option<PublicKey>, PinFileError> {
        self.0.find(&self.0.read()?, name, "host key", |pin| PublicKey::from_openssh(pin).ok())
    }

    /// Keeps a key. One that is there for the same system is replaced.
    pub(super) fn keep(&self, host: &HostId, stage: &LoginStage, key: &PublicKey) -> Result<(), PinFileError> {
        self.keep_of(&name(host, stage), key)
    }

    /// Keeps the key of what has this name: two words.
    pub(crate) fn keep_of(&self, name: &str, key: &PublicKey) -> Result<(), PinFileError> {
        let key = PublicKey::new(key.key_data().clone(), "").to_openssh();
        let key = key.map_err(|error| self.0.unwritten(Error::other(error)))?;
        let wanted = format!("{name} {}", key.trim_end());
        self.0.change(|pins| {
            if pins.lines().any(|line| line == wanted) {
                return Ok((pins.to_owned(), ()));
            }
            let others = without(pins, name);
            Ok((format!("{others}{wanted}\n"), ()))
        })
    }

    /// Drops all keys of a host; how many there were.
    pub(super) fn forget(&self, host: &HostId) -> Result<usize, PinFileError> {
        if !self.path().exists() {
            return Ok(0);
        }
        self.0.change(|pins| {
            let others = without(pins, host.as_str());
            let forgotten = pins.lines().count() - others.lines().count();
            Ok((others, forgotten))
        })
    }
}

/// The pins but for those of one name, or of all names that begin with it and go on with another word.
fn without(pins: &str, name: &str) -> String {
    let prefix = format!("{name} ");
    pins.lines().filter(|line| !line.starts_with(&prefix)).map(|line| format!("{line}\n")).collect()
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
