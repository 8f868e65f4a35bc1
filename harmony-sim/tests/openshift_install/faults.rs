//! The driver around a stand-in that fails: the reason is told, nothing half made is left, and no secret is told.

use harmony_core::capability::ClusterInstaller;
use harmony_core::error::{DeviceError, FailureKind, chain};
use harmony_sim::openshift_install::{FAULT_VARIABLE, MADE_AGO_VARIABLE};
use jiff::Timestamp;

use crate::work::{cluster, input, installer};

async fn fails(fault: &str) -> DeviceError {
    let state = tempfile::tempdir().expect("folder");
    let installer = installer(state.path(), &[(FAULT_VARIABLE, fault)]);
    let error = installer.make_artefacts(&input()).await.expect_err(fault);
    assert_eq!(installer.artefacts(&cluster()).await.expect("reads"), None);
    let left = std::fs::read_dir(installer.private_root().join("ocp4")).expect("reads");
    let left: Vec<_> = left.map(|entry| entry.expect("reads").file_name()).collect();
    assert!(left.iter().all(|name| name == "lock" || name == "failed.log"), "{left:?}");
    if let Some(log) = error.hint_text().and_then(|hint| hint.strip_prefix("read ")?.split(' ').next()) {
        assert!(log.ends_with("/clusters/ocp4/failed.log"), "{log}");
    }
    error
}

#[tokio::test]
async fn its_own_reason_is_the_evidence() {
    let error = fails("create-fails").await;
    assert_eq!(error.kind(), FailureKind::Rejected);
    assert!(error.evidence_lines()[0].starts_with("failed to fetch Common Manifests"), "{:?}", error.evidence_lines());
    let error = fails("create-refuses").await;
    assert_eq!(error.kind(), FailureKind::Invalid);
    assert!(chain(&error).ends_with("it refuses the install configuration"), "{}", chain(&error));
    assert!(error.evidence_lines()[0].contains("networking.machineNetwork"), "{:?}", error.evidence_lines());
}

#[tokio::test]
async fn what_is_no_ignition_is_refused() {
    let error = fails("garbage").await;
    assert_eq!(error.kind(), FailureKind::Invalid);
    assert!(chain(&error).contains("failed to read bootstrap.ign, which openshift-install made for cluster `ocp4`: it is no Ignition configuration"), "{}", chain(&error));
    let error = fails("old-ignition").await;
    assert!(chain(&error).contains("specification is `2.2.0`; machines of this release take 3.x"), "{}", chain(&error));
    let state = tempfile::tempdir().expect("folder");
    let error = installer(state.path(), &[(FAULT_VARIABLE, "garbage")]).boot_images().await.expect_err("garbage");
    assert!(chain(&error).contains("its stream metadata has no kernel, initramfs and rootfs"), "{}", chain(&error));
}

#[tokio::test]
async fn certificates_of_yesterday_have_expired() {
    let state = tempfile::tempdir().expect("folder");
    let installer = installer(state.path(), &[(MADE_AGO_VARIABLE, "90000")]);
    let made = installer.make_artefacts(&input()).await.expect("made");
    assert!(made.expires_at < Timestamp::now(), "what its certificates say counts: {made:?}");
}

#[tokio::test]
async fn a_run_that_is_killed_in_the_middle_leaves_nothing_that_shows() {
    let state = tempfile::tempdir().expect("folder");
    let hanging = installer(state.path(), &[(FAULT_VARIABLE, "create-hangs")]);
    let (cluster, input) = (cluster(), input());
    let begun = async {
        let folder = hanging.private_root().join("ocp4");
        loop {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok);
            if entries.into_iter().any(|entry| entry.path().join("kept/install-config.yaml").is_file()) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        made = hanging.make_artefacts(&input) => panic!("{made:?}"),
        () = begun => {}
    }
    assert_eq!(hanging.artefacts(&cluster).await.expect("reads"), None);
    let made = installer(state.path(), &[]).make_artefacts(&input).await.expect("made");
    assert_eq!(made.generation, 1);
}

#[tokio::test]
async fn a_refused_pull_secret_is_not_told() {
    let state = tempfile::tempdir().expect("folder");
    let path = state.path().join("pull-secret");
    std::fs::write(&path, r#"{"auths":{"q":{"auth":"aHVudGVyMg=="}}, "x": "hunter2 'and' \"more\""}"#).expect("writes");
    let mut spec = crate::work::spec(&[]);
    spec.pull_secret_file = Some("/nowhere".into());
    let installer = harmony_drivers::cluster::openshift_install::OpenshiftInstall::new(
        spec,
        state.path(),
        harmony_drivers::WriteLog::default(),
    );
    let mut input = input();
    input.pull_secret_file = Some(path);
    input.install_config = input.install_config.replace("baseDomain: example.com\n", "");
    let error = installer.make_artefacts(&input).await.expect_err("no domain");
    let told = format!("{} {:?} {:?}", chain(&error), error.evidence_lines(), error.hint_text());
    assert!(told.contains("baseDomain: Required value"), "{told}");
    assert!(!told.contains("hunter2") && !told.contains("aHVudGVyMg=="), "{told}");
    input.pull_secret_file = None;
    let error = installer.make_artefacts(&input).await.expect_err("the site's is not there");
    assert!(chain(&error).contains("failed to read the pull secret /nowhere"), "{}", chain(&error));
}
