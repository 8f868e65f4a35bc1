//! Machines do what they are served: what is wrong in a script, a Kickstart, an image or an answer file shows in
//! what becomes of the machine.

use std::time::Duration;

use harmony_core::boot::{BootEventKind, OrderState, Stage};
use harmony_core::capability::{BootTarget, PxeServer, Switch};
use harmony_core::host::Firmware;
use harmony_core::store::Document;
use harmony_sim::{BootRom, LiveFlavour, WorldSpec};

use crate::harness::{BOOT, Site, rack};

/// Changes a stored document of a machine's order.
async fn change(site: &Site, order: &harmony_core::boot::Order, is_script: bool, from: &str, to: &str) {
    let mut entry = site.store.boot_entry(&order.id.host).await.expect("reads").expect("there");
    let BootTarget::Install { script, answer, .. } = &mut entry.target else { panic!("an installation") };
    let hash = if is_script { script } else { answer };
    let document = site.store.document(hash).await.expect("reads").expect("there");
    assert!(document.text.contains(from), "{}", document.text);
    let changed = Document::new(&document.name, document.text.replace(from, to));
    hash.clone_from(&changed.hash);
    site.store.put_document(&changed).await.expect("stored");
    site.topology.set_boot_entry(&entry).await.expect("stored");
}

/// Orders an installation with one thing changed, and boots the machine.
async fn ordered(is_script: bool, from: &str, to: &str) -> (Site, harmony_core::boot::Order) {
    let site = Site::new(rack(1));
    let host = site.discover("node-1").await;
    let order = site.order(&host, 1, |_| {}).await;
    change(&site, &order, is_script, from, to).await;
    site.netboot("node-1").await;
    (site, order)
}

async fn until_log(site: &Site, text: &str) {
    let says = |world: &harmony_sim::World| world.log().contains(text);
    assert!(site.world.until(BOOT, says).await, "no `{text}` in\n{}", site.world.log());
}

async fn kinds(site: &Site) -> Vec<BootEventKind> {
    let events = site.store.latest_boot_events(1000).await.expect("reads");
    events.into_iter().map(|event| event.kind).collect()
}

