//! An OKD cluster on real parts: six unknown machines become a bootstrap, three masters and two workers.
//!
//! Real are firmware, iPXE, switch, DHCP, DNS, load balancer, BMCs, disks, Ignition's files, bonds, TLS; in a release's
//! place is `harmony-sim`'s program, which the installed machines fetch and run.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Command;

use harmony_lab_tests::{Rack, is, run_until, seconds, succeed};
use serde_json::Value;

/// Phases of the run: each ends with the last step of its Score whose key contains this.
const PHASES: [(&str, &str, &str); 14] = [
    ("machines switched on", "OkdSetup01Inventory", "/power-on"),
    ("hosts known, with roles", "OkdSetup01Inventory", "/assign-"),
    ("installer's files made", "OkdSetup02Bootstrap", "/artefacts-"),
    ("bootstrap installed", "OkdSetup02Bootstrap", "/settled"),
    ("bootstrap serves masters", "OkdSetup02Bootstrap", "/serving"),
    ("masters installed", "OkdSetup03ControlPlane", "/install"),
    ("bootstrap complete", "OkdSetup03ControlPlane", "/bootstrap-complete-"),
    ("bootstrap has left", "OkdSetup03ControlPlane", "/bootstrap-leaves"),
    ("masters bundled", "OkdSetup03ControlPlane", "/flip"),
    ("workers installed", "OkdSetup04Workers", "/install"),
    ("nodes admitted", "OkdSetup04Workers", "/admit"),
    ("ingress on the workers", "OkdSetup04Workers", "/ingress"),
    ("workers bundled", "OkdSetup04Workers", "/flip"),
    ("bootstrap's disk wiped", "OkdSetup04Workers", "/wipe-"),
];

#[test]
#[ignore = "its eight minutes would take all tests together over thirty: cargo xtask lab-cluster"]
fn unknown_machines_become_a_cluster() {
    let rack = Rack::up_with(&["--machines", "6", "--cluster"]);
    let path = rack.folder.join("cluster.toml");
    // Masters' ports are flipped; workers' are bundled before the boot, as the switch can.
    let text = std::fs::read_to_string(&path).expect("a cluster");
    let (workers, with_lacp) =
        ("[defaults.worker.minimums]", "[defaults.worker]\nlacp = \"auto\"\n\n[defaults.worker.minimums]");
    assert!(text.contains(workers), "{text}");
    std::fs::write(&path, text.replace(workers, with_lacp)).expect("written");
    let cluster = path.to_str().expect("text");
    let apply = ["apply", cluster, "--yes", "--json"];
    let (events, ended) = run_until(&mut rack.harmony(&apply), |event| {
        if event["event"] == "step_finished" {
            eprintln!("{} {}", event["at"], event["step"]);
        }
        false
    });
    assert!(ended);
    let last = events.last().expect("events");
    assert_eq!((last["event"].as_str(), last["outcome"].as_str()), (Some("run_finished"), Some("converged")), "{last}");
    summary(&events);
    let hosts = hosts(&rack);
    the_bonds_are_up(&rack, &hosts);
    what_ignition_was_told_is_there(&rack, &hosts);
    names_and_balancer(&rack);
    the_bootstraps_host_is_free(&rack, &events);
    let (events, _) = run_until(&mut rack.harmony(&apply), |_| false);
    let last = events.last().expect("events");
    assert_eq!(last["writes"], serde_json::json!({}), "{last}");
    assert!(!events.iter().any(|event| event["event"] == "step_started"), "{events:?}");
    let name = rack.name.clone();
    drop(rack);
    assert!(!succeed(Command::new("ip").args(["netns", "list"])).contains(&name));
}

/// When each phase ended, and how long after the one before.
fn summary(events: &[Value]) {
    let start = seconds(&events.first().expect("events")["at"]);
    println!("{:<26} {:>9} {:>9}", "PHASE", "ENDED AT", "LATER BY");
    let ended = PHASES.map(|(phase, score, key)| {
        let of_phase = |event: &&Value| event["score"] == score && is(event, "step_finished", key);
        let last = events.iter().rfind(of_phase).unwrap_or_else(|| panic!("no step {score}: …{key}"));
        (seconds(&last["at"]) - start, phase)
    });
    let mut ended = ended.to_vec();
    ended.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut before = 0.0;
    for (at, phase) in ended {
        println!("{phase:<26} {at:>7.1} s {:>7.1} s", at - before);
        before = at;
    }
    let steps = events.iter().filter(|event| event["event"] == "step_finished").count();
    let last = events.last().expect("events");
    println!("{steps} steps in {:.1} s; changes sent to devices: {}", seconds(&last["at"]) - start, last["writes"]);
}

