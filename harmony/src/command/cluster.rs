//! `harmony plan|apply|status CLUSTER`: an OKD cluster by its `cluster.toml`, for those who write no program.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use harmony_scores::OkdInstallationScore;

use crate::run::arguments::Command;
use crate::run::{Options, dispatch};
use crate::{CommandError, open_site};

/// What all three have in common.
#[derive(Debug, Args)]
pub(super) struct ClusterFile {
    /// The cluster's description; docs/reference/cluster.md tells what it holds.
    cluster: PathBuf,
    /// Only this Score; may be given more than once.
    #[arg(long, value_name = "SCORE")]
    only: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harmony plan cluster.toml --site site.toml           every command, file and record, every disk to be erased
  harmony plan cluster.toml --out cluster.plan         the same, kept in a file that can be read and signed
  harmony plan cluster.toml --only OkdSetup02Bootstrap")]
pub(super) struct PlanArguments {
    #[command(flatten)]
    file: ClusterFile,
    /// Also write the plan to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harmony apply cluster.toml --site site.toml     asks, then makes it so; can be killed at any moment and run again
  harmony apply cluster.toml --tui                the same on the screen; roles can be assigned there
  harmony apply cluster.toml --plan cluster.plan  the steps of that plan and no other
  harmony apply cluster.toml --yes --json         without asking, one event a line")]
pub(super) struct ApplyArguments {
    #[command(flatten)]
    file: ClusterFile,
    /// A file made by `harmony plan --out`: its steps and no other.
    #[arg(long, value_name = "FILE", conflicts_with = "tui")]
    plan: Option<PathBuf>,
    /// Apply without asking.
    #[arg(long, short)]
    yes: bool,
    /// Watch it on the screen.
    #[arg(long)]
    tui: bool,
}

/// `harmony plan`.
pub(super) async fn plan(site: &Path, json: bool, arguments: PlanArguments) -> Result<ExitCode, CommandError> {
    run(site, json, false, arguments.file, Command::Plan { out: arguments.out }).await
}

/// `harmony apply`.
pub(super) async fn apply(site: &Path, json: bool, arguments: ApplyArguments) -> Result<ExitCode, CommandError> {
    let command = if arguments.tui { Command::Tui } else { Command::Apply { file: arguments.plan } };
    run(site, json, arguments.yes, arguments.file, command).await
}

/// `harmony status`.
pub(super) async fn status(site: &Path, json: bool, file: ClusterFile) -> Result<ExitCode, CommandError> {
    run(site, json, false, file, Command::Status).await
}

async fn run(
    site: &Path,
    json: bool,
    yes: bool,
    file: ClusterFile,
    command: Command,
) -> Result<ExitCode, CommandError> {
    let okd = OkdInstallationScore::from_file(&file.cluster).map_err(|error| {
        CommandError::from_error(error).hint("docs/reference/cluster.md tells what a cluster file holds")
    })?;
    let (inventory, topology) = open_site(site).await?;
    let scores = okd.scores(&topology);
    dispatch(Some(command), &Options { json, only: file.only, yes }, inventory, topology, scores).await
}
