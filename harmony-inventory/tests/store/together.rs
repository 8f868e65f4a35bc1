//! Several programs on one file.

use harmony_core::boot::OrderState;
use harmony_core::store::{Store, StoreError};
use harmony_inventory::Inventory;

use crate::fixtures::*;
use crate::runs::record;

/// Two handles are two programs to SQLite: other connections, other locks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_lose_nothing_and_wait_for_each_other() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (one, two) = (open_in(&folder).await, open_in(&folder).await);
    let run = one.begin_run("p", at(0)).await.expect("begun");
    let writer = |store: Inventory, parity: u64| {
        tokio::spawn(async move {
            for step in 0..100 {
                store.append(run, &record(2 * step + parity + 1)).await.expect("appended");
                // A transaction that reads before it writes, on the same machine as the other's.
                store.record_sighting(&sighting(1)).await.expect("recognised");
            }
        })
    };
    let (a, b) = (writer(one.clone(), 0), writer(two.clone(), 1));
    a.await.expect("no panic");
    b.await.expect("no panic");
    let seen: Vec<_> = one.journal(run).await.expect("read").into_iter().map(|record| record.seq).collect();
    assert_eq!(seen, (1..=200).collect::<Vec<_>>());
    let hosts = two.hosts().await.expect("read");
    assert_eq!(hosts.iter().map(|host| host.revision).collect::<Vec<_>>(), [200]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_has_written_the_other_reads() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (one, two) = (open_in(&folder).await, open_in(&folder).await);
    for machine in 1..=5 {
        let id = discovered(&one, machine).await;
        assert!(two.host(&id).await.expect("read").is_some());
    }
    assert_eq!(two.hosts_changed_since(3).await.expect("read").hosts.len(), 2);
}

/// Each keeps what it has read of hosts and orders; what the other does to them must not be missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_knows_already_is_changed_by_the_other() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (one, two) = (open_in(&folder).await, open_in(&folder).await);
    let hosts = [acquired(&one, 1).await, acquired(&one, 2).await];
    for (number, host) in (1..).zip(&hosts) {
        one.create_order(&order(host, 1, number), &token("t")).await.expect("given");
    }
    let (mut before, mut orders) = (two.hosts().await.expect("read"), two.orders().await.expect("read"));
    assert_eq!((before.len(), orders.len()), (2, 2));

    one.redeem_token(&orders[0].id, &token("t"), at(5)).await.expect("redeemed");
    orders[0].state = OrderState::Answered;
    assert_eq!(two.orders().await.expect("read"), orders);
    assert_eq!(two.latest_order(&orders[0].id.host).await.expect("read").as_ref(), Some(&orders[0]));
    one.set_bmc(&before[1].id, &"bmc-9".parse().expect("valid")).await.expect("bound");
    before[1] = one.host(&before[1].id).await.expect("read").expect("there");
    assert_eq!(two.hosts().await.expect("read"), before);

    one.advance_order(&orders[0].id, OrderState::Answered, OrderState::Cancelled, None).await.expect("cancelled");
    one.forget(&orders[0].id.host).await.expect("forgotten");
    let (gone, left) = (orders.remove(0), two.hosts().await.expect("read"));
    assert_eq!(left.len(), 1);
    assert!(left.iter().all(|host| host.id != gone.id.host));
    assert_eq!(two.orders().await.expect("read"), orders, "its orders went with it");
}

/// Of many who use one token at once, one gets the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_used_by_one_of_many() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let stores = [open_in(&folder).await, open_in(&folder).await];
    let host = acquired(&stores[0], 1).await;
    let order = order(&host, 1, 1);
    stores[0].create_order(&order, &token("t")).await.expect("given");
    let attempts: Vec<_> = (0..8)
        .map(|attempt: usize| {
            let (store, id) = (stores[attempt % 2].clone(), order.id.clone());
            tokio::spawn(async move { store.redeem_token(&id, &token("t"), at(5)).await })
        })
        .collect();
    let mut used = 0;
    for attempt in attempts {
        match attempt.await.expect("no panic") {
            Ok(()) => used += 1,
            Err(StoreError::Conflict(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(used, 1);
}

/// A new file that several programs open at the same moment is made once, whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_make_the_file_at_once() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("new").join("harmony.db").to_str().expect("UTF-8").to_owned();
    let opening: Vec<_> = (0..6)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { Inventory::open(&path).await })
        })
        .collect();
    for inventory in opening {
        let inventory = inventory.await.expect("no panic").expect("opens");
        inventory.begin_run("p", at(0)).await.expect("begun");
    }
    let runs = Inventory::open(&path).await.expect("opens").runs().await.expect("read");
    assert_eq!(runs.len(), 6);
}
