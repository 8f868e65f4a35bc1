//! What the site file says of HAProxy, and where everything is in consequence.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Bytes of a socket's path: HAProxy binds a longer name first, and a Unix socket has 107.
const MAX_SOCKET_BYTES: usize = 88;

/// `[load_balancer]` with `driver = "haproxy"`: either one that is there and reads a file of Harmony's besides
/// its own (`config`, `socket`, `reload`), or one that Harmony starts and owns (`run = true`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HaproxySpec {
    /// Harmony's own file, `/etc/haproxy/conf.d/harmony.cfg`; nobody else writes it. With `run`, by default in
    /// Harmony's state folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// The files that HAProxy is started with before it, in order: `/etc/haproxy/haproxy.cfg`. Needed to have
    /// HAProxy judge the whole before it is used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub main_config: Vec<PathBuf>,
    /// The runtime socket, with `level admin`: `/run/haproxy/admin.sock`. With `run`, by default in Harmony's
    /// state folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// The command that makes it read its files again without cutting connections, word by word:
    /// `["systemctl", "reload", "haproxy"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reload: Vec<String>,
    /// Whether Harmony starts and owns it.
    #[serde(default)]
    pub run: bool,
    /// The program; by default `haproxy` from `PATH`. It must end up as a process of that name, so a wrapper has
    /// to `exec` it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
}

/// A value of `[load_balancer]` that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HaproxySpecError {
    /// Needed where Harmony does not own the process.
    #[error("`{0}` is missing: it is needed unless Harmony starts HAProxy itself (`run = true`)")]
    Missing(&'static str),
    /// Means nothing where Harmony owns the process.
    #[error("`{0}` means nothing beside `run = true`: Harmony then writes and reloads everything itself")]
    Idle(&'static str),
    /// A path that HAProxy could read as something else.
    #[error("`{field}` cannot be `{}`: {reason}", .path.display())]
    Path {
        /// Which value.
        field: &'static str,
        /// The path.
        path: PathBuf,
        /// What is allowed.
        reason: &'static str,
    },
}

/// Where everything is.
#[derive(Debug)]
pub(super) struct Places {
    /// Harmony's folder: its lock, and the main file of a HAProxy of its own.
    pub(super) folder: PathBuf,
    /// What HAProxy reads before Harmony's file.
    pub(super) main: Vec<PathBuf>,
    /// Harmony's file.
    pub(super) config: PathBuf,
    /// The runtime socket.
    pub(super) socket: PathBuf,
}

impl Places {
    pub(super) fn new(spec: &HaproxySpec, state_dir: &Path) -> Result<Self, HaproxySpecError> {
        let folder = absolute(state_dir);
        let main = if spec.run {
            for (field, is_set) in [("main_config", !spec.main_config.is_empty()), ("reload", !spec.reload.is_empty())]
            {
                if is_set {
                    return Err(HaproxySpecError::Idle(field));
                }
            }
            vec![folder.join("main.cfg")]
        } else {
            if spec.reload.first().is_none_or(String::is_empty) {
                return Err(HaproxySpecError::Missing("reload"));
            }
            spec.main_config.iter().map(|path| absolute(path)).collect()
        };
        let place = |path: &Option<PathBuf>, field, name| match path {
            Some(path) => Ok(absolute(path)),
            None if spec.run => Ok(folder.join(name)),
            None => Err(HaproxySpecError::Missing(field)),
        };
        let config = place(&spec.config, "config", "harmony.cfg")?;
        let socket = place(&spec.socket, "socket", "admin.sock")?;
        let files = main.iter().map(|path| ("main_config", path));
        for (field, path) in files.chain([("config", &config), ("socket", &socket)]) {
            plain(field, path)?;
        }
        if socket.as_os_str().len() > MAX_SOCKET_BYTES {
            return Err(HaproxySpecError::Path { field: "socket", path: socket, reason: "88 bytes at most" });
        }
        Ok(Self { folder, main, config, socket })
    }

    /// The options that name its files, with Harmony's at this path.
    pub(super) fn files(&self, config: &Path) -> Vec<String> {
        let files = self.main.iter().map(PathBuf::as_path).chain([config]);
        files.flat_map(|path| ["-f".to_owned(), path.display().to_string()]).collect()
    }

    /// The main file of a HAProxy of ours.
    pub(super) fn main_text(&self) -> String {
        format!(
            "\
# Written by Harmony at every start of this HAProxy; edits are lost.
global
    stats socket {} mode 600 level admin expose-fd listeners
",
            self.socket.display()
        )
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Refuses what would end or split a word: HAProxy reads quotes, backslashes, `#` and, within quotes, `$`.
fn plain(field: &'static str, path: &Path) -> Result<(), HaproxySpecError> {
    let allowed = |b: u8| b.is_ascii_graphic() && !b"\"'\\#$".contains(&b);
    let is_plain = path.file_name().is_some() && path.to_str().is_some_and(|path| path.bytes().all(allowed));
    let reason = "printable characters without blanks, quotes, `\\`, `#` and `$` are allowed";
    if is_plain { Ok(()) } else { Err(HaproxySpecError::Path { field, path: path.to_owned(), reason }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_file_is_checked() {
        let places = |text: &str| {
            let spec: HaproxySpec = toml::from_str(text).map_err(|error| error.to_string())?;
            Places::new(&spec, Path::new("/var/lib/harmony/lb")).map_err(|error| error.to_string())
        };
        let owned = places("run = true").expect("valid");
        assert_eq!(owned.config, Path::new("/var/lib/harmony/lb/harmony.cfg"));
        assert_eq!(owned.main, [Path::new("/var/lib/harmony/lb/main.cfg")]);
        let shared = "config = '/etc/haproxy/conf.d/harmony.cfg'\nmain_config = ['/etc/haproxy/haproxy.cfg']\n";
        let rest = "socket = '/run/haproxy/admin.sock'\nreload = ['systemctl', 'reload', 'haproxy']\n";
        let there = places(&format!("{shared}{rest}")).expect("valid");
        assert_eq!(there.main, [Path::new("/etc/haproxy/haproxy.cfg")]);
        for (text, why) in [
            (rest.to_owned(), "`config` is missing"),
            (shared.to_owned(), "`reload` is missing"),
            ("run = true\nreload = ['x']".to_owned(), "`reload` means nothing"),
            ("run = true\nsocket = '/run/a b'".to_owned(), "`socket` cannot be `/run/a b`: printable"),
            (format!("run = true\nsocket = '/{}'", "x".repeat(90)), "`socket` cannot be"),
            ("run = true\nport = 1".to_owned(), "unknown field"),
        ] {
            let error = places(&text).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
    }
}
