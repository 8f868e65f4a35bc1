//! The files that the boot server offers: fetched, checked, kept, shown, and pushed to another web server.
//!
//! Owns the folder that is served under `/os/`. A file that is at its path is whole and has the digest that was asked
//! for; what is being fetched is elsewhere until then. Does not know what the files are for.
//!
//! Read next: `store` for the folder, `download` for transfers, [`iso`] for images, [`push`] for SFTP.

mod boot_iso;
mod download;
pub mod iso;
pub mod push;
mod store;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use harmony_core::capability::{AssetInfo, BootAssets, RemoteFile};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};

pub use boot_iso::{ANACONDA_FILES, BootIsoError};
pub use download::DownloadError;
use download::{Source, Transfer};
use store::Store;
pub use store::StoreError;

/// Where what is in CentOS Stream 9's boot image is shown, unless told otherwise.
pub const ANACONDA_FOLDER: &str = "centos-stream-9";

/// A file that is offered.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Asset {
    /// Its path below `/os/`.
    pub path: String,
    /// What it is.
    #[serde(flatten)]
    pub info: AssetInfo,
}

/// What a file turned out to be when it was hashed anew.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Its path below `/os/`.
    pub path: String,
    /// What its digest should be; absent for a file that somebody has put there.
    pub expected: Option<String>,
    /// What it is.
    pub found: String,
}

impl Verified {
    /// Whether it is what it should be, as far as that is known.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.expected.as_ref().is_none_or(|expected| *expected == self.found)
    }
}

/// The files of a folder.
#[derive(Debug)]
pub struct AssetFolder {
    store: Store,
}

impl AssetFolder {
    /// The files of this folder, `boot.assets` of the site file. It need not be there yet.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { store: Store::new(folder) }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.store.root
    }

    /// All of them, by path. Files that somebody has put there are hashed.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn list(&self) -> DeviceResult<Vec<Asset>> {
        let operation = || format!("failed to list the files of {}", self.store.root.display());
        let failed = |error| of_store(operation(), error);
        let mut assets = Vec::new();
        for path in self.store.paths().map_err(failed)? {
            if let Some(info) = self.store.info(&path).map_err(failed)? {
                assets.push(Asset { path: path.to_string_lossy().into_owned(), info });
            }
        }
        Ok(assets)
    }

    /// Hashes all of them anew, telling each.
    ///
    /// # Errors
    /// If the folder cannot be read; a file that is wrong is no error.
    pub fn verify(&self, progress: &dyn Fn(&Verified)) -> DeviceResult<Vec<Verified>> {
        let operation = || format!("failed to verify the files of {}", self.store.root.display());
        let failed = |error| of_store(operation(), error);
        let mut all = Vec::new();
        for path in self.store.paths().map_err(failed)? {
            let (expected, found) = self.store.rehash(&path).map_err(failed)?;
            let verified = Verified { path: path.to_string_lossy().into_owned(), expected, found };
            progress(&verified);
            all.push(verified);
        }
        Ok(all)
    }

    /// Takes kernel, initramfs, runtime and `.treeinfo` out of a boot image of CentOS Stream 9 and shows them below
    /// `folder`, telling each. Returns what is there now.
    ///
    /// # Errors
    /// If the image is none, or lacks a file; files that were shown before stay.
    pub fn extract(&self, image: &Path, folder: &str, progress: &dyn Fn(&Asset)) -> DeviceResult<Vec<Asset>> {
        let operation = format!("failed to take boot files out of {}", image.display());
        boot_iso::extract(&self.store, image, folder, progress).map_err(|error| {
            let (kind, hint) = match &error {
                BootIsoError::Store(error) => (kind_of_store(error), hint_of_store(error)),
                BootIsoError::Iso(_) | BootIsoError::Open { .. } => {
                    (FailureKind::Invalid, "give CentOS-Stream-9-latest-x86_64-boot.iso of a mirror of CentOS")
                }
            };
            DeviceError::new(kind, operation).because(error).hint(hint)
        })
    }

    /// Fetches a file into the store without showing it anywhere; where it is.
    ///
    /// # Errors
    /// As for [`BootAssets::fetch_asset`].
    pub async fn fetch_hidden(
        &self,
        from: &RemoteFile,
        progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
    ) -> DeviceResult<PathBuf> {
        let operation = || format!("failed to fetch {}", from.location);
        let sha256 = store::digest(&from.sha256).map_err(|error| of_store(operation(), error))?;
        self.fetch(&from.location, &sha256, &operation, progress).await?;
        Ok(self.store.whole(&sha256))
    }

    /// Has a file of this digest in the store.
    async fn fetch(
        &self,
        place: &str,
        sha256: &str,
        operation: &(dyn Fn() -> String + Send + Sync),
        progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
    ) -> DeviceResult<()> {
        if self.store.has(sha256) {
            return Ok(());
        }
        let failed = |error| of_store(operation(), error);
        let of_download = |error| of_download(operation(), place, error);
        let source = download::source(place).map_err(of_download)?;
        let mut file = self.store.open_partial(sha256).map_err(failed)?;
        let path = self.store.partial(sha256);
        // A beginning from before may be of another version of the file: then once more, from its own beginning.
        let mut is_begun = file.metadata().is_ok_and(|metadata| metadata.len() > 0);
        loop {
            let mut transfer = Transfer { file: &mut file, path: &path, progress };
            match &source {
                Source::File(from) => transfer.copy(from).map_err(of_download)?,
                Source::Url(url) => {
                    let client = download::client().map_err(of_download)?;
                    transfer.fetch(&client, url).await.map_err(of_download)?;
                }
            }
            transfer.forget();
            let hashed = path.clone();
            let found = tokio::task::spawn_blocking(move || store::sha256_of(&hashed)).await;
            let found = found.map_err(|error| DeviceError::new(FailureKind::Bug, operation()).because(error))?;
            let found = found.map_err(failed)?;
            if found == sha256 {
                return self.store.adopt(&path, sha256).map_err(failed);
            }
            file.set_len(0).map_err(|source| failed(StoreError::File { act: "empty", path: path.clone(), source }))?;
            if !std::mem::take(&mut is_begun) {
                let _ = std::fs::remove_file(&path);
                return Err(DeviceError::new(FailureKind::Invalid, operation())
                    .because(format!("its SHA-256 is {found}, wanted is {sha256}; it was removed"))
                    .hint("is the mirror up to date, and the digest that of this very build?"));
            }
        }
    }
}

