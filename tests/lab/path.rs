//! Unknown machines become installed, bonded nodes: planned, refused, killed, run again, checked, repaired.
//!
//! One rack serves the whole story, since emulated machines are slow.

use std::process::Command;
use std::time::Duration;

use harmony_lab_tests::{Rack, fail, is, output, program, run_until, succeed, until};

const ADDRESSES: [&str; 3] = ["10.10.0.11", "10.10.0.12", "10.10.0.13"];
const MACHINES: [&str; 3] = ["node-a", "node-b", "node-c"];

#[test]
fn unknown_machines_become_installed_bonded_nodes() {
    let rack = Rack::up();
    a_plan_changes_nothing(&rack);
    a_plan_is_refused_after_a_port_was_changed(&rack);
    firmware_gets_no_address_over_lacp(&rack);
    killed_and_run_again(&rack);
    both_ends_agree(&rack);
    a_second_apply_writes_nothing(&rack);
    a_port_changed_by_hand_is_repaired(&rack);
    the_inventory_knows_them(&rack);
    let (name, folder, namespace) = (rack.name.clone(), rack.folder.clone(), rack.namespace.clone());
    drop(rack);
    assert!(!folder.exists(), "{} is left behind", folder.display());
    assert!(!succeed(Command::new("ip").args(["netns", "list"])).contains(&namespace), "{namespace} is left behind");
    assert!(!succeed(Command::new(program("harmony")).args(["lab", "status"])).contains(&name));
}

fn powers(rack: &Rack) -> Vec<String> {
    MACHINES.iter().map(|machine| rack.ipmi(machine, &["chassis", "power", "status"]).trim().to_owned()).collect()
}

fn a_plan_changes_nothing(rack: &Rack) {
    let before = rack.vsctl(&["--format=json", "list", "port"]);
    let plan = succeed(rack.virtual_rack().arg("plan"));
    for machine in MACHINES {
        assert!(plan.contains(&format!("switch on the machine behind BMC {machine}")), "{plan}");
    }
    assert!(plan.contains("chassis bootdev pxe") && plan.contains("chassis power on"), "{plan}");
    assert_eq!(plan, succeed(rack.virtual_rack().arg("plan")), "the same world, the same text");
    assert_eq!(rack.vsctl(&["--format=json", "list", "port"]), before);
    assert!(powers(rack).iter().all(|power| power == "Chassis Power is off"));
}

fn a_plan_is_refused_after_a_port_was_changed(rack: &Rack) {
    let file = rack.folder.join("signed.plan");
    let _ = succeed(rack.virtual_rack().args(["plan", "--out"]).arg(&file));
    let _ = rack.vsctl(&["set", "port", "node-b-p1", "tag=77"]);
    let refused = fail(rack.virtual_rack().args(["apply", "--yes"]).arg(&file));
    assert!(refused.contains("port rack/node-b-p1 was access VLAN 10, is access VLAN 77"), "{refused}");
    assert!(powers(rack).iter().all(|power| power == "Chassis Power is off"), "nothing was done");
    let _ = rack.vsctl(&["set", "port", "node-b-p1", "tag=10"]);
}

/// Without the invariant: the firmware's own PXE, behind a bond that waits for LACP.
fn firmware_gets_no_address_over_lacp(rack: &Rack) {
    let bond =
        ["add-bond", "br0", "by-hand", "node-c-p0", "node-c-p1", "tag=10", "lacp=active", "bond_mode=balance-tcp"];
    let mut change = vec!["--", "del-port", "node-c-p0", "--", "del-port", "node-c-p1", "--"];
    change.extend(bond);
    change.extend(["other_config:lacp-time=fast", "other_config:lacp-fallback-ab=false"]);
    let _ = rack.vsctl(&change);
    let mut serving = harmony_lab_tests::Killed(rack.harmony(&["serve"]).spawn().expect("serves"));
    let log = rack.folder.join("state/dnsmasq");
    until("dnsmasq to run", Duration::from_secs(20), || log.exists());
    let _ = rack.ipmi("node-c", &["chassis", "bootdev", "pxe", "options=efiboot"]);
    let _ = rack.ipmi("node-c", &["chassis", "power", "on"]);
    let sent = || -> u64 {
        let counter = "/sys/class/net/node-c-p0/statistics/rx_packets";
        succeed(rack.inside("cat").arg(counter)).trim().parse().expect("a number")
    };
    // The firmware repeats its DISCOVER four times before it gives up.
    until("the firmware to send", Duration::from_secs(90), || sent() >= 4);
    let logs = std::fs::read_dir(&log)
        .expect("a folder")
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains("log"));
    let heard: Vec<String> = logs.map(|entry| std::fs::read_to_string(entry.path()).expect("a log")).collect();
    assert!(!heard.is_empty(), "no log in {}", log.display());
    assert!(
        !heard.concat().contains("DHCPDISCOVER"),
        "DHCP heard the firmware through a bond that is not negotiated: {heard:?}"
    );
    let _ = rack.ipmi("node-c", &["chassis", "power", "off"]);
    let _ = serving.0.kill();
    until("the machine to be off", Duration::from_secs(20), || {
        rack.ipmi("node-c", &["chassis", "power", "status"]).contains("off")
    });
}

