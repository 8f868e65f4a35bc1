//! `wait-for` under the driver: a cluster that comes up, and each way that it does not.

use std::path::Path;
use std::sync::Mutex;

use harmony_core::capability::{ClusterInstaller, InstallStage};
use harmony_core::error::{DeviceError, FailureKind, chain};
use harmony_drivers::cluster::openshift_install::OpenshiftInstall;
use harmony_sim::openshift_install::{ADDRESS_VARIABLE, LIMIT_VARIABLE, POLL_VARIABLE};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, conditions};
use crate::work::{cluster, input, installer};

/// A cluster whose artefacts are made, its API, and the driver that reaches it there.
async fn site(state: &Path, limit: &str) -> (OpenshiftInstall, Api) {
    installer(state, &[]).make_artefacts(&input()).await.expect("made");
    let api = Api::of(&state.join("clusters/ocp4/1")).await;
    let address = api.address.to_string();
    let variables = [(ADDRESS_VARIABLE, address.as_str()), (LIMIT_VARIABLE, limit), (POLL_VARIABLE, "10")];
    (installer(state, &variables), api)
}

async fn wait(installer: &OpenshiftInstall, stage: InstallStage) -> (Result<(), DeviceError>, Vec<String>) {
    let told = Mutex::new(Vec::new());
    let tell = |line: &str| told.lock().expect("no panic").push(line.to_owned());
    let done = installer.wait_for(&cluster(), stage, &tell, &CancellationToken::new()).await;
    (done, told.into_inner().expect("no panic"))
}

fn password(state: &Path) -> String {
    std::fs::read_to_string(state.join("clusters/ocp4/1/auth/kubeadmin-password")).expect("there")
}

#[tokio::test]
async fn a_cluster_that_comes_up() {
    let state = tempfile::tempdir().expect("folder");
    let (installer, api) = site(state.path(), "60").await;
    api.is_up();
    api.bootstrap_is_complete();
    let (done, told) = wait(&installer, InstallStage::BootstrapComplete).await;
    done.expect("complete");
    assert!(
        told[0].starts_with("Waiting up to 1m0s (until ")
            && told[0].ends_with("for the Kubernetes API at https://api.ocp4.example.com:6443..."),
        "{told:?}"
    );
    assert_eq!(told[1], "API v1.32.5 up");
    assert_eq!(told.last().map(String::as_str), Some("It is now safe to remove the bootstrap resources"));

    api.version_is(conditions(&[("Available", "True", ""), ("Failing", "False", ""), ("Progressing", "False", "")]));
    api.operators(conditions(&[("Progressing", "False", "")]));
    let (done, told) = wait(&installer, InstallStage::InstallComplete).await;
    done.expect("complete");
    assert!(told.iter().any(|line| line == "Install complete!"), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("Login to the console with user: \"kubeadmin\", and password: …"));
    let all = told.join("\n");
    assert!(!all.contains(&password(state.path())), "{all}");
}

#[tokio::test]
async fn an_api_that_never_comes() {
    let state = tempfile::tempdir().expect("folder");
    let (installer, api) = site(state.path(), "0.05").await;
    drop(api);
    let (done, _) = wait(&installer, InstallStage::BootstrapComplete).await;
    let error = done.expect_err("no API");
    assert_eq!(error.kind(), FailureKind::Transient);
    assert!(
        chain(&error)
            .starts_with("failed to wait for bootstrap-complete of cluster `ocp4`: the bootstrap machine did not"),
        "{}",
        chain(&error)
    );
    let evidence = error.evidence_lines().join("\n");
    assert!(
        evidence.contains("Bootstrap failed to complete: Get \"https://api.ocp4.example.com:6443/version\": dial tcp"),
        "{evidence}"
    );
    assert!(
        error.hint_text().is_some_and(|hint| hint.contains("openshift-install gather bootstrap --dir")),
        "{error:?}"
    );
}

#[tokio::test]
async fn masters_that_never_come_and_operators_that_do_not_get_well() {
    let state = tempfile::tempdir().expect("folder");
    let (installer, api) = site(state.path(), "0.05").await;
    api.is_up();
    api.operators(conditions(&[("Degraded", "True", "etcd has no quorum"), ("Progressing", "True", "NodeInstaller")]));
    let (done, _) = wait(&installer, InstallStage::BootstrapComplete).await;
    let evidence = done.expect_err("not complete").evidence_lines().join("\n");
    assert!(evidence.contains("Cluster operator etcd Degraded is True with R: etcd has no quorum"), "{evidence}");
    assert!(evidence.contains("timed out waiting for the condition"), "{evidence}");

    let (done, told) = wait(&installer, InstallStage::InstallComplete).await;
    let error = done.expect_err("no version");
    assert!(chain(&error).ends_with("the cluster did not finish its installation in time"), "{}", chain(&error));
    assert!(
        error.evidence_lines().last().is_some_and(|line| line.starts_with("its Kubernetes client: failed to list")),
        "{error:?}"
    );
    assert!(!told.iter().any(|line| line.contains("informerwatcher")), "{told:?}");

    api.version_is(conditions(&[("Failing", "True", "Cluster operator etcd is degraded")]));
    let (done, _) = wait(&installer, InstallStage::InstallComplete).await;
    let evidence = done.expect_err("failing").evidence_lines().join("\n");
    assert!(evidence.contains("failed to initialize the cluster: Cluster operator etcd is degraded"), "{evidence}");

    api.version_is(conditions(&[("Available", "True", ""), ("Failing", "False", ""), ("Progressing", "False", "")]));
    let (done, _) = wait(&installer, InstallStage::InstallComplete).await;
    let error = done.expect_err("not stable");
    assert!(chain(&error).ends_with("operators of the cluster do not come to rest"), "{}", chain(&error));
    assert!(error.evidence_lines().join("\n").contains("These cluster operators were not stable: [etcd]"), "{error:?}");
}

#[tokio::test]
async fn waiting_can_be_stopped() {
    let state = tempfile::tempdir().expect("folder");
    let (installer, _api) = site(state.path(), "600").await;
    let stop = CancellationToken::new();
    let told = Mutex::new(Vec::new());
    let tell = |line: &str| {
        told.lock().expect("no panic").push(line.to_owned());
        stop.cancel();
    };
    let error =
        installer.wait_for(&cluster(), InstallStage::BootstrapComplete, &tell, &stop).await.expect_err("stopped");
    assert!(chain(&error).ends_with("it was stopped"), "{}", chain(&error));
    let told = told.into_inner().expect("no panic");
    assert_eq!(told.last().map(String::as_str), Some("Received interrupt signal"), "it was asked, and ended by itself");
}

#[tokio::test]
async fn there_is_nothing_to_wait_for_before_artefacts_are_made() {
    let state = tempfile::tempdir().expect("folder");
    let (done, _) = wait(&installer(state.path(), &[]), InstallStage::BootstrapComplete).await;
    assert_eq!(done.expect_err("none").kind(), FailureKind::Conflict);
    installer(state.path(), &[]).make_artefacts(&input()).await.expect("made");
    std::fs::remove_dir_all(state.path().join("clusters/ocp4/1/auth")).expect("removes");
    let (done, _) = wait(&installer(state.path(), &[]), InstallStage::BootstrapComplete).await;
    let error = done.expect_err("no kubeconfig");
    assert_eq!(error.kind(), FailureKind::Conflict, "{}", chain(&error));
}
