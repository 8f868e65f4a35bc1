//! The contract of [`HostControl`]. Its first point, pinned host keys, needs a host that is installed
//! anew: see the `ssh` driver's own tests, and those of the simulator.

use std::time::Duration;

use harmony_core::capability::{HostControl, HostTarget};
use harmony_core::error::FailureKind;

const MINUTE: Duration = Duration::from_secs(60);

/// A host that answers.
pub(crate) trait Rig {
    /// The driver.
    fn control(&self) -> impl HostControl;
    /// The host.
    fn target(&self) -> HostTarget;
    /// The same host at an address at which nobody answers.
    fn absent(&self) -> HostTarget;
    /// How many changes were sent to it.
    fn writes(&self) -> usize;
}

pub(crate) async fn point_2_the_status_comes_back_whatever_it_is(rig: &impl Rig) {
    let (control, target) = (rig.control(), rig.target());
    let output = control.run(&target, "echo here", MINUTE).await.expect("ran");
    assert_eq!((output.status, output.stdout.as_str()), (Some(0), "here\n"));
    let output = control.run(&target, "no-such-program", MINUTE).await.expect("ran");
    assert_eq!((output.status, output.stdout.as_str()), (Some(127), ""));
    assert!(output.stderr.contains("not found"), "{output:?}");
}

pub(crate) async fn point_2_nobody_there_is_unreachable(rig: &impl Rig) {
    let error = rig.control().run(&rig.absent(), "true", Duration::from_secs(5)).await.expect_err("nobody there");
    assert_eq!(error.kind(), FailureKind::Unreachable, "{error:?}");
}

pub(crate) async fn point_3_a_reboot_succeeds_although_the_connection_drops(rig: &impl Rig) {
    rig.control().reboot(&rig.target()).await.expect("restarts");
    assert_eq!(rig.writes(), 1);
}
