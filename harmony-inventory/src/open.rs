//! Opening an inventory: where it is, making it on first use, and saying clearly why that fails.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harmony_core::error::FailureKind;
use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, mknod};
use nix::unistd::{AccessFlags, eaccess};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};

use crate::connection::Inventory;
use crate::failure::{BUSY, CANTOPEN, CORRUPT, FULL, NOTADB, Place, READONLY, result_code};
use crate::schema::{self, SchemaError};

/// How long a write waits for another program's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why an inventory cannot be opened. Nothing was changed, except that a new file may be there.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The text names no file.
    #[error("`{url}` names no inventory")]
    UnknownUrl {
        /// What was given.
        url: String,
    },
    /// The folder for the file cannot be made.
    #[error("failed to make the folder `{}` for the inventory", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The file is not there and cannot be made.
    #[error("failed to make the inventory `{}`", file.display())]
    Create {
        /// The file.
        file: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// There is something else than a file of this name.
    #[error("`{}` is no file", file.display())]
    NoFile {
        /// What is no file.
        file: PathBuf,
    },
    /// The file is there, and no inventory.
    #[error("`{}` is no inventory: {reason}", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// What it is instead.
        reason: &'static str,
    },
    /// A newer program made it.
    #[error("`{}` has version {found}; the newest that this program understands is {newest}", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// This program's.
        newest: i64,
    },
    /// The disk is full.
    #[error("no space is left for `{}`", file.display())]
    Full {
        /// The file.
        file: PathBuf,
        /// Cause.
        source: sqlx::Error,
    },
    /// The file or its folder may not be read and written.
    #[error("`{}` may not be read and written", file.display())]
    Denied {
        /// The file.
        file: PathBuf,
        /// Cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// SQLite refuses for another reason.
    #[error("failed to open the inventory {place}")]
    Sqlite {
        /// Where it is, for people.
        place: String,
        /// Cause.
        source: sqlx::Error,
    },
}

impl OpenError {
    /// The next step for a person.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::UnknownUrl { .. } => "write sqlite://FILE, or the file's path",
            Self::Folder { .. } | Self::Create { .. } => "name a file in a folder that you may write to",
            Self::NoFile { .. } | Self::Foreign { .. } => "name another file; a new one is made where none is",
            Self::Newer { .. } => "use a newer harmony, or another file",
            Self::Full { .. } => "free some space there, then run it again",
            Self::Denied { .. } => "check the owner and mode of the file and of its folder",
            Self::Sqlite { .. } => "check the disk that it is on, and that no program holds it locked",
        }
    }

    /// What it means for another attempt.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::UnknownUrl { .. } | Self::NoFile { .. } | Self::Foreign { .. } | Self::Newer { .. } => {
                FailureKind::Invalid
            }
            Self::Sqlite { source, .. } if result_code(source) == Some(BUSY) => FailureKind::Transient,
            Self::Folder { .. }
            | Self::Create { .. }
            | Self::Full { .. }
            | Self::Denied { .. }
            | Self::Sqlite { .. } => FailureKind::Rejected,
        }
    }

    fn sqlite(place: &Place, source: sqlx::Error) -> Self {
        let Place::File(file) = place else { return Self::Sqlite { place: place.to_string(), source } };
        let file = file.clone();
        match result_code(&source) {
            Some(NOTADB) => Self::Foreign { file, reason: "it is no SQLite database" },
            Some(CORRUPT) => Self::Foreign { file, reason: "it is a damaged SQLite database" },
            Some(FULL) => Self::Full { file, source },
            Some(READONLY | CANTOPEN) => Self::Denied { file, source: source.into() },
            _ => Self::Sqlite { place: place.to_string(), source },
        }
    }

    fn schema(place: &Place, error: SchemaError) -> Self {
        let file = match place {
            Place::File(file) => file.clone(),
            Place::Memory => PathBuf::new(),
        };
        match error {
            SchemaError::Newer { found, newest } => Self::Newer { file, found, newest },
            SchemaError::Foreign => Self::Foreign { file, reason: "it is another program's SQLite database" },
            SchemaError::Altered => Self::Foreign { file, reason: "it was made by a version that was never released" },
            SchemaError::Sql(source) => Self::sqlite(place, source),
        }
    }
}

