//! Documents, boot entries, evidence.

use harmony_core::boot::{BootEvent, BootEventKind};
use harmony_core::capability::{BootEntry, BootTarget};
use harmony_core::host::HostId;
use harmony_core::store::{Document, Store, StoreError};

use crate::fixtures::*;

fn event(host: Option<&HostId>, seconds: i64, kind: BootEventKind) -> BootEvent {
    BootEvent {
        at: at(seconds),
        host: host.cloned(),
        mac: Some(mac(1, 0)),
        address: Some(address(1)),
        order: None,
        kind,
    }
}

crate::on_memory_and_file! {
    async fn a_text_is_stored_once_under_its_hash(store) {
        let document = Document::new("config.ign", "{\"ignition\":{}}\u{1F680}");
        store.put_document(&document).await.expect("stored");
        store.put_document(&document).await.expect("stored already");
        assert_eq!(store.document(&document.hash).await.expect("read"), Some(document.clone()));
        assert_eq!(store.document("00").await.expect("read"), None);
        let forged = Document { text: "other".into(), ..document.clone() };
        let refused = store.put_document(&forged).await;
        assert!(matches!(&refused, Err(StoreError::Invalid { what, .. }) if what.contains("config.ign")), "{refused:?}");
        assert_eq!(store.document(&document.hash).await.expect("read"), Some(document));
    }

    async fn an_entry_is_replaced_and_removed(store) {
        let (one, two) = (acquired(&store, 1).await, acquired(&store, 2).await);
        let order = order(&one, 1, 1).id;
        let macs = vec![mac(1, 0), mac(1, 1)];
        let mut entry = BootEntry { host: one.clone(), macs, target: BootTarget::Install { order, script: "a".into(), answer: "b".into(), base: None } };
        store.set_boot_entry(&entry).await.expect("set");
        assert_eq!(store.boot_entry(&one).await.expect("read"), Some(entry.clone()));
        entry.target = BootTarget::Disk;
        store.set_boot_entry(&entry).await.expect("replaced");
        let other = BootEntry { host: two, macs: vec![mac(2, 0)], target: BootTarget::Inventory };
        store.set_boot_entry(&other).await.expect("set");
        let mut all = vec![entry, other.clone()];
        all.sort_by(|a, b| a.host.cmp(&b.host));
        assert_eq!(store.boot_entries().await.expect("read"), all);
        store.remove_boot_entry(&one).await.expect("removed");
        store.remove_boot_entry(&one).await.expect("removed already");
        assert_eq!(store.boot_entries().await.expect("read"), std::slice::from_ref(&other));
        let stranger = BootEntry { host: HostId::derive("nobody", 0), ..other };
        let refused = store.set_boot_entry(&stranger).await;
        assert!(matches!(&refused, Err(StoreError::NotFound(text)) if text.contains(stranger.host.as_str())), "{refused:?}");
    }

    async fn failures_are_found_among_all_evidence(store) {
        let (one, two) = (discovered(&store, 1).await, discovered(&store, 2).await);
        let failed = || BootEventKind::InstallFailed { reason: "digest".into() };
        for event in [
            event(Some(&one), 3, failed()),
            event(Some(&one), 9, BootEventKind::InstallScript),
            event(Some(&two), 5, BootEventKind::InstallDone),
            event(None, 9, failed()),
        ] {
            store.add_boot_event(&event).await.expect("added");
        }
        assert_eq!(store.failed_installations(at(3)).await.expect("read"), [one].into());
        assert!(store.failed_installations(at(4)).await.expect("read").is_empty());
    }

    async fn evidence_comes_back_in_the_order_in_which_it_came(store) {
        let id = discovered(&store, 1).await;
        let mut answered = event(Some(&id), 3, BootEventKind::Answer);
        answered.order = Some(order(&id, 1, 1).id);
        let events = [
            event(Some(&id), 1, BootEventKind::Chain),
            event(None, 2, BootEventKind::Tftp { path: "ipxe.efi".into() }),
            answered,
            event(Some(&id), 4, BootEventKind::InstallFailed { reason: "digest".into() }),
        ];
        for event in &events {
            store.add_boot_event(event).await.expect("added");
        }
        let of_host = [&events[0], &events[2], &events[3]].map(Clone::clone);
        assert_eq!(store.boot_events(&id, None).await.expect("read"), of_host);
        assert_eq!(store.boot_events(&id, Some(at(3))).await.expect("read"), of_host[1..]);
        assert_eq!(store.latest_boot_events(2).await.expect("read"), events[2..]);
        assert_eq!(store.latest_boot_events(100).await.expect("read"), events);
        let stranger = event(Some(&HostId::derive("nobody", 0)), 1, BootEventKind::Chain);
        assert!(matches!(store.add_boot_event(&stranger).await, Err(StoreError::NotFound(_))));
    }
}

/// A flood of one client costs it its own oldest evidence, and nobody else theirs.
#[tokio::test]
async fn a_flood_does_not_fill_the_disk_nor_drown_others() {
    let store = harmony_inventory::Inventory::open("sqlite::memory:").await.expect("opens");
    let id = discovered(&store, 1).await;
    store.add_boot_event(&event(Some(&id), 0, BootEventKind::Chain)).await.expect("added");
    for number in 0..10_010 {
        store.add_boot_event(&event(None, number, BootEventKind::Chain)).await.expect("added");
    }
    let kept = store.latest_boot_events(u32::MAX).await.expect("read");
    assert_eq!(kept.iter().filter(|event| event.host.is_none()).count(), 10_000);
    assert_eq!(kept.last().map(|event| event.at), Some(at(10_009)));
    assert_eq!(store.boot_events(&id, None).await.expect("read").len(), 1);
}
