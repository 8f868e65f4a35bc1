//! The same seed gives the same world, to the last byte of its log.

use crate::harness::{Site, rack};

async fn run(seed: u64) -> String {
    let site = Site::new(harmony_sim::WorldSpec { seed, ..rack(5) });
    let install = async |name: &str, number: u8| site.install(name, number).await;
    tokio::join!(install("node-1", 1), install("node-2", 2), install("node-3", 3), install("node-4", 4));
    site.assert_clean();
    site.world.log()
}

#[tokio::test(start_paused = true)]
async fn the_log_is_the_same_twice_and_another_with_another_seed() {
    let first = run(1).await;
    assert_eq!(first, run(1).await);
    assert_ne!(first, run(2).await);
    assert!(first.lines().count() > 100, "{first}");
}

#[tokio::test(start_paused = true)]
async fn the_store_takes_no_time_of_the_world() {
    let site = Site::new(rack(1));
    let before = site.world.now();
    // More calls than a task may make before it has to give way.
    for _ in 0..500 {
        assert_eq!(site.store.hosts().await.expect("reads"), []);
    }
    assert_eq!(site.world.now(), before);
}
