//! Racks as they are found, without making one. What needs root and packages is in `tests/`.

use super::*;

fn lab(parent: &Path, name: &str) -> Lab {
    let name: LabName = name.parse().expect("name");
    let folder = Folder::new(parent.join(format!("{FOLDER_PREFIX}{name}")));
    folder.create().expect("made");
    let machines = Machine::identify(&MachineSpec::usual(2), &name, Uuid::nil());
    let record = Record { name, made: Timestamp::UNIX_EPOCH, accelerator: "tcg".into(), cluster: None, machines };
    machine::write(&folder.record(), &toml::to_string(&record).expect("text"), 0o600).expect("written");
    Lab { folder, record }
}

#[test]
fn a_rack_is_found_again_as_it_was_written_down() {
    let parent = tempfile::tempdir().expect("folder");
    let made = lab(parent.path(), "one");
    for found in [Lab::open(made.folder()), Lab::named(made.name(), parent.path())] {
        assert_eq!(found.expect("found").record, made.record);
    }
    insta::assert_snapshot!(std::fs::read_to_string(made.folder.record()).expect("record"));
}

#[test]
fn only_racks_are_listed() {
    let parent = tempfile::tempdir().expect("folder");
    std::fs::create_dir(parent.path().join("harmony-lab-empty")).expect("made");
    std::fs::write(parent.path().join("harmony-lab-file"), "").expect("written");
    std::os::unix::fs::symlink("/", parent.path().join("harmony-lab-link")).expect("linked");
    lab(parent.path(), "two");
    lab(parent.path(), "three");
    let mut names: Vec<_> = Lab::list(parent.path()).expect("list").iter().map(|lab| lab.name().to_string()).collect();
    names.sort();
    assert_eq!(names, ["three", "two"]);
}

#[test]
fn a_damaged_record_is_an_error_that_names_it() {
    let parent = tempfile::tempdir().expect("folder");
    let lab = lab(parent.path(), "bad");
    std::fs::write(lab.folder.record(), "name = \"../../etc\"\n").expect("written");
    let error = Lab::open(lab.folder()).expect_err("damaged");
    assert_eq!(error.to_string(), format!("failed to understand {}", lab.folder.record().display()));
}

#[test]
fn a_rack_that_never_started_is_taken_down_and_stays_gone() {
    let parent = tempfile::tempdir().expect("folder");
    let made = lab(parent.path(), "never1");
    let status = made.status();
    assert_eq!((status.processes, status.machines.iter().any(|machine| machine.on)), (0, false));
    let folder = made.folder().to_owned();
    made.down().expect("down");
    assert!(!folder.exists());
    assert!(matches!(Lab::open(&folder), Err(LabError::NoLab(_))));
}

#[test]
fn a_folder_whose_sockets_would_not_fit_is_refused() {
    let parent = tempfile::tempdir().expect("folder");
    let folder = Folder::new(parent.path().join("x".repeat(80)));
    assert!(folder.create().is_err());
    assert!(!folder.path().exists());
}

#[test]
fn scripts_are_scripts() {
    for file in [
        "kernel.sh",
        "live/build.sh",
        "live/harmony-install",
        "live/init",
        "live/reboot",
        "live/udhcpc-script",
        "machine/power",
        "node/build.sh",
        "node/init",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(file);
        process::run(format!("parse {file}"), Command::new("sh").arg("-n").arg(path)).expect("parsed");
    }
}
