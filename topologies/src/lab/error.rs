//! What can go wrong with a virtual rack, and what to do about it.

use std::path::PathBuf;

use super::prerequisites::Missing;
use super::spec::SpecError;

/// A virtual rack could not be made, read or taken down.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Network namespaces and taps are root's.
    #[error("a virtual rack needs root: it makes a network namespace and network cards")]
    NotRoot,
    /// Programs or files of Debian packages that are not installed.
    #[error("not installed: {}", list(.0))]
    Missing(Vec<Missing>),
    /// What was asked for makes no sense.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// There is one of that name.
    #[error("there is a virtual rack `{name}` already: {}", .path.display())]
    NameTaken {
        /// Its name.
        name: String,
        /// Its folder or namespace.
        path: PathBuf,
    },
    /// No rack of that name, or a folder that is none.
    #[error("{} is no virtual rack of this user", .0.display())]
    NoLab(PathBuf),
    /// A rack's record is damaged.
    #[error("failed to understand {}", .path.display())]
    Record {
        /// The record.
        path: PathBuf,
        /// Cause.
        #[source]
        source: toml::de::Error,
    },
    /// The rack cannot be written down.
    #[error("failed to write down {what}")]
    Write {
        /// The record or the site file.
        what: &'static str,
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file operation failed.
    #[error("failed to {doing} {}", .path.display())]
    File {
        /// The verb.
        doing: &'static str,
        /// The object.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("failed to {doing}: cannot start `{program}`")]
    Start {
        /// What it was for.
        doing: String,
        /// The program.
        program: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A program failed.
    #[error("failed to {doing}: `{program}` ended with {status}: {stderr}")]
    Program {
        /// What it was for.
        doing: String,
        /// The program.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it said.
        stderr: String,
    },
    /// A service was started and does not answer.
    #[error("{what} does not answer; its log ends with: {log}")]
    Silent {
        /// The service.
        what: String,
        /// The end of its log.
        log: String,
    },
    /// Taking a rack down from within would end the one who does it.
    #[error("`{0}` cannot be taken down from inside its own network namespace")]
    Inside(String),
    /// Processes that even SIGKILL did not end.
    #[error("these processes of `{name}` do not end: {pids:?}")]
    Undead {
        /// The rack.
        name: String,
        /// Their ids.
        pids: Vec<i32>,
    },
}

impl LabError {
    /// The next step for a person, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotRoot => Some("run the same command as root, with sudo for instance".to_owned()),
            Self::Missing(missing) => {
                let mut packages: Vec<_> = missing.iter().map(|missing| missing.package).collect();
                packages.sort_unstable();
                packages.dedup();
                Some(format!("apt-get install --no-install-recommends {}", packages.join(" ")))
            }
            Self::NameTaken { .. } => {
                Some("`harmony lab down` takes it down; without a name, a new one is made up".to_owned())
            }
            Self::NoLab(_) => Some("`harmony lab status` shows the racks on this machine".to_owned()),
            Self::Inside(_) => Some("run `harmony lab down` from an ordinary shell".to_owned()),
            Self::Program { doing, .. } if doing.starts_with("build") => {
                Some("packages come by this machine's own apt: does `apt-get update` work?".to_owned())
            }
            _ => None,
        }
    }

    /// For `map_err` on file operations.
    pub(super) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}

fn list(missing: &[Missing]) -> String {
    let each = missing.iter().map(|Missing { what, package }| format!("{what} (package {package})"));
    each.collect::<Vec<_>>().join(", ")
}
