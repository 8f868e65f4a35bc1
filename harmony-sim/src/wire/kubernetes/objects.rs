//! What the things that a state knows look like in an API.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use harmony_core::capability::{CertificateRequest, CsrState, Node, Operator, Pool};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::csr;
use super::resource::Resource;
use super::store::Store;
use crate::cluster::{ClusterState, RESTARTED_AT, RouterPod};
use crate::random::Random;

/// The one that a cluster has of each: version, scheduler.
pub(super) const VERSION: &str = "version";
pub(super) const SCHEDULER: &str = "cluster";
/// The routers' deployment.
pub(super) const ROUTERS: &str = "router-default";
/// The label of its pods.
const ROUTER_LABEL: &str = "ingresscontroller.operator.openshift.io/deployment-ingresscontroller";

/// All objects of a resource, without their versions.
pub(super) fn all(resource: Resource, state: &mut ClusterState, now: Duration, store: &mut Store) -> Vec<Value> {
    let maker = Maker { resource, seed: state.spec().seed, made_at: state.spec().epoch };
    match resource {
        Resource::Nodes => state.nodes(now).iter().map(|node| maker.node(node)).collect(),
        Resource::RouterPods => state.routers(now).iter().map(|pod| maker.pod(pod)).collect(),
        Resource::KubeSystemConfigMaps if state.bootstrap_is_complete(now) => {
            vec![maker.object("bootstrap", json!({"data": {"status": "complete"}}))]
        }
        Resource::KubeSystemConfigMaps => Vec::new(),
        Resource::CertificateRequests => {
            let requests = state.certificate_requests(now);
            requests.iter().map(|request| maker.request(request, state, store)).collect()
        }
        Resource::ClusterOperators => state.operators(now).iter().map(|operator| maker.operator(operator)).collect(),
        Resource::ClusterVersions => {
            let is_there = state.install_is_complete(now);
            let conditions =
                [condition("Available", Some(is_there), None), condition("Progressing", Some(!is_there), None)];
            let status = json!({"desired": {"version": "4.19.0-okd-scos.9"}, "conditions": conditions});
            vec![maker.object(VERSION, json!({"spec": {"channel": ""}, "status": status}))]
        }
        Resource::Schedulers => {
            let schedulable = state.masters_schedulable(now);
            vec![maker.object(SCHEDULER, json!({"spec": {"mastersSchedulable": schedulable}, "status": {}}))]
        }
        Resource::Pools => state.pools(now).iter().map(|pool| maker.pool(pool)).collect(),
        Resource::IngressDeployments => {
            let mut annotations = Map::new();
            if let Some(token) = state.ingress_token() {
                annotations.insert(RESTARTED_AT.to_owned(), json!(token));
            }
            let routers = state.routers(now);
            let ready = routers.iter().filter(|router| router.ready).count();
            let template = json!({"metadata": {"annotations": annotations, "labels": {ROUTER_LABEL: "default"}}});
            let spec = json!({"replicas": routers.len(), "template": template});
            let updated = routers.iter().filter(|router| router.is_new).count();
            let status = json!({
                "replicas": routers.len(), "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": updated,
            });
            vec![maker.object(ROUTERS, json!({"spec": spec, "status": status}))]
        }
    }
}

struct Maker {
    resource: Resource,
    seed: u64,
    made_at: Timestamp,
}

fn condition(kind: &str, state: Option<bool>, message: Option<&str>) -> Value {
    let status = state.map_or("Unknown", |state| if state { "True" } else { "False" });
    json!({"type": kind, "status": status, "reason": "AsExpected", "message": message.unwrap_or_default()})
}

impl Maker {
    fn object(&self, name: &str, mut object: Value) -> Value {
        let uid = Random::new(self.seed, &format!("{:?}/{name}", self.resource)).uuid();
        let mut metadata = json!({"name": name, "uid": uid, "creationTimestamp": self.made_at, "labels": {}});
        if let (Some(namespace), Some(metadata)) = (self.resource.namespace(), metadata.as_object_mut()) {
            metadata.insert("namespace".to_owned(), json!(namespace));
        }
        if let Some(object) = object.as_object_mut() {
            object.insert("apiVersion".to_owned(), json!(self.resource.api_version()));
            object.insert("kind".to_owned(), json!(self.resource.kind()));
            object.insert("metadata".to_owned(), metadata);
        }
        object
    }

