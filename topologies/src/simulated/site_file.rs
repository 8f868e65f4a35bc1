//! The site file of a simulated rack: what the real drivers are told, and all that they are told.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use harmony_core::secret::Secret;
use harmony_drivers::bmc::PasswordSource;
use harmony_drivers::bmc::redfish::{CertificateSource, NetworkBoot, RedfishSpec};
use harmony_drivers::host::ssh::SshSpec;
use harmony_drivers::switch::cisco_ios::CiscoIosSpec;
use harmony_sim::ANACONDA_TREE;
use harmony_sim::wire::Wire;
use ipnet::IpNet;

use crate::site::{
    AgentSection, BmcSpec, BootSection, DhcpSpec, LiveFlavour, NetworkSection, SiteFile, SiteSection, SwitchSpec,
};

/// What is served under `/os/`.
pub(super) const ASSETS: &str = "assets";
/// What is served over TFTP.
pub(super) const TFTP: &str = "tftp";
/// What is served as the agent.
pub(super) const AGENT: &str = "harmony-inventory-agent";

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Describes the rack to the drivers.
pub(super) fn describe(folder: &Path, wire: &Wire) -> Result<SiteFile, Failure> {
    let plan = wire.network();
    let (IpNet::V4(cidr), IpAddr::V4(address)) = (plan.cidr, plan.address) else {
        return Err("its provisioning network is not IPv4".into());
    };
    let switches = wire.switches().iter().map(|switch| {
        let spec = CiscoIosSpec {
            address: switch.address.ip().to_string(),
            port: switch.address.port(),
            user: switch.user.clone(),
            password: PasswordSource::File(password(folder, switch.switch.as_str())),
            enable_password: Some(PasswordSource::File(enable_password(folder, switch.switch.as_str()))),
            host_ports: plan
                .host_ports
                .iter()
                .filter(|port| port.switch == switch.switch)
                .map(|port| port.port.clone())
                .collect(),
            ssh_profile: Default::default(),
            save: false,
            port_channels: [1, 4096],
        };
        (switch.switch.clone(), SwitchSpec::CiscoIos(spec))
    });
    let bmcs = wire.bmcs().iter().map(|bmc| {
        let spec = RedfishSpec {
            address: bmc.address.ip().to_string(),
            port: bmc.address.port(),
            user: bmc.user.clone(),
            password: PasswordSource::File(password(folder, bmc.bmc.as_str())),
            system: None,
            network_boot: NetworkBoot::Pxe,
            http_boot_uri: None,
            certificate: CertificateSource::Sha256(bmc.certificate_sha256.parse()?),
        };
        Ok((bmc.bmc.clone(), BmcSpec::Redfish(spec)))
    });
    let (state, install) = (folder.join("state"), wire.install_source());
    let live = |file: &str| format!("/os/{ANACONDA_TREE}/images/pxeboot/{file}");
    Ok(SiteFile {
        dns: None,
        load_balancer: None,
        installer: None,
        cluster: Default::default(),
        network: NetworkSection {
            cidr,
            address,
            vlan: plan.vlan,
            pool: [plan.pool.first, plan.pool.last],
            hosts: [plan.hosts.first, plan.hosts.last],
            gateway: None,
            name_servers: None,
            ntp: Vec::new(),
            router_advertisement: None,
        },
        switch: switches.collect(),
        dhcp: DhcpSpec::Program,
        boot: BootSection {
            listen: wire.boot_http(),
            tftp: Some(wire.boot_tftp()),
            tftp_root: folder.join(TFTP),
            assets: folder.join(ASSETS),
            agent: folder.join(AGENT),
            live: LiveFlavour::Anaconda,
            live_kernel: live("vmlinuz"),
            live_initrd: live("initrd.img"),
            live_args: String::new(),
            install_kernel: Some(install.kernel.clone()),
            install_initrd: Some(install.initrd.clone()),
            install_rootfs: install.rootfs.clone(),
            install_image: install.image.as_ref().map(|image| image.path.clone()),
            install_args: String::new(),
        },
        ssh: SshSpec {
            user_live: "root".to_owned(),
            user_installed: "core".to_owned(),
            key_file: state.join("ssh/id_ed25519"),
            port: wire.ssh_port(),
        },
        agent: AgentSection::default(),
        bmc: bmcs.collect::<Result<_, Failure>>()?,
        site: SiteSection { name: "simulated".to_owned(), state },
    })
}

/// Every file that holds a password, with it.
pub(super) fn passwords(folder: &Path, wire: &Wire) -> Vec<(PathBuf, Secret)> {
    let bmcs = wire.bmcs().iter().map(|bmc| (password(folder, bmc.bmc.as_str()), bmc.password.clone()));
    let switches = wire.switches().iter().flat_map(|switch| {
        let name = switch.switch.as_str();
        [
            (password(folder, name), switch.password.clone()),
            (enable_password(folder, name), switch.enable_password.clone()),
        ]
    });
    bmcs.chain(switches).collect()
}

fn password(folder: &Path, device: &str) -> PathBuf {
    folder.join("passwords").join(device)
}

fn enable_password(folder: &Path, switch: &str) -> PathBuf {
    folder.join("passwords").join(format!("{switch}.enable"))
}
