//! What a kernel does that iPXE has started: the live environment, by its command line.
//!
//! `coreos.inst.*` makes it an installer: the stock one (`coreos`), or with an image and progress of its own the lab's
//! (`install`). `inst.ks=` makes it Anaconda (`anaconda`), otherwise it is the initramfs that holds the inventory agent. It
//! connects by the link that the command line names.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use harmony_core::report::AGENT_PORT;
use harmony_core::report::v1::{ANNOUNCE_SCHEMA, Announcement};

use super::cmdline::Args;
use super::fetch::Client;
use super::life::Booted;
use super::link::Link;
use super::{Life, LiveStart, Running, report};
use crate::ipxe::{Loaded, Platform};

/// A running system's pause between two attempts to get an address.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// How long the live environment's programs wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it asks for the keys that may log in, and its pause in between.
const KEY_ATTEMPTS: u32 = 30;
const KEY_PAUSE: Duration = Duration::from_secs(1);
/// The agent's pauses between announcements: doubled each time, to at most the second.
const ANNOUNCE_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

impl Life {
    /// A kernel runs, with what was loaded beside it. Comes back when the machine is to restart.
    pub(super) async fn start_kernel(&mut self, loaded: &Loaded, platform: Platform, nic: usize) -> Booted {
        let Some(initramfs) = loaded.initramfs(platform) else {
            self.leave();
            return self.stuck("kernel panic: no initramfs that its command line names was loaded").await;
        };
        let initramfs: Vec<Bytes> = initramfs.into_iter().map(|image| image.data.clone()).collect();
        let line = loaded.cmdline.expose();
        let args = Args::of(line);
        self.learn_secrets(args);
        let link = match self.connect(args, line, nic) {
            Ok(link) => link,
            Err(why) => return self.stuck(&format!("live environment: {why}; waits for a network card")).await,
        };
        self.wait(self.world.timing.system_start).await;
        let address = self.link_address(&link, None, "live environment").await;
        let client = Client { name: "live environment", address, nic: None, patience: PATIENCE };
        if let Some(url) = args.get("harmony.ssh") {
            self.fetch_keys(client, url).await;
        }
        if is_coreos(args) {
            self.install_coreos(client, args, &initramfs).await;
            self.leave();
            return Booted::Restart;
        }
        if args.get("coreos.inst.install_dev").is_some() {
            self.install(client, args).await;
            self.leave();
            return Booted::Restart;
        }
        if let Some(url) = args.get("inst.ks") {
            return self.anaconda(client, args, url).await;
        }
        self.agent(client, args).await
    }

    /// Says why nothing goes on, until somebody restarts the machine.
    pub(super) async fn stuck(&self, why: &str) -> Booted {
        self.note(why);
        std::future::pending().await
    }

    /// What no output of Harmony may show, since this machine was told it.
    fn learn_secrets(&self, args: Args<'_>) {
        let tokens = ["coreos.inst.ignition_url", "harmony.progress"].into_iter().filter_map(|name| {
            let (_, path) = args.get(name)?.split_once("://")?;
            path.split('/').nth(4)
        });
        let tokens: Vec<&str> = tokens.chain(args.get("harmony.token")).collect();
        self.world.with(|state| tokens.into_iter().for_each(|token| state.know_secret(token)));
    }

    /// Brings up the link that is named, or the NIC that booted, or the first one with a cable.
    fn connect(&mut self, args: Args<'_>, line: &str, booted: usize) -> Result<Link, String> {
        let (boot_id, since) = (self.random.uuid(), self.world.now());
        let link = self.world.with(|state| {
            let machine = &state.machines[self.id];
            if let Some(link) = args.link(machine) {
                return link;
            }
            let nic = match args.boot_mac() {
                Some(mac) => {
                    let mac = mac?;
                    let at = machine.nics.iter().position(|nic| nic.mac == mac);
                    at.ok_or_else(|| format!("no NIC has the address {mac}"))?
                }
                None => machine.nics.iter().position(|nic| nic.port.is_some()).unwrap_or(booted),
            };
            Ok(Link::plain(nic))
        })?;
        let live = LiveStart { cmdline: line.to_owned(), authorized_keys: String::new(), is_closed: is_coreos(args) };
        self.world.with(|state| state.machines[self.id].live = live);
        self.attach(&link, Running::Live { nic: link.nic, boot_id, since, address: None, agent: false });
        Ok(link)
    }

    /// Asks for an address on a NIC until there is one, and takes it.
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

    /// Gets the keys that may log in, as `authorized_keys`. Without them nobody may.
    async fn fetch_keys(&mut self, client: Client, url: &str) {
        for _ in 0..KEY_ATTEMPTS {
            if let Ok(answer) = self.get(client, url, Duration::ZERO).await
                && let Ok(keys) = answer.ok()
            {
                let keys = String::from_utf8_lossy(&keys).into_owned();
                self.world.with(|state| state.machines[self.id].live.authorized_keys = keys);
                return;
            }
            self.world.sleep(KEY_PAUSE).await;
        }
    }

    /// The inventory agent runs and announces itself, until the machine is restarted.
    pub(super) async fn agent(&mut self, client: Client, args: Args<'_>) -> Booted {
        self.wait(self.world.timing.agent_start).await;
        self.world.with(|state| {
            if let Running::Live { agent, .. } = &mut state.machines[self.id].running {
                *agent = true;
            }
        });
        self.note("agent answers");
        if !self.world.agents_announce_themselves()
            && let Some(url) = args.get("harmony.announce")
        {
            self.announce(Client { name: "agent", ..client }, url, args.get("harmony.token")).await;
        }
        std::future::pending().await
    }

    async fn announce(&mut self, client: Client, url: &str, token: Option<&str>) {
        let (mut pause, most) = ANNOUNCE_PAUSE;
        loop {
            let body = self.announcement(client.address);
            if self.post(client, url, token, body).await.is_ok_and(|status| status.is_success()) {
                return;
            }
            self.world.sleep(pause).await;
            pause = (pause * 2).min(most);
        }
    }

    /// What the agent says of itself, from its report.
    fn announcement(&self, address: IpAddr) -> Vec<u8> {
        let now = self.world.now();
        let report = self.world.with(|state| report(state, self.id, now));
        let announcement = report.map(|report| Announcement {
            schema: ANNOUNCE_SCHEMA.to_owned(),
            uuid: report.system.uuid,
            serial: report.system.serial,
            boot_id: report.boot.boot_id,
            macs: report.nics.into_iter().filter_map(|nic| nic.permanent_mac.or(nic.mac)).collect(),
            listen: (address, AGENT_PORT).into(),
        });
        announcement.and_then(|announcement| serde_json::to_vec(&announcement).ok()).unwrap_or_default()
    }
}

/// Whether a command line is for the stock live system, which installs the image that it carries.
fn is_coreos(args: Args<'_>) -> bool {
    let others = ["coreos.inst.image_url", "harmony.progress"];
    args.get("coreos.inst.install_dev").is_some() && others.iter().all(|name| args.get(name).is_none())
}
