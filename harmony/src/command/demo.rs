//! `harmony demo`: the main job on a simulated rack, without root, hardware or network: unknown machines become an OKD
//! cluster.
//!
//! The Scores, the drivers, the boot server and the agent are the real ones; the machines, the switch, the BMCs and the
//! cluster's API are `harmony-sim`'s, on loopback. Read next: `harmony_topologies::simulated`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use clap::builder::PossibleValuesParser;
use harmony_core::capability::{ProvisioningNetwork as _, Topology as _};
use harmony_core::engine::{Engine, SavedPlan};
use harmony_core::event::Outcome;
use harmony_core::host::Role;
use harmony_core::score::AnyScore;
use harmony_core::store::{SharedStore, Store as _};
use harmony_inventory::Inventory;
use harmony_scores::{HostProvisioningScore, InventoryScore, OkdInstallationScore, SwitchAutomationScore};
use harmony_sim::{Fault, FaultName, Pace, Speed, World, WorldSpec};
use harmony_topologies::simulated::SimulatedRack;
use harmony_topologies::site::SiteTopology;
use harmony_tui::{Steered, Tempo};

use crate::CommandError;
use crate::run::{apply, watch};
use crate::simulation::stand_in;

/// The program's name in its journal.
const PROGRAM: &str = "demo";
/// Masters of the cluster; one machine more is the bootstrap, and all others are workers.
const MASTERS: u16 = 3;
/// Machines, unless told otherwise: two workers.
const MACHINES: u16 = 1 + MASTERS + 2;
/// Scores that find the machines; what they find is planned for by the rest.
const DISCOVERY: usize = 2;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harmony demo                             six unknown machines become an OKD cluster
  harmony demo --hosts 20 --seed 7         another rack; the same seed makes the same rack
  harmony demo --no-cluster --hosts 7      seven machines become installed, bonded nodes of nothing
  harmony demo --fault flapping-link       something goes wrong
  harmony demo --by-hand                   you assign the roles, with `a` on the Hosts screen
  harmony demo --json > run.jsonl          one event a line; `harmony tui --replay run.jsonl` shows it again
