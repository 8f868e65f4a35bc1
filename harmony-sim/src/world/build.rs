//! From a spec to a world: names parsed, cables plugged in, contradictions refused.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use harmony_core::capability::{InstallSource, NetworkPlan, PortMode};
use harmony_core::net::{LagName, NameError, ParsePortError, PortName, PortRef, VlanId};

use super::State;
use crate::dhcp::Dhcp;
use crate::faults::Faults;
use crate::machine::Machine;
use crate::random::Random;
use crate::spec::{SwitchSpec, WorldSpec};
use crate::switch::{Port, SwitchState};

/// Port of the boot server.
const BOOT_PORT: u16 = 8080;
/// A public key that fits no private key that anybody has.
const SSH_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJT5ljrkSX1UJGsiIKmMO8TIrzNb6frbqMIqR7qUZ6Si harmony-sim";
/// Longest part of LACP's negotiation that differs between ports.
const NEGOTIATION_SPREAD: Duration = Duration::from_secs(1);
/// LLDP's transmit interval. Source: IEEE 802.1AB-2016 clause 9.2.5.7, `msgTxInterval`.
pub(crate) const LLDP_INTERVAL: Duration = Duration::from_secs(30);

/// What in a spec cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A name or number is not allowed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A cable's end names no port.
    #[error(transparent)]
    Port(#[from] ParsePortError),
    /// The prefix is longer than an address.
    #[error("the provisioning network has a prefix of {0} bits")]
    Prefix(u8),
    /// A cable ends nowhere.
    #[error("machine {machine} is plugged into {port}, which no switch has")]
    UnknownPort {
        /// The machine.
        machine: String,
        /// The port.
        port: PortRef,
    },
    /// Two things have one name, MAC or port.
    #[error("{0} is there twice")]
    Twice(String),
}

/// Checks a spec and makes what it says.
pub(super) fn build(spec: WorldSpec) -> Result<(State, InstallSource), SpecError> {
    let vlan = VlanId::try_from(spec.vlan)?;
    let cidr = ipnet::Ipv4Net::new(spec.prefix.0, spec.prefix.1).map_err(|_| SpecError::Prefix(spec.prefix.1))?;
    let mut switches = BTreeMap::new();
    for switch in &spec.switches {
        let id = switch.name.parse()?;
        let state = self::switch(switch, vlan, spec.seed)?;
        if switches.insert(id, state).is_some() {
            return Err(SpecError::Twice(format!("switch {}", switch.name)));
        }
    }
    let mut taken = BTreeSet::new();
    let mut once = |thing: String| if taken.insert(thing.clone()) { Ok(()) } else { Err(SpecError::Twice(thing)) };
    let mut machines = Vec::new();
    for host in spec.hosts {
        let machine = Machine::new(host)?;
        once(format!("machine {}", machine.name))?;
        if let Some(bmc) = &machine.bmc {
            once(format!("BMC {bmc}"))?;
        }
        for (index, nic) in machine.nics.iter().enumerate() {
            once(format!("MAC {}", nic.mac))?;
            let Some(at) = &nic.port else { continue };
            once(format!("a cable in {at}"))?;
            let found =
                switches.get_mut(&at.switch).and_then(|switch: &mut SwitchState| switch.ports.get_mut(&at.port));
            let unknown = || SpecError::UnknownPort { machine: machine.name.clone(), port: at.clone() };
            found.ok_or_else(unknown)?.cable = Some((machines.len(), index));
        }
        machines.push(machine);
    }
    let host_ports = machines.iter().flat_map(|machine| &machine.nics).filter_map(|nic| nic.port.clone()).collect();
    let network = NetworkPlan {
        cidr: cidr.into(),
        address: IpAddr::V4(spec.address),
        vlan,
        pool: spec.pool,
        hosts: spec.reserved,
        host_ports,
    };
    let install = install_source(SocketAddr::from((spec.address, BOOT_PORT)));
    let state = State {
        machines,
        switches,
        dhcp: Dhcp::new(spec.pool),
        faults: Faults::default(),
        network,
        epoch: spec.epoch,
        store: None,
        pins: BTreeMap::new(),
        writes: Vec::new(),
        disk_writes: Vec::new(),
        violations: Vec::new(),
        told: BTreeSet::new(),
        log: Vec::new(),
    };
    Ok((state, install))
}

fn switch(spec: &SwitchSpec, vlan: VlanId, seed: u64) -> Result<SwitchState, SpecError> {
    let (mut ports, mut lags) = (BTreeMap::new(), BTreeMap::<LagName, BTreeSet<PortName>>::new());
    for port in &spec.ports {
        let name: PortName = port.name.parse()?;
        if let Some(PortMode::Lacp { lag, .. }) = &port.mode {
            lags.entry(lag.clone()).or_default().insert(name.clone());
        }
        let mut random = Random::new(seed, &format!("{}/{}", spec.name, port.name));
        let state = Port {
            mode: port.mode.clone().unwrap_or(PortMode::Access { vlan }),
            since: Duration::ZERO,
            set_by_harmony: false,
            cable: None,
            negotiation: Duration::from_millis(1500) + random.below(NEGOTIATION_SPREAD),
            lldp_phase: random.below(LLDP_INTERVAL),
            unbundled_at: None,
        };
        if ports.insert(name, state).is_some() {
            return Err(SpecError::Twice(format!("port {}/{}", spec.name, port.name)));
        }
    }
    Ok(SwitchState { mac: spec.mac, names_itself: spec.names_itself, ports, lags, macs: BTreeMap::new() })
}

/// What hosts are installed from: nothing of it is ever fetched for real.
fn install_source(server: SocketAddr) -> InstallSource {
    InstallSource {
        server,
        kernel: "/os/sim/live-kernel.x86_64".to_owned(),
        initrd: "/os/sim/live-initramfs.x86_64.img".to_owned(),
        rootfs: None,
        image: "/os/sim/metal.x86_64.raw.zst".to_owned(),
        image_sha256: "0".repeat(64),
        args: Vec::new(),
        ssh_key: SSH_KEY.to_owned(),
    }
}
