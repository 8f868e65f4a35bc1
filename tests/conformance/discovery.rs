//! The contract of [`HostDiscovery`].

use std::net::IpAddr;

use harmony_core::capability::HostDiscovery;
use harmony_core::report::v1::Report;

/// A network with agents.
pub(crate) trait Rig {
    /// The driver.
    fn discovery(&self) -> impl HostDiscovery;
    /// Where agents answer, and the serial number of each one's machine.
    fn agents(&self) -> Vec<(IpAddr, String)>;
    /// An address of the network at which nobody is.
    fn absent(&self) -> IpAddr;
}

pub(crate) async fn agents_are_found_and_read(rig: &impl Rig) {
    let (discovery, mut agents) = (rig.discovery(), rig.agents());
    agents.sort();
    let addresses: Vec<IpAddr> = agents.iter().map(|(address, _)| *address).collect();
    assert!(!addresses.is_empty());
    assert_eq!(discovery.scan().await.expect("searched"), addresses, "sorted, all, and no other");
    for (address, serial) in agents {
        let reply = discovery.fetch_report(address).await.expect("read");
        assert!(reply.address.ip() == address && reply.body.len() <= 1 << 20);
        let report: Report = serde_json::from_slice(&reply.body).expect("a report");
        assert_eq!(report.system.serial, Some(serial));
    }
}

pub(crate) async fn nobody_there_is_an_error(rig: &impl Rig) {
    rig.discovery().fetch_report(rig.absent()).await.expect_err("nobody there");
}
