//! The order of things: machines, the installer's part, each host's part, services.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harmony_boot::{BootConfig, Files, PrivateFolder};
use harmony_core::capability::{BootImages, ClusterInstaller, ProvisioningNetwork, Reservation};
use harmony_core::clock::SystemClock;
use harmony_core::cluster::endpoints::ClusterPhase;
use harmony_core::store::SharedStore;
use harmony_drivers::WriteLog;
use harmony_drivers::cluster::openshift_install::OpenshiftInstall;
use harmony_inventory::Inventory;
use harmony_scores::okd::{Rack, ServedHost};
use harmony_scores::{OkdInstallationScore, parse_cluster};
use harmony_topologies::site::{SiteFile, SiteTopology};
use jiff::Timestamp;
use serde_json::json;

use crate::folder::Folder;
use crate::{Failed, Given, boot_server, rack};

const SITE: &str = include_str!("site.toml");
const CLUSTER: &str = include_str!("cluster.toml");
/// What the installer makes, in the folder: a run has the same in the state folder of its site.
const STATE: &str = "state";
/// Each phase of a cluster after the first, with its word in names of files.
const LATER: [(ClusterPhase, &str); 3] = [
    (ClusterPhase::WorkersJoin, "workers-join"),
    (ClusterPhase::IngressMoves, "ingress-moves"),
    (ClusterPhase::Settled, "settled"),
];

/// Writes everything; what was written.
pub(crate) async fn write(folder: &Folder, given: Given) -> Result<Vec<PathBuf>, Failed> {
    folder.write("site.toml", SITE)?;
    folder.write("cluster.toml", CLUSTER)?;
    let state = folder.path().join(STATE);
    let mut file = SiteFile::parse(SITE, &folder.path().join("site.toml"), &state).map_err(Failed::from_error)?;
    file.boot.agent = given.agent;
    let program = installer_of(&file, given.installer, &state)?;
    let (description, _) =
        parse_cluster(CLUSTER, &folder.path().join("cluster.toml"), folder.path()).map_err(Failed::from_error)?;
    let score = OkdInstallationScore::new(description)?;

    let now = Timestamp::now();
    let store: SharedStore = Arc::new(Inventory::open("sqlite::memory:").await.map_err(Failed::from_error)?);
    let site = SiteTopology::new(file, Arc::clone(&store), Arc::new(SystemClock)).map_err(Failed::from_error)?;
    rack::report(&*store, now).await?;
    let rack = score.rack(&store.hosts().await?, site.network().clone(), site.boot_source()?)?;

    let version = program.installer_version().await?;
    eprintln!("openshift-install {}", version.version);
    let images = program.boot_images().await?;
    folder.write("boot-images.json", boot_images(&images))?;
    let made = program.make_artefacts(&score.installer_input(&rack)?).await?;
    if let Some(path) = program.install_config(&score.description().name)? {
        let text =
            std::fs::read(&path).map_err(|error| Failed::new(format!("failed to read {}: {error}", path.display())))?;
        folder.write("install-config.yaml", text)?;
    }

    let hosts = score.served_hosts(&rack, &made, &images)?;
    let wanted = score.description().roles.len();
    if hosts.len() != wanted {
        return Err(Failed::new(format!("{} of the cluster's {wanted} hosts would be served", hosts.len())));
    }
    for host in &hosts {
        folder.write(&host.network.name, &host.network.text)?;
    }
    boot_server::order(&store, &hosts, now).await?;
    let config = BootConfig {
        // No file of a release or of firmware is asked for.
        assets: Files::Memory(BTreeMap::new()),
        tftp: None,
        private: Some(Arc::new(PrivateFolder(program.private_root().to_owned()))),
        ..site.boot_config()
    };
    boot_server::fetch_all(config, store, &hosts, folder).await?;
    services(folder, &site, &score, &rack, &hosts)?;
    folder.finish()
}

/// The installer program, which works in this folder.
fn installer_of(site: &SiteFile, program: PathBuf, state: &Path) -> Result<OpenshiftInstall, Failed> {
    let mut file = site.clone();
    file.site.state = state.to_owned();
    if let Some(installer) = &mut file.installer {
        installer.program = program;
    }
    file.cluster_installer(WriteLog::default()).ok_or_else(|| Failed::new("site.toml has no [installer]"))
}

/// What hosts boot: where it is fetched, its digest, and where the boot server offers it. Nothing is fetched here.
fn boot_images(images: &BootImages) -> String {
    let file = |(file, path): (&_, String)| json!({"path": format!("/os/{path}"), "fetched": file});
    let files = images.assets().map(file);
    format!("{:#}\n", json!({"release": images.release, "files": files}))
}

/// The configurations of DHCP, DNS and load balancer, of the first phase and of each later one in which they change.
fn services(
    folder: &Folder,
    site: &SiteTopology,
    score: &OkdInstallationScore,
    rack: &Rack,
    hosts: &[ServedHost],
) -> Result<(), Failed> {
    let reservations: Vec<Reservation> = hosts.iter().map(|host| host.reservation.clone()).collect();
    let configs = |phase| {
        let names = score.served_names(rack, phase)?;
        Ok::<_, Failed>(site.service_configs(&reservations, &names.records, &names.services)?)
    };
    let mut before = configs(ClusterPhase::Bootstrapping)?;
    for (name, text) in &before {
        folder.write(name, text)?;
    }
    for (phase, word) in LATER {
        let now = configs(phase)?;
        for (name, text) in now.iter().filter(|config| !before.contains(config)) {
            let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "conf"));
            folder.write(&format!("{stem}-{word}.{extension}"), text)?;
        }
        before = now;
    }
    Ok(())
}