    fn node(&self, node: &Node) -> Value {
        let mut taints = Vec::new();
        if !node.schedulable && node.roles.contains("master") {
            taints.push(json!({"key": "node-role.kubernetes.io/master", "effect": "NoSchedule"}));
        }
        if node.ready != Some(true) {
            taints.push(json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}));
        }
        let mut labels = Map::new();
        labels.insert("kubernetes.io/hostname".to_owned(), json!(node.name));
        labels.extend(node.roles.iter().map(|role| (format!("node-role.kubernetes.io/{role}"), json!(""))));
        let mut addresses: Vec<Value> =
            node.addresses.iter().map(|address| json!({"type": "InternalIP", "address": address})).collect();
        addresses.push(json!({"type": "Hostname", "address": node.name}));
        let message = node.message.as_deref().or(Some("kubelet is posting ready status"));
        let conditions = [condition("MemoryPressure", Some(false), None), condition("Ready", node.ready, message)];
        let status = json!({
            "addresses": addresses, "conditions": conditions, "nodeInfo": {"kubeletVersion": "v1.32.5"},
        });
        let mut object = self.object(&node.name, json!({"spec": {"taints": taints}, "status": status}));
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("labels".to_owned(), Value::Object(labels));
        }
        object
    }

    fn pod(&self, pod: &RouterPod) -> Value {
        let phase = if pod.node.is_some() && pod.ready { "Running" } else { "Pending" };
        let status = json!({"phase": phase, "conditions": [condition("Ready", Some(pod.ready), None)]});
        let mut object = self.object(&pod.name, json!({"spec": {"nodeName": pod.node}, "status": status}));
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("labels".to_owned(), json!({ROUTER_LABEL: "default"}));
        }
        object
    }

    fn request(&self, request: &CertificateRequest, state: &ClusterState, store: &mut Store) -> Value {
        let pem = match state.request_pem(&request.name) {
            Some(pem) => pem.to_owned(),
            None => {
                let made = store.pems.entry(request.name.clone());
                made.or_insert_with(|| csr::pem(request).unwrap_or_default()).clone()
            }
        };
        let decided = |kind: &str| json!([{"type": kind, "status": "True", "reason": "Decided"}]);
        let status = match request.state {
            CsrState::Pending => json!({}),
            CsrState::Approved => json!({"conditions": decided("Approved")}),
            CsrState::Denied => json!({"conditions": decided("Denied")}),
        };
        let spec = json!({
            "request": BASE64_STANDARD.encode(pem), "signerName": request.signer, "username": request.user,
            "groups": request.groups, "usages": request.usages,
        });
        let mut object = self.object(&request.name, json!({"spec": spec, "status": status}));
        if let (Some(made_at), Some(metadata)) =
            (request.made_at, object.get_mut("metadata").and_then(Value::as_object_mut))
        {
            metadata.insert("creationTimestamp".to_owned(), json!(made_at));
        }
        object
    }

    fn operator(&self, operator: &Operator) -> Value {
        let message = operator.message.as_deref();
        // One that has not begun has no conditions at all.
        let conditions: Vec<Value> = [
            ("Available", operator.available, false),
            ("Progressing", operator.progressing, true),
            ("Degraded", operator.degraded, true),
        ]
        .into_iter()
        .filter(|(_, state, _)| state.is_some())
        .map(|(kind, state, complaint)| condition(kind, state, message.filter(|_| state == Some(complaint))))
        .collect();
        self.object(&operator.name, json!({"spec": {}, "status": {"conditions": conditions}}))
    }

    fn pool(&self, pool: &Pool) -> Value {
        let conditions: Vec<Value> = [("Updated", pool.updated), ("Degraded", pool.degraded)]
            .into_iter()
            .filter(|(_, state)| state.is_some())
            .map(|(kind, state)| condition(kind, state, None))
            .collect();
        let status = json!({
            "conditions": conditions, "machineCount": pool.machines, "readyMachineCount": pool.ready,
            "updatedMachineCount": pool.ready,
        });
        self.object(&pool.name, json!({"spec": {"paused": false}, "status": status}))
    }
}
