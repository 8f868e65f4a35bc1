//! Anaconda as the live environment: it fetches its runtime and its Kickstart, and runs what `%pre` says.
//!
//! Harmony's `%pre` never ends. One that does lets Anaconda go on: without partitioning commands it asks a person,
//! with them it writes to disks, which `crate::checkers` then sees.
//! Source: Anaconda branch rhel-9, `dracut/anaconda-lib.sh` (runtime), `dracut/parse-anaconda-options.sh` (headers).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::Life;
use super::cmdline::Args;
use super::fetch::Client;
use super::kickstart::{Deed, Kickstart};
use super::life::Booted;
use crate::boot_server::hex;
use crate::checkers::Rule;
use crate::world::DiskWrite;

/// Pause between attempts to fetch something.
const TRY_AGAIN: Duration = Duration::from_secs(3);

impl Life {
    /// Anaconda runs by a Kickstart. Comes back when the machine is to restart.
    pub(super) async fn anaconda(&mut self, client: Client, args: Args<'_>, kickstart: &str) -> Booted {
        let client = Client { name: "Anaconda", ..client };
        if let Some(tree) = args.get("inst.stage2").or_else(|| args.get("inst.repo")) {
            // Only says where the runtime is, which by default is where it is looked for.
            let _ = self.get(client, &format!("{tree}/.treeinfo"), Duration::ZERO).await;
            if let Err(status) = self.fetch(client, &format!("{tree}/images/install.img"), &[]).await {
                return self
                    .stuck(&format!("Anaconda: no runtime below {tree}: {status}; dracut's emergency shell"))
                    .await;
            }
        }
        let headers = self.headers(args);
        let text = match self.fetch(client, kickstart, &headers).await {
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
            Err(status) => {
                return self.stuck(&format!("Anaconda: no Kickstart: {status}; dracut's emergency shell")).await;
            }
        };
        let kickstart = match Kickstart::read(&text) {
            Ok(kickstart) => kickstart,
            Err(reason) => return self.stuck(&format!("Anaconda: the Kickstart is not valid: {reason}")).await,
        };
        self.authorise(&kickstart.root_keys);
        if self.pre(client, &kickstart.pre).await {
            return self.agent(client, args).await;
        }
        if kickstart.partitions {
            self.partition(&kickstart.only_disks);
        }
        self.stuck("Anaconda: %pre has ended; asks whoever sits in front of it").await
    }

    /// Does what the scripts of `%pre` say. Whether that ends in a program that runs for ever.
    async fn pre(&mut self, client: Client, deeds: &[Deed]) -> bool {
        let (mut files, mut executable) = (BTreeMap::new(), BTreeSet::new());
        for (at, deed) in deeds.iter().enumerate() {
            match deed {
                Deed::Authorise { key } => self.authorise(std::slice::from_ref(key)),
                Deed::Fetch { url, file } => {
                    let wanted = deeds[at..].iter().find_map(|deed| match deed {
                        Deed::Compare { sha256, file: of } if of == file => Some(sha256.as_str()),
                        _ => None,
                    });
                    let bytes = self.fetch_compared(client, url, wanted).await;
                    files.insert(file, bytes);
                }
                Deed::Compare { .. } => {}
                Deed::MakeExecutable { file } => drop(executable.insert(file)),
                // Run in a loop, it says why it cannot be run, again and again.
                Deed::Run { file } if !files.contains_key(file) || !executable.contains(file) => {
                    self.note(&format!("Anaconda: %pre: {file}: Permission denied"));
                    return std::future::pending().await;
                }
                Deed::Run { .. } => return true,
            }
        }
        false
    }

    /// Fetches a file until it is what it should be.
    async fn fetch_compared(&mut self, client: Client, url: &str, sha256: Option<&str>) -> Bytes {
        loop {
            if let Ok(answer) = self.get(client, url, Duration::ZERO).await
                && let Ok(bytes) = answer.ok()
            {
                let digest = hex(&Sha256::digest(&bytes));
                if sha256.is_none_or(|wanted| wanted == digest) {
                    return bytes;
                }
                self.note(&format!("Anaconda: %pre: no agent with SHA-256 {}", sha256.unwrap_or_default()));
            }
            self.world.sleep(TRY_AGAIN).await;
        }
    }

    /// Fetches something until the server says anything.
    async fn fetch(&mut self, client: Client, url: &str, headers: &[(String, String)]) -> Result<Bytes, StatusCode> {
        loop {
            match self.get_with(client, url, headers, Duration::ZERO).await {
                Ok(answer) if answer.status != StatusCode::SERVICE_UNAVAILABLE => return answer.ok(),
                Ok(_) | Err(_) => self.world.sleep(TRY_AGAIN).await,
            }
        }
    }

    /// What Anaconda tells of the machine when it fetches its Kickstart, if it is told to.
    fn headers(&self, args: Args<'_>) -> Vec<(String, String)> {
        let mut headers = vec![("X-Anaconda-Architecture".to_owned(), "x86_64".to_owned())];
        self.world.with(|state| {
            let machine = &state.machines[self.id];
            if args.has("inst.ks.sendmac") {
                let nics = machine.nics.iter().enumerate();
                headers.extend(
                    nics.map(|(at, nic)| (format!("X-RHN-Provisioning-MAC-{at}"), format!("{} {}", nic.name, nic.mac))),
                );
            }
            if args.has("inst.ks.sendsn") {
                headers.push(("X-System-Serial-Number".to_owned(), machine.serial.clone()));
            }
        });
        headers
    }

    fn authorise(&self, keys: &[String]) {
        self.world.with(|state| {
            let authorized = &mut state.machines[self.id].live.authorized_keys;
            for key in keys {
                authorized.push_str(key);
                authorized.push('\n');
            }
        });
    }

    /// An unattended installation that nobody has ordered.
    fn partition(&self, only: &[String]) {
        let at = self.world.now();
        self.world.with(|state| {
            let machine = &mut state.machines[self.id];
            let name = machine.name.clone();
            let is_chosen =
                |disk: &&mut super::Disk| disk.is_present && (only.is_empty() || only.contains(&disk.spec.name));
            let mut written = Vec::new();
            for disk in machine.disks.iter_mut().filter(is_chosen) {
                disk.system = None;
                disk.spec.bootable = false;
                disk.spec.signatures = vec!["gpt".to_owned()];
                written.push(disk.spec.serial.clone().unwrap_or_default());
            }
            for serial in written {
                state.note(at, &format!("{name}: Anaconda: writes disk {serial}"));
                let text = format!("{name} partitions disk {serial} by its Kickstart");
                state.violate(Rule::InstallWithoutOrder, at, text);
                state.disk_writes.push(DiskWrite { at, machine: name.clone(), serial, order: None });
            }
        });
    }
}
