//! `wait-for`: asks the cluster's API until a stage is reached or its time is up.
//!
//! Source: openshift/installer, `cmd/openshift-install/command/waitfor.go`; messages and exit codes as there.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::Failed;
use super::client::Api;
use super::create::State;
use super::log::Log;
use super::settings::Settings;

/// What the real program waits for each stage.
const API_LIMIT: Duration = Duration::from_secs(20 * 60);
const BOOTSTRAP_LIMIT: Duration = Duration::from_secs(45 * 60);
const INSTALL_LIMIT: Duration = Duration::from_secs(40 * 60);
const STABLE_LIMIT: Duration = Duration::from_secs(30 * 60);
const VERSIONS: &str = "/apis/config.openshift.io/v1/clusterversions/version";
const OPERATORS: &str = "/apis/config.openshift.io/v1/clusteroperators";
const TROUBLE: &str = "Cluster initialization failed because one or more operators are not functioning properly.
The cluster should be accessible for troubleshooting as detailed in the documentation linked below,
https://docs.openshift.com/container-platform/latest/support/troubleshooting/troubleshooting-installations.html
The 'wait-for install-complete' subcommand can then be used to continue the installation";

/// What waiting needs.
struct Wait<'a> {
    api: Api,
    settings: &'a Settings,
    log: &'a Log,
}

pub(super) fn bootstrap_complete(dir: &Path, settings: &Settings, log: &Log) -> Result<(), Failed> {
    begin(dir, settings, log, async |wait| wait.bootstrap().await)
}

pub(super) fn install_complete(dir: &Path, settings: &Settings, log: &Log) -> Result<(), Failed> {
    let folder = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let state = State::load(dir).ok_or_else(|| Failed::error("failed to load asset store", 3));
    begin(dir, settings, log, async |wait| {
        let state = state?;
        wait.install().await?;
        wait.log.info("Install complete!");
        wait.log.info(&format!(
            "To access the cluster as the system:admin user when using 'oc', run\n    export KUBECONFIG={}/auth/kubeconfig",
            folder.display()
        ));
        wait.log.info(&format!(
            "Access the OpenShift web-console here: https://console-openshift-console.apps.{}",
            state.config.cluster_domain()
        ));
        wait.log.info(&format!("Login to the console with user: \"kubeadmin\", and password: \"{}\"", state.password));
        Ok(())
    })
}

/// Runs it until it is done or a signal comes.
fn begin<'a>(
    dir: &Path,
    settings: &'a Settings,
    log: &'a Log,
    work: impl AsyncFnOnce(&Wait<'a>) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let api = Api::of(dir, settings.address).map_err(|error| Failed::fatal(format!("loading kubeconfig: {error}")))?;
    let wait = Wait { api, settings, log };
    let failed = |error: std::io::Error| Failed::fatal(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?);
        tokio::select! {
            done = work(&wait) => done,
            _ = interrupt.recv() => Err(interrupted()),
            _ = terminate.recv() => Err(interrupted()),
        }
    })
}

fn interrupted() -> Failed {
    Failed { level: super::log::Level::Warning, message: "Received interrupt signal".to_owned(), code: 8 }
}

