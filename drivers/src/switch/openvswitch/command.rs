//! The transactions that change a port, as arguments of `ovs-vsctl`.
//!
//! Owns their text. Each is one transaction and does not depend on the ports' present state, so that
//! a plan can print exactly what will be sent; the one exception is [`detach`], which goes before it
//! where a port leaves a LAG that keeps other members.
//! A port is always removed and added anew: Open vSwitch cannot turn members of a bond into ports in
//! place. The row of its interface is new then, and with it LLDP is off; it is turned on again in the
//! same transaction. Source: ovs-vsctl(8), ovs-vswitchd.conf.db(5).

use harmony_core::net::VlanId;

/// Commands of one transaction, without the leading `ovs-vsctl --db=…`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Transaction(Vec<Vec<String>>);

impl Transaction {
    fn push(&mut self, command: &[&str]) {
        self.0.push(command.iter().map(|word| (*word).to_owned()).collect());
    }

    /// All arguments, each command after `--`.
    pub(super) fn args(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|command| std::iter::once("--").chain(command.iter().map(String::as_str)))
    }

    /// For people: one line that a shell understands (no argument needs quotes: names are parsed).
    pub(super) fn line(&self, db: &str) -> String {
        std::iter::once(format!("ovs-vsctl --db={db}"))
            .chain(self.args().map(str::to_owned))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// This, then `next`, in one transaction.
    pub(super) fn then(mut self, next: Self) -> Self {
        self.0.extend(next.0);
        self
    }
}

/// Takes interfaces out of LAGs that keep other members, which go on undisturbed.
pub(super) fn detach<'a>(leaving: impl IntoIterator<Item = (&'a str, &'a str)>) -> Transaction {
    let mut transaction = Transaction::default();
    for (index, (interface, lag)) in leaving.into_iter().enumerate() {
        let (id, row) = (format!("--id=@leaving{index}"), format!("@leaving{index}"));
        transaction.push(&[&id, "get", "Interface", interface]);
        transaction.push(&["remove", "Port", lag, "interfaces", &row]);
        // Until the transaction is checked, a row that nothing refers to still has its name.
        transaction.push(&["destroy", "Interface", interface]);
    }
    transaction
}

fn remove(transaction: &mut Transaction, bridge: &str, interfaces: &[&str]) {
    for interface in interfaces {
        // Removes the bond that the interface is in, where it is in one.
        transaction.push(&["--if-exists", "--with-iface", "del-port", bridge, interface]);
    }
}

fn enable_lldp(transaction: &mut Transaction, interfaces: &[&str]) {
    for interface in interfaces {
        transaction.push(&["set", "Interface", interface, "lldp:enable=true"]);
    }
}

/// Makes each interface an access port of `vlan`.
pub(super) fn access(bridge: &str, interfaces: &[&str], vlan: VlanId) -> Transaction {
    let mut transaction = Transaction::default();
    remove(&mut transaction, bridge, interfaces);
    for interface in interfaces {
        transaction.push(&["add-port", bridge, interface, &format!("tag={vlan}")]);
    }
    enable_lldp(&mut transaction, interfaces);
    transaction
}

/// Makes one LAG of the interfaces: LACP active, fast rate, hashed by layers 2 to 4. While no partner is heard, `alone` works
/// and no other, if it is named; else none does.
pub(super) fn lag(bridge: &str, name: &str, interfaces: &[&str], vlan: VlanId, alone: Option<&str>) -> Transaction {
    let mut transaction = Transaction::default();
    remove(&mut transaction, bridge, interfaces);
    let (tag, fallback) = (format!("tag={vlan}"), format!("other_config:lacp-fallback-ab={}", alone.is_some()));
    let primary = alone.map(|alone| format!("other_config:bond-primary={alone}"));
    let mut bond = vec!["add-bond", bridge, name];
    bond.extend(interfaces);
    bond.extend([&tag, "lacp=active", "bond_mode=balance-tcp", "other_config:lacp-time=fast", &fallback]);
    bond.extend(primary.as_deref());
    transaction.push(&bond);
    enable_lldp(&mut transaction, interfaces);
    transaction
}

/// Turns fallback of a LAG on or off.
pub(super) fn fallback(lag: &str, enabled: bool) -> Transaction {
    let mut transaction = Transaction::default();
    transaction.push(&["set", "Port", lag, &format!("other_config:lacp-fallback-ab={enabled}")]);
    transaction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transactions() {
        let vlan = VlanId::try_from(10).expect("valid");
        let lines = [
            access("br0", &["p0", "p1"], vlan),
            lag("br0", "lag1", &["p0", "p1"], vlan, None),
            lag("br0", "lag1", &["p0", "p1"], vlan, Some("p1")),
            detach([("p0", "lag1")]).then(access("br0", &["p0"], vlan)),
            fallback("lag1", true),
        ]
        .map(|transaction| transaction.line("unix:/run/db.sock").replace(" -- ", "\n  -- "));
        insta::assert_snapshot!(lines.join("\n"));
    }
}
