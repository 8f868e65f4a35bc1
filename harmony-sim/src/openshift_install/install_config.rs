//! The install configuration, as far as the stand-in looks at it.

use serde_json::Value;

use super::Failed;
use super::log::Log;

/// Keys that the real program knows; another one is a warning.
const KNOWN: [&str; 20] = [
    "additionalTrustBundle",
    "additionalTrustBundlePolicy",
    "apiVersion",
    "arbiter",
    "baseDomain",
    "bootstrapInPlace",
    "capabilities",
    "compute",
    "controlPlane",
    "cpuPartitioningMode",
    "credentialsMode",
    "featureGates",
    "featureSet",
    "fips",
    "imageContentSources",
    "imageDigestSources",
    "kind",
    "metadata",
    "networking",
    "publish",
];
const KNOWN_TOO: [&str; 5] = ["operatorPublishingStrategy", "platform", "proxy", "pullSecret", "sshKey"];

/// What is used of it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct InstallConfig {
    pub(super) name: String,
    pub(super) domain: String,
    pub(super) masters: u64,
    pub(super) workers: u64,
    pub(super) ssh_key: String,
    pub(super) pull_secret: String,
    /// All of it, without the pull secret, as the cluster keeps it.
    pub(super) text: String,
}

impl InstallConfig {
    /// Reads it.
    pub(super) fn parse(text: &str, log: &Log) -> Result<Self, Failed> {
        let wrong = |what: &str| {
            let message = format!(
                "failed to fetch Master Machines: failed to load asset \"Install Config\": failed to create install config: invalid \"install-config.yaml\" file: {what}"
            );
            Failed::error(message, 3)
        };
        let mut value: Value = serde_saphyr::from_str(text).map_err(|_| wrong("error converting YAML to JSON"))?;
        let Some(object) = value.as_object_mut() else { return Err(wrong("it is no mapping")) };
        if let Some(key) = object.keys().find(|key| !KNOWN.iter().chain(&KNOWN_TOO).any(|known| known == key)) {
            log.warning(&format!("failed to parse first occurrence of unknown field: failed to unmarshal install-config.yaml: error unmarshaling JSON: while decoding JSON: json: unknown field \"{key}\""));
            log.info("Attempting to unmarshal while ignoring unknown keys because strict unmarshaling failed");
        }
        let pull_secret = object.get("pullSecret").and_then(Value::as_str).unwrap_or_default().to_owned();
        if pull_secret.is_empty() {
            return Err(wrong("pullSecret: Invalid value: \"\": unexpected end of JSON input"));
        }
        if !serde_json::from_str::<Value>(&pull_secret).is_ok_and(|secret| secret["auths"].is_object()) {
            return Err(wrong(&format!("pullSecret: Invalid value: {pull_secret:?}: auths required")));
        }
        object.insert("pullSecret".to_owned(), Value::String(String::new()));
        let string = |value: &Value, key: &str| match value.as_str() {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(wrong(&format!("{key}: Required value"))),
        };
        if value["apiVersion"] != "v1" {
            return Err(wrong(&format!("unknown or unsupported apiVersion {}", value["apiVersion"])));
        }
        let masters = value["controlPlane"]["replicas"].as_u64().unwrap_or(3);
        if masters == 0 {
            return Err(wrong(
                "controlPlane.replicas: Invalid value: 0: number of control plane replicas must be positive",
            ));
        }
        if !value["platform"].is_object() {
            return Err(wrong("platform: Invalid value: \"\": must specify one of the platforms"));
        }
        Ok(Self {
            name: string(&value["metadata"]["name"], "metadata.name")?,
            domain: string(&value["baseDomain"], "baseDomain")?,
            masters,
            workers: value["compute"][0]["replicas"].as_u64().unwrap_or(3),
            ssh_key: value["sshKey"].as_str().unwrap_or_default().trim().to_owned(),
            pull_secret,
            text: serde_saphyr::to_string(&value).map_err(|_| wrong("error converting JSON to YAML"))?,
        })
    }

    /// The cluster's domain.
    pub(super) fn cluster_domain(&self) -> String {
        format!("{}.{}", self.name, self.domain)
    }
}
