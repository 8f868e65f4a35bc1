//! Booting from the network: the firmware's own stack loads iPXE over TFTP or HTTP, and iPXE does what its
//! scripts say.
//!
//! Source: UEFI specification section 24.3 and RFC 2131 section 4.1 for the firmware's patience, section 24.7 for
//! HTTP Boot; iPXE `src/core/null_nap.c`, `src/net/udp/dhcp.c`, `src/usr/autoboot.c` for iPXE's.
//! Read next: `crate::ipxe` for the scripts, `live` for what a kernel does that they start.

use std::net::IpAddr;
use std::time::Duration;

use harmony_core::boot::Stage;
use harmony_core::capability::PowerAction;
use harmony_core::host::Firmware;

use super::fetch::Client;
use super::life::Booted;
use super::{Cause, Life, NicEnd};
use crate::boot_server::NoAnswer;
use crate::ipxe::{Action, Answer, End, Facts, FetchError, Ipxe, Lease, Platform};
use crate::spec::BootRom;

/// Pauses after each DISCOVER of a firmware: 4, 8, 16 and 32 s.
const FIRMWARE_PAUSES: [u64; 4] = [4, 8, 16, 32];
/// Pauses after each DISCOVER of iPXE.
const IPXE_PAUSES: [u64; 5] = [1, 2, 4, 8, 10];
/// How long a firmware waits for a file.
const FIRMWARE_PATIENCE: Duration = Duration::from_secs(30);
/// How long iPXE waits for a file, unless the script says otherwise: its TCP gives up then.
const IPXE_PATIENCE: Duration = Duration::from_secs(60);
/// The first BIOS drive. Source: INT 13h.
const FIRST_DRIVE: u32 = 0x80;

impl Life {
    /// Tries every NIC in order. None if the firmware is to go on with its next boot device.
    pub(super) async fn network_boot(&mut self) -> Option<Booted> {
        let (rom, nics) = self.world.with(|state| (state.machines[self.id].rom, state.boot_nics(self.id)));
        for nic in nics {
            let loaded = match rom {
                BootRom::IpxeRom => true,
                BootRom::BiosPxe | BootRom::UefiPxe => self.firmware_pxe(nic, rom).await,
                BootRom::UefiHttp => self.http_boot(nic).await,
            };
            let booted = if loaded { self.ipxe(nic).await } else { Ipxes::Failed };
            match booted {
                Ipxes::Booted(booted) => return Some(booted),
                Ipxes::Left => return None,
                Ipxes::Failed => self.leave(),
            }
        }
        None
    }

    /// The firmware gets an address and loads iPXE over TFTP. Whether it did.
    async fn firmware_pxe(&mut self, nic: usize, rom: BootRom) -> bool {
        self.enter(Stage::Firmware, &[nic], NicEnd::Plain);
        let Some(address) = self.dhcp(nic, "firmware PXE", &FIRMWARE_PAUSES).await else { return false };
        let Some(boot) = self.world.boot() else { return self.no_filename("firmware PXE") };
        let files = boot.files();
        let path = if rom == BootRom::BiosPxe { files.bios } else { files.efi };
        self.wait(self.world.timing.tftp).await;
        let client = Client { name: "firmware PXE", address, nic: Some(nic), patience: FIRMWARE_PATIENCE };
        self.tftp(client, path).await.is_some_and(|file| !file.is_empty())
    }

    /// UEFI gets an address and loads iPXE over HTTP: it asks for the size first. Whether it did.
    async fn http_boot(&mut self, nic: usize) -> bool {
        self.enter(Stage::Firmware, &[nic], NicEnd::Plain);
        let Some(address) = self.dhcp(nic, "UEFI HTTP Boot", &FIRMWARE_PAUSES).await else { return false };
        let Some(boot) = self.world.boot() else { return self.no_filename("UEFI HTTP Boot") };
        let url = boot.files().efi_url.clone();
        let client = Client { name: "UEFI HTTP Boot", address, nic: Some(nic), patience: FIRMWARE_PATIENCE };
        let is_there = self.head(client, &url).await.is_ok_and(|status| status.is_success());
        if !is_there {
            return false;
        }
        let program = self.get(client, &url, self.world.timing.tftp).await;
        // A PE program, or the firmware does not start it.
        program.is_ok_and(|answer| answer.ok().is_ok_and(|file| file.starts_with(b"MZ")))
    }

