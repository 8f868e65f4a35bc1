//! What the site file says of a BMC that speaks IPMI 2.0 over LAN.

use std::path::PathBuf;

use harmony_core::net::Hostname;
use serde::{Deserialize, Serialize};

use crate::bmc::PasswordSource;

/// Longest password of IPMI 2.0, in bytes. Source: IPMI 2.0 section 22.30.
pub(super) const MAX_PASSWORD_BYTES: usize = 20;

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
        let password = PasswordSource::one_of(password_file, password_env)?;
        Ok(Self { address, port, user, password, cipher_suite })
    }
}

impl From<IpmiSpec> for Table {
    fn from(spec: IpmiSpec) -> Self {
        let IpmiSpec { address, port, user, password, cipher_suite } = spec;
        let (password_file, password_env) = password.into_keys();
        Self { address, port, user, password_file, password_env, cipher_suite }
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
}
