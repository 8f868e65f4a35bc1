//! NICs and bonds: `/sys/class/net`, and from the live kernel addresses and permanent MACs.

use std::time::Instant;

use harmony_core::report::limits::{MAX_ENTRIES, MAX_NICS};
use harmony_core::report::v1::{Address, Bond, Nic};

use super::Notes;
use crate::cmdline::Cmdline;
use crate::lldp::Heard;
use crate::mac;
use crate::netlink::{self, Link, LinkAddress};
use crate::root::{Reason, Root, file_name};

const NET: &str = "sys/class/net";

/// Interface indices of the NICs there are at the moment.
pub(crate) fn indices(root: &Root) -> Vec<u32> {
    let names = names(root).unwrap_or_default();
    names.iter().take(MAX_NICS).filter_map(|name| root.number(&format!("{NET}/{name}/ifindex")).ok()).collect()
}

/// Interfaces with a device behind them; `lo`, bridges, bonds and VLANs have none.
fn names(root: &Root) -> Result<Vec<String>, Reason> {
    let mut names = root.names(NET)?;
    names.retain(|name| root.exists(&format!("{NET}/{name}/device")));
    Ok(names)
}

pub(super) fn collect(
    root: &Root,
    cmdline: &Result<Cmdline, Reason>,
    heard: &Heard,
    now: Instant,
    notes: &mut Notes,
) -> Vec<Nic> {
    let mut names = notes.keep("/nics", names(root)).unwrap_or_default();
    notes.bound("/nics", &mut names, MAX_NICS);
    let kernel = Kernel::ask(root);
    let mut nics: Vec<Nic> = Vec::with_capacity(names.len());
    for (at, name) in names.into_iter().enumerate() {
        let file = |attribute: &str| format!("{NET}/{name}/{attribute}");
        let fact = |field: &str| format!("/nics/{at}/{field}");
        let index: Result<u32, Reason> = root.number(&file("ifindex"));
        let mac = root.text(&file("address")).and_then(|text| parse_mac(&text));
        let heard_on = |index: u32| (heard.listened_s(index, now), heard.neighbours(index, now));
        let (listened_s, lldp) = match &index {
            Ok(index) => heard_on(*index),
            Err(reason) => (Err(reason.clone()), Vec::new()),
        };
        let mut nic = Nic {
            permanent_mac: notes.keep(fact("permanent_mac"), permanent_mac(root, &kernel, &index, &name, &mac)),
            speed_mbps: notes.keep(fact("speed_mbps"), speed_mbps(root, &file("speed"))),
            duplex: notes.keep(fact("duplex"), duplex(root, &file("duplex"))),
            carrier: notes
                .keep(fact("carrier"), root.flag(&file("carrier")).map_err(|reason| if_down(root, &name, reason))),
            driver: notes.keep(fact("driver"), root.link_name(&file("device/driver"))),
            pci_address: pci_address(root, &name),
            bond: bond_of(root, &name).and_then(|bond| notes.keep(fact("bond"), bond)),
            addresses: kernel.addresses(&index, &fact("addresses"), notes),
            booted: None,
            lldp,
            lldp_listened_s: notes.keep(fact("lldp_listened_s"), listened_s),
            mac: notes.keep(fact("mac"), mac),
            name,
        };
        nic.booted = notes.keep(fact("booted"), booted(cmdline, &nic));
        nics.push(nic);
    }
    if let Ok(Cmdline { boot_mac: Some(mac), .. }) = cmdline
        && !nics.iter().any(|nic| nic.booted == Some(true))
    {
        notes.absent("/nics", &format_args!("the command line says that {mac} was booted from, which no NIC has"));
    }
    nics
}

/// Bonds that exist, with their members.
pub(super) fn bonds(root: &Root, notes: &mut Notes) -> Vec<Bond> {
    let Ok(mut names) = root.names(NET) else { return Vec::new() };
    names.retain(|name| root.exists(&format!("{NET}/{name}/bonding")));
    notes.bound("/bonds", &mut names, MAX_ENTRIES);
    if names.is_empty() {
        return Vec::new();
    }
    let kernel = Kernel::ask(root);
    let bond = |(at, name): (usize, String)| {
        let file = |attribute: &str| format!("{NET}/{name}/{attribute}");
        let fact = |field: &str| format!("/bonds/{at}/{field}");
        // `802.3ad 4`: name and number.
        let mode = root.text(&file("bonding/mode"));
        let mode = mode.map(|mode| mode.split_whitespace().next().unwrap_or_default().to_owned());
        let members = root.text(&file("bonding/slaves")).unwrap_or_default();
        Bond {
            mode: notes.keep(fact("mode"), mode),
            mac: notes.keep(fact("mac"), root.text(&file("address")).and_then(|text| parse_mac(&text))),
            members: members.split_whitespace().take(MAX_ENTRIES).map(str::to_owned).collect(),
            addresses: kernel.addresses(&root.number(&file("ifindex")), &fact("addresses"), notes),
            name,
        }
    };
    names.into_iter().enumerate().map(bond).collect()
}

/// What the kernel tells by rtnetlink alone.
struct Kernel {
    links: Result<Vec<Link>, Reason>,
    addresses: Result<Vec<LinkAddress>, Reason>,
}

impl Kernel {
    fn ask(root: &Root) -> Self {
        if !root.is_live() {
            let reason = Reason::new("only the live kernel tells, and this is a recorded tree");
            return Self { links: Err(reason.clone()), addresses: Err(reason) };
        }
        let reason = |error| Reason::new(format!("rtnetlink: {error}"));
        Self { links: netlink::links().map_err(reason), addresses: netlink::addresses().map_err(reason) }
    }

