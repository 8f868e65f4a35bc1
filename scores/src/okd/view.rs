//! A cluster as it is just now, in one reading; and the same as lines of evidence.

use std::net::IpAddr;

use harmony_core::capability::{CertificateRequest, Cluster, CsrState, MachineConfigAnswer, Node, Operator};
use harmony_core::cluster::ClusterName;
use harmony_core::error::{DeviceError, DeviceResult, FailureKind, chain};

/// What the API says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ClusterView {
    pub(super) nodes: Vec<Node>,
    pub(super) requests: Vec<CertificateRequest>,
    pub(super) operators: Vec<Operator>,
}

impl ClusterView {
    /// Reads it. `Err` holds the reason why there is no API to ask: while a cluster comes up, that is no failure.
    pub(super) async fn read<T: Cluster>(topology: &T, cluster: &ClusterName) -> DeviceResult<Result<Self, String>> {
        match topology.api_is_ready(cluster).await {
            Ok(true) => {}
            Ok(false) => return Ok(Err("its API answers, and is not ready yet".to_owned())),
            Err(error) if is_absence(&error) => return Ok(Err(chain(&error))),
            Err(error) => return Err(error),
        }
        let view = async {
            Ok(Self {
                nodes: topology.nodes(cluster).await?,
                requests: topology.certificate_requests(cluster).await?,
                operators: topology.operators(cluster).await?,
            })
        };
        match view.await {
            Ok(view) => Ok(Ok(view)),
            // It went away between two questions.
            Err(error) if is_absence(&error) => Ok(Err(chain(&error))),
            Err(error) => Err(error),
        }
    }

    /// Whether this node is there and ready.
    pub(super) fn is_ready(&self, name: &str) -> bool {
        self.nodes.iter().any(|node| node.name == name && node.ready == Some(true))
    }

    /// How far a machine has come in the cluster.
    pub(super) fn standing(&self, name: &str) -> String {
        let asks = |request: &&CertificateRequest| {
            request.state == CsrState::Pending && request.common_name == format!("system:node:{name}")
        };
        match self.nodes.iter().find(|node| node.name == name) {
            Some(Node { ready: Some(true), .. }) => format!("{name} is Ready"),
            Some(Node { message: Some(message), .. }) => format!("{name} is a node, not ready: {}", shortened(message)),
            Some(_) => format!("{name} is a node, not ready"),
            None => match self.requests.iter().find(asks) {
                Some(request) => format!("{name} asks for its certificate in {}", request.name),
                None => format!("{name} has not asked to join"),
            },
        }
    }

    /// What is not well among the operators, at most eight lines.
    pub(super) fn unwell(&self) -> Vec<String> {
        let line = |operator: &Operator| {
            let message = operator.message.as_deref().map(shortened).unwrap_or_else(|| "says nothing".to_owned());
            format!("operator {}: {message}", operator.name)
        };
        self.operators.iter().filter(|operator| !operator.is_well()).take(8).map(line).collect()
    }
}

/// Whether others can join.
pub(super) struct Serving {
    pub(super) is_serving: bool,
    /// What API and machine config server say, a line each.
    pub(super) lines: Vec<String>,
    /// What to do about it, where that is known.
    pub(super) hint: Option<String>,
}

/// Asks API and machine config server whether others can join. That one is refused there is no error of whoever looks:
/// it may pass, and if it does not, it is what has kept the bootstrap from serving.
pub(super) async fn serving<T: Cluster>(topology: &T, cluster: &ClusterName, server: IpAddr) -> DeviceResult<Serving> {
    let (api, api_line) = match topology.api_is_ready(cluster).await {
        Ok(true) => (true, "API: ready".to_owned()),
        Ok(false) => (false, "API: answers, and is not ready yet".to_owned()),
        Err(error) if is_absence(&error) => (false, format!("API: {}", chain(&error))),
        Err(error) => return Err(error),
    };
    let mut hint = None;
    let (configs, said) = match topology.machine_config(cluster, server, "master").await {
        Ok(MachineConfigAnswer::Serving) => (true, "serves masters".to_owned()),
        Ok(MachineConfigAnswer::NotYet { reason } | MachineConfigAnswer::Silent { reason }) => (false, reason),
        Err(error) if error.kind() == FailureKind::Rejected => {
            hint = error.hint_text().map(str::to_owned);
            (false, chain(&error))
        }
        Err(error) => return Err(error),
    };
    let lines = vec![api_line, format!("machine config server at {server}: {said}")];
    Ok(Serving { is_serving: api && configs, lines, hint })
}

/// Whether an error means that nobody is there yet.
fn is_absence(error: &DeviceError) -> bool {
    matches!(error.kind(), FailureKind::Unreachable | FailureKind::Transient)
}

/// A message of the cluster, as evidence shows it: one line, without control characters.
pub(super) fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(160).filter(|c| !c.is_control()).collect()
}