On the screen Space pauses the world (not Harmony's time limits), + and - change its speed. Where there is no
terminal, lines are printed.")]
pub(super) struct DemoArguments {
    /// How many machines: a bootstrap, three masters, and workers.
    #[arg(long, default_value_t = MACHINES, value_parser = clap::value_parser!(u16).range(1..=200))]
    hosts: u16,
    /// Install and bond the machines, and make no cluster of them.
    #[arg(long)]
    no_cluster: bool,
    /// Decides hardware, firmware, cables and jitter.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Let something go wrong; may be given more than once.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Fault::names()))]
    fault: Vec<String>,
    /// Seconds of the world in one second, 0.1 to 1000.
    #[arg(long, default_value = "60")]
    speed: Speed,
    /// Leave the roles to you; needs a terminal.
    #[arg(long)]
    by_hand: bool,
    /// Where to leave plan, boot files and journal; by default a new folder among the temporary files.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Runs the demo to its end.
pub(super) async fn run(arguments: DemoArguments, json: bool) -> Result<ExitCode, CommandError> {
    let on_screen = harmony_tui::is_terminal() && !json;
    if arguments.by_hand && !on_screen {
        return Err(CommandError::new("roles are assigned by hand in the TUI, which needs a terminal"));
    }
    if !arguments.no_cluster && arguments.hosts <= MASTERS {
        let least = format!("a cluster needs {} machines: a bootstrap and {MASTERS} masters", MASTERS + 1);
        return Err(CommandError::new(least).hint("give it more --hosts, or --no-cluster"));
    }
    let folder = Folder::make(arguments.out)?;
    let spec = WorldSpec::mixed_rack(arguments.seed, arguments.hosts);
    let faults = pick(&arguments.fault, &spec, arguments.seed)?;
    let installer = if arguments.no_cluster { None } else { Some(stand_in(&folder.0)?) };
    let rack = SimulatedRack::start(spec, &folder.0, installer.as_deref()).await;
    let rack = rack.map_err(CommandError::from_error)?;
    rack.world().pace().set_speed(arguments.speed);
    let _in_force: Vec<_> = faults.into_iter().map(|fault| rack.world().inject(fault)).collect();
    let inventory = crate::open_database(rack.site()).await?;
    let store: SharedStore = Arc::new(inventory.clone());
    let site = rack.open(Arc::clone(&store)).map_err(CommandError::from_error)?;
    let mut engine = Engine::new(Arc::clone(&store), rack.world().machine_clock());
    engine.attended = arguments.by_hand;
    let scores = if arguments.no_cluster {
        hosts(&site, arguments.hosts)?
    } else {
        let cluster = rack.cluster(MASTERS, arguments.hosts - MASTERS - 1).map_err(CommandError::from_error)?;
        OkdInstallationScore::new(cluster).map_err(CommandError::from_error)?.scores(&site)
    };
    let roles: Vec<Role> = scores.iter().flat_map(|score| score.roles()).collect();
    let demo = Demo { scores, site, engine: &engine, world: rack.world(), folder: &folder };
    let code = if on_screen {
        let source = Steered::new(engine.bus.subscribe(), WorldTempo(rack.world().pace()));
        watch::show(&engine, roles, source, demo.run()).await
    } else {
        apply::tell(&engine, demo.run(), json).await
    };
    demo.site.stop_services().await?;
    folder.keep(&inventory, rack.world()).await?;
    let code = code?;
    if !json {
        eprint!("{}", folder.contents());
    }
    Ok(code)
}

struct Demo<'a> {
    site: SiteTopology,
    scores: Vec<Box<dyn AnyScore<SiteTopology>>>,
    engine: &'a Engine,
    world: &'a World,
    folder: &'a Folder,
}

impl Demo<'_> {
    /// Runs to the end; killed by a fault, it is run again.
    async fn run(&self) -> Result<Outcome, CommandError> {
        tokio::select! {
            outcome = self.once() => outcome,
            () = self.world.controller_killed() => self.once().await,
        }
    }

    /// Finds the machines, plans all that follows, leaves that plan to look at, and makes it so.
    async fn once(&self) -> Result<Outcome, CommandError> {
        let found = self.engine.apply(PROGRAM, &self.site, &self.scores[..DISCOVERY], None).await?;
        if found != Outcome::Converged {
            return Ok(found);
        }
        let plan = SavedPlan::new(self.site.name(), self.engine.plan(&self.site, &self.scores).await?);
        self.folder.write("plan.txt", &plan.render())?;
        self.folder.write("site.plan", &plan.to_text())?;
        Ok(self.engine.apply(PROGRAM, &self.site, &self.scores, None).await?)
    }
}

/// Wants all machines installed and bonded, and no more.
fn hosts(site: &SiteTopology, machines: u16) -> Result<Vec<Box<dyn AnyScore<SiteTopology>>>, CommandError> {
    let roles: Vec<Role> = (1..=machines).map(|n| format!("node-{n}").parse()).collect::<Result<_, _>>()?;
    let (ports, vlan) = (site.network().host_ports.clone(), site.network().vlan);
    Ok(vec![
        Box::new(SwitchAutomationScore::ready_to_boot(ports, vlan)),
        Box::new(InventoryScore::of(roles.len())),
        Box::new(HostProvisioningScore::new(roles).assign_unattended()),
    ])
}

/// Faults by their names, each with a victim in this rack.
fn pick(names: &[String], rack: &WorldSpec, seed: u64) -> Result<Vec<Fault>, CommandError> {
    let pick = |name: &String| {
        let name: FaultName = name.parse().map_err(CommandError::from_error)?;
        Fault::pick(name, rack, seed).ok_or_else(|| {
            CommandError::new(format!("this rack has nothing for {name} to strike")).hint("give it more --hosts")
        })
    };
    names.iter().map(pick).collect()
}

/// The keys that steer the world.
struct WorldTempo(Pace);

impl WorldTempo {
    /// By a factor, within what a world can.
    fn change(&self, factor: f64) {
        if let Ok(speed) = self.0.speed().times(factor) {
            self.0.set_speed(speed);
        }
    }
}

impl Tempo for WorldTempo {
    fn pause_or_resume(&mut self) {
        if self.0.is_paused() { self.0.resume() } else { self.0.pause() }
    }

    fn faster(&mut self) {
        self.change(2.0);
    }

