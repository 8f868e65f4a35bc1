//! Starting from a disk: the installed system with its network and its place in a cluster, or somebody else's system.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use harmony_core::boot::{OrderId, Stage};
use harmony_core::capability::PowerAction;

use super::link::Link;
use super::{Cause, Life, NicEnd, Running};
use crate::services::Member;

/// An installed system.
#[derive(Debug, Clone)]
pub(crate) struct System {
    pub(crate) order: OrderId,
    pub(crate) hostname: String,
    /// How it is attached to the network.
    pub(crate) link: Link,
    /// Stands for its SSH host key.
    pub(crate) host_key: u64,
    /// Who may log in, as which user: a public key in OpenSSH's format each.
    pub(crate) authorized_keys: Vec<(String, String)>,
    /// What its first boot is still to do.
    pub(crate) first_boot: Option<FirstBoot>,
    /// What it is in a cluster.
    pub(crate) member: Option<Member>,
    /// Whether it restarts once when it has got the cluster's own image.
    pub(crate) pivots: bool,
}

/// What the installer leaves for the first boot.
#[derive(Clone)]
pub(crate) struct FirstBoot {
    /// The answer file.
    pub(crate) config: Bytes,
    /// Kernel arguments.
    pub(crate) args: String,
}

impl fmt::Debug for FirstBoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The answer file is secret.
        f.debug_struct("FirstBoot").field("args", &self.args).finish_non_exhaustive()
    }
}

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
        match system {
            Some(system) => self.run_system(disk, system).await,
            None => self.run_unknown().await,
        }
    }

    async fn run_unknown(&mut self) {
        let all: Vec<usize> = self.world.with(|state| (0..state.machines[self.id].nics.len()).collect());
        self.enter(Stage::Plain, &all, NicEnd::Plain);
        self.world.with(|state| state.machines[self.id].running = Running::Silent { nic: 0, address: None });
        if !all.is_empty() {
            self.address(0, "unknown system").await;
        }
        std::future::pending().await
    }

    async fn run_system(&mut self, disk: usize, system: System) {
        let system = match system.first_boot.clone() {
            Some(first) => self.first_boot(disk, system, &first).await,
            None => system,
        };
        let (boot_id, since) = (self.random.uuid(), self.world.now());
        let nic = system.link.bond.is_none().then_some(system.link.nic);
        self.attach(&system.link, Running::System { disk, boot_id, since, nic, address: None });
        let address = self.link_address(&system.link, Some(&system.hostname), "installed system").await;
        self.note(&format!("{} is up", system.hostname));
        if system.pivots {
            self.pivot(disk).await;
        }
        if let Some(member) = &system.member {
            let now = self.world.now();
            self.world.with(|state| state.member_starts(self.id, disk, member, address, now));
        }
        std::future::pending().await
    }

    /// Gets the cluster's own image and restarts into it, once.
    async fn pivot(&mut self, disk: usize) {
        self.note("machine-config-daemon: pulls the cluster's image");
        self.wait(self.world.timing.pivot).await;
        self.note("machine-config-daemon: restarts into the cluster's image");
        let now = self.world.now();
        self.world.with(|state| {
            if let Some(system) = &mut state.machines[self.id].disks[disk].system {
                system.pivots = false;
            }
            state.switch_power(self.id, PowerAction::Restart, Cause::Itself, now);
        });
        // The change of power ends this life.
        std::future::pending().await
    }

    /// The bond asks for an address until there is one.
    pub(super) async fn bond_address(&mut self, hostname: Option<&str>) -> IpAddr {
        loop {
            let now = self.world.now();
            let given = self.world.with(|state| {
                let bond = state.machines[self.id].bond.clone()?;
                let passes = state.is_reachable(self.id, now);
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
