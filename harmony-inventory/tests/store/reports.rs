//! Reports: kept as they came, absorbed into the host, refused when they contradict it.

use harmony_core::error::FailureKind;
use harmony_core::host::{Firmware, Lifecycle, LifecycleEvent, PortWitnesses, WitnessKind};
use harmony_core::store::{Store, StoreError};

use crate::fixtures::*;

crate::on_memory_and_file! {
    async fn a_report_makes_a_registered_machine_a_discovered_one(store) {
        let id = store.record_sighting(&sighting(1)).await.expect("registered");
        let text = body(&report(1));
        assert_eq!(store.record_report(address(1), &text, at(7)).await.expect("recorded"), id);
        let host = store.host(&id).await.expect("read").expect("there");
        assert_eq!((host.lifecycle, host.firmware, host.cpus), (Lifecycle::Discovered, Some(Firmware::Uefi), Some(4)));
        assert_eq!((host.discovered_at, host.last_seen, host.address), (Some(at(7)), Some(at(7)), Some(address(1))));
        assert_eq!(host.nics.iter().map(|nic| (nic.name.as_str(), nic.mac)).collect::<Vec<_>>(), [("eth0", mac(1, 0)), ("eth1", mac(1, 1))]);
        assert_eq!((host.nics[0].booted, host.nics[0].lldp[0].port_id.as_str()), (true, "m1p0"));
        assert_eq!(host.disk("D1").expect("there").signatures, ["gpt"]);
        let disk = host.disk("D1").expect("there");
        assert_eq!(disk.by_id.as_deref(), Some("/dev/disk/by-id/virtio-D1"));
        assert_eq!(disk.by_path.as_deref(), Some("/dev/disk/by-path/pci-0000:00:01.0"));
        assert_eq!(disk.rotational, Some(false));

        let later = body(&{ let mut later = report(1); later.disks.clear(); later });
        store.record_report(address(1), &later, at(9)).await.expect("recorded");
        let reports = store.reports(&id).await.expect("read");
        assert_eq!(reports.iter().map(|report| (report.at, report.body.as_str())).collect::<Vec<_>>(), [(at(7), text.as_str()), (at(9), later.as_str())]);
        let host = store.host(&id).await.expect("read").expect("there");
        assert_eq!((host.disks.len(), host.discovered_at), (0, Some(at(7))));
        let history = store.history(&id).await.expect("read");
        assert_eq!(history.len(), 1, "a second report is no event: {history:?}");
        assert_eq!((history[0].event, history[0].state, history[0].at), (LifecycleEvent::Reported, Lifecycle::Discovered, at(7)));
    }

    async fn port_witnesses_survive_a_report(store) {
        let id = discovered(&store, 1).await;
        let mut heard = PortWitnesses::default();
        heard.hear(WitnessKind::MacTable, "tor/1".parse().expect("valid"));
        store.set_port_witnesses(&id, mac(1, 0), &heard).await.expect("recorded");
        discovered(&store, 1).await;
        let host = store.host(&id).await.expect("read").expect("there");
        assert_eq!(host.nics.iter().map(|nic| nic.port.clone()).collect::<Vec<_>>(), [heard.clone(), PortWitnesses::default()]);
        let revision = host.revision;
        store.set_port_witnesses(&id, mac(1, 0), &heard).await.expect("recorded");
        assert_eq!(store.host(&id).await.expect("read").expect("there").revision, revision, "nothing changed");
        let refused = store.set_port_witnesses(&id, mac(9, 9), &heard).await;
        assert!(matches!(&refused, Err(StoreError::NotFound(text)) if text.contains("52:54:00:00:09:09")), "{refused:?}");
    }

    async fn two_reports_with_one_mac_name_both_hosts_and_the_second_is_kept(store) {
        let one = discovered(&store, 1).await;
        let label = store.host(&one).await.expect("read").expect("there").label();
        let before = store.hosts().await.expect("read");
        let mut twin = report(2);
        twin.nics[1].permanent_mac = Some(mac(1, 1).to_string());
        for (seconds, text) in [(5, body(&twin)), (6, body(&twin) + "\n")] {
            let refused = store.record_report(address(2), &text, at(seconds)).await;
            let reason = conflict(refused);
            assert_names(&reason, &["52:54:00:00:01:01", &label, "10.10.0.102", "SN-2"]);
            let kept = store.refused_reports().await.expect("read");
            let kept: Vec<_> = kept.iter().map(|kept| (kept.at, kept.address, &kept.reason, &kept.body)).collect();
            assert_eq!(kept, [(at(seconds), address(2), &reason, &text)], "the latest of each address");
        }
        assert_eq!(store.hosts().await.expect("read"), before);
        assert_eq!(store.reports(&one).await.expect("read").len(), 1);
    }

    async fn a_report_that_cannot_be_understood_changes_nothing(store) {
        let nobody = body(&harmony_core::report::v1::Report { schema: harmony_core::report::v1::SCHEMA.into(), ..Default::default() });
        for (text, reason) in [("", "empty"), ("nonsense", "no JSON"), ("{}", "names no schema"), (&*nobody, "identifies a machine")] {
            let refused = store.record_report(address(1), text, at(0)).await.expect_err("refused");
            assert_eq!(refused.kind(), FailureKind::Invalid);
            assert_eq!(refused.to_string(), "failed to understand the report of 10.10.0.101");
            assert_names(&harmony_core::error::chain(&refused), &[reason]);
        }
        assert!(store.hosts().await.expect("read").is_empty());
        assert!(store.refused_reports().await.expect("read").is_empty());
    }

    async fn a_host_in_use_keeps_its_state_when_it_reports(store) {
        let id = acquired(&store, 1).await;
        store.lifecycle(&id, LifecycleEvent::Provisioned, "verified", at(5)).await.expect("allowed");
        discovered(&store, 1).await;
        assert_eq!(store.host(&id).await.expect("read").expect("there").lifecycle, Lifecycle::Provisioned);
    }

    async fn numbers_beyond_what_sqlite_holds_are_cut_and_not_wrapped(store) {
        let mut huge = report(1);
        huge.memory.total_bytes = Some(u64::MAX);
        huge.disks[0].size_bytes = Some(u64::MAX);
        let id = store.record_report(address(1), &body(&huge), at(0)).await.expect("recorded");
        let host = store.host(&id).await.expect("read").expect("there");
        assert_eq!((host.memory_bytes, host.disks[0].size_bytes), (Some(i64::MAX as u64), i64::MAX as u64));
    }
}