    fn no_filename(&self, who: &str) -> bool {
        self.note(&format!("{who}: DHCP names no file to boot"));
        false
    }

    /// iPXE gets an address, loads the script that DHCP names, and does what it says.
    async fn ipxe(&mut self, nic: usize) -> Ipxes {
        self.enter(Stage::Ipxe, &[nic], NicEnd::LacpPassive);
        self.wait(self.world.timing.ipxe).await;
        let Some(address) = self.dhcp(nic, "iPXE", &IPXE_PAUSES).await else { return Ipxes::Failed };
        let Some(boot) = self.world.boot() else {
            self.no_filename("iPXE");
            return Ipxes::Failed;
        };
        let url = boot.files().script_url.clone();
        let facts = self.facts();
        let platform = facts.platform;
        let mut ipxe = Ipxe::new(facts, nic);
        let mut client = Client { name: "iPXE", address, nic: Some(nic), patience: IPXE_PATIENCE };
        ipxe.configure(lease(nic, address, &url));
        let mut action = ipxe.autoboot(&url);
        loop {
            for line in ipxe.console() {
                self.note(&format!("iPXE: {line}"));
            }
            let answer = match action {
                Action::Fetch { url, timeout } => {
                    let client = Client { patience: timeout.unwrap_or(client.patience), ..client };
                    Answer::Fetched(self.ipxe_fetch(client, &url).await)
                }
                Action::Dhcp(nics) => {
                    let leased = self.ipxe_dhcp(&nics).await;
                    if let Some((nic, address)) = leased {
                        client = Client { nic: Some(nic), address, ..client };
                    }
                    Answer::Leased(leased.map(|(nic, address)| lease(nic, address, &url)))
                }
                Action::Open(nics) => {
                    self.enter(Stage::Ipxe, &nics, NicEnd::LacpPassive);
                    Answer::Done
                }
                Action::Close(_) => Answer::Done,
                Action::Sleep(time) => {
                    self.world.sleep(time).await;
                    Answer::Done
                }
                Action::SanBoot(drive) if platform == Platform::Pcbios && self.starts_from(drive) => {
                    self.leave();
                    return Ipxes::Booted(Booted::FromDisk);
                }
                Action::SanBoot(drive) => {
                    Answer::Failed(format!("Could not boot from SAN device {drive:#x}: Input/output error"))
                }
                Action::Boot(loaded) => return Ipxes::Booted(self.start_kernel(&loaded, platform, nic).await),
                Action::WaitForKey => {
                    self.note("iPXE: waits for a key");
                    return std::future::pending().await;
                }
                Action::Restart => return Ipxes::Booted(Booted::Restart),
                Action::PowerOff => {
                    let now = self.world.now();
                    self.world.with(|state| state.switch_power(self.id, PowerAction::Off, Cause::Itself, now));
                    return std::future::pending().await;
                }
                Action::End(End::Exit(status)) => {
                    self.note(&format!("iPXE: exits with status {status}"));
                    self.leave();
                    return Ipxes::Left;
                }
                Action::End(End::Failed(error)) => {
                    self.note(&format!("iPXE: {error}"));
                    return Ipxes::Failed;
                }
            };
            action = ipxe.resume(answer);
        }
    }

