//! The `harmony` command: what belongs to a site rather than to one program.
//!
//! `mod.rs` holds the arguments; each command has a file of its own.

mod assets;
mod cluster;
mod demo;
mod hosts;
mod inventory;
mod journal;
mod lab;
mod serve;
mod switch;
mod tui;

pub(crate) use hosts::assign;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::{CommandError, report};

/// Bare metal to installed, bonded nodes.
#[derive(Debug, Parser)]
#[command(
    name = "harmony",
    version,
    after_help = "Examples:
  harmony demo                                the main job on a simulated rack, as anybody
  harmony lab up                              a virtual rack on this machine (root)
  harmony --site site.toml hosts              the inventory
  harmony host show brisk-otter               one host, by id, name, role, MAC, serial or a part of one
  harmony host assign brisk-otter master-0    give it a role
  harmony host unassign brisk-otter           take it away
  harmony host forget-key brisk-otter         drop its pinned SSH host keys
  harmony inventory scan                      find agents on the provisioning network, read them
  harmony inventory diff brisk-otter          what changed between its last two reports
  harmony assets fetch --stream               kernel, initramfs and rootfs of the site's openshift-install
  harmony switch status                       ports, their mode and LACP state
  harmony journal                             runs; `harmony journal 3` tells one again
  harmony tui --replay 3 --speed 8            the same on the screen
  harmony completions bash > /etc/bash_completion.d/harmony
Exit code: 0 done, 1 failed or refused, 2 wrong arguments."
)]
struct Arguments {
    /// The site file.
    #[arg(long, global = true, env = "HARMONY_SITE", default_value = "site.toml", value_name = "FILE")]
    site: PathBuf,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The main job on a simulated rack: no root, no hardware, nothing installed.
    Demo(demo::DemoArguments),
    /// Show everything that would be done for an OKD cluster; writes to nothing.
    Plan(cluster::PlanArguments),
    /// Make an OKD cluster as its file describes it.
    Apply(cluster::ApplyArguments),
    /// Compare an OKD cluster with its file; exit code 3 if there is work.
    Status(cluster::ClusterFile),
    /// A virtual rack on this machine.
    #[command(subcommand)]
    Lab(lab::LabCommand),
    /// List the hosts of the inventory.
    Hosts,
    /// Look at one host, or decide about it.
    #[command(subcommand)]
    Host(hosts::HostCommand),
    /// Find hosts, and compare what they reported.
    #[command(subcommand)]
    Inventory(inventory::InventoryCommand),
    /// Look at the switches.
    #[command(subcommand)]
    Switch(switch::SwitchCommand),
    /// Fetch, check and list what hosts boot.
    #[command(subcommand)]
    Assets(assets::AssetsCommand),
    /// Run the boot server and the DHCP server of the site until stopped.
    Serve,
    /// The same for a run, which starts it by itself.
    #[command(name = crate::boot_server::COMMAND, hide = true)]
    BootServer,
    /// What makes the clusters of simulated racks.
    #[command(name = crate::simulation::INSTALLER, hide = true)]
    OpenshiftInstall {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// List runs, or show one again.
    Journal {
        /// The run's number.
        run: Option<i64>,
    },
    /// Watch the site: hosts as they appear, and assign roles to them; or show a run again.
    Tui(tui::TuiArguments),
    /// Print the completion script of a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// Reads the command line and does what it says.
pub async fn main() -> ExitCode {
    let Arguments { site, json, command } = Arguments::parse();
    let result = match command {
        Command::Demo(arguments) => demo::run(arguments, json).await,
        Command::Plan(arguments) => cluster::plan(&site, json, arguments).await,
        Command::Apply(arguments) => cluster::apply(&site, json, arguments).await,
        Command::Status(file) => cluster::status(&site, json, file).await,
        Command::Lab(command) => lab::run(command, json).await.map(success),
        Command::Hosts => hosts::list(&site, json).await.map(success),
        Command::Host(command) => hosts::run(&site, json, command).await.map(success),
        Command::Inventory(command) => inventory::run(&site, json, command).await.map(success),
        Command::Switch(command) => switch::run(&site, json, command).await.map(success),
        Command::Assets(command) => assets::run(&site, json, command).await.map(success),
        Command::Serve => serve::run(&site).await.map(success),
        Command::BootServer => crate::open_site(&site).await.and_then(|_| Err(crate::run::no_boot_server())),
        Command::OpenshiftInstall { args } => Ok(harmony_sim::openshift_install::main(args.into_iter())),
        Command::Journal { run } => journal::run(&site, json, run).await.map(success),
        Command::Tui(arguments) => tui::run(&site, arguments).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "harmony", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        report(&error);
        ExitCode::FAILURE
    })
}

fn success((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// A value as JSON text.
fn json_text(value: &impl serde::Serialize) -> Result<String, CommandError> {
    let failed = |error| CommandError::new(format!("failed to write JSON: {error}"));
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(failed)
}
