//! What a simulated rack offers to a cluster: the stand-in for the installer, files to boot from, names and a balancer.

use std::collections::BTreeMap;
use std::path::Path;

use harmony_sim::openshift_install::stream_metadata;
use harmony_sim::wire::Wire;

use crate::site::{DnsSpec, LoadBalancerSpec, SiteFile};
use crate::stand_in::{self, Files};

/// The file of [`stream`].
pub(super) const STREAM: &str = "stream.json";
/// Where the pull secret is.
pub(super) const PULL_SECRET: &str = "passwords/pull-secret";

/// What the installer says that machines are booted with.
pub(super) fn stream(wire: &Wire) -> String {
    let [kernel, initramfs, rootfs] = wire.boot_files();
    stream_metadata(harmony_sim::SCOS_BUILD, &kernel, &initramfs, &rootfs)
}

/// Writes into the site file what a cluster needs.
pub(super) fn offer(file: &mut SiteFile, installer: &Path, folder: &Path) {
    file.dns = Some(DnsSpec::Program);
    file.load_balancer = Some(LoadBalancerSpec::Program);
    let (stream, pull_secret) = (folder.join(STREAM), folder.join(PULL_SECRET));
    stand_in::offer(file, Files { program: installer.to_owned(), stream, pull_secret }, BTreeMap::new());
}
