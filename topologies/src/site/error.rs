//! What can be wrong with a site file.

use std::path::PathBuf;

use harmony_core::error::DeviceError;
use harmony_drivers::dhcp::dnsmasq::DnsmasqConfigError;
use harmony_drivers::host::ssh::SshKeyError;
use harmony_drivers::transport::PinFileError;

/// A site that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// A file cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The site file is malformed; the cause names line and key.
    #[error("failed to understand the site file {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: toml::de::Error,
    },
    /// A value contradicts another.
    #[error("{}: `{key}`: {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Why.
        reason: String,
    },
    /// A value that cannot go into the DHCP server's configuration.
    #[error("failed to configure the DHCP server")]
    Dhcp(#[from] DnsmasqConfigError),
    /// Harmony's SSH key cannot be read or made.
    #[error("failed to prepare SSH")]
    Ssh(#[from] SshKeyError),
    /// The pinned host keys cannot be changed.
    #[error("failed to change the pinned SSH host keys")]
    KnownHosts(#[from] PinFileError),
    /// A driver refuses its values or credentials.
    #[error(transparent)]
    Device(DeviceError),
}
