//! What a virtual rack offers to a cluster: a mirror with the files that machines boot from and the program that they run, a
//! stand-in for the installer, addresses for the load balancer, and a cluster that fits the rack.
//!
//! The mirror is a web server in the rack's network: Harmony fetches from it what it fetches from anybody's mirror.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harmony_core::cluster::{ClusterDescription, Minimums, NodeKind};
use harmony_drivers::dns::dnsmasq::DnsmasqDnsSpec;
use harmony_drivers::load_balancer::haproxy::HaproxySpec;
use harmony_sim::openshift_install::{BootFile, NODE_VARIABLE, stream_metadata};
use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::images::Images;
use super::machine::write;
use super::namespace::Namespace;
use super::process::{run, wait_until};
use super::spec::SpecError;
use super::switch::{ADDRESS, CONTROLLER};
use super::{LabError, copy, share_file, site_file};
use crate::site::{DnsSpec, LoadBalancerSpec, SiteFile};
use crate::stand_in::{self, Files};

/// Port of the mirror.
const PORT: u16 = 8090;
/// Masters of a cluster that fits a rack.
const MASTERS: u16 = 3;
/// What machines of a rack must have: they run one program.
const MINIMUMS: Minimums = Minimums { cpus: 1, memory_gib: 0, disk_gb: 1 };
/// Files of the mirror; the first three are called so in [`Images`], too.
const KERNEL: &str = "vmlinuz";
const INITRAMFS: &str = "initrd.img";
const ROOTFS: &str = "disk.img.zst";
const NODE: &str = "simulated-node";

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Programs that stand in for a release. `harmony-sim` has both.
#[derive(Debug, Clone)]
pub struct ReleasePrograms {
    /// Speaks as `openshift-install`.
    pub installer: PathBuf,
    /// What machines run in the place of a kubelet; for x86-64 Linux.
    pub node: PathBuf,
}

/// What is written down of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Offer {
    /// Digest of the program that machines run.
    node_sha256: String,
}

impl Offer {
    /// What these programs come to.
    pub(super) fn of(programs: &ReleasePrograms) -> Result<Self, LabError> {
        Ok(Self { node_sha256: mirrored(&programs.node, NODE)?.sha256 })
    }
}

/// Lays out the mirror and the installer, opens the load balancer's addresses, and serves.
pub(super) fn start(
    folder: &Folder,
    namespace: &Namespace,
    images: &Images,
    programs: &ReleasePrograms,
) -> Result<(), LabError> {
    let mirror = folder.mirror();
    std::fs::create_dir(&mirror).map_err(LabError::file("make", &mirror))?;
    let mut boot = Vec::new();
    for (folder, name) in [(&images.live, KERNEL), (&images.live, INITRAMFS), (&images.node, ROOTFS)] {
        let from = folder.join(name);
        share_file(&from, &mirror.join(name))?;
        boot.push(mirrored(&from, name)?);
    }
    copy(&programs.node, &mirror.join(NODE))?;
    copy(&programs.installer, &folder.installer())?;
    let executable = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(folder.installer(), executable)
        .map_err(LabError::file("make executable", &folder.installer()))?;
    let [kernel, initramfs, rootfs] = &boot[..] else { return Ok(()) };
    write(&folder.stream(), &stream_metadata(harmony_sim::SCOS_BUILD, kernel, initramfs, rootfs), 0o600)?;
    write(&folder.pull_secret(), &stand_in::pull_secret(), 0o600)?;

    let endpoints = stand_in::endpoints(site_file::NETWORK);
    for address in [endpoints.api, endpoints.ingress] {
        namespace.ip(&["address", "add", &format!("{address}/24"), "dev", CONTROLLER])?;
    }
    let doing = "start the rack's mirror";
    let mut serve = namespace.command("setsid");
    // It detaches itself once it listens.
    run(doing, serve.args(["--fork", "busybox", "httpd", "-p", &at(), "-h"]).arg(&mirror))?;
    let answers = || namespace.command("busybox").args(["wget", "-q", "-O", "/dev/null", &location(KERNEL)]).status();
    if wait_until(Duration::from_secs(10), || answers().is_ok_and(|status| status.success())) {
        return Ok(());
    }
    Err(LabError::Silent { what: "the rack's mirror".to_owned(), log: format!("nothing answers at {}", at()) })
}

