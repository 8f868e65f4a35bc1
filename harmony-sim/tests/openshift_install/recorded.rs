//! The stand-in beside recordings of the real program, in the folder that `HARMONY_VECTORS` names: the same files, the
//! same shapes, the same messages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::work::{json, run};

fn vectors() -> Option<PathBuf> {
    let folder = std::env::var_os("HARMONY_VECTORS").map(|folder| PathBuf::from(folder).join("openshift-install"));
    let folder = folder.filter(|folder| folder.is_dir());
    if folder.is_none() {
        println!("skipped: HARMONY_VECTORS names no folder with openshift-install");
    }
    folder
}

/// The recorded install configuration, in a folder of its own.
fn prepared(vectors: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::copy(vectors.join("install-config.yaml"), folder.path().join("install-config.yaml")).expect("copies");
    folder
}

/// The words of a message, without what differs from run to run and from release to release.
fn messages(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.starts_with("level="));
    let lines = lines.filter(|line| !line.contains("Found override"));
    lines.map(|line| line.split(|c: char| c.is_ascii_digit()).next().unwrap_or(line).to_owned()).collect()
}

/// What a transcript shows after a command: its block, up to the next one.
fn block<'a>(transcript: &'a str, command: &str) -> &'a str {
    let start = transcript.find(&format!("$ openshift-install {command}")).unwrap_or_else(|| panic!("{command}"));
    let rest = &transcript[start + 1..];
    rest.find("\n$ ").map_or(rest, |end| &rest[..end])
}

/// The names in a folder, the hidden among them.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("there");
    entries.map(|entry| entry.expect("reads").file_name().to_string_lossy().into_owned()).collect()
}

/// The shape of a JSON value: its keys and kinds.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::String(_) => "text".into(),
        other => other.clone(),
    }
}

#[test]
fn messages_files_and_what_is_consumed() {
    let Some(vectors) = vectors() else { return };
    let transcript = std::fs::read_to_string(vectors.join("transcripts.txt")).expect("there");
    let folder = prepared(&vectors);
    let dir = folder.path();

    let output = run(dir, &["create", "manifests"]);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let recorded = block(&transcript, "create manifests");
    assert_eq!(messages(&String::from_utf8_lossy(&output.stderr)), messages(recorded));
    assert_eq!(
        names(dir),
        [".openshift_install.log", ".openshift_install_state.json", "manifests", "openshift"].map(String::from).into()
    );
    for (heading, part) in [("D/manifests:", "manifests"), ("D/openshift:", "openshift")] {
        let list = recorded.lines().skip_while(|line| *line != heading).nth(1).expect("a list");
        assert_eq!(names(&dir.join(part)), list.split_whitespace().map(String::from).collect(), "{part}");
    }

    let output = run(dir, &["create", "ignition-configs"]);
    assert!(output.status.success(), "{output:?}");
    let recorded = block(&transcript, "create ignition-configs");
    assert_eq!(messages(&String::from_utf8_lossy(&output.stderr)), messages(recorded));
    let left = [
        ".openshift_install.log",
        ".openshift_install_state.json",
        "auth",
        "bootstrap.ign",
        "master.ign",
        "metadata.json",
        "worker.ign",
    ];
    assert_eq!(names(dir), left.map(String::from).into());
    assert_eq!(names(&dir.join("auth")), ["kubeadmin-password", "kubeconfig"].map(String::from).into());
    let line = recorded.lines().find_map(|line| line.strip_prefix("metadata.json: ")).expect("recorded");
    let metadata: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(shape(&json(&dir.join("metadata.json"))), shape(&metadata));
}

