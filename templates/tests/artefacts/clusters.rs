//! Everything that a cluster of one bootstrap, three masters and two workers is given, by each file of `clusters/`: a new case
//! is a new file. What is written is read by its own authority: Ignition's types, NMState's, the installer's own fields.

use std::fmt::Write;
use std::path::Path;

use harmony_core::boot::choice::Cabling;
use harmony_core::boot::{Order, OrderId};
use harmony_core::capability::InstallSource;
use harmony_core::cluster::choice::link_of;
use harmony_core::cluster::{ClusterDescription, NodeKind, Persist, RolePlan};
use harmony_core::host::{
    Disk, Firmware, FriendlyName, Host, HostId, Lifecycle, Nic, PortWitnesses, SystemIdentity, WitnessKind,
};
use harmony_core::net::MacAddress;
use harmony_templates::{
    NodeIgnition, NodeLink, ScosBoot, br_ex_state, disk_boot, ignition, install_config, link_keyfiles, link_state,
    machine_config, scos_boot,
};
use serde::Deserialize;

use super::{KEY, order, source};

/// A file of `clusters/`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// NICs of each host.
    nics: u8,
    firmware: Firmware,
    /// Further kernel arguments.
    #[serde(default)]
    args: Vec<String>,
    cluster: ClusterDescription,
}

fn host(number: u8, case: &Case) -> Host {
    let id = HostId::derive(&format!("cluster-{number}"), 0);
    let nic = |which: u8| {
        let mut port = PortWitnesses::default();
        port.hear(WitnessKind::AgentLldp, format!("tor-1/Gi1/0/{}", number * 4 + which).parse().expect("a port"));
        Nic {
            name: format!("eno{}", which + 1),
            mac: MacAddress::new([0x52, 0x54, 0, 0, number, which + 1]),
            speed_mbps: Some(10_000),
            carrier: Some(true),
            booted: which == 0,
            port,
            lldp: Vec::new(),
        }
    };
    let nics: Vec<Nic> = (0..case.nics).map(nic).collect();
    let disk = Disk {
        name: "sda".into(),
        by_id: Some(format!("/dev/disk/by-id/ata-INTEL_SSDSC2KB480G8_D{number}")),
        by_path: None,
        model: None,
        serial: Some(format!("D{number}")),
        wwn: None,
        size_bytes: 480_103_981_056,
        rotational: Some(false),
        signatures: Vec::new(),
    };
    Host {
        name: FriendlyName::derive(&id, 0),
        identity: SystemIdentity::new(None, Some(&format!("SN{number:03}")), nics.iter().map(|nic| nic.mac)),
        lifecycle: Lifecycle::Discovered,
        assignment: None,
        model: None,
        firmware: Some(case.firmware),
        cpus: Some(16),
        memory_bytes: Some(64 << 30),
        nics,
        disks: vec![disk],
        address: None,
        bmc: None,
        discovered_at: None,
        last_seen: None,
        revision: 1,
        id,
    }
}

fn order_of(role: &RolePlan, host: &Host) -> Order {
    let (link, _) = link_of(role, host, &Cabling::default()).expect("a link");
    Order {
        id: OrderId { host: host.id.clone(), number: 1 },
        role: role.role.clone(),
        hostname: role.hostname.clone(),
        address: role.address.expect("cases say addresses"),
        disk_serial: host.disks[0].serial.clone().expect("has one"),
        disk_path: host.disks[0].by_id.clone().expect("has one"),
        link,
        ..order()
    }
}

fn scos(case: &Case) -> InstallSource {
    let path = |what: &str| format!("/os/scos/9.0.20250510-0/scos-9.0.20250510-0-live-{what}");
    InstallSource {
        kernel: path("kernel.x86_64"),
        initrd: path("initramfs.x86_64.img"),
        rootfs: Some(path("rootfs.x86_64.img")),
        image: None,
        args: case.args.clone(),
        ..source()
    }
}

fn node(order: &Order) -> NodeLink<'_> {
    NodeLink { hostname: &order.hostname, link: &order.link, address: order.address }
}

/// What stock CoreOS takes, and nothing that it would stumble over. Source: coreos-installer `docs/getting-started.md`.
fn check_script(name: &str, script: &str, order: &Order) {
    let kernel = script.lines().find(|line| line.starts_with("kernel ")).expect("a kernel");
    let args: Vec<&str> = kernel.split(' ').collect();
    let one = |key: &str| {
        let values: Vec<_> = args.iter().filter_map(|arg| arg.strip_prefix(key)).collect();
        assert_eq!(values.len(), 1, "{name}: {key} in {kernel}");
        values[0]
    };
    assert!(one("coreos.live.rootfs_url=").starts_with("http://10.10.0.1:8080/os/"));
    assert_eq!(one("coreos.inst.install_dev="), order.disk_path);
    assert!(one("coreos.inst.ignition_url=").starts_with("http://10.10.0.1:8080/answer/"));
    assert_eq!(one("initrd="), "main");
    assert!(script.contains("\ninitrd --timeout 30000 --name main "));
    assert!(one("ip=").contains(&order.link.interface()));
    for other in ["BOOTIF", "rd.bond", "coreos.inst.image_url", "coreos.inst.insecure", "coreos.inst.skip_reboot"] {
        assert!(!kernel.contains(other), "{name}: {other} in {kernel}");
    }
    let bonds = args.iter().filter(|arg| arg.starts_with("bond=")).count();
    assert_eq!(bonds, usize::from(order.link.bond.is_some()), "{name}");
    assert!(kernel.len() < 2048, "{name}: {} bytes", kernel.len());
}

