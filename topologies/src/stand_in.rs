//! What a rack without a release behind it offers to a cluster: a stand-in for the installer, and a cluster that fits.
//!
//! Where its files are and which drivers serve it is the rack's own ([`crate::simulated`], [`crate::lab`]).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use harmony_core::cluster::{ClusterDescription, Endpoints};
use harmony_core::host::Role;
use harmony_drivers::cluster::kubernetes::{ApiAddress, KubernetesSpec};
use harmony_drivers::cluster::openshift_install::OpenshiftInstallSpec;
use harmony_sim::openshift_install::{ADDRESS_VARIABLE, POLL_VARIABLE, STREAM_VARIABLE};
use ipnet::Ipv4Net;

use crate::site::SiteFile;

/// Time between two looks of the stand-in at the API, in milliseconds.
const POLL_MS: &str = "200";
/// Its name, and the domain that it is in.
pub(crate) const NAME: &str = "ocp4";
pub(crate) const BASE_DOMAIN: &str = "example.com";
/// Addresses of a cluster, counted back from the end of the network: those are no host's and no device's.
const API: u32 = 2;
const INGRESS: u32 = 3;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Files of the stand-in.
pub(crate) struct Files {
    /// It itself.
    pub(crate) program: PathBuf,
    /// The stream metadata that it prints.
    pub(crate) stream: PathBuf,
    pub(crate) pull_secret: PathBuf,
}

/// Credentials for a registry that nobody has: what it is never told is of no matter, that nobody is told it is.
pub(crate) fn pull_secret() -> String {
    r#"{"auths":{"registry.sim.invalid":{"auth":"aGFybW9ueS1zaW06bm9ib2R5LW11c3QtYmUtdG9sZC10aGlz"}}}"#.to_owned()
}

/// Writes the installer and the cluster's address into the site file; `env` is what else the installer is told.
pub(crate) fn offer(file: &mut SiteFile, files: Files, env: BTreeMap<String, String>) {
    let Endpoints { api, .. } = endpoints(file.network.cidr);
    let api_address = Some(ApiAddress { address: api, port: None });
    file.cluster = KubernetesSpec { api_address, ..KubernetesSpec::default() };
    let mut all = BTreeMap::from([
        (ADDRESS_VARIABLE.to_owned(), api.to_string()),
        (STREAM_VARIABLE.to_owned(), shown(&files.stream)),
        (POLL_VARIABLE.to_owned(), POLL_MS.to_owned()),
    ]);
    all.extend(env);
    let Files { program, pull_secret, .. } = files;
    file.installer = Some(OpenshiftInstallSpec {
        program,
        pull_secret_file: Some(pull_secret),
        env: all,
        ..OpenshiftInstallSpec::default()
    });
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The addresses of a cluster in a network.
pub(crate) fn endpoints(network: Ipv4Net) -> Endpoints {
    let back = |back: u32| IpAddr::from(Ipv4Addr::from(u32::from(network.broadcast()) - back));
    Endpoints { api: back(API), api_int: None, ingress: back(INGRESS) }
}

/// A cluster of so many masters and workers.
pub(crate) fn describe(network: Ipv4Net, masters: u16, workers: u16) -> Result<ClusterDescription, Failure> {
    let numbered = |kind: &'static str, count: u16| (0..count).map(move |number| format!("{kind}-{number}"));
    let roles = ["bootstrap".to_owned()].into_iter().chain(numbered("master", masters));
    let roles: Vec<Role> =
        roles.chain(numbered("worker", workers)).map(|role| role.parse()).collect::<Result<_, _>>()?;
    let (name, domain) = (NAME.parse()?, BASE_DOMAIN.parse()?);
    Ok(ClusterDescription::new(name, domain, network.trunc().into(), endpoints(network), roles))
}
