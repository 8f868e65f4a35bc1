//! Unknown machines become installed, bonded nodes: planned, refused, killed, run again, checked, repaired.
//!
//! One rack serves the whole story, since emulated machines are slow.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use harmony_lab_tests::{Killed, Rack, fail, is, output, program, run_until, seconds, succeed, until};
use serde_json::Value;

const ADDRESSES: [&str; 3] = ["10.10.0.11", "10.10.0.12", "10.10.0.13"];
const MACHINES: [&str; 3] = ["node-a", "node-b", "node-c"];

#[test]
fn unknown_machines_become_installed_bonded_nodes() {
    let rack = Rack::up();
    let cpus = std::fs::read_to_string("/proc/cpuinfo").expect("read");
    if !cpus.contains(" vmx ") && !cpus.contains(" svm ") {
        assert_eq!(rack.accelerator, "tcg", "it works without KVM");
    }
    bad_input_is_named(&rack);
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

/// A BMC's password that is wrong, ports that the switch does not have.
fn bad_input_is_named(rack: &Rack) {
    let password = rack.folder.join("machines/node-b/bmc.password");
    let right = std::fs::read_to_string(&password).expect("a password");
    std::fs::write(&password, "wrong\n").expect("written");
    let error = fail(rack.virtual_rack().args(["apply", "--yes"]));
    assert!(error.contains("BMC `node-b`") && error.contains("hint: wrong password for user"), "{error}");
    assert!(!error.contains(right.trim()), "a password is shown");
    std::fs::write(&password, right).expect("written");

    let error = fail(&mut rack.harmony(&["switch", "status", "rack/node-z-p0"]));
    assert!(
        error.contains("switch `rack` has no port `node-z-p0`") && error.contains("hint: its ports are"),
        "{error}"
    );
    let site = std::fs::read_to_string(rack.folder.join("site.toml")).expect("a site file");
    assert!(site.contains("\"node-c-p1\""), "{site}");
    let wrong = rack.folder.join("wrong.toml");
    std::fs::write(&wrong, site.replace("\"node-c-p1\"", "\"node-z-p1\"")).expect("written");
    let error = fail(rack.harmony(&["switch", "status", "--site"]).arg(&wrong));
    assert!(error.contains("switch `rack` has no port `node-z-p1`") && error.contains("hint: "), "{error}");
    assert!(powers(rack).iter().all(|power| power == "Chassis Power is off"), "nothing was done");
}

/// Asks every address that was leased, again and again, when an agent first answers there: what nobody
/// but this test knows. Prints the address and the seconds since 1970.
const WATCH: &str = r#"
while :; do
  for address in $(awk '$3 ~ /^[0-9.]+$/ { print $3 }' "$1" 2>/dev/null); do
    case " $seen " in *" $address "*) continue ;; esac
    if curl -sf -m 1 -o /dev/null "http://$address:8088/healthz"; then
      echo "$address $(date +%s.%N)"
      seen="$seen $address"
    fi
  done
  sleep 0.2
done"#;

