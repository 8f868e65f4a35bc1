//! What can go wrong with a BMC, what that means for a retry, and what a person can do about it.

use std::path::PathBuf;
use std::time::Duration;

use harmony_core::capability::PowerState;
use harmony_core::error::FailureKind;
use harmony_core::host::BmcId;
use reqwest::{Method, StatusCode};

use super::boot::BootError;
use super::power::NotOffered;
use super::quirks::Quirks;
use super::resource::{Messages, ParsePathError, ResourcePath};
use super::spec::{CertificateSource, RedfishSpec};
use crate::bmc::PasswordError;
use crate::transport::PinFileError;
use crate::transport::tls::{Fingerprint, TlsError};

/// Why a BMC did not do, or not say, what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum RedfishError {
    /// No password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The file of pins.
    #[error(transparent)]
    Pins(#[from] PinFileError),
    /// The file of authorities.
    #[error("failed to read the certificates in {}", path.display())]
    Authorities {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(TlsError),
    /// No HTTP client.
    #[error("failed to set up HTTPS")]
    Client(#[source] reqwest::Error),
    /// Another certificate than the pinned one.
    #[error("its certificate has the SHA-256 {shown}, pinned is {pinned}")]
    CertificateChanged { pinned: Fingerprint, shown: Fingerprint },
    /// A certificate that the authorities have not signed for this address.
    #[error("its certificate, of SHA-256 {shown}, is not accepted")]
    CertificateRefused {
        shown: Fingerprint,
        #[source]
        source: reqwest::Error,
    },
    /// Nobody answers, or not with TLS.
    #[error("no HTTPS connection")]
    Connect {
        #[source]
        source: reqwest::Error,
    },
    /// Too slow.
    #[error("no whole answer about {path} within {} s", after.as_secs_f32())]
    TimedOut { path: ResourcePath, after: Duration },
    /// The connection ended.
    #[error("the connection ended before the whole answer about {path}")]
    Cut {
        path: ResourcePath,
        #[source]
        source: reqwest::Error,
    },
    /// Too much.
    #[error("the answer about {path} has more than {max_bytes} bytes")]
    TooLarge { path: ResourcePath, max_bytes: usize },
    /// No JSON.
    #[error("the answer about {path} is no JSON")]
    NotJson {
        path: ResourcePath,
        #[source]
        source: serde_json::Error,
    },
    /// JSON of another shape.
    #[error("{path} is not of the shape that Redfish gives it")]
    Shape {
        path: ResourcePath,
        #[source]
        source: serde_json::Error,
    },
    /// A link that leads elsewhere.
    #[error("the answer about {path} leads to somewhere else")]
    Location {
        path: ResourcePath,
        #[source]
        source: ParsePathError,
    },
    /// A refusal.
    #[error("{method} {path} was answered with {status}{}", said(messages))]
    Status { method: Method, path: ResourcePath, status: StatusCode, messages: Messages, retry_after: Option<Duration> },
    /// The BMC does not let us in.
    #[error("user `{user}` may not log in: {status}{}", said(messages))]
    Login { user: String, status: StatusCode, messages: Messages },
    /// The password must be changed before anything else.
    #[error("the password of user `{user}` must be changed before the BMC does anything for it")]
    PasswordChangeRequired { user: String },
    /// No computer system.
    #[error("it manages no system")]
    NoSystem,
    /// Several systems, and nobody said which.
    #[error("it manages the systems {choices}")]
    SeveralSystems { choices: String },
    /// The system that the site file names is not there.
    #[error("it manages no system `{wanted}`, only {choices}")]
    UnknownSystem { wanted: String, choices: String },
    /// A collection without end.
    #[error("the collection {path} has more than {max_members} members")]
    EndlessCollection { path: ResourcePath, max_members: usize },
    /// The system has no reset.
    #[error("the system {path} has no reset action")]
    NoReset { path: ResourcePath },
    /// No reset does it.
    #[error(transparent)]
    Reset(#[from] NotOffered),
    /// No override does it.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The power is not as it was to be.
    #[error("the BMC took the command, but {} s later the power is {state}", after.as_secs_f32())]
    PowerDidNotFollow { state: PowerState, after: Duration },
    /// A task ended badly.
    #[error("the task {path} ended as {state}{}", said(messages))]
    Task { path: ResourcePath, state: String, messages: Messages },
    /// A task did not end.
    #[error("the task {path} did not end within {} s", after.as_secs_f32())]
    TaskTimedOut { path: ResourcePath, after: Duration },
}

/// What a BMC says, as the end of a sentence.
fn said(messages: &Messages) -> String {
    let text = messages.to_string();
    if text.is_empty() { text } else { format!(" ({text})") }
}

impl RedfishError {
    /// What it means for a retry, for a BMC of these quirks.
    pub(super) fn kind(&self, quirks: Option<Quirks>) -> FailureKind {
        match self {
            Self::Status { messages, .. } | Self::Login { messages, .. }
                if quirks.is_some_and(|quirks| quirks.is_busy(messages)) =>
            {
                FailureKind::Transient
            }
            Self::Status { status, .. } | Self::Login { status, .. } => of_status(*status),
            Self::Connect { .. } | Self::TimedOut { .. } | Self::Cut { .. } => FailureKind::Unreachable,
            Self::PowerDidNotFollow { .. } | Self::TaskTimedOut { .. } => FailureKind::Transient,
            Self::CertificateChanged { .. } | Self::CertificateRefused { .. } => FailureKind::Rejected,
            Self::PasswordChangeRequired { .. } | Self::NoSystem | Self::NoReset { .. } | Self::Reset(_) => {
                FailureKind::Rejected
            }
            Self::Boot(BootError::HttpWithoutUefi) => FailureKind::Invalid,
            Self::Boot(_) | Self::Task { .. } => FailureKind::Rejected,
            Self::Password(_) | Self::Pins(_) | Self::Authorities { .. } => FailureKind::Invalid,
            Self::SeveralSystems { .. } | Self::UnknownSystem { .. } => FailureKind::Invalid,
            Self::TooLarge { .. } | Self::NotJson { .. } | Self::Shape { .. } | Self::Location { .. } => {
                FailureKind::Invalid
            }
            Self::EndlessCollection { .. } => FailureKind::Invalid,
            Self::Tls(_) | Self::Client(_) => FailureKind::Bug,
        }
    }

    /// The status, where it is a refusal.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// How long the BMC wants to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The next step for a person.
    pub(super) fn hint(&self, bmc: &BmcId, spec: &RedfishSpec, pins: &std::path::Path) -> Option<String> {
        let RedfishSpec { address, port, user, password, .. } = spec;
        Some(match self {
            Self::Password(_) => "it holds the BMC's password in its first line".to_owned(),
            Self::CertificateChanged { .. } if matches!(spec.certificate, CertificateSource::Sha256(_)) => {
                format!("is that BMC `{bmc}`? if its certificate was replaced on purpose, correct `certificate_sha256`")
            }
            Self::CertificateChanged { .. } => format!(
                "is that BMC `{bmc}`? nothing was sent to it; if its certificate was replaced on purpose, remove the line of `bmc/{bmc}` from {}",
                pins.display()
            ),
            Self::CertificateRefused { .. } => format!(
                "`ca_file` of BMC `{bmc}` must hold the authority that signed its certificate for {address}; or give `certificate_sha256`"
            ),
            Self::Connect { .. } | Self::TimedOut { .. } | Self::Cut { .. } => {
                format!("does BMC `{bmc}` answer at {address}, TCP port {port}, with TLS 1.2 or later?")
            }
            Self::Login { status: StatusCode::UNAUTHORIZED, .. } => {
                format!("wrong user `{user}` or password for BMC `{bmc}`: correct {password}")
            }
            Self::Login { status, .. } if of_status(*status) == FailureKind::Transient => {
                format!("BMC `{bmc}` has too many sessions, or just restarted: wait a minute")
            }
            Self::Login { .. } => format!("user `{user}` of BMC `{bmc}` needs the right to log in by Redfish"),
            Self::PasswordChangeRequired { user } => {
                format!("log in to BMC `{bmc}` as `{user}`, change the password, and put the new one into {password}")
            }
            Self::Status { status: StatusCode::FORBIDDEN, .. } => {
                format!("user `{user}` of BMC `{bmc}` needs the role Operator or Administrator")
            }
            Self::Status { status: StatusCode::NOT_FOUND, .. } | Self::NotJson { .. } | Self::Shape { .. } => {
                format!(
                    "is it a Redfish service that answers at {}? is Redfish enabled on BMC `{bmc}`?",
                    spec.base_url()
                )
            }
            Self::SeveralSystems { .. } | Self::UnknownSystem { .. } => {
                format!("set `system` of BMC `{bmc}` in the site file to the one that is meant")
            }
            Self::Boot(BootError::ModeIsSetting { wanted, .. }) => {
                format!("set the boot mode of the machine behind BMC `{bmc}` to {wanted} in its BIOS settings")
            }
            Self::Boot(BootError::HttpWithoutUefi) => format!("set `network_boot = \"pxe\"` for BMC `{bmc}`"),
            Self::Boot(BootError::Target { wanted: "UefiHttp", .. }) => {
                format!("set `network_boot = \"pxe\"` for BMC `{bmc}`")
            }
            Self::Boot(BootError::Ignored(_)) => {
                format!("update the firmware of BMC `{bmc}`, or set the machine's boot order to network first by hand")
            }
            _ => return None,
        })
    }
}

fn of_status(status: StatusCode) -> FailureKind {
    match status {
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => FailureKind::Conflict,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => FailureKind::Transient,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => FailureKind::Rejected,
        status if status.is_server_error() => FailureKind::Transient,
        _ => FailureKind::Rejected,
    }
}
