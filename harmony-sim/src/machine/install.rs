//! The installer, as coreos-installer goes about it: the disk that the command line names is looked at, the answer
//! file is fetched, the image is written and its digest compared, and the machine restarts. It tells its progress
//! as the lab's stand-in does.
//!
//! It does what it is told: whether that was allowed is for `crate::checkers`, which asks the store.
//! Source: coreos-installer `docs/getting-started.md` (`coreos.inst.*`), `src/source.rs` (what is asked again).

use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use harmony_core::boot::OrderId;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::cmdline::Args;
use super::fetch::Client;
use super::link::Link;
use super::system::{FirstBoot, System};
use super::{Life, Machine};
use crate::world::DiskWrite;

/// What a live environment takes to shut down; until then it answers.
pub(super) const SHUT_DOWN: Duration = Duration::from_millis(1500);
/// What the installer waits before it restarts after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(30);
/// Pauses between attempts: doubled each time, to at most the second.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Why an installation is given up: a word for the server, a sentence for the console.
pub(super) struct Failure {
    word: String,
    pub(super) sentence: String,
}

fn fail<T>(word: &str, sentence: impl Into<String>) -> Result<T, Failure> {
    Err(Failure { word: word.to_owned(), sentence: sentence.into() })
}

impl Life {
    /// Installs by the command line, or gives up. The machine is to restart then.
    pub(super) async fn install(&mut self, client: Client, args: Args<'_>) {
        let client = Client { name: "installer", ..client };
        match self.try_install(client, args).await {
            Ok(()) => {
                self.note("installer: done, restarts");
                self.wait(SHUT_DOWN).await;
            }
            Err(Failure { word, sentence }) => {
                self.note(&format!("installer: gives up: {sentence}"));
                let reason = utf8_percent_encode(&word, NON_ALPHANUMERIC);
                self.progress(client, args, &format!("install-failed?reason={reason}")).await;
                self.wait(AFTER_FAILURE).await;
            }
        }
    }

    async fn try_install(&mut self, client: Client, args: Args<'_>) -> Result<(), Failure> {
        let needed = |name: &str| {
            args.get(name).ok_or_else(|| Failure {
                word: "arguments".to_owned(),
                sentence: format!("no {name} on the kernel command line"),
            })
        };
        let (image, answer) = (needed("coreos.inst.image_url")?, needed("coreos.inst.ignition_url")?);
        if let Some(rootfs) = args.get("coreos.live.rootfs_url") {
            self.fetch_patiently(client, rootfs).await.or_else(|status| {
                fail("rootfs", format!("the server refused the live root filesystem for good: {status}"))
            })?;
        }
        self.find_disk(args)?;
        self.progress(client, args, "install-started").await;
        let answer_file = self.fetch_patiently(client, answer).await.or_else(|status| {
            let word = format!("answer-file-{}", status.as_u16());
            fail(&word, format!("the server refused the answer file for good: {status}"))
        })?;
        // Whose order it is, is in the URL; the answer file does not say.
        let Some(order) = order_of(answer) else {
            return fail("answer-file", "an answer file from somewhere else than a boot server is not simulated");
        };
        if let Some(reason) = self.world.with(|state| state.faults.install_failure(&state.machines[self.id].name)) {
            return fail(&reason, reason.clone());
        }
        let disk = self.find_disk(args)?;
        self.clear(disk, &order).await;
        self.write_image(client, args, image).await?;
        self.progress(client, args, "image-written").await;
        // Whoever pulled the disk in the meantime took the image with it.
        let disk = self.find_disk(args)?;
        self.finish_disk(disk, order, args, answer_file);
        self.progress(client, args, "install-done").await;
        Ok(())
    }

    fn find_disk(&self, args: Args<'_>) -> Result<usize, Failure> {
        self.world.with(|state| find_disk(args, &state.machines[self.id]))
    }

    /// Fetches something until it is there or the server refuses it for good.
    async fn fetch_patiently(&mut self, client: Client, url: &str) -> Result<bytes::Bytes, StatusCode> {
        let (mut pause, most) = PAUSE;
        loop {
            if let Ok(answer) = self.get(client, url, Duration::ZERO).await {
                match answer.ok() {
                    Ok(body) => return Ok(body),
                    Err(status) if !is_passing(status) => return Err(status),
                    Err(_) => {}
                }
            }
            self.world.sleep(pause).await;
            pause = (pause * 2).min(most);
        }
    }

    /// The first bytes of the disk are cleared: half written, it is neither the old system nor the new one.
    pub(super) async fn clear(&mut self, disk: usize, order: &OrderId) {
        let at = self.world.now();
        self.world.check_disk_write(self.id, disk, order).await;
        self.world.with(|state| {
            let machine = &mut state.machines[self.id];
            let name = machine.name.clone();
            let target = &mut machine.disks[disk];
            target.system = None;
            target.spec.bootable = false;
            target.spec.signatures = vec!["gpt".to_owned()];
            let serial = target.spec.serial.clone().unwrap_or_default();
            state.note(at, &format!("{name}: installer: writes disk {serial} by order {order}"));
            state.disk_writes.push(DiskWrite { at, machine: name, serial, order: Some(order.clone()) });
        });
    }

