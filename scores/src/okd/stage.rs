//! The stages of a cluster whose hosts are known.

use harmony_core::cluster::NodeKind;

/// A stage. There are no others than these.
pub trait Stage: Send + Sync {
    /// The name of its Score.
    const NAME: &'static str;
    /// Whose hosts it brings up.
    const KIND: NodeKind;
}

/// The bootstrap serves masters what they ask for.
pub struct Bootstrap;

/// The control plane runs on the masters.
pub struct ControlPlane;

/// Workers have joined.
pub struct Workers;

impl Stage for Bootstrap {
    const NAME: &'static str = "OkdSetup02Bootstrap";
    const KIND: NodeKind = NodeKind::Bootstrap;
}

impl Stage for ControlPlane {
    const NAME: &'static str = "OkdSetup03ControlPlane";
    const KIND: NodeKind = NodeKind::Master;
}

impl Stage for Workers {
    const NAME: &'static str = "OkdSetup04Workers";
    const KIND: NodeKind = NodeKind::Worker;
}
