//! The driver around the stand-in: what it makes, and that nothing half made shows.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harmony_core::capability::{ClusterInstaller, Manifest};
use harmony_core::cluster::NodeKind;
use harmony_core::error::{FailureKind, chain};
use harmony_drivers::WriteLog;
use harmony_drivers::cluster::openshift_install::{DRIVER, OpenshiftInstall};
use harmony_sim::openshift_install::{BootFile, VERSION, stream_metadata};

use crate::work::{carried, cluster, input, installer, json, spec};

const BOND: &str = "apiVersion: machineconfiguration.openshift.io/v1
kind: MachineConfig
metadata:
  name: 99-harmony-master-bond
  labels:
    machineconfiguration.openshift.io/role: master
spec: {}
";

/// Every file below a folder that others than its owner may read, and every folder they may enter.
fn open_to_others(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("reads").map(|entry| entry.expect("reads").path()) {
        let metadata = std::fs::metadata(&entry).expect("there");
        if metadata.permissions().mode() & 0o077 != 0 {
            found.push(entry.display().to_string());
        }
        if metadata.is_dir() {
            found.extend(open_to_others(&entry));
        }
    }
    found
}

#[tokio::test]
async fn artefacts_are_made_kept_and_found_again() {
    let state = tempfile::tempdir().expect("folder");
    let writes = WriteLog::default();
    let installer = OpenshiftInstall::new(spec(&[]), state.path(), writes.clone());
    assert_eq!(installer.artefacts(&cluster()).await.expect("reads"), None);
    assert_eq!(installer.kubeconfig(&cluster()).expect("reads"), None);
    assert!(std::fs::read_dir(state.path()).expect("reads").next().is_none(), "reads make nothing");
    let version = installer.installer_version().await.expect("runs");
    assert_eq!((version.version.as_str(), version.sha256.len()), (VERSION, 64));

    let mut input = input();
    input.manifests.push(Manifest { path: "openshift/99-harmony-master-bond.yaml".into(), text: BOND.into() });
    let made = installer.make_artefacts(&input).await.expect("made");
    assert_eq!((made.generation, &made.input, &made.installer), (1, &input.digest(), &version));
    assert_eq!(
        made.expires_at.duration_since(made.made_at).as_secs().div_euclid(3600),
        24 - 1,
        "a day, less what making took"
    );
    assert_eq!(installer.artefacts(&cluster()).await.expect("reads").as_ref(), Some(&made));
    assert_eq!(writes.counts().get(DRIVER), Some(&1));

    let folder = installer.private_root().join("ocp4/1");
    for kind in NodeKind::ALL {
        let role = &made.roles[&kind];
        assert_eq!(
            (role.name.as_str(), role.ignition_version.as_str()),
            (format!("ocp4/1/{kind}.ign").as_str(), "3.2.0")
        );
        assert!(installer.private_root().join(&role.name).is_file());
    }
    assert_eq!(installer.kubeconfig(&cluster()).expect("reads"), Some(folder.join("auth/kubeconfig")));
    for kept in
        ["install-config.yaml", "manifests/cluster-scheduler-02-config.yml", "openshift/99-harmony-master-bond.yaml"]
    {
        assert!(folder.join("kept").join(kept).is_file(), "{kept}");
    }
    assert!(!folder.join("install-config.yaml").exists(), "consumed");
    assert_eq!(open_to_others(state.path()), Vec::<String>::new());

    let bootstrap = json(&folder.join("bootstrap.ign"));
    assert_eq!(carried(&bootstrap, "/opt/openshift/openshift/99-harmony-master-bond.yaml").as_deref(), Some(BOND));
    let scheduler = carried(&bootstrap, "/opt/openshift/manifests/cluster-scheduler-02-config.yml").expect("carried");
    assert!(scheduler.contains("mastersSchedulable: false"), "{scheduler}");

    let again = installer.make_artefacts(&input).await.expect("made");
    assert_eq!(again.generation, 2);
    assert_ne!(again.roles[&NodeKind::Master].sha256, made.roles[&NodeKind::Master].sha256, "another cluster");
    assert!(folder.is_dir(), "the one before stays");
    assert_eq!(installer.artefacts(&cluster()).await.expect("reads"), Some(again));
}