/// `SIGKILL` at seven points; each time it is run again. The ports that were left in LACP mode are put right first.
fn killed_and_run_again(rack: &Rack) {
    let points: [(&str, &str); 7] = [
        ("step_finished", "/access-10"),
        ("step_finished", "/power-on"),
        ("step_finished", "read/"),
        ("step_started", "/boot-1.1"),
        ("step_waiting", "/install"),
        ("step_started", "/flip"),
        ("step_finished", "/flip"),
    ];
    let mut kills = 0;
    let mut all = Vec::new();
    for (kind, step) in points {
        let (events, ended) =
            run_until(rack.virtual_rack().args(["apply", "--yes", "--json"]), |event| is(event, kind, step));
        all.extend(events);
        assert!(!ended, "the run ended before it was at {kind} {step}");
        kills += 1;
    }
    let (events, ended) = run_until(rack.virtual_rack().args(["apply", "--yes", "--json"]), |_| false);
    assert!(ended);
    let last = events.last().expect("events").clone();
    assert_eq!((last["event"].as_str(), last["outcome"].as_str()), (Some("run_finished"), Some("converged")), "{last}");
    all.extend(events);
    println!("killed {kills} times");
    let lacp_first = all.iter().find(|event| is(event, "step_finished", "/access-10"));
    assert!(lacp_first.is_some(), "the ports were put in access mode first");
    for host in rack.json(&["hosts"]).as_array().expect("hosts") {
        let id = host["id"].as_str().expect("id");
        let shown = rack.json(&["host", "show", id]);
        assert_eq!(host["lifecycle"], "provisioned", "{shown}");
        let orders = shown["orders"].as_array().expect("orders");
        assert_eq!(orders.len(), 1, "one order: {shown}");
        // A kill also ends the boot server: an image that was being fetched just then is fetched again.
        assert_eq!(orders[0]["state"], "complete", "{shown}");
        let finished = all.iter().filter(|event| is(event, "step_finished", &format!("{id}/boot-1.1"))).count();
        assert!(finished <= 1, "restarted once, by one run or the next: {finished}");
        let seen = |kind: &str| {
            shown["evidence"].as_array().expect("evidence").iter().filter(|event| event["kind"]["kind"] == kind).count()
        };
        assert_eq!(seen("install_done"), 1, "installed once: {shown}");
    }
}

fn both_ends_agree(rack: &Rack) {
    for (number, address) in (1..).zip(ADDRESSES) {
        let bond = rack.ssh(address, "sudo cat /proc/net/bonding/bond0");
        assert!(bond.contains("IEEE 802.3ad"), "{bond}");
        assert_eq!(rack.ssh(address, "hostname").trim(), format!("node-{number}"));
        let partner =
            bond.lines().find_map(|line| line.trim().strip_prefix("Partner Mac Address: ")).expect("a partner");
        let lacp = rack.appctl(&["lacp/show", &format!("lag-node-{number}")]);
        assert!(lacp.contains(&format!("sys_id: {partner}")), "host hears {partner}, switch says\n{lacp}");
        assert!(lacp.contains("status: active negotiated"), "{lacp}");
        assert_eq!(lacp.matches("current attached").count(), 2, "{lacp}");
        assert_eq!(bond.matches("port state: 63").count(), 4, "both members, both ends: {bond}");
    }
}

fn a_second_apply_writes_nothing(rack: &Rack) {
    let before = rack.vsctl(&["--format=json", "list", "port"]);
    let (events, _) = run_until(rack.virtual_rack().args(["apply", "--yes", "--json"]), |_| false);
    let last = events.last().expect("events");
    assert_eq!(last["writes"], serde_json::json!({}), "{last}");
    assert!(!events.iter().any(|event| event["event"] == "step_started"), "{events:?}");
    assert_eq!(rack.vsctl(&["--format=json", "list", "port"]), before);
    let _ = succeed(rack.virtual_rack().arg("status"));
}

fn a_port_changed_by_hand_is_repaired(rack: &Rack) {
    let _ = rack.vsctl(&[
        "--",
        "del-port",
        "lag-node-2",
        "--",
        "add-port",
        "br0",
        "node-b-p0",
        "tag=10",
        "--",
        "add-port",
        "br0",
        "node-b-p1",
        "tag=10",
    ]);
    assert_eq!(output(rack.virtual_rack().arg("status")).status.code(), Some(3), "there is work");
    let (events, _) = run_until(rack.virtual_rack().args(["apply", "--yes", "--json"]), |_| false);
    let started: Vec<&str> = events
        .iter()
        .filter(|event| event["event"] == "step_started")
        .filter_map(|event| event["step"].as_str())
        .collect();
    assert_eq!(started.len(), 1, "{started:?}");
    assert!(started[0].ends_with("/flip"), "{started:?}");
    both_ends_agree(rack);
}

fn the_inventory_knows_them(rack: &Rack) {
    let hosts = rack.json(&["hosts"]);
    let hosts = hosts.as_array().expect("hosts");
    assert_eq!(hosts.len(), 3);
    for host in hosts {
        for nic in host["nics"].as_array().expect("NICs") {
            let witnesses = nic["port"].as_object().expect("witnesses");
            assert!(witnesses.contains_key("agent_lldp") && witnesses.contains_key("mac_table"), "{nic}");
        }
        assert!(host["bmc"].is_string(), "{host}");
    }
    // By MAC, by a part of a serial, by role.
    let mac = hosts[0]["nics"][0]["mac"].as_str().expect("a MAC");
    for name in [mac, "node-1", hosts[0]["identity"]["serial"].as_str().expect("a serial")] {
        let _ = succeed(&mut rack.harmony(&["host", "show", name]));
    }
    let status = succeed(&mut rack.harmony(&["switch", "status"]));
    assert_eq!(status.matches("LACP in lag-node-").count(), 6, "{status}");
    let assigned_twice = fail(&mut rack.harmony(&["host", "assign", "node-2", "node-1"]));
    assert!(assigned_twice.contains("node-1"), "{assigned_twice}");
}
