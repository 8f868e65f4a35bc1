//! The digest of the disk image that hosts are installed from.
//!
//! A disk image is large and a plan is made often, so the digest is kept in memory for as long as
//! the file's size and time of change stay the same.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use sha2::{Digest, Sha256};

type Known = BTreeMap<PathBuf, (u64, SystemTime, String)>;

static KNOWN: Mutex<Known> = Mutex::new(BTreeMap::new());

/// SHA-256 of a file, lower-case hex.
///
/// # Errors
/// If it cannot be read; names it.
pub(super) fn sha256_of(path: &Path) -> DeviceResult<String> {
    let failed = |source: std::io::Error| {
        DeviceError::new(FailureKind::Invalid, format!("failed to read the disk image {}", path.display()))
            .because(source)
            .hint("`install_image` in the site file's [boot] names it, below the `assets` folder")
    };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    let (size, changed) = (metadata.len(), metadata.modified().map_err(failed)?);
    let known =
        |known: &Known| known.get(path).filter(|(s, c, _)| (*s, *c) == (size, changed)).map(|(.., hash)| hash.clone());
    if let Some(hash) = known(&KNOWN.lock().unwrap_or_else(PoisonError::into_inner)) {
        return Ok(hash);
    }
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    let hash: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut all = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    all.insert(path.to_owned(), (size, changed, hash.clone()));
    Ok(hash)
}
