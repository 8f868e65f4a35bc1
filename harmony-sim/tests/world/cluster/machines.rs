//! What the stock live system and a first boot do when something is not as it should be.

use harmony_core::boot::BootToken;
use harmony_core::capability::{BootAssets, ClusterInstaller};
use harmony_core::secret::Secret;

use super::harness::{Okd, input};
use crate::harness::rack;

#[tokio::test(start_paused = true)]
async fn a_root_file_system_of_another_build_ends_in_the_emergency_shell() {
    let okd = Okd::new(rack(1), 1, 0).await;
    let images = okd.site.topology.boot_images().await.expect("named");
    let [_, _, (_, path)] = images.assets();
    // Somebody put the kernel there.
    okd.site.topology.fetch_asset(&images.kernel, &path, &|_, _| {}).await.expect("fetched");
    okd.boot("bootstrap").await;
    okd.says("coreos-livepxe-rootfs: Couldn't fetch, verify, and unpack image").await;
    assert_eq!((okd.site.world.disk_writes().len(), okd.site.machine("node-1").installs), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refused_answer_file_is_final_and_shown_on_the_console() {
    let okd = Okd::new(rack(1), 1, 0).await;
    let order = okd.boot("bootstrap").await;
    okd.says("coreos-livepxe-rootfs: GET /os/").await;
    let token = BootToken(Secret::new("another"));
    okd.site.store.reissue_order(&order.id, &token, order.expires_at).await.expect("open");
    okd.says("coreos-installer: fetching Ignition config: HTTP status 403").await;
    let console = okd.site.machine("node-1").console;
    assert!(console.last().is_some_and(|line| line.contains("403") && line.contains("emergency shell")), "{console:?}");
    assert_eq!(okd.site.world.disk_writes(), []);
}

#[tokio::test(start_paused = true)]
async fn without_its_role_configuration_an_answer_waits() {
    let mut okd = Okd::new(rack(1), 1, 0).await;
    // What was made since is another cluster: the order names a file that the private folder has no more as it was.
    for role in okd.artefacts.roles.values_mut() {
        role.sha256 = "0".repeat(64);
    }
    okd.boot("bootstrap").await;
    okd.says("/1/…: 503").await;
    assert_eq!(okd.site.world.disk_writes(), []);
}

#[tokio::test(start_paused = true)]
async fn machines_of_an_older_generation_believe_no_other() {
    let okd = Okd::new(rack(2), 1, 0).await;
    let second = okd.site.topology.make_artefacts(&input(1)).await.expect("made");
    assert_eq!((okd.artefacts.generation, second.generation), (1, 2));
    let newer = Okd { artefacts: second, ..okd };
    newer.boot("bootstrap").await;
    newer.says("API and machine config server answer").await;
    let older = newer.site.topology.make_artefacts(&input(1)).await.expect("made");
    let older = Okd { artefacts: older, ..newer };
    older.boot("master-0").await;
    older.says("x509: certificate signed by unknown authority; tries again").await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_of_another_installer_is_known_from_its_bootstrap() {
    let okd = Okd::new(rack(2), 1, 0).await;
    // What another program made: the same files with another root certificate, and the cluster's own description.
    let other = okd.with_foreign_artefacts("-----BEGIN CERTIFICATE-----\nb3RoZXI=\n-----END CERTIFICATE-----\n");
    other.boot("bootstrap").await;
    other.says("cluster ocp4: begins with a bootstrap of another installer").await;
    other.boot("master-0").await;
    other.reaches(|state, now| state.bootstrap_is_complete(now)).await;
    other.site.assert_clean();
}
