//! A simulated machine with its BMC on the wire, and the driver that reaches it.

use std::path::Path;
use std::time::Duration;

use harmony_core::host::{BmcId, Firmware};
use harmony_drivers::WriteLog;
use harmony_drivers::bmc::PasswordSource;
use harmony_drivers::bmc::redfish::{CertificateSource, NetworkBoot, Patience, Redfish, RedfishSpec};
use harmony_sim::wire::{BmcEndpoint, Loopback, Wire};
use harmony_sim::{BmcPersonality, MachineView, World, WorldSpec};

/// Enough for a loaded machine, little enough for a test that waits in vain.
pub(crate) const PATIENCE: Patience = Patience {
    request: Duration::from_secs(20),
    pause: Duration::from_millis(50),
    longest_pause: Duration::from_millis(500),
    read: Duration::from_secs(2),
    busy: Duration::from_secs(30),
    follow: Duration::from_secs(30),
};

/// One machine of a world on the wire, ten times as fast as life.
pub(crate) struct Rack {
    pub(crate) world: World,
    pub(crate) writes: WriteLog,
    pub(crate) folder: tempfile::TempDir,
    endpoint: BmcEndpoint,
    _wire: Wire,
}

impl Rack {
    /// A machine with UEFI that is off, with the BMC of this vendor.
    pub(crate) async fn new(personality: BmcPersonality) -> Self {
        Self::with_post(personality, Duration::from_secs(4)).await
    }

    /// The same with a self-test that takes this long, in world time.
    pub(crate) async fn with_post(personality: BmcPersonality, post: Duration) -> Self {
        let loopback = Loopback::claim().expect("a prefix");
        let mut spec = WorldSpec::rack(7, 1);
        spec.timing.post = post;
        let host = &mut spec.hosts[0];
        (host.bmc_personality, host.firmware, host.powered) = (personality, Firmware::Uefi, false);
        let world = World::new(loopback.place(spec)).expect("a world");
        world.pace().set_speed("10".parse().expect("a speed"));
        let wire = Wire::start(&world, loopback).await.expect("on the wire");
        let endpoint = wire.bmcs()[0].clone();
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("password"), endpoint.password.expose()).expect("written");
        Self { world, writes: WriteLog::default(), folder, endpoint, _wire: wire }
    }

    pub(crate) fn id(&self) -> BmcId {
        self.endpoint.bmc.clone()
    }

    pub(crate) fn machine(&self) -> MachineView {
        self.world.machine("node-1").expect("there")
    }

    pub(crate) fn certificate_sha256(&self) -> &str {
        &self.endpoint.certificate_sha256
    }

    pub(crate) fn bmc(&self) -> Redfish {
        self.bmc_with(|_| ())
    }

    /// The driver, with pins in the rack's folder.
    pub(crate) fn bmc_with(&self, change: impl FnOnce(&mut RedfishSpec)) -> Redfish {
        let BmcEndpoint { bmc, address, user, .. } = &self.endpoint;
        let mut spec = spec(address.port(), &self.folder.path().join("password"));
        (spec.address, spec.user) = (address.ip().to_string(), user.clone());
        change(&mut spec);
        Redfish::new(bmc.clone(), spec, self.folder.path(), self.writes.clone()).with_patience(PATIENCE)
    }

    /// What the driver says that it sent.
    pub(crate) fn sent(&self) -> Vec<String> {
        self.writes.entries().into_iter().map(|write| write.command).collect()
    }

    /// What the BMC got that changes something.
    pub(crate) fn got(&self) -> Vec<String> {
        self.world.writes().into_iter().map(|write| write.command).collect()
    }
}

/// A BMC on this port of 127.0.0.1.
pub(crate) fn spec(port: u16, password: &Path) -> RedfishSpec {
    RedfishSpec {
        address: "127.0.0.1".into(),
        port,
        user: "admin".into(),
        password: PasswordSource::File(password.to_owned()),
        system: None,
        network_boot: NetworkBoot::Pxe,
        http_boot_uri: None,
        certificate: CertificateSource::FirstSight,
    }
}
