//! Which script a machine gets. Pure: this is what keeps a host from being installed twice.

use harmony_core::boot::{Order, OrderId, OrderState};
use harmony_core::capability::{BootEntry, BootTarget};
use harmony_core::net::MacAddress;
use jiff::Timestamp;

/// What a machine that asks is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// The inventory environment.
    Inventory,
    /// The order's install script.
    Install {
        /// The order.
        order: OrderId,
        /// Hash of the stored script.
        script: String,
    },
    /// Start from disk.
    Disk,
}

/// Decides by the host's boot entry, the order that the entry names as it is stored now, and the
/// MACs that the machine says it has.
///
/// An order that is used up, expired, failed, withdrawn or gone leads to the disk: there may be a
/// system on it, and starting it harms nothing. A machine that has none of the entry's MACs is not
/// what was ordered (its NICs were replaced), so it is inventoried again.
#[must_use]
pub fn decide(entry: Option<&BootEntry>, order: Option<&Order>, macs: &[MacAddress], now: Timestamp) -> Script {
    let Some(entry) = entry else { return Script::Inventory };
    match &entry.target {
        BootTarget::Inventory => Script::Inventory,
        BootTarget::Disk => Script::Disk,
        BootTarget::Install { order: id, script, .. } => match order {
            Some(order) if order.id == *id && order.state == OrderState::Issued && now <= order.expires_at => {
                if macs.iter().any(|mac| entry.macs.contains(mac)) {
                    Script::Install { order: id.clone(), script: script.clone() }
                } else {
                    Script::Inventory
                }
            }
            _ => Script::Disk,
        },
    }
}

#[cfg(test)]
mod tests {
    use harmony_core::boot::LinkPlan;
    use harmony_core::host::HostId;

    use super::*;

    fn mac(last: u8) -> MacAddress {
        MacAddress::new([0x52, 0x54, 0, 0, 0, last])
    }

    fn order(state: OrderState) -> Order {
        Order {
            id: OrderId { host: HostId::derive("x", 0), number: 2 },
            role: "node".parse().expect("a role"),
            hostname: "node".parse().expect("a name"),
            address: [10, 10, 0, 11].into(),
            disk_serial: "S".into(),
            disk_path: "/dev/x".into(),
            link: LinkPlan::bond("bond0", mac(1), vec![]),
            issued_at: Timestamp::UNIX_EPOCH,
            expires_at: at(60),
            attempt: 1,
            state,
            failure: None,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn entry(target: BootTarget) -> BootEntry {
        BootEntry { host: HostId::derive("x", 0), macs: vec![mac(1), mac(2)], target }
    }

    fn install() -> BootEntry {
        let order = order(OrderState::Issued).id;
        entry(BootTarget::Install { order, script: "s".into(), answer: "a".into(), base: None })
    }

    #[test]
    fn without_an_order_the_entry_decides() {
        assert_eq!(decide(None, None, &[mac(1)], at(0)), Script::Inventory);
        assert_eq!(decide(Some(&entry(BootTarget::Inventory)), None, &[mac(1)], at(0)), Script::Inventory);
        assert_eq!(decide(Some(&entry(BootTarget::Disk)), None, &[mac(9)], at(0)), Script::Disk);
    }

    #[test]
    fn only_an_issued_order_installs() {
        for state in OrderState::ALL {
            let script = decide(Some(&install()), Some(&order(state)), &[mac(2)], at(60));
            let expected = if state == OrderState::Issued {
                Script::Install { order: order(state).id, script: "s".into() }
            } else {
                Script::Disk
            };
            assert_eq!(script, expected, "{state}");
        }
    }

    #[test]
    fn an_order_that_is_expired_or_gone_or_another_does_not_install() {
        let issued = order(OrderState::Issued);
        assert_eq!(decide(Some(&install()), Some(&issued), &[mac(1)], at(61)), Script::Disk);
        assert_eq!(decide(Some(&install()), None, &[mac(1)], at(0)), Script::Disk);
        let mut other = issued;
        other.id.number = 3;
        assert_eq!(decide(Some(&install()), Some(&other), &[mac(1)], at(0)), Script::Disk);
    }

    #[test]
    fn other_nics_than_ordered_are_inventoried_again() {
        let issued = order(OrderState::Issued);
        assert_eq!(decide(Some(&install()), Some(&issued), &[mac(9)], at(0)), Script::Inventory);
        assert_eq!(decide(Some(&install()), Some(&issued), &[], at(0)), Script::Inventory);
    }
}