impl Wait<'_> {
    async fn bootstrap(&self) -> Result<(), Failed> {
        let limit = self.limit(API_LIMIT);
        self.log.info(&format!("Waiting up to {} for the Kubernetes API at {}...", until(limit), self.api.url));
        let version = self.poll(limit, async || {
            match self.api.get("/version").await {
                Ok(version) => Ok(version["gitVersion"].as_str().unwrap_or("v1.32.0").to_owned()),
                // An API that is not asked for its version may still say that it is ready.
                Err(error) => self.api.get("/readyz").await.map(|_| "v1.32.0".to_owned()).map_err(|_| error),
            }
        });
        match version.await {
            Ok(version) => self.log.info(&format!("API {version} up")),
            Err(error) => {
                return Err(self.bootstrap_failed(&error, "Failed waiting for Kubernetes API. This error usually happens when there is a problem on the bootstrap host that prevents creating a temporary control plane.").await);
            }
        }
        let limit = self.limit(BOOTSTRAP_LIMIT);
        self.log.info(&format!("Waiting up to {} for bootstrapping to complete...", until(limit)));
        let complete = self.poll(limit, async || {
            match self.api.get("/api/v1/namespaces/kube-system/configmaps/bootstrap").await {
                Ok(map) if map["data"]["status"] == "complete" => Ok(()),
                _ => Err("timed out waiting for the condition".to_owned()),
            }
        });
        match complete.await {
            Ok(()) => {
                self.log.info("It is now safe to remove the bootstrap resources");
                Ok(())
            }
            Err(error) => Err(self.bootstrap_failed(&error, "Failed to wait for bootstrapping to complete. This error usually happens when there is a problem with control plane hosts that prevents the control plane operators from creating the control plane.").await),
        }
    }

    async fn bootstrap_failed(&self, error: &str, meaning: &str) -> Failed {
        self.operators_said().await;
        self.log.info("Use the following commands to gather logs from the cluster");
        self.log.info("openshift-install gather bootstrap --help");
        self.log.error(&format!("Bootstrap failed to complete: {error}"));
        Failed::error(meaning, 5)
    }

    async fn install(&self) -> Result<(), Failed> {
        let limit = self.limit(INSTALL_LIMIT);
        self.log.info(&format!("Waiting up to {} for the cluster at {} to initialize...", until(limit), self.api.url));
        let mut last = None;
        let initialised = self.poll(limit, async || {
            let version = self.api.get(VERSIONS).await.inspect_err(|error| {
                self.log.noise(&format!("failed to list *v1.ClusterVersion: {error}"));
            })?;
            let is =
                |kind: &str, status: &str| condition(&version, kind).is_some_and(|found| found["status"] == status);
            if is("Available", "True") && is("Failing", "False") && is("Progressing", "False") {
                return Ok(());
            }
            let told = ["Failing", "Progressing"]
                .into_iter()
                .find(|kind| is(kind, "True"))
                .and_then(|kind| condition(&version, kind));
            last = told.and_then(|found| found["message"].as_str()).map(str::to_owned).or(last.take());
            Err("timed out waiting for the condition".to_owned())
        });
        if let Err(error) = initialised.await {
            let last = last.unwrap_or(error);
            self.operators_said().await;
            self.log.error(TROUBLE);
            return Err(Failed::error(format!("failed to initialize the cluster: {last}"), 6));
        }
        let limit = self.limit(STABLE_LIMIT);
        self.log.info(&format!(
            "Waiting up to {} to ensure each cluster operator has finished progressing...",
            until(limit)
        ));
        let mut moving = Vec::new();
        let stable = self.poll(limit, async || {
            let list = self.api.get(OPERATORS).await?;
            let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            let is_moving =
                |item: &&Value| condition(item, "Progressing").is_none_or(|found| found["status"] != "False");
            moving = items
                .iter()
                .filter(is_moving)
                .map(|item| item["metadata"]["name"].as_str().unwrap_or("?").to_owned())
                .collect();
            if moving.is_empty() { Ok(()) } else { Err("timed out waiting for the condition".to_owned()) }
        });
        if let Err(error) = stable.await {
            self.log.error(&format!("Error checking cluster operator Progressing status: {error:?}"));
            return Err(Failed::error(format!("These cluster operators were not stable: [{}]", moving.join(", ")), 7));
        }
        self.log.info("All cluster operators have completed progressing");
        self.log.info("Checking to see if there is a route at openshift-console/console...");
        Ok(())
    }

    /// What operators complain of, as it is logged when waiting has failed.
    async fn operators_said(&self) {
        let list = match self.api.get(OPERATORS).await {
            Ok(list) => list,
            Err(error) => {
                self.log.error(&format!("Attempted to gather ClusterOperator status after wait failure: listing ClusterOperator objects: {error}"));
                return;
            }
        };
        for item in list["items"].as_array().map(Vec::as_slice).unwrap_or_default() {
            for (kind, usual) in [("Available", "True"), ("Progressing", "False"), ("Degraded", "False")] {
                let Some(found) = condition(item, kind).filter(|found| found["status"] != usual) else { continue };
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let line = format!(
                    "Cluster operator {} {kind} is {} with {}: {}",
                    text(&item["metadata"]["name"]),
                    text(&found["status"]),
                    text(&found["reason"]),
                    text(&found["message"])
                );
                if kind == "Progressing" { self.log.info(&line) } else { self.log.error(&line) }
            }
        }
    }

    fn limit(&self, real: Duration) -> Duration {
        self.settings.limit.unwrap_or(real)
    }

    /// Looks again and again; what the last look said when the time is up.
    async fn poll<T>(&self, limit: Duration, mut look: impl AsyncFnMut() -> Result<T, String>) -> Result<T, String> {
        let deadline = Instant::now() + limit;
        loop {
            match look().await {
                Ok(found) => return Ok(found),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => tokio::time::sleep(self.settings.poll).await,
            }
        }
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// `20m0s (until 2:18AM UTC)`.
fn until(limit: Duration) -> String {
    let end =
        Timestamp::now().saturating_add(SignedDuration::try_from(limit).unwrap_or_default()).unwrap_or(Timestamp::MAX);
    let (seconds, millis) = (limit.as_secs(), limit.subsec_millis());
    let rest = if millis == 0 { format!("{}s", seconds % 60) } else { format!("{}.{millis:03}s", seconds % 60) };
    let length = if seconds >= 60 { format!("{}m{rest}", seconds / 60) } else { rest };
    format!("{length} (until {} UTC)", end.strftime("%-I:%M%p"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_said_as_go_says_them() {
        assert!(until(API_LIMIT).starts_with("20m0s (until "));
        assert!(until(Duration::from_millis(1500)).starts_with("1.500s (until "));
        assert!(until(Duration::from_secs(3)).ends_with("M UTC)"));
    }
}
