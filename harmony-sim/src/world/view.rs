//! A machine as a test sees it.

use std::net::IpAddr;
use std::time::Duration;

use harmony_core::boot::{OrderId, Stage};
use harmony_core::host::{BmcId, Firmware};
use harmony_core::net::{MacAddress, PortRef};
use uuid::Uuid;

use super::State;
use crate::machine::Running;
use crate::spec::{BmcPersonality, BootRom};

/// A machine at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineView {
    /// The name in its spec.
    pub name: String,
    /// SMBIOS UUID.
    pub uuid: Uuid,
    /// SMBIOS serial number.
    pub serial: String,
    /// Permanent MACs of its NICs, in their order.
    pub macs: Vec<MacAddress>,
    /// The switch ports that they are plugged into.
    pub ports: Vec<PortRef>,
    /// Its BMC.
    pub bmc: Option<BmcId>,
    /// Whose that is.
    pub bmc_personality: BmcPersonality,
    /// Its firmware.
    pub firmware: Firmware,
    /// Its boot ROM.
    pub rom: BootRom,
    /// Whether it is on.
    pub powered: bool,
    /// What runs on it, as far as the network is concerned.
    pub stage: Stage,
    /// Where its system answers.
    pub address: Option<IpAddr>,
    /// Whether frames pass between it and the provisioning network.
    pub reachable: bool,
    /// Whether its agent answers.
    pub agent: bool,
    /// Whether all its NICs that are plugged in are bundled with the switch's ports by LACP.
    pub bundled: bool,
    /// The order that installed the system that runs.
    pub order: Option<OrderId>,
    /// Name of the installed system that runs.
    pub hostname: Option<String>,
    /// What its screen shows, oldest line first: what a person in front of it would see.
    pub console: Vec<String>,
    /// How often it began to start: switched on, reset, restarted by itself.
    pub starts: u32,
    /// How often Harmony switched it on or restarted it.
    pub restarts: u32,
    /// How often an installer came to its end on it.
    pub installs: u32,
}

impl State {
    /// A machine as it is now.
    pub(crate) fn view(&self, id: usize, now: Duration) -> MachineView {
        let machine = &self.machines[id];
        MachineView {
            name: machine.name.clone(),
            uuid: machine.uuid,
            serial: machine.serial.clone(),
            macs: machine.nics.iter().map(|nic| nic.mac).collect(),
            ports: machine.nics.iter().filter_map(|nic| nic.port.clone()).collect(),
            bmc: machine.bmc.clone(),
            bmc_personality: machine.bmc_personality,
            firmware: machine.firmware,
            rom: machine.rom,
            powered: machine.is_on(),
            stage: machine.stage,
            address: machine.running.address(),
            reachable: self.is_reachable(id, now),
            agent: matches!(machine.running, Running::Live { agent: true, .. }),
            bundled: self.is_bundled(id, now),
            order: machine.system().map(|system| system.order.clone()),
            hostname: machine.system().map(|system| system.hostname.clone()),
            console: machine.console.iter().cloned().collect(),
            starts: machine.starts,
            restarts: machine.restarts,
            installs: machine.installs,
        }
    }
}
