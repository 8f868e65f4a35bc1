//! What is made of the objects of an API.
//!
//! Of OpenShift's kinds only the fields that are used are read: the rest may be anything.

use std::collections::BTreeSet;
use std::net::IpAddr;

use harmony_core::capability::{Node, Operator, Pool};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use k8s_openapi::api::core::v1::{Node as KubernetesNode, Pod, Taint};
use serde::Deserialize;

/// Where OpenShift's kinds are.
pub(super) const CLUSTER_OPERATORS: &str = "/apis/config.openshift.io/v1/clusteroperators";
pub(super) const CLUSTER_VERSIONS: &str = "/apis/config.openshift.io/v1/clusterversions";
pub(super) const SCHEDULERS: &str = "/apis/config.openshift.io/v1/schedulers";
pub(super) const POOLS: &str = "/apis/machineconfiguration.openshift.io/v1/machineconfigpools";

/// Labels that say what a node is.
const ROLE_LABEL: &str = "node-role.kubernetes.io/";
/// Taints that come and go with a node's health. Source: Kubernetes documentation, "Taints and Tolerations".
const HEALTH_TAINT: &str = "node.kubernetes.io/";
/// Longest message that is kept, in characters.
const MAX_MESSAGE: usize = 500;

/// A message of somebody else's, in one line that is not too long.
pub(super) fn message(text: &str) -> Option<String> {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.retain(|letter| !letter.is_control());
    if line.chars().count() > MAX_MESSAGE {
        line = line.chars().take(MAX_MESSAGE).chain(['…']).collect();
    }
    (!line.is_empty()).then_some(line)
}

/// True, false, or neither.
fn state(status: &str) -> Option<bool> {
    match status {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

fn places_nothing(taint: &Taint) -> bool {
    matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute") && !taint.key.starts_with(HEALTH_TAINT)
}

/// A node.
pub(super) fn node(node: &KubernetesNode) -> Node {
    let (spec, status) = (node.spec.as_ref(), node.status.as_ref());
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let condition = conditions.iter().find(|condition| condition.type_ == "Ready");
    let ready = condition.and_then(|condition| state(&condition.status));
    let labels = node.metadata.labels.iter().flatten();
    let roles: BTreeSet<String> =
        labels.filter_map(|(label, _)| Some(label.strip_prefix(ROLE_LABEL)?.to_owned())).collect();
    let addresses = status.and_then(|status| status.addresses.as_deref()).unwrap_or_default().iter();
    let addresses: Vec<IpAddr> = addresses
        .filter(|address| address.type_ == "InternalIP")
        .filter_map(|address| address.address.parse().ok())
        .collect();
    let taints = spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let is_cordoned = spec.and_then(|spec| spec.unschedulable).unwrap_or_default();
    let said = condition.filter(|_| ready != Some(true)).and_then(|condition| condition.message.as_deref());
    Node {
        name: node.metadata.name.clone().unwrap_or_default(),
        ready,
        roles,
        addresses,
        schedulable: !is_cordoned && !taints.iter().any(places_nothing),
        message: said.and_then(message),
    }
}

/// The node on which a pod is ready.
pub(super) fn ready_on(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_deref().unwrap_or_default();
    let is_ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let is_going = pod.metadata.deletion_timestamp.is_some();
    (is_ready && !is_going).then(|| pod.spec.as_ref()?.node_name.clone()).flatten()
}

/// An object whose conditions say how it is: an operator, a pool, a version.
#[derive(Debug, Deserialize)]
pub(super) struct Conditions {
    metadata: Name,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize)]
struct Name {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(default)]
    machine_count: u32,
    #[serde(default)]
    ready_machine_count: u32,
}

#[derive(Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    message: Option<String>,
}

impl Conditions {
    fn find(&self, kind: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| condition.kind == kind)
    }

    fn state(&self, kind: &str) -> Option<bool> {
        self.find(kind).and_then(|condition| state(&condition.status))
    }
}

