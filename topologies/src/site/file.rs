//! `site.toml`: which drivers a site has, where, and how its provisioning network is laid out.
//!
//! Owns the file's shape and its checks. Credentials are never in it, only the files or environment
//! variables that hold them. Relative paths are relative to the file's own folder.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use harmony_core::capability::{AddressRange, NetworkPlan};
use harmony_core::host::{BmcId, HostId};
use harmony_core::net::{PortRef, SwitchId, VlanId};
use harmony_drivers::bmc::ipmi::IpmiSpec;
use harmony_drivers::bmc::redfish::{NetworkBoot, RedfishSpec};
use harmony_drivers::cluster::kubernetes::KubernetesSpec;
use harmony_drivers::cluster::openshift_install::OpenshiftInstallSpec;
use harmony_drivers::dhcp::dnsmasq::DnsmasqSpec;
use harmony_drivers::dns::dnsmasq::DnsmasqDnsSpec;
use harmony_drivers::dns::external::ExternalDnsSpec;
use harmony_drivers::host::ssh::{Ssh, SshSpec};
use harmony_drivers::load_balancer::haproxy::HaproxySpec;
use harmony_drivers::switch::cisco_ios::CiscoIosSpec;
use harmony_drivers::switch::openvswitch::OpenVswitchSpec;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::SiteError;

/// A site file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteFile {
    /// `[site]`.
    pub site: SiteSection,
    /// `[network]`.
    pub network: NetworkSection,
    /// `[switch.NAME]`.
    #[serde(default)]
    pub switch: BTreeMap<SwitchId, SwitchSpec>,
    /// `[dhcp]`.
    pub dhcp: DhcpSpec,
    /// `[boot]`.
    pub boot: BootSection,
    /// `[ssh]`.
    pub ssh: SshSpec,
    /// `[agent]`.
    #[serde(default)]
    pub agent: AgentSection,
    /// `[bmc.NAME]`.
    #[serde(default)]
    pub bmc: BTreeMap<BmcId, BmcSpec>,
    /// `[dns]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsSpec>,
    /// `[load_balancer]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancerSpec>,
    /// `[installer]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installer: Option<OpenshiftInstallSpec>,
    /// `[cluster]`.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub cluster: KubernetesSpec,
}

fn is_usual(cluster: &KubernetesSpec) -> bool {
    *cluster == KubernetesSpec::default()
}

/// The DNS server that hosts ask, and its driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "lowercase")]
pub enum DnsSpec {
    /// A dnsmasq that Harmony starts and owns.
    Dnsmasq(DnsmasqDnsSpec),
    /// Somebody else keeps the records: Harmony asks, reports, and changes nothing.
    External(ExternalDnsSpec),
    /// A server whose driver the program brings, that opens the site.
    Program,
}

/// The load balancer before clusters, and its driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "lowercase")]
pub enum LoadBalancerSpec {
    /// HAProxy.
    Haproxy(HaproxySpec),
    /// Somebody else configures it: Harmony changes nothing.
    External,
    /// One whose driver the program brings, that opens the site.
    Program,
}

/// `[site]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteSection {
    /// Its name, in plans and on the screen.
    pub name: String,
    /// Folder of Harmony's own files: inventory, DHCP files, known hosts.
    pub state: PathBuf,
}

/// `[network]`: the provisioning network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSection {
    /// Its prefix.
    pub cidr: Ipv4Net,
    /// Harmony's own address in it.
    pub address: Ipv4Addr,
    /// Its VLAN, untagged on the hosts' ports.
    pub vlan: VlanId,
    /// First and last address for hosts that are not known yet.
    pub pool: [Ipv4Addr; 2],
    /// First and last address for reservations.
    pub hosts: [Ipv4Addr; 2],
    /// The router that hosts are told of by DHCP; Harmony's own machine where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv4Addr>,
    /// The DNS servers that hosts are told of by DHCP; those of `[dns]` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_servers: Option<Vec<Ipv4Addr>>,
    /// The NTP servers that hosts are told of by DHCP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ntp: Vec<Ipv4Addr>,
    /// An IPv6 prefix to announce, which saves iPXE eight seconds a boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router_advertisement: Option<Ipv6Net>,
}

/// A switch and its driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "lowercase")]
pub enum SwitchSpec {
    /// Open vSwitch.
    OpenVswitch(OpenVswitchSpec),
    /// Cisco IOS and IOS-XE, over SSH.
    #[serde(rename = "cisco_ios")]
    CiscoIos(CiscoIosSpec),
}

/// The DHCP server and its driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "lowercase")]
pub enum DhcpSpec {
    /// A dnsmasq that Harmony starts and owns.
    Dnsmasq(DnsmasqSpec),
    /// A server whose driver the program brings, that opens the site.
    Program,
}

/// A BMC and its driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "lowercase")]
pub enum BmcSpec {
    /// IPMI 2.0, through ipmitool.
    Ipmi(IpmiSpec),
    /// Redfish.
    Redfish(RedfishSpec),
}

