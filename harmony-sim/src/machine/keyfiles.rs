//! NetworkManager's connections, as files, and the link that they make.
//!
//! Source: nm-settings-keyfile(5).

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::link::{Link, OwnAddress};
use super::{Bond, Machine};

/// A connection: sections, each with its keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Keyfile(BTreeMap<String, BTreeMap<String, String>>);

impl Keyfile {
    /// Reads a file. What is no line of one is passed over.
    pub(super) fn read(text: &str) -> Self {
        let mut file = Self::default();
        let mut section = String::new();
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                name.clone_into(&mut section);
            } else if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
                file.0.entry(section.clone()).or_default().insert(key.trim().to_owned(), value.trim().to_owned());
            }
        }
        file
    }

    fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.0.get(section)?.get(key).map(String::as_str)
    }

    fn ethernet(&self, key: &str) -> Option<&str> {
        ["ethernet", "802-3-ethernet"].iter().find_map(|section| self.get(section, key))
    }

    fn kind(&self) -> Option<&str> {
        self.get("connection", "type")
    }

    fn interface(&self) -> Option<&str> {
        self.get("connection", "interface-name")
    }

    /// The connection that it is a port of.
    fn controller(&self) -> Option<&str> {
        self.get("connection", "controller").or_else(|| self.get("connection", "master"))
    }

    /// Whether another file names this one, by interface or by UUID.
    fn is_named(&self, by: &str) -> bool {
        self.interface() == Some(by) || self.get("connection", "uuid") == Some(by)
    }

    /// The NIC that it is for.
    fn nic(&self, machine: &Machine) -> Option<usize> {
        let mac = self.ethernet("mac-address").map(|mac| mac.parse().ok());
        machine.nics.iter().position(|nic| match mac {
            Some(mac) => mac == Some(nic.mac),
            None => self.interface() == Some(&nic.name),
        })
    }

    /// Whether it gives its interface an address.
    fn has_address(&self) -> bool {
        ["ipv4", "ipv6"].iter().any(|family| matches!(self.get(family, "method"), Some("auto" | "manual" | "dhcp")))
    }

    fn own(&self) -> Option<OwnAddress> {
        let family = ["ipv4", "ipv6"].into_iter().find(|family| self.get(family, "method") == Some("manual"))?;
        let address = ["address", "address0", "address1", "addresses"].iter().find_map(|key| self.get(family, key))?;
        let address = address.split([',', ';', '/']).next()?.trim().parse().ok()?;
        let servers = ["ipv4", "ipv6"].iter().filter_map(|family| self.get(family, "dns"));
        let dns: Vec<IpAddr> =
            servers.flat_map(|text| text.split([';', ','])).filter_map(|text| text.trim().parse().ok()).collect();
        Some(OwnAddress { address, dns, hostname: None })
    }
}

/// The link that connections make: a bond with LACP, or one NIC, and the VLAN on top. None if they make none that a
/// machine can use.
pub(super) fn link(files: &[&Keyfile], machine: &Machine) -> Option<Link> {
    let bond = bond(files, machine);
    let alone = files.iter().find(|file| {
        matches!(file.kind(), Some("ethernet" | "802-3-ethernet"))
            && file.controller().is_none()
            && file.nic(machine).is_some()
    });
    let (below, bond) = match (bond, alone) {
        (Some((file, bond)), _) => (file, Some(bond)),
        (None, Some(file)) => (*file, None),
        (None, None) => return None,
    };
    let is_on_top = |file: &&&Keyfile| {
        file.kind() == Some("vlan") && file.get("vlan", "parent").is_some_and(|parent| below.is_named(parent))
    };
    let vlan = files.iter().find(is_on_top);
    let top = vlan.copied().filter(|file| file.has_address()).unwrap_or(below);
    let tag = vlan.filter(|_| !std::ptr::eq(top, below)).and_then(|file| file.get("vlan", "id")?.parse().ok());
    let nic = bond.as_ref().map_or_else(|| below.nic(machine), |bond| bond.members.first().copied())?;
    Some(Link { bond, nic, others: true, vlan: tag, own: top.own() })
}