#[test]
fn ignition_files_have_the_recorded_shape() {
    let Some(vectors) = vectors() else { return };
    let folder = prepared(&vectors);
    assert!(
        run(folder.path(), &["create", "ignition-configs"]).status.success(),
        "manifests are no step that is needed"
    );

    for role in ["master", "worker"] {
        let (ours, real) =
            (json(&folder.path().join(format!("{role}.ign"))), json(&vectors.join(format!("{role}.ign"))));
        assert_eq!(shape(&ours), shape(&real));
        let merge = "/ignition/config/merge/0/source";
        assert_eq!(
            (ours.pointer(merge), &ours["ignition"]["version"]),
            (real.pointer(merge), &real["ignition"]["version"])
        );
        let authority = ours.pointer("/ignition/security/tls/certificateAuthorities/0/source").and_then(Value::as_str);
        assert!(
            authority.is_some_and(|url| url.starts_with("data:text/plain;charset=utf-8;base64,LS0tLS1CRUdJTi")),
            "{role}"
        );
    }

    let (ours, outline) =
        (json(&folder.path().join("bootstrap.ign")), json(&vectors.join("bootstrap.ign.outline.json")));
    assert_eq!(ours["ignition"]["version"], outline["ignition"]["version"]);
    let of_ours = |file: &Value| {
        let row = Value::Array(vec![file["mode"].clone(), file["overwrite"].clone(), file["user"].clone()]);
        (file["path"].to_string(), row)
    };
    let of_outline =
        |row: &Value| (row[0].to_string(), Value::Array(vec![row[1].clone(), row[2].clone(), row[3].clone()]));
    let ours_by_path: BTreeMap<_, _> =
        ours["storage"]["files"].as_array().expect("files").iter().map(of_ours).collect();
    let real_by_path: BTreeMap<_, _> =
        outline["storage.files"].as_array().expect("files").iter().map(of_outline).collect();
    assert_eq!(ours_by_path, real_by_path);
    let units: Vec<_> =
        ours["systemd"]["units"].as_array().expect("units").iter().map(|unit| unit["name"].clone()).collect();
    assert_eq!(Value::Array(units), outline["systemd.units"]);
    let size = std::fs::metadata(folder.path().join("bootstrap.ign")).expect("there").len();
    assert!((150_000..600_000).contains(&size), "{size}");
}

#[test]
fn refusals() {
    let Some(vectors) = vectors() else { return };
    let transcript = std::fs::read_to_string(vectors.join("transcripts.txt")).expect("there");
    let text = std::fs::read_to_string(vectors.join("install-config.yaml")).expect("there");
    let recorded = |message: &str| assert!(transcript.contains(message.trim()), "not recorded: {message}");

    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("install-config.yaml");
    let without: String =
        text.lines().filter(|line| !line.starts_with("pullSecret")).map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, without).expect("writes");
    let output = run(folder.path(), &["create", "manifests"]);
    assert_eq!(output.status.code(), Some(3));
    recorded(&String::from_utf8_lossy(&output.stderr));

    let output = run(folder.path(), &["wait-for", "bootstrap-complete"]);
    assert_eq!(output.status.code(), Some(1));
    recorded(&String::from_utf8_lossy(&output.stderr));

    let output = run(folder.path(), &["bogus"]);
    assert_eq!(output.status.code(), Some(1));
    recorded(&String::from_utf8_lossy(&output.stderr));

    std::fs::write(&path, format!("{text}strange: 1\n")).expect("writes");
    let output = run(folder.path(), &["create", "manifests"]);
    assert!(output.status.success(), "an unknown field is a warning only: {output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains("level=warning msg=failed to parse first occurrence of unknown field")
    );
}

#[test]
fn stream_metadata_has_the_recorded_shape() {
    let Some(vectors) = vectors() else { return };
    let folder = tempfile::tempdir().expect("folder");
    let output = run(folder.path(), &["coreos", "print-stream-json"]);
    let ours: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let real = json(&vectors.join("stream.json"));
    let pxe = "/architectures/x86_64/artifacts/metal/formats/pxe";
    assert_eq!(ours.pointer(pxe).map(shape), real.pointer(pxe).map(shape));
    let release = |value: &Value| value.pointer("/architectures/x86_64/artifacts/metal/release").map(shape);
    assert_eq!(release(&ours), release(&real));
}
