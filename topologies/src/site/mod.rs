//! A site: the drivers that its file names, and the services that Harmony runs for it.
//!
//! Read next: `file` for the shape of `site.toml`.

mod assets;
mod boot;
mod dhcp;
mod error;
mod file;
mod image;
mod services;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use harmony_boot::{BootConfig, PrivateFolder, StorePxe, TftpConfig};
use harmony_core::capability::{
    AgentReply, Bmc, BmcSet, BootDevice, BootEntry, BootSource, CommandOutput, DhcpServer, DiskImage, DnsRecord,
    HostControl, HostDiscovery, HostTarget, InstallSource, LagSpec, LbService, Lease, LldpNeighbour, MacTableEntry,
    NetworkPlan, PortStatus, PowerAction, PowerState, ProvisioningNetwork, PxeServer, Reservation, Switch, SwitchSet,
    Topology,
};
use harmony_core::clock::SharedClock;
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::host::{BmcId, Firmware, HostId};
use harmony_core::net::{Hostname, MacAddress, PortRef, SwitchId, VlanId};
use harmony_core::report::AGENT_PORT;
use harmony_core::secret::Secret;
use harmony_core::store::SharedStore;
use harmony_drivers::WriteLog;
use harmony_drivers::bmc::ipmi::Ipmi;
use harmony_drivers::bmc::redfish::Redfish;
use harmony_drivers::dhcp::dnsmasq::{BootFiles, Dnsmasq, DnsmasqConfig};
use harmony_drivers::host::discovery::NetworkDiscovery;
use harmony_drivers::host::ssh::Ssh;
use harmony_drivers::switch::cisco_ios::CiscoIos;
use harmony_drivers::switch::openvswitch::OpenVswitch;
use harmony_templates::LiveEnvironment;
use ipnet::Ipv4Net;
use uuid::Uuid;

use boot::BootService;
use dhcp::SiteDhcp;
pub use error::SiteError;
pub use file::{
    AgentSection, BmcSpec, BootSection, DhcpSpec, DnsSpec, LiveFlavour, LoadBalancerSpec, NetworkSection, SiteFile,
    SiteSection, SwitchSpec,
};
pub use harmony_drivers::assets::Asset;
pub use services::ProgramDrivers;
use services::Services;

/// A site by its file.
pub struct SiteTopology {
    file: SiteFile,
    network: NetworkPlan,
    switches: SwitchSet,
    bmcs: BmcSet,
    dhcp: SiteDhcp,
    pxe: StorePxe,
    control: Ssh,
    discovery: NetworkDiscovery,
    agent_token: Option<Secret>,
    boot: BootService,
    services: Services,
    writes: WriteLog,
}

impl SiteTopology {
    /// Makes the drivers. Nothing is sent to any device, and no service is started.
    ///
    /// # Errors
    /// Values that a driver refuses, and credentials that cannot be read.
    pub fn new(file: SiteFile, store: SharedStore, clock: SharedClock) -> Result<Self, SiteError> {
        Self::with_drivers(file, store, clock, &ProgramDrivers::default())
    }

