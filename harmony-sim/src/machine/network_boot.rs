//! Booting from the network: the firmware's PXE stack, iPXE, and the live environment that it starts.
//!
//! Source: UEFI specification section 24.3 and RFC 2131 section 4.1 for the firmware's patience;
//! iPXE `src/core/null_nap.c`, `src/net/udp/dhcp.c` for iPXE's.

use std::net::IpAddr;
use std::time::Duration;

use harmony_core::boot::{BootEventKind, Stage};

use super::life::Booted;
use super::{Life, NicEnd, Running};
use crate::boot_server::{Client, Script};
use crate::spec::BootRom;

/// Pauses after each DISCOVER of a firmware: 4, 8, 16 and 32 s.
const FIRMWARE_PAUSES: [u64; 4] = [4, 8, 16, 32];
/// Pauses after each DISCOVER of iPXE.
const IPXE_PAUSES: [u64; 5] = [1, 2, 4, 8, 10];
/// What the boot chain's script waits before it asks again.
const ASK_AGAIN: Duration = Duration::from_secs(3);
/// A running system's pause between two attempts to get an address or an answer.
const TRY_AGAIN: Duration = Duration::from_secs(5);

impl Life {
    /// Tries every NIC in order. None if no NIC led anywhere.
    pub(super) async fn network_boot(&mut self) -> Option<Booted> {
        let (rom, nics) = self.world.with(|state| {
            let machine = &state.machines[self.id];
            let cabled = (0..machine.nics.len()).filter(|nic| machine.nics[*nic].port.is_some());
            (machine.rom, cabled.collect::<Vec<_>>())
        });
        for nic in nics {
            if rom == BootRom::FirmwarePxe && !self.firmware_pxe(nic).await {
                self.leave();
                continue;
            }
            if let Some(booted) = self.ipxe(nic).await {
                return Some(booted);
            }
            self.leave();
        }
        None
    }

    /// The firmware gets an address and loads iPXE over TFTP. Whether it did.
    async fn firmware_pxe(&mut self, nic: usize) -> bool {
        self.enter(Stage::Firmware, &[nic], NicEnd::Plain);
        let Some(address) = self.dhcp(nic, "firmware PXE", &FIRMWARE_PAUSES).await else { return false };
        self.wait(self.world.timing.tftp).await;
        let client = self.client(nic, address);
        self.passes(nic) && self.world.serve(&client, BootEventKind::Tftp { path: "ipxe.efi".to_owned() }).await
    }

    /// iPXE gets an address, asks for its script until there is one, and does what it says.
    async fn ipxe(&mut self, nic: usize) -> Option<Booted> {
        self.enter(Stage::Ipxe, &[nic], NicEnd::LacpPassive);
        self.wait(self.world.timing.ipxe).await;
        let address = self.dhcp(nic, "iPXE", &IPXE_PAUSES).await?;
        let mut client = self.client(nic, address);
        loop {
            let script = if self.passes(nic) { self.world.serve_script(&client).await } else { None };
            match script {
                Some(Script::Disk) => {
                    self.leave();
                    return Some(Booted::FromDisk);
                }
                Some(Script::Inventory) => {
                    self.load_kernel(nic, &client).await;
                    self.inventory(nic).await;
                }
                Some(Script::Install(order, text)) => {
                    client.order = Some(order);
                    self.load_kernel(nic, &client).await;
                    self.install(nic, &text).await;
                    self.leave();
                    return Some(Booted::Restart);
                }
                None => self.wait(ASK_AGAIN).await,
            }
        }
    }

    async fn load_kernel(&mut self, nic: usize, client: &Client) {
        let path = "live-kernel.x86_64".to_owned();
        self.world.serve(client, BootEventKind::Asset { path: path.clone(), complete: false }).await;
        loop {
            self.wait(self.world.timing.kernel).await;
            if self.passes(nic) {
                break;
            }
        }
        self.world.serve(client, BootEventKind::Asset { path, complete: true }).await;
    }

    /// The live environment starts and gets an address, however long that takes.
    pub(super) async fn live(&mut self, nic: usize) -> Client {
        let nics = self.world.with(|state| (0..state.machines[self.id].nics.len()).collect::<Vec<_>>());
        let (boot_id, since) = (self.random.uuid(), self.world.now());
        self.enter(Stage::Plain, &nics, NicEnd::Plain);
        self.world.with(|state| {
            state.machines[self.id].running = Running::Live { nic, boot_id, since, address: None, agent: false };
        });
        self.wait(self.world.timing.system_start).await;
        let address = self.address(nic, "live environment").await;
        self.client(nic, address)
    }

    /// The inventory environment runs until the machine is restarted.
    async fn inventory(&mut self, nic: usize) {
        let client = self.live(nic).await;
        self.fetch(&client, nic, BootEventKind::Kickstart).await;
        self.fetch(&client, nic, BootEventKind::AgentBinary).await;
        self.wait(self.world.timing.agent_start).await;
        self.world.with(|state| {
            if let Running::Live { agent, .. } = &mut state.machines[self.id].running {
                *agent = true;
            }
        });
        self.note("agent answers");
        while !(self.passes(nic) && self.world.take_announcement(&client).await) {
            self.wait(TRY_AGAIN).await;
        }
        std::future::pending().await
    }

    /// Asks the boot server for something until it answers.
    async fn fetch(&mut self, client: &Client, nic: usize, kind: BootEventKind) {
        while !(self.passes(nic) && self.world.serve(client, kind.clone()).await) {
            self.wait(TRY_AGAIN).await;
        }
    }

    /// Asks for an address a few times.
    async fn dhcp(&mut self, nic: usize, who: &str, pauses: &[u64]) -> Option<IpAddr> {
        for pause in pauses {
            if let Some(address) = self.discover(nic, None) {
                return Some(address);
            }
            tokio::time::sleep(Duration::from_secs(*pause)).await;
        }
        let text = self.world.with(|state| {
            let at = state.machines[self.id].nics[nic].port.as_ref();
            let mode = at.and_then(|at| Some(format!("{at} is {}", state.port(at)?.mode)));
            mode.unwrap_or_else(|| "no cable".to_owned())
        });
        self.note(&format!("{who}: no DHCP answer on NIC {nic} ({text})"));
        None
    }

    /// Asks for an address until there is one, and takes it.
    pub(super) async fn address(&mut self, nic: usize, who: &str) -> IpAddr {
        let mut asked = 0_u32;
        loop {
            if let Some(address) = self.discover(nic, None) {
                self.world.with(|state| state.machines[self.id].running.set_address(address));
                return address;
            }
            if asked == 0 {
                self.note(&format!("{who}: no DHCP answer on NIC {nic} yet"));
            }
            asked += 1;
            self.wait(TRY_AGAIN).await;
        }
    }

    /// One DISCOVER, if it gets through.
    fn discover(&self, nic: usize, hostname: Option<&str>) -> Option<IpAddr> {
        let now = self.world.now();
        self.world.with(|state| {
            let mac = state.machines[self.id].nics[nic].mac;
            if state.passes(self.id, nic, now) { state.lease(self.id, mac, hostname, now) } else { None }
        })
    }

    pub(super) fn passes(&self, nic: usize) -> bool {
        let now = self.world.now();
        self.world.with(|state| state.passes(self.id, nic, now))
    }

    fn client(&self, nic: usize, address: IpAddr) -> Client {
        let mac = self.world.with(|state| state.machines[self.id].nics[nic].mac);
        Client { id: self.id, mac, address, order: None }
    }
}
