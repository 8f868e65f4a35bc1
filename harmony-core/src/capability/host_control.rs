//! A running host, reached over SSH.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::DeviceResult;
use crate::host::HostId;

/// Which system of a host is spoken to: each has host keys and a user of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoginStage {
    /// The live environment, whose host keys are new at every boot.
    Live,
    /// The system that this order installed; its host key is pinned at first sight.
    Installed {
        /// The order's number.
        order: u32,
    },
}

/// Whom to speak to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostTarget {
    /// The host; names it in errors and pins its key.
    pub host: HostId,
    /// Where it answers.
    pub address: IpAddr,
    /// Which of its systems.
    pub stage: LoginStage,
}

/// What a command printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutput {
    /// Exit status; absent when the connection ended first.
    pub status: Option<u32>,
    /// Standard output, cut to 1 MiB.
    pub stdout: String,
    /// Standard error, cut to 64 KiB.
    pub stderr: String,
}

/// Running hosts.
///
/// Contract:
/// 1. A host key that differs from the pinned one is refused (`Rejected`), and said so.
/// 2. `run` returns the command's status, whatever it is; errors are those of the connection.
/// 3. `reboot` succeeds if the connection drops after the command was sent.
#[async_trait]
pub trait HostControl: Send + Sync {
    /// Runs a command through the login shell.
    async fn run(&self, target: &HostTarget, command: &str, timeout: Duration) -> DeviceResult<CommandOutput>;
    /// Restarts the host. It boots from whatever its firmware tries first.
    async fn reboot(&self, target: &HostTarget) -> DeviceResult<()>;
}
