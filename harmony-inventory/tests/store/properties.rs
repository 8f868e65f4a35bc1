//! Random sightings of a few machines: no duplicate, no lost MAC, no half-made change.

use std::collections::{BTreeMap, BTreeSet};

use harmony_core::host::SystemIdentity;
use harmony_core::net::MacAddress;
use harmony_core::store::{Sighting, Store, StoreError};
use harmony_inventory::Inventory;
use proptest::prelude::*;
use uuid::Uuid;

use crate::fixtures::*;

/// One look at one of four machines of four NICs each.
#[derive(Debug, Clone)]
struct Look {
    machine: u8,
    swapped: bool,
    serial: bool,
    nics: BTreeSet<u8>,
}

impl Look {
    fn macs(&self) -> impl Iterator<Item = MacAddress> {
        self.nics.iter().map(|nic| mac(self.machine, *nic))
    }

    fn sighting(&self, with_uuid: bool) -> Sighting {
        let uuid = uuid(self.machine);
        let uuid = if self.swapped { Uuid::from_bytes(uuid.to_bytes_le()) } else { uuid };
        let serial = self.serial.then(|| serial(self.machine));
        let identity = SystemIdentity::new(Some(uuid).filter(|_| with_uuid), serial.as_deref(), self.macs());
        Sighting { identity, ..sighting(self.machine) }
    }
}

fn looks() -> impl Strategy<Value = Vec<Look>> {
    let look = (1u8..5, any::<bool>(), any::<bool>(), prop::collection::btree_set(0u8..4, 0..4))
        .prop_map(|(machine, swapped, serial, nics)| Look { machine, swapped, serial, nics });
    prop::collection::vec(look, 1..20)
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(test)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn machines_that_tell_their_uuid_are_one_host_each(looks in looks()) {
        run(async {
            let store = Inventory::open("sqlite::memory:").await.expect("opens");
            let mut told: BTreeMap<u8, BTreeSet<MacAddress>> = BTreeMap::new();
            for look in &looks {
                store.record_sighting(&look.sighting(true)).await.expect("no contradiction");
                told.entry(look.machine).or_default().extend(look.macs());
            }
            let hosts = store.hosts().await.expect("read");
            prop_assert_eq!(hosts.len(), told.len());
            let mut known: Vec<_> = hosts.into_iter().map(|host| host.identity.macs).collect();
            let mut told: Vec<_> = told.into_values().collect();
            known.sort();
            told.sort();
            prop_assert_eq!(known, told);
            Ok(())
        })?;
    }

    #[test]
    fn whatever_is_told_a_mac_is_in_one_host_and_a_refusal_changes_nothing(looks in looks(), strange in looks()) {
        run(async {
            let store = Inventory::open("sqlite::memory:").await.expect("opens");
            for (look, strange) in looks.iter().zip(strange.iter().cycle()) {
                // Facts of two machines in one, as a liar or a swapped NIC would tell.
                let mut sighting = look.sighting(look.serial);
                sighting.identity.macs.extend(strange.macs().take(usize::from(strange.swapped)));
                let before = store.hosts().await.expect("read");
                let told = sighting.identity.macs.clone();
                match store.record_sighting(&sighting).await {
                    Ok(id) => {
                        let host = store.host(&id).await.expect("read").expect("there");
                        prop_assert!(host.identity.macs.is_superset(&told));
                    }
                    Err(StoreError::Conflict(_) | StoreError::Invalid { .. }) => {
                        prop_assert_eq!(&store.hosts().await.expect("read"), &before);
                    }
                    Err(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
                }
                let hosts = store.hosts().await.expect("read");
                for known in &before {
                    let now = hosts.iter().find(|host| host.id == known.id).expect("no host is lost");
                    prop_assert!(now.identity.macs.is_superset(&known.identity.macs));
                }
                let all: Vec<_> = hosts.iter().flat_map(|host| &host.identity.macs).collect();
                prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
            }
            Ok(())
        })?;
    }
}
