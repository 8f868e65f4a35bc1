//! The simulated site as Harmony sees it: every capability, on one world. Each capability's behaviour
//! is beside its device: `switch`, `dhcp`, `bmc`, `ssh`, `discovery`, `services`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use harmony_boot::StorePxe;
use harmony_core::capability::{
    BootEntry, BootSource, BootTarget, DhcpServer, InstallSource, Lease, NetworkPlan, ProvisioningNetwork, PxeServer,
    Reservation, Topology,
};
use harmony_core::error::DeviceResult;
use harmony_core::host::HostId;
use harmony_core::net::{Hostname, MacAddress};
use harmony_core::store::SharedStore;

use crate::world::Shared;

/// A simulated site. Clones share the world.
#[derive(Clone)]
pub struct SimTopology {
    world: Arc<Shared>,
    pxe: StorePxe,
    /// Writes that were there before this Topology.
    writes_before: usize,
}

impl SimTopology {
    pub(crate) fn new(world: Arc<Shared>, store: SharedStore) -> Self {
        let writes_before = world.with(|state| state.writes.len());
        Self { world, pxe: StorePxe::new(store), writes_before }
    }

    pub(crate) fn world(&self) -> &Shared {
        &self.world
    }
}

#[async_trait]
impl Topology for SimTopology {
    fn name(&self) -> &str {
        &self.world.site
    }

    async fn prepare(&self) -> DeviceResult<()> {
        // The world's boot server and DHCP server run already.
        Ok(())
    }

    fn device_writes(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        self.world.with(|state| {
            for write in &state.writes[self.writes_before..] {
                *counts.entry(write.driver.to_owned()).or_default() += 1;
            }
        });
        counts
    }
}

impl ProvisioningNetwork for SimTopology {
    fn network(&self) -> &NetworkPlan {
        &self.world.network
    }

    fn boot_source(&self) -> DeviceResult<BootSource> {
        let InstallSource { server, args, ssh_key, .. } = self.world.install.clone();
        Ok(BootSource { server, args, ssh_key })
    }

    fn install_source(&self) -> DeviceResult<InstallSource> {
        Ok(self.world.install.clone())
    }
}

#[async_trait]
impl DhcpServer for SimTopology {
    async fn reservations(&self) -> DeviceResult<Vec<Reservation>> {
        self.world.reservations().await
    }

    async fn set_reservation(&self, reservation: &Reservation) -> DeviceResult<()> {
        self.world.set_reservation(reservation).await
    }

    async fn remove_reservation(&self, hostname: &Hostname) -> DeviceResult<()> {
        self.world.remove_reservation(hostname).await
    }

    async fn leases(&self) -> DeviceResult<Vec<Lease>> {
        self.world.leases().await
    }

    async fn recent_log(&self, mac: MacAddress, limit: usize) -> DeviceResult<Vec<String>> {
        self.world.recent_log(mac, limit).await
    }

    fn reservation_record(&self, reservation: &Reservation) -> (String, String) {
        self.world.reservation_record(reservation)
    }
}

#[async_trait]
impl PxeServer for SimTopology {
    async fn boot_entries(&self) -> DeviceResult<Vec<BootEntry>> {
        self.pxe.boot_entries().await
    }

    async fn set_boot_entry(&self, entry: &BootEntry) -> DeviceResult<()> {
        let target = match &entry.target {
            BootTarget::Inventory => "inventory".to_owned(),
            BootTarget::Install { order, .. } => format!("install by {order}"),
            BootTarget::Disk => "disk".to_owned(),
        };
        let effect = self.pxe.set_boot_entry(entry);
        self.world.write("pxe", entry.host.as_str(), format!("boot entry: {target}"), effect).await
    }

    async fn remove_boot_entry(&self, host: &HostId) -> DeviceResult<()> {
        self.world.write("pxe", host.as_str(), "no boot entry".to_owned(), self.pxe.remove_boot_entry(host)).await
    }
}