/// Writes into the site file what a cluster needs.
pub(super) fn offer(file: &mut SiteFile, folder: &Folder, offer: &Offer) -> Result<(), Failure> {
    file.dns = Some(DnsSpec::Dnsmasq(DnsmasqDnsSpec {
        listen: vec![ADDRESS.into()],
        port: 53,
        domains: vec![format!("{}.{}", stand_in::NAME, stand_in::BASE_DOMAIN).parse()?],
        upstream: Vec::new(),
        hosts: Vec::new(),
        program: None,
    }));
    file.load_balancer = Some(LoadBalancerSpec::Haproxy(HaproxySpec { run: true, ..HaproxySpec::default() }));
    let files = Files { program: folder.installer(), stream: folder.stream(), pull_secret: folder.pull_secret() };
    let node = format!("{}@sha256:{}", location(NODE), offer.node_sha256);
    stand_in::offer(file, files, BTreeMap::from([(NODE_VARIABLE.to_owned(), node)]));
    Ok(())
}

/// A cluster for so many machines: a bootstrap, three masters, and workers.
pub(super) fn description(machines: usize) -> Result<ClusterDescription, LabError> {
    let workers = machines.checked_sub(usize::from(MASTERS) + 1).ok_or(SpecError::Cluster(machines))?;
    let workers = u16::try_from(workers).map_err(|_| SpecError::Machines(machines))?;
    let cluster = stand_in::describe(site_file::NETWORK, MASTERS, workers);
    let mut cluster = cluster.map_err(|source| LabError::Write { what: "the cluster's description", source })?;
    for kind in NodeKind::ALL {
        cluster.defaults.entry(kind).or_default().minimums = Some(MINIMUMS);
    }
    Ok(cluster)
}

fn at() -> String {
    format!("{}:{PORT}", ADDRESS.map(|byte| byte.to_string()).join("."))
}

fn location(name: &str) -> String {
    format!("http://{}/{name}", at())
}

/// A file as the mirror has it, by this name.
fn mirrored(from: &Path, name: &str) -> Result<BootFile, LabError> {
    let bytes = std::fs::read(from).map_err(LabError::file("read", from))?;
    Ok(BootFile::new(location(name), &bytes))
}

#[cfg(test)]
mod tests {
    use super::super::spec::{Machine, MachineSpec};
    use super::*;

    #[test]
    fn a_cluster_fits_the_rack() {
        let cluster = description(6).expect("fits");
        assert_eq!(cluster.check(), Ok(Vec::new()));
        assert_eq!((cluster.roles.len(), cluster.endpoints.api), (6, [10, 10, 0, 253].into()));
        let name = "ab12cd".parse().expect("name");
        let machines = Machine::identify(&MachineSpec::usual(6), &name, uuid::Uuid::nil());
        let folder = Folder::new("/tmp/harmony-lab-ab12cd".into());
        let offer = Offer { node_sha256: "0".repeat(64) };
        let file = site_file::site_file(&folder, &name, &machines, Some(&offer)).expect("described");
        let text = toml::to_string(&file).expect("written");
        let read = SiteFile::parse(&text, Path::new("site.toml"), Path::new("/elsewhere")).expect("read again");
        assert_eq!(read, file);
        // What the machines ask, is what they are told of.
        assert_eq!(read.name_servers(), [std::net::Ipv4Addr::from(ADDRESS)]);
        let installer = read.installer.expect("named");
        assert_eq!(
            installer.env[NODE_VARIABLE],
            format!("http://10.10.0.1:8090/simulated-node@sha256:{}", "0".repeat(64))
        );
        let error = description(3).expect_err("too few").to_string();
        assert_eq!(error, "a cluster takes 4 machines at least, a bootstrap and 3 masters, not 3");
    }
}
