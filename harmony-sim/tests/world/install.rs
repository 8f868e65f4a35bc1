//! Installing by an order: once, on the disk that it names.

use std::time::Duration;

use harmony_core::boot::{BootEventKind, InstallProgress, OrderState, Stage};
use harmony_core::capability::{
    Bmc, BootDevice, BootTarget, HostControl, HostTarget, LoginStage, PowerAction, PxeServer,
};
use harmony_core::error::FailureKind;
use harmony_core::secret::Secret;
use harmony_core::store::Document;

use crate::harness::{BOOT, Site, rack};

#[tokio::test(start_paused = true)]
async fn an_order_is_installed_on_its_disk_and_starts_from_it() {
    let site = Site::new(rack(1));
    let order = site.install("node-1", 1).await;
    assert_eq!(site.state(&order).await, OrderState::Installed);
    let machine = site.machine("node-1");
    assert_eq!(machine.address, Some(order.address), "the bond has the reserved address");
    assert_eq!((machine.stage, machine.installs, machine.order.as_ref()), (Stage::Bonded, 1, Some(&order.id)));
    let written = site.world.disk_writes();
    assert_eq!((written.len(), written[0].serial.as_str()), (1, "DISK-00001-A"));
    let hostname = site.ssh(&order, "hostname").await.expect("answers").stdout;
    assert_eq!(hostname, "node-1\n");
    let events = site.store.boot_events(&order.id.host, Some(order.issued_at)).await.expect("reads");
    let progress = InstallProgress::of(&order.id, &events);
    assert!(progress.is_installed() && progress.failed.is_none(), "{:?}", progress.lines());
    site.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_used_token_sends_the_host_to_its_disk() {
    let site = Site::new(rack(1));
    let order = site.install("node-1", 1).await;
    let boot_id = site.ssh(&order, "cat /proc/sys/kernel/random/boot_id").await.expect("answers").stdout;
    site.netboot("node-1").await;
    let is_up =
        |world: &harmony_sim::World| world.machine("node-1").is_some_and(|m| m.hostname.is_some() && m.reachable);
    assert!(site.world.until(BOOT, is_up).await);
    let again = site.ssh(&order, "cat /proc/sys/kernel/random/boot_id").await.expect("answers").stdout;
    assert_ne!(boot_id, again);
    assert_eq!(site.machine("node-1").installs, 1);
    let events = site.store.boot_events(&order.id.host, None).await.expect("reads");
    assert!(events.iter().any(|event| event.kind == BootEventKind::DiskScript));
}

#[tokio::test(start_paused = true)]
async fn without_the_token_nothing_is_written() {
    let site = Site::new(rack(1));
    let host = site.discover("node-1").await;
    let order = site.order(&host, 1, |_| {}).await;
    // The token was made anew after the script was fetched: the installer shows the old one.
    site.netboot("node-1").await;
    let fetched = |world: &harmony_sim::World| world.log().matches("iPXE: GET /ipxe/chain: 200").count() == 2;
    assert!(site.world.until(BOOT, fetched).await);
    let token = harmony_core::boot::BootToken(Secret::new("another"));
    site.store.reissue_order(&order.id, &token, order.expires_at).await.expect("open");
    let refused = |world: &harmony_sim::World| world.log().contains("/1/…: 403");
    assert!(site.world.until(BOOT, refused).await, "{}", site.world.log());
    assert_eq!(site.world.disk_writes(), []);
    // It restarts, gets the new script with the new token, and goes on.
    assert!(site.world.until(BOOT, |world| world.machine("node-1").is_some_and(|m| m.installs == 1)).await);
    site.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn an_expired_order_installs_nothing() {
    let site = Site::new(rack(1));
    let host = site.discover("node-1").await;
    site.order(&host, 1, |_| {}).await;
    tokio::time::sleep(Duration::from_secs(3601)).await;
    site.netboot("node-1").await;
    tokio::time::sleep(BOOT).await;
    assert_eq!((site.world.disk_writes().len(), site.machine("node-1").installs), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_disk_with_another_serial_is_not_written() {
    let mut spec = rack(1);
    spec.hosts[0].disks.push(harmony_sim::DiskSpec::blank("vdb", "OTHER"));
    let site = Site::new(spec);
    let host = site.discover("node-1").await;
    let order = site.order(&host, 1, |order| order.disk_path = "/dev/vdb".to_owned()).await;
    site.netboot("node-1").await;
    let gave_up = |world: &harmony_sim::World| world.log().contains("/dev/vdb has serial OTHER, not DISK-00001-A");
    assert!(site.world.until(BOOT, gave_up).await, "{}", site.world.log());
    let events = site.store.boot_events(&order.id.host, None).await.expect("reads");
    assert!(events.iter().any(|event| matches!(event.kind, BootEventKind::InstallFailed { .. })));
    assert_eq!(site.world.disk_writes(), []);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_installation_leaves_neither_system() {
    let mut spec = rack(1);
    spec.hosts[0].disks[0].bootable = true;
    let site = Site::new(spec);
    site.netboot("node-1").await;
    let host = site.discover("node-1").await;
    site.order(&host, 1, |_| {}).await;
    site.netboot("node-1").await;
    assert!(site.world.until(BOOT, |world| !world.disk_writes().is_empty()).await);
    site.world.power_by_hand("node-1", PowerAction::Restart);
    tokio::time::sleep(BOOT).await;
    let machine = site.machine("node-1");
    assert_eq!((machine.installs, machine.hostname, machine.agent), (0, None, false), "its disk does not start");
}

#[tokio::test(start_paused = true)]
async fn ssh_lets_in_only_who_knows_the_system() {
    let site = Site::new(rack(1));
    let host = site.discover("node-1").await;
    let live = HostTarget { host: host.id.clone(), address: host.address.expect("leased"), stage: LoginStage::Live };
    let installed = HostTarget { stage: LoginStage::Installed { order: 1 }, ..live.clone() };
    let run =
        async |target: &HostTarget, command: &str| site.topology.run(target, command, Duration::from_secs(9)).await;
    assert_eq!(run(&live, "hostname").await.expect("answers").stdout, "localhost\n");
    assert_eq!(run(&installed, "hostname").await.expect_err("refused").kind(), FailureKind::Rejected);
    let nowhere = HostTarget { address: [10, 10, 9, 9].into(), ..live.clone() };
    assert_eq!(run(&nowhere, "hostname").await.expect_err("silence").kind(), FailureKind::Unreachable);
    assert_eq!(run(&live, "rm -rf /").await.expect("answers").status, Some(127));

    let before = site.machine("node-1").starts;
    site.topology.reboot(&live).await.expect("goes down");
    assert!(site.agent("node-1").await);
    assert_eq!(site.machine("node-1").starts, before + 1);
    assert_eq!(
        site.world.writes().iter().map(ToString::to_string).collect::<Vec<_>>(),
        [format!("host {}: systemctl reboot", host.id)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_system_without_an_authorised_key_lets_nobody_in() {
    let site = Site::new(rack(1));
    let host = site.discover("node-1").await;
    let order = site.order(&host, 1, |_| {}).await;
    let mut entry = site.store.boot_entry(&host.id).await.expect("reads").expect("there");
    let BootTarget::Install { answer, .. } = &mut entry.target else { panic!("an installation") };
    let text = site.store.document(answer).await.expect("reads").expect("there").text;
    let without = Document::new("config.ign", text.replace("sshAuthorizedKeys", "otherKeys"));
    answer.clone_from(&without.hash);
    site.store.put_document(&without).await.expect("stored");
    site.topology.set_boot_entry(&entry).await.expect("stored");
    site.netboot("node-1").await;
    assert!(site.world.until(BOOT, |world| world.machine("node-1").is_some_and(|m| m.hostname.is_some())).await);
    assert!(site.world.until(BOOT, |world| world.machine("node-1").is_some_and(|m| m.address.is_some())).await);
    let refusal = site.ssh(&order, "hostname").await.expect_err("refused");
    assert_eq!(refusal.kind(), FailureKind::Rejected);
}

#[tokio::test(start_paused = true)]
async fn an_old_system_on_the_disk_starts_unless_the_bmc_says_otherwise() {
    let mut spec = rack(1);
    spec.hosts[0].disks[0].bootable = true;
    let site = Site::new(spec);
    assert!(!site.agent("node-1").await, "somebody else's system runs");
    let bmc = site.machine("node-1").bmc.expect("has one");
    site.topology.set_next_boot(&bmc, BootDevice::Network, None).await.expect("accepted");
    site.topology.power(&bmc, PowerAction::Restart).await.expect("accepted");
    assert!(site.agent("node-1").await);
    site.topology.power(&bmc, PowerAction::Restart).await.expect("accepted");
    assert!(!site.agent("node-1").await, "it held for one boot");
}
