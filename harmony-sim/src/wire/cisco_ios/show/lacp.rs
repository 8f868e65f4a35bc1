//! `show etherchannel summary`, `show lacp internal`, `… neighbor`, `… sys-id`.
//!
//! Source: IEEE 802.1AX-2014 section 6.4.2.3 (bits of a port's state).

use super::super::device::Device;
use super::super::interface::Interface;
use super::{dotted, ports};
use crate::lacp::{LacpPort, Mux, Standing};
use crate::spec::LacpRate;
use crate::world::State;

const LEGEND: &str = "Flags:  D - down        P - bundled in port-channel
        I - stand-alone s - suspended
        H - Hot-standby (LACP only)
        R - Layer3      S - Layer2
        U - in use      f - failed to allocate aggregator

        M - not in use, minimum links not met
        u - unsuitable for bundling
        w - waiting to be aggregated
        d - default port

        A - formed by Auto LAG

";
/// Members in a row.
const ROW: usize = 3;

pub(super) fn summary(device: &Device) -> String {
    device.look(|config, state| {
        let count = config.port_channels.len();
        let mut text = format!(
            "{LEGEND}\nNumber of channel-groups in use: {count}\nNumber of aggregators:           {count}\n\n\
             Group  Port-channel  Protocol    Ports\n\
             ------+-------------+-----------+-----------------------------------------------\n"
        );
        for number in config.port_channels.keys() {
            let members: Vec<_> = config.members(*number).collect();
            let flag = |port: &&Interface| match ports::standing(device, state, port) {
                Some(Standing::Bundled) => 'P',
                Some(Standing::Negotiating) => 'w',
                Some(Standing::Individual | Standing::Fallback) => 'I',
                Some(Standing::Suspended) => 's',
                Some(Standing::Down) | None => 'D',
            };
            let is_used = members.iter().any(|port| flag(port) == 'P');
            let name = format!("Po{number}(S{})", if is_used { 'U' } else { 'D' });
            let is_static =
                |port: &&Interface| config.ports[*port].group.as_ref().is_some_and(|(_, mode)| mode == "on");
            let protocol = if members.is_empty() || members.iter().any(is_static) { "-" } else { "LACP" };
            let cells: Vec<String> =
                members.iter().map(|port| format!("{:<15}", format!("{port}({})", flag(port)))).collect();
            let mut rows = cells.chunks(ROW).map(|cells| cells.concat());
            text += &format!("{number:<7}{name:<16}{protocol:<10}{}\n", rows.next().unwrap_or_default());
            for row in rows {
                text += &format!("{:33}{row}\n", "");
            }
        }
        text
    })
}

const FLAGS: &str = "Flags:  S - Device is requesting Slow LACPDUs
        F - Device is requesting Fast LACPDUs
        A - Device is in Active mode       P - Device is in Passive mode
";

fn lacp(device: &Device, state: &State, port: &Interface) -> Option<LacpPort> {
    state.lacp(&device.port(state, port)?, device.world.now())
}

/// The own state of a port, as bits.
fn bits(lacp: &LacpPort) -> u8 {
    let rate = if lacp.rate == LacpRate::Fast { 0x02 } else { 0 };
    // Active and aggregatable always.
    0x05 | rate
        | match lacp.mux {
            Mux::Detached => 0x40,
            Mux::Waiting => 0,
            Mux::Attached => 0x08,
            Mux::Collecting => 0x18,
            Mux::Distributing => 0x38,
        }
}

pub(super) fn internal(device: &Device) -> String {
    device.look(|config, state| {
        let mut text = FLAGS.to_owned();
        for number in config.port_channels.keys().filter(|number| config.members(**number).next().is_some()) {
            text += &format!(
                "\nChannel group {number}\n\
                 {0:28}LACP port     Admin     Oper    Port        Port\n\
                 Port      Flags   State     Priority      Key       Key     Number      State\n",
                ""
            );
            for port in config.members(*number) {
                let Some(lacp) = lacp(device, state, port) else { continue };
                let word = match lacp.standing {
                    Standing::Bundled => "bndl",
                    Standing::Down => "down",
                    Standing::Individual | Standing::Fallback => "indep",
                    Standing::Suspended => "susp",
                    Standing::Negotiating if lacp.mux >= Mux::Attached => "bndl",
                    Standing::Negotiating => "wait",
                };
                let flags = if lacp.rate == LacpRate::Fast { "FA" } else { "SA" };
                let key = format!("0x{number:X}");
                text += &format!(
                    "{port:<10}{flags:<8}{word:<10}{:<14}{key:<10}{key:<8}{:<12}0x{:X}\n",
                    32768,
                    format!("0x{:X}", port.number()),
                    bits(&lacp)
                );
            }
        }
        text
    })
}

pub(super) fn neighbour(device: &Device) -> String {
    device.look(|config, state| {
        let mut text = FLAGS.to_owned();
        for number in config.port_channels.keys() {
            let heard: Vec<_> =
                config.members(*number).filter_map(|port| Some((port, lacp(device, state, port)?.partner?))).collect();
            if heard.is_empty() {
                continue;
            }
            text += &format!(
                "\nChannel group {number} neighbors\n\nPartner's information:\n\n\
                 {0:18}LACP port                        Admin  Oper   Port    Port\n\
                 Port      Flags   Priority  Dev ID          Age    key    Key    Number  State\n",
                ""
            );
            for (port, partner) in heard {
                text += &format!(
                    "{port:<10}{:<8}{:<10}{}  {:>3}s    0x0    0xF    0x{:<6X}0x3D\n",
                    "FA",
                    65535,
                    dotted(partner),
                    1,
                    port.number() & 0xff
                );
            }
        }
        text
    })
}

pub(super) fn system_id(device: &Device) -> String {
    let system = device.look(|_, state| state.switches.get(&device.switch).map(|switch| switch.lacp_system()));
    system.map(|mac| format!("32768, {}", dotted(mac))).unwrap_or_default()
}
