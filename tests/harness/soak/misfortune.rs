//! What chance does to a site: its rack, and what goes wrong in it.

use harmony_core::capability::PortMode;
use harmony_sim::{FaultName, Injected, WorldSpec};

use crate::chance::Chance;
use crate::site::Site;

/// A cable that is swapped after its port was found out is not known before a flip fails on it; until
/// its ports are put back, the other host is cut off. That is told, and no rule can hold.
const LEFT_OUT: FaultName = FaultName::SwappedCables;

/// A rack of one to seven machines, as it is delivered or as it was left.
pub(super) fn rack(chance: &mut Chance) -> WorldSpec {
    let machines = u16::try_from(1 + chance.below(7)).expect("few");
    let seed = chance.throw();
    let mut spec = match chance.below(3) {
        0 => Site::mixed(seed, machines),
        _ => WorldSpec::mixed_rack(seed, machines),
    };
    let cables: Vec<String> =
        spec.hosts.iter().flat_map(|host| &host.nics).filter_map(|nic| nic.port.clone()).collect();
    for switch in &mut spec.switches {
        for port in &mut switch.ports {
            if cables.contains(&format!("{}/{}", switch.name, port.name)) && chance.one_in(8) {
                let lag = "found".parse().expect("a name");
                port.mode = Some(PortMode::Lacp { lag, vlan: None, fallback: false });
            }
        }
    }
    spec
}

/// The faults of one run.
pub(super) struct Faults {
    names: Vec<FaultName>,
    in_force: Vec<Injected>,
}

impl Faults {
    /// Up to three.
    pub(super) fn choose(site: &Site, chance: &mut Chance) -> Self {
        let (mut names, mut in_force) = (Vec::new(), Vec::new());
        // No cluster is wanted here.
        let of_racks: Vec<FaultName> = FaultName::ALL.iter().copied().filter(|name| !name.is_of_clusters()).collect();
        for _ in 0..chance.below(4) {
            let (name, seed) = (*chance.pick(&of_racks), chance.throw());
            if name == LEFT_OUT {
                continue;
            }
            if let Some(fault) = site.world.inject_by_name(name, seed) {
                names.push(name);
                in_force.push(fault);
            }
        }
        Self { names, in_force }
    }

    /// One line for people.
    pub(super) fn told(&self) -> String {
        let one = |(name, fault): (&FaultName, &Injected)| format!("{name} ({} times)", fault.fired());
        self.names.iter().zip(&self.in_force).map(one).collect::<Vec<_>>().join(", ")
    }

    /// Whether there is one among them that a person may have to clean up after. A clock that jumped
    /// and went back again leaves announcements that are younger than any report.
    pub(super) fn need_person(&self) -> bool {
        self.names.iter().any(|name| name.needs_person() || *name == FaultName::ClockJump)
    }
}
