//! Files in memory that somebody puts there while others read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

use bytes::Bytes;
use harmony_boot::PrivateFiles;

/// Files by their paths. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct SharedFiles(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    files: BTreeMap<String, Bytes>,
    /// Grows with every change.
    version: u64,
}

impl SharedFiles {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a file there.
    pub(crate) fn put(&self, path: &str, contents: Bytes) {
        let mut inner = self.lock();
        inner.version += 1;
        inner.files.insert(path.to_owned(), contents);
    }

    /// A file.
    pub(crate) fn get(&self, path: &str) -> Option<Bytes> {
        self.lock().files.get(path).cloned()
    }

    /// All of them, and which version they are.
    pub(crate) fn all(&self) -> (BTreeMap<String, Bytes>, u64) {
        let inner = self.lock();
        (inner.files.clone(), inner.version)
    }
}

impl fmt::Debug for SharedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is in them may be secret.
        f.debug_list().entries(self.lock().files.keys()).finish()
    }
}

impl PrivateFiles for SharedFiles {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.get(name).map(|contents| contents.to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