#[tokio::test(start_paused = true)]
async fn evidence_of_a_boot_is_the_boot_servers_own() {
    let mut spec = rack(1);
    (spec.hosts[0].firmware, spec.hosts[0].rom) = (Firmware::Bios, BootRom::BiosPxe);
    let site = Site::new(spec);
    site.discover("node-1").await;
    let expected = [
        BootEventKind::Tftp { path: "undionly.kpxe".to_owned() },
        BootEventKind::Chain,
        BootEventKind::InventoryScript,
        BootEventKind::Asset { path: "sim/live-kernel.x86_64".to_owned(), complete: false },
        BootEventKind::Asset { path: "sim/live-kernel.x86_64".to_owned(), complete: true },
        BootEventKind::Asset { path: "sim/live-initramfs.x86_64.img".to_owned(), complete: false },
        BootEventKind::Asset { path: "sim/live-initramfs.x86_64.img".to_owned(), complete: true },
        BootEventKind::Announced { port: harmony_core::report::AGENT_PORT },
    ];
    let announced = async || kinds(&site).await.contains(&expected[7]);
    for _ in 0..50 {
        if announced().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(kinds(&site).await, expected);
}

#[tokio::test(start_paused = true)]
async fn uefi_boots_over_http() {
    let mut spec = rack(1);
    (spec.hosts[0].firmware, spec.hosts[0].rom) = (Firmware::Uefi, BootRom::UefiHttp);
    let site = Site::new(spec);
    let order = site.install("node-1", 1).await;
    assert_eq!(site.state(&order).await, OrderState::Installed);
    assert!(site.world.log().contains("UEFI HTTP Boot: HEAD /os/ipxe.efi: 200"), "{}", site.world.log());
}

#[tokio::test(start_paused = true)]
async fn anaconda_runs_the_agent_that_its_kickstart_fetches() {
    let site = Site::new(WorldSpec { live: LiveFlavour::Anaconda, ..rack(1) });
    site.discover("node-1").await;
    let log = site.world.log();
    for line in [
        "GET /os/sim/anaconda/images/install.img: 200",
        "GET /ks/inventory.ks: 200",
        "GET /agent/harmony-inventory-agent: 200",
    ] {
        assert!(log.contains(&format!("Anaconda: {line}")), "{log}");
    }
    assert!(kinds(&site).await.contains(&BootEventKind::AgentBinary));
    site.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_typo_in_a_script_leads_nowhere() {
    let (site, order) = ordered(true, "kernel --timeout", "kernal --timeout").await;
    until_log(&site, "iPXE: GET /boot.ipxe: 200").await;
    // The script's own `|| goto again` catches it, for ever.
    until_log(&site, "iPXE: Harmony: the installer did not start; asking the boot server again").await;
    tokio::time::sleep(BOOT).await;
    assert_eq!((site.state(&order).await, site.world.disk_writes().len()), (OrderState::Issued, 0));

    let (site, _) = ordered(true, "kernel --timeout 30000", "goto nowhere\nkernel --timeout 30000").await;
    until_log(&site, "iPXE: chain line 3: `goto`: No such label :nowhere").await;
    assert_eq!(site.machine("node-1").installs, 0);
}

#[tokio::test(start_paused = true)]
async fn another_image_than_ordered_is_not_started_from() {
    let digest = "harmony.image_sha256=";
    let (site, order) = ordered(true, digest, "harmony.image_sha256=00").await;
    until_log(&site, "the order says 00").await;
    let machine = site.machine("node-1");
    assert_eq!((machine.installs, site.world.disk_writes().len()), (0, 1), "written, and known to be wrong");
    let failed = BootEventKind::InstallFailed { reason: "digest".to_owned() };
    assert!(kinds(&site).await.contains(&failed));
    assert_eq!(site.state(&order).await, OrderState::Answered);
    tokio::time::sleep(BOOT).await;
    assert_eq!(site.machine("node-1").hostname, None, "half a disk does not start");

    let (site, _) = ordered(true, "metal.x86_64.raw.zst", "nothing.raw.zst").await;
    until_log(&site, "installer: gives up: the server has no image: 404 Not Found").await;
}

#[tokio::test(start_paused = true)]
async fn wrong_arguments_end_where_they_would_on_hardware() {
    for (from, to, says) in [
        ("initrd=main ", "", "live environment: "),
        ("initrd --timeout 30000 --name main", "echo", "kernel panic: no initramfs"),
        ("eth0,eth1", "eno1,eno2", "makes no LACP bond here; waits for a network card"),
        (
            "coreos.inst.image_url=",
            "coreos.inst.image=",
            "gives up: no coreos.inst.image_url on the kernel command line",
        ),
        ("coreos.inst.install_dev=", "x=", "agent answers"),
    ] {
        let (site, _) = ordered(true, from, to).await;
        if from.starts_with("initrd=") {
            // A PC BIOS takes everything that is loaded; UEFI only what is named.
            assert!(site.world.until(BOOT, |world| world.machine("node-1").is_some_and(|m| m.installs == 1)).await);
            continue;
        }
        until_log(&site, says).await;
        assert_eq!((site.machine("node-1").installs, site.world.disk_writes()), (0, vec![]), "{from}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_installer_bonds_by_its_arguments() {
    let (site, order) = ordered(true, "#!ipxe", "#!ipxe\n# the same").await;
    let bonded = |world: &harmony_sim::World| {
        world.machine("node-1").is_some_and(|m| m.stage == Stage::Bonded && m.hostname.is_none() && m.reachable)
    };
    assert!(site.world.until(BOOT, bonded).await, "{}", site.world.log());
    let lag = site.lag("node-1");
    site.topology.set_ports_lacp_mode(&lag).await.expect("accepted");
    assert!(site.world.until(BOOT, |world| world.machine("node-1").is_some_and(|m| m.installs == 1)).await);
    assert_eq!(site.state(&order).await, OrderState::Installed, "it went on over the bundle");
}

#[tokio::test(start_paused = true)]
async fn an_answer_file_that_is_none_stops_the_first_boot() {
    let (site, _) = ordered(false, "\"version\": \"3.2.0\"", "\"version\": \"2.2.0\"").await;
    assert!(site.world.until(BOOT, |world| world.machine("node-1").is_some_and(|m| m.installs == 1)).await);
    until_log(&site, "node-1: Ignition: the config is not valid").await;
    tokio::time::sleep(BOOT).await;
    let machine = site.machine("node-1");
    assert_eq!((machine.hostname, machine.address, machine.reachable), (None, None, false));
}

#[tokio::test(start_paused = true)]
async fn not_yet_is_asked_again_and_no_is_final() {
    // The answer file is not there yet: its document comes later.
    let site = Site::new(rack(1));
    let host = site.discover("node-1").await;
    let order = site.order(&host, 1, |_| {}).await;
    let mut entry = site.store.boot_entry(&host.id).await.expect("reads").expect("there");
    let BootTarget::Install { answer, .. } = &mut entry.target else { panic!("an installation") };
    let right = std::mem::replace(answer, "0".repeat(64));
    site.topology.set_boot_entry(&entry).await.expect("stored");
    site.netboot("node-1").await;
    until_log(&site, "/1/…: 503").await;
    assert_eq!(site.state(&order).await, OrderState::Issued);
    let BootTarget::Install { answer, .. } = &mut entry.target else { panic!("an installation") };
    *answer = right;
    site.topology.set_boot_entry(&entry).await.expect("stored");
    assert!(site.world.until(BOOT, |world| world.machine("node-1").is_some_and(|m| m.installs == 1)).await);
    site.assert_clean();

    let (site, _) = ordered(true, "/answer/", "/nothing/").await;
    until_log(&site, "installer: gives up: the server refused the answer file for good: 404 Not Found").await;
}

#[tokio::test(start_paused = true)]
async fn without_a_boot_server_nothing_boots() {
    let world = harmony_sim::World::new(rack(1)).expect("a world");
    tokio::time::sleep(BOOT).await;
    let log = world.log();
    assert!(log.contains("iPXE: DHCP names no file to boot") && log.contains("nothing to start from"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn the_log_shows_no_token() {
    let site = Site::new(rack(1));
    let order = site.install("node-1", 1).await;
    let token = site.store.order_token(&order.id).await.expect("reads").expect("there");
    assert!(!site.world.log().contains(token.0.expose()), "{}", site.world.log());
}
