//! The report of this machine beside what `lscpu`, `lsblk`, `ip` and `dmidecode` say of it, in every field
//! that they share; and `dmidecode` beside us on recorded tables, since few build machines have their own.
//!
//! A field is passed over only where the other tool does not report it.

use std::collections::BTreeMap;
use std::process::Command;

use crate::tree::{Tree, check, fixture};
use harmony_core::report::v1::{Report, Signature};
use harmony_core::report::{self, v1};
use harmony_inventory_agent::collect;
use harmony_inventory_agent::lldp::Heard;
use serde_json::Value;

/// What a tool prints. A tool that is missing is a failure, not a pass.
fn say(package: &str, command: &[&str]) -> String {
    let output = Command::new(command[0])
        .args(&command[1..])
        .env("LC_ALL", "C")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap_or_else(|error| panic!("cannot run {} (Debian package {package}): {error}", command[0]));
    String::from_utf8(output.stdout).expect("text")
}

fn json(package: &str, command: &[&str]) -> Value {
    let text = say(package, command);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{command:?} prints no JSON: {error}: {text}"))
}

fn this_machine() -> Report {
    let program = env!("CARGO_BIN_EXE_harmony-inventory-agent");
    let report = report::parse(say("", &[program, "--once"]).as_bytes()).expect("a report");
    check(&report);
    report
}