    fn slower(&mut self) {
        self.change(0.5);
    }

    fn text(&self) -> String {
        let paused = if self.0.is_paused() { ", paused" } else { "" };
        format!("{}×{paused}", self.0.speed())
    }
}

/// What the demo leaves to look at.
struct Folder(PathBuf);

impl Folder {
    /// Makes it, by default a new one that is its owner's alone; one that is there must be empty, since
    /// nothing of anybody's is overwritten.
    fn make(wanted: Option<PathBuf>) -> Result<Self, CommandError> {
        let Some(path) = wanted else {
            // It holds passwords, and the folder above it may be anybody's.
            let owners_alone = std::fs::Permissions::from_mode(0o700);
            let made = tempfile::Builder::new().prefix("harmony-demo-").permissions(owners_alone).tempdir();
            let failed = |error| CommandError::new(format!("failed to make a temporary folder: {error}"));
            return Ok(Self(made.map_err(failed)?.keep()));
        };
        let failed = |error| CommandError::new(format!("failed to make {}: {error}", path.display()));
        std::fs::create_dir_all(&path).map_err(failed)?;
        if std::fs::read_dir(&path).map_err(failed)?.next().is_some() {
            return Err(CommandError::new(format!("{} is not empty", path.display())).hint("name another with --out"));
        }
        Ok(Self(path))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), CommandError> {
        let path = self.0.join(name);
        let failed = |error| CommandError::new(format!("failed to write {}: {error}", path.display()));
        path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
        std::fs::write(&path, text).map_err(failed)
    }

    /// Journal, boot files, and the world's own account.
    async fn keep(&self, store: &Inventory, world: &World) -> Result<(), CommandError> {
        let mut journal = String::new();
        for run in store.runs().await? {
            for record in store.journal(run.id).await? {
                let line = serde_json::to_string(&record).map_err(CommandError::from_error)?;
                journal.push_str(&line);
                journal.push('\n');
            }
        }
        self.write("journal.jsonl", &journal)?;
        for document in store.documents().await? {
            self.write(&format!("boot/{}", file_name(&document.name, &document.hash)), &document.text)?;
        }
        self.write("world.log", &world.log())
    }

    fn contents(&self) -> String {
        let path = |name: &str| self.0.join(name).display().to_string();
        format!(
            "\nleft to look at:\n  plan     {}\n  boot     {}\n  journal  {}\n  world    {}\n  site     {}\n\
             harmony tui --replay {}    shows the run again\n",
            path("plan.txt"),
            path("boot"),
            path("journal.jsonl"),
            path("world.log"),
            path("site.toml"),
            path("journal.jsonl"),
        )
    }
}

/// A document's name as a file's: names come from the store, and two documents may have one.
fn file_name(name: &str, hash: &str) -> String {
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' }).collect();
    let (stem, extension) = safe.rsplit_once('.').unwrap_or((&safe, "txt"));
    format!("{}.{}.{extension}", stem.trim_start_matches('.'), hash.get(..8).unwrap_or(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_files_of_the_folder_and_of_no_other() {
        assert_eq!(file_name("hc-1/node-1.ign", "0123456789"), "hc-1-node-1.01234567.ign");
        let outside = file_name("../../etc/passwd", "0123456789");
        assert!(!outside.contains('/') && !outside.starts_with('.'), "{outside}");
    }

    #[test]
    fn each_demo_has_a_folder_of_its_own() {
        let folders = [(); 2].map(|()| Folder::make(None).expect("made").0);
        assert_ne!(folders[0], folders[1]);
        for folder in folders {
            assert_eq!(std::fs::metadata(&folder).expect("there").permissions().mode() & 0o777, 0o700);
            std::fs::remove_dir(folder).expect("empty");
        }
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("x"), "").expect("writes");
        let refused = Folder::make(Some(folder.path().to_owned())).map(|_| ()).expect_err("not empty");
        assert!(refused.to_string().contains("is not empty"), "{refused}");
    }

    #[test]
    fn every_fault_has_a_victim_in_the_usual_rack() {
        let names: Vec<String> = Fault::names().into_iter().map(str::to_owned).collect();
        assert_eq!(pick(&names, &WorldSpec::mixed_rack(1, 7), 1).expect("victims").len(), names.len());
    }
}
