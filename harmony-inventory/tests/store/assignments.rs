//! Roles, lifecycle, BMCs, and forgetting.

use harmony_core::boot::OrderState;
use harmony_core::host::{Assignment, HostId, Lifecycle, LifecycleEvent};
use harmony_core::store::{Document, Store, StoreError};

use crate::fixtures::*;

crate::on_memory_and_file! {
    async fn a_role_makes_a_free_host_an_acquired_one(store) {
        let id = discovered(&store, 1).await;
        store.assign(&id, &assignment("master-0"), at(3)).await.expect("assigned");
        let host = store.host(&id).await.expect("read").expect("there");
        assert_eq!((host.lifecycle, host.assignment.clone()), (Lifecycle::Acquired, Some(assignment("master-0"))));
        store.assign(&id, &assignment("master-0"), at(4)).await.expect("the same again");
        assert_eq!(store.host(&id).await.expect("read").expect("there"), host, "nothing changed");
        let erase = Assignment { erase: Some("D1".into()), disk: Some("D1".into()), ..assignment("master-0") };
        store.assign(&id, &erase, at(5)).await.expect("changed");
        assert_eq!(store.host(&id).await.expect("read").expect("there").assignment, Some(erase));
        let history = store.history(&id).await.expect("read");
        let last = history.last().expect("acquired");
        assert_eq!((last.event, last.state, last.at, last.note.as_str()), (LifecycleEvent::Acquire, Lifecycle::Acquired, at(3), "role master-0"));
    }

    async fn a_role_is_given_once(store) {
        let (one, two) = (discovered(&store, 1).await, discovered(&store, 2).await);
        let labels = [&one, &two].map(async |id| store.host(id).await.expect("read").expect("there").label());
        let [one_label, two_label] = labels;
        let (one_label, two_label) = (one_label.await, two_label.await);
        store.assign(&one, &assignment("master-0"), at(1)).await.expect("assigned");
        let text = conflict(store.assign(&two, &assignment("master-0"), at(2)).await);
        assert_names(&text, &["`master-0`", &one_label, &two_label]);
        let text = conflict(store.assign(&one, &assignment("master-1"), at(2)).await);
        assert_names(&text, &[&one_label, "`master-1`", "`master-0`"]);
        store.unassign(&one, "by mistake", at(3)).await.expect("withdrawn");
        store.assign(&two, &assignment("master-0"), at(4)).await.expect("free again");
    }

    async fn only_a_free_host_gets_a_role(store) {
        let registered = store.record_sighting(&sighting(3)).await.expect("registered");
        assert_names(&conflict(store.assign(&registered, &assignment("a"), at(1)).await), &["hardware is not known"]);
        let used = acquired(&store, 1).await;
        store.lifecycle(&used, LifecycleEvent::Provisioned, "", at(2)).await.expect("allowed");
        let other_disk = Assignment { disk: Some("D9".into()), ..assignment("node-1") };
        assert_names(&conflict(store.assign(&used, &other_disk, at(3)).await), &["it is provisioned"]);
        let nobody = HostId::derive("nobody", 0);
        let refused = store.assign(&nobody, &assignment("b"), at(1)).await;
        assert!(matches!(&refused, Err(StoreError::NotFound(text)) if text.contains(nobody.as_str())), "{refused:?}");
    }

    async fn what_may_be_erased_is_settled_once_the_order_is_complete(store) {
        let id = acquired(&store, 1).await;
        let order = order(&id, 1, 1);
        store.create_order(&order, &token("t")).await.expect("given");
        let erase = Assignment { erase: Some("D1".into()), ..assignment("node-1") };
        store.assign(&id, &erase, at(3)).await.expect("the order is open");
        complete(&store, &order.id).await;
        assert_names(&conflict(store.assign(&id, &assignment("node-1"), at(4)).await), &["complete"]);
    }

    async fn a_host_that_never_had_an_order_is_free_again_at_once(store) {
        let id = acquired(&store, 1).await;
        assert_eq!(store.unassign(&id, "wrong rack", at(2)).await.expect("withdrawn"), Lifecycle::Discovered);
        assert_eq!(store.host(&id).await.expect("read").expect("there").assignment, None);
        assert_names(&conflict(store.unassign(&id, "", at(3)).await), &["has no role"]);
    }

    async fn a_host_that_had_an_order_is_released_to_be_wiped(store) {
        let id = acquired(&store, 1).await;
        let order = order(&id, 1, 1);
        store.create_order(&order, &token("t")).await.expect("given");
        let label = store.host(&id).await.expect("read").expect("there").label();
        for text in [conflict(store.unassign(&id, "", at(3)).await), conflict(store.lifecycle(&id, LifecycleEvent::Release, "", at(3)).await)] {
            assert_names(&text, &[&label, "/1", "issued"]);
        }
        complete(&store, &order.id).await;
        store.lifecycle(&id, LifecycleEvent::Provisioned, "", at(4)).await.expect("allowed");
        assert_eq!(store.unassign(&id, "given back", at(5)).await.expect("released"), Lifecycle::Released);
        assert_eq!(store.host(&id).await.expect("read").expect("there").assignment, None);
        // Its address and name are free for another.
        let other = acquired(&store, 2).await;
        let same_place = harmony_core::boot::Order { address: order.address, hostname: order.hostname, ..crate::fixtures::order(&other, 1, 2) };
        store.create_order(&same_place, &token("t")).await.expect("given");
    }

    async fn an_event_that_cannot_happen_changes_nothing(store) {
        let id = discovered(&store, 1).await;
        let before = store.host(&id).await.expect("read");
        let text = conflict(store.lifecycle(&id, LifecycleEvent::Wiped, "", at(2)).await);
        assert_names(&text, &[id.as_str(), "discovered", "wiped"]);
        assert_eq!(store.host(&id).await.expect("read"), before);
        assert_eq!(store.history(&id).await.expect("read").len(), 1);
    }

    async fn a_host_that_failed_is_resumed_by_its_role(store) {
        let id = acquired(&store, 1).await;
        let order = order(&id, 1, 1);
        store.create_order(&order, &token("t")).await.expect("given");
        store.lifecycle(&id, LifecycleEvent::Fail, "three attempts", at(3)).await.expect("allowed");
        assert_names(&conflict(store.assign(&id, &assignment("node-2"), at(4)).await), &["it is `node-1`"]);
        store.assign(&id, &assignment("node-1"), at(5)).await.expect("resumed, by the same role");
        assert_eq!(store.host(&id).await.expect("read").expect("there").lifecycle, Lifecycle::Acquired);
        assert_eq!(store.order(&order.id).await.expect("read").expect("there").state, OrderState::Cancelled, "still open");
        let history = store.history(&id).await.expect("read");
        let last = history.last().expect("resumed");
        assert_eq!((last.event, last.note.as_str()), (LifecycleEvent::Resume, "role node-1 again"));
        store.create_order(&crate::fixtures::order(&id, 2, 1), &token("t")).await.expect("ordered anew");
    }

    async fn a_bmc_belongs_to_one_host(store) {
        let (one, two) = (discovered(&store, 1).await, discovered(&store, 2).await);
        let bmc = "bmc-1".parse().expect("valid");
        store.set_bmc(&one, &bmc).await.expect("bound");
        store.set_bmc(&one, &bmc).await.expect("bound already");
        assert_eq!(store.host(&one).await.expect("read").expect("there").bmc, Some(bmc.clone()));
        assert_names(&conflict(store.set_bmc(&two, &bmc).await), &["`bmc-1`", one.as_str(), two.as_str()]);
    }

    async fn forgetting_takes_everything_but_documents_and_gives_the_id_to_nobody(store) {
        let id = acquired(&store, 1).await;
        let order = order(&id, 1, 1);
        let document = Document::new("config.ign", "{}");
        store.put_document(&document).await.expect("stored");
        store.create_order(&order, &token("t")).await.expect("given");
        assert_names(&conflict(store.forget(&id).await), &["hc-", "/1", "cannot be forgotten"]);
        store.advance_order(&order.id, OrderState::Issued, OrderState::Cancelled, None).await.expect("cancelled");
        store.forget(&id).await.expect("forgotten");
        assert_eq!(store.host(&id).await.expect("read"), None);
        assert_eq!(store.host_by_mac(mac(1, 0)).await.expect("read"), None);
        assert!(store.orders().await.expect("read").is_empty());
        assert!(store.reports(&id).await.expect("read").is_empty());
        assert!(store.history(&id).await.expect("read").is_empty());
        assert_eq!(store.document(&document.hash).await.expect("read"), Some(document));
        assert!(matches!(store.forget(&id).await, Err(StoreError::NotFound(_))));
        assert_ne!(discovered(&store, 1).await, id, "journals still name the old one");
    }
}
