//! `harmony lab up|status|down|exec`: a virtual rack that stays.

use std::path::PathBuf;

use clap::Subcommand;
use harmony_topologies::lab::{Lab, LabSpec, LabStatus, MachineSpec, default_parent};

use super::json_text;
use crate::CommandError;
use crate::lab::{find_agent, find_lab, find_release, make_lab, take_down};
use crate::run::output;

#[derive(Debug, Subcommand)]
pub(super) enum LabCommand {
    /// Start a rack; its machines are off until something switches them on. Needs root.
    #[command(after_help = "Examples:
  harmony lab up
  harmony lab up --machines 5 --agent ./harmony-inventory-agent
  harmony lab up --machines 6 --cluster                  for `harmony apply cluster.toml`
  HARMONY_LAB=ab12cd cargo run -p virtual_rack -- tui    a program in that rack")]
    Up {
        /// How many machines.
        #[arg(long, default_value_t = 3)]
        machines: u8,
        /// The static inventory agent; by default the one that `cargo xtask agent` has built.
        #[arg(long, env = "HARMONY_AGENT", value_name = "FILE")]
        agent: Option<PathBuf>,
        /// Also offer what a cluster needs: a mirror, a stand-in for openshift-install, DNS, a load balancer, and the file
        /// cluster.toml that fits the rack. Takes 4 machines at least.
        #[arg(long)]
        cluster: bool,
        /// Folder with the programs `openshift-install` and `simulated-node` of harmony-sim, for --cluster; by default that of
        /// this program.
        #[arg(long, env = "HARMONY_SIM_PROGRAMS", value_name = "DIR")]
        programs: Option<PathBuf>,
    },
    /// List the racks of this machine.
    Status,
    /// Stop a rack, or all, and leave nothing behind.
    Down {
        /// Its name; may be left out if there is one.
        name: Option<String>,
        /// All racks.
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
    /// Run a command inside a rack's network, with HARMONY_SITE set.
    #[command(after_help = "Examples:
  harmony lab exec ab12cd -- harmony hosts
  harmony lab exec ab12cd -- harmony switch status")]
    Exec {
        /// The rack's name.
        name: String,
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

pub(super) async fn run(command: LabCommand, json: bool) -> Result<(), CommandError> {
    match command {
        LabCommand::Up { machines, agent, cluster, programs } => {
            let agent = find_agent(agent)?;
            let release = cluster.then(|| find_release(programs)).transpose()?;
            let spec = LabSpec { machines: MachineSpec::usual(machines.into()), release, ..LabSpec::new(agent) };
            let lab = make_lab(spec).await?;
            if json {
                return output::print(&json_text(&lab.status())?);
            }
            let name = lab.name();
            eprintln!("rack {name} is up; its site file is {}", lab.site_path().display());
            if cluster {
                let path = lab.cluster_path();
                eprintln!(
                    "  harmony lab exec {name} -- harmony apply {} --tui\n  harmony lab down {name}",
                    path.display()
                );
                return Ok(());
            }
            eprintln!(
                "  HARMONY_LAB={name} cargo run -p virtual_rack -- tui\n  harmony lab exec {name} -- harmony switch status\n  harmony lab down {name}"
            );
            Ok(())
        }
        LabCommand::Status => {
            let labs: Vec<_> =
                Lab::list(&default_parent()).map_err(CommandError::from_error)?.iter().map(Lab::status).collect();
            if json {
                return output::print(&json_text(&labs)?);
            }
            if labs.is_empty() {
                eprintln!("no rack runs on this machine");
            }
            labs.iter().try_for_each(|lab| output::print(&row(lab)))
        }
        LabCommand::Down { name, all } => {
            let labs = match name {
                Some(name) => vec![find_lab(&name)?],
                None => Lab::list(&default_parent()).map_err(CommandError::from_error)?,
            };
            if labs.len() > 1 && !all {
                let names = labs.iter().map(|lab| lab.name().to_string()).collect::<Vec<_>>().join(", ");
                return Err(CommandError::new(format!("there are {} racks: {names}", labs.len()))
                    .hint("name one, or give --all"));
            }
            for lab in labs {
                let name = lab.name().to_string();
                take_down(lab).await?;
                eprintln!("rack {name} is gone");
            }
            Ok(())
        }
        LabCommand::Exec { name, command } => {
            let lab = find_lab(&name)?;
            let mut words = command.iter();
            let Some(program) = words.next() else { return Err(CommandError::new("no command was given")) };
            let mut inside = tokio::process::Command::from(lab.command(program));
            inside.args(words).env("HARMONY_SITE", lab.site_path());
            let status = inside
                .status()
                .await
                .map_err(|error| CommandError::new(format!("failed to start {program}: {error}")))?;
            if status.success() { Ok(()) } else { Err(CommandError::new(format!("{program} ended with {status}"))) }
        }
    }
}

/// A rack in a line, with the power of its machines.
fn row(lab: &LabStatus) -> String {
    let machines: Vec<String> =
        lab.machines.iter().map(|m| format!("{} {}", m.machine.spec.name, if m.on { "on" } else { "off" })).collect();
    format!("{}  {}  {} processes  {}\n", lab.name, lab.folder.display(), lab.processes, machines.join(", "))
}