/// Its configuration is Ignition, its NMState documents are NMState.
fn check_manifest(text: &str) {
    let manifest: serde_json::Value = serde_saphyr::from_str(text).expect("YAML");
    let config = manifest["spec"]["config"].to_string();
    let (_, warnings) = ignition_config::Config::parse_str(&config).expect("is Ignition");
    assert!(warnings.is_empty(), "{warnings:?}");
    for file in manifest["spec"]["config"]["storage"]["files"].as_array().expect("files") {
        let source =
            file["contents"]["source"].as_str().and_then(|source| source.strip_prefix("data:,")).expect("a text");
        let text = percent_encoding::percent_decode_str(source).decode_utf8().expect("UTF-8");
        if file["path"].as_str().is_some_and(|path| path.starts_with("/etc/nmstate/openshift/")) {
            assert!(file["path"].as_str().is_some_and(|path| path.ends_with(".yml")), "`.yaml` is not looked for");
            let state = nmstate::NetworkState::new_from_yaml(&text).expect("is NMState");
            assert!(state.interfaces.get_iface("br-ex", nmstate::InterfaceType::OvsBridge).is_some());
        }
    }
}

fn documents(case: &Case) -> String {
    let description = &case.cluster;
    assert_eq!(description.check(), Ok(Vec::new()));
    let roles = description.role_plans().expect("valid");
    let hosts: Vec<Host> = (0..).zip(&roles).map(|(number, _)| host(number, case)).collect();
    let orders: Vec<Order> = roles.iter().zip(&hosts).map(|(role, host)| order_of(role, host)).collect();
    let mut text = String::new();
    let mut add =
        |name: &str, document: &str| write!(text, "==> {name}\n{}\n\n", document.trim_end()).expect("a string");
    add("install-config.yaml", &install_config(description, KEY).expect("renders"));
    for kind in [NodeKind::Master, NodeKind::Worker] {
        let of_kind = || roles.iter().zip(&orders).filter(|(role, _)| role.kind == kind);
        if of_kind().any(|(role, _)| role.bond.as_ref().is_some_and(|bond| bond.persist == Persist::MachineConfig)) {
            let nodes: Vec<_> = of_kind().map(|(_, order)| node(order)).collect();
            let manifest = machine_config(kind, &nodes).expect("renders");
            check_manifest(&manifest.text);
            add(&manifest.path, &manifest.text);
        }
    }
    for (role, order) in roles.iter().zip(&orders) {
        let name = role.role.as_str();
        let script = scos_boot(&ScosBoot { order, source: &scos(case) }).expect("renders");
        check_script(name, &script, order);
        let in_machine_config = role.bond.as_ref().is_some_and(|bond| bond.persist == Persist::MachineConfig);
        let keyfiles =
            if in_machine_config { Vec::new() } else { link_keyfiles(&order.link, order.address).expect("renders") };
        let part = NodeIgnition { hostname: &order.hostname, ssh_keys: &[KEY], keyfiles: &keyfiles };
        let answer = ignition(&part).expect("renders");
        let (_, warnings) = ignition_config::Config::parse_str(&answer).expect("is Ignition");
        assert!(warnings.is_empty(), "{warnings:?}");
        for state in [link_state(&order.link, order.address), br_ex_state(&order.link, order.address)] {
            nmstate::NetworkState::new_from_json(&state.expect("renders").to_string()).expect("is NMState");
        }
        if !["bootstrap", "master-0", "worker-0"].contains(&name) {
            let kernel = script.lines().find(|line| line.starts_with("kernel ")).expect("a kernel");
            add(&format!("{name}.ipxe (its kernel)"), kernel);
            continue;
        }
        add(&format!("{name}.ipxe"), &script);
        add(&format!("{name}.ign"), &answer);
        for keyfile in &keyfiles {
            add(&format!("{name}: {}", keyfile.name), &keyfile.contents);
        }
        if name == "master-0" {
            let state = br_ex_state(&order.link, order.address).expect("renders");
            let state = serde_json::to_string_pretty(&state).expect("JSON");
            add(&format!("{name}: NMState with br-ex"), &state);
        }
    }
    add("installed.ipxe", &disk_boot().expect("renders"));
    text
}

#[test]
fn every_case_is_as_it_was() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/artefacts/clusters");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("cases").map(|entry| entry.expect("a case").path()).collect();
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a case");
        let case: Case = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        insta::assert_snapshot!(format!("cluster-{name}"), documents(&case));
    }
}

#[test]
fn firmware_changes_nothing_that_is_served() {
    let text = include_str!("clusters/two-nics-bonded.toml");
    let uefi: Case = toml::from_str(text).expect("a case");
    let bios = Case { firmware: Firmware::Bios, ..toml::from_str(text).expect("a case") };
    assert_eq!(
        documents(&uefi),
        documents(&bios),
        "one script serves both: `initrd=main` is for UEFI, and BIOS takes it"
    );
}

#[test]
fn nics_of_different_names_cannot_share_a_machine_config() {
    let case: Case = toml::from_str(include_str!("clusters/four-nics-two-of-them-bonded.toml")).expect("a case");
    let roles = case.cluster.role_plans().expect("valid");
    let mut orders: Vec<Order> =
        roles[1..4].iter().zip(0..).map(|(role, number)| order_of(role, &host(number, &case))).collect();
    orders[2].link.members[0].0 = "ens3".into();
    let nodes: Vec<_> = orders.iter().map(node).collect();
    let error = machine_config(NodeKind::Master, &nodes).expect_err("different names").to_string();
    assert!(
        error.contains("bond.persist") && error.contains("master-2") && error.contains("persist = \"ignition\""),
        "{error}"
    );
    assert!(machine_config(NodeKind::Master, &[]).is_err());
}
