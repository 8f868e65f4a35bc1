//! Sightings: one machine stays one host, whatever it tells of itself.

use harmony_core::host::{Lifecycle, SystemIdentity};
use harmony_core::store::{HostChanges, Sighting, Store, StoreError};
use uuid::Uuid;

use crate::fixtures::*;

crate::on_memory_and_file! {
    async fn a_machine_is_registered_once_and_recognised_by_any_fact(store) {
        let first = store.record_sighting(&sighting(1)).await.expect("registered");
        let swapped = Uuid::from_bytes(uuid(1).to_bytes_le());
        for identity in [
            SystemIdentity::new(None, None, [mac(1, 1)]),
            SystemIdentity::new(None, Some("SN-1"), []),
            SystemIdentity::new(Some(swapped), None, []),
            SystemIdentity::new(Some(uuid(1)), Some("To Be Filled By O.E.M."), [mac(1, 7)]),
        ] {
            let again = Sighting { identity: identity.clone(), at: at(5), ..sighting(1) };
            assert_eq!(store.record_sighting(&again).await.expect("recognised"), first, "{identity:?}");
        }
        let hosts = store.hosts().await.expect("read");
        assert_eq!(hosts.len(), 1);
        let host = &hosts[0];
        let known = SystemIdentity::new(Some(uuid(1)), Some("SN-1"), [mac(1, 0), mac(1, 1), mac(1, 7)]);
        assert_eq!(host.identity, known);
        assert_eq!((host.lifecycle, host.address, host.last_seen), (Lifecycle::Registered, Some(address(1)), Some(at(5))));
        assert_eq!(store.host_by_mac(mac(1, 7)).await.expect("read").as_ref(), Some(host));
        assert_eq!(store.host_by_mac(mac(1, 9)).await.expect("read"), None);
        assert_eq!(store.host(&first).await.expect("read").as_ref(), Some(host));
    }

    async fn two_machines_are_two_hosts(store) {
        let one = store.record_sighting(&sighting(1)).await.expect("registered");
        let two = store.record_sighting(&sighting(2)).await.expect("registered");
        assert_ne!(one, two);
        let names: Vec<_> = store.hosts().await.expect("read").into_iter().map(|host| host.name).collect();
        assert_ne!(names[0], names[1]);
    }

    async fn a_late_sighting_does_not_undo_what_is_known_since(store) {
        let id = store.record_sighting(&Sighting { at: at(10), ..sighting(1) }).await.expect("registered");
        let late = Sighting { address: Some(address(9)), at: at(3), ..sighting(1) };
        store.record_sighting(&late).await.expect("recognised");
        let host = store.host(&id).await.expect("read").expect("there");
        assert_eq!((host.address, host.last_seen), (Some(address(1)), Some(at(10))));
    }

    async fn two_machines_with_one_mac_are_both_named_and_nothing_changes(store) {
        let one = store.record_sighting(&sighting(1)).await.expect("registered");
        let label = store.host(&one).await.expect("read").expect("there").label();
        let before = store.hosts().await.expect("read");

        // The second machine is not known yet.
        let mut second = sighting(2);
        second.identity.macs.insert(mac(1, 0));
        let text = conflict(store.record_sighting(&second).await);
        assert_names(&text, &["52:54:00:00:01:00", &label, "SN-1", "10.10.0.102", "SN-2", "forget"]);
        assert_eq!(store.hosts().await.expect("read"), before);

        // It is known under another NIC.
        let two = store.record_sighting(&sighting(2)).await.expect("registered");
        let second_label = store.host(&two).await.expect("read").expect("there").label();
        let before = store.hosts().await.expect("read");
        let text = conflict(store.record_sighting(&second).await);
        assert_names(&text, &["52:54:00:00:01:00", &label, &second_label]);
        assert_eq!(store.hosts().await.expect("read"), before);
    }

    async fn a_machine_that_was_registered_twice_is_reported_with_both_hosts(store) {
        let one = store.record_sighting(&seen_by_mac(&[mac(1, 0)])).await.expect("registered");
        let two = store.record_sighting(&seen_by_mac(&[mac(1, 1)])).await.expect("registered");
        assert_ne!(one, two);
        let text = conflict(store.record_sighting(&sighting(1)).await);
        assert_names(&text, &[one.as_str(), two.as_str(), "52:54:00:00:01:00", "52:54:00:00:01:01", "forget one"]);
        store.forget(&two).await.expect("forgotten");
        assert_eq!(store.record_sighting(&sighting(1)).await.expect("recognised"), one);
    }

    async fn what_identifies_nothing_is_refused(store) {
        let filler = SystemIdentity { uuid: Some(Uuid::nil()), serial: Some("None".into()), macs: [].into() };
        let many = SystemIdentity::new(None, None, (0..=255).flat_map(|m| [mac(m, 0), mac(m, 1)]));
        let control = SystemIdentity { serial: Some("a\u{1b}[2Jb".into()), ..SystemIdentity::default() };
        for (identity, reason) in [(filler, "identifies"), (many, "more MACs"), (control, "control")] {
            let refused = store.record_sighting(&Sighting { identity, ..sighting(1) }).await;
            let Err(StoreError::Invalid { what, source }) = refused else { panic!("{refused:?}") };
            assert_eq!(what, "the sighting of the machine at 10.10.0.101", "and nothing that it says of itself");
            assert_names(&source.to_string(), &[reason]);
        }
        assert!(store.hosts().await.expect("read").is_empty());
    }

    async fn announcements_wait_until_the_agent_is_read(store) {
        let announced = |seconds| Sighting { agent_port: Some(8088), at: at(seconds), ..sighting(1) };
        store.record_sighting(&sighting(2)).await.expect("registered");
        let id = store.record_sighting(&announced(1)).await.expect("registered");
        let waiting = vec![(id.clone(), (address(1), 8088).into())];
        assert_eq!(store.unread_announcements().await.expect("read"), waiting);
        store.record_report(address(1), &body(&report(1)), at(2)).await.expect("recorded");
        assert_eq!(store.unread_announcements().await.expect("read"), []);
        store.record_sighting(&announced(60)).await.expect("recognised");
        assert_eq!(store.unread_announcements().await.expect("read"), waiting, "it was started again");
        store.record_report(address(1), &body(&report(1)), at(59)).await.expect("recorded");
        assert_eq!(store.unread_announcements().await.expect("read"), waiting, "that was read before it was started again");
    }

    async fn every_change_gets_a_greater_revision(store) {
        let one = store.record_sighting(&sighting(1)).await.expect("registered");
        let two = store.record_sighting(&sighting(2)).await.expect("registered");
        let HostChanges { hosts, forgotten, revision } = store.hosts_changed_since(0).await.expect("read");
        assert_eq!(hosts.iter().map(|host| &host.id).collect::<Vec<_>>(), [&one, &two]);
        assert_eq!((hosts[0].revision < hosts[1].revision, hosts[1].revision, forgotten), (true, revision, vec![]));
        let nothing = HostChanges { hosts: vec![], forgotten: vec![], revision };
        assert_eq!(store.hosts_changed_since(revision).await.expect("read"), nothing);
        store.record_sighting(&sighting(1)).await.expect("recognised");
        let changed = store.hosts_changed_since(revision).await.expect("read");
        assert_eq!(changed.hosts.iter().map(|host| &host.id).collect::<Vec<_>>(), [&one]);
        // A revision is never given twice, even if the host that had it is gone.
        store.forget(&one).await.expect("forgotten");
        store.record_sighting(&sighting(2)).await.expect("recognised");
        let later = store.hosts_changed_since(changed.revision).await.expect("read");
        assert_eq!(later.hosts.iter().map(|host| &host.id).collect::<Vec<_>>(), [&two]);
        assert_eq!(later.forgotten, [one]);
        assert!(later.hosts[0].revision > changed.hosts[0].revision);
    }
}
