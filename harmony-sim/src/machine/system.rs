//! Starting from a disk: the installed system with its bond, or somebody else's system.

use std::net::IpAddr;

use harmony_core::boot::Stage;

use super::{Life, NicEnd, Running};

impl Life {
    /// Starts the first disk that has a system, and runs it until the machine is restarted. Comes
    /// back if there is none.
    pub(super) async fn start_disk(&mut self) {
        let is_system = |disk: &super::Disk| disk.is_present && (disk.system.is_some() || disk.spec.bootable);
        let found = self.world.with(|state| {
            let machine = &state.machines[self.id];
            let at = machine.disks.iter().position(is_system)?;
            Some((at, machine.disks[at].system.clone()))
        });
        let Some((disk, system)) = found else { return };
        self.note(&format!("starts from disk {disk}"));
        self.wait(self.world.timing.disk_start).await;
        let (boot_id, since) = (self.random.uuid(), self.world.now());
        let all: Vec<usize> = self.world.with(|state| (0..state.machines[self.id].nics.len()).collect());
        let Some(system) = system else {
            self.enter(Stage::Plain, &all, NicEnd::Plain);
            self.world.with(|state| state.machines[self.id].running = Running::Foreign { nic: 0, address: None });
            if !all.is_empty() {
                self.address(0, "unknown system").await;
            }
            return std::future::pending().await;
        };
        if let Some(refusal) = system.refusal {
            // Before it has a network. Source: Ignition `docs/operator-notes.md`, "failed to fetch".
            self.note(&format!("Ignition: {refusal}; emergency shell"));
            return std::future::pending().await;
        }
        let bond = system.bond.filter(|bond| !bond.members.is_empty());
        match bond {
            Some(bond) => {
                self.world.with(|state| {
                    let machine = &mut state.machines[self.id];
                    machine.bond = Some(bond.clone());
                    machine.running = Running::System { disk, boot_id, since, nic: None, address: None };
                });
                self.enter(Stage::Bonded, &bond.members, NicEnd::Bonded);
                self.bond_address(Some(&system.hostname)).await;
            }
            None => {
                self.world.with(|state| {
                    state.machines[self.id].running =
                        Running::System { disk, boot_id, since, nic: Some(0), address: None };
                });
                self.enter(Stage::Plain, &all, NicEnd::Plain);
                self.address(0, "installed system").await;
            }
        }
        self.note(&format!("{} is up", system.hostname));
        std::future::pending().await
    }

    /// The bond asks for an address until there is one.
    pub(super) async fn bond_address(&mut self, hostname: Option<&str>) -> IpAddr {
        loop {
            let now = self.world.now();
            let given = self.world.with(|state| {
                let bond = state.machines[self.id].bond.clone()?;
                let passes = state.bond_passes(self.id, &bond, now);
                let address = passes.then(|| state.lease(self.id, bond.mac, hostname, now)).flatten()?;
                state.machines[self.id].running.set_address(address);
                Some(address)
            });
            if let Some(address) = given {
                return address;
            }
            self.wait(std::time::Duration::from_secs(2)).await;
        }
    }
}
