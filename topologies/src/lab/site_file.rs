//! The site file of a rack: what the real drivers are told, and all that they are told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use harmony_drivers::bmc::PasswordSource;
use harmony_drivers::bmc::ipmi::IpmiSpec;
use harmony_drivers::dhcp::dnsmasq::{DnsmasqSpec, InterfaceName};
use harmony_drivers::host::ssh::SshSpec;
use harmony_drivers::switch::openvswitch::OpenVswitchSpec;
use ipnet::Ipv4Net;

use super::cluster::Offer;
use super::folder::Folder;
use super::spec::{LabName, Machine};
use super::switch::{ADDRESS, BRIDGE, CONTROLLER, VLAN};
use super::{LabError, bmc, cluster};
use crate::site::{BmcSpec, BootSection, DhcpSpec, LiveFlavour, NetworkSection, SiteFile, SiteSection, SwitchSpec};

/// The provisioning network.
pub(super) const NETWORK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(ADDRESS[0], ADDRESS[1], ADDRESS[2], 0), 24);
/// Kernel arguments of the machines. The last two are for emulated processors: their guests have
/// nothing to hide from each other, and an eighth of their time to win.
const ARGS: &str = "console=ttyS0 mitigations=off init_on_alloc=0";

/// Describes the rack to the drivers.
pub(super) fn site_file(
    folder: &Folder,
    name: &LabName,
    machines: &[Machine],
    cluster: Option<&Offer>,
) -> Result<SiteFile, LabError> {
    let described = describe(folder, name, machines).and_then(|mut file| {
        cluster.map_or(Ok(()), |offer| cluster::offer(&mut file, folder, offer))?;
        Ok(file)
    });
    described.map_err(|source| LabError::Write { what: "the site file", source })
}

fn describe(
    folder: &Folder,
    name: &LabName,
    machines: &[Machine],
) -> Result<SiteFile, Box<dyn std::error::Error + Send + Sync>> {
    let address = Ipv4Addr::from(ADDRESS);
    let in_net = |last| Ipv4Addr::new(ADDRESS[0], ADDRESS[1], ADDRESS[2], last);
    let live = |file: &str| format!("/os/live/{file}");
    let ports: Vec<_> = machines.iter().flat_map(|machine| machine.spec.name.ports()).collect();
    let switch = OpenVswitchSpec {
        db: format!("unix:{}", text(&folder.database_socket())?),
        bridge: BRIDGE.parse()?,
        host_ports: ports.iter().map(|port| port.parse()).collect::<Result<_, _>>()?,
        appctl: None,
    };
    let bmcs = machines.iter().map(|machine| {
        let spec = IpmiSpec {
            address: address.to_string(),
            port: machine.bmc_port,
            user: bmc::USER.to_owned(),
            password: PasswordSource::File(folder.bmc_password(&machine.spec.name)),
            cipher_suite: 3,
        };
        Ok((machine.spec.name.as_str().parse()?, BmcSpec::Ipmi(spec)))
    });
    Ok(SiteFile {
        dns: None,
        load_balancer: None,
        installer: None,
        cluster: Default::default(),
        site: SiteSection { name: format!("lab-{name}"), state: folder.state() },
        network: NetworkSection {
            cidr: NETWORK,
            address,
            vlan: VLAN.try_into()?,
            pool: [in_net(100), in_net(199)],
            hosts: [in_net(11), in_net(99)],
            gateway: None,
            name_servers: None,
            ntp: Vec::new(),
            router_advertisement: Some("fd10:10::/64".parse()?),
        },
        switch: [("rack".parse()?, SwitchSpec::OpenVswitch(switch))].into(),
        dhcp: DhcpSpec::Dnsmasq(DnsmasqSpec {
            interface: InterfaceName::try_from(CONTROLLER.to_owned())?,
            program: None,
        }),
        boot: BootSection {
            listen: SocketAddr::from((address, 8080)),
            tftp: Some(SocketAddr::from((address, 69))),
            tftp_root: folder.tftp(),
            assets: folder.assets(),
            agent: folder.agent(),
            live: LiveFlavour::Initramfs,
            live_kernel: live("vmlinuz"),
            live_initrd: live("initrd.img"),
            live_args: ARGS.to_owned(),
            install_kernel: Some(live("vmlinuz")),
            install_initrd: Some(live("initrd.img")),
            install_rootfs: None,
            install_image: Some("/os/node/disk.img.zst".to_owned()),
            install_args: ARGS.to_owned(),
        },
        ssh: SshSpec {
            user_live: "root".to_owned(),
            user_installed: "core".to_owned(),
            key_file: folder.state().join("ssh/id_ed25519"),
            port: 22,
        },
        agent: crate::site::AgentSection::default(),
        bmc: bmcs.collect::<Result<_, Box<dyn std::error::Error + Send + Sync>>>()?,
    })
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{} is no UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::spec::MachineSpec;
    use super::*;

    #[test]
    fn the_site_file_is_one_that_the_drivers_understand() {
        let name: LabName = "ab12cd".parse().expect("name");
        let machines = Machine::identify(&MachineSpec::usual(3), &name, uuid::Uuid::nil());
        let folder = Folder::new("/tmp/harmony-lab-ab12cd".into());
        let file = site_file(&folder, &name, &machines, None).expect("described");
        let text = toml::to_string(&file).expect("written");
        let path = Path::new("/tmp/harmony-lab-ab12cd/site.toml");
        assert_eq!(SiteFile::parse(&text, path, Path::new("/elsewhere")).expect("read again"), file);
        insta::assert_snapshot!(text);
    }
}
