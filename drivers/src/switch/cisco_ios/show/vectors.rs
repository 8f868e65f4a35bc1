//! Every recorded output that `HARMONY_VECTORS` holds, compared with the rows that others read in it.
//!
//! The recordings are read where they are: `HARMONY_VECTORS/switch/cisco_ios/COMMAND/NAME.{raw,yml}`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::interface::Interface;
use super::*;

/// A row: values by key; a list is its items joined by `,`.
type Expected = BTreeMap<String, String>;

/// Runs `check` on every recording of a command; how many rows there were in all.
fn each(command: &str, check: impl Fn(&[String], &[Expected]) -> usize) {
    let Some(root) = std::env::var_os("HARMONY_VECTORS") else {
        println!("HARMONY_VECTORS is not set: the recorded outputs of `{command}` are not read");
        return;
    };
    let folder = PathBuf::from(root).join("switch/cisco_ios").join(command);
    let mut rows = 0;
    for entry in std::fs::read_dir(&folder).expect("a folder of recordings") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|extension| extension != "raw") {
            continue;
        }
        let raw = std::fs::read_to_string(&path).expect("text");
        let expected = rows_of(&std::fs::read_to_string(path.with_extension("yml")).expect("rows"));
        assert!(!expected.is_empty(), "{}", path.display());
        println!("{}: {} rows", path.display(), expected.len());
        rows += check(&lines(&raw), &expected);
    }
    assert!(rows > 0, "{} holds no rows", folder.display());
}

/// The subset of YAML in which rows are written.
fn rows_of(text: &str) -> Vec<Expected> {
    let mut rows: Vec<Expected> = Vec::new();
    let mut key = String::new();
    for line in text.lines().skip_while(|line| !line.starts_with("parsed_sample")).skip(1) {
        let unquoted = |value: &str| value.trim().trim_matches('"').replace("\\\"", "\"");
        let (indent, body) = (line.len() - line.trim_start().len(), line.trim());
        let body = match body.strip_prefix("- ") {
            Some(item) if indent > 2 => {
                let list = rows.last_mut().expect("a row").entry(key.clone()).or_default();
                if !list.is_empty() {
                    list.push(',');
                }
                list.push_str(&unquoted(item));
                continue;
            }
            Some(first) => {
                rows.push(Expected::new());
                first
            }
            None => body,
        };
        let Some((name, value)) = body.split_once(':') else { continue };
        name.clone_into(&mut key);
        let value = if value.trim() == "[]" { String::new() } else { unquoted(value) };
        rows.last_mut().expect("a row").insert(key.clone(), value);
    }
    rows
}

fn name(interface: &Interface) -> String {
    interface.to_string()
}

#[test]
fn interfaces_status_of_all_recordings() {
    each("show_interfaces_status", |lines, expected| {
        let found = interfaces_status::parse(lines);
        assert_eq!(found.len(), expected.len());
        for (row, expected) in found.iter().zip(expected) {
            let found = [name(&row.port), row.status.clone(), row.vlan.clone(), row.speed.clone()];
            assert_eq!(found, ["port", "status", "vlan_id", "speed"].map(|key| expected[key].clone()));
        }
        found.len()
    });
}

#[test]
fn interfaces_switchport_of_all_recordings() {
    each("show_interfaces_switchport", |lines, expected| {
        let found = switchport::parse(lines);
        assert_eq!(found.len(), expected.len());
        for (row, expected) in found.iter().zip(expected) {
            let number = |vlan: Option<u16>| vlan.map(|vlan| vlan.to_string()).unwrap_or_default();
            assert_eq!(Some(&row.port), Interface::parse(&expected["interface"]).as_ref());
            assert_eq!(row.enabled, expected["switchport"] == "Enabled");
            assert!(row.mode.starts_with(&expected["mode"]), "{row:?}");
            let found = [row.admin_mode.clone(), number(row.access_vlan), number(row.native_vlan)];
            assert_eq!(found, ["admin_mode", "access_vlan", "native_vlan"].map(|key| expected[key].clone()));
        }
        found.len()
    });
}

#[test]
fn etherchannel_summary_of_all_recordings() {
    each("show_etherchannel_summary", |lines, expected| {
        let found = etherchannel::parse(lines);
        assert_eq!(found.len(), expected.len());
        for (group, expected) in found.iter().zip(expected) {
            let join = |each: &dyn Fn(&(Interface, String)) -> String| {
                group.members.iter().map(each).collect::<Vec<_>>().join(",")
            };
            assert_eq!(group.number.to_string(), expected["group"]);
            assert_eq!(group.protocol, expected["bundle_protocol"]);
            assert_eq!(join(&|member| name(&member.0)), expected["member_interface"]);
            assert_eq!(join(&|member| member.1.clone()), expected["member_interface_status"]);
        }
        found.len()
    });
}

#[test]
fn mac_address_tables_of_all_recordings() {
    each("show_mac-address-table", |lines, expected| {
        let found = mac_table::parse(lines);
        let is_dynamic = |kind: &str| kind.eq_ignore_ascii_case("dynamic");
        let found: Vec<_> = found.iter().filter(|row| is_dynamic(&row.kind)).collect();
        let expected: Vec<_> = expected.iter().filter(|row| is_dynamic(&row["type"])).collect();
        assert_eq!(found.len(), expected.len());
        for (row, expected) in found.iter().zip(expected) {
            assert_eq!(Some(row.mac), expected["destination_address"].parse().ok());
            assert_eq!((&row.vlan, &row.port), (&expected["vlan_id"], &expected["destination_port"]));
            assert!(Interface::parse(&row.port).is_some(), "{row:?}");
        }
        found.len()
    });
}

#[test]
fn lldp_neighbours_of_all_recordings() {
    each("show_lldp_neighbors_detail", |lines, expected| {
        let found = lldp::parse(lines);
        assert_eq!(found.len(), expected.len());
        for (row, expected) in found.iter().zip(expected) {
            assert_eq!(row.local, Interface::parse(&expected["local_interface"]));
            let found = [row.chassis.clone(), row.port_id.clone(), row.system_name.clone().unwrap_or_default()];
            assert_eq!(found, ["chassis_id", "neighbor_port_id", "neighbor_name"].map(|key| expected[key].clone()));
        }
        found.len()
    });
}

#[test]
fn versions_of_all_recordings() {
    each("show_version", |lines, expected| {
        let found = version::parse(lines).expect("IOS");
        assert_eq!(found.version, expected[0]["version"]);
        assert_eq!(found.is_xe, lines.iter().any(|line| line.contains("IOS-XE")));
        1
    });
}
