//! From a spec to a world: names parsed, cables plugged in, contradictions refused.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use harmony_core::capability::{InstallSource, NetworkPlan, PortMode};
use harmony_core::host::BmcId;
use harmony_core::net::{LagName, MacAddress, NameError, ParsePortError, PortName, PortRef, SwitchId, VlanId};

use super::State;
use crate::dhcp::Dhcp;
use crate::faults::Faults;
use crate::lacp::DISTRIBUTE;
use crate::machine::Machine;
use crate::random::Random;
use crate::services::Services;
use crate::spec::{MlagSpec, SwitchSpec, WorldSpec};
use crate::switch::{Mlag, Port, SwitchState};

/// Port of the boot server.
const BOOT_PORT: u16 = 8080;
/// When a port hears its partner's first LACPDU: within a period at the fast rate.
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
    /// A machine cannot have this boot ROM.
    #[error("machine {machine} has a boot ROM of another firmware than its own")]
    Rom {
        /// The machine.
        machine: String,
    },
    /// The switches of a pair do not agree.
    #[error("switch {switch} says that it makes a pair with {peer}, which does not say the same of {switch}")]
    Pair {
        /// The switch.
        switch: String,
        /// The other one.
        peer: String,
    },
    /// A switch has no such port to its peer.
    #[error("switch {switch} has no port {port} to its peer")]
    PeerLink {
        /// The switch.
        switch: String,
        /// The port.
        port: String,
    },
    /// Two things have one name, MAC or port.
    #[error("{0} is there twice")]
    Twice(String),
}

/// Where machines are found by what they are known for.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) names: BTreeMap<String, usize>,
    pub(crate) macs: BTreeMap<MacAddress, usize>,
    pub(crate) bmcs: BTreeMap<BmcId, usize>,
}

/// Checks a spec and makes what it says.
pub(super) fn build(spec: WorldSpec) -> Result<(State, InstallSource), SpecError> {
    let vlan = VlanId::try_from(spec.vlan)?;
    let cidr = ipnet::Ipv4Net::new(spec.prefix.0, spec.prefix.1).map_err(|_| SpecError::Prefix(spec.prefix.1))?;
    check_pairs(&spec.switches)?;
    let mut switches = BTreeMap::new();
    for switch in &spec.switches {
        let id: SwitchId = switch.name.parse()?;
        let state = self::switch(switch, vlan, spec.seed)?;
        if switches.insert(id, state).is_some() {
            return Err(SpecError::Twice(format!("switch {}", switch.name)));
        }
    }
    let mut taken = BTreeSet::new();
    let mut once = |thing: String| if taken.insert(thing.clone()) { Ok(()) } else { Err(SpecError::Twice(thing)) };
    let (mut machines, mut index) = (Vec::new(), Index::default());
    for host in spec.hosts {
        if !host.rom.fits(host.firmware) {
            return Err(SpecError::Rom { machine: host.name });
        }
        let machine = Machine::new(host)?;
        index.names.insert(machine.name.clone(), machines.len());
        index.macs.extend(machine.macs().into_iter().map(|mac| (mac, machines.len())));
        index.bmcs.extend(machine.bmc.iter().map(|bmc| (bmc.clone(), machines.len())));
        once(format!("machine {}", machine.name))?;
        if let Some(bmc) = &machine.bmc {
            once(format!("BMC {bmc}"))?;
        }
        for (number, nic) in machine.nics.iter().enumerate() {
            once(format!("MAC {}", nic.mac))?;
            let Some(at) = &nic.port else { continue };
            once(format!("a cable in {at}"))?;
            let found =
                switches.get_mut(&at.switch).and_then(|switch: &mut SwitchState| switch.ports.get_mut(&at.port));
            let unknown = || SpecError::UnknownPort { machine: machine.name.clone(), port: at.clone() };
            found.ok_or_else(unknown)?.cable = Some((machines.len(), number));
        }
        machines.push(machine);
    }
    let host_ports = machines.iter().flat_map(|machine| &machine.nics).filter_map(|nic| nic.port.clone()).collect();
    // Each pair once, though both of its switches name the other.
    let peer = |(id, switch): (&SwitchId, &SwitchState)| Some([id.clone(), switch.mlag.as_ref()?.peer.clone()]);
    let mlag = switches.iter().filter_map(peer).filter(|[id, peer]| id < peer).collect();
    let network = NetworkPlan {
        cidr: cidr.into(),
        address: IpAddr::V4(spec.address),
        vlan,
        pool: spec.pool,
        hosts: spec.reserved,
        host_ports,
        mlag,
    };
    let install = crate::boot_server::install_source(SocketAddr::from((spec.address, BOOT_PORT)));
    let state = State {
        machines,
        index,
        switches,
        dhcp: Dhcp::new(spec.pool),
        tagged: spec.tagged.into_iter().collect(),
        faults: Faults::default(),
        services: Services::new(spec.timing.cluster, spec.seed),
        network,
        epoch: spec.epoch,
        store: None,
        live: spec.live,
        boot: None,
        pins: BTreeMap::new(),
        writes: Vec::new(),
        disk_writes: Vec::new(),
        violations: Vec::new(),
        told: BTreeSet::new(),
        flips: BTreeSet::new(),
        secrets: BTreeSet::new(),
        clock_jump_s: Arc::new(AtomicI64::new(0)),
        keeps_log: spec.log,
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
            edge: port.edge,
            since: Duration::ZERO,
            set_by_harmony: false,
            cable: None,
            negotiation: DISTRIBUTE + random.below(NEGOTIATION_SPREAD),
            lldp_phase: random.below(LLDP_INTERVAL),
            unbundled_at: None,
        };
        if ports.insert(name, state).is_some() {
            return Err(SpecError::Twice(format!("port {}/{}", spec.name, port.name)));
        }
    }
    let mlag = |mlag: &MlagSpec| -> Result<Mlag, SpecError> {
        let unknown = || SpecError::PeerLink { switch: spec.name.clone(), port: mlag.peer_link.clone() };
        let peer_link: PortName = mlag.peer_link.parse()?;
        let (peer_link, _) = ports.get_key_value(&peer_link).ok_or_else(unknown)?;
        Ok(Mlag { peer: mlag.peer.parse()?, system: mlag.system, peer_link: peer_link.clone() })
    };
    Ok(SwitchState {
        mac: spec.mac,
        names_itself: spec.names_itself,
        lacp_rate: spec.lacp_rate,
        unpartnered: spec.unpartnered,
        mlag: spec.mlag.as_ref().map(mlag).transpose()?,
        ports,
        lags,
        macs: BTreeMap::new(),
    })
}

/// Both switches of a pair must say the same of each other.
fn check_pairs(switches: &[SwitchSpec]) -> Result<(), SpecError> {
    for switch in switches {
        let Some(mlag) = &switch.mlag else { continue };
        let says_so = |other: &SwitchSpec| {
            let back = other.mlag.as_ref().filter(|back| back.peer == switch.name && back.system == mlag.system);
            other.name == mlag.peer && other.name != switch.name && back.is_some()
        };
        if !switches.iter().any(says_so) {
            return Err(SpecError::Pair { switch: switch.name.clone(), peer: mlag.peer.clone() });
        }
    }
    Ok(())
}
