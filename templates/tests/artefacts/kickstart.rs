//! pykickstart's own validator on the Kickstart, since Anaconda falls back to an open root login
//! when it cannot parse one.

use std::process::Command;

use harmony_templates::{InventoryKickstart, inventory_ks, urls};

use super::{BASE, KEY, SHA256};

/// `HARMONY_KSVALIDATOR`, else the one on the `PATH`.
fn ksvalidator() -> Command {
    Command::new(std::env::var_os("HARMONY_KSVALIDATOR").unwrap_or_else(|| "ksvalidator".into()))
}

fn validate(text: &str) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("inventory.ks");
    std::fs::write(&path, text).expect("writes");
    let output = ksvalidator().args(["-v", "RHEL9"]).arg(&path).output().unwrap_or_else(|error| {
        panic!(
            "no ksvalidator ({error}): run `cargo xtask test`, or `pip install pykickstart` and set HARMONY_KSVALIDATOR"
        )
    });
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[test]
fn the_kickstart_passes_ksvalidator() {
    let url = format!("{BASE}{}", urls::AGENT);
    for ssh_keys in [&[KEY][..], &[KEY, KEY, KEY]] {
        let text =
            inventory_ks(&InventoryKickstart { agent_url: &url, agent_sha256: SHA256, ssh_keys }).expect("renders");
        let (valid, said) = validate(&text);
        assert!(valid, "{said}\n{text}");
        let (valid, _) = validate(&text.replace("\ntext\n", "\ntext --nonsense\n"));
        assert!(!valid, "the validator must be one that finds mistakes");
    }
}

#[test]
fn without_a_key_there_is_no_kickstart() {
    let url = format!("{BASE}{}", urls::AGENT);
    let error = inventory_ks(&InventoryKickstart { agent_url: &url, agent_sha256: SHA256, ssh_keys: &[] })
        .expect_err("refused");
    assert!(error.to_string().contains("let anybody log in as root"), "{error}");
}

#[test]
fn the_kickstart_has_no_command_that_writes_to_a_disk() {
    let url = format!("{BASE}{}", urls::AGENT);
    let text =
        inventory_ks(&InventoryKickstart { agent_url: &url, agent_sha256: SHA256, ssh_keys: &[KEY] }).expect("renders");
    let (commands, script) = text.split_once("%pre ").expect("has %pre");
    let commands: Vec<_> = commands.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(commands.iter().all(|line| *line == "text" || line.starts_with("sshpw ")), "{commands:?}");
    assert!(script.trim_end().ends_with("done\n%end"), "ends in a loop that never ends");
}
