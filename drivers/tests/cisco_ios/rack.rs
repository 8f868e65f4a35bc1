//! A switch of a simulated world behind its SSH server, and the driver in front of that.

use std::time::{Duration, Instant};

use harmony_core::capability::{LagSpec, PortMode, PortStatus};
use harmony_core::net::{PortRef, VlanId};
use harmony_drivers::WriteLog;
use harmony_drivers::bmc::PasswordSource;
use harmony_drivers::switch::cisco_ios::{CiscoIos, CiscoIosSpec};
use harmony_drivers::transport::cli::SshProfile;
use harmony_sim::wire::{CiscoIosFront, Personality};
use harmony_sim::{PortSpec, World, WorldSpec};

/// World time per real time: two minutes of a revert timer are a second or so.
const SPEED: f64 = 100.0;

/// Two machines on Gi1/0/1 to Gi1/0/4; Gi1/0/5 in VLAN 20; an uplink that is no host port.
pub(crate) fn spec() -> WorldSpec {
    let mut spec = WorldSpec::rack(7, 2);
    let nics = spec.hosts.iter_mut().flat_map(|host| &mut host.nics);
    for (at, nic) in nics.enumerate() {
        nic.port = Some(format!("tor/Gi1/0/{}", at + 1));
    }
    let port = |name: &str, mode: Option<PortMode>| PortSpec { name: name.to_owned(), mode, edge: true };
    let trunk = PortMode::Unrecognised { text: "trunk".to_owned() };
    spec.switches[0].ports = (1..=4).map(|at| port(&format!("Gi1/0/{at}"), None)).collect();
    spec.switches[0].ports.push(port("Gi1/0/5", Some(PortMode::Access { vlan: vlan(20) })));
    spec.switches[0].ports.push(port("Te1/1/1", Some(trunk)));
    spec.timing.device = Duration::from_millis(1);
    spec
}

pub(crate) struct Rack {
    pub(crate) world: World,
    pub(crate) front: CiscoIosFront,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) writes: WriteLog,
}

impl Rack {
    pub(crate) async fn new() -> Self {
        Self::with(Personality::default()).await
    }

    pub(crate) async fn with(personality: Personality) -> Self {
        Self::of(spec(), personality).await
    }

    pub(crate) async fn of(spec: WorldSpec, personality: Personality) -> Self {
        let world = World::new(spec).expect("a valid spec");
        world.pace().set_speed(harmony_sim::Speed::new(SPEED).expect("in range"));
        let front = CiscoIosFront::start(&world, "tor".parse().expect("valid"), personality).await.expect("listens");
        let folder = tempfile::tempdir().expect("folder");
        let rack = Self { world, front, folder, writes: WriteLog::default() };
        rack.write("login", CiscoIosFront::PASSWORD);
        rack.write("enable", CiscoIosFront::ENABLE);
        rack
    }

    /// Writes a password file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), format!("{text}\n")).expect("written");
    }

    pub(crate) fn spec(&self) -> CiscoIosSpec {
        let file = |name: &str| PasswordSource::File(self.folder.path().join(name));
        CiscoIosSpec {
            address: "127.0.0.1".to_owned(),
            port: self.front.address().port(),
            user: CiscoIosFront::USER.to_owned(),
            password: file("login"),
            enable_password: Some(file("enable")),
            host_ports: (1..=5).map(|at| format!("Gi1/0/{at}").parse().expect("valid")).collect(),
            ssh_profile: SshProfile::Modern,
            save: false,
            port_channels: [1, 48],
        }
    }

    pub(crate) fn switch(&self) -> CiscoIos {
        self.switch_with(|_| ())
    }

    pub(crate) fn switch_with(&self, change: impl FnOnce(&mut CiscoIosSpec)) -> CiscoIos {
        let mut spec = self.spec();
        change(&mut spec);
        CiscoIos::new("tor".parse().expect("valid"), spec, self.folder.path(), self.writes.clone())
    }

    /// How many changes the driver has sent.
    pub(crate) fn count(&self) -> usize {
        self.writes.entries().len()
    }

    /// How the world's ports are configured.
    pub(crate) fn modes<const N: usize>(&self, names: [&str; N]) -> [String; N] {
        ports(names).map(|port| self.world.port_mode(&port).expect("there").to_string())
    }
}

pub(crate) fn ports<const N: usize>(names: [&str; N]) -> [PortRef; N] {
    names.map(|name| format!("tor/{name}").parse().expect("valid"))
}

pub(crate) fn vlan(id: u16) -> VlanId {
    VlanId::try_from(id).expect("valid")
}

pub(crate) fn lag<const N: usize>(name: &str, names: [&str; N]) -> LagSpec {
    LagSpec { name: name.parse().expect("valid"), ports: ports(names).to_vec(), vlan: vlan(10), fallback: false }
}

pub(crate) fn is_bundled(status: &PortStatus) -> bool {
    status.lacp.as_ref().is_some_and(|l| l.synchronised && l.collecting && l.distributing && l.partner.is_some())
}

/// Waits until something is so; fails with `what` after half a minute.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
