//! What the site file says of an Open vSwitch.

use std::path::{Path, PathBuf};

use harmony_core::net::PortName;
use serde::{Deserialize, Serialize};

/// `[switch.NAME]` with `driver = "openvswitch"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenVswitchSpec {
    /// Its database: `unix:/run/openvswitch/db.sock`, `tcp:HOST:PORT` or `ssl:HOST:PORT`.
    pub db: String,
    /// The bridge that is the switch.
    pub bridge: PortName,
    /// Ports that servers may be plugged into; no other is ever changed. Empty: every port of the
    /// bridge but its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_ports: Vec<PortName>,
    /// Control socket of `ovs-vswitchd`; by default `vswitchd.ctl` beside the database's socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appctl: Option<PathBuf>,
}

impl OpenVswitchSpec {
    /// The control socket, where one is named or follows from the database's path.
    pub(super) fn control_socket(&self) -> Option<PathBuf> {
        let beside = || Some(Path::new(self.db.strip_prefix("unix:")?).parent()?.join("vswitchd.ctl"));
        self.appctl.clone().or_else(beside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_socket_is_beside_the_database() {
        let spec = |text: &str| toml::from_str::<OpenVswitchSpec>(text).expect("valid");
        let site = spec("db = \"unix:/run/ovs/db.sock\"\nbridge = \"br0\"\nhost_ports = [\"p0\"]");
        assert_eq!(site.control_socket(), Some("/run/ovs/vswitchd.ctl".into()));
        assert_eq!(spec("db = \"tcp:10.0.0.1:6640\"\nbridge = \"br0\"").control_socket(), None);
        assert_eq!(spec("db = \"tcp:h:1\"\nbridge = \"b\"\nappctl = \"/c\"").control_socket(), Some("/c".into()));
    }

    #[test]
    fn unknown_keys_and_bad_names_are_refused() {
        for text in [
            "db = \"unix:/d\"\nbridge = \"br0\"\nbrigde = \"x\"",
            "db = \"unix:/d\"\nbridge = \"--all\"",
            "bridge = \"br0\"",
        ] {
            assert!(toml::from_str::<OpenVswitchSpec>(text).is_err(), "{text}");
        }
    }
}
