//! What can go wrong with an API, what that means for a retry, and what a person can do about it.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harmony_core::cluster::ClusterName;
use harmony_core::error::{DeviceError, FailureKind};
use http_body_util::LengthLimitError;
use jiff::Timestamp;

use super::connection::MAX_ANSWER_BYTES;
use super::objects::message;

/// Why an API did not do, or not say, what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum KubernetesError {
    /// A file of the cluster.
    #[error("failed to read {}", path.display())]
    ReadFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A kubeconfig that is none, or that must not be used.
    #[error("{} is no kubeconfig that can be used", path.display())]
    BadKubeconfig {
        path: PathBuf,
        #[source]
        why: BadKubeconfig,
    },
    /// We cannot ask that.
    #[error("failed to make a request for {what}")]
    Request {
        what: String,
        #[source]
        source: kube::core::request::Error,
    },
    /// We cannot say that.
    #[error("failed to write {what}")]
    NotWritten {
        what: String,
        #[source]
        source: serde_json::Error,
    },
    /// Nobody answers, or the connection ended.
    #[error("no answer about {what}")]
    Silent {
        what: String,
        #[source]
        source: kube::Error,
    },
    /// A certificate that is not accepted, by us or by the API.
    #[error("no connection of trust for {what}")]
    Certificate {
        what: String,
        #[source]
        source: kube::Error,
    },
    /// Too slow.
    #[error("no whole answer about {what} within {} s", after.as_secs_f32())]
    TimedOut { what: String, after: Duration },
    /// Too much.
    #[error("the answer about {what} has more than {MAX_ANSWER_BYTES} bytes")]
    TooLarge { what: String },
    /// Too many.
    #[error("there are more than {max} {what}")]
    TooMany { what: String, max: usize },
    /// Nothing that this is the shape of.
    #[error("the answer about {what} is not of the shape that Kubernetes gives it")]
    NotUnderstood {
        what: String,
        #[source]
        source: serde_json::Error,
    },
    /// Something else than an API answers.
    #[error("whatever answers about {what} is no Kubernetes API")]
    NoApi { what: String },
    /// A refusal.
    #[error("{what} was answered with {code}{}", said(text))]
    Status { what: String, code: u16, text: Option<String> },
    /// It has to be there, and is not.
    #[error("there is no {what} yet")]
    Missing { what: String },
    /// A request that is not what was decided on.
    #[error("it is not the request that was decided on: {what}")]
    Changed { what: &'static str },
    /// A request that nobody has read.
    #[error("it was not read before by whoever approves it")]
    Unread,
    /// A change that is not there afterwards.
    #[error("{what} was changed, and is not as it was set")]
    NotKept { what: String },
}

/// What is wrong with a kubeconfig.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(super) enum BadKubeconfig {
    /// Too large.
    #[error("it has more than a mebibyte")]
    TooLarge,
    /// No kubeconfig.
    #[error("it is no YAML with a cluster, a user, and a context of both")]
    NotUnderstood,
    /// No TLS.
    #[error("its `server` is no https:// URL")]
    NoHttps,
    /// No trust.
    #[error("it has no `certificate-authority-data`, or `insecure-skip-tls-verify`")]
    NoAuthority,
    /// A program.
    #[error("it asks for a program to be run (`exec`, `auth-provider`)")]
    Program,
    /// Certificate, key or token.
    #[error("its certificates, key or token cannot be used")]
    Credentials,
}

/// What an API says, as the end of a sentence.
fn said(text: &Option<String>) -> String {
    text.as_ref().map(|text| format!(" ({text})")).unwrap_or_default()
}

/// What of a failed request decides what it means.
enum Cause {
    Certificate,
    TooLarge,
    Other,
}

/// Looks for the cause in all that an error was caused by.
fn cause(error: &(dyn StdError + 'static)) -> Cause {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<LengthLimitError>() {
            return Cause::TooLarge;
        }
        if let Some(rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_)) = error.downcast_ref() {
            return Cause::Certificate;
        }
        // An I/O error does not count what it wraps as its source, but that one's source.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    Cause::Other
}

