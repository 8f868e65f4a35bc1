//! `show running-config interface …`: how an interface is configured, line by line.

use harmony_core::net::{LagName, VlanId};

/// Description that ties a port-channel to a LAG's name.
pub(in super::super) const LAG_PREFIX: &str = "harmony:";

/// The lines of one interface, without their indentation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Section(Vec<String>);

impl Section {
    /// Reads the one interface in it.
    pub(in super::super) fn parse(lines: &[String]) -> Self {
        let body = lines.iter().skip_while(|line| !line.starts_with("interface ")).skip(1);
        let lines = body.take_while(|line| line.starts_with(' ')).map(|line| line.trim().to_owned());
        Self(lines.filter(|line| !line.is_empty()).take(super::MAX_ENTRIES).collect())
    }

    /// Its lines.
    pub(in super::super) fn lines(&self) -> &[String] {
        &self.0
    }

    fn has(&self, line: &str) -> bool {
        self.0.iter().any(|own| own == line)
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
    }

    fn is_up_and_in(&self, vlan: VlanId) -> bool {
        // VLAN 1 is the default and not printed.
        let own = self.value("switchport access vlan").unwrap_or("1");
        self.has("switchport mode access") && !self.has("shutdown") && own == vlan.to_string()
    }

    fn is_edge(&self) -> bool {
        self.has("spanning-tree portfast") || self.has("spanning-tree portfast edge")
    }

    /// Whether it is exactly what access mode asks for.
    pub(in super::super) fn is_access(&self, vlan: VlanId) -> bool {
        self.is_up_and_in(vlan) && self.is_edge() && self.value("channel-group").is_none()
    }

    /// Whether it is exactly the member of a port-channel that LACP mode asks for.
    pub(in super::super) fn is_member(&self, vlan: VlanId, number: u16) -> bool {
        self.is_up_and_in(vlan) && self.value("channel-group") == Some(&format!("{number} mode active"))
    }

    /// Whether it is exactly the port-channel that LACP mode asks for.
    pub(in super::super) fn is_port_channel(&self, vlan: VlanId, lag: &LagName) -> bool {
        self.is_up_and_in(vlan) && self.is_edge() && self.value("description") == Some(&format!("{LAG_PREFIX}{lag}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(body: &str) -> Section {
        let text = format!(
            "Building configuration...\n\nCurrent configuration : 9 bytes\n!\ninterface GigabitEthernet1/0/1\n{body}end\n\n"
        );
        Section::parse(&super::super::lines(&text))
    }

    #[test]
    fn exactly_as_asked_or_not() {
        let (ten, one) = (VlanId::try_from(10).expect("valid"), VlanId::try_from(1).expect("valid"));
        let access = " switchport access vlan 10\n switchport mode access\n spanning-tree portfast\n";
        assert!(section(access).is_access(ten) && !section(access).is_access(one));
        assert!(section(" switchport mode access\n spanning-tree portfast edge\n").is_access(one));
        assert!(!section(&format!("{access} shutdown\n")).is_access(ten));
        assert!(!section(&format!("{access} channel-group 1 mode active\n")).is_access(ten));
        assert!(!section(&access.replace("portfast", "portfast disable")).is_access(ten));
        let member = section(&format!("{access} channel-group 1 mode active\n"));
        assert!(member.is_member(ten, 1) && !member.is_member(ten, 11) && !member.is_member(one, 1));
        let lag: LagName = "lag-a".parse().expect("valid");
        assert!(section(&format!(" description harmony:lag-a\n{access}")).is_port_channel(ten, &lag));
        assert!(!section(&format!(" description harmony:lag-ab\n{access}")).is_port_channel(ten, &lag));
    }
}
