//! What a cluster needs besides: DNS, a load balancer, the installer, the cluster itself. A site without clusters has none
//! of them; whoever asks then is told which section the file lacks.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use harmony_core::capability::{
    Artefacts, AssetInfo, BootAssets, BootImages, CertificateRequest, Cluster, ClusterInstaller, DnsRecord, DnsServer,
    InstallStage, InstallerInput, InstallerVersion, LbService, LoadBalancer, MachineConfigAnswer, Node, Operator, Pool,
    RemoteFile, ServerAdmin, ServerHealth,
};
use harmony_core::cluster::ClusterName;
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::net::{DnsName, Hostname};
use harmony_drivers::WriteLog;
use harmony_drivers::assets::AssetFolder;
use harmony_drivers::cluster::kubernetes::{ClusterFiles, Kubernetes};
use harmony_drivers::cluster::openshift_install::OpenshiftInstall;
use harmony_drivers::dns::dnsmasq::DnsmasqDns;
use harmony_drivers::dns::external::ExternalDns;
use harmony_drivers::load_balancer::external::ExternalLoadBalancer;
use harmony_drivers::load_balancer::haproxy::Haproxy;
use tokio_util::sync::CancellationToken;

use super::file::{DnsSpec, LoadBalancerSpec, SiteFile};
use super::{SiteError, SiteTopology};

/// Drivers that a program brings itself, for sections with `driver = "program"`.
#[derive(Default, Clone)]
pub struct ProgramDrivers {
    /// `[dhcp]`.
    pub dhcp: Option<Arc<dyn harmony_core::capability::DhcpServer>>,
    /// `[dns]`.
    pub dns: Option<Arc<dyn DnsServer>>,
    /// `[load_balancer]`.
    pub load_balancer: Option<Arc<dyn LoadBalancer>>,
}

/// The services of a site, as far as its file names them.
pub(super) struct Services {
    /// Those that Harmony starts and owns.
    dnsmasq: Option<Arc<DnsmasqDns>>,
    haproxy: Option<Arc<Haproxy>>,
    dns: Option<Arc<dyn DnsServer>>,
    load_balancer: Option<Arc<dyn LoadBalancer>>,
    installer: Option<Arc<OpenshiftInstall>>,
    cluster: Kubernetes,
    assets: AssetFolder,
}

impl Services {
    pub(super) fn new(file: &SiteFile, program: &ProgramDrivers, writes: &WriteLog) -> Result<Self, SiteError> {
        let state = &file.site.state;
        let refused = |key: &'static str| {
            move |error: Box<dyn std::error::Error + Send + Sync>| SiteError::Value {
                path: std::path::PathBuf::new(),
                key,
                reason: error.to_string(),
            }
        };
        let dnsmasq = match &file.dns {
            Some(DnsSpec::Dnsmasq(spec)) => {
                let dns = DnsmasqDns::new(spec.clone(), &state.join("dns"), writes.clone());
                Some(Arc::new(dns.map_err(|error| refused("dns")(error.into()))?))
            }
            _ => None,
        };
        let dns: Option<Arc<dyn DnsServer>> = match &file.dns {
            None => None,
            Some(DnsSpec::Dnsmasq(_)) => dnsmasq.clone().map(|dns| dns as Arc<dyn DnsServer>),
            Some(DnsSpec::External(spec)) => Some(Arc::new(ExternalDns::new(spec.clone()))),
            Some(DnsSpec::Program) => program.dns.clone(),
        };
        let haproxy = match &file.load_balancer {
            Some(LoadBalancerSpec::Haproxy(spec)) => {
                let haproxy = Haproxy::new(spec.clone(), &state.join("haproxy"), writes.clone());
                Some(Arc::new(haproxy.map_err(|error| refused("load_balancer")(error.into()))?))
            }
            _ => None,
        };
        let load_balancer: Option<Arc<dyn LoadBalancer>> = match &file.load_balancer {
            None => None,
            Some(LoadBalancerSpec::Haproxy(_)) => haproxy.clone().map(|haproxy| haproxy as Arc<dyn LoadBalancer>),
            Some(LoadBalancerSpec::External) => Some(Arc::new(ExternalLoadBalancer)),
            Some(LoadBalancerSpec::Program) => program.load_balancer.clone(),
        };
        let installer = file.cluster_installer(writes.clone()).map(Arc::new);
        let made = installer.clone();
        let locate = move |cluster: &ClusterName| {
            let missing = |error: DeviceError| error;
            let made = made.as_ref().ok_or_else(|| lacks("installer", "say where a cluster's credentials are"))?;
            let kubeconfig = made.kubeconfig(cluster).map_err(missing)?.ok_or_else(|| {
                DeviceError::new(FailureKind::Unreachable, format!("cluster `{cluster}` has not been begun"))
            })?;
            let generation = kubeconfig.parent().and_then(std::path::Path::parent);
            let pointer = generation.map(|folder| folder.join("master.ign"));
            Ok(ClusterFiles { kubeconfig, pointer })
        };
        let cluster = Kubernetes::new(file.cluster.clone(), Arc::new(locate), writes.clone());
        let assets = file.assets();
        Ok(Self { dnsmasq, haproxy, dns, load_balancer, installer, cluster, assets })
    }

    /// Starts those that Harmony owns and that do not run.
    pub(super) async fn ensure_running(&self) -> DeviceResult<()> {
        if let Some(dnsmasq) = &self.dnsmasq {
            dnsmasq.ensure_running().await?;
        }
        match &self.haproxy {
            Some(haproxy) => haproxy.ensure_running().await,
            None => Ok(()),
        }
    }

    /// Stops those that Harmony owns.
    pub(super) async fn stop(&self) -> DeviceResult<()> {
        if let Some(haproxy) = &self.haproxy {
            haproxy.stop().await?;
        }
        match &self.dnsmasq {
            Some(dnsmasq) => dnsmasq.stop().await,
            None => Ok(()),
        }
    }

    /// The configurations of those that Harmony owns, if these were all that they had: names of files, with their texts.
    pub(super) fn config_texts(
        &self,
        records: &[DnsRecord],
        services: &[LbService],
    ) -> DeviceResult<Vec<(&'static str, String)>> {
        let dns = self.dnsmasq.as_ref().map(|dns| dns.config_text(records).map(|text| ("dnsmasq-dns.conf", text)));
        let balancer = self.haproxy.as_ref().map(|proxy| proxy.config_text(services).map(|text| ("haproxy.cfg", text)));
        [dns, balancer].into_iter().flatten().collect()
    }

    fn dns(&self) -> DeviceResult<&dyn DnsServer> {
        self.dns.as_deref().ok_or_else(|| lacks("dns", "ask the DNS server"))
    }

    fn load_balancer(&self) -> DeviceResult<&dyn LoadBalancer> {
        self.load_balancer.as_deref().ok_or_else(|| lacks("load_balancer", "ask the load balancer"))
    }

    fn installer(&self) -> DeviceResult<&OpenshiftInstall> {
        self.installer.as_deref().ok_or_else(|| lacks("installer", "ask the installer"))
    }
}

