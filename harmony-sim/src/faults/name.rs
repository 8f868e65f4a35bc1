//! What faults are called on command lines: stable names, one for each kind.

use std::fmt;
use std::str::FromStr;

use super::{AgentReply, Fault, WriteFault};

macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The name of a kind of [`Fault`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultName {
            $($(#[$doc])* $variant,)*
        }

        impl FaultName {
            /// All of them, in the order of their documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

names! {
    /// A write gets lost before it arrives.
    LostCommand = "lost-command",
    /// A write takes effect, and its reply is lost.
    LostReply = "lost-reply",
    /// A write takes effect, and its reply comes late.
    LateReply = "late-reply",
    /// A write never arrives, and no answer comes.
    SilentCommand = "silent-command",
    /// A write takes effect, and no answer comes.
    SilentReply = "silent-reply",
    /// The connection to a switch is cut in the middle of a command.
    CutConnection = "cut-connection",
    /// A device refuses logins for a while.
    RefusedLogin = "refused-login",
    /// A switch rejects one command of five.
    RejectedCommand = "rejected-command",
    /// A switch makes no LAGs.
    RefusedLacp = "refused-lacp",
    /// A machine's LACP is not understood.
    MuteBond = "mute-bond",
    /// A BMC ignores the boot device that is set.
    IgnoredBootDevice = "ignored-boot-device",
    /// A BMC never forgets the boot device that is set.
    StickyBootDevice = "sticky-boot-device",
    /// A machine hangs.
    HangingHost = "hanging-host",
    /// A machine boots from its last NIC first.
    WrongBootNic = "wrong-boot-nic",
    /// Two cables are swapped.
    SwappedCables = "swapped-cables",
    /// A link comes and goes.
    FlappingLink = "flapping-link",
    /// The DHCP pool is empty.
    ExhaustedDhcp = "exhausted-dhcp",
    /// A disk is gone.
    VanishedDisk = "vanished-disk",
    /// An installer gives up.
    FailedInstall = "failed-install",
    /// An agent answers nonsense, errors, too much or nothing.
    BrokenAgent = "broken-agent",
    /// An agent pretends to be another machine.
    LyingAgent = "lying-agent",
    /// A bootstrap never serves.
    SilentBootstrap = "silent-bootstrap",
    /// A machine hangs at its first boot.
    HangingFirstBoot = "hanging-first-boot",
    /// Machine config servers answer 404.
    MissingMachineConfig = "missing-machine-config",
    /// Certificates in Ignition files have expired.
    ExpiredCertificates = "expired-certificates",
    /// Somebody foreign asks for a certificate.
    ForeignRequest = "foreign-request",
    /// An operator is degraded.
    DegradedOperator = "degraded-operator",
    /// The load balancer loses a server.
    LostServer = "lost-server",
    /// The DNS server gives an old address.
    StaleDns = "stale-dns",
    /// The controller's clock jumps.
    ClockJump = "clock-jump",
    /// The controller is killed.
    KilledController = "killed-controller",
}

impl FaultName {
    /// Whether what it leaves behind when it is over may need a person before a run gets through: a host has to
    /// report again, or to be assigned again.
    #[must_use]
    pub const fn needs_person(self) -> bool {
        matches!(
            self,
            Self::VanishedDisk
                | Self::LyingAgent
                | Self::FailedInstall
                | Self::HangingFirstBoot
                | Self::MissingMachineConfig
                | Self::ForeignRequest
        )
    }

    /// Whether it strikes clusters alone.
    #[must_use]
    pub const fn is_of_clusters(self) -> bool {
        matches!(
            self,
            Self::SilentBootstrap
                | Self::HangingFirstBoot
                | Self::MissingMachineConfig
                | Self::ExpiredCertificates
                | Self::ForeignRequest
                | Self::DegradedOperator
                | Self::LostServer
                | Self::StaleDns
        )
    }
}

/// Not the name of a fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no fault is called `{0}` (there are: {all})", all = Fault::names().join(", "))]
pub struct UnknownFault(String);

impl FromStr for FaultName {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let found = Self::ALL.iter().find(|name| name.as_str() == text);
        found.copied().ok_or_else(|| UnknownFault(text.chars().take(40).collect()))
    }
}

impl fmt::Display for FaultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Fault {
    /// The names of all faults, as they are written.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        FaultName::ALL.iter().map(|name| name.as_str()).collect()
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> FaultName {
        match self {
            Self::Write { how: WriteFault::FailBefore, .. } => FaultName::LostCommand,
            Self::Write { how: WriteFault::FailAfter, .. } => FaultName::LostReply,
            Self::Write { how: WriteFault::Late, .. } => FaultName::LateReply,
            Self::Write { how: WriteFault::HangBefore, .. } => FaultName::SilentCommand,
            Self::Write { how: WriteFault::HangAfter, .. } => FaultName::SilentReply,
            Self::CutMidCommand { .. } => FaultName::CutConnection,
            Self::LoginRefused { .. } => FaultName::RefusedLogin,
            Self::SwitchRejects { .. } => FaultName::RejectedCommand,
            Self::SwitchRefusesLacp { .. } => FaultName::RefusedLacp,
            Self::NeverNegotiates { .. } => FaultName::MuteBond,
            Self::BmcIgnoresBootDevice { .. } => FaultName::IgnoredBootDevice,
            Self::BmcKeepsBootDevice { .. } => FaultName::StickyBootDevice,
            Self::HostHangs { .. } => FaultName::HangingHost,
            Self::BootsFromWrongNic { .. } => FaultName::WrongBootNic,
            Self::SwappedCables { .. } => FaultName::SwappedCables,
            Self::FlappingLink { .. } => FaultName::FlappingLink,
            Self::DhcpExhausted => FaultName::ExhaustedDhcp,
            Self::DiskVanished { .. } => FaultName::VanishedDisk,
            Self::InstallFails { .. } => FaultName::FailedInstall,
            Self::Agent { reply: AgentReply::OtherSerial | AgentReply::OtherMac | AgentReply::OtherPort, .. } => {
                FaultName::LyingAgent
            }
            Self::Agent { .. } => FaultName::BrokenAgent,
            Self::BootstrapNeverServes => FaultName::SilentBootstrap,
            Self::FirstBootHangs { .. } => FaultName::HangingFirstBoot,
            Self::MachineConfigMissing => FaultName::MissingMachineConfig,
            Self::CertificatesExpired => FaultName::ExpiredCertificates,
            Self::ForeignRequest { .. } => FaultName::ForeignRequest,
            Self::OperatorDegraded { .. } => FaultName::DegradedOperator,
            Self::BalancerLoses { .. } => FaultName::LostServer,
            Self::StaleDns { .. } => FaultName::StaleDns,
            Self::ClockJump { .. } => FaultName::ClockJump,
            Self::ControllerKilled { .. } => FaultName::KilledController,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_are_kebab_case() {
        for name in FaultName::ALL {
            assert_eq!(name.to_string().parse(), Ok(*name));
            assert!(name.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{name}");
        }
        let unknown = "gremlins".parse::<FaultName>().expect_err("unknown").to_string();
        assert!(unknown.contains("`gremlins`") && unknown.contains("lost-reply, late-reply"), "{unknown}");
    }
}