    /// The same for a file with `driver = "program"` in `[dhcp]`, `[dns]` or `[load_balancer]`, with the program's own
    /// drivers of these. Where the file names another driver, that one is used.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn with_drivers(
        file: SiteFile,
        store: SharedStore,
        clock: SharedClock,
        program: &ProgramDrivers,
    ) -> Result<Self, SiteError> {
        let writes = WriteLog::default();
        let services = Services::new(&file, program, &writes)?;
        let mut switches = SwitchSet::default();
        for (id, spec) in &file.switch {
            let switch: Arc<dyn Switch> = match spec {
                SwitchSpec::OpenVswitch(spec) => Arc::new(OpenVswitch::new(id.clone(), spec.clone(), writes.clone())),
                SwitchSpec::CiscoIos(spec) => {
                    Arc::new(CiscoIos::new(id.clone(), spec.clone(), &file.site.state, writes.clone()))
                }
            };
            switches.insert(id.clone(), switch);
        }
        let mut bmcs = BmcSet::default();
        for (id, spec) in &file.bmc {
            let bmc: Arc<dyn Bmc> = match spec {
                BmcSpec::Ipmi(spec) => Arc::new(Ipmi::new(id.clone(), spec.clone(), writes.clone())),
                BmcSpec::Redfish(spec) => {
                    Arc::new(Redfish::new(id.clone(), spec.clone(), &file.site.state, writes.clone()))
                }
            };
            bmcs.insert(id.clone(), bmc);
        }
        let agent_token = file.agent.token_file.as_ref().map(read_secret).transpose()?;
        let dhcp = match &file.dhcp {
            DhcpSpec::Dnsmasq(spec) => {
                SiteDhcp::Dnsmasq(Box::new(Dnsmasq::new(spec.clone(), dnsmasq_config(&file)?, writes.clone())?))
            }
            DhcpSpec::Program => SiteDhcp::Program(program.dhcp.clone().unwrap_or_else(|| Arc::new(dhcp::NotGiven))),
        };
        let control = Ssh::new(file.ssh.clone(), &file.site.state, writes.clone())?;
        let discovery =
            NetworkDiscovery::new(file.network.cidr, AGENT_PORT, agent_token.clone()).map_err(SiteError::Device)?;
        let (network, pxe) = (file.network_plan(), StorePxe::new(store.clone()));
        let boot = BootService::new(&file, store, clock);
        Ok(Self { file, network, switches, bmcs, dhcp, pxe, control, discovery, agent_token, boot, services, writes })
    }

    /// The site's file.
    #[must_use]
    pub fn file(&self) -> &SiteFile {
        &self.file
    }

    /// Every change that was sent to a device.
    #[must_use]
    pub fn writes(&self) -> &WriteLog {
        &self.writes
    }

    /// What Harmony runs for the site, a line each.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        let boot = &self.file.boot;
        let mut lines = vec![format!("boot server: http://{}/boot.ipxe", self.file.boot_address())];
        lines.extend(boot.tftp.map(|tftp| format!("TFTP: {tftp}, files in {}", boot.tftp_root.display())));
        lines.push(match &self.dhcp {
            SiteDhcp::Dnsmasq(_) => {
                format!("DHCP: dnsmasq, files in {}", self.file.site.state.join("dnsmasq").display())
            }
            SiteDhcp::Program(_) => "DHCP: a server of its own".to_owned(),
        });
        lines
    }

    /// Stops the services that Harmony runs for the site.
    ///
    /// # Errors
    /// If the DHCP server cannot be stopped.
    pub async fn stop_services(&self) -> DeviceResult<()> {
        self.boot.stop().await;
        self.services.stop().await?;
        self.dhcp.stop().await
    }

    /// From now on [`prepare`](Topology::prepare) runs the boot server in a process of its own, which
    /// goes on when this one is killed, and is adopted by the next; it ends with the last that uses it
    /// and ends in order. `program` makes the command that starts it: a program that opens this site
    /// and calls [`run_boot_server`](Self::run_boot_server). A server that runs already is adopted.
    #[must_use]
    pub fn with_boot_server_apart(mut self, program: impl Fn() -> Command + Send + Sync + 'static) -> Self {
        self.boot.apart(Arc::new(program));
        self
    }

    /// Runs the boot server here until `stop` is through, for programs that find it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn run_boot_server(&self, stop: impl Future<Output = ()>) -> DeviceResult<()> {
        self.boot.run(self.boot_config(), stop).await
    }

    /// Drivers of the file count their writes themselves; those of the program are counted here.
    fn count_program_write(&self, is_program: bool, driver: &'static str, what: impl FnOnce() -> String) {
        if is_program {
            self.writes.record(driver, &self.file.site.name, what());
        }
    }

    fn count_dhcp_write(&self, hostname: &Hostname) {
        let is_program = matches!(self.dhcp, SiteDhcp::Program(_));
        self.count_program_write(is_program, "dhcp", || format!("reservation of {hostname}"));
    }

    /// The configurations that Harmony would start the site's services with, if these were all that they had: names of
    /// files, with their texts. Services that Harmony does not run have none. Nothing is started or written.
    ///
    /// # Errors
    /// What a service cannot have.
    pub fn service_configs(
        &self,
        reservations: &[Reservation],
        records: &[DnsRecord],
        services: &[LbService],
    ) -> DeviceResult<Vec<(&'static str, String)>> {
        let dhcp = self.dhcp.config_text(reservations)?;
        let others = self.services.config_texts(records, services)?;
        Ok(dhcp.into_iter().chain(others).collect())
    }

    /// What the boot server is told when it starts.
    #[must_use]
    pub fn boot_config(&self) -> BootConfig {
        let boot = &self.file.boot;
        let live = match boot.live {
            LiveFlavour::Initramfs => {
                LiveEnvironment::Initramfs { kernel: boot.live_kernel.clone(), initrd: boot.live_initrd.clone() }
            }
            LiveFlavour::Anaconda => {
                let tree = boot.live_kernel.split("/images/pxeboot/").next().unwrap_or(&boot.live_kernel);
                LiveEnvironment::Anaconda { tree: tree.to_owned() }
            }
        };
        BootConfig {
            http: boot.listen,
            tftp: boot.tftp.map(|listen| TftpConfig { listen, root: boot.tftp_root.clone().into() }),
            base_url: Some(format!("http://{}", self.file.boot_address())),
            assets: boot.assets.clone().into(),
            agent: boot.agent.clone().into(),
            authorized_keys: self.control.public_key(),
            live,
            live_args: file::words(&boot.live_args),
            agent_token: self.agent_token.clone(),
            private: Some(Arc::new(PrivateFolder(self.file.clusters_dir()))),
        }
    }
}

