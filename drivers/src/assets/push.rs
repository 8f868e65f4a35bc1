//! Files pushed to the folder of another web server, such as Caddy's root, over SFTP.
//!
//! Owns the transfer: to a temporary name, read back and compared, then renamed. What is there already with the right
//! digest is left alone. Does not know how the other server is set up.
//! Source: draft-ietf-secsh-filexfer-02 (SFTP version 3), whose rename does not replace: a file of other contents is
//! removed first, so that it is missing for a moment.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use russh::keys::PrivateKey;
use russh_sftp::client::SftpSession;
use russh_sftp::client::error::Error as SftpError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::store;
use crate::WriteLog;
use crate::host::ssh::session::{Login, Session};
use crate::host::ssh::{KnownHosts, SshKeyError, key, known_hosts_in};
use crate::transport::PinFileError;
use crate::transport::ssh::SessionError;

/// Name of this driver in the [`WriteLog`].
pub const DRIVER: &str = "sftp";
/// A transfer that takes longer is given up.
const LIFETIME: Duration = Duration::from_secs(60 * 60);
const COPY_BYTES: usize = 256 << 10;

/// A folder of another machine that its web server serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SftpSpec {
    /// Its name or address.
    pub address: String,
    /// TCP port, 22.
    #[serde(default = "port")]
    pub port: u16,
    /// Who may write there.
    pub user: String,
    /// Harmony's private key; made if it is not there.
    pub key_file: PathBuf,
    /// The folder that is served under `/os/`, absolute, on that machine.
    pub root: String,
}

fn port() -> u16 {
    22
}

/// What became of a file that was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It is there now.
    Written,
    /// It was there already.
    AlreadyThere,
}