/// The live environment that unknown hosts boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LiveFlavour {
    /// A kernel and an initramfs that runs the agent.
    Initramfs,
    /// CentOS Stream 9's installer, with the Kickstart `inventory.ks`; `live_kernel` and
    /// `live_initrd` are its `vmlinuz` and `initrd.img`, in `…/images/pxeboot/`.
    Anaconda,
}

/// `[boot]`: Harmony's boot server and what it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootSection {
    /// Where it listens for HTTP.
    pub listen: SocketAddr,
    /// Where it listens for TFTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tftp: Option<SocketAddr>,
    /// Folder with `undionly.kpxe` and `ipxe.efi`.
    pub tftp_root: PathBuf,
    /// Folder that is served under `/os/`.
    pub assets: PathBuf,
    /// The inventory agent's binary.
    pub agent: PathBuf,
    /// Which live environment.
    pub live: LiveFlavour,
    /// Its kernel, `/os/…`.
    pub live_kernel: String,
    /// Its initramfs.
    pub live_initrd: String,
    /// Further arguments of it.
    #[serde(default)]
    pub live_args: String,
    /// The installer's kernel, where hosts get a system of the site's own; clusters bring theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_kernel: Option<String>,
    /// Its initramfs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_initrd: Option<String>,
    /// Its root file system, where it has one of its own (CoreOS live).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_rootfs: Option<String>,
    /// The disk image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_image: Option<String>,
    /// Further arguments of it.
    #[serde(default)]
    pub install_args: String,
}

/// `[agent]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSection {
    /// File with the token that agents ask of those who read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

impl SiteFile {
    /// Reads and checks a site file.
    ///
    /// # Errors
    /// What is wrong, by file, line and key.
    pub fn read(path: &Path) -> Result<Self, SiteError> {
        let text = std::fs::read_to_string(path).map_err(|source| SiteError::Read { path: path.to_owned(), source })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = std::path::absolute(folder).map_err(|source| SiteError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path, &folder)
    }

    /// Parses a site file's text.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn parse(text: &str, path: &Path, folder: &Path) -> Result<Self, SiteError> {
        let mut file: Self =
            toml::from_str(text).map_err(|source| SiteError::Parse { path: path.to_owned(), source })?;
        file.check().map_err(|(key, reason)| SiteError::Value { path: path.to_owned(), key, reason })?;
        let boot = &mut file.boot;
        for relative in [&mut file.site.state, &mut boot.tftp_root, &mut boot.assets, &mut boot.agent] {
            *relative = folder.join(&*relative);
        }
        file.ssh.key_file = folder.join(&file.ssh.key_file);
        if let Some(token) = &mut file.agent.token_file {
            *token = folder.join(&*token);
        }
        for spec in file.switch.values_mut() {
            match spec {
                SwitchSpec::OpenVswitch(_) => {}
                SwitchSpec::CiscoIos(spec) => spec.resolve(folder),
            }
        }
        if let Some(installer) = &mut file.installer {
            installer.resolve(folder);
        }
        let http_boot_uri = file.uefi_boot_url();
        for spec in file.bmc.values_mut() {
            match spec {
                BmcSpec::Ipmi(spec) => spec.password.resolve(folder),
                BmcSpec::Redfish(spec) => {
                    spec.resolve(folder);
                    if spec.network_boot == NetworkBoot::Http && spec.http_boot_uri.is_none() {
                        spec.http_boot_uri = Some(http_boot_uri.clone());
                    }
                }
            }
        }
        Ok(file)
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        let network = &self.network;
        for (key, [first, last]) in [("network.pool", network.pool), ("network.hosts", network.hosts)] {
            if first > last {
                return Err((key, format!("{first} comes after {last}")));
            }
            if let Some(outside) = [first, last].into_iter().find(|address| !network.cidr.contains(address)) {
                return Err((key, format!("{outside} is not in {}", network.cidr)));
            }
            if (first..=last).contains(&network.address) {
                return Err((key, format!("it contains Harmony's own address {}", network.address)));
            }
        }
        if network.pool[0] <= network.hosts[1] && network.hosts[0] <= network.pool[1] {
            return Err((
                "network.hosts",
                "it overlaps network.pool; an address for reservations must not be leased to others".into(),
            ));
        }
        if !network.cidr.contains(&network.address) {
            return Err(("network.address", format!("{} is not in {}", network.address, network.cidr)));
        }
        if !self.boot.listen.ip().is_unspecified() && self.boot.listen.ip() != IpAddr::V4(network.address) {
            return Err((
                "boot.listen",
                format!("hosts reach Harmony at {}, not at {}", network.address, self.boot.listen.ip()),
            ));
        }
        Ok(())
    }

    /// The DNS servers that hosts are told of.
    #[must_use]
    pub fn name_servers(&self) -> Vec<Ipv4Addr> {
        let of_section = || match &self.dns {
            Some(DnsSpec::Dnsmasq(spec)) => spec.listen.clone(),
            Some(DnsSpec::External(spec)) => spec.servers.clone(),
            Some(DnsSpec::Program) | None => Vec::new(),
        };
        let v4 = |address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        };
        self.network.name_servers.clone().unwrap_or_else(|| of_section().into_iter().filter_map(v4).collect())
    }

    /// The provisioning network.
    #[must_use]
    pub fn network_plan(&self) -> NetworkPlan {
        let network = &self.network;
        let range = |[first, last]: [Ipv4Addr; 2]| AddressRange { first, last };
        let ports = self.switch.iter().flat_map(|(id, spec)| {
            let host_ports = match spec {
                SwitchSpec::OpenVswitch(spec) => &spec.host_ports,
                SwitchSpec::CiscoIos(spec) => &spec.host_ports,
            };
            host_ports.iter().map(|port| PortRef::new(id.clone(), port.clone()))
        });
        NetworkPlan {
            cidr: IpNet::V4(network.cidr),
            address: network.address.into(),
            vlan: network.vlan,
            pool: range(network.pool),
            hosts: range(network.hosts),
            host_ports: ports.collect(),
            mlag: Vec::new(),
        }
    }

    /// Drops the SSH host keys that are pinned for a host; how many there were.
    ///
    /// # Errors
    /// If the file of pins cannot be read or written.
    pub fn forget_host_keys(&self, host: &HostId) -> Result<usize, SiteError> {
        Ok(Ssh::forget_host_keys(&self.site.state, host)?)
    }

    /// Where each cluster's secrets are kept: what its installer made, one folder a generation.
    #[must_use]
    pub fn clusters_dir(&self) -> PathBuf {
        self.site.state.join("clusters")
    }

    /// What UEFI HTTP Boot loads.
    #[must_use]
    pub fn uefi_boot_url(&self) -> String {
        format!("http://{}/os/ipxe.efi", self.boot_address())
    }

    /// Where hosts reach the boot server.
    #[must_use]
    pub fn boot_address(&self) -> SocketAddr {
        SocketAddr::new(self.network.address.into(), self.boot.listen.port())
    }
}