/// Roles, with the addresses of their hosts.
fn hosts(rack: &Rack) -> BTreeMap<String, String> {
    let hosts = rack.json(&["hosts"]);
    let with_role = |host: &Value| {
        let role = host["assignment"]["role"].as_str()?.to_owned();
        Some((role, host["address"].as_str()?.to_owned()))
    };
    let roles: BTreeMap<_, _> = hosts.as_array().expect("hosts").iter().filter_map(with_role).collect();
    assert_eq!(roles.keys().collect::<Vec<_>>(), ["master-0", "master-1", "master-2", "worker-0", "worker-1"]);
    roles
}

fn the_bonds_are_up(rack: &Rack, hosts: &BTreeMap<String, String>) {
    for (role, address) in hosts {
        let bond = rack.ssh(address, "sudo cat /proc/net/bonding/bond0");
        assert!(bond.contains("IEEE 802.3ad"), "{role}: {bond}");
        let partner =
            bond.lines().find_map(|line| line.trim().strip_prefix("Partner Mac Address: ")).expect("a partner");
        let lacp = rack.appctl(&["lacp/show", &format!("lag-{role}")]);
        assert!(lacp.contains(&format!("sys_id: {partner}")), "{role} hears {partner}, switch says\n{lacp}");
        assert!(lacp.contains("status: active negotiated"), "{lacp}");
        assert_eq!(lacp.matches("current attached").count(), 2, "{lacp}");
        let falls_back = rack.vsctl(&["get", "port", &format!("lag-{role}"), "other_config:lacp-fallback-ab"]);
        assert_eq!(falls_back.contains("true"), role.starts_with("worker"), "{role}: {falls_back}");
    }
}

/// Host name, keyfiles, files of the pool, and the unit in the kubelet's place.
fn what_ignition_was_told_is_there(rack: &Rack, hosts: &BTreeMap<String, String>) {
    for (role, address) in hosts {
        let told = rack.ssh(
            address,
            "hostname; systemctl is-active kubelet.service; sudo cat /etc/ignition-machine-config-encapsulated.json; echo; \
             sudo ls /etc/NetworkManager/system-connections /etc/harmony-sim; sudo mount -r LABEL=BOOT /mnt; ls /mnt",
        );
        let kind = role.split('-').next().expect("a kind");
        assert!(told.starts_with(&format!("{role}.ocp4.example.com\nactive\nrendered-{kind}\n")), "{told}");
        assert!(told.contains("bond0.nmconnection") && told.contains("node.json"), "{told}");
        assert!(told.contains("vmlinuz") && !told.contains("ignition\n"), "the answer file is not left behind: {told}");
    }
}

fn names_and_balancer(rack: &Rack) {
    let curl = |url: &str, more: &[&str]| succeed(rack.inside("curl").args(["-sfk"]).args(more).arg(url));
    assert_eq!(curl("https://10.10.0.253:6443/readyz", &[]), "ok");
    // Routers: on workers alone.
    curl("http://10.10.0.252/", &[]);
    let mut socket = UnixStream::connect(rack.folder.join("state/haproxy/admin.sock")).expect("HAProxy's socket");
    socket.write_all(b"show stat\n").expect("asked");
    let mut stat = String::new();
    socket.read_to_string(&mut stat).expect("answered");
    assert!(!stat.contains("bootstrap"), "the bootstrap has left: {stat}");
    let up = |service: &str| {
        let row = |line: &&str| line.contains(service) && line.contains(",UP,") && !line.contains("BACKEND");
        stat.lines().filter(row).count()
    };
    assert_eq!((up("6443"), up("22623")), (3, 3), "{stat}");
}

fn the_bootstraps_host_is_free(rack: &Rack, events: &[Value]) {
    let hosts = rack.json(&["hosts"]);
    let free: Vec<&Value> =
        hosts.as_array().expect("hosts").iter().filter(|host| host["assignment"].is_null()).collect();
    assert_eq!(free.len(), 1, "{hosts}");
    assert_eq!(free[0]["lifecycle"], "discovered", "{hosts}");
    assert!(free[0]["disks"].as_array().expect("disks").iter().all(|disk| disk["signatures"] == serde_json::json!([])));
    assert!(events.iter().any(|event| is(event, "step_finished", "/wipe-")));
}