fn bond<'a>(files: &[&'a Keyfile], machine: &Machine) -> Option<(&'a Keyfile, Bond)> {
    let is_bond =
        |file: &&&Keyfile| file.kind() == Some("bond") && matches!(file.get("bond", "mode"), Some("802.3ad" | "4"));
    let file = files.iter().find(is_bond)?;
    let name = file.interface()?.to_owned();
    let is_port = |port: &&&Keyfile| port.controller().is_some_and(|of| file.is_named(of));
    let mut members: Vec<usize> = files.iter().filter(is_port).filter_map(|port| port.nic(machine)).collect();
    members.sort_unstable();
    let cloned = file.ethernet("cloned-mac-address").and_then(|mac| mac.parse().ok());
    let mac = cloned.or_else(|| Some(machine.nics[*members.first()?].mac))?;
    (!members.is_empty()).then_some((*file, Bond { name, mac, members }))
}

#[cfg(test)]
mod tests {
    use harmony_core::boot::{Addressing, LinkPlan};
    use harmony_core::net::MacAddress;

    use super::*;
    use crate::spec::WorldSpec;

    fn machine() -> Machine {
        Machine::new(WorldSpec::rack(1, 1).hosts.remove(0)).expect("valid")
    }

    fn made(texts: &[&str]) -> Option<Link> {
        let files: Vec<Keyfile> = texts.iter().map(|text| Keyfile::read(text)).collect();
        link(&files.iter().collect::<Vec<_>>(), &machine())
    }

    #[test]
    fn they_make_a_bond_by_mac_or_by_name() {
        let bond = "[connection]\nid=bond0\ntype=bond\ninterface-name=bond0\n[ethernet]\ncloned-mac-address=52:54:00:00:01:01\n[bond]\nmode=802.3ad\n";
        let by_mac = "[connection]\ntype=ethernet\ncontroller=bond0\nport-type=bond\n[ethernet]\nmac-address=52:54:00:00:01:01\n";
        let by_name = "[connection]\ntype=ethernet\ninterface-name=eth1\nmaster=bond0\nslave-type=bond\n";
        let link = made(&[bond, by_mac, by_name]).expect("a link").bond.expect("a bond");
        assert_eq!((link.name.as_str(), link.mac, link.members), ("bond0", machine().nics[0].mac, vec![0, 1]));
        assert_eq!(made(&[&bond.replace("802.3ad", "balance-rr"), by_mac, by_name]), None);
    }

    #[test]
    fn what_harmony_writes_makes_the_link_that_it_plans() {
        let mac = |last| MacAddress::new([0x52, 0x54, 0, 0, 1, last]);
        let members = vec![("eth0".to_owned(), mac(1)), ("eth1".to_owned(), mac(2))];
        let bonded = LinkPlan::bond("bond0", mac(2), members);
        let dns = vec![[10, 10, 0, 1].into()];
        let own = Addressing::Static { prefix_len: 24, gateway: Some([10, 10, 0, 254].into()), dns: dns.clone() };
        let address = [10, 10, 0, 11].into();
        for (plan, vlan) in [(bonded, Some(100)), (LinkPlan::alone("eth1", mac(2)), None)] {
            for addressing in [Addressing::Dhcp, own.clone()] {
                let plan =
                    LinkPlan { vlan: vlan.and_then(|vlan: u16| vlan.try_into().ok()), addressing, ..plan.clone() };
                let files = harmony_templates::link_keyfiles(&plan, address).expect("renders");
                let texts: Vec<&str> = files.iter().map(|file| file.contents.as_str()).collect();
                let link = made(&texts).unwrap_or_else(|| panic!("a link of {texts:#?}"));
                assert_eq!(link.bond.as_ref().map(|bond| bond.mac), plan.bond.map(|_| mac(2)), "{texts:#?}");
                assert_eq!((link.vlan, link.nic), (vlan, usize::from(vlan.is_none())), "{texts:#?}");
                let wanted = (plan.addressing != Addressing::Dhcp).then(|| OwnAddress {
                    address,
                    dns: dns.clone(),
                    hostname: None,
                });
                assert_eq!(link.own, wanted, "{texts:#?}");
            }
        }
    }
}
