//! BMCs, each vendor's with its habits; the capability copes with all of them.

use std::time::Duration;

use harmony_core::capability::{Bmc, BootDevice, PowerAction, PowerState};
use harmony_core::host::BmcId;
use harmony_sim::{BmcPersonality, Fault, WorldSpec};
use uuid::Uuid;

use crate::harness::{Site, rack};

const S: Duration = Duration::from_secs(1);

/// A machine with a system of somebody's on its disk, so that only a boot device that was set makes it
/// boot from the network.
fn with(personality: BmcPersonality) -> (WorldSpec, BmcId) {
    let mut spec = rack(1);
    spec.hosts[0].bmc_personality = personality;
    spec.hosts[0].disks[0].bootable = true;
    (spec, "bmc-1".parse().expect("valid"))
}

#[tokio::test(start_paused = true)]
async fn a_uuid_may_come_in_the_other_byte_order() {
    for (personality, is_swapped) in [(BmcPersonality::Generic, false), (BmcPersonality::Supermicro, true)] {
        let (spec, bmc) = with(personality);
        let site = Site::new(spec);
        let (told, real) =
            (site.topology.system_uuid(&bmc).await.expect("reads").expect("told"), site.machine("node-1").uuid);
        assert_eq!((told != real, Uuid::from_bytes(told.to_bytes_le()) == real), (is_swapped, is_swapped));
    }
}

#[tokio::test(start_paused = true)]
async fn a_boot_device_is_set_once_the_self_test_is_over() {
    for (personality, is_refused) in [(BmcPersonality::Generic, false), (BmcPersonality::Ilo, true)] {
        let (spec, bmc) = with(personality);
        let site = Site::new(spec);
        tokio::time::sleep(S).await;
        site.topology.set_next_boot(&bmc, BootDevice::Network, None).await.expect("in the end");
        assert_eq!(site.world.log().contains("refuses for now: the system is in POST"), is_refused);
        site.topology.power(&bmc, PowerAction::Restart).await.expect("accepted");
        assert!(site.agent("node-1").await, "{personality:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_or_a_machine_just_switched_off_is_waited_for() {
    for (personality, refusals) in [(BmcPersonality::Generic, [0, 0]), (BmcPersonality::Idrac, [1, 1])] {
        let (spec, bmc) = with(personality);
        let site = Site::new(spec);
        site.topology.set_next_boot(&bmc, BootDevice::Network, None).await.expect("accepted");
        site.topology.power(&bmc, PowerAction::Off).await.expect("accepted");
        site.topology.power(&bmc, PowerAction::On).await.expect("accepted");
        let log = site.world.log();
        for (why, at_least) in [("a job is running", refusals[0]), ("was switched off just now", refusals[1])] {
            let count = log.matches(why).count();
            assert!(count >= at_least && (at_least > 0 || count == 0), "{personality:?}: {why} {count}\n{log}");
        }
        assert!(site.agent("node-1").await, "{personality:?}");
        assert_eq!(site.topology.power_state(&bmc).await.expect("reads"), PowerState::On);
    }
}

#[tokio::test(start_paused = true)]
async fn a_boot_device_may_be_forgotten_if_nothing_follows() {
    for (personality, is_lost) in [(BmcPersonality::Generic, false), (BmcPersonality::Supermicro, true)] {
        let (spec, bmc) = with(personality);
        let site = Site::new(spec);
        tokio::time::sleep(30 * S).await;
        site.topology.set_next_boot(&bmc, BootDevice::Network, None).await.expect("accepted");
        tokio::time::sleep(61 * S).await;
        site.topology.power(&bmc, PowerAction::Restart).await.expect("accepted");
        assert_eq!(site.agent("node-1").await, !is_lost, "{personality:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bmc_may_never_forget_the_boot_device() {
    let (spec, bmc) = with(BmcPersonality::Generic);
    let site = Site::new(spec);
    let fault = site.world.inject(Fault::BmcKeepsBootDevice { machine: "node-1".to_owned() });
    site.netboot("node-1").await;
    assert!(site.agent("node-1").await);
    site.topology.power(&bmc, PowerAction::Restart).await.expect("accepted");
    assert!(site.agent("node-1").await, "from the network again");
    assert_eq!(fault.fired(), 2);
}
