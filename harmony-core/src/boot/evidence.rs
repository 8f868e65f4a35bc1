//! What was seen of a host's boot: requests to the boot server, progress that the installer told.
//!
//! Evidence is what a waiting step shows, and what its error consists of when its time is up (P13).

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::boot::OrderId;
use crate::host::HostId;
use crate::net::MacAddress;

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootEvent {
    /// When.
    pub at: Timestamp,
    /// The host, where it is known.
    pub host: Option<HostId>,
    /// The MAC that the client said it has.
    pub mac: Option<MacAddress>,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The order that the request belongs to.
    pub order: Option<OrderId>,
    /// What happened.
    pub kind: BootEventKind,
}

/// What can be seen of a boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum BootEventKind {
    /// A file was read over TFTP: firmware loads iPXE.
    Tftp {
        /// Its path.
        path: String,
    },
    /// iPXE asked for its boot script, and told UUID, serial and MACs.
    Chain,
    /// The script for unknown hosts was served.
    InventoryScript,
    /// The script of an order was served.
    InstallScript,
    /// The script that starts from disk was served.
    DiskScript,
    /// A kernel, initramfs or image was asked for.
    Asset {
        /// Its path.
        path: String,
        /// Whether the last byte was handed over.
        complete: bool,
    },
    /// The Kickstart of the live environment was served.
    Kickstart,
    /// The agent binary was served.
    AgentBinary,
    /// The agent announced itself.
    Announced {
        /// Port that it listens on.
        port: u16,
    },
    /// The order's answer file was served; its token is used up.
    Answer,
    /// The installer started to write.
    InstallStarted,
    /// The image is on the disk and its digest is right.
    ImageWritten,
    /// The installer is through and reboots.
    InstallDone,
    /// The installer gave up.
    InstallFailed {
        /// As it says.
        reason: String,
    },
    /// A request was refused.
    Refused {
        /// What was asked for, without any token.
        path: String,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for BootEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tftp { path } => write!(f, "read {path} over TFTP"),
            Self::Chain => f.write_str("iPXE asked for its boot script"),
            Self::InventoryScript => f.write_str("inventory script served"),
            Self::InstallScript => f.write_str("install script served"),
            Self::DiskScript => f.write_str("disk boot script served"),
            Self::Asset { path, complete: true } => write!(f, "fetched {path}"),
            Self::Asset { path, complete: false } => write!(f, "fetching {path}"),
            Self::Kickstart => f.write_str("Kickstart served"),
            Self::AgentBinary => f.write_str("agent binary served"),
            Self::Announced { port } => write!(f, "agent announced itself on port {port}"),
            Self::Answer => f.write_str("answer file served, token used up"),
            Self::InstallStarted => f.write_str("installer started"),
            Self::ImageWritten => f.write_str("image written and verified"),
            Self::InstallDone => f.write_str("installer finished"),
            Self::InstallFailed { reason } => write!(f, "installer failed: {reason}"),
            Self::Refused { path, reason } => write!(f, "refused {path}: {reason}"),
        }
    }
}

impl fmt::Display for BootEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} {}", self.at, self.kind)?;
        match (self.address, self.mac) {
            (Some(address), Some(mac)) => write!(f, " ({address}, {mac})"),
            (Some(address), None) => write!(f, " ({address})"),
            (None, Some(mac)) => write!(f, " ({mac})"),
            (None, None) => Ok(()),
        }
    }
}