/// Kernel arguments as a list.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use harmony_drivers::bmc::PasswordSource;

    use super::*;

    /// The example of the reference, with its comments' alternatives where they are wanted.
    fn reference(more: &[(&str, &str)]) -> SiteFile {
        let page = include_str!("../../../docs/reference/site.md");
        let text = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let text = more.iter().fold(text.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        SiteFile::parse(&text, Path::new("site.toml"), Path::new("/site")).unwrap_or_else(|error| panic!("{error:?}"))
    }

    #[test]
    fn the_example_of_the_reference_is_understood() {
        let file = reference(&[]);
        let Some(BmcSpec::Redfish(spec)) = file.bmc.get(&"node-b".parse().expect("valid")) else { panic!("{file:?}") };
        assert_eq!(spec.base_url(), "https://10.10.1.12");
        assert_eq!(spec.password, PasswordSource::File("/site/bmc/node-b.password".into()));
        assert_eq!((spec.network_boot, spec.http_boot_uri.as_deref()), (NetworkBoot::Pxe, None));
    }

    #[test]
    fn a_site_for_clusters_names_no_image_of_its_own() {
        let page = include_str!("../../../docs/reference/site.md");
        let text = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let text: String =
            text.lines().filter(|line| !line.starts_with("install_")).map(|line| format!("{line}\n")).collect();
        let file = SiteFile::parse(&text, Path::new("site.toml"), Path::new("/site")).expect("valid");
        assert_eq!((file.boot.install_kernel, file.boot.install_image), (None, None));
    }

    #[test]
    fn hosts_are_told_of_the_sites_own_name_servers_unless_of_others() {
        assert_eq!(reference(&[]).name_servers(), [Ipv4Addr::new(10, 10, 0, 1)]);
        let own = ("# name_servers = [\"10.10.0.2\"]", "name_servers = [\"10.10.0.2\"]");
        assert_eq!(reference(&[own]).name_servers(), [Ipv4Addr::new(10, 10, 0, 2)]);
    }

    #[test]
    fn uefi_http_boot_loads_ipxe_from_the_boot_server_unless_told() {
        let http = ("# network_boot = \"http\"", "network_boot = \"http\"");
        let uri = |file: SiteFile| match file.bmc.get(&"node-b".parse().expect("valid")) {
            Some(BmcSpec::Redfish(spec)) => spec.http_boot_uri.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(uri(reference(&[http])).as_deref(), Some("http://10.10.0.1:8080/os/ipxe.efi"));
        let own = (
            "# http_boot_uri = \"http://10.10.0.1:8080/os/ipxe.efi\"",
            "http_boot_uri = \"https://boot.example/x.efi\"",
        );
        assert_eq!(uri(reference(&[http, own])).as_deref(), Some("https://boot.example/x.efi"));
    }
}
