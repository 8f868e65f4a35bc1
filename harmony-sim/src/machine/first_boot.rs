//! The first boot of an installed system: Ignition, in the initramfs, with the network of the kernel's arguments. It
//! fetches the configs that the answer file names, and makes the system of all of them.
//!
//! What it is refused for good (below 500) ends in the emergency shell, where it stays; what is not there yet (5xx,
//! or no answer) is asked for again, for ever. Source: Ignition `docs/operator-notes.md`, `internal/resource/http.go`.

use std::net::IpAddr;
use std::time::Duration;

use super::cmdline::Args;
use super::fetch::Client;
use super::ignition::{Ignition, data_url};
use super::link::Link;
use super::system::{FirstBoot, System};
use super::{Life, Running};
use crate::services::HttpsGet;

/// How long it waits for the beginning of an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pauses between attempts: doubled each time, to at most the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How deep configs may name each other.
const MAX_DEPTH: usize = 4;

/// What a config is fetched by.
struct Fetcher {
    client: Client,
    /// The DNS servers that are asked; none: those that the DHCP server names.
    dns: Option<Vec<IpAddr>>,
    /// Certificates that are believed.
    authorities: Vec<Vec<u8>>,
}

impl Life {
    /// Makes the system that the answer file says. Does not come back if it cannot.
    pub(super) async fn first_boot(&mut self, disk: usize, system: System, first: &FirstBoot) -> System {
        let config = match Ignition::read(&first.config) {
            Ok(config) => config,
            // Before it has a network. Source: Ignition `docs/operator-notes.md`, "failed to fetch".
            Err(why) => return self.emergency("Ignition", &why).await,
        };
        let args = Args::of(&first.args);
        let from_args = self.world.with(|state| {
            let machine = &state.machines[self.id];
            let cabled = machine.nics.iter().position(|nic| nic.port.is_some()).unwrap_or(0);
            args.link(machine).and_then(Result::ok).unwrap_or_else(|| Link::plain(cabled))
        });
        let config = match self.merge(config, &from_args).await {
            Ok(config) => config,
            Err(why) => return self.emergency("Ignition", &why).await,
        };
        self.note("Ignition: user-provided config was applied");
        let (now, clocks) = (self.world.now(), self.world.clocks());
        self.world.with(|state| {
            let given = from_args.own.as_ref().and_then(|own| own.hostname.clone());
            // Only a system without keyfiles of its own keeps the network of the kernel's arguments.
            // Source: fedora-coreos-config `coreos-teardown-initramfs.sh`.
            let link = match config.link(&state.machines[self.id]) {
                Some(link) => link.unwrap_or_else(|| Link::plain(0)),
                None => from_args,
            };
            let made = System {
                hostname: config.hostname().or(given).unwrap_or_else(|| "localhost".to_owned()),
                link,
                authorized_keys: config.authorized_keys(),
                first_boot: None,
                member: config.node().and_then(|kind| state.member(kind, &config.brought(clocks), now)),
                pivots: config.pivots(),
                ..system
            };
            state.machines[self.id].disks[disk].system = Some(made.clone());
            made
        })
    }

    /// A config with those that it names. The network is brought up for them.
    async fn merge(&mut self, config: Ignition, link: &Link) -> Result<Ignition, String> {
        if config.merge.is_empty() {
            return Ok(config);
        }
        let nic = link.bond.is_none().then_some(link.nic);
        self.attach(link, Running::Silent { nic: nic.unwrap_or(0), address: None });
        if self.world.with(|state| state.faults.first_boot_hangs(&state.machines[self.id].name)) {
            self.note("Ignition: hangs");
            return std::future::pending().await;
        }
        let address = self.link_address(link, None, "Ignition").await;
        let client = Client { name: "Ignition", address, nic: None, patience: PATIENCE };
        let dns = link.own.as_ref().map(|own| own.dns.clone());
        let fetcher = Fetcher { client, dns, authorities: config.authorities() };
        // Depth first, in order: what is named later counts more.
        let mut open = vec![(config.merge.clone(), 1)];
        let mut merged = config;
        while let Some((sources, depth)) = open.pop() {
            let Some((source, rest)) = sources.split_first() else { continue };
            open.push((rest.to_vec(), depth));
            let child = self.fetch_config(&fetcher, source).await?;
            if depth < MAX_DEPTH {
                open.push((child.merge.clone(), depth + 1));
            }
            merged = merged.merged(child);
        }
        Ok(merged)
    }

    /// Fetches a config until it is there, or refused for good.
    async fn fetch_config(&mut self, by: &Fetcher, source: &str) -> Result<Ignition, String> {
        if source.starts_with("data:") {
            let bytes = data_url(source).ok_or("the source of a config is no data URL that can be read")?;
            return Ignition::read(&bytes);
        }
        let (mut pause, most) = PAUSE;
        let mut said = String::new();
        loop {
            let outcome = if source.starts_with("https://") {
                let get = HttpsGet {
                    from: by.client.address,
                    dns: by.dns.as_deref(),
                    url: source,
                    authorities: &by.authorities,
                };
                self.https(by.client.patience, &get).await
            } else {
                self.get(by.client, source, Duration::ZERO)
                    .await
                    .map(|answer| (answer.status, answer.body))
                    .map_err(|why| why.to_string())
            };
            let why = match outcome {
                Ok((status, body)) if status.is_success() => {
                    self.note(&format!("Ignition: GET {source}: {}", status.as_u16()));
                    return Ignition::read(&body);
                }
                Ok((status, _)) if !status.is_server_error() => {
                    return Err(format!("failed to fetch config: GET {source}: {status}"));
                }
                Ok((status, _)) => status.to_string(),
                Err(why) => why,
            };
            // It asks for as long as it takes; what it says is of interest when it changes.
            if why != said {
                self.note(&format!("Ignition: GET {source}: {why}; tries again"));
                said = why;
            }
            self.world.sleep(pause).await;
            pause = (pause * 2).min(most);
        }
    }

    /// The emergency shell, where a machine stays until somebody restarts it.
    pub(super) async fn emergency<T>(&self, who: &str, why: &str) -> T {
        self.note(&format!("{who}: {why}; emergency shell"));
        std::future::pending().await
    }
}
