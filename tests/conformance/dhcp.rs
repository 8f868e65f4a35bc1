//! The contract of [`DhcpServer`].

use std::net::IpAddr;

use harmony_core::capability::{DhcpServer, Reservation};
use harmony_core::error::FailureKind;
use harmony_core::net::MacAddress;

/// A DHCP server, and clients that can ask it.
pub(crate) trait Rig {
    /// The driver.
    fn dhcp(&self) -> impl DhcpServer;
    /// MACs of two clients.
    fn clients(&self) -> [MacAddress; 2];
    /// Two addresses for reservations.
    fn addresses(&self) -> [IpAddr; 2];
    /// Lets a client ask for an address; what it gets.
    async fn ask(&self, client: MacAddress) -> Option<IpAddr>;
    /// How many changes were sent to it.
    fn writes(&self) -> usize;
}

fn reservation(name: &str, address: IpAddr, macs: &[MacAddress]) -> Reservation {
    Reservation { hostname: name.parse().expect("a name"), address, macs: macs.to_vec() }
}

pub(crate) async fn point_1_reads_change_nothing(rig: &impl Rig) {
    let (dhcp, before) = (rig.dhcp(), rig.writes());
    let [client, _] = rig.clients();
    assert_eq!(dhcp.reservations().await.expect("read"), []);
    dhcp.leases().await.expect("read");
    assert!(dhcp.recent_log(client, 2).await.expect("read").len() <= 2);
    let (path, text) = dhcp.reservation_record(&reservation("node-a", rig.addresses()[0], &[client]));
    assert!(!path.is_empty() && text.contains(&client.to_string()), "{path}: {text}");
    assert_eq!(rig.writes(), before);
}

pub(crate) async fn point_2_a_reservation_is_replaced_and_may_be_repeated(rig: &impl Rig) {
    let (dhcp, [a, b], [first, second]) = (rig.dhcp(), rig.clients(), rig.addresses());
    for wanted in [
        reservation("node-b", first, &[a]),
        reservation("node-b", first, &[a]),
        reservation("node-b", second, &[a]),
        reservation("node-b", second, &[a, b]),
    ] {
        dhcp.set_reservation(&wanted).await.expect("set");
        assert_eq!(dhcp.reservations().await.expect("read"), [wanted]);
    }
    let other = reservation("node-a", first, &[MacAddress::new([2, 0, 0, 0, 0, 9])]);
    dhcp.set_reservation(&other).await.expect("set");
    let names: Vec<String> =
        dhcp.reservations().await.expect("read").iter().map(|kept| kept.hostname.to_string()).collect();
    assert_eq!(names, ["node-a", "node-b"], "sorted by name");
}

pub(crate) async fn point_2_what_another_holds_is_refused(rig: &impl Rig) {
    let (dhcp, [a, b], [first, second]) = (rig.dhcp(), rig.clients(), rig.addresses());
    let held = reservation("node-a", first, &[a]);
    dhcp.set_reservation(&held).await.expect("set");
    for refused in [reservation("node-b", first, &[b]), reservation("node-b", second, &[a])] {
        let error = dhcp.set_reservation(&refused).await.expect_err("held by node-a");
        assert_eq!(error.kind(), FailureKind::Conflict, "{error:?}");
    }
    assert_eq!(dhcp.reservations().await.expect("read"), [held]);
}

pub(crate) async fn point_3_removing_what_is_not_there_succeeds(rig: &impl Rig) {
    let (dhcp, [a, _], [first, _]) = (rig.dhcp(), rig.clients(), rig.addresses());
    let held = reservation("node-a", first, &[a]);
    dhcp.set_reservation(&held).await.expect("set");
    dhcp.remove_reservation(&"node-z".parse().expect("a name")).await.expect("not there");
    assert_eq!(dhcp.reservations().await.expect("read").len(), 1);
    for _ in 0..2 {
        dhcp.remove_reservation(&held.hostname).await.expect("removed");
        assert_eq!(dhcp.reservations().await.expect("read"), []);
    }
}

pub(crate) async fn point_4_the_next_request_gets_it(rig: &impl Rig) {
    let (dhcp, [a, _], [first, _]) = (rig.dhcp(), rig.clients(), rig.addresses());
    let stranger = rig.ask(a).await.expect("an address of the pool");
    assert_ne!(stranger, first);
    dhcp.set_reservation(&reservation("node-a", first, &[a])).await.expect("set");
    assert_eq!(rig.ask(a).await, Some(first));
    let leases = dhcp.leases().await.expect("read");
    assert!(leases.iter().any(|lease| lease.mac == a && lease.address == first), "{leases:?}");
    let log = dhcp.recent_log(a, 1).await.expect("read");
    assert!(log.len() == 1 && log[0].contains(&first.to_string()), "{log:?}");
}
