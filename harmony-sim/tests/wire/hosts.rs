//! Running systems, logged in to and restarted by the real SSH driver.

use std::time::Duration;

use harmony_core::boot::Order;
use harmony_core::capability::{HostControl, HostTarget, LoginStage};
use harmony_core::error::{FailureKind, chain};
use harmony_drivers::WriteLog;
use harmony_drivers::host::ssh::{Ssh, SshSpec};
use harmony_sim::WorldSpec;
use tokio::time::timeout;

use crate::harness::{REAL, Site};

const PATIENCE: Duration = Duration::from_secs(20);

/// Harmony's side of SSH.
pub(crate) struct Harmony {
    pub(crate) ssh: Ssh,
    writes: WriteLog,
    _folder: tempfile::TempDir,
}

impl Harmony {
    pub(crate) fn new(site: &Site) -> Self {
        let (folder, writes) = (tempfile::tempdir().expect("folder"), WriteLog::default());
        let spec = SshSpec {
            user_live: "root".to_owned(),
            user_installed: "core".to_owned(),
            key_file: folder.path().join("id_ed25519"),
            port: site.wire.ssh_port(),
        };
        let ssh = Ssh::new(spec, folder.path(), writes.clone()).expect("a key");
        Self { ssh, writes, _folder: folder }
    }

    /// Status and output of a command, once the host answers.
    pub(crate) async fn run(&self, target: &HostTarget, command: &str) -> (Option<u32>, String) {
        let answer = async {
            loop {
                match self.ssh.run(target, command, PATIENCE).await {
                    Ok(output) => return (output.status, output.stdout),
                    Err(error) => assert_eq!(error.kind(), FailureKind::Unreachable, "{command}: {}", chain(&error)),
                }
            }
        };
        timeout(REAL, answer).await.unwrap_or_else(|_| panic!("{command}: nobody answers"))
    }
}

impl Harmony {
    /// Why a host that answers does not let us in.
    async fn refused(&self, target: &HostTarget) -> String {
        let answer = async {
            loop {
                let error = self.ssh.run(target, "true", PATIENCE).await.expect_err("not let in");
                if error.kind() != FailureKind::Unreachable {
                    assert_eq!(error.kind(), FailureKind::Rejected, "{}", chain(&error));
                    return chain(&error);
                }
            }
        };
        timeout(REAL, answer).await.expect("somebody answers")
    }
}

fn installed(order: &Order) -> HostTarget {
    let stage = LoginStage::Installed { order: order.id.number };
    HostTarget { host: order.id.host.clone(), address: order.address, stage }
}

#[tokio::test]
async fn an_installed_system_runs_commands_and_restarts() {
    let site = Site::new(WorldSpec::rack(7, 1)).await;
    let harmony = Harmony::new(&site);
    let order = site.install("node-1", &harmony.ssh.public_key()).await;
    let target = installed(&order);
    assert_eq!(harmony.run(&target, "hostname").await, (Some(0), "node-1\n".to_owned()));
    assert_eq!(harmony.run(&target, "no-such-thing").await.0, Some(127));
    let (_, bond) = harmony.run(&target, "cat /proc/net/bonding/bond0").await;
    assert!(bond.contains("802.3ad"), "{bond}");
    let boot_id = "cat /proc/sys/kernel/random/boot_id";
    let before = harmony.run(&target, boot_id).await.1;
    let starts = site.machine("node-1").starts;
    harmony.ssh.reboot(&target).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(harmony.writes.entries().len(), 1);
    site.until("it restarts", |world| world.machine("node-1").is_some_and(|m| m.starts > starts)).await;
    site.until("it is back", |world| world.machine("node-1").is_some_and(|m| m.hostname.is_some() && m.reachable))
        .await;
    // The same system, so the pinned key still fits; another boot of it.
    assert_ne!(harmony.run(&target, boot_id).await.1, before);
    let written = site.world.writes().iter().filter(|write| write.driver == "host").count();
    assert_eq!(written, 1, "the world saw it too");
}

#[tokio::test]
async fn only_the_right_key_opens_and_a_changed_host_key_is_refused() {
    let site = Site::new(WorldSpec::rack(7, 1)).await;
    let (ours, strangers) = (Harmony::new(&site), Harmony::new(&site));
    let order = site.install("node-1", &ours.ssh.public_key()).await;
    let target = installed(&order);
    assert_eq!(ours.run(&target, "true").await.0, Some(0));
    let refused = strangers.refused(&target).await;
    assert!(refused.contains("may not log in"), "{refused}");
    // As root, who has no key on an installed system.
    let live = HostTarget { stage: LoginStage::Live, ..target.clone() };
    let refused = ours.refused(&live).await;
    assert!(refused.contains("user `root` may not log in"), "{refused}");
    // Somebody installs it again behind Harmony's back.
    let again = site.reinstall("node-1", &order, &ours.ssh.public_key()).await;
    assert_eq!(again.address, order.address);
    let refused = ours.refused(&target).await;
    assert!(refused.contains("the host key is SHA256:"), "{refused}");
}

#[tokio::test]
async fn a_machine_that_loses_power_answers_no_more() {
    let site = Site::new(WorldSpec::rack(7, 1)).await;
    let harmony = Harmony::new(&site);
    let order = site.install("node-1", &harmony.ssh.public_key()).await;
    let target = installed(&order);
    assert_eq!(harmony.run(&target, "true").await.0, Some(0));
    site.world.power_by_hand("node-1", harmony_core::capability::PowerAction::Off);
    let gone = loop {
        // Until the front has noticed.
        if let Err(error) = harmony.ssh.run(&target, "true", PATIENCE).await {
            break error;
        }
    };
    assert_eq!(gone.kind(), FailureKind::Unreachable, "{}", chain(&gone));
}
