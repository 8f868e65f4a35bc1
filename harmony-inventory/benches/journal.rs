//! How many records a second the journal takes, one after the other as the engine appends them,
//! and what a sighting and a report cost.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use harmony_core::event::{Event, Record};
use harmony_core::host::SystemIdentity;
use harmony_core::net::MacAddress;
use harmony_core::store::{Sighting, Store};
use harmony_inventory::Inventory;
use jiff::Timestamp;

fn record(seq: u64) -> Record {
    let step = format!("provision/hc-7KQ2M9X/reboot-{seq}");
    let event = Event::StepStarted { score: "host-provisioning".into(), step, attempt: 1 };
    Record { seq, at: Timestamp::UNIX_EPOCH, event }
}

async fn appending(url: &str, records: u64) -> Duration {
    let store = Inventory::open(url).await.expect("opens");
    let run = store.begin_run("bench", Timestamp::UNIX_EPOCH).await.expect("begun");
    let begun = Instant::now();
    for seq in 1..=records {
        store.append(run, &record(seq)).await.expect("appended");
    }
    begun.elapsed()
}

/// Sightings of hosts that are known, among so many.
async fn sighting(url: &str, hosts: u64, sightings: u64) -> Duration {
    let store = Inventory::open(url).await.expect("opens");
    let sighting = |number: u64| {
        let [high, low] = u16::try_from(number % hosts).unwrap_or_default().to_be_bytes();
        let macs = [0, 1].map(|nic| MacAddress::new([0x52, 0x54, nic, 0, high, low]));
        let identity = SystemIdentity::new(None, Some(&format!("SN-{}", number % hosts)), macs);
        Sighting { identity, address: Some([10, 0, high, low].into()), agent_port: None, at: Timestamp::UNIX_EPOCH }
    };
    for number in 0..hosts {
        store.record_sighting(&sighting(number)).await.expect("registered");
    }
    let begun = Instant::now();
    for number in 0..sightings {
        store.record_sighting(&sighting(number)).await.expect("recognised");
    }
    begun.elapsed()
}

fn journal(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("runtime");
    let mut group = c.benchmark_group("inventory");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    let path = |folder: &tempfile::TempDir| folder.path().join("harmony.db").display().to_string();
    group.bench_function("append in memory", |b| {
        b.iter_custom(|records| runtime.block_on(appending("sqlite::memory:", records)));
    });
    group.bench_function("append to a file", |b| {
        b.iter_custom(|records| {
            let folder = tempfile::tempdir().expect("temporary folder");
            runtime.block_on(appending(&path(&folder), records))
        });
    });
    for hosts in [100, 1000, 3000] {
        group.bench_function(format!("sighting of one of {hosts} hosts, to a file"), |b| {
            b.iter_custom(|sightings| {
                let folder = tempfile::tempdir().expect("temporary folder");
                runtime.block_on(sighting(&path(&folder), hosts, sightings))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, journal);
criterion_main!(benches);