    fn addresses(&self, index: &Result<u32, Reason>, fact: &str, notes: &mut Notes) -> Vec<Address> {
        let (addresses, index) = match (&self.addresses, index) {
            (Ok(addresses), Ok(index)) => (addresses, *index),
            (Err(reason), _) | (_, Err(reason)) => {
                notes.absent(fact, reason);
                return Vec::new();
            }
        };
        let own = addresses.iter().filter(|address| address.index == index);
        let mut own: Vec<Address> =
            own.map(|own| Address { address: own.address, prefix_len: own.prefix_len }).collect();
        notes.bound(fact, &mut own, MAX_ENTRIES);
        own
    }
}

/// The MAC in the hardware: as the kernel tells it, else as the bond remembers it, else the one in use
/// where the kernel says that nobody has changed it.
fn permanent_mac(
    root: &Root,
    kernel: &Kernel,
    index: &Result<u32, Reason>,
    name: &str,
    in_use: &Result<String, Reason>,
) -> Result<String, Reason> {
    /// `NET_ADDR_PERM`. Source: Linux `include/uapi/linux/netdevice.h`.
    const PERMANENT: u8 = 0;
    if let (Ok(links), Ok(index)) = (&kernel.links, index)
        && let Some(Link { permanent_mac: Some(mac), .. }) = links.iter().find(|link| link.index == *index)
    {
        return Ok(mac::from_bytes(mac));
    }
    if let Ok(remembered) = root.text(&format!("{NET}/{name}/bonding_slave/perm_hwaddr")) {
        return parse_mac(&remembered);
    }
    match root.number(&format!("{NET}/{name}/addr_assign_type"))? {
        PERMANENT => in_use.clone(),
        kind => Err(Reason::new(format!(
            "the driver tells none, and the MAC in use was set later (addr_assign_type {kind})"
        ))),
    }
}

fn speed_mbps(root: &Root, file: &str) -> Result<u32, Reason> {
    match root.number::<i64>(file) {
        // SPEED_UNKNOWN is -1, seen as 4294967295 on some drivers.
        Ok(speed) if speed <= 0 || speed >= i64::from(u32::MAX) => {
            Err(Reason::new(format!("/{file}: the driver says {speed}, which means unknown")))
        }
        Ok(speed) => u32::try_from(speed).map_err(|_| Reason::new(format!("/{file}: {speed} is out of range"))),
        Err(reason) => Err(no_link(reason)),
    }
}

fn duplex(root: &Root, file: &str) -> Result<String, Reason> {
    match root.text(file).map_err(no_link)? {
        known if known == "full" || known == "half" => Ok(known),
        other => Err(Reason::new(format!("/{file}: the driver says `{other}`"))),
    }
}

/// The kernel answers EINVAL when the driver has no link to speak of.
fn no_link(reason: Reason) -> Reason {
    let text = reason.to_string();
    if text.ends_with("Invalid argument") {
        Reason::new(format!("{text} (no link, or the driver does not tell)"))
    } else {
        reason
    }
}

fn if_down(root: &Root, name: &str, reason: Reason) -> Reason {
    match root.text(&format!("{NET}/{name}/operstate")) {
        Ok(state) if state == "down" => Reason::new("the interface is down"),
        _ => reason,
    }
}

/// Only a member of a bond has `bonding_slave`; a `master` may also be a bridge.
fn bond_of(root: &Root, name: &str) -> Option<Result<String, Reason>> {
    let is_member = root.exists(&format!("{NET}/{name}/bonding_slave"));
    is_member.then(|| root.link_name(&format!("{NET}/{name}/master")))
}

/// The device itself, or the one that it is a function of: a virtio NIC is a child of its PCI function.
/// No further up, where a USB NIC would get the address of its host controller.
fn pci_address(root: &Root, name: &str) -> Option<String> {
    let device = root.resolved(&format!("{NET}/{name}/device")).ok()?;
    device.ancestors().take(2).map(file_name).find(|name| is_pci_address(name)).map(str::to_owned)
}

/// `0000:3b:00.0`.
fn is_pci_address(name: &str) -> bool {
    let shape = |at: usize, byte: u8| match at {
        4 | 7 => byte == b':',
        10 => byte == b'.',
        _ => byte.is_ascii_hexdigit(),
    };
    name.len() == 12 && name.bytes().enumerate().all(|(at, byte)| shape(at, byte))
}

fn booted(cmdline: &Result<Cmdline, Reason>, nic: &Nic) -> Result<bool, Reason> {
    let mac = match cmdline {
        Ok(cmdline) => cmdline.boot_mac.as_ref(),
        Err(reason) => return Err(reason.clone()),
    };
    let mac = mac.ok_or_else(|| Reason::new("the command line has neither harmony.bootmac= nor BOOTIF="))?;
    // Members of a bond share the MAC in use: the permanent one decides where it is known.
    match nic.permanent_mac.as_ref().or(nic.mac.as_ref()) {
        Some(own) => Ok(own == mac),
        None => Err(Reason::new("its MAC is unknown")),
    }
}

/// A MAC as sysfs prints it. Others, such as InfiniBand's of 20 bytes, are not MACs.
fn parse_mac(text: &str) -> Result<String, Reason> {
    mac::normal(text).ok_or_else(|| Reason::new(format!("`{text}` is no MAC address")))
}
