//! `/sys/class/net` and `/sys/bus/pci/devices`.

use std::io;

use harmony_core::report::v1::{Nic, PciDevice};

use super::Tree;

/// Where the devices of the one PCI host bridge are.
pub(super) const PCI: &str = "sys/devices/pci0000:00";

/// Interface index of the NIC at this place in the report; 1 is `lo`.
pub(super) fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX - 2) + 2
}

pub(super) fn lay_out(tree: &Tree, nics: &[Nic]) -> io::Result<()> {
    tree.folder("sys/class/net")?;
    for (at, nic) in nics.iter().enumerate() {
        let function = match &nic.pci_address {
            Some(address) => format!("{PCI}/{address}"),
            None => format!("sys/devices/platform/nic{at}"),
        };
        // A virtio NIC is a child of its PCI function, any other is the function.
        let device = match nic.driver.as_deref() {
            Some("virtio_net") => format!("{function}/virtio{at}"),
            _ => function,
        };
        let (interface, name) = (format!("{device}/net/{}", nic.name), &nic.name);
        let file = |attribute: &str| format!("{interface}/{attribute}");
        tree.link(&format!("sys/class/net/{name}"), &format!("../../../{interface}"))?;
        tree.link(&file("device"), "../..")?;
        if let Some(driver) = &nic.driver {
            tree.link(&format!("{device}/driver"), &format!("/sys/bus/drivers/{driver}"))?;
        }
        tree.maybe(&file("address"), nic.permanent_mac.as_ref().or(nic.mac.as_ref()))?;
        // NET_ADDR_PERM. Source: Linux `include/uapi/linux/netdevice.h`.
        tree.text(&file("addr_assign_type"), "0")?;
        tree.text(&file("ifindex"), &index(at).to_string())?;
        tree.maybe(&file("carrier"), nic.carrier.map(u8::from))?;
        tree.text(&file("operstate"), if nic.carrier == Some(true) { "up" } else { "down" })?;
        // SPEED_UNKNOWN, DUPLEX_UNKNOWN: as drivers say without a link.
        tree.text(&file("speed"), &nic.speed_mbps.map_or("-1".to_owned(), |speed| speed.to_string()))?;
        tree.text(&file("duplex"), nic.duplex.as_deref().unwrap_or("unknown"))?;
    }
    Ok(())
}

pub(super) fn lay_out_pci(tree: &Tree, devices: &[PciDevice]) -> io::Result<()> {
    tree.folder("sys/bus/pci/devices")?;
    for device in devices {
        let upper = |id: &Option<String>| id.as_deref().unwrap_or_default().to_uppercase();
        let ids = |vendor, device| format!("{}:{}", upper(vendor), upper(device));
        let class = upper(&device.class);
        let mut lines = vec![
            format!("PCI_CLASS={}", class.trim_start_matches('0')),
            format!("PCI_ID={}", ids(&device.vendor_id, &device.device_id)),
            format!("PCI_SUBSYS_ID={}", ids(&device.subsystem_vendor_id, &device.subsystem_device_id)),
            format!("PCI_SLOT_NAME={}", device.address),
        ];
        lines.extend(device.driver.iter().map(|driver| format!("DRIVER={driver}")));
        let address = &device.address;
        tree.text(&format!("{PCI}/{address}/uevent"), &lines.join("\n"))?;
        tree.link(&format!("sys/bus/pci/devices/{address}"), &format!("../../../../{PCI}/{address}"))?;
    }
    Ok(())
}
