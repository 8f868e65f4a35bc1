//! `harmony demo` as it is without arguments: unknown machines become a cluster; and nothing secret is told anywhere.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use harmony_core::event::Event;
use serde_json::Value;

use crate::demo::{assert_through, demo, harmony, records};

/// Everything that writes to something in a whole installation.
const DRIVERS: [&str; 8] =
    ["boot", "cisco_ios", "dhcp", "dns", "kubernetes", "load_balancer", "openshift_install", "redfish"];

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn read(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a run must not tell, by what it is: passwords, the pull secret, keys, and credentials of the cluster.
fn secrets(left: &Path) -> Vec<(String, String)> {
    let mut secrets = Vec::new();
    for path in files(&left.join("passwords")) {
        secrets.push((path.display().to_string(), read(&path).trim().to_owned()));
    }
    let generation = left.join("state/clusters/ocp4/1");
    secrets.push(("kubeadmin's password".to_owned(), read(&generation.join("auth/kubeadmin-password"))));
    let kubeconfig = read(&generation.join("auth/kubeconfig"));
    // Folded, as YAML may be.
    let key = kubeconfig.split_once("client-key-data:").map(|(_, rest)| rest).expect("a key");
    let key = key.split_whitespace().map(|word| word.trim_matches('"')).find(|word| word.len() > 100).expect("a key");
    secrets.push(("the administrator's key".to_owned(), key.to_owned()));
    let bootstrap: Value = serde_json::from_str(&read(&generation.join("bootstrap.ign"))).expect("JSON");
    for file in bootstrap["storage"]["files"].as_array().expect("files") {
        let path = file["path"].as_str().expect("a path");
        if !path.ends_with(".key") {
            continue;
        }
        let (_, data) = file["contents"]["source"].as_str().and_then(|url| url.split_once("base64,")).expect("data");
        let pem = String::from_utf8(BASE64_STANDARD.decode(data).expect("base64")).expect("PEM");
        let line = pem.lines().nth(1).expect("a line of the key");
        secrets.push((path.to_owned(), line.to_owned()));
    }
    for role in ["bootstrap", "master", "worker"] {
        let name = format!("{role}.ign");
        secrets.push((name.clone(), read(&generation.join(name)).trim().to_owned()));
    }
    secrets
}

fn text(parts: [Vec<u8>; 2]) -> String {
    String::from_utf8_lossy(&parts.concat()).into_owned()
}

#[test]
fn unknown_machines_become_a_cluster_and_no_secret_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = demo(folder.path(), &[]).wait_with_output().expect("ends");
    let records = records(&output);
    assert_through(&records, 5, 1, &DRIVERS);
    let done = records.iter().filter_map(|record| match &record.event {
        Event::StepFinished { score, .. } => Some(score.as_str()),
        _ => None,
    });
    let done: BTreeSet<&str> = done.filter(|score| score.starts_with("OkdSetup")).collect();
    assert_eq!(
        done.into_iter().collect::<Vec<_>>(),
        ["OkdSetup01Inventory", "OkdSetup02Bootstrap", "OkdSetup03ControlPlane", "OkdSetup04Workers"]
    );
    let left = folder.path().join("demo");
    let world = read(&left.join("world.log"));
    let served = "Ignition: GET https://api-int.ocp4.example.com:22623/config/";
    assert_eq!(world.matches(served).count() - world.matches("; tries again").count(), 5, "three masters, two workers");

    // What is shown, printed or left to look at.
    let replay = harmony(folder.path(), &["tui", "--replay", "demo/journal.jsonl"]).output().expect("starts");
    let mut outputs = vec![
        ("what was printed".to_owned(), text([output.stdout, output.stderr])),
        ("what is shown again".to_owned(), text([replay.stdout, replay.stderr])),
    ];
    let own = |path: &Path| ["passwords", "state"].iter().any(|folder| path.starts_with(left.join(folder)));
    let all = files(&left);
    outputs.extend(all.iter().filter(|path| !own(path)).map(|path| (path.display().to_string(), read(path))));
    let secrets = secrets(&left);
    assert!(secrets.len() > 20, "{}", secrets.len());
    // Where it is kept, nobody else reads it.
    let is_open = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o077 != 0;
    outputs.extend(all.iter().filter(|path| is_open(path)).map(|path| (path.display().to_string(), read(path))));
    for (what, secret) in &secrets {
        let encoded = BASE64_STANDARD.encode(secret);
        // The last characters of base64 depend on what follows.
        let encoded = &encoded.trim_end_matches('=')[..encoded.trim_end_matches('=').len() - 2];
        for (place, text) in &outputs {
            assert!(!text.contains(secret.as_str()) && !text.contains(encoded), "{what} is told by {place}");
        }
    }
}