fn read_secret(path: &PathBuf) -> Result<Secret, SiteError> {
    let text = std::fs::read_to_string(path).map_err(|source| SiteError::Read { path: path.clone(), source })?;
    Ok(Secret::new(text.trim()))
}

fn dnsmasq_config(file: &SiteFile) -> Result<DnsmasqConfig, SiteError> {
    let network = &file.network;
    let address = Ipv4Net::new(network.address, network.cidr.prefix_len()).map_err(|error| SiteError::Value {
        path: PathBuf::new(),
        key: "network.cidr",
        reason: error.to_string(),
    })?;
    let base = format!("http://{}", file.boot_address());
    Ok(DnsmasqConfig {
        state_dir: file.site.state.join("dnsmasq"),
        address,
        pool: harmony_core::capability::AddressRange { first: network.pool[0], last: network.pool[1] },
        lease: Duration::from_secs(600),
        announce: network.router_advertisement,
        router: network.gateway,
        dns: file.name_servers(),
        ntp: network.ntp.clone(),
        boot: BootFiles {
            script_url: format!("{base}/boot.ipxe"),
            tftp: network.address,
            bios: "undionly.kpxe".to_owned(),
            efi64: "ipxe.efi".to_owned(),
            efi64_url: file.uefi_boot_url(),
        },
    })
}

#[async_trait]
impl Topology for SiteTopology {
    fn name(&self) -> &str {
        &self.file.site.name
    }

    async fn prepare(&self) -> DeviceResult<()> {
        self.boot.ensure_running(self.boot_config()).await?;
        self.services.ensure_running().await?;
        self.dhcp.ensure_running().await
    }

    fn device_writes(&self) -> BTreeMap<String, usize> {
        self.writes.counts().into_iter().map(|(driver, count)| (driver.to_owned(), count)).collect()
    }
}

impl ProvisioningNetwork for SiteTopology {
    fn network(&self) -> &NetworkPlan {
        &self.network
    }

    fn boot_source(&self) -> DeviceResult<BootSource> {
        Ok(BootSource {
            server: self.file.boot_address(),
            args: file::words(&self.file.boot.install_args),
            ssh_key: self.control.public_key(),
        })
    }

    fn install_source(&self) -> DeviceResult<InstallSource> {
        let boot = &self.file.boot;
        let named = |key: &str, value: &Option<String>| {
            value.clone().ok_or_else(|| {
                DeviceError::new(FailureKind::Invalid, format!("the site file's [boot] has no `{key}`"))
                    .hint("it names what hosts are installed with; docs/reference/site.md tells how")
            })
        };
        let path = named("install_image", &boot.install_image)?;
        let image = boot.assets.join(path.trim_start_matches("/os/").trim_start_matches('/'));
        Ok(InstallSource {
            server: self.file.boot_address(),
            kernel: named("install_kernel", &boot.install_kernel)?,
            initrd: named("install_initrd", &boot.install_initrd)?,
            rootfs: boot.install_rootfs.clone(),
            image: Some(DiskImage { path, sha256: image::sha256_of(&image)? }),
            args: file::words(&boot.install_args),
            ssh_key: self.control.public_key(),
        })
    }
}

