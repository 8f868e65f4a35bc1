//! What of CentOS Stream 9's boot image a host needs that boots over the network.
//!
//! Source: Anaconda, `dracut/anaconda-lib.sh`: `.treeinfo`, `images/install.img`; `images/pxeboot/` of the tree.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Asset;
use super::iso::{Iso, IsoError};
use super::store::{self, Store, StoreError, failed, hex};

/// What is taken; the last one need not be there.
pub const ANACONDA_FILES: [&str; 4] =
    ["images/pxeboot/vmlinuz", "images/pxeboot/initrd.img", "images/install.img", ".treeinfo"];
/// Largest of them, in bytes.
const MAX_BYTES: u64 = 8 << 30;
const COPY_BYTES: usize = 1 << 20;

/// Why nothing is taken.
#[derive(Debug, thiserror::Error)]
pub enum BootIsoError {
    /// The image's file.
    #[error("failed to read {}", .path.display())]
    Open {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The image.
    #[error(transparent)]
    Iso(#[from] IsoError),
    /// The folder of the boot server.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) fn extract(
    store: &Store,
    image: &Path,
    folder: &str,
    progress: &dyn Fn(&Asset),
) -> Result<Vec<Asset>, BootIsoError> {
    let file = std::fs::File::open(image).map_err(|source| BootIsoError::Open { path: image.to_owned(), source })?;
    let mut iso = Iso::open(io::BufReader::new(file))?;
    // All are found before one is shown.
    let mut found = Vec::new();
    for name in ANACONDA_FILES {
        match iso.find(name) {
            Err(IsoError::NotFound(_)) if name == ".treeinfo" => {}
            extent => found.push((name, extent?)),
        }
    }
    let mut assets = Vec::new();
    for (name, extent) in found {
        if extent.size_bytes > MAX_BYTES {
            return Err(IsoError::Unsupported(name.to_owned(), "it is too large").into());
        }
        let path = store::relative(&format!("{}/{name}", folder.trim_matches('/')))?;
        let sha256 = keep(store, iso.contents(extent)?)?;
        store.link(&sha256, &path)?;
        if let Some(info) = store.info(&path)? {
            let asset = Asset { path: path.to_string_lossy().into_owned(), info };
            progress(&asset);
            assets.push(asset);
        }
    }
    Ok(assets)
}

/// Keeps contents in the store; by their digest, which is known when they have been read.
fn keep(store: &Store, mut contents: impl Read) -> Result<String, BootIsoError> {
    let name = format!("extract-{}", std::process::id());
    let (mut file, path) = (store.open_partial(&name)?, store.partial(&name));
    file.set_len(0).map_err(failed("empty", &path))?;
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; COPY_BYTES]);
    loop {
        let read = contents.read(&mut buffer).map_err(IsoError::Read)?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        file.write_all(&buffer[..read]).map_err(failed("write", &path))?;
    }
    let sha256 = hex(digest);
    if store.has(&sha256) {
        std::fs::remove_file(&path).map_err(failed("remove", &path))?;
    } else {
        store.adopt(&path, &sha256)?;
    }
    Ok(sha256)
}
