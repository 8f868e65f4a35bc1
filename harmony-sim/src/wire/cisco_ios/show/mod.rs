//! What the switch prints, in the layout of recorded outputs.

mod lacp;
mod ports;
mod running;
mod tables;

use std::sync::Arc;

use harmony_core::net::MacAddress;

use super::device::Device;
use super::grammar::{Command, Verb};
use super::interface::Interface;

/// Runs a command that shows something; none for any other.
pub(super) fn run(device: &Arc<Device>, command: &Command) -> Option<String> {
    Some(match command.verb {
        Verb::ShowVersion => version(device.name()),
        Verb::ShowArchive if device.personality.archive => ARCHIVE.to_owned(),
        Verb::ShowArchive => "Archive feature not enabled".to_owned(),
        Verb::ShowRollback if device.personality.archive => device.show_revert(),
        Verb::ShowRollback => "%Please turn config archive on".to_owned(),
        Verb::ShowStatus => ports::status(device),
        Verb::ShowSwitchport => ports::switchport(device),
        Verb::ShowDescription => ports::description(device),
        Verb::ShowEtherchannel => lacp::summary(device),
        Verb::ShowLacpInternal => lacp::internal(device),
        Verb::ShowLacpNeighbor => lacp::neighbour(device),
        Verb::ShowLacpSystem => lacp::system_id(device),
        Verb::ShowMac => tables::mac(device),
        Verb::ShowLldp => tables::lldp(device),
        Verb::ShowRunning => running::all(device),
        Verb::ShowRunningInterface => {
            let interface = Interface::parse(command.arguments.first()?)?;
            running::one(device, &interface)?
        }
        _ => return None,
    })
}

const ARCHIVE: &str = "The maximum archive configurations allowed is 10.
There are currently 0 archive configurations saved.
The next archive file will be named flash:bk-<timestamp>-0
 Archive #  Name
";

fn version(name: &str) -> String {
    format!(
        "Cisco IOS XE Software, Version 16.09.03
Cisco IOS Software [Fuji], Catalyst L3 Switch Software (CAT9K_IOSXE), Version 16.9.3, RELEASE SOFTWARE (fc2)
Technical Support: http://www.cisco.com/techsupport

ROM: IOS-XE ROMMON
BOOTLDR: System Bootstrap, Version 16.9.1r [FC2], RELEASE SOFTWARE (P)

{name} uptime is 1 week, 2 days, 3 hours, 4 minutes
System image file is \"flash:packages.conf\"

cisco C9300-48T (X86) processor with 1392780K/6147K bytes of memory.
Processor board ID SIM0000AAAA

Configuration register is 0x102
"
    )
}

/// `0123.4567.89ab`.
fn dotted(mac: MacAddress) -> String {
    let [a, b, c, d, e, f] = mac.octets();
    format!("{a:02x}{b:02x}.{c:02x}{d:02x}.{e:02x}{f:02x}")
}
