//! What the site file says of a Cisco IOS switch.

use std::path::PathBuf;

use harmony_core::net::{Hostname, PortName};
use serde::{Deserialize, Serialize};

use super::interface::Interface;
use crate::bmc::PasswordSource;
use crate::transport::cli::SshProfile;

/// Longest password that is read, in bytes. Source: Cisco IOS Security Command Reference, `username`.
pub(super) const MAX_PASSWORD_BYTES: usize = 127;
/// Port-channels that every family has. Source: Catalyst 3750 configuration guide, "EtherChannel".
const PORT_CHANNELS: [u16; 2] = [1, 48];

/// `[switch.NAME]` with `driver = "cisco_ios"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct CiscoIosSpec {
    /// IP address or host name.
    pub address: String,
    /// TCP port of SSH, 22 by default.
    pub port: u16,
    /// The user.
    pub user: String,
    /// Where the user's password is.
    pub password: PasswordSource,
    /// Where the password of `enable` is; not needed for users of privilege level 15.
    pub enable_password: Option<PasswordSource>,
    /// Ports that servers may be plugged into, as `Gi1/0/1`; no other is ever changed.
    pub host_ports: Vec<PortName>,
    /// Which algorithms of SSH the switch may choose.
    pub ssh_profile: SshProfile,
    /// Whether a change is written to the startup configuration once it is verified.
    pub save: bool,
    /// First and last number of the port-channels that Harmony may make.
    pub port_channels: [u16; 2],
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enable_password_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enable_password_env: Option<String>,
    host_ports: Vec<PortName>,
    #[serde(default)]
    ssh_profile: SshProfile,
    #[serde(default)]
    save: bool,
    #[serde(default = "default_port_channels")]
    port_channels: [u16; 2],
}

/// Source: IANA, `ssh`.
fn default_port() -> u16 {
    22
}

fn default_port_channels() -> [u16; 2] {
    PORT_CHANNELS
}

impl TryFrom<Table> for CiscoIosSpec {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        if table.address.parse::<std::net::IpAddr>().is_err() {
            table.address.parse::<Hostname>().map_err(|error| format!("`address`: {error}"))?;
        }
        if !(1..=64).contains(&table.user.len()) || !table.user.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("`user`: 1 to 64 printable characters without blanks are allowed".to_owned());
        }
        let enable_password = match (&table.enable_password_file, &table.enable_password_env) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                return Err("only one of `enable_password_file` and `enable_password_env` is allowed".to_owned());
            }
            _ => Some(PasswordSource::one_of(table.enable_password_file, table.enable_password_env)?),
        };
        let cut = |port: &PortName| {
            let name = Interface::parse(port.as_str()).and_then(|interface| interface.port_name());
            name.ok_or_else(|| format!("`host_ports`: `{port}` is no port of a Cisco switch, such as `Gi1/0/1`"))
        };
        let host_ports = table.host_ports.iter().map(cut).collect::<Result<Vec<_>, _>>()?;
        if host_ports.is_empty() {
            return Err("`host_ports`: name the ports that servers are plugged into".to_owned());
        }
        let [first, last] = table.port_channels;
        if first == 0 || first > last || last > 4096 {
            return Err("`port_channels`: first and last number, from 1 to 4096, are needed".to_owned());
        }
        Ok(Self {
            address: table.address,
            port: table.port,
            user: table.user,
            password: PasswordSource::one_of(table.password_file, table.password_env)?,
            enable_password,
            host_ports,
            ssh_profile: table.ssh_profile,
            save: table.save,
            port_channels: table.port_channels,
        })
    }
}

impl From<CiscoIosSpec> for Table {
    fn from(spec: CiscoIosSpec) -> Self {
        let (password_file, password_env) = spec.password.into_keys();
        let (enable_password_file, enable_password_env) =
            spec.enable_password.map_or((None, None), PasswordSource::into_keys);
        Self {
            address: spec.address,
            port: spec.port,
            user: spec.user,
            password_file,
            password_env,
            enable_password_file,
            enable_password_env,
            host_ports: spec.host_ports,
            ssh_profile: spec.ssh_profile,
            save: spec.save,
            port_channels: spec.port_channels,
        }
    }
}

impl CiscoIosSpec {
    /// Makes relative paths relative to this folder.
    pub fn resolve(&mut self, folder: &std::path::Path) {
        self.password.resolve(folder);
        if let Some(enable) = &mut self.enable_password {
            enable.resolve(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_file() {
        let text = "address = \"10.0.0.2\"\nuser = \"harmony\"\npassword_file = \"pw\"\nenable_password_env = \"EN\"\n\
                    host_ports = [\"GigabitEthernet1/0/1\", \"Gi1/0/2\"]\nssh_profile = \"legacy\"\n";
        let mut spec: CiscoIosSpec = toml::from_str(text).expect("valid");
        assert_eq!((spec.port, spec.save, spec.port_channels), (22, false, [1, 48]));
        assert_eq!(spec.host_ports.iter().map(PortName::as_str).collect::<Vec<_>>(), ["Gi1/0/1", "Gi1/0/2"]);
        spec.resolve(std::path::Path::new("/site"));
        assert_eq!(spec.password, PasswordSource::File("/site/pw".into()));
        assert_eq!(spec.enable_password, Some(PasswordSource::Environment("EN".into())));
        let again: CiscoIosSpec = toml::from_str(&toml::to_string(&spec).expect("written")).expect("read");
        assert_eq!(again, spec);
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        let good = "address = \"sw\"\nuser = \"a\"\npassword_env = \"P\"\nhost_ports = [\"Gi1/0/1\"]\n";
        assert!(toml::from_str::<CiscoIosSpec>(good).is_ok());
        for (add, error) in [
            ("password_file = \"p\"", "exactly one of `password_file` and `password_env`"),
            ("enable_password_file = \"p\"\nenable_password_env = \"E\"", "only one of `enable_password_file`"),
            ("port_channels = [4, 2]", "`port_channels`: first and last"),
            ("password = \"hunter2\"", "unknown field `password`"),
        ] {
            let found = toml::from_str::<CiscoIosSpec>(&format!("{good}{add}")).expect_err(add).to_string();
            assert!(found.contains(error), "{found}");
        }
        for (from, to, error) in [
            ("[\"Gi1/0/1\"]", "[]", "`host_ports`: name the ports"),
            ("Gi1/0/1", "uplink", "`uplink` is no port of a Cisco switch"),
            ("user = \"a\"", "user = \"a b\"", "`user`: 1 to 64 printable"),
            ("\"sw\"", "\"-x\"", "`address`: `-x` is no host name"),
        ] {
            let found = toml::from_str::<CiscoIosSpec>(&good.replace(from, to)).expect_err(to).to_string();
            assert!(found.contains(error), "{found}");
        }
    }
}