/// The scheduler's configuration.
#[derive(Debug, Deserialize)]
pub(super) struct Scheduler {
    #[serde(default)]
    pub(super) spec: SchedulerSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SchedulerSpec {
    #[serde(default)]
    pub(super) masters_schedulable: bool,
}

/// Operators, sorted by name.
pub(super) fn operators(found: &[Conditions]) -> Vec<Operator> {
    let mut operators: Vec<Operator> = found.iter().map(operator).collect();
    operators.sort_by(|a, b| a.name.cmp(&b.name));
    operators
}

fn operator(found: &Conditions) -> Operator {
    let as_it_should = [("Available", true), ("Degraded", false), ("Progressing", false)];
    let complaint = as_it_should
        .into_iter()
        .find_map(|(kind, wanted)| found.find(kind).filter(|condition| state(&condition.status) != Some(wanted)));
    Operator {
        name: found.metadata.name.clone(),
        available: found.state("Available"),
        progressing: found.state("Progressing"),
        degraded: found.state("Degraded"),
        message: complaint.and_then(|condition| message(condition.message.as_deref()?)),
    }
}

/// Machine config pools, sorted by name.
pub(super) fn pools(found: &[Conditions]) -> Vec<Pool> {
    let mut pools: Vec<Pool> = found
        .iter()
        .map(|pool| Pool {
            name: pool.metadata.name.clone(),
            updated: pool.state("Updated"),
            degraded: pool.state("Degraded"),
            machines: pool.status.machine_count,
            ready: pool.status.ready_machine_count,
        })
        .collect();
    pools.sort_by(|a, b| a.name.cmp(&b.name));
    pools
}

/// Whether an object says that it is available.
pub(super) fn is_available(found: &Conditions) -> bool {
    found.state("Available") == Some(true)
}

/// Whether pods of an older template are there, or the order to make them anew was not seen yet. Source: kubectl
/// `pkg/polymorphichelpers/rollout_status.go`.
pub(super) fn is_rolling_out(found: &Deployment) -> bool {
    let status = found.status.as_ref();
    let is_unseen = found.metadata.generation > status.and_then(|status| status.observed_generation);
    let count = |of: fn(&DeploymentStatus) -> Option<i32>| status.and_then(of).unwrap_or_default();
    let wanted = found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let updated = count(|status| status.updated_replicas);
    is_unseen || updated < wanted || count(|status| status.replicas) > updated
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_rolls_out_until_no_older_pod_is_left() {
        let is = |seen: i64, status: serde_json::Value| {
            let mut object = json!({"metadata": {"generation": 4}, "spec": {
                "replicas": 2, "selector": {}, "template": {}}, "status": status});
            object["status"]["observedGeneration"] = json!(seen);
            is_rolling_out(&serde_json::from_value(object).expect("a deployment"))
        };
        let over = json!({"replicas": 2, "updatedReplicas": 2});
        assert!(!is(4, over.clone()));
        assert!(is(3, over), "its controller has not seen the order");
        assert!(is(4, json!({"replicas": 2, "updatedReplicas": 1})));
        assert!(is(4, json!({"replicas": 3, "updatedReplicas": 2})), "an old one is left");
    }

    #[test]
    fn a_node_as_a_cluster_tells_of_it() {
        let object = json!({
            "metadata": {"name": "master-0.ocp4.example.com", "labels": {
                "node-role.kubernetes.io/master": "", "node-role.kubernetes.io/control-plane": "", "kubernetes.io/os": "linux"}},
            "spec": {"taints": [
                {"key": "node-role.kubernetes.io/master", "effect": "NoSchedule"},
                {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "10.0.0.10"}, {"type": "Hostname", "address": "master-0"}],
                "conditions": [
                    {"type": "DiskPressure", "status": "False"},
                    {"type": "Ready", "status": "False", "message": "network\nplugin \u{1b}[31mnot ready"}]},
        });
        let found = node(&serde_json::from_value(object).expect("a node"));
        assert_eq!((found.ready, found.schedulable), (Some(false), false));
        assert_eq!(found.roles, BTreeSet::from(["control-plane".to_owned(), "master".to_owned()]));
        assert_eq!(found.addresses, [IpAddr::from([10, 0, 0, 10])]);
        assert_eq!(found.message.as_deref(), Some("network plugin [31mnot ready"));
        let unhealthy = json!({"metadata": {"name": "w"}, "spec": {"taints": [
            {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]},
            "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}});
        let found = node(&serde_json::from_value(unhealthy).expect("a node"));
        assert_eq!((found.ready, found.schedulable), (None, true));
        let cordoned = json!({"metadata": {"name": "w"}, "spec": {"unschedulable": true}});
        assert!(!node(&serde_json::from_value(cordoned).expect("a node")).schedulable);
    }

    #[test]
    fn a_pod_that_goes_is_no_router() {
        let pod = |deleted: Option<&str>, ready: &str| {
            let object = json!({
                "metadata": {"deletionTimestamp": deleted}, "spec": {"nodeName": "worker-0", "containers": []},
                "status": {"conditions": [{"type": "Ready", "status": ready}]}});
            ready_on(&serde_json::from_value(object).expect("a pod"))
        };
        assert_eq!(pod(None, "True").as_deref(), Some("worker-0"));
        assert_eq!(pod(None, "False"), None);
        assert_eq!(pod(Some("2026-01-01T00:00:00Z"), "True"), None);
    }

    #[test]
    fn an_operator_says_what_is_not_as_it_should_be() {
        let of = |conditions: serde_json::Value| {
            let object = json!({"metadata": {"name": "network"}, "status": {"conditions": conditions}});
            operator(&serde_json::from_value(object).expect("an operator"))
        };
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "message": kind});
        let well = of(json!([
            condition("Available", "True"),
            condition("Degraded", "False"),
            condition("Upgradeable", "False")
        ]));
        assert!(well.is_well() && well.message.is_none());
        let degraded = of(json!([condition("Available", "True"), condition("Degraded", "True")]));
        assert_eq!((degraded.is_well(), degraded.message.as_deref()), (false, Some("Degraded")));
        let early = of(json!([]));
        assert_eq!((early.available, early.degraded, early.message), (None, None, None));
    }
}