/// Watches for agents until it is dropped.
fn watch_for_agents(rack: &Rack) -> (Killed, PathBuf) {
    let path = rack.folder.join("agents-seen");
    let mut watch = rack.inside("sh");
    watch.args(["-c", WATCH, "sh"]).arg(rack.folder.join("state/dnsmasq/leases"));
    (Killed(watch.stdout(File::create(&path).expect("made")).spawn().expect("starts")), path)
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
    let (watch, agents) = watch_for_agents(rack);
    let mut servers = Vec::new();
    let mut runs = Vec::new();
    for (kind, step) in points {
        let (events, ended) =
            run_until(rack.virtual_rack().args(["apply", "--yes", "--json"]), |event| is(event, kind, step));
        runs.push(events);
        assert!(!ended, "the run ended before it was at {kind} {step}");
        servers.push(succeed(rack.inside("curl").args(["-sf", "http://10.10.0.1:8080/healthz"])));
    }
    servers.dedup();
    assert_eq!(servers.len(), 1, "one boot server outlives all runs: {servers:?}");
    let kills = runs.len();
    let (events, ended) = run_until(rack.virtual_rack().args(["apply", "--yes", "--json"]), |_| false);
    assert!(ended);
    let last = events.last().expect("events").clone();
    assert_eq!((last["event"].as_str(), last["outcome"].as_str()), (Some("run_finished"), Some("converged")), "{last}");
    runs.push(events);
    drop(watch);
    assert!(!succeeds(rack.inside("curl").args(["-sf", "http://10.10.0.1:8080/healthz"])), "the last run ends it");
    println!("killed {kills} times");
    rows_are_there_at_once(rack, &std::fs::read_to_string(agents).expect("read"), &runs);
    let all: Vec<Value> = runs.concat();
    let lacp_first = all.iter().find(|event| is(event, "step_finished", "/access-10"));
    assert!(lacp_first.is_some(), "the ports were put in access mode first");
    for host in rack.json(&["hosts"]).as_array().expect("hosts") {
        let id = host["id"].as_str().expect("id");
        let shown = rack.json(&["host", "show", id]);
        assert_eq!(host["lifecycle"], "provisioned", "{shown}");
        let orders = shown["orders"].as_array().expect("orders");
        assert_eq!(orders.len(), 1, "one order: {shown}");
        assert_eq!(orders[0]["state"], "complete", "{shown}");
        assert_eq!(orders[0]["attempt"], 1, "no kill costs a host its installation: {shown}");
        let finished = all.iter().filter(|event| is(event, "step_finished", &format!("{id}/boot-1.1"))).count();
        assert!(finished <= 1, "restarted once, by one run or the next: {finished}");
        let seen = |kind: &str| {
            shown["evidence"].as_array().expect("evidence").iter().filter(|event| event["kind"]["kind"] == kind).count()
        };
        for once in ["answer", "install_started", "image_written", "install_done"] {
            assert_eq!(seen(once), 1, "{once}: {shown}");
        }
    }
}

fn succeeds(command: &mut Command) -> bool {
    output(command).status.success()
}

/// From the first HTTP answer of each agent to its row: at most three seconds in which a run was there to
/// make it. An agent answers from when it announces itself, or when it was `seen` to from outside.
fn rows_are_there_at_once(rack: &Rack, seen: &str, runs: &[Vec<Value>]) {
    let at = |event: &Value| seconds(&event["at"]);
    let gaps: Vec<(f64, f64)> = runs
        .windows(2)
        .map(|pair| {
            let planned = pair[1].iter().find(|event| event["event"] == "planned").expect("a plan");
            (at(pair[0].last().expect("events")), at(planned))
        })
        .collect();
    for host in rack.json(&["hosts"]).as_array().expect("hosts") {
        let shown = rack.json(&["host", "show", host["id"].as_str().expect("id")]);
        let announced =
            shown["evidence"].as_array().expect("evidence").iter().find(|e| e["kind"]["kind"] == "announced");
        let announced = announced.unwrap_or_else(|| panic!("no announcement: {shown}"));
        let address = announced["address"].as_str().expect("an address");
        let answer = seen.lines().find_map(|line| line.strip_prefix(address)?.trim().parse::<f64>().ok());
        let answer = answer.unwrap_or_else(|| panic!("{address} was not seen to answer in\n{seen}"));
        let (told, row) = (seconds(&announced["at"]), seconds(&host["discovered_at"]));
        let first = answer.min(told);
        let nobody: f64 = gaps.iter().map(|(from, to)| (to.min(row) - from.max(first)).max(0.0)).sum();
        println!(
            "{}: first answer to row {:.2} s, of it {nobody:.2} s without a run; seen from outside {:.2} s after the first",
            host["name"],
            row - first,
            answer - first
        );
        assert!(row - first - nobody <= 3.0, "{host}");
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