    /// Fetches a file for iPXE, which asks again by itself where a server says when.
    /// Source: iPXE `src/net/tcp/httpcore.c`, `http_transfer_complete`.
    async fn ipxe_fetch(&mut self, client: Client, url: &str) -> Result<bytes::Bytes, FetchError> {
        let deadline = self.world.now() + client.patience;
        if let Some(path) = url.strip_prefix("tftp://") {
            let (_, path) = path.split_once('/').ok_or(FetchError::Status(404))?;
            return self.tftp(client, path).await.ok_or(FetchError::Status(404));
        }
        loop {
            // Scripts are small; everything else takes about half as long as kernel and initramfs together.
            let is_file = url.contains(harmony_templates::urls::ASSETS);
            let takes = if is_file { self.world.timing.kernel / 2 } else { Duration::ZERO };
            let answer = self.get(client, url, takes).await.map_err(|why| match why {
                NoAnswer::Silence => FetchError::TimedOut,
                NoAnswer::Refused => FetchError::Refused,
                NoAnswer::UnknownHost => FetchError::UnknownHost,
                NoAnswer::Scheme => FetchError::Scheme,
                NoAnswer::TooLong => FetchError::TooLarge,
            })?;
            let again = answer.retry_after.map(Duration::from_secs).filter(|_| answer.status.as_u16() == 503);
            match again {
                Some(pause) if self.world.now() + pause < deadline => self.world.sleep(pause).await,
                _ => return answer.ok().map_err(|status| FetchError::Status(status.as_u16())),
            }
        }
    }

    /// The first of these NICs that gets an address.
    async fn ipxe_dhcp(&mut self, nics: &[usize]) -> Option<(usize, IpAddr)> {
        for nic in nics {
            let has_cable = self.world.with(|state| state.machines[self.id].nics[*nic].port.is_some());
            if !has_cable {
                continue;
            }
            self.enter(Stage::Ipxe, &[*nic], NicEnd::LacpPassive);
            if let Some(address) = self.dhcp(*nic, "iPXE", &IPXE_PAUSES).await {
                return Some((*nic, address));
            }
        }
        None
    }

    /// Whether the BIOS can start something from a drive.
    fn starts_from(&self, drive: u32) -> bool {
        let at = drive.checked_sub(FIRST_DRIVE).and_then(|at| usize::try_from(at).ok());
        self.world.with(|state| {
            let disks = state.machines[self.id].disks.iter().filter(|disk| disk.is_present);
            at.and_then(|at| disks.into_iter().nth(at)).is_some_and(|disk| disk.system.is_some() || disk.spec.bootable)
        })
    }

    fn facts(&self) -> Facts {
        self.world.with(|state| {
            let machine = &state.machines[self.id];
            Facts {
                platform: match machine.firmware {
                    Firmware::Bios => Platform::Pcbios,
                    Firmware::Uefi => Platform::Efi,
                },
                uuid: machine.uuid,
                serial: machine.serial.clone(),
                manufacturer: machine.bmc_personality.product().0.to_owned(),
                product: machine.bmc_personality.product().1.to_owned(),
                nics: machine.macs(),
            }
        })
    }

    /// Asks for an address a few times.
    async fn dhcp(&mut self, nic: usize, who: &str, pauses: &[u64]) -> Option<IpAddr> {
        for pause in pauses {
            if let Some(address) = self.discover(nic, None) {
                return Some(address);
            }
            self.world.sleep(Duration::from_secs(*pause)).await;
        }
        let text = self.world.with(|state| {
            let at = state.machines[self.id].nics[nic].port.as_ref();
            let mode = at.and_then(|at| Some(format!("{at} is {}", state.port(at)?.mode)));
            mode.unwrap_or_else(|| "no cable".to_owned())
        });
        self.note(&format!("{who}: no DHCP answer on NIC {nic} ({text})"));
        None
    }

    /// One DISCOVER, if it gets through.
    pub(super) fn discover(&self, nic: usize, hostname: Option<&str>) -> Option<IpAddr> {
        let now = self.world.now();
        self.world.with(|state| {
            let mac = state.machines[self.id].nics[nic].mac;
            if state.passes(self.id, nic, now) { state.lease(self.id, mac, hostname, now) } else { None }
        })
    }
}

/// What became of iPXE on a NIC.
enum Ipxes {
    Booted(Booted),
    /// It gave the machine back to the firmware.
    Left,
    /// It got nowhere: the next NIC may.
    Failed,
}

/// What DHCP told iPXE.
fn lease(nic: usize, address: IpAddr, script_url: &str) -> Lease {
    let IpAddr::V4(address) = address.to_canonical() else {
        return Lease { nic, address: std::net::Ipv4Addr::UNSPECIFIED, next_server: None, filename: None };
    };
    Lease { nic, address, next_server: None, filename: Some(script_url.to_owned()) }
}