fn lacks(section: &str, what: &str) -> DeviceError {
    DeviceError::new(FailureKind::Invalid, format!("failed to {what}: the site file has no [{section}]")).hint(
        "docs/reference/site.md tells what stands there; with `driver = \"program\"`, use the program that brings it",
    )
}

#[async_trait]
impl DnsServer for SiteTopology {
    fn dns_is_external(&self) -> bool {
        self.services.dns.as_ref().is_some_and(|dns| dns.dns_is_external())
    }
    async fn dns_records(&self) -> DeviceResult<Vec<DnsRecord>> {
        self.services.dns()?.dns_records().await
    }
    async fn set_dns_record(&self, record: &DnsRecord) -> DeviceResult<()> {
        self.count_program_write(self.file.dns == Some(DnsSpec::Program), "dns", || {
            format!("record of {}", record.name)
        });
        self.services.dns()?.set_dns_record(record).await
    }
    async fn remove_dns_record(&self, name: &DnsName) -> DeviceResult<()> {
        self.count_program_write(self.file.dns == Some(DnsSpec::Program), "dns", || format!("remove record of {name}"));
        self.services.dns()?.remove_dns_record(name).await
    }
    async fn resolve(&self, name: &DnsName) -> DeviceResult<Vec<IpAddr>> {
        self.services.dns()?.resolve(name).await
    }
    async fn resolve_back(&self, address: IpAddr) -> DeviceResult<Vec<DnsName>> {
        self.services.dns()?.resolve_back(address).await
    }
    fn dns_record_text(&self, record: &DnsRecord) -> (String, String) {
        self.services.dns.as_ref().map(|dns| dns.dns_record_text(record)).unwrap_or_default()
    }
}

