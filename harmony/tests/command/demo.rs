//! `harmony demo` and `harmony tui --replay`, as somebody without root, hardware or terminal runs them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use harmony_core::event::{Event, Outcome, Record};
use harmony_core::host::{HostId, Lifecycle};

/// The drivers that install machines and no cluster.
const HOSTS_ALONE: [&str; 4] = ["boot", "cisco_ios", "dhcp", "redfish"];

pub(crate) fn harmony(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harmony"));
    command.current_dir(folder).args(args).stdin(Stdio::null()).env_remove("HARMONY_SITE");
    command
}

pub(crate) fn demo(folder: &Path, args: &[&str]) -> Child {
    let args = [&["demo", "--json", "--out", "demo"], args].concat();
    harmony(folder, &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")
}

/// The records of a demo that succeeds.
pub(crate) fn records(output: &Output) -> Vec<Record> {
    let error = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    let records = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect::<Vec<Record>>();
    let failures: Vec<_> = records.iter().filter(|r| matches!(r.event, Event::StepFailed { .. })).collect();
    assert_eq!(output.status.code(), Some(0), "{error}\n{failures:#?}");
    records
}

/// Fails unless so many hosts end installed and bonded, so many others free, and the run says that all is as wanted.
pub(crate) fn assert_through(records: &[Record], hosts: usize, free: usize, by: &[&str]) {
    let mut last: BTreeMap<HostId, Lifecycle> = BTreeMap::new();
    for record in records {
        if let Event::HostChanged { host } = &record.event {
            last.insert(host.id.clone(), host.lifecycle);
        }
    }
    let of = |state| last.values().filter(|lifecycle| **lifecycle == state).count();
    assert_eq!((of(Lifecycle::Provisioned), of(Lifecycle::Discovered), last.len()), (hosts, free, hosts + free));
    let Some(Event::RunFinished { outcome, writes, .. }) = records.last().map(|record| &record.event) else {
        panic!("the last event is the run's end")
    };
    assert_eq!(*outcome, Outcome::Converged);
    let drivers: Vec<&str> = writes.keys().map(String::as_str).collect();
    assert_eq!(drivers, by, "the real drivers did it");
}

/// Every file below a folder, as text.
fn texts(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(texts(&path));
        } else {
            let bytes = std::fs::read(&path).expect("readable");
            found.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    found
}

#[test]
fn seven_unknown_hosts_become_bonded_nodes_and_plan_files_and_journal_are_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = demo(folder.path(), &["--no-cluster", "--hosts", "7"]).wait_with_output().expect("ends");
    assert_through(&records(&output), 7, 0, &HOSTS_ALONE);

    let left = folder.path().join("demo");
    let read = |name: &str| std::fs::read_to_string(left.join(name)).expect(name);
    assert_eq!(read("journal.jsonl").into_bytes(), output.stdout, "the journal is what was printed");
    assert_eq!(read("plan.txt").matches("ERASE disk").count(), 7);
    assert!(read("world.log").contains("iPXE: GET /boot.ipxe: 200"), "a host fetched its script");
    assert_eq!(std::fs::read_dir(left.join("boot")).expect("a folder").count(), 14, "a script and an answer for each");

    // Nothing that is printed or left tells a password, but for the files that hold them.
    let passwords = texts(&left.join("passwords"));
    assert!(passwords.len() > 8, "of each BMC, two of the switch");
    let printed = [output.stdout, output.stderr].concat();
    let mut outputs = texts(&left);
    outputs.retain(|(path, _)| !path.contains("/passwords/"));
    outputs.push(("what was printed".to_owned(), String::from_utf8_lossy(&printed).into_owned()));
    for (file, secret) in &passwords {
        let told = outputs.iter().find(|(_, text)| text.contains(secret.trim()));
        assert!(told.is_none(), "{file} is told by {}", told.map(|(path, _)| path.as_str()).unwrap_or_default());
    }

    let replay = harmony(folder.path(), &["tui", "--replay", "demo/journal.jsonl"]).output().expect("starts");
    let lines = String::from_utf8_lossy(&replay.stdout).into_owned();
    assert!(replay.status.success() && lines.lines().count() > 50, "{lines}");
    assert!(lines.lines().last().is_some_and(|line| line.contains("run: converged")), "{lines}");
}

#[test]
fn two_demos_run_at_once_and_a_fault_does_not_keep_one_from_its_end() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let faulty =
        demo(folders[0].path(), &["--no-cluster", "--hosts", "2", "--seed", "3", "--fault", "sticky-boot-device"]);
    let other = demo(folders[1].path(), &["--no-cluster", "--hosts", "2", "--seed", "4"]);
    for child in [faulty, other] {
        assert_through(&records(&child.wait_with_output().expect("ends")), 2, 0, &HOSTS_ALONE);
    }
}

#[test]
fn wrong_arguments_are_named_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str]| {
        let output = harmony(folder.path(), args).output().expect("starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, error) = run(&["demo", "--fault", "gremlins"]);
    assert!(code == Some(2) && error.contains("gremlins") && error.contains("lost-reply"), "{error}");
    std::fs::write(folder.path().join("mine"), "precious").expect("writes");
    let (code, error) = run(&["demo", "--out", "."]);
    assert!(code == Some(1) && error.contains("is not empty"), "{error}");
    let (code, error) = run(&["demo", "--hosts", "3"]);
    assert!(code == Some(1) && error.contains("needs 4 machines") && error.contains("--no-cluster"), "{error}");
    let (code, error) = run(&["demo", "--by-hand"]);
    assert!(code == Some(1) && error.contains("needs a terminal"), "{error}");
    let (code, error) = run(&["tui", "--replay", "nowhere.jsonl"]);
    assert!(code == Some(1) && error.contains("nowhere.jsonl") && error.contains("hint: name a file"), "{error}");
    std::fs::write(folder.path().join("mine"), "precious\nmore").expect("writes");
    let (code, error) = run(&["tui", "--replay", "mine"]);
    assert!(code == Some(1) && error.contains("mine, line 1: no event"), "{error}");
}