/// Both say the same, wherever the tool says anything.
#[track_caller]
fn agree<T: PartialEq + std::fmt::Debug>(field: &str, tool: Option<T>, ours: Option<T>) {
    if tool.is_some() {
        assert_eq!(ours, tool, "{field}: ours is on the left");
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

#[test]
fn processors_agree_with_lscpu() {
    fn flatten(entries: &Value, fields: &mut BTreeMap<String, String>) {
        for entry in entries.as_array().into_iter().flatten() {
            if let (Some(field), Some(data)) = (entry["field"].as_str(), entry["data"].as_str()) {
                fields.insert(field.trim_end_matches(':').to_owned(), data.to_owned());
            }
            flatten(&entry["children"], fields);
        }
    }
    let (cpu, mut fields) = (this_machine().cpu, BTreeMap::new());
    flatten(&json("util-linux", &["lscpu", "-J"])["lscpu"], &mut fields);
    let field = |name: &str| fields.get(name).cloned();
    let number = |name: &str| field(name).and_then(|text| text.parse::<u32>().ok());
    assert!(fields.contains_key("Model name"), "lscpu says less than it should: {fields:?}");
    agree("Architecture", field("Architecture"), cpu.architecture);
    agree("Vendor ID", field("Vendor ID"), cpu.vendor);
    agree("Model name", field("Model name"), cpu.model);
    agree("Socket(s)", number("Socket(s)"), cpu.sockets);
    let cores = number("Core(s) per socket").zip(number("Socket(s)")).map(|(cores, sockets)| cores * sockets);
    agree("Core(s) per socket", cores, cpu.cores);
    agree("Thread(s) per core", number("Thread(s) per core"), cpu.threads.zip(cores).map(|(all, cores)| all / cores));
    let flags = field("Flags").map(|flags| flags.split_whitespace().map(str::to_owned).collect());
    agree("Flags", flags, Some(cpu.flags));
}

#[test]
fn disks_agree_with_lsblk() {
    fn signatures(device: &Value, ours: &[Signature]) {
        let named = |name: &Option<String>| name.as_ref().is_none_or(|name| ours.iter().any(|one| one.name == *name));
        for column in ["fstype", "pttype"] {
            // lsblk repeats the disk's partition table at each partition.
            let name = text(&device[column]).filter(|_| column == "fstype" || device["type"] == "disk");
            assert!(named(&name), "{column} of {} is {name:?}, ours are {ours:?}", device["name"]);
        }
    }
    let (report, lsblk) = (this_machine(), json("util-linux", &["lsblk", "-J", "-b", "-O"]));
    // Hardware has more above it than the block layer; optical drives are `rom`, floppy ones are not ours.
    let is_floppy = |device: &Value| device["name"].as_str().is_some_and(|name| name.starts_with("fd"));
    let hardware = |device: &&Value| device["type"] == "disk" && device["subsystems"] != "block" && !is_floppy(device);
    let devices = lsblk["blockdevices"].as_array().expect("devices");
    let theirs: Vec<&Value> = devices.iter().filter(hardware).collect();
    assert_eq!(theirs.len(), report.disks.len(), "lsblk: {theirs:?}, ours: {:?}", report.disks);
    for device in theirs {
        let name = text(&device["name"]).expect("a name");
        let disk = report.disks.iter().find(|disk| disk.name == name).unwrap_or_else(|| panic!("no disk {name}"));
        agree("SIZE", device["size"].as_u64(), disk.size_bytes);
        agree("LOG-SEC", device["log-sec"].as_u64(), disk.logical_block_size_bytes.map(u64::from));
        agree("ROTA", device["rota"].as_bool(), disk.rotational);
        agree("MODEL", text(&device["model"]), disk.model.clone());
        agree("SERIAL", text(&device["serial"]), disk.serial.clone());
        agree("WWN", text(&device["wwn"]), disk.wwn.clone());
        agree("TRAN", text(&device["tran"]), disk.bus.clone());
        signatures(device, &disk.signatures);
        let children = device["children"].as_array().into_iter().flatten();
        for child in children.filter(|child| child["type"] == "part") {
            let partition = disk.partitions.iter().find(|partition| child["name"] == *partition.name);
            let partition = partition.unwrap_or_else(|| panic!("no partition {}", child["name"]));
            agree("SIZE", child["size"].as_u64(), partition.size_bytes);
            signatures(child, &partition.signatures);
        }
    }
}

#[test]
fn nics_agree_with_ip() {
    let (report, links) = (this_machine(), json("iproute2", &["ip", "-d", "-j", "address"]));
    let plain = json("iproute2", &["ip", "-j", "link"]);
    let links = links.as_array().expect("links");
    assert_eq!(plain.as_array().map(Vec::len), Some(links.len()));
    let theirs: Vec<&Value> = links.iter().filter(|link| link["parentbus"].is_string()).collect();
    assert_eq!(theirs.len(), report.nics.len(), "ip: {theirs:?}, ours: {:?}", report.nics);
    for link in theirs {
        let name = text(&link["ifname"]).expect("a name");
        let nic = report.nics.iter().find(|nic| nic.name == name).unwrap_or_else(|| panic!("no NIC {name}"));
        agree("address", text(&link["address"]), nic.mac.clone());
        // ip tells the permanent address only where it differs.
        agree("permaddr", text(&link["permaddr"]).or(text(&link["address"])), nic.permanent_mac.clone());
        agree("parentdev", text(&link["parentdev"]).filter(|_| link["parentbus"] == "pci"), nic.pci_address.clone());
        agree(
            "master",
            text(&link["master"]).filter(|_| !link["linkinfo"]["info_slave_kind"].is_null()),
            nic.bond.clone(),
        );
        let has = |flag: &str| link["flags"].as_array().expect("flags").iter().any(|one| one == flag);
        agree("LOWER_UP", has("UP").then(|| has("LOWER_UP")), nic.carrier);
        let addresses = link["addr_info"].as_array().expect("addresses").iter();
        let mut theirs: Vec<String> =
            addresses.map(|one| format!("{}/{}", one["local"].as_str().expect("text"), one["prefixlen"])).collect();
        let mut ours: Vec<String> =
            nic.addresses.iter().map(|one| format!("{}/{}", one.address, one.prefix_len)).collect();
        theirs.sort();
        ours.sort();
        assert_eq!(ours, theirs, "addresses of {name}");
    }
}

#[test]
fn firmware_agrees_with_dmidecode_here() {
    let text = say("dmidecode", &["dmidecode"]);
    assert!(text.starts_with("# dmidecode"), "{text}");
    agree_with_dmidecode(&text, &this_machine());
}

#[test]
fn firmware_agrees_with_dmidecode_on_recorded_tables() {
    let server = Tree::recorded("server");
    let read = |name: &str| std::fs::read(name).expect("a table");
    let tables = "sys/firmware/dmi/tables";
    let path = |file: &str| server.path().join(tables).join(file).display().to_string();
    let mut cases = vec![(read(&path("smbios_entry_point")), read(&path("DMI")))];
    for machine in ["precision-3620", "thinkpad-2012"] {
        let file = |part: &str| fixture(&format!("smbios/{machine}.{part}.bin")).display().to_string();
        cases.push((read(&file("entry")), read(&file("table"))));
    }
    for (entry, table) in cases {
        let tree = Tree::recorded("empty");
        tree.write(&format!("{tables}/smbios_entry_point"), &entry);
        tree.write(&format!("{tables}/DMI"), &table);
        tree.write("dump", &[dump_entry(entry), table].concat());
        let dump = tree.path().join("dump").display().to_string();
        let text = say("dmidecode", &["dmidecode", "--from-dump", &dump]);
        assert!(text.contains("SMBIOS") && text.contains("DMI type 17"), "{text}");
        let report = collect(&tree.root(), &Heard::default());
        check(&report);
        agree_with_dmidecode(&text, &report);
    }
}

/// The entry point as `dmidecode --dump-bin` writes it: padded to 32 bytes, after which the table follows.
fn dump_entry(mut entry: Vec<u8>) -> Vec<u8> {
    let checksum = |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
    if entry.starts_with(b"_SM3_") {
        entry[16..24].copy_from_slice(&32_u64.to_le_bytes());
        entry[5] = 0;
        entry[5] = checksum(&entry);
    } else {
        entry[24..28].copy_from_slice(&32_u32.to_le_bytes());
        entry[21] = 0;
        entry[21] = checksum(&entry[16..]);
        entry[4] = 0;
        entry[4] = checksum(&entry);
    }
    entry.resize(32, 0);
    entry
}

fn agree_with_dmidecode(printed: &str, report: &Report) {
    let structures = structures(printed);
    let of = |kind: &'static str| structures.iter().filter(move |(number, _)| number == kind).map(|(_, fields)| fields);
    if structures.is_empty() {
        assert!(report.why_absent("/system/vendor").is_some() && report.memory.dimms.is_empty(), "{printed}");
        return;
    }
    let same = |kind: &'static str, field: &str, ours: &Option<String>| {
        let theirs = of(kind).next().and_then(|fields| fields.get(field).cloned());
        assert_eq!(ours, &theirs, "type {kind} {field}: ours is on the left");
    };
    let v1::System { vendor, product, serial, uuid, bios, board, bmc } = &report.system;
    same("1", "Manufacturer", vendor);
    same("1", "Product Name", product);
    same("1", "Serial Number", serial);
    same("1", "UUID", uuid);
    same("0", "Vendor", &bios.vendor);
    same("0", "Version", &bios.version);
    same("0", "Release Date", &bios.date);
    same("2", "Manufacturer", &board.vendor);
    same("2", "Product Name", &board.product);
    same("2", "Serial Number", &board.serial);
    let interface = of("38").next().and_then(|fields| fields.get("Interface Type"));
    let interface = interface.and_then(|text| text.split(' ').next()).map(str::to_lowercase);
    assert_eq!(bmc.interface, interface);
    let address = of("42").find_map(|fields| fields.get("IPv4 Redfish Service Address"));
    assert_eq!(bmc.address.map(|address| address.to_string()).as_ref(), address);

    let is_empty = |fields: &&BTreeMap<String, String>| fields["Size"] == "No Module Installed";
    let (empty, full): (Vec<_>, Vec<_>) = of("17").partition(is_empty);
    let slots: Vec<&String> = empty.iter().filter_map(|fields| fields.get("Locator")).collect();
    assert_eq!(report.memory.empty_slots.iter().collect::<Vec<_>>(), slots);
    assert_eq!(report.memory.dimms.len(), full.len());
    for (dimm, fields) in report.memory.dimms.iter().zip(full) {
        let speed = |speed: Option<u32>| speed.map(|speed| format!("{speed} MT/s"));
        let unit = |size: u64| if size.is_multiple_of(1 << 30) { (30, "GB") } else { (20, "MB") };
        let size = dimm.size_bytes.map(|size| format!("{} {}", size >> unit(size).0, unit(size).1));
        for (field, ours) in [
            ("Locator", dimm.slot.clone()),
            ("Size", size),
            ("Type", dimm.kind.clone()),
            ("Speed", speed(dimm.speed_mts)),
            ("Configured Memory Speed", speed(dimm.configured_speed_mts)),
            ("Manufacturer", dimm.vendor.clone()),
            ("Part Number", dimm.part.clone()),
            ("Serial Number", dimm.serial.clone()),
        ] {
            assert_eq!(ours, fields.get(field).cloned(), "type 17 {field}: ours is on the left");
        }
    }
}

/// Type and fields of each structure. What `dmidecode` has words for saying nothing about is left out.
fn structures(printed: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut structures = Vec::new();
    for block in printed.split("\nHandle ").skip(1) {
        let kind = block.split("DMI type ").nth(1).and_then(|rest| rest.split(',').next()).expect("a type");
        let fields = block.lines().filter_map(|line| line.trim().split_once(": "));
        let says = |value: &str| !matches!(value, "" | "Not Specified" | "Unknown" | "Not Settable" | "Not Present");
        let fields = fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        structures.push((kind.to_owned(), fields.filter(|(_, value)| says(value)).collect()));
    }
    structures
}