#[async_trait]
impl BootAssets for AssetFolder {
    async fn asset(&self, path: &str) -> DeviceResult<Option<AssetInfo>> {
        let operation = || format!("failed to look for `/os/{}`", path.chars().take(120).collect::<String>());
        let path = store::relative(path).map_err(|error| of_store(operation(), error))?;
        self.store.info(&path).map_err(|error| of_store(operation(), error))
    }

    async fn fetch_asset(
        &self,
        from: &RemoteFile,
        path: &str,
        progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
    ) -> DeviceResult<AssetInfo> {
        let operation = || format!("failed to fetch {} to `/os/{path}`", from.location);
        let failed = |error| of_store(operation(), error);
        let relative = store::relative(path).map_err(failed)?;
        let sha256 = store::digest(&from.sha256).map_err(failed)?;
        if let Some(info) = self.store.info(&relative).map_err(failed)?
            && info.sha256 == sha256
        {
            return Ok(info);
        }
        self.fetch(&from.location, &sha256, &operation, progress).await?;
        self.store.link(&sha256, &relative).map_err(failed)?;
        let info = self.store.info(&relative).map_err(failed)?;
        info.ok_or_else(|| DeviceError::new(FailureKind::Conflict, operation()).because("somebody has removed it"))
    }
}

fn kind_of_store(error: &StoreError) -> FailureKind {
    match error {
        StoreError::Path(_) | StoreError::Digest(_) | StoreError::TooMany(_) => FailureKind::Invalid,
        StoreError::File { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            FailureKind::Rejected
        }
        StoreError::File { .. } | StoreError::Busy(_) => FailureKind::Transient,
    }
}

fn hint_of_store(error: &StoreError) -> &'static str {
    match error {
        StoreError::Path(_) => "name it as hosts shall ask for it, without `/os/`: scos/9.0.20250510-0/kernel",
        StoreError::Digest(_) => "sha256sum of the file, or the release's list of digests, has it",
        StoreError::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            "make room on the disk of `boot.assets`"
        }
        StoreError::File { .. } => "may Harmony write the folder `boot.assets` of the site file?",
        StoreError::Busy(_) => "let the other one finish",
        StoreError::TooMany(_) => "is `boot.assets` of the site file the right folder?",
    }
}

fn of_store(operation: String, error: StoreError) -> DeviceError {
    let (kind, hint) = (kind_of_store(&error), hint_of_store(&error));
    DeviceError::new(kind, operation).because(error).hint(hint)
}

fn of_download(operation: String, place: &str, error: DownloadError) -> DeviceError {
    let (kind, hint) = match &error {
        DownloadError::File(error) => (kind_of_store(error), hint_of_store(error)),
        DownloadError::Place(_) => {
            (FailureKind::Invalid, "give https://…, http://…, file:///… or a path that begins with /")
        }
        DownloadError::Client(_) => (FailureKind::Bug, "are the authorities of this machine readable, /etc/ssl/certs?"),
        DownloadError::Cut { source, .. } if source.is_connect() && place.starts_with("https:") => (
            FailureKind::Unreachable,
            "can this machine reach it? proxies come from HTTPS_PROXY, authorities from ca-certificates or SSL_CERT_FILE",
        ),
        DownloadError::Cut { .. } => (FailureKind::Unreachable, "run it again: it goes on where it was cut off"),
        DownloadError::Status { status, .. } if status.is_server_error() => {
            (FailureKind::Transient, "try again later, or from another mirror")
        }
        DownloadError::Status { .. } => (FailureKind::Rejected, "is the URL right? another mirror may have it"),
        DownloadError::TooLarge(_) => (FailureKind::Invalid, "is it the right file?"),
    };
    DeviceError::new(kind, operation).because(error).hint(hint)
}
