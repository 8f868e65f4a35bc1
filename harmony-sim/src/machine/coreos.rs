//! The stock CoreOS live system, told to install itself: the root file system is loaded into memory, the answer file
//! fetched, the image that it carries written, and the machine restarts. It tells nobody anything.
//!
//! What it is refused for good ends in the emergency shell, where a machine stays until somebody restarts it; the
//! machine's own console says why. Source: coreos-installer `docs/getting-started.md`, `src/source.rs`,
//! `systemd/coreos-installer.service`; fedora-coreos-config `35coreos-live/coreos-livepxe-rootfs.sh`.

use std::time::Duration;

use bytes::Bytes;
use harmony_core::boot::OrderId;

use super::Life;
use super::cmdline::Args;
use super::fetch::Client;
use super::install::{find_disk, is_passing, order_of};
use crate::boot_server::{NoAnswer, wanted_rootfs};

/// Pauses of curl between its attempts: that many, doubled each time.
const CURL_RETRIES: u32 = 5;
/// How long curl waits for a connection.
const CURL_PATIENCE: Duration = Duration::from_secs(120);
/// Pauses of the installer between attempts: doubled each time, to at most the second.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
/// How long the installer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

impl Life {
    /// Installs, by the command line of a stock live system. The machine is to restart then; does not come back if it
    /// cannot.
    pub(super) async fn install_coreos(&mut self, client: Client, args: Args<'_>, initramfs: &[Bytes]) {
        if let Err(why) = self.load_rootfs(client, args, initramfs).await {
            return self.emergency("coreos-livepxe-rootfs", &why).await;
        }
        self.wait(self.world.timing.coreos_start).await;
        if let Err(why) = self.try_install_coreos(client, args).await {
            return self.emergency("coreos-installer", &why).await;
        }
        self.note("coreos-installer: install complete, restarts");
        self.wait(super::install::SHUT_DOWN).await;
    }

    async fn load_rootfs(&mut self, client: Client, args: Args<'_>, initramfs: &[Bytes]) -> Result<(), String> {
        let Some(url) = args.get("coreos.live.rootfs_url") else {
            return Err("No rootfs image found. Modify your PXE configuration to add the rootfs image".to_owned());
        };
        let client = Client { name: "coreos-livepxe-rootfs", patience: CURL_PATIENCE, ..client };
        let mut pause = Duration::from_secs(1);
        let mut left = CURL_RETRIES;
        let digest = loop {
            let takes = self.world.timing.rootfs;
            let passes = match self.digest(client, url, takes).await {
                // curl hands on the body of a refusal, too: its digest is not the one that is wanted.
                Ok((status, digest)) if !is_passing(status) => break digest,
                Ok(_) | Err(NoAnswer::Silence) => true,
                Err(_) => false,
            };
            if !passes || left == 0 {
                break String::new();
            }
            left -= 1;
            self.world.sleep(pause).await;
            pause *= 2;
        };
        let is_wanted = initramfs.iter().filter_map(|part| wanted_rootfs(part)).any(|wanted| wanted == digest);
        let refusal = "Couldn't fetch, verify, and unpack image specified by coreos.live.rootfs_url= Check that the URL is correct and that the rootfs version matches the initramfs.";
        if is_wanted { Ok(()) } else { Err(refusal.to_owned()) }
    }

    async fn try_install_coreos(&mut self, client: Client, args: Args<'_>) -> Result<(), String> {
        let client = Client { name: "coreos-installer", patience: PATIENCE, ..client };
        let url = args.get("coreos.inst.ignition_url").unwrap_or("skip");
        let answer = match url {
            "skip" => Bytes::new(),
            url => self.fetch_answer(client, url).await?,
        };
        // Whose order it is, is in the URL; the answer file does not say.
        let order = order_of(url).ok_or("an answer file from somewhere else than a boot server is not simulated")?;
        self.world.check_role_config(self.id, &order, &answer).await;
        if let Some(reason) = self.world.with(|state| state.faults.install_failure(&state.machines[self.id].name)) {
            return Err(reason);
        }
        self.write_coreos(args, order, answer).await
    }

    async fn write_coreos(&mut self, args: Args<'_>, order: OrderId, answer: Bytes) -> Result<(), String> {
        let find = |life: &Self| life.world.with(|state| find_disk(args, &state.machines[life.id]));
        let disk = find(self).map_err(|failure| format!("opening device: {}", failure.sentence))?;
        self.clear(disk, &order).await;
        self.wait(self.world.timing.image).await;
        // Whoever pulled the disk in the meantime took the image with it.
        let disk = find(self).map_err(|failure| format!("writing image: {}", failure.sentence))?;
        self.finish_disk(disk, order, args, answer);
        Ok(())
    }

    /// Fetches the answer file until it is there, or refused for good.
    async fn fetch_answer(&mut self, client: Client, url: &str) -> Result<Bytes, String> {
        let (mut pause, most) = PAUSE;
        loop {
            if let Ok(answer) = self.get(client, url, Duration::ZERO).await {
                match answer.ok() {
                    Ok(body) => return Ok(body),
                    Err(status) if !is_passing(status) => {
                        return Err(format!("fetching Ignition config: HTTP status {status}"));
                    }
                    Err(_) => {}
                }
            }
            self.world.sleep(pause).await;
            pause = (pause * 2).min(most);
        }
    }
}
