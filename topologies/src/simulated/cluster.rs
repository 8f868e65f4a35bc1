//! What a simulated rack offers to a cluster: an installer, files to boot from, and addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use harmony_core::cluster::{ClusterDescription, Endpoints};
use harmony_core::host::Role;
use harmony_drivers::cluster::kubernetes::{ApiAddress, KubernetesSpec};
use harmony_drivers::cluster::openshift_install::OpenshiftInstallSpec;
use harmony_sim::openshift_install::{ADDRESS_VARIABLE, POLL_VARIABLE, STREAM_VARIABLE, stream_metadata};
use harmony_sim::wire::Wire;

use crate::site::{DnsSpec, LoadBalancerSpec, SiteFile};

/// The file of [`stream`].
pub(super) const STREAM: &str = "stream.json";
/// Where the pull secret is.
pub(super) const PULL_SECRET: &str = "passwords/pull-secret";
/// Time between two looks of the stand-in at the API, in milliseconds.
const POLL_MS: &str = "200";
/// Addresses of a cluster, counted back from the end of the network: those are no host's and no device's.
const API: u32 = 2;
const INGRESS: u32 = 3;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the installer says that machines are booted with.
pub(super) fn stream(wire: &Wire) -> String {
    let [kernel, initramfs, rootfs] = wire.boot_files();
    stream_metadata(harmony_sim::SCOS_BUILD, &kernel, &initramfs, &rootfs)
}

/// Credentials for a registry that nobody has: what it is never told is of no matter, that nobody is told it is.
pub(super) fn pull_secret() -> String {
    r#"{"auths":{"registry.sim.invalid":{"auth":"aGFybW9ueS1zaW06bm9ib2R5LW11c3QtYmUtdG9sZC10aGlz"}}}"#.to_owned()
}

/// Writes into the site file what a cluster needs.
pub(super) fn offer(file: &mut SiteFile, installer: &Path, folder: &Path) {
    let api = address(file, API);
    file.dns = Some(DnsSpec::Program);
    file.load_balancer = Some(LoadBalancerSpec::Program);
    let api_address = Some(ApiAddress { address: api, port: None });
    file.cluster = KubernetesSpec { api_address, ..KubernetesSpec::default() };
    let env = BTreeMap::from([
        (ADDRESS_VARIABLE.to_owned(), api.to_string()),
        (STREAM_VARIABLE.to_owned(), folder.join(STREAM).display().to_string()),
        (POLL_VARIABLE.to_owned(), POLL_MS.to_owned()),
    ]);
    let (program, pull_secret_file) = (installer.to_owned(), Some(folder.join(PULL_SECRET)));
    file.installer = Some(OpenshiftInstallSpec { program, pull_secret_file, env, ..OpenshiftInstallSpec::default() });
}

fn address(file: &SiteFile, back: u32) -> IpAddr {
    Ipv4Addr::from(u32::from(file.network.cidr.broadcast()) - back).into()
}

/// A cluster of so many masters and workers.
pub(super) fn describe(file: &SiteFile, masters: u16, workers: u16) -> Result<ClusterDescription, Failure> {
    let numbered = |kind: &'static str, count: u16| (0..count).map(move |number| format!("{kind}-{number}"));
    let roles = ["bootstrap".to_owned()].into_iter().chain(numbered("master", masters));
    let roles: Vec<Role> =
        roles.chain(numbered("worker", workers)).map(|role| role.parse()).collect::<Result<_, _>>()?;
    let endpoints = Endpoints { api: address(file, API), api_int: None, ingress: address(file, INGRESS) };
    let machines = file.network.cidr.trunc().into();
    Ok(ClusterDescription::new("ocp4".parse()?, "example.com".parse()?, machines, endpoints, roles))
}
