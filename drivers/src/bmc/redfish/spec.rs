//! What the site file says of a BMC that speaks Redfish.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use harmony_core::net::Hostname;
use serde::{Deserialize, Serialize};

use crate::bmc::PasswordSource;
use crate::transport::tls::Fingerprint;

/// Longest user and password, in bytes. Source: DSP8010 `AccountService` leaves it to the service; 127 is
/// iDRAC's limit, the largest of the vendors that we know.
const MAX_USER_BYTES: usize = 127;
pub(super) const MAX_PASSWORD_BYTES: usize = 127;
/// Longest `HttpBootUri`, in bytes.
const MAX_URI_BYTES: usize = 1024;

/// `[bmc.NAME]` with `driver = "redfish"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct RedfishSpec {
    /// IP address or host name.
    pub address: String,
    /// TCP port, 443 by default.
    pub port: u16,
    /// The user.
    pub user: String,
    /// Where its password is.
    pub password: PasswordSource,
    /// `Id` of the system, where the BMC has several.
    pub system: Option<String>,
    /// How machines boot from the network.
    pub network_boot: NetworkBoot,
    /// What UEFI HTTP Boot loads; without it, what the DHCP server says.
    pub http_boot_uri: Option<String>,
    /// Which certificate it must show.
    pub certificate: CertificateSource,
}

/// How machines boot from the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkBoot {
    /// PXE.
    #[default]
    Pxe,
    /// UEFI HTTP Boot.
    Http,
}

/// Which certificate a BMC must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// The one that it showed first.
    FirstSight,
    /// This one.
    Sha256(Fingerprint),
    /// One that an authority in this PEM file has signed, for the address in the site file.
    Authorities(PathBuf),
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
    system: Option<String>,
    #[serde(default)]
    network_boot: NetworkBoot,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http_boot_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate_sha256: Option<Fingerprint>,
}

/// Source: RFC 9110 section 4.2.2.
fn default_port() -> u16 {
    443
}

impl TryFrom<Table> for RedfishSpec {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let Table { address, port, user, password_file, password_env, system, network_boot, .. } = table;
        if address.parse::<IpAddr>().is_err() {
            address.parse::<Hostname>().map_err(|error| format!("`address`: {error}"))?;
        }
        // A colon would end the user in basic authentication. Source: RFC 7617 section 2.
        let is_user = |byte: u8| byte.is_ascii_graphic() && byte != b':';
        if user.is_empty() || user.len() > MAX_USER_BYTES || !user.bytes().all(is_user) {
            return Err(format!(
                "`user`: 1 to {MAX_USER_BYTES} printable characters without blanks and `:` are allowed"
            ));
        }
        if let Some(id) = &system
            && (id.is_empty() || id.len() > 200 || !id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'))
        {
            return Err("`system`: the `Id` of a system, without `/`".to_owned());
        }
        if let Some(uri) = &table.http_boot_uri {
            let is_url = uri.starts_with("http://") || uri.starts_with("https://");
            if !is_url || uri.len() > MAX_URI_BYTES || !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("`http_boot_uri`: an http:// or https:// URL".to_owned());
            }
            if network_boot == NetworkBoot::Pxe {
                return Err("`http_boot_uri` needs `network_boot = \"http\"`".to_owned());
            }
        }
        let certificate = match (table.ca_file, table.certificate_sha256) {
            (None, None) => CertificateSource::FirstSight,
            (Some(path), None) => CertificateSource::Authorities(path),
            (None, Some(fingerprint)) => CertificateSource::Sha256(fingerprint),
            (Some(_), Some(_)) => return Err("at most one of `ca_file` and `certificate_sha256`".to_owned()),
        };
        let password = PasswordSource::one_of(password_file, password_env)?;
        let http_boot_uri = table.http_boot_uri;
        Ok(Self { address, port, user, password, system, network_boot, http_boot_uri, certificate })
    }
}

impl From<RedfishSpec> for Table {
    fn from(spec: RedfishSpec) -> Self {
        let RedfishSpec { address, port, user, password, system, network_boot, http_boot_uri, certificate } = spec;
        let (password_file, password_env) = password.into_keys();
        let (ca_file, certificate_sha256) = match certificate {
            CertificateSource::FirstSight => (None, None),
            CertificateSource::Authorities(path) => (Some(path), None),
            CertificateSource::Sha256(fingerprint) => (None, Some(fingerprint)),
        };
        Self {
            address,
            port,
            user,
            password_file,
            password_env,
            system,
            network_boot,
            http_boot_uri,
            ca_file,
            certificate_sha256,
        }
    }
}

impl RedfishSpec {
    /// Makes relative paths relative to this folder.
    pub fn resolve(&mut self, folder: &Path) {
        self.password.resolve(folder);
        if let CertificateSource::Authorities(path) = &mut self.certificate {
            *path = folder.join(&*path);
        }
    }

    /// Where it answers, `https://10.10.1.11`: without the port where that is HTTPS's own.
    #[must_use]
    pub fn base_url(&self) -> String {
        let host = match self.address.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.address.clone(),
        };
        if self.port == default_port() { format!("https://{host}") } else { format!("https://{host}:{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_file() {
        let text = format!(
            "address = \"fd00::1\"\nport = 8443\nuser = \"root\"\npassword_file = \"/run/pw\"\nsystem = \"Blade1\"\n\
             network_boot = \"http\"\nhttp_boot_uri = \"http://10.0.0.1/ipxe.efi\"\ncertificate_sha256 = \"{}\"\n",
            Fingerprint::of(b"x")
        );
        let spec: RedfishSpec = toml::from_str(&text).expect("valid");
        assert_eq!((spec.base_url().as_str(), spec.network_boot), ("https://[fd00::1]:8443", NetworkBoot::Http));
        assert_eq!(toml::to_string(&spec).expect("written"), text);
        let mut short: RedfishSpec =
            toml::from_str("address = \"bmc1\"\nuser = \"root\"\npassword_env = \"P\"\nca_file = \"ca.pem\"")
                .expect("valid");
        short.resolve(Path::new("/site"));
        assert_eq!(short.base_url(), "https://bmc1");
        assert_eq!(short.certificate, CertificateSource::Authorities("/site/ca.pem".into()));
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        let beginning = "address = \"10.0.0.1\"\nuser = \"a\"\npassword_file = \"f\"\n";
        for (more, error) in [
            ("password_env = \"e\"", "exactly one of `password_file`"),
            ("system = \"a/b\"", "`system`: the `Id` of a system"),
            ("network_boot = \"tftp\"", "unknown variant `tftp`"),
            ("http_boot_uri = \"http://x/\"", "needs `network_boot = \"http\"`"),
            ("network_boot = \"http\"\nhttp_boot_uri = \"ftp://x/\"", "`http_boot_uri`: an http:// or https:// URL"),
            ("certificate_sha256 = \"12\"", "is no SHA-256 fingerprint"),
            ("insecure = true", "unknown field `insecure`"),
        ] {
            let found = toml::from_str::<RedfishSpec>(&format!("{beginning}{more}")).expect_err(more).to_string();
            assert!(found.contains(error), "{found}");
        }
        let found = toml::from_str::<RedfishSpec>(&beginning.replace("\"a\"", "\"a:b\"")).expect_err("a colon");
        assert!(found.to_string().contains("`user`: 1 to 127"), "{found}");
    }
}
