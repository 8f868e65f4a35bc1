//! Where a device's password is; it never stands in the site file itself.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use harmony_core::secret::Secret;

/// Where a password is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordSource {
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable of this process.
    Environment(String),
}

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The file cannot be read.
    #[error("failed to read the password file {}", .path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The variable is not set, or no text.
    #[error("the environment variable `{0}`, which holds the password, is not set")]
    Environment(String),
    /// Empty, or longer than the protocol can say.
    #[error("the password in {place} is empty or longer than {max_bytes} bytes")]
    Length {
        /// Where it is.
        place: String,
        /// What the protocol can say.
        max_bytes: usize,
    },
}

impl PasswordSource {
    /// The one that a site file names: `password_file` or `password_env`.
    pub(crate) fn one_of(file: Option<PathBuf>, environment: Option<String>) -> Result<Self, String> {
        match (file, environment) {
            (Some(path), None) => Ok(Self::File(path)),
            (None, Some(name)) => Ok(Self::Environment(name)),
            _ => Err("exactly one of `password_file` and `password_env` is needed".to_owned()),
        }
    }

    /// `password_file` and `password_env` for a site file.
    pub(crate) fn into_keys(self) -> (Option<PathBuf>, Option<String>) {
        match self {
            Self::File(path) => (Some(path), None),
            Self::Environment(name) => (None, Some(name)),
        }
    }

    /// Makes a relative path relative to this folder.
    pub fn resolve(&mut self, folder: &Path) {
        if let Self::File(path) = self {
            *path = folder.join(&*path);
        }
    }

    /// The password, read anew each time, so that a changed file needs no new run. `max_bytes` is
    /// what the protocol can say.
    pub(crate) fn read(&self, max_bytes: usize) -> Result<Secret, PasswordError> {
        let text = match self {
            Self::File(path) => {
                let mut text = String::new();
                let read = std::fs::File::open(path).and_then(|file| file.take(4096).read_to_string(&mut text));
                read.map_err(|source| PasswordError::File { path: path.clone(), source })?;
                text
            }
            Self::Environment(name) => std::env::var(name).map_err(|_| PasswordError::Environment(name.clone()))?,
        };
        let password = text.lines().next().unwrap_or_default();
        if (1..=max_bytes).contains(&password.len()) {
            Ok(Secret::new(password))
        } else {
            Err(PasswordError::Length { place: self.to_string(), max_bytes })
        }
    }
}

impl fmt::Display for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let source = PasswordSource::File(file.path().to_owned());
        std::fs::write(file.path(), "hunter2\n").expect("written");
        assert_eq!(source.read(20).expect("read"), Secret::new("hunter2"));
        for text in ["", "\nx", "a password of more than twenty bytes"] {
            std::fs::write(file.path(), text).expect("written");
            let error = source.read(20).expect_err(text).to_string();
            assert_eq!(error, format!("the password in {} is empty or longer than 20 bytes", file.path().display()));
        }
        let absent = PasswordSource::Environment("HARMONY_NO_SUCH_VARIABLE".into()).read(20).expect_err("not set");
        assert_eq!(
            absent.to_string(),
            "the environment variable `HARMONY_NO_SUCH_VARIABLE`, which holds the password, is not set"
        );
    }
}
