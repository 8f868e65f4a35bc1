//! What a kernel does that iPXE has started: the live environment, by its command line.
//!
//! `coreos.inst.*` makes it an installer (`install`), `inst.ks=` makes it Anaconda (`anaconda`), otherwise it is the
//! initramfs that holds the inventory agent. It connects by the bond or the NIC that the command line names.

use std::net::IpAddr;
use std::time::Duration;

use harmony_core::boot::Stage;
use harmony_core::report::AGENT_PORT;
use harmony_core::report::v1::{ANNOUNCE_SCHEMA, Announcement};

use super::cmdline::Args;
use super::fetch::Client;
use super::life::Booted;
use super::{Life, LiveStart, NicEnd, Running, report};
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
        let Some(_) = loaded.initramfs(platform) else {
            self.leave();
            return self.stuck("kernel panic: no initramfs that its command line names was loaded").await;
        };
        let line = loaded.cmdline.expose();
        let args = Args::of(line);
        self.learn_secrets(args);
        if let Err(reason) = self.connect(args, line, nic) {
            return self.stuck(&format!("live environment: {reason}; waits for a network card")).await;
        }
        self.wait(self.world.timing.system_start).await;
        let address = self.live_address().await;
        let client = Client { name: "live environment", address, nic: None, patience: PATIENCE };
        if let Some(url) = args.get("harmony.ssh") {
            self.fetch_keys(client, url).await;
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

    /// Brings up the bond that is named, or the NIC, or the first one with a cable.
    fn connect(&mut self, args: Args<'_>, line: &str, booted: usize) -> Result<(), String> {
        let (boot_id, since) = (self.random.uuid(), self.world.now());
        let (bond, nic, all) = self.world.with(|state| {
            let machine = &state.machines[self.id];
            let bond = args.bond(machine).transpose()?;
            let nic = match args.boot_mac() {
                Some(mac) => {
                    let mac = mac?;
                    let at = machine.nics.iter().position(|nic| nic.mac == mac);
                    at.ok_or_else(|| format!("no NIC has the address {mac}"))?
                }
                None => machine.nics.iter().position(|nic| nic.port.is_some()).unwrap_or(booted),
            };
            Ok::<_, String>((bond, nic, (0..machine.nics.len()).collect::<Vec<_>>()))
        })?;
        let nic = bond.as_ref().and_then(|bond| bond.members.first().copied()).unwrap_or(nic);
        self.world.with(|state| {
            let machine = &mut state.machines[self.id];
            machine.live = LiveStart { cmdline: line.to_owned(), authorized_keys: String::new() };
            machine.bond.clone_from(&bond);
        });
        match &bond {
            Some(bond) => self.enter(Stage::Bonded, &bond.members, NicEnd::Bonded),
            None => self.enter(Stage::Plain, &all, NicEnd::Plain),
        }
        self.world.with(|state| {
            state.machines[self.id].running = Running::Live { nic, boot_id, since, address: None, agent: false };
        });
        Ok(())
    }

    /// Asks for an address by whatever it is connected by, until there is one.
    async fn live_address(&mut self) -> IpAddr {
        let (is_bonded, nic) = self.world.with(|state| {
            let machine = &state.machines[self.id];
            (machine.bond.is_some(), machine.running.nic().unwrap_or(0))
        });
        if is_bonded { self.bond_address(None).await } else { self.address(nic, "live environment").await }
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