/// Why a file is not there.
#[derive(Debug, thiserror::Error)]
enum PushError {
    #[error("{0} is no name or address")]
    Address(String, #[source] std::io::Error),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("failed to {act} {path} there")]
    There {
        act: &'static str,
        path: String,
        #[source]
        source: SftpError,
    },
    #[error("failed to transfer it")]
    Transfer(#[source] std::io::Error),
    #[error("what is read back has another digest: {0}")]
    Digest(String),
    #[error("the transfer took longer than {} minutes", LIFETIME.as_secs() / 60)]
    TimedOut,
}

fn there<'a>(act: &'static str, path: &'a str) -> impl FnOnce(SftpError) -> PushError + 'a {
    move |source| PushError::There { act, path: path.to_owned(), source }
}

/// A web server's folder, reached over SFTP.
#[derive(Debug)]
pub struct SftpFolder {
    spec: SftpSpec,
    key: Arc<PrivateKey>,
    known: KnownHosts,
    writes: WriteLog,
}

impl SftpFolder {
    /// Reads or makes the key. The other machine's host key is pinned on first sight in `known_hosts` of `state_dir`.
    ///
    /// # Errors
    /// If the key can be neither read nor made.
    pub fn new(spec: SftpSpec, state_dir: &Path, writes: WriteLog) -> Result<Self, SshKeyError> {
        let key = Arc::new(key::load_or_make(&spec.key_file)?);
        Ok(Self { spec, key, known: KnownHosts::new(known_hosts_in(state_dir)), writes })
    }

    /// Our public key, in OpenSSH's format, for `authorized_keys`.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.key.public_key().to_openssh().unwrap_or_default().trim_end().to_owned()
    }

    /// Has a file at a path below the folder, with this digest. Tells how many bytes are there.
    ///
    /// # Errors
    /// If it is not there in the end. A file of other contents may be gone then, and a temporary one be left; the next
    /// push removes it.
    pub async fn push(
        &self,
        local: &Path,
        path: &str,
        sha256: &str,
        progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
    ) -> DeviceResult<Pushed> {
        let operation =
            || format!("failed to push {} to {}:{}/{path}", local.display(), self.spec.address, self.spec.root);
        let of_store = |error| super::of_store(operation(), error);
        let relative = store::relative(path).map_err(of_store)?;
        let sha256 = store::digest(sha256).map_err(of_store)?;
        let session = self.open(&operation).await?;
        let pushed = async {
            let sftp = session.sftp().await?;
            self.put(&sftp, local, &relative, &sha256, progress).await
        };
        let pushed = tokio::time::timeout(LIFETIME, pushed).await.unwrap_or(Err(PushError::TimedOut));
        session.close().await;
        pushed.map_err(|error| self.failed(operation(), error))
    }

    async fn open(&self, operation: &(dyn Fn() -> String + Send + Sync)) -> DeviceResult<Session> {
        let unkept = |error: PinFileError| {
            let hint = format!("correct or remove {}", self.known.path().display());
            DeviceError::new(FailureKind::Invalid, operation()).because(error).hint(hint)
        };
        let address = resolve(&self.spec.address, self.spec.port).await;
        let address = address.map_err(|error| self.failed(operation(), error))?;
        let name = format!("files {}:{}", self.spec.address, self.spec.port);
        let login = Login {
            address,
            user: &self.spec.user,
            key: &self.key,
            pinned: self.known.seen_of(&name).map_err(unkept)?,
        };
        let session = Session::open(login, LIFETIME).await.map_err(|error| self.failed(operation(), error.into()))?;
        self.known.keep_of(&name, &session.host_key).map_err(unkept)?;
        Ok(session)
    }

    async fn put(
        &self,
        sftp: &SftpSession,
        local: &Path,
        relative: &Path,
        sha256: &str,
        progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
    ) -> Result<Pushed, PushError> {
        let root = self.spec.root.trim_end_matches('/');
        let target = format!("{root}/{}", relative.display());
        let size = tokio::fs::metadata(local).await.map_err(PushError::Transfer)?.len();
        let is_there = sftp.try_exists(&target).await.map_err(there("look for", &target))?;
        if is_there {
            let found = sftp.metadata(&target).await.map_err(there("look at", &target))?;
            if found.size == Some(size) && read_back(sftp, &target).await? == sha256 {
                return Ok(Pushed::AlreadyThere);
            }
        }
        self.writes.record(DRIVER, self.spec.address.as_str(), format!("put {target}"));
        make_folders(sftp, root, relative).await?;
        let fresh = temporary(&target);
        let mut file = sftp.create(&fresh).await.map_err(there("make", &fresh))?;
        let mut source = tokio::fs::File::open(local).await.map_err(PushError::Transfer)?;
        let (mut buffer, mut done) = (vec![0; COPY_BYTES], 0);
        loop {
            let read = source.read(&mut buffer).await.map_err(PushError::Transfer)?;
            if read == 0 {
                break;
            }
            file.write_all(&buffer[..read]).await.map_err(PushError::Transfer)?;
            done += read as u64;
            progress(done, Some(size));
        }
        file.flush().await.map_err(PushError::Transfer)?;
        file.sync_all().await.map_err(there("write", &fresh))?;
        file.close().await.map_err(PushError::Transfer)?;
        let found = read_back(sftp, &fresh).await?;
        if found != sha256 {
            // It is wrong already; that it cannot be removed would say less.
            let _ = sftp.remove_file(&fresh).await;
            return Err(PushError::Digest(found));
        }
        if is_there {
            sftp.remove_file(&target).await.map_err(there("replace", &target))?;
        }
        sftp.rename(&fresh, &target).await.map_err(there("rename to", &target))?;
        Ok(Pushed::Written)
    }

    fn failed(&self, operation: String, error: PushError) -> DeviceError {
        let (address, user) = (&self.spec.address, &self.spec.user);
        let (kind, hint) = match &error {
            PushError::Address(..) => (FailureKind::Unreachable, format!("does {address} have an address here?")),
            PushError::Session(SessionError::HostKey { .. }) => (
                FailureKind::Rejected,
                format!(
                    "another system answers at {address}: if that is right, remove its line from {}",
                    self.known.path().display()
                ),
            ),
            PushError::Session(SessionError::Login { .. }) => (
                FailureKind::Rejected,
                format!(
                    "put the public key of {} into `authorized_keys` of `{user}` there",
                    self.spec.key_file.display()
                ),
            ),
            PushError::Session(SessionError::NoFileTransfer) => {
                (FailureKind::Rejected, "`Subsystem sftp internal-sftp` in its sshd_config offers it".to_owned())
            }
            PushError::Session(_) => {
                (FailureKind::Unreachable, format!("does {address} answer on port {}?", self.spec.port))
            }
            PushError::There { source: SftpError::Status(_), .. } => {
                (FailureKind::Rejected, format!("may `{user}` write {} there, and is there room?", self.spec.root))
            }
            PushError::There { .. } | PushError::TimedOut => (FailureKind::Unreachable, "try again".to_owned()),
            PushError::Transfer(_) => (FailureKind::Transient, "is there room on the disk there?".to_owned()),
            PushError::Digest(_) => {
                (FailureKind::Invalid, "is the file here whole? `harmony assets verify` tells".to_owned())
            }
        };
        DeviceError::new(kind, operation).because(error).hint(hint)
    }
}

/// The name of a file that is not whole yet: the same for every push, so that nothing piles up.
fn temporary(target: &str) -> String {
    match target.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/.{name}.harmony"),
        None => format!(".{target}.harmony"),
    }
}

async fn resolve(address: &str, port: u16) -> Result<SocketAddr, PushError> {
    let (name, place) = (address.to_owned(), address.to_owned());
    let found =
        tokio::task::spawn_blocking(move || (place.as_str(), port).to_socket_addrs().map(|mut found| found.next()));
    let found = found.await.map_err(std::io::Error::other).and_then(|found| found);
    match found {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(PushError::Address(name, std::io::ErrorKind::NotFound.into())),
        Err(error) => Err(PushError::Address(name, error)),
    }
}

/// Makes the folders above a file, as far as they are missing.
async fn make_folders(sftp: &SftpSession, root: &str, relative: &Path) -> Result<(), PushError> {
    let mut folders: Vec<&Path> =
        relative.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).collect();
    folders.reverse();
    for folder in folders {
        let folder = format!("{root}/{}", folder.display());
        if !sftp.try_exists(&folder).await.map_err(there("look for", &folder))? {
            sftp.create_dir(&folder).await.map_err(there("make", &folder))?;
        }
    }
    Ok(())
}

/// The digest of a file there, by reading all of it.
async fn read_back(sftp: &SftpSession, path: &str) -> Result<String, PushError> {
    let file = sftp.open(path).await.map_err(there("read", path))?;
    sha256(file).await.map_err(PushError::Transfer)
}

async fn sha256(mut file: impl AsyncRead + Unpin) -> std::io::Result<String> {
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; COPY_BYTES]);
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok(store::hex(digest)),
            read => digest.update(&buffer[..read]),
        }
    }
}
