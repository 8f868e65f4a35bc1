//! What hints and error texts tell people to type is there to be typed.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use harmony_core::boot::{BootToken, LinkPlan, Order, OrderId, OrderState};
use harmony_core::host::LifecycleEvent;
use harmony_core::net::MacAddress;
use harmony_core::secret::Secret;
use harmony_core::store::Store as _;
use harmony_inventory::Inventory;
use jiff::Timestamp;

use crate::site::{Site, assert_names, report};

/// The sources of a folder, without comments and tests of their own.
fn texts(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            texts(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&entry).expect("a source file");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            found.extend(code.lines().filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned));
        }
    }
}

/// The words after each `harmony `, up to the first that is no name of a command.
fn commands(line: &str) -> Vec<Vec<String>> {
    let is_name = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    let start = |rest: &str| -> Vec<String> {
        let words = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        words.take(2).take_while(is_name).map(str::to_owned).collect()
    };
    line.split("harmony ").skip(1).map(start).filter(|words| !words.is_empty()).collect()
}

#[test]
fn each_command_that_a_text_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut lines = Vec::new();
    for member in ["drivers", "harmony", "harmony-inventory", "harmony-tui", "scores", "topologies"] {
        texts(&root.join(member).join("src"), &mut lines);
    }
    // A command is quoted, begins a text, or follows a colon, a semicolon or a bracket.
    let is_named = |line: &&String| {
        ["`harmony ", "\"harmony ", ": harmony ", "; then harmony ", "(harmony "].iter().any(|mark| line.contains(mark))
    };
    let named: BTreeSet<Vec<String>> = lines.iter().filter(is_named).flat_map(|line| commands(line)).collect();
    assert!(named.len() >= 10, "the commands are not found in the sources any more: {named:?}");
    for words in named {
        let output = Command::new(env!("CARGO_BIN_EXE_harmony")).args(&words).arg("--help").output().expect("starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`harmony {}` is named in a text: {told}", words.join(" "));
    }
}

async fn inventory(site: &Site) -> Inventory {
    Inventory::open(&site.path("state/harmony.db").to_string_lossy()).await.expect("opens")
}

/// An order as a run leaves it whose third attempt has failed.
async fn give_up(site: &Site) {
    let store = inventory(site).await;
    let host = store.hosts().await.expect("read").remove(0);
    let mac = MacAddress::new([0x52, 0x54, 0, 0, 0, 1]);
    let order = Order {
        id: OrderId { host: host.id.clone(), number: 1 },
        role: "node-1".parse().expect("a role"),
        hostname: "node-1".parse().expect("a name"),
        address: IpAddr::V4(site.address(8)),
        disk_serial: "D1".into(),
        disk_path: "/dev/vda".into(),
        link: LinkPlan::bond("bond0", mac, vec![("eth0".into(), mac)]),
        issued_at: Timestamp::now(),
        expires_at: Timestamp::MAX,
        attempt: 3,
        state: OrderState::Issued,
        failure: None,
    };
    let why = Some("3 attempts to install it came to nothing");
    store.create_order(&order, &BootToken(Secret::new("token"))).await.expect("given");
    store.lifecycle(&host.id, LifecycleEvent::Fail, "order 1", Timestamp::now()).await.expect("allowed");
    store.advance_order(&order.id, OrderState::Issued, OrderState::Failed, why).await.expect("allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_failed_is_shown_and_ordered_anew_as_the_hint_says() {
    let site = Site::new();
    let _ = site.reports(2, &report(1));
    site.done(&["inventory", "scan"]);
    site.done(&["host", "assign", "SN-1", "node-1"]);
    give_up(&site).await;
    // As `order_anew` of the Score writes it: by the host's id.
    let id = site.hosts()[0]["id"].as_str().expect("an id").to_owned();
    assert_names(&site.done(&["host", "show", &id]), &["failed", "(attempt 3)", "came to nothing"]);
    let other = site.refused(&["host", "assign", &id, "node-2"]);
    assert_names(&other, &["it is `node-1`", "hint: `harmony host unassign"]);
    let told = site.done(&["host", "assign", &id, "node-1"]);
    assert_names(&told, &["has the role node-1", "`apply` orders its installation anew"]);
    assert_eq!(site.hosts()[0]["lifecycle"], "acquired");
    assert_names(&site.done(&["host", "show", &id]), &["role node-1 again"]);
    // Nor is there a dead end for whoever gives up the host instead.
    let store = inventory(&site).await;
    let host = store.hosts().await.expect("read").remove(0);
    store.lifecycle(&host.id, LifecycleEvent::Fail, "order 2", Timestamp::now()).await.expect("allowed");
    assert_names(&site.done(&["host", "unassign", &id]), &["has no role any more; it is released"]);
}
