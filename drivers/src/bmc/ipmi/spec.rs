//! What the site file says of a BMC that speaks IPMI 2.0 over LAN.

use std::io::Read;
use std::path::PathBuf;

use harmony_core::net::Hostname;
use harmony_core::secret::Secret;
use serde::{Deserialize, Serialize};

/// Longest password of IPMI 2.0, in bytes. Source: IPMI 2.0 section 22.30.
const MAX_PASSWORD_BYTES: usize = 20;

/// `[bmc.NAME]` with `driver = "ipmi"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct IpmiSpec {
    /// IP address or host name.
    pub address: String,
    /// UDP port, 623 by default.
    pub port: u16,
    /// The user.
    pub user: String,
    /// Where its password is.
    pub password: PasswordSource,
    /// Cipher suite, 3 by default, which most BMCs have; 17 is stronger where there.
    /// Source: IPMI 2.0 table 22-20.
    pub cipher_suite: u8,
}

/// Where a password is; it never stands in the site file itself.
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
    /// Empty, or longer than IPMI can say.
    #[error("the password in {0} is empty or longer than {MAX_PASSWORD_BYTES} bytes")]
    Length(String),
}

/// As the site file says it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    address: String,
    #[serde(default = "default_port")]
    port: u16,
    user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password_env: Option<String>,
    #[serde(default = "default_cipher_suite")]
    cipher_suite: u8,
}

/// RMCP's port. Source: IANA, `asf-rmcp`.
fn default_port() -> u16 {
    623
}

fn default_cipher_suite() -> u8 {
    3
}

impl TryFrom<Table> for IpmiSpec {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let Table { address, port, user, password_file, password_env, cipher_suite } = table;
        if address.parse::<std::net::IpAddr>().is_err() {
            address.parse::<Hostname>().map_err(|error| format!("`address`: {error}"))?;
        }
        if user.is_empty() || user.len() > 16 || !user.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("`user`: 1 to 16 printable characters without blanks are allowed".to_owned());
        }
        let password = match (password_file, password_env) {
            (Some(path), None) => PasswordSource::File(path),
            (None, Some(name)) => PasswordSource::Environment(name),
            _ => return Err("exactly one of `password_file` and `password_env` is needed".to_owned()),
        };
        Ok(Self { address, port, user, password, cipher_suite })
    }
}

impl From<IpmiSpec> for Table {
    fn from(spec: IpmiSpec) -> Self {
        let IpmiSpec { address, port, user, password, cipher_suite } = spec;
        let (password_file, password_env) = match password {
            PasswordSource::File(path) => (Some(path), None),
            PasswordSource::Environment(name) => (None, Some(name)),
        };
        Self { address, port, user, password_file, password_env, cipher_suite }
    }
}

impl PasswordSource {
    /// The password, read anew each time, so that a changed file needs no new run.
    pub(super) fn read(&self) -> Result<Secret, PasswordError> {
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
        if (1..=MAX_PASSWORD_BYTES).contains(&password.len()) {
            Ok(Secret::new(password))
        } else {
            Err(PasswordError::Length(self.to_string()))
        }
    }
}

impl std::fmt::Display for PasswordSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
    fn the_site_file() {
        let text =
            "address = \"10.10.0.1\"\nport = 6231\nuser = \"admin\"\npassword_file = \"/run/pw\"\ncipher_suite = 17\n";
        let spec: IpmiSpec = toml::from_str(text).expect("valid");
        assert_eq!((spec.port, spec.cipher_suite), (6231, 17));
        assert_eq!(toml::to_string(&spec).expect("written"), text);
        let short: IpmiSpec =
            toml::from_str("address = \"bmc1.lab\"\nuser = \"root\"\npassword_env = \"BMC\"").expect("valid");
        assert_eq!(
            (short.port, short.cipher_suite, short.password),
            (623, 3, PasswordSource::Environment("BMC".into()))
        );
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        for (text, error) in [
            ("address = \"10.0.0.1\"\nuser = \"a\"", "exactly one of `password_file` and `password_env`"),
            ("address = \"10.0.0.1\"\nuser = \"a\"\npassword_file = \"f\"\npassword_env = \"e\"", "exactly one of"),
            ("address = \"-x\"\nuser = \"a\"\npassword_file = \"f\"", "`address`: `-x` is no host name"),
            ("address = \"10.0.0.1\"\nuser = \"a b\"\npassword_file = \"f\"", "`user`: 1 to 16 printable"),
            ("address = \"10.0.0.1\"\nuser = \"a\"\npassword = \"hunter2\"", "unknown field `password`"),
        ] {
            let found = toml::from_str::<IpmiSpec>(text).expect_err(text).to_string();
            assert!(found.contains(error), "{found}");
        }
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let source = PasswordSource::File(file.path().to_owned());
        std::fs::write(file.path(), "hunter2\n").expect("written");
        assert_eq!(source.read().expect("read"), Secret::new("hunter2"));
        for text in ["", "\nx", "a password of more than twenty bytes"] {
            std::fs::write(file.path(), text).expect("written");
            let error = source.read().expect_err(text).to_string();
            assert_eq!(error, format!("the password in {} is empty or longer than 20 bytes", file.path().display()));
        }
        let absent = PasswordSource::Environment("HARMONY_NO_SUCH_VARIABLE".into()).read().expect_err("not set");
        assert_eq!(
            absent.to_string(),
            "the environment variable `HARMONY_NO_SUCH_VARIABLE`, which holds the password, is not set"
        );
    }
}
