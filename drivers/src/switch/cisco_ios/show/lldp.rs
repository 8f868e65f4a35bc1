//! `show lldp neighbors detail`: who is heard where.
//!
//! A neighbour decides on the text of its name and description, line ends included, so it could make
//! up a neighbour on another port; what is read here is one witness of three, never believed alone.

use super::super::interface::Interface;

/// A neighbour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Neighbour {
    /// Where it is heard; some images do not say.
    pub(in super::super) local: Option<Interface>,
    pub(in super::super) chassis: String,
    pub(in super::super) port_id: String,
    pub(in super::super) system_name: Option<String>,
}

/// Longest text of a TLV, in bytes. Source: IEEE 802.1AB-2016 clause 8.4.4.
const MAX_TEXT: usize = 255;

/// All neighbours, in the order printed.
pub(in super::super) fn parse(lines: &[String]) -> Vec<Neighbour> {
    let mut neighbours: Vec<Neighbour> = Vec::new();
    // Free text, from its heading to the line that follows it.
    let mut in_description = false;
    for line in lines {
        if in_description {
            in_description = !line.starts_with("Time remaining:");
            continue;
        }
        in_description = line.starts_with("System Description:");
        let Some((key, value)) = line.split_once(':').map(|(key, value)| (key.trim_end(), value.trim())) else {
            continue;
        };
        let is_new = match key {
            "Local Intf" => true,
            "Chassis id" => neighbours.last().is_none_or(|last| !last.chassis.is_empty()),
            _ => false,
        };
        if is_new {
            if neighbours.len() >= super::MAX_ENTRIES {
                break;
            }
            neighbours.push(Neighbour::default());
        }
        let Some(last) = neighbours.last_mut() else { continue };
        let text = || value.chars().take(MAX_TEXT).collect::<String>();
        match key {
            "Local Intf" => last.local = Interface::parse(value),
            "Chassis id" => last.chassis = text(),
            "Port id" if last.port_id.is_empty() => last.port_id = text(),
            "System Name" => last.system_name = Some(text()).filter(|name| !name.is_empty()),
            _ => {}
        }
    }
    neighbours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_free_text() {
        let text = "------------------------------------------------\nLocal Intf: Gi1/0/1\nChassis id: 5254.0000.0101\n\
                    Port id: 5254.0000.0101\nPort Description: eth0\nSystem Name: localhost\n\nSystem Description:\n\
                    Linux\nLocal Intf: Gi1/0/9\nChassis id: 5254.0000.0109\n\nTime remaining: 100 seconds\n\
                    ------------------------------------------------\nLocal Intf: Gi1/0/2\nChassis id: 5254.0000.0102\n\
                    Port id: eth1\nSystem Name - not advertised\n\nTotal entries displayed: 2\n";
        let seen = parse(&super::super::lines(text));
        let ports: Vec<_> = seen.iter().filter_map(|it| it.local.as_ref().map(ToString::to_string)).collect();
        assert_eq!(ports, ["Gi1/0/1", "Gi1/0/2"]);
        assert_eq!((seen[0].system_name.as_deref(), seen[1].system_name.as_deref()), (Some("localhost"), None));
    }
}
