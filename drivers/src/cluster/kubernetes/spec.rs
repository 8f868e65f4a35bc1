//! What the site file says of how clusters are reached.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Port of machine config servers. Source: OpenShift documentation, "Network connectivity requirements".
const MACHINE_CONFIG_PORT: u16 = 22623;

/// `[cluster]` with `driver = "kubernetes"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubernetesSpec {
    /// Where the API is asked, instead of the name in the kubeconfig: certificates are for that name all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_address: Option<ApiAddress>,
    /// Port of machine config servers; 22623 by default.
    #[serde(default = "machine_config_port", skip_serializing_if = "is_machine_config_port")]
    pub machine_config_port: u16,
    /// Time for TCP and TLS, in seconds; 5 by default.
    #[serde(default = "connect_timeout_s")]
    pub connect_timeout_s: u16,
    /// Time for one whole answer, in seconds; 20 by default.
    #[serde(default = "answer_timeout_s")]
    pub answer_timeout_s: u16,
}

fn machine_config_port() -> u16 {
    MACHINE_CONFIG_PORT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_machine_config_port(port: &u16) -> bool {
    *port == MACHINE_CONFIG_PORT
}

fn connect_timeout_s() -> u16 {
    5
}

fn answer_timeout_s() -> u16 {
    20
}

impl Default for KubernetesSpec {
    fn default() -> Self {
        Self {
            api_address: None,
            machine_config_port: MACHINE_CONFIG_PORT,
            connect_timeout_s: connect_timeout_s(),
            answer_timeout_s: answer_timeout_s(),
        }
    }
}

impl KubernetesSpec {
    /// Time for TCP and TLS.
    pub(super) fn connect_limit(&self) -> Duration {
        Duration::from_secs(u64::from(self.connect_timeout_s.max(1)))
    }

    /// Time for one whole answer, connection included.
    pub(super) fn answer_limit(&self) -> Duration {
        Duration::from_secs(u64::from(self.answer_timeout_s.max(1)))
    }
}

/// Where an API is asked: an address, and a port where it is not that of the kubeconfig.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApiAddress {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: Option<u16>,
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no IP address, with or without a port (`10.0.0.5`, `10.0.0.5:6443`, `[fd00::5]:6443`)")]
pub struct ParseApiAddressError(String);

impl FromStr for ApiAddress {
    type Err = ParseApiAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse() {
            return Ok(Self { address, port: None });
        }
        let socket: SocketAddr = text.parse().map_err(|_| ParseApiAddressError(text.chars().take(100).collect()))?;
        Ok(Self { address: socket.ip(), port: Some(socket.port()) })
    }
}

impl fmt::Display for ApiAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}", SocketAddr::new(self.address, port)),
            None => write!(f, "{}", self.address),
        }
    }
}

impl TryFrom<String> for ApiAddress {
    type Error = ParseApiAddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ApiAddress> for String {
    fn from(address: ApiAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_file() {
        let text = "api_address = \"[fd00::5]:6443\"\nconnect_timeout_s = 2\nanswer_timeout_s = 9\n";
        let spec: KubernetesSpec = toml::from_str(text).expect("valid");
        assert_eq!(spec.api_address, Some(ApiAddress { address: "fd00::5".parse().expect("one"), port: Some(6443) }));
        assert_eq!((spec.connect_limit().as_secs(), spec.answer_limit().as_secs()), (2, 9));
        assert_eq!(toml::to_string(&spec).expect("written"), text);
        assert_eq!(toml::from_str::<KubernetesSpec>("").expect("valid"), KubernetesSpec::default());
        assert_eq!("10.0.0.5".parse().map(|address: ApiAddress| address.port), Ok(None));
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        for (text, error) in [
            ("api_address = \"api.example.com\"", "is no IP address"),
            ("insecure = true", "unknown field `insecure`"),
            ("machine_config_port = 70000", "expected u16"),
        ] {
            let found = toml::from_str::<KubernetesSpec>(text).expect_err(text).to_string();
            assert!(found.contains(error), "{found}");
        }
    }
}