impl KubernetesError {
    /// Of a request for something.
    pub(super) fn of(what: &str, error: kube::Error) -> Self {
        let what = what.to_owned();
        match error {
            kube::Error::Api(status) => Self::Status { what, code: status.code, text: message(&status.message) },
            kube::Error::FromUtf8(_) => Self::NoApi { what },
            source => match cause(&source) {
                Cause::Certificate => Self::Certificate { what, source },
                Cause::TooLarge => Self::TooLarge { what },
                Cause::Other => Self::Silent { what, source },
            },
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Silent { .. } | Self::TimedOut { .. } => FailureKind::Unreachable,
            Self::Status { code, .. } => of_status(*code),
            Self::Missing { .. } | Self::NotKept { .. } => FailureKind::Transient,
            Self::Certificate { .. } => FailureKind::Rejected,
            Self::Changed { .. } | Self::Unread => FailureKind::Conflict,
            Self::ReadFile { .. } | Self::BadKubeconfig { .. } => FailureKind::Invalid,
            Self::TooLarge { .. } | Self::TooMany { .. } | Self::NotUnderstood { .. } | Self::NoApi { .. } => {
                FailureKind::Invalid
            }
            Self::Request { .. } | Self::NotWritten { .. } => FailureKind::Bug,
        }
    }

    fn hint(&self, cluster: &ClusterName, kubeconfig: &Path, expires_at: Option<Timestamp>) -> Option<String> {
        let kubeconfig = kubeconfig.display();
        Some(match self {
            Self::ReadFile { .. } | Self::BadKubeconfig { .. } => {
                format!("the installer writes {kubeconfig} together with the Ignition files of cluster `{cluster}`")
            }
            Self::Status { code: 401, .. } => match expires_at.filter(|until| *until < Timestamp::now()) {
                Some(until) => {
                    format!(
                        "the client certificate in {kubeconfig} has expired at {until}: it takes one that was made later"
                    )
                }
                None => format!(
                    "the API does not know the credentials in {kubeconfig}: they are of another generation of cluster `{cluster}`, or have expired"
                ),
            },
            Self::Status { code: 403, .. } => {
                format!("the user in {kubeconfig} has to be an administrator of cluster `{cluster}`")
            }
            Self::Certificate { .. } => format!(
                "whoever answers is not the cluster that {kubeconfig} was made with: does its name lead to the load balancer of cluster `{cluster}`? is the time right here and there?"
            ),
            Self::Silent { .. } | Self::TimedOut { .. } => format!(
                "does the load balancer of cluster `{cluster}` have a server for port 6443 that is up? while the cluster comes up, that takes a while"
            ),
            Self::NoApi { .. } | Self::NotUnderstood { .. } => {
                format!("does the `server` in {kubeconfig} lead to the API of cluster `{cluster}`?")
            }
            Self::Changed { .. } | Self::Unread => "read the requests again, and decide anew".to_owned(),
            _ => return None,
        })
    }

    /// As an error of an operation.
    pub(super) fn into_device(
        self,
        operation: String,
        cluster: &ClusterName,
        kubeconfig: &Path,
        expires_at: Option<Timestamp>,
    ) -> DeviceError {
        let (kind, hint) = (self.kind(), self.hint(cluster, kubeconfig, expires_at));
        let error = DeviceError::new(kind, operation).because(self);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// Source: Kubernetes documentation, "API conventions", "HTTP Status codes". A kind that is not there yet is 404, a
/// continuation that has expired 410.
fn of_status(code: u16) -> FailureKind {
    match code {
        409 => FailureKind::Conflict,
        404 | 408 | 410 | 429 => FailureKind::Transient,
        501 | 505 => FailureKind::Rejected,
        500.. => FailureKind::Transient,
        _ => FailureKind::Rejected,
    }
}
