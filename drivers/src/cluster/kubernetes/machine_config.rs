//! The machine config server of one machine, asked as Ignition asks, but for the header alone.
//!
//! Ignition gets the whole configuration; it holds secrets, so it is asked for by HEAD, which has the same status.
//! Source: coreos/ignition `internal/resource/http.go`; openshift/machine-config-operator `pkg/server/api.go`.

use std::net::{IpAddr, SocketAddr};

use harmony_core::capability::MachineConfigAnswer;
use harmony_core::cluster::ClusterName;
use harmony_core::error::{DeviceError, DeviceResult, FailureKind, chain};
use reqwest::header::ACCEPT;
use reqwest::redirect;

use super::spec::KubernetesSpec;
use super::{ClusterFiles, objects, pointer::Pointer};
use crate::transport::tls::{Trust, Verifier};

/// What Ignition says that it understands.
const IGNITION: &str = "application/vnd.coreos.ignition+json;version=3.5.0, */*;q=0.1";
/// The name under which a server is asked of which nobody knows the name.
const NAMELESS: &str = "api-int";

pub(super) async fn ask(
    spec: &KubernetesSpec,
    cluster: &ClusterName,
    files: &ClusterFiles,
    server: IpAddr,
    pool: &str,
) -> DeviceResult<MachineConfigAnswer> {
    let operation =
        format!("failed to ask the machine config server at {server} of cluster `{cluster}` for pool `{pool}`");
    let error = |kind| DeviceError::new(kind, operation.clone());
    if pool.is_empty() || !pool.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        return Err(error(FailureKind::Bug).because("that is no pool's name"));
    }
    let (host, trust) = match &files.pointer {
        Some(path) => {
            let read = Pointer::read(path).await;
            let pointer = read.map_err(|why| {
                let hint = format!("{} is written by the installer", path.display());
                error(FailureKind::Invalid).because(why).hint(hint)
            })?;
            (pointer.host, Trust::Authorities(pointer.authorities))
        }
        None => (NAMELESS.to_owned(), Trust::FirstSight),
    };
    let verifier = Verifier::new(trust).map_err(|why| error(FailureKind::Bug).because(why))?;
    let tls = verifier.client_config().map_err(|why| error(FailureKind::Bug).because(why))?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(spec.connect_limit())
        .timeout(spec.answer_limit())
        .http1_only()
        .resolve(&host, SocketAddr::new(server, spec.machine_config_port))
        .build()
        .map_err(|why| error(FailureKind::Bug).because(why))?;
    let url = format!("https://{host}:{}/config/{pool}", spec.machine_config_port);
    let response = match client.head(url).header(ACCEPT, IGNITION).send().await {
        Ok(response) => response,
        Err(why) if verifier.seen().is_some() && why.is_connect() => {
            let why = why.without_url();
            // rustls' words: "certificate expired: …", "certificate not valid yet: …".
            let said = chain(&why);
            let hint = if said.contains("certificate expired") || said.contains("certificate not valid yet") {
                "the certificates of a bootstrap are good for a day: with the right hour on this machine and on \
                 the bootstrap, release its host (harmony host unassign HOST), and begin again"
                    .to_owned()
            } else {
                format!(
                    "whatever answers at {server} is not of cluster `{cluster}`: machines that ask it will not start"
                )
            };
            return Err(error(FailureKind::Rejected).because(why).hint(hint));
        }
        Err(why) => {
            let reason = objects::message(&chain(&why.without_url())).unwrap_or_default();
            return Ok(MachineConfigAnswer::Silent { reason });
        }
    };
    match response.status() {
        status if status.is_success() => Ok(MachineConfigAnswer::Serving),
        status if status.is_server_error() => Ok(MachineConfigAnswer::NotYet { reason: status.to_string() }),
        status => {
            let hint = format!("it has no pool `{pool}`; Ignition asks once, and gives up");
            Err(error(FailureKind::Rejected).because(format!("it answered with {status}")).hint(hint))
        }
    }
}