#[tokio::test]
async fn another_program_than_the_one_named_is_refused() {
    let state = tempfile::tempdir().expect("folder");
    let with = |change: fn(&mut harmony_drivers::cluster::openshift_install::OpenshiftInstallSpec)| {
        let mut spec = spec(&[]);
        change(&mut spec);
        OpenshiftInstall::new(spec, state.path(), WriteLog::default())
    };
    let error = with(|spec| spec.sha256 = Some("ab".repeat(32))).make_artefacts(&input()).await.expect_err("refused");
    assert_eq!(error.kind(), FailureKind::Conflict);
    assert!(chain(&error).contains("wanted is abab"), "{}", chain(&error));
    let error = with(|spec| spec.version = Some("4.18.0".into())).boot_images().await.expect_err("refused");
    assert!(chain(&error).ends_with("is version 4.19.0-okd-scos.9, wanted is 4.18.0"), "{}", chain(&error));
    let error =
        with(|spec| spec.program = "/nowhere/openshift-install".into()).installer_version().await.expect_err("none");
    assert!(chain(&error).ends_with("the program `/nowhere/openshift-install` is not there"), "{}", chain(&error));
    assert!(error.hint_text().is_some_and(|hint| hint.contains("okd-project/okd/releases")));
    let elsewhere = tempfile::tempdir().expect("folder");
    let file = elsewhere.path().join("openshift-install");
    std::fs::write(&file, "#!/bin/sh\n").expect("writes");
    let mut plain = spec(&[]);
    plain.program = file.clone();
    let plain = OpenshiftInstall::new(plain, state.path(), WriteLog::default());
    let error = plain.installer_version().await.expect_err("not to be run");
    assert_eq!(error.hint_text(), Some(format!("chmod +x {}", file.display()).as_str()), "{}", chain(&error));
    assert!(std::fs::read_dir(state.path()).expect("reads").next().is_none(), "nothing is made before");

    let right = with(|_| ()).installer_version().await.expect("runs").sha256.to_uppercase();
    let mut spec = spec(&[]);
    spec.sha256 = Some(right);
    OpenshiftInstall::new(spec, state.path(), WriteLog::default()).installer_version().await.expect("the right one");
}

#[tokio::test]
async fn machines_are_booted_with_what_the_metadata_says() {
    let state = tempfile::tempdir().expect("folder");
    let file = |name: &str| BootFile { location: format!("http://127.0.0.1:1/x/{name}"), sha256: "CD".repeat(32) };
    let text = stream_metadata("9.0.1-0", &file("a-live-kernel-x86_64"), &file("b.img"), &file("c.img"));
    let path = state.path().join("stream.json");
    std::fs::write(&path, text).expect("writes");
    let installer = installer(state.path(), &[("OPENSHIFT_INSTALL_SIM_STREAM", &path.display().to_string())]);
    let images = installer.boot_images().await.expect("read");
    assert_eq!(
        (images.release.as_str(), images.kernel.location.as_str()),
        ("9.0.1-0", "http://127.0.0.1:1/x/a-live-kernel-x86_64")
    );
    assert_eq!(images.rootfs.sha256, "cd".repeat(32));
}

#[tokio::test]
async fn input_that_cannot_be_laid_before_it_is_refused_before_anything_is_made() {
    let state = tempfile::tempdir().expect("folder");
    let installer = installer(state.path(), &[]);
    let mut escaping = input();
    escaping.manifests.push(Manifest { path: "openshift/../../x.yaml".into(), text: BOND.into() });
    let error = installer.make_artefacts(&escaping).await.expect_err("refused");
    assert!(chain(&error).contains("is not in the folder `openshift` or `manifests` itself"), "{}", chain(&error));
    let mut unmarked = input();
    unmarked.install_config = unmarked.install_config.replace("@PULL-SECRET@", "");
    assert_eq!(installer.make_artefacts(&unmarked).await.expect_err("refused").kind(), FailureKind::Invalid);
    assert!(!installer.private_root().exists());

    let mut taken = input();
    taken.manifests.push(Manifest { path: "openshift/99_feature-gate.yaml".into(), text: BOND.into() });
    let error = installer.make_artefacts(&taken).await.expect_err("refused");
    assert_eq!(error.kind(), FailureKind::Conflict, "{}", chain(&error));
    assert_eq!(installer.artefacts(&cluster()).await.expect("reads"), None);
}
