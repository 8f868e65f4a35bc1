//! The contract of [`PxeServer`]. Its third point, what is served once, is that of the boot server's own
//! tests, and a rule of every simulated run.

use harmony_core::capability::{BootEntry, BootTarget, PxeServer};
use harmony_core::host::HostId;

/// A boot server and a host.
pub(crate) trait Rig {
    /// The driver.
    fn pxe(&self) -> impl PxeServer;
    /// A known host; another one.
    async fn hosts(&self) -> [HostId; 2];
    /// Restarts a machine that has no entry from the network; whether an agent appears on it.
    async fn boots_inventory(&self) -> bool;
}

fn entry(host: &HostId, target: BootTarget) -> BootEntry {
    let macs = [[0x52, 0x54, 0, 0, 9, 1], [0x52, 0x54, 0, 0, 9, 2]];
    BootEntry { host: host.clone(), macs: macs.map(harmony_core::net::MacAddress::new).to_vec(), target }
}

pub(crate) async fn point_1_a_mac_without_entry_boots_the_inventory_environment(rig: &impl Rig) {
    assert_eq!(rig.pxe().boot_entries().await.expect("read"), []);
    assert!(rig.boots_inventory().await);
}

pub(crate) async fn point_2_an_entry_is_replaced_and_may_be_repeated(rig: &impl Rig) {
    let (pxe, [host, _]) = (rig.pxe(), rig.hosts().await);
    for target in [BootTarget::Inventory, BootTarget::Disk, BootTarget::Disk, BootTarget::Inventory] {
        let wanted = entry(&host, target);
        pxe.set_boot_entry(&wanted).await.expect("set");
        assert_eq!(pxe.boot_entries().await.expect("read"), [wanted]);
    }
}

pub(crate) async fn point_2_removing_may_be_repeated(rig: &impl Rig) {
    let (pxe, [host, other]) = (rig.pxe(), rig.hosts().await);
    pxe.set_boot_entry(&entry(&host, BootTarget::Disk)).await.expect("set");
    pxe.remove_boot_entry(&other).await.expect("not there");
    assert_eq!(pxe.boot_entries().await.expect("read").len(), 1);
    for _ in 0..2 {
        pxe.remove_boot_entry(&host).await.expect("removed");
        assert_eq!(pxe.boot_entries().await.expect("read"), []);
    }
}
