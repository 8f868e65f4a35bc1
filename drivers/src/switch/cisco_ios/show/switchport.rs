//! `show interfaces switchport`: how each port is configured, VLAN and all.

use super::super::interface::Interface;

/// One port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Switchport {
    pub(in super::super) port: Interface,
    /// Whether it switches at all.
    pub(in super::super) enabled: bool,
    /// `static access`, `trunk`, `dynamic auto`, …
    pub(in super::super) admin_mode: String,
    /// What became of that: `static access`, `down (suspended member of bundle Po1)`, …
    pub(in super::super) mode: String,
    pub(in super::super) access_vlan: Option<u16>,
    pub(in super::super) native_vlan: Option<u16>,
}

/// All ports, in the order printed.
pub(in super::super) fn parse(lines: &[String]) -> Vec<Switchport> {
    let mut ports: Vec<Switchport> = Vec::new();
    for line in lines {
        let Some((key, value)) = line.split_once(':').map(|(key, value)| (key.trim(), value.trim())) else { continue };
        if key == "Name" {
            if ports.len() >= super::MAX_ENTRIES {
                break;
            }
            let Some(port) = Interface::parse(value) else { continue };
            let (admin_mode, mode) = (String::new(), String::new());
            ports.push(Switchport { port, enabled: false, admin_mode, mode, access_vlan: None, native_vlan: None });
            continue;
        }
        let Some(port) = ports.last_mut() else { continue };
        // "10 (servers)"
        let vlan = || value.split_whitespace().next()?.parse().ok();
        match key {
            "Switchport" => port.enabled = value == "Enabled",
            "Administrative Mode" => value.clone_into(&mut port.admin_mode),
            "Operational Mode" => value.clone_into(&mut port.mode),
            "Access Mode VLAN" => port.access_vlan = vlan(),
            "Trunking Native Mode VLAN" => port.native_vlan = vlan(),
            _ => {}
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_routes_has_no_mode() {
        let ports = parse(&super::super::lines(
            "Name: Gi1/0/1\nSwitchport: Disabled\n\nName: Gi1/0/2\nSwitchport: Enabled\n\
             Administrative Mode: static access\nOperational Mode: static access (member of bundle Po3)\n\
             Access Mode VLAN: 10 (servers: one)\nTrunking Native Mode VLAN: 1 (default)\n",
        ));
        assert_eq!((ports[0].enabled, ports[0].admin_mode.as_str()), (false, ""));
        assert_eq!((ports[1].access_vlan, ports[1].native_vlan), (Some(10), Some(1)));
        assert_eq!(ports[1].mode, "static access (member of bundle Po3)");
    }
}