#[async_trait]
impl LoadBalancer for SiteTopology {
    fn load_balancer_is_external(&self) -> bool {
        self.services.load_balancer.as_ref().is_some_and(|balancer| balancer.load_balancer_is_external())
    }
    async fn listens(&self, at: SocketAddr) -> DeviceResult<()> {
        self.services.load_balancer()?.listens(at).await
    }
    async fn services(&self) -> DeviceResult<Vec<LbService>> {
        self.services.load_balancer()?.services().await
    }
    async fn set_services(&self, services: &[LbService]) -> DeviceResult<()> {
        let is_program = self.file.load_balancer == Some(LoadBalancerSpec::Program);
        self.count_program_write(is_program, "load_balancer", || format!("{} services", services.len()));
        self.services.load_balancer()?.set_services(services).await
    }
    async fn remove_services(&self, names: &[Hostname]) -> DeviceResult<()> {
        let is_program = self.file.load_balancer == Some(LoadBalancerSpec::Program);
        self.count_program_write(is_program, "load_balancer", || format!("remove {} services", names.len()));
        self.services.load_balancer()?.remove_services(names).await
    }
    async fn server_health(&self) -> DeviceResult<Vec<ServerHealth>> {
        self.services.load_balancer()?.server_health().await
    }
    async fn set_server(&self, service: &Hostname, server: &Hostname, admin: ServerAdmin) -> DeviceResult<()> {
        self.services.load_balancer()?.set_server(service, server, admin).await
    }
    fn service_text(&self, service: &LbService) -> (String, String) {
        self.services.load_balancer.as_ref().map(|balancer| balancer.service_text(service)).unwrap_or_default()
    }
}

#[async_trait]
impl ClusterInstaller for SiteTopology {
    async fn installer_version(&self) -> DeviceResult<InstallerVersion> {
        self.services.installer()?.installer_version().await
    }
    async fn boot_images(&self) -> DeviceResult<BootImages> {
        self.services.installer()?.boot_images().await
    }
    async fn artefacts(&self, cluster: &ClusterName) -> DeviceResult<Option<Artefacts>> {
        self.services.installer()?.artefacts(cluster).await
    }
    async fn make_artefacts(&self, input: &InstallerInput) -> DeviceResult<Artefacts> {
        self.services.installer()?.make_artefacts(input).await
    }
    async fn wait_for(
        &self,
        cluster: &ClusterName,
        stage: InstallStage,
        progress: &(dyn for<'line> Fn(&'line str) + Send + Sync),
        stop: &CancellationToken,
    ) -> DeviceResult<()> {
        self.services.installer()?.wait_for(cluster, stage, progress, stop).await
    }
}

#[async_trait]
impl BootAssets for SiteTopology {
    async fn asset(&self, path: &str) -> DeviceResult<Option<AssetInfo>> {
        self.services.assets.asset(path).await
    }
    async fn fetch_asset(
        &self,
        from: &RemoteFile,
        path: &str,
        progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
    ) -> DeviceResult<AssetInfo> {
        self.services.assets.fetch_asset(from, path, progress).await
    }
}

#[async_trait]
impl Cluster for SiteTopology {
    async fn api_is_ready(&self, cluster: &ClusterName) -> DeviceResult<bool> {
        self.services.cluster.api_is_ready(cluster).await
    }
    async fn machine_config(
        &self,
        cluster: &ClusterName,
        server: IpAddr,
        pool: &str,
    ) -> DeviceResult<MachineConfigAnswer> {
        self.services.cluster.machine_config(cluster, server, pool).await
    }
    async fn bootstrap_is_complete(&self, cluster: &ClusterName) -> DeviceResult<bool> {
        self.services.cluster.bootstrap_is_complete(cluster).await
    }
    async fn nodes(&self, cluster: &ClusterName) -> DeviceResult<Vec<Node>> {
        self.services.cluster.nodes(cluster).await
    }
    async fn certificate_requests(&self, cluster: &ClusterName) -> DeviceResult<Vec<CertificateRequest>> {
        self.services.cluster.certificate_requests(cluster).await
    }
    async fn approve(&self, cluster: &ClusterName, request: &CertificateRequest) -> DeviceResult<()> {
        self.services.cluster.approve(cluster, request).await
    }
    async fn operators(&self, cluster: &ClusterName) -> DeviceResult<Vec<Operator>> {
        self.services.cluster.operators(cluster).await
    }
    async fn pools(&self, cluster: &ClusterName) -> DeviceResult<Vec<Pool>> {
        self.services.cluster.pools(cluster).await
    }
    async fn masters_schedulable(&self, cluster: &ClusterName) -> DeviceResult<bool> {
        self.services.cluster.masters_schedulable(cluster).await
    }
    async fn set_masters_schedulable(&self, cluster: &ClusterName, schedulable: bool) -> DeviceResult<()> {
        self.services.cluster.set_masters_schedulable(cluster, schedulable).await
    }
    async fn ingress_nodes(&self, cluster: &ClusterName) -> DeviceResult<Vec<String>> {
        self.services.cluster.ingress_nodes(cluster).await
    }
    async fn ingress_is_restarting(&self, cluster: &ClusterName) -> DeviceResult<bool> {
        self.services.cluster.ingress_is_restarting(cluster).await
    }
    async fn restart_ingress(&self, cluster: &ClusterName, token: &str) -> DeviceResult<()> {
        self.services.cluster.restart_ingress(cluster, token).await
    }
    async fn install_is_complete(&self, cluster: &ClusterName) -> DeviceResult<bool> {
        self.services.cluster.install_is_complete(cluster).await
    }
}
