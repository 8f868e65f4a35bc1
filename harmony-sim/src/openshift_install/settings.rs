//! What can be set from outside, by environment variables: the program's command line is the real one's.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::OVERRIDE_VARIABLE;

/// Where the cluster's API is reached, `IP` or `IP:PORT`, whatever its name resolves to.
pub const ADDRESS_VARIABLE: &str = "OPENSHIFT_INSTALL_SIM_ADDRESS";
/// What goes wrong: `create-fails`, `create-refuses`, `create-hangs`, `garbage`, `old-ignition`.
pub const FAULT_VARIABLE: &str = "OPENSHIFT_INSTALL_SIM_FAULT";
/// How long each stage is waited for at most, in seconds; by default as long as the real program does.
pub const LIMIT_VARIABLE: &str = "OPENSHIFT_INSTALL_SIM_LIMIT";
/// How many seconds ago the certificates were made, for ones that have expired or are about to.
pub const MADE_AGO_VARIABLE: &str = "OPENSHIFT_INSTALL_SIM_MADE_AGO";
/// The program that machines run in the kubelet's place, by URL and digest: `http://…/simulated-node@sha256:…`. Without it,
/// nothing runs on machines that are installed.
pub const NODE_VARIABLE: &str = "OPENSHIFT_INSTALL_SIM_NODE";
/// Time between two looks at the API, in milliseconds.
pub const POLL_VARIABLE: &str = "OPENSHIFT_INSTALL_SIM_POLL";
/// File with the stream metadata that is printed; [`super::stream_metadata`] makes its text.
pub const STREAM_VARIABLE: &str = "OPENSHIFT_INSTALL_SIM_STREAM";
/// The version that it says.
pub const VERSION_VARIABLE: &str = "OPENSHIFT_INSTALL_SIM_VERSION";
/// The version that it says, unless told otherwise.
pub const VERSION: &str = "4.19.0-okd-scos.9";

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// `create` ends with 1.
    CreateFails,
    /// `create` ends with 3, as for a wrong install configuration.
    CreateRefuses,
    /// `create` never ends.
    CreateHangs,
    /// What is written and printed is garbage.
    Garbage,
    /// Ignition files are of specification 2.
    OldIgnition,
}

impl FromStr for Fault {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Ok(match name {
            "create-fails" => Self::CreateFails,
            "create-refuses" => Self::CreateRefuses,
            "create-hangs" => Self::CreateHangs,
            "garbage" => Self::Garbage,
            "old-ignition" => Self::OldIgnition,
            _ => return Err(()),
        })
    }
}

/// All of it.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) version: String,
    pub(super) release_override: Option<String>,
    pub(super) address: Option<(IpAddr, Option<u16>)>,
    pub(super) limit: Option<Duration>,
    pub(super) poll: Duration,
    pub(super) made_ago: Duration,
    pub(super) stream: Option<PathBuf>,
    pub(super) node: Option<(String, String)>,
    pub(super) fault: Option<Fault>,
}

impl Settings {
    pub(super) fn from_environment() -> Self {
        Self::new(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let seconds = |name| variable(name)?.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let address = variable(ADDRESS_VARIABLE).and_then(|text| {
            let with_port = text.parse().map(|address: SocketAddr| (address.ip(), Some(address.port())));
            with_port.or_else(|_| text.parse().map(|address| (address, None))).ok()
        });
        let poll = variable(POLL_VARIABLE).and_then(|text| text.parse().ok());
        Self {
            version: variable(VERSION_VARIABLE).unwrap_or_else(|| VERSION.to_owned()),
            release_override: variable(OVERRIDE_VARIABLE),
            address,
            limit: seconds(LIMIT_VARIABLE),
            poll: Duration::from_millis(poll.unwrap_or(500)),
            made_ago: seconds(MADE_AGO_VARIABLE).unwrap_or_default(),
            stream: variable(STREAM_VARIABLE).map(PathBuf::from),
            node: variable(NODE_VARIABLE).and_then(|text| by_digest(&text)),
            fault: variable(FAULT_VARIABLE).and_then(|name| name.parse().ok()),
        }
    }
}

/// URL and digest of `URL@sha256:HEX`.
fn by_digest(text: &str) -> Option<(String, String)> {
    let (url, digest) = text.rsplit_once("@sha256:")?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/%".contains(c);
    let is_digest = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    (url.chars().all(is_plain) && is_digest).then(|| (url.to_owned(), digest.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_nonsense_is_as_nothing() {
        let settings = Settings::new(|name| match name {
            ADDRESS_VARIABLE => Some("127.0.0.1:7443".to_owned()),
            LIMIT_VARIABLE => Some("1.5".to_owned()),
            FAULT_VARIABLE => Some("garbage".to_owned()),
            MADE_AGO_VARIABLE => Some("-1".to_owned()),
            NODE_VARIABLE => Some("http://10.10.0.1/$(reboot)@sha256:00".to_owned()),
            _ => None,
        });
        assert_eq!(settings.address, Some(("127.0.0.1".parse().expect("valid"), Some(7443))));
        assert_eq!((settings.limit, settings.made_ago), (Some(Duration::from_millis(1500)), Duration::ZERO));
        assert_eq!(settings.node, None);
        assert_eq!((settings.fault, settings.version.as_str()), (Some(Fault::Garbage), VERSION));
        let bare = Settings::new(|name| (name == ADDRESS_VARIABLE).then(|| "::1".to_owned()));
        assert_eq!(bare.address, Some(("::1".parse().expect("valid"), None)));
    }
}