    /// Streams the image to the disk, and compares its digest.
    async fn write_image(&mut self, client: Client, args: Args<'_>, url: &str) -> Result<(), Failure> {
        let takes = self.world.timing.image;
        let (status, digest) = match self.digest(client, url, takes).await {
            Ok(streamed) => streamed,
            Err(why) => return fail("stream", format!("the image did not arrive whole: {why}")),
        };
        if !status.is_success() {
            return fail("stream", format!("the server has no image: {status}"));
        }
        match args.get("harmony.image_sha256") {
            Some(wanted) if wanted == digest => Ok(()),
            Some(wanted) => fail("digest", format!("the image's SHA-256 is {digest}, the order says {wanted}")),
            None if args.has("coreos.inst.insecure") => Ok(()),
            // Without a digest, there must be a signature beside the image.
            None => match self.fetch_patiently(client, &format!("{url}.sig")).await {
                Ok(_) => Ok(()),
                Err(status) => fail("signature", format!("no signature beside the image: {status}")),
            },
        }
    }

    /// The answer file lies on the disk, and the disk can be started from.
    pub(super) fn finish_disk(&mut self, disk: usize, order: OrderId, args: Args<'_>, config: Bytes) {
        let host_key = self.random.next();
        let first_boot = Some(FirstBoot { config, args: args.for_first_boot() });
        self.world.with(|state| {
            let machine = &mut state.machines[self.id];
            machine.disks[disk].system = Some(System {
                order,
                hostname: "localhost".to_owned(),
                link: Link::plain(0),
                host_key,
                authorized_keys: Vec::new(),
                first_boot,
                member: None,
                pivots: false,
            });
            machine.installs += 1;
        });
    }

    /// Tells the boot server how far it is. A courtesy: a lost report never stops an installation.
    async fn progress(&mut self, client: Client, args: Args<'_>, event: &str) {
        if let Some(url) = args.get("harmony.progress") {
            // What came of it is in the log.
            let _ = self.post(client, &format!("{url}{event}"), None, Vec::new()).await;
        }
    }
}

/// The disk that a command line names, if it has the serial that it says.
pub(super) fn find_disk(args: Args<'_>, machine: &Machine) -> Result<usize, Failure> {
    let device = args.get("coreos.inst.install_dev").unwrap_or_default();
    let is_it = |disk: &super::Disk| {
        let is_named =
            disk.spec.by_id().iter().any(|link| link == device) || format!("/dev/{}", disk.spec.name) == device;
        disk.is_present && is_named
    };
    let Some(at) = machine.disks.iter().position(is_it) else {
        return fail("no-such-disk", format!("{device} is not a disk of this machine"));
    };
    let wanted = args.get("harmony.disk_serial").map(|serial| percent_decode_str(serial).decode_utf8_lossy());
    match (wanted, machine.disks[at].spec.serial.as_deref()) {
        (Some(wanted), found) if Some(&*wanted) != found => {
            fail("wrong-disk", format!("{device} has serial {}, not {wanted}", found.unwrap_or("none")))
        }
        _ => Ok(at),
    }
}

/// Whether what a server says may have passed by the next attempt. Source: coreos-installer `src/source.rs`.
pub(super) fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// The order in `http://…/answer/HOST/NUMBER/TOKEN`.
pub(super) fn order_of(url: &str) -> Option<OrderId> {
    let (_, path) = url.split_once("/answer/")?;
    let (order, _) = path.rsplit_once('/')?;
    order.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{DiskSpec, WorldSpec};

    fn machine() -> Machine {
        let mut spec = WorldSpec::rack(1, 1).hosts.remove(0);
        spec.disks.push(DiskSpec::blank("vdb", "OT/HER"));
        Machine::new(spec).expect("valid")
    }

    #[test]
    fn a_disk_is_found_by_name_or_link_and_must_have_its_serial() {
        let find = |line: &str| find_disk(Args::of(line), &machine()).map_err(|failure| failure.sentence);
        assert_eq!(find("coreos.inst.install_dev=/dev/vdb harmony.disk_serial=OT%2FHER"), Ok(1));
        let link = machine().disks[0].spec.by_id()[0].clone();
        assert_eq!(find(&format!("coreos.inst.install_dev={link}")), Ok(0));
        let wrong = find("coreos.inst.install_dev=/dev/vdb harmony.disk_serial=THIRD");
        assert_eq!(wrong, Err("/dev/vdb has serial OT/HER, not THIRD".to_owned()));
        assert_eq!(find("coreos.inst.install_dev=/dev/sda"), Err("/dev/sda is not a disk of this machine".to_owned()));
    }

    #[test]
    fn answer_urls_name_their_order() {
        let order = order_of("http://10.10.0.1:8080/answer/hc-0123456/2/abc").expect("valid");
        assert_eq!(order.to_string(), "hc-0123456/2");
        for other in ["http://10.10.0.1:8080/answer/hc-0123456/2", "http://10.10.0.1:8080/os/kernel"] {
            assert_eq!(order_of(other), None);
        }
    }

    #[test]
    fn not_yet_is_asked_again_and_no_is_final() {
        for (status, passes) in [(503, true), (500, true), (429, true), (404, false), (403, false), (410, false)] {
            assert_eq!(is_passing(StatusCode::from_u16(status).expect("a status")), passes, "{status}");
        }
    }
}