impl Inventory {
    /// Opens an inventory: `sqlite://FILE`, a path, or `sqlite::memory:` for one that ends with
    /// the last clone of it. On first use the file is made, readable by its owner alone since it
    /// holds boot tokens, with the folders above it. A file of an older version is brought up to
    /// date; a current one is not written. One in memory holds a paused Tokio clock while it works.
    ///
    /// # Errors
    /// [`OpenError`], with the file and the next step.
    pub async fn open(url_or_path: &str) -> Result<Self, OpenError> {
        let place = place(url_or_path)?;
        if let Place::File(file) = &place {
            create_if_missing(file)?;
        }
        let options = match &place {
            Place::File(file) => SqliteConnectOptions::new().filename(file).journal_mode(SqliteJournalMode::Wal),
            Place::Memory => SqliteConnectOptions::new().in_memory(true),
        };
        let options = options
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let mut writer = connect(&options).await.map_err(|source| OpenError::sqlite(&place, source))?;
        schema::bring_up_to_date(&mut writer).await.map_err(|error| OpenError::schema(&place, error))?;
        let reader = match place {
            Place::File(_) => Some(connect(&options.pragma("query_only", "ON")).await),
            Place::Memory => None,
        };
        let reader = reader.transpose().map_err(|source| OpenError::sqlite(&place, source))?;
        Ok(Self::new(place, writer, reader))
    }
}

fn place(text: &str) -> Result<Place, OpenError> {
    let path = match text.split_once(':') {
        Some(("sqlite", ":memory:")) => return Ok(Place::Memory),
        Some(("sqlite", rest)) => rest.strip_prefix("//").unwrap_or(rest),
        Some((_, rest)) if rest.starts_with("//") => "",
        _ => text,
    };
    if path.is_empty() || path.contains('\0') {
        return Err(OpenError::UnknownUrl { url: text.to_owned() });
    }
    Ok(Place::File(PathBuf::from(path)))
}

/// `mknod`, because opening and closing the file here would drop the locks that another
/// connection of this process has on it. Source: <https://www.sqlite.org/howtocorrupt.html>, section 2.2.
fn create_if_missing(file: &Path) -> Result<(), OpenError> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
        made.map_err(|source| OpenError::Folder { folder: folder.to_owned(), source })?;
    }
    match mknod(file, SFlag::S_IFREG, Mode::S_IRUSR | Mode::S_IWUSR, 0) {
        Ok(()) => Ok(()),
        // Asked here, because SQLite would open a file that it may not write, and fail later.
        Err(Errno::EEXIST) if file.is_file() => eaccess(file, AccessFlags::R_OK | AccessFlags::W_OK)
            .map_err(|errno| OpenError::Denied { file: file.to_owned(), source: Box::new(io::Error::from(errno)) }),
        Err(Errno::EEXIST) => Err(OpenError::NoFile { file: file.to_owned() }),
        Err(errno) => Err(OpenError::Create { file: file.to_owned(), source: errno.into() }),
    }
}

/// Connects. The change of a new file to WAL needs a lock that SQLite does not wait for, so that
/// two programs that make the file at once meet here.
async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    let begun = Instant::now();
    loop {
        match options.connect().await {
            Err(error) if result_code(&error) == Some(BUSY) && begun.elapsed() < BUSY_TIMEOUT => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths() {
        for (text, path) in [
            ("sqlite://harmony.db", "harmony.db"),
            ("sqlite:///var/lib/harmony.db", "/var/lib/harmony.db"),
            ("sqlite:harmony.db", "harmony.db"),
            ("/var/lib/harmony.db", "/var/lib/harmony.db"),
            ("odd:name.db", "odd:name.db"),
        ] {
            assert_eq!(place(text).expect(text), Place::File(path.into()), "{text}");
        }
        assert_eq!(place("sqlite::memory:").expect("memory"), Place::Memory);
        for text in ["", "sqlite://", "postgres://db/harmony", "a\0b"] {
            assert!(matches!(place(text), Err(OpenError::UnknownUrl { .. })), "{text}");
        }
    }
}
