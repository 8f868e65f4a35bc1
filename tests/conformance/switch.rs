//! The contract of [`Switch`].

use harmony_core::capability::{LagSpec, PortMode, PortStatus, Switch};
use harmony_core::net::{PortRef, VlanId};
use tokio::time::timeout;

use crate::CUTS;

/// A switch, and what is known of it besides.
pub(crate) trait Rig {
    /// The driver.
    fn switch(&self) -> impl Switch;
    /// Three ports of it, all in access mode at first.
    fn ports(&self) -> [PortRef; 3];
    /// A port that it does not have.
    fn absent(&self) -> PortRef;
    /// How many changes were sent to it.
    fn writes(&self) -> usize;
}

fn vlan(id: u16) -> VlanId {
    VlanId::try_from(id).expect("a VLAN")
}

fn lag(ports: &[PortRef]) -> LagSpec {
    LagSpec { name: "lag-a".parse().expect("a name"), ports: ports.to_vec(), vlan: vlan(10), fallback: false }
}

fn in_lag() -> PortMode {
    PortMode::Lacp { lag: "lag-a".parse().expect("a name"), vlan: Some(vlan(10)), fallback: false }
}

fn access(id: u16) -> PortMode {
    PortMode::Access { vlan: vlan(id) }
}

async fn modes(switch: &impl Switch, ports: &[PortRef]) -> Vec<PortMode> {
    let status = switch.get_port_status(ports).await.expect("read");
    let of = |port: &PortRef| status.iter().find(|status| status.port == *port).expect("asked for").mode.clone();
    ports.iter().map(of).collect()
}

/// What of a reading does not change by itself.
fn still(status: Vec<PortStatus>) -> Vec<(PortRef, PortMode)> {
    let mut still: Vec<_> = status.into_iter().map(|status| (status.port, status.mode)).collect();
    still.sort_by(|a, b| a.0.cmp(&b.0));
    still
}

pub(crate) async fn point_1_reads_change_nothing(rig: &impl Rig) {
    let switch = rig.switch();
    let before = still(switch.get_port_status(&[]).await.expect("read"));
    switch.mac_table().await.expect("read");
    switch.lldp_neighbours().await.expect("read");
    assert_eq!(still(switch.get_port_status(&[]).await.expect("read")), before);
    assert_eq!(rig.writes(), 0);
}

pub(crate) async fn point_1_every_port_is_answered_for(rig: &impl Rig) {
    let (switch, ports) = (rig.switch(), rig.ports());
    let all = still(switch.get_port_status(&[]).await.expect("read"));
    assert!(ports.iter().all(|port| all.iter().any(|(named, _)| named == port)), "asked for none: {all:?}");
    let two = still(switch.get_port_status(&ports[..2]).await.expect("read"));
    assert_eq!(two.iter().map(|(port, _)| port).collect::<Vec<_>>(), [&ports[0], &ports[1]]);
    let with_absent = [ports[0].clone(), rig.absent()];
    switch.get_port_status(&with_absent).await.expect_err("one of them is not there");
}

pub(crate) async fn point_2_access_takes_a_port_out_of_its_lag(rig: &impl Rig) {
    let (switch, ports) = (rig.switch(), rig.ports());
    switch.set_ports_lacp_mode(&lag(&ports)).await.expect("bundled");
    switch.set_ports_access_mode(&ports[..1], vlan(20)).await.expect("set");
    assert_eq!(modes(&switch, &ports).await, [access(20), in_lag(), in_lag()]);
}

pub(crate) async fn point_2_a_lag_without_members_is_gone(rig: &impl Rig) {
    let (switch, ports) = (rig.switch(), rig.ports());
    switch.set_ports_lacp_mode(&lag(&ports[..2])).await.expect("bundled");
    switch.set_ports_access_mode(&ports[..2], vlan(10)).await.expect("set");
    assert_eq!(modes(&switch, &ports).await, [access(10), access(10), access(10)]);
    switch.set_ports_lacp_mode(&lag(&ports[1..])).await.expect("its name is free again");
    assert_eq!(modes(&switch, &ports).await, [access(10), in_lag(), in_lag()]);
}

pub(crate) async fn point_2_access_may_be_repeated(rig: &impl Rig) {
    let (switch, ports) = (rig.switch(), rig.ports());
    for _ in 0..3 {
        switch.set_ports_access_mode(&ports, vlan(30)).await.expect("set");
        assert_eq!(modes(&switch, &ports).await, [access(30), access(30), access(30)]);
    }
    assert!(rig.writes() > 0);
}

pub(crate) async fn point_3_lacp_may_be_repeated(rig: &impl Rig) {
    let (switch, ports) = (rig.switch(), rig.ports());
    for _ in 0..3 {
        switch.set_ports_lacp_mode(&lag(&ports[..2])).await.expect("bundled");
        assert_eq!(modes(&switch, &ports[..2]).await, [in_lag(), in_lag()]);
    }
    let status = switch.get_port_status(&ports).await.expect("read");
    let has_lacp = |port: &PortRef| status.iter().any(|status| status.port == *port && status.lacp.is_some());
    assert_eq!(ports.each_ref().map(has_lacp), [true, true, false], "{status:?}");
}

pub(crate) async fn point_3_other_ports_are_left_alone(rig: &impl Rig) {
    let (switch, ports) = (rig.switch(), rig.ports());
    let of_others = async || {
        let mut all = still(switch.get_port_status(&[]).await.expect("read"));
        all.retain(|(port, _)| !ports[..2].contains(port));
        all
    };
    let before = of_others().await;
    switch.set_ports_lacp_mode(&lag(&ports[..2])).await.expect("bundled");
    switch.set_ports_access_mode(&ports[..1], vlan(20)).await.expect("set");
    assert_eq!(of_others().await, before);
}

pub(crate) async fn point_4_what_cannot_be_is_an_error_and_changes_nothing(rig: &impl Rig) {
    let (switch, ports) = (rig.switch(), rig.ports());
    let before = still(switch.get_port_status(&[]).await.expect("read"));
    let with_absent = [ports[0].clone(), rig.absent()];
    switch.set_ports_access_mode(&with_absent, vlan(40)).await.expect_err("one port is not there");
    switch.set_ports_lacp_mode(&lag(&with_absent)).await.expect_err("one port is not there");
    assert_eq!(still(switch.get_port_status(&[]).await.expect("read")), before);
    // What is planned is what is sent.
    assert!(!switch.access_mode_commands(&ports, vlan(40)).is_empty());
    assert!(!switch.lacp_mode_commands(&lag(&ports)).is_empty());
}

pub(crate) async fn point_5_what_was_cut_off_can_be_repeated(rig: &impl Rig) {
    let (switch, ports) = (rig.switch(), rig.ports());
    for cut in CUTS {
        let _ = timeout(cut, switch.set_ports_lacp_mode(&lag(&ports[..2]))).await;
        switch.set_ports_lacp_mode(&lag(&ports[..2])).await.expect("bundled");
        assert_eq!(modes(&switch, &ports[..2]).await, [in_lag(), in_lag()], "cut off after {cut:?}");
        let _ = timeout(cut, switch.set_ports_access_mode(&ports[..2], vlan(10))).await;
        switch.set_ports_access_mode(&ports[..2], vlan(10)).await.expect("set");
        assert_eq!(modes(&switch, &ports[..2]).await, [access(10), access(10)], "cut off after {cut:?}");
    }
}