#[async_trait]
impl Switch for SiteTopology {
    async fn get_port_status(&self, ports: &[PortRef]) -> DeviceResult<Vec<PortStatus>> {
        self.switches.get_port_status(ports).await
    }
    async fn set_ports_access_mode(&self, ports: &[PortRef], vlan: VlanId) -> DeviceResult<()> {
        self.switches.set_ports_access_mode(ports, vlan).await
    }
    async fn set_ports_lacp_mode(&self, lag: &LagSpec) -> DeviceResult<()> {
        self.switches.set_ports_lacp_mode(lag).await
    }
    async fn mac_table(&self) -> DeviceResult<Vec<MacTableEntry>> {
        self.switches.mac_table().await
    }
    async fn lldp_neighbours(&self) -> DeviceResult<Vec<LldpNeighbour>> {
        self.switches.lldp_neighbours().await
    }
    fn lags_fall_back(&self, switch: &SwitchId) -> bool {
        self.switches.lags_fall_back(switch)
    }
    fn access_mode_commands(&self, ports: &[PortRef], vlan: VlanId) -> Vec<String> {
        self.switches.access_mode_commands(ports, vlan)
    }
    fn lacp_mode_commands(&self, lag: &LagSpec) -> Vec<String> {
        self.switches.lacp_mode_commands(lag)
    }
}

#[async_trait]
impl DhcpServer for SiteTopology {
    async fn reservations(&self) -> DeviceResult<Vec<Reservation>> {
        self.dhcp.server().reservations().await
    }
    async fn set_reservation(&self, reservation: &Reservation) -> DeviceResult<()> {
        self.count_dhcp_write(&reservation.hostname);
        self.dhcp.server().set_reservation(reservation).await
    }
    async fn remove_reservation(&self, hostname: &Hostname) -> DeviceResult<()> {
        self.count_dhcp_write(hostname);
        self.dhcp.server().remove_reservation(hostname).await
    }
    async fn leases(&self) -> DeviceResult<Vec<Lease>> {
        self.dhcp.server().leases().await
    }
    async fn recent_log(&self, mac: MacAddress, limit: usize) -> DeviceResult<Vec<String>> {
        self.dhcp.server().recent_log(mac, limit).await
    }
    fn reservation_record(&self, reservation: &Reservation) -> (String, String) {
        self.dhcp.server().reservation_record(reservation)
    }
}

#[async_trait]
impl PxeServer for SiteTopology {
    async fn boot_entries(&self) -> DeviceResult<Vec<BootEntry>> {
        self.pxe.boot_entries().await
    }
    async fn set_boot_entry(&self, entry: &BootEntry) -> DeviceResult<()> {
        self.writes.record("boot", &self.file.site.name, format!("boot entry of {}", entry.host));
        self.pxe.set_boot_entry(entry).await
    }
    async fn remove_boot_entry(&self, host: &HostId) -> DeviceResult<()> {
        self.writes.record("boot", &self.file.site.name, format!("remove boot entry of {host}"));
        self.pxe.remove_boot_entry(host).await
    }
}

#[async_trait]
impl Bmc for SiteTopology {
    fn bmcs(&self) -> Vec<BmcId> {
        self.bmcs.bmcs()
    }
    async fn system_uuid(&self, bmc: &BmcId) -> DeviceResult<Option<Uuid>> {
        self.bmcs.system_uuid(bmc).await
    }
    async fn power_state(&self, bmc: &BmcId) -> DeviceResult<PowerState> {
        self.bmcs.power_state(bmc).await
    }
    async fn power(&self, bmc: &BmcId, action: PowerAction) -> DeviceResult<()> {
        self.bmcs.power(bmc, action).await
    }
    async fn set_next_boot(&self, bmc: &BmcId, device: BootDevice, firmware: Option<Firmware>) -> DeviceResult<()> {
        self.bmcs.set_next_boot(bmc, device, firmware).await
    }
    fn power_commands(
        &self,
        bmc: &BmcId,
        action: PowerAction,
        device: BootDevice,
        firmware: Option<Firmware>,
    ) -> Vec<String> {
        self.bmcs.power_commands(bmc, action, device, firmware)
    }
}

#[async_trait]
impl HostControl for SiteTopology {
    async fn run(&self, target: &HostTarget, command: &str, timeout: Duration) -> DeviceResult<CommandOutput> {
        self.control.run(target, command, timeout).await
    }
    async fn reboot(&self, target: &HostTarget) -> DeviceResult<()> {
        self.control.reboot(target).await
    }
}

#[async_trait]
impl HostDiscovery for SiteTopology {
    async fn scan(&self) -> DeviceResult<Vec<IpAddr>> {
        self.discovery.scan().await
    }
    async fn fetch_report(&self, address: IpAddr) -> DeviceResult<AgentReply> {
        self.discovery.fetch_report(address).await
    }
}
