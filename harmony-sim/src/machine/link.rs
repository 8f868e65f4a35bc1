//! How a system is attached to the network: a bond or one NIC, a VLAN on top, an address of its own or the DHCP
//! server's. What says so is read elsewhere: `cmdline` for kernel arguments, `keyfiles` for NetworkManager's files.

use std::net::IpAddr;
use std::time::Duration;

use harmony_core::boot::Stage;

use super::{Bond, Life, NicEnd, Running};
use crate::checkers::Rule;
use crate::world::State;

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// The bond, if it is one.
    pub(crate) bond: Option<Bond>,
    /// The NIC that stands alone; of a bond, its first member.
    pub(crate) nic: usize,
    /// Whether the machine's other NICs are up beside it.
    pub(crate) others: bool,
    /// The tagged VLAN that carries the address.
    pub(crate) vlan: Option<u16>,
    /// An address of its own; without one, the DHCP server is asked.
    pub(crate) own: Option<OwnAddress>,
}

/// An address that no DHCP server gave, and what comes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnAddress {
    pub(crate) address: IpAddr,
    /// The DNS servers that are asked.
    pub(crate) dns: Vec<IpAddr>,
    /// The host name that `ip=` gives.
    pub(crate) hostname: Option<String>,
}

impl Link {
    /// Any NIC with DHCP, as systems do that nobody told anything.
    pub(crate) fn plain(nic: usize) -> Self {
        Self { bond: None, nic, others: true, vlan: None, own: None }
    }
}

impl State {
    /// A machine takes an address of its own. Whoever has it too is seen from outside.
    fn take_own_address(&mut self, id: usize, address: IpAddr, now: Duration) {
        let name = self.machines[id].name.clone();
        self.note(now, &format!("{name}: takes {address} as its own"));
        let other = (0..self.machines.len())
            .find(|other| *other != id && self.machines[*other].running.address() == Some(address));
        if let Some(other) = other.map(|other| self.machines[other].name.clone()) {
            self.violate(Rule::AddressLeasedTwice, now, format!("{name} takes {address} while {other} has it"));
        }
        self.machines[id].running.set_address(address);
    }
}

impl Life {
    /// Brings a link up; from now on this runs there.
    pub(super) fn attach(&self, link: &Link, running: Running) {
        let all: Vec<usize> = self.world.with(|state| {
            let machine = &mut state.machines[self.id];
            machine.bond.clone_from(&link.bond);
            machine.vlan = link.vlan;
            (0..machine.nics.len()).collect()
        });
        match &link.bond {
            Some(bond) => self.enter(Stage::Bonded, &bond.members, NicEnd::Bonded),
            None => self.enter(
                Stage::Plain,
                if link.others { &all } else { std::slice::from_ref(&link.nic) },
                NicEnd::Plain,
            ),
        }
        self.world.with(|state| state.machines[self.id].running = running);
    }

    /// The address of a link that is up: its own, or the DHCP server's, which is asked until it answers.
    pub(super) async fn link_address(&mut self, link: &Link, hostname: Option<&str>, who: &str) -> IpAddr {
        if let Some(own) = &link.own {
            let now = self.world.now();
            self.world.with(|state| state.take_own_address(self.id, own.address, now));
            return own.address;
        }
        match link.bond {
            Some(_) => self.bond_address(hostname).await,
            None => self.address(link.nic, who).await,
        }
    }
}
